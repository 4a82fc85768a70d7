package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/helm"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// askDeployer asks the API server, as the tenant's service account, for what every
// command of Helm 3 and 4 needs.
func askDeployer(ctx context.Context, client *cluster.Client, resolved tenant.Resolved, namespace string) *deployer {
	d := &deployer{User: resolved.DeployerUser()}
	as, err := client.As(d.User)
	if err == nil {
		d.Answers, err = as.May(ctx, cluster.Permission{Verb: "list", Resource: "secrets", Namespace: namespace})
	}
	switch {
	case apierrors.IsForbidden(err):
		d.refused, d.Problem = true, fmt.Sprintf("you may not impersonate service account %q in namespace %q, or there is none", resolved.Account(), resolved.Home)
	case err != nil:
		d.refusedFor(err)
	case !d.Answers && isForeign(namespace, resolved.Namespaces):
		d.Problem = fmt.Sprintf("namespace %q, which -n or HELM_NAMESPACE names, is not one of the tenant's: %s", namespace, strings.Join(resolved.Namespaces, ", "))
	case !d.Answers:
		d.Problem = fmt.Sprintf("service account %q of namespace %q may not list Secrets in namespace %q, where helm keeps its releases", resolved.Account(), resolved.Home, namespace)
	}
	return d
}

// isForeign reports whether a namespace is known to be none of the tenant's. namespaces is empty if
// the tenant has all, or they are not known.
func isForeign(namespace string, namespaces []string) bool {
	return len(namespaces) > 0 && !slices.Contains(namespaces, namespace)
}

// terminatingOf returns those of the home and the namespace in use that are being deleted. What the
// caller may not read, the deployer of Helm 3 and 4 may; otherwise it is not known.
func terminatingOf(ctx context.Context, client *cluster.Client, resolved tenant.Resolved, namespace string) []string {
	var terminating []string
	for _, ns := range []string{resolved.Home, namespace} {
		ends, err := client.Terminating(ctx, ns)
		if apierrors.IsForbidden(err) && ns != resolved.Home && resolved.Engine == tenant.EngineImpersonation {
			if as, asErr := client.As(resolved.DeployerUser()); asErr == nil {
				ends, err = as.Terminating(ctx, ns)
			}
		}
		if err == nil && ends {
			terminating = append(terminating, ns)
		}
	}
	return terminating
}

// mayGrant asks the API server whether the caller may change the tenant's members.
// Without an answer it is false.
func mayGrant(ctx context.Context, client *cluster.Client, home string) bool {
	allowed, err := client.May(ctx, cluster.Permission{Verb: "update", Group: rbacv1.GroupName, Resource: "rolebindings", Name: rbac.MemberName, Namespace: home})
	return err == nil && allowed
}

// termOf returns the end of the user's relation to the tenant; nil if it has none, or the user may
// not read it.
func termOf(ctx context.Context, client *cluster.Client, home string, as tenant.Relation, user string) *tenant.Term {
	term, found, err := admin.TermOf(ctx, client, home, as, tenant.User(user))
	if err != nil || !found {
		return nil
	}
	return &term
}

// deployerGaps returns the rights that the tenant's service account lacks in a namespace
// and helm needs; nil if they can't be listed, empty if it has all.
func deployerGaps(ctx context.Context, client *cluster.Client, resolved tenant.Resolved, namespace string) []string {
	as, err := client.As(resolved.DeployerUser())
	if err != nil {
		return nil
	}
	rules, complete, err := as.Rules(ctx, namespace)
	if err != nil || !complete {
		return nil
	}
	return append([]string{}, rbac.RoleGaps(rules, tenant.EngineImpersonation)...)
}

// askTiller looks at Tiller's pods, then asks Tiller through helm.
func (s *session) askTiller(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, resolved tenant.Resolved) *tiller {
	t := &tiller{IgnoredSettings: s.Place(k).Helm2.Ignores}
	pods, err := client.TillerPods(ctx, resolved.Home)
	switch {
	case apierrors.IsForbidden(err):
		t.refused, t.Problem = true, fmt.Sprintf("you are no member of it, or there is no such tenant: you may not list pods in namespace %q", resolved.Home)
		return t
	case err != nil:
		t.silentFor(err)
		return t
	}
	t.count(pods)
	if len(pods) == 0 {
		t.Problem = "it has no pod"
		if _, err := client.Record(ctx, resolved.Home); apierrors.IsNotFound(err) {
			t.Problem = fmt.Sprintf("there is no such tenant: namespace %q has no record of one", resolved.Home)
		} else if tillers, err := admin.Tillers(ctx, client, resolved.Home); err == nil && len(tillers) > 0 && tillers[0].Rollout != "" {
			t.Problem += ": " + tillers[0].Rollout // members may not read it
		} else if err != nil {
			t.Problem += "; an admin sees the reason with: helm tenant describe " + tenantWord(resolved.Name)
		}
		return t
	}
	h, err := s.HelmClient(ctx, false)
	t.Unasked = err != nil
	if err == nil {
		var inv helm.Invocation
		inv, err = s.tenantHelm(h, helm.AskTiller(), resolved, k, "")
		t.Unasked = err != nil
		if err == nil {
			t.Answer, err = helm.Capture(ctx, inv, 30*time.Second)
		}
	}
	if err == nil {
		err = s.askRecords(ctx, h, k, resolved)
	}
	t.Answers = err == nil
	if err != nil {
		t.silentFor(err)
		if why := install.Trouble(pods); why != "" {
			t.err, t.Problem = nil, visible.OneLine(why) // helm only says that no pod is ready
		}
	}
	return t
}

// count sets what the pods of a Tiller show. Pods that are being deleted do not count; during a
// rollout the version is that of a pod that is ready, which is the one that answers.
func (t *tiller) count(pods []corev1.Pod) {
	t.seen = true
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		t.Pods++
		ready := install.PodReady(pod)
		if c := recognise.Container(pod.Spec); c != nil && (t.Version == "" || ready) {
			t.Version = recognise.ImageVersion(c.Image)
		}
		if ready {
			t.Ready++
		}
	}
}

// askRecords asks Tiller for a release that does not exist. Tiller needs its service
// account for that, which may have been deleted; it does not need it for its version.
func (s *session) askRecords(ctx context.Context, h helm.Client, k *tenant.Kubeconfig, resolved tenant.Resolved) error {
	inv, err := s.tenantHelm(h, helm.AskRecords(), resolved, k, "")
	if err != nil {
		return err
	}
	_, err = helm.Capture(ctx, inv, 30*time.Second)
	if err == nil || errors.Is(err, helm.ErrReleaseNotFound) {
		return nil
	}
	return fmt.Errorf("it answers, and can't read its releases: %w", err)
}

func (d *deployer) refusedFor(err error) { d.err, d.Problem = err, failure.Text(err) }
func (t *tiller) silentFor(err error)    { t.err, t.Problem = err, failure.Text(err) }

// silentTiller returns the reason why the tenant's Tiller does not answer, nil if it does.
func silentTiller(w whoami, k *tenant.Kubeconfig) error {
	if w.Tiller.Answers {
		return nil
	}
	why, outcome := cmp.Or(w.Tiller.err, errors.New(w.Tiller.Problem)), "does not answer"
	if w.Migration != "" {
		why = errors.New("the tenant is " + w.Migration)
	} else if w.Tiller.Unasked {
		outcome = "was not asked"
	}
	return failure.Error{
		Operation: fmt.Sprintf("the Tiller in namespace %q", w.HomeNamespace), Outcome: outcome,
		Where: failure.Subject{Preposition: "of", Text: k.Where()},
	}.Wrap(why)
}
