package cli_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/cluster/clustertest"
)

// TestChangesOfInit: the first init of a cluster makes dozens of policies for all tenants. They are
// two lines, so that the tenant's own objects are seen, in the order in which they depend on
// each other. Whoever wants the names has --dry-run and helm's --debug.
func TestChangesOfInit(t *testing.T) {
	a := newAdministrator(t)
	delayed := 0
	a.server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb == "create" && r.Kind == "ConfigMap" { // the first of its phase is the last to be written
			delayed++
			time.Sleep(50 * time.Millisecond)
		}
		return nil
	}
	planned := a.runs("init", "t", "--namespaces=x", "--create-namespaces", "--engine=impersonation", "--dry-run", "-o", "name").stdout
	policies, bindings := strings.Count(planned, "validatingadmissionpolicy/"), strings.Count(planned, "validatingadmissionpolicybinding/")
	if policies < 20 || bindings < 20 {
		t.Fatalf("a dry run names %d policies and %d bindings", policies, bindings)
	}
	want := fmt.Sprintf(`created  Namespace t-helm
created  Namespace x
created  %d ValidatingAdmissionPolicies for all tenants
created  %d ValidatingAdmissionPolicyBindings for all tenants
created  ConfigMap helm-tenant in namespace t-helm
`, policies, bindings)
	got := a.runs("init", "t", "--namespaces=x", "--create-namespaces", "--engine=impersonation")
	if !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "ValidatingAdmissionPolic") != 2 || delayed == 0 {
		t.Errorf("want first:\n%s\ngot:\n%s", want, got.stderr)
	}
}

func TestChangesWithDebug(t *testing.T) {
	a := newAdministrator(t)
	got := a.runs("init", "t", "--namespaces=x", "--create-namespaces", "--engine=impersonation", "--debug")
	if !strings.Contains(got.stderr, "created  ValidatingAdmissionPolicy helm-tenant-guard-pods\n") || strings.Contains(got.stderr, "for all tenants") {
		t.Errorf("got:\n%s", got.stderr)
	}
}
