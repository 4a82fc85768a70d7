package apitest

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
)

// readerOf makes a tenant with a release of each helm, and a reader of it who chose it
// with `use`.
func (w *world) readerOf(t *testing.T, helms ...string) (team team, reader *user) {
	t.Helper()
	team = newTeam()
	team.home = team.name + "-helm"
	member := w.newUser(t, "member")
	w.makeTenant(t, team, "--engine", "impersonation", "--user", member.name)
	member.env = []string{"HELM_BIN=" + w.Bin(helms[0])}
	member.must(t, "use", team.name)
	for _, helm := range helms {
		member.env = []string{"HELM_BIN=" + w.Bin(helm)}
		member.must(t, "install", helm, hello())
		member.must(t, "upgrade", helm, hello(), "--set", "a=b")
	}
	reader = w.newUser(t, "reader")
	w.admin(t).must(t, "grant", team.name, "--reader", "--user", reader.name, "--accept-risk=reads-secrets")
	w.authorized(t, reader.name, access("get", "", "configmaps", "", team.home, "helm-tenant"))
	for _, ns := range []string{team.a, team.b} {
		w.authorized(t, "system:serviceaccount:"+team.home+":helm-reader", access("list", "", "secrets", "", ns))
	}
	reader.env = []string{"HELM_BIN=" + w.Bin(helms[0])}
	reader.must(t, "use", team.name)
	return team, reader
}

// TestReadersHelm: what a reader can do with the real helms, and which commands are refused
// before helm starts.
func TestReadersHelm(t *testing.T) {
	t.Parallel()
	w := start(t)
	helms := []string{"helm3", "helm4"}
	_, reader := w.readerOf(t, helms...)
	if r := reader.must(t, "whoami"); !strings.Contains(r.Stdout, "read: list, get, history, status and dry runs") {
		t.Errorf("whoami: %v", r)
	}
	for _, helm := range helms {
		one := *reader
		one.env = []string{"HELM_BIN=" + w.Bin(helm)}
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"list"}, helm},
			{[]string{"status", helm}, "deployed"},
			{[]string{"history", helm}, "superseded"},
			{[]string{"get", "manifest", helm}, "ConfigMap"},
			{[]string{"get", "values", helm, "--revision", "2"}, "a: b"},
			{[]string{"get", "all", helm}, "REVISION: 2"},
			{[]string{"template", "x", hello()}, "ConfigMap"},
			{[]string{"install", "x", hello(), "--dry-run=client"}, "pending-install"},
			{[]string{"install", "x", hello(), "--dry-run=server"}, "pending-install"},
			{[]string{"upgrade", helm, hello(), "--dry-run=server"}, "pending-upgrade"},
		} {
			if r := one.run(t, c.args...); r.Code != 0 || !strings.Contains(r.Stdout, c.want) {
				t.Errorf("%s %q: %v", helm, c.args, r)
			}
		}
		for _, args := range [][]string{{"install", "x", hello()}, {"upgrade", helm, hello()}, {"upgrade", "--install", "x", hello()}, {"rollback", helm, "1"},
			{"uninstall", helm}, {"delete", helm}, {"test", helm}} {
			refused := one
			refused.env = []string{"HELM_BIN=" + w.Bin(helm), "HELM_DEBUG=true"} // helm would say more
			if r := refused.run(t, args...); r.Code != 1 || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "Error: you may read ") {
				t.Errorf("%s %q: %v", helm, args, r)
			}
		}
	}
	// A kubeconfig of the reader's is for any program, and no more than a reader.
	file := filepath.Join(t.TempDir(), "reader.yaml")
	reader.must(t, "kubeconfig", "--output-file", file)
	for _, helm := range helms {
		raw := func(args ...string) (string, error) {
			cmd := exec.CommandContext(t.Context(), w.Bin(helm), args...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + file, "PATH=/none"}
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		if out, err := raw("list", "-q"); err != nil || !strings.Contains(out, helm) {
			t.Errorf("plain %s list: %v: %s", helm, err, out)
		}
		for _, args := range [][]string{{"install", "x", hello()}, {"upgrade", helm, hello()}, {"rollback", helm, "1"}, {"uninstall", helm}} {
			if out, err := raw(args...); err == nil || !strings.Contains(out, "forbidden") && !strings.Contains(out, "failed to delete release") { // uninstall says no more
				t.Errorf("plain %s %q: %v: %s", helm, args, err, out)
			}
		}
		if r := reader.must(t, "status", helm); !strings.Contains(r.Stdout, "STATUS: deployed") {
			t.Errorf("afterwards: %v", r)
		}
	}
}

// TestReadersAPI: what a reader can do without helm, as themself and as the readers'
// account.
func TestReadersAPI(t *testing.T) {
	t.Parallel()
	w := start(t)
	team, reader := w.readerOf(t, "helm3")
	config := rest.CopyConfig(reader.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + team.home + ":helm-reader"}
	account := kubernetes.NewForConfigOrDie(config)

	// Every right that it has, by the API server's own answer.
	for _, ns := range []string{team.a, team.b, team.home, "default"} {
		review, err := account.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: ns}}, metav1.CreateOptions{})
		must(t, err)
		reads := false
		for _, rule := range review.Status.ResourceRules {
			reads = reads || slices.Contains(rule.Resources, "secrets")
			questions := !slices.ContainsFunc(rule.Resources, func(resource string) bool { return !strings.HasPrefix(resource, "selfsubject") })
			if slices.ContainsFunc(rule.Verbs, func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) }) && !questions {
				t.Errorf("in %s it may %q %q", ns, rule.Verbs, rule.Resources)
			}
		}
		if own := ns == team.a || ns == team.b; reads != own {
			t.Errorf("in %s it reads Secrets: %t", ns, reads)
		}
	}

	for what, try := range map[string]func(ctx context.Context, c kubernetes.Interface) error{
		"create": func(ctx context.Context, c kubernetes.Interface) error {
			_, err := c.CoreV1().ConfigMaps(team.a).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
			return err
		},
		"change": func(ctx context.Context, c kubernetes.Interface) error {
			_, err := c.CoreV1().Secrets(team.a).Patch(ctx, "sh.helm.release.v1.helm3.v2", types.MergePatchType, []byte(`{"metadata":{"labels":{"status":"failed"}}}`), metav1.PatchOptions{})
			return err
		},
		"delete": func(ctx context.Context, c kubernetes.Interface) error {
			return c.CoreV1().Secrets(team.a).Delete(ctx, "sh.helm.release.v1.helm3.v2", metav1.DeleteOptions{})
		},
		"delete all": func(ctx context.Context, c kubernetes.Interface) error {
			return c.CoreV1().ConfigMaps(team.a).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		},
		"scale": func(ctx context.Context, c kubernetes.Interface) error {
			_, err := c.AppsV1().Deployments(team.a).UpdateScale(ctx, "x", &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.UpdateOptions{})
			return err
		},
		"evict": func(ctx context.Context, c kubernetes.Interface) error {
			return c.PolicyV1().Evictions(team.a).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: team.a, Name: "x"}})
		},
		"token": func(ctx context.Context, c kubernetes.Interface) error {
			_, err := c.CoreV1().ServiceAccounts(team.a).CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			return err
		},
		"token of the deployer": func(ctx context.Context, c kubernetes.Interface) error {
			_, err := c.CoreV1().ServiceAccounts(team.home).CreateToken(ctx, "helm", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			return err
		},
		"own account's token": func(ctx context.Context, c kubernetes.Interface) error {
			_, err := c.CoreV1().ServiceAccounts(team.home).CreateToken(ctx, "helm-reader", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			return err
		},
		"status": func(ctx context.Context, c kubernetes.Interface) error {
			_, err := c.CoreV1().Pods(team.a).Patch(ctx, "x", types.MergePatchType, []byte(`{"status":{}}`), metav1.PatchOptions{}, "status")
			return err
		},
	} {
		for who, c := range map[string]kubernetes.Interface{"the readers' account": account, "the reader": reader.Clientset} {
			if err := try(t.Context(), c); !apierrors.IsForbidden(err) {
				t.Errorf("%s as %s: %v", what, who, err)
			}
		}
	}
	config.Impersonate.UserName = "system:serviceaccount:" + team.home + ":helm"
	if _, err := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps(team.a).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a reader as the deployer: %v", err)
	}

	// Out again, and nothing is left of it.
	w.admin(t).must(t, "revoke", team.name, "--user", reader.name)
	must(t, harness.Await(t.Context(), "the revoke to be in force", func(ctx context.Context) (bool, error) {
		_, err := account.CoreV1().Secrets(team.a).List(ctx, metav1.ListOptions{})
		return apierrors.IsForbidden(err), nil
	}))
	if r := reader.run(t, "list"); r.Code == 0 {
		t.Errorf("a list after the revoke: %v", r)
	}
}
