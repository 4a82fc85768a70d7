package apitest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/parts"
)

// define makes the API server serve kinds of other projects until the test ends, with these
// projects' definitions. Other tests must not run at the same time: an audit reads what is
// served.
func (w *world) define(t *testing.T, kubeconfig string, kinds ...string) {
	t.Helper()
	for _, kind := range kinds {
		file, err := parts.CRD(t.Context(), kind)
		must(t, err)
		if out, err := w.with(t, kubeconfig, "kubectl", "apply", "--server-side", "-f", file); err != nil {
			t.Fatalf("kubectl apply of the definition of %s: %v\n%s", kind, err, out)
		}
		t.Cleanup(func() {
			if out, err := w.with(t, kubeconfig, "kubectl", "delete", "-f", file, "--wait"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
		if out, err := w.with(t, kubeconfig, "kubectl", "wait", "--for=condition=Established", "--timeout=300s", "-f", file); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// TestGitOpsExports: the exported objects for Argo CD and Flux are valid by the projects' own
// definitions, and those for Flux are the objects of init.
func TestGitOpsExports(t *testing.T) {
	w, team := start(t), newTeam()
	admin := w.admin(t)
	w.define(t, admin.kubeconfig, "Kustomization", "AppProject")
	w.makeTenant(t, team, "--engine", "impersonation", "--home-namespace", team.home)
	apply := func(t *testing.T, text string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "objects.yaml")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		if out, err := w.with(t, admin.kubeconfig, "kubectl", "apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", file); err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, text)
		}
	}
	apply(t, admin.must(t, "export", "--format=argocd", "--argocd-namespace="+team.a, team.name).Stdout)

	plain := admin.must(t, "export", "--format=flux", team.name)
	if !strings.Contains(plain.Stderr, "records no account for Flux") || !strings.Contains(plain.Stderr, "init "+team.name+" --flux-account=flux") {
		t.Errorf("that it is not recorded is not said: %v", plain)
	}
	if r := admin.must(t, "init", team.name, "--flux-account=flux"); !strings.Contains(r.Stderr, "service account flux in each namespace of the tenant has the role admin") {
		t.Errorf("what the account gives is not said: %v", r)
	}
	exported := admin.must(t, "export", "--format=flux", "--flux-source=OCIRepository/apps", team.name)
	if exported.Stderr != "" || exported.Stdout != strings.ReplaceAll(plain.Stdout, "kind: GitRepository\n    name: "+team.name, "kind: OCIRepository\n    name: apps") {
		t.Errorf("after init the export is another: %v", exported)
	}
	apply(t, exported.Stdout)
	for _, ns := range []string{team.a, team.b} {
		out, err := w.with(t, admin.kubeconfig, "kubectl", "get", "kustomizations.kustomize.toolkit.fluxcd.io", team.name, "--namespace", ns, "-o", "jsonpath={.spec.serviceAccountName} {.spec.targetNamespace} {.spec.sourceRef.kind}/{.spec.sourceRef.name}")
		if err != nil || out != "flux "+ns+" OCIRepository/apps" {
			t.Errorf("the Kustomization is %q, %v", out, err)
		}
	}
	if r := admin.must(t, "init", team.name, "--dry-run", "-o", "name"); r.Stdout != "" {
		t.Errorf("what was applied is drift: %v", r)
	}

	// Who may run pods there can use the account: the audit and a revoke say so.
	zoe := w.newUser(t, "zoe")
	_, err := w.root.RbacV1().RoleBindings(team.a).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "edits"},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacGroup, Name: zoe.name}}, RoleRef: rbacv1.RoleRef{APIGroup: rbacGroup, Kind: "ClusterRole", Name: "edit"}}, metav1.CreateOptions{})
	must(t, err)
	if r := admin.run(t, "audit", team.name, "-o", "json"); !strings.Contains(r.Stdout, "HT080") || !strings.Contains(r.Stdout, "so can user "+zoe.name) {
		t.Errorf("the audit: %v", r)
	}
	admin.must(t, "grant", team.name, "--home-namespace", team.home, "--user", zoe.name)
	if r := admin.must(t, "revoke", team.name, "--home-namespace", team.home, "--user", zoe.name); !strings.Contains(r.Stderr, "use service account "+team.a+":flux, which has the tenant's role") || !strings.Contains(r.Stderr, "keeps its role") {
		t.Errorf("the revoke: %v", r)
	}

	// A freeze applies to the account, and names the reason.
	if r := admin.must(t, "freeze", team.name, "--reason", "INC-1"); !strings.Contains(r.Stderr, "holds service account flux") {
		t.Errorf("the freeze: %v", r)
	}
	flux := "system:serviceaccount:" + team.a + ":flux"
	eventually(t, "the freeze holds the account", func() error {
		out, err := w.with(t, admin.kubeconfig, "kubectl", "--as", flux, "create", "configmap", "x", "--namespace", team.a, "--dry-run=server")
		if err == nil || !strings.Contains(out, "INC-1") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	admin.must(t, "thaw", team.name)
	eventually(t, "the thaw lets it go on", func() error {
		out, err := w.with(t, admin.kubeconfig, "kubectl", "--as", flux, "create", "configmap", "x", "--namespace", team.a, "--dry-run=server")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if out, err := w.with(t, admin.kubeconfig, "kubectl", "--as", flux, "create", "configmap", "x", "--namespace", team.home, "--dry-run=server"); err == nil {
		t.Errorf("it can write in the home: %s", out)
	}

	// It goes when it is told to, and with the tenant.
	admin.must(t, "init", team.name, "--flux-account=")
	removed := func(ns string) {
		t.Helper()
		if accounts, err := w.root.CoreV1().ServiceAccounts(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=flux"}); err != nil || len(accounts.Items) > 0 {
			t.Errorf("in %s: %v, %v", ns, accounts, err)
		}
	}
	removed(team.a)
	admin.must(t, "init", team.name, "--flux-account=flux")
	admin.must(t, "destroy", team.name, "--yes")
	removed(team.b)
}

// TestFluxAccountOfSomebody: an existing account of that name that a member made, with our
// label or with --adopt, is created again: its tokens become invalid.
func TestFluxAccountOfSomebody(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, c := range map[string]struct {
		labelled bool
		flags    []string
	}{"labelled": {labelled: true}, "adopted": {flags: []string{"--adopt"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			team, admin := newTeam(), w.admin(t)
			w.makeTenant(t, team, "--engine", "impersonation", "--home-namespace", team.home)
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "flux"}}
			if c.labelled {
				account.Labels = map[string]string{"helm-tenant/tenant": team.name, "app.kubernetes.io/managed-by": "helm-tenant"}
			}
			_, err := w.root.CoreV1().ServiceAccounts(team.a).Create(t.Context(), account, metav1.CreateOptions{})
			must(t, err)
			token := w.tokenOf(t, team.a, "flux")
			admin.must(t, append([]string{"init", team.name, "--flux-account=flux"}, c.flags...)...)
			eventually(t, "the token ends", func() error {
				if _, err := token.CoreV1().ConfigMaps(team.a).List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
					return fmt.Errorf("it gets %v", err)
				}
				return nil
			})
		})
	}
}
