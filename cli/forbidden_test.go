package cli_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster/clustertest"
)

// TestMembersAreTold: a member who types an administrator's verb is told whom to ask, or what
// shows their own tenant.
func TestMembersAreTold(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=x", "--create-namespaces", "--engine=impersonation", "--user=alice")
	a.server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		return apierrors.NewForbidden(schema.GroupResource{Resource: r.Kind}, r.Name, errors.New("no"))
	}
	a.server.Allowed = func(string) bool { return false }
	const own = "\n  your own tenant is shown by: helm tenant whoami\n"
	for line, want := range map[string]string{
		"tenants":             own,
		"describe t":          own,
		"grant t --user=bob":  "\n  an owner of the tenant may grant its members and readers, an administrator of the cluster everybody\n",
		"revoke t --user=bob": "\n  an owner of the tenant may revoke its members and readers, an administrator of the cluster everybody\n",
	} {
		got := a.tries("", strings.Fields(line)...)
		if got.code == 0 || !strings.HasSuffix(got.stderr, want) {
			t.Errorf("%s: exit code %d:\n%swanted at the end %q", line, got.code, got.stderr, want)
		}
	}
}

// TestUseByNobody: whoever may read a tenant's record is not one who may use the tenant.
func TestUseByNobody(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=x", "--create-namespaces", "--engine=impersonation")
	const note = "Note: you are neither a member nor a reader of tenant t, and helm is refused until an owner or an admin types: helm tenant grant t --user=admin\n"
	if got := a.runs("use", "t"); strings.Contains(got.stderr, note) {
		t.Errorf("who may act as the deployer is told:\n%s", got.stderr)
	}
	a.server.Allowed = func(permission string) bool { return !strings.HasPrefix(permission, "impersonate ") }
	if got := a.runs("use", "t"); !strings.HasSuffix(got.stderr, note) {
		t.Errorf("got:\n%swant:\n%s", got.stderr, note)
	}
}

// TestWhoamiOfNobody: whoami, which knows the caller's name, says what an admin types for the caller.
func TestWhoamiOfNobody(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "three", "--namespaces=x", "--create-namespaces", "--engine=impersonation")
	a.runs("init", "two", "--namespaces=y", "--create-namespaces", "--engine=tiller", "--wait=false")
	a.server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if !slices.Contains([]string{"Pod", "ConfigMap"}, r.Kind) {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: r.Kind}, r.Name, errors.New("no"))
	}
	for name, verb := range map[string]string{"two": "whoami", "three": "kubeconfig"} {
		want := "\n  ask an admin: helm tenant grant " + name + " --user=admin\n"
		if got := a.tries("", "--tenant="+name, verb); got.code != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s of %s: exit code %d, want %q:\n%s", verb, name, got.code, want, got.stderr)
		}
	}
}

// TestReleasesOfOthers: who may not act for a tenant is told that in one line, whatever number of
// namespaces the tenant has; a reason that all namespaces share is told once.
func TestReleasesOfOthers(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=x,y,z", "--create-namespaces", "--engine=impersonation")
	a.runs("use", "t")
	a.server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb != "list" {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New("not in the namespace \""+r.Namespace+"\""))
	}
	got := a.tries("", "releases")
	if want := "Warning: not everything is shown: listing secrets in namespace x in context \"test\": secrets is forbidden: not in the namespace \"x\"; the same of namespaces y, z\nError: some releases could not be listed\n"; got.code != 3 || got.stderr != want {
		t.Errorf("a member: exit code %d:\n%swant:\n%s", got.code, got.stderr, want)
	}
	a.server.Allowed = func(permission string) bool { return !strings.HasPrefix(permission, "impersonate ") }
	const want = `Error: you are neither a member nor a reader of tenant "t" in context "test", or there is no such tenant: you may not act as service account "helm" in namespace "t-helm"
  ask an admin: helm tenant grant t --user=admin
`
	if got := a.tries("", "releases"); got.code != 1 || got.stderr != want || got.stdout != "" {
		t.Errorf("nobody: exit code %d:\n%s%swant:\n%s", got.code, got.stdout, got.stderr, want)
	}
}

// TestListsForbidden: who may not read what a list of all tenants needs is told all of it at once.
func TestListsForbidden(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=x", "--create-namespaces", "--engine=impersonation", "--user=alice")
	refuse := func(kinds ...string) {
		a.server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
			if r.Verb != "list" || !slices.Contains(kinds, r.Kind) {
				return nil
			}
			return apierrors.NewForbidden(schema.GroupResource{Resource: strings.ToLower(r.Kind) + "s"}, "", errors.New("no"))
		}
		a.server.Allowed = func(permission string) bool {
			return !slices.ContainsFunc(kinds, func(kind string) bool { return permission == "list "+strings.ToLower(kind)+"s" })
		}
	}
	refuse("Namespace", "ConfigMap", "RoleBinding", "Deployment")
	const all = "you may not read what this needs; 4 permissions are missing:\n  list configmaps in the cluster\n  list deployments.apps in the cluster\n" +
		"  list namespaces in the cluster\n  list rolebindings.rbac.authorization.k8s.io in the cluster\n  the ClusterRole that an admin needs is printed by: helm tenant init --print-role\n"
	for verb, want := range map[string]string{
		"tenants":        `Error: the tenants of context "test" can't be listed: ` + all + "  your own tenant is shown by: helm tenant whoami\n",
		"releases --all": `Error: the tenants of context "test" can't be listed: ` + all + "  your own tenant is shown by: helm tenant whoami\n",
		"export":         `Error: export from context "test": ` + all,
	} {
		if got := a.tries("", strings.Fields(verb)...); got.code != 1 || got.stderr != want {
			t.Errorf("%s: exit code %d:\n%swant:\n%s", verb, got.code, got.stderr, want)
		}
	}
	refuse("RoleBinding", "Deployment", "StatefulSet")
	const some = "you may not read what this needs; 3 permissions are missing: list deployments.apps in the cluster; list rolebindings.rbac.authorization.k8s.io in the cluster; list statefulsets.apps in the cluster\n"
	if got := a.runs("tenants"); got.stderr != "Warning: not everything is shown: "+some {
		t.Errorf("tenants, in part:\n%swant at the end:\n%s", got.stderr, some)
	}
	refuse("RoleBinding")
	want := `Error: export from context "test": you may not read what this needs: list rolebindings.rbac.authorization.k8s.io in the cluster` + "\n  the ClusterRole that an admin needs is printed by: helm tenant init --print-role\n"
	if got := a.tries("", "export"); got.code != 1 || got.stderr != want {
		t.Errorf("export: exit code %d:\n%swant:\n%s", got.code, got.stderr, want)
	}
}
