package attack

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// deployer returns the user that acts for a team: what its Tiller runs as, or what its
// members impersonate.
func (w *world) deployer(t *tenant) string {
	return "system:serviceaccount:" + t.home + ":" + w.account
}

func (w *world) engine() string {
	if w.account == "tiller" {
		return "tiller"
	}
	return "impersonation"
}

// homeOf is where helm-tenant puts a tenant's deployer.
func (w *world) homeOf(name string) string { return name + "-" + w.account }

// through runs helm as somebody, through a team's deployer.
func (w *world) through(ctx context.Context, actor *person, t *tenant, args ...string) (string, error) {
	return w.callThrough(ctx, actor, t, nil, args...)
}

// callThrough is through with what changes the arguments after a conflict, see
// call.
func (w *world) callThrough(ctx context.Context, actor *person, t *tenant, second func([]string) []string, args ...string) (string, error) {
	flag := "--tiller-namespace=" + t.home
	if w.account != "tiller" {
		flag = "--kube-as-user=" + w.deployer(t)
	}
	c := w.helmCall(actor, append([]string{flag}, args...)...)
	c.again = second
	out, err := w.run(ctx, c)
	if w.account != "tiller" {
		err = w.unmasked(ctx, actor, t, err)
	}
	return out, err
}

// masked is what Helm 3 and 4 say of an API server that refuses them: they ask for
// its version first, and can't read the answer.
var masked = regexp.MustCompile(`(?i)cluster unreachable: unknown`)

// unmasked adds kubectl's error for the same request to such an error. If kubectl is not
// refused, the error stays, and matches no known refusal.
func (w *world) unmasked(ctx context.Context, actor *person, t *tenant, err error) error {
	if err == nil || !masked.MatchString(err.Error()) {
		return err
	}
	_, why := w.runKubectl(ctx, actor, "get", "--raw", "/version", "--as="+w.deployer(t))
	if why == nil {
		return err
	}
	return fmt.Errorf("%w; kubectl, which asked the same: %v", err, why)
}

// at adds a team's namespace where a helm looks for a release there.
func (w *world) at(t *tenant, args ...string) []string {
	if w.account == "tiller" {
		return args
	}
	return append(args, "--namespace="+t.namespaces[0])
}

// removal returns the command that deletes a release of a team's.
func (w *world) removal(t *tenant, release string) []string {
	if w.account == "tiller" {
		return []string{"delete", "--purge", release}
	}
	return w.at(t, "uninstall", release)
}

// seconds returns a time limit as helm takes it.
func (w *world) seconds(n int) string {
	if w.account == "tiller" {
		return fmt.Sprint(n)
	}
	return fmt.Sprint(n, "s")
}

// installs has somebody install a chart through a team's deployer.
func (w *world) installs(ctx context.Context, actor *person, t *tenant, dir, release, namespace string, more ...string) error {
	args := []string{"install", dir, "--name", release}
	if w.account != "tiller" {
		args = []string{"install", release, dir}
	}
	// An install that met a conflict, for example when many pods are counted for
	// one ResourceQuota, leaves a failed release of its name.
	replace := func(args []string) []string { return append(slices.Clone(args), "--replace") }
	_, err := w.callThrough(ctx, actor, t, replace, append(append(args, "--namespace", namespace), more...)...)
	return err
}

// acting is somebody who acts as a team's deployer in all that kubectl and a
// client do. Whether that is allowed is seen at the first request.
func (w *world) acting(p *person, t *tenant) (*person, error) {
	as := *p
	as.as = w.deployer(t)
	as.config = rest.CopyConfig(p.config)
	as.config.Impersonate.UserName = as.as
	var err error
	if as.client, err = kubernetes.NewForConfig(as.config); err != nil {
		return nil, err
	}
	as.dynamic, err = dynamic.NewForConfig(as.config)
	return &as, err
}

// asDeployer makes an attack as the deployer of the actor's own team.
func asDeployer(run func(context.Context, *attackRun) outcome) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		sub := *s
		var err error
		if sub.actor, err = s.acting(s.actor, s.entry); err != nil {
			return failure("%v", err)
		}
		return run(ctx, &sub)
	}
}

// openWatch watches the ConfigMaps of a team's last namespace, as its deployer,
// for as long as the API server lets it.
func (w *world) openWatch(actor *person, t *tenant) (*sync.Map, error) {
	as, err := w.acting(actor, t)
	if err != nil {
		return nil, err
	}
	// Not with the context of those who set up, which ends with them.
	stream, err := as.client.CoreV1().ConfigMaps(t.last()).Watch(context.Background(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	overheard := &sync.Map{}
	go func() {
		for event := range stream.ResultChan() {
			if object, ok := event.Object.(*corev1.ConfigMap); ok {
				overheard.Store(object.Name, true)
			}
		}
	}()
	return overheard, nil
}

// takeToken creates and keeps a token of an account in the team's last namespace, to which a
// chart bound the role edit: the account can do what a member can do in that namespace.
func (w *world) takeToken(ctx context.Context, actor *person, t *tenant) (string, error) {
	s := &attackRun{world: w, id: "token-" + w.name, actor: actor, entry: t, victim: t, own: t.last()}
	binding := strings.Replace(bindingToOutsider, "{apiGroup: rbac.authorization.k8s.io, kind: User, name: $ME}", "{kind: ServiceAccount, name: default, namespace: $OWN}", 1)
	if err := s.install(ctx, s.own, binding); err != nil {
		return "", err
	}
	as, err := w.acting(actor, t)
	if err != nil {
		return "", err
	}
	return w.runKubectl(ctx, as, "--namespace", s.own, "create", "token", "default", "--duration=24h")
}
