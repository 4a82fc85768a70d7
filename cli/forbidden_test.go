package cli_test

import (
	"errors"
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
	const note = "Note: you are neither a member nor a reader of tenant t, and helm is refused until an owner or an admin types: helm tenant grant t --user=YOU\n"
	if got := a.runs("use", "t"); strings.Contains(got.stderr, note) {
		t.Errorf("who may act as the deployer is told:\n%s", got.stderr)
	}
	a.server.Allowed = func(permission string) bool { return !strings.HasPrefix(permission, "impersonate ") }
	if got := a.runs("use", "t"); !strings.HasSuffix(got.stderr, note) {
		t.Errorf("got:\n%swant:\n%s", got.stderr, note)
	}
}
