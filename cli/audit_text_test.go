package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/audit"
	"helm-tenant/tenant"
)

// A tenant with both engines has two deployers, and neither is unmanaged.
func TestAuditCountsTenants(t *testing.T) {
	both := []audit.Deployer{
		{Tenant: "a", Engine: tenant.EngineTiller, Home: "a-tiller", Account: "tiller"},
		{Tenant: "a", Engine: tenant.EngineImpersonation, Home: "a-tiller", Account: "helm"},
	}
	for _, test := range []struct {
		deployers []audit.Deployer
		want      string
	}{
		{nil, "Nothing found in 0 tenants and 0 unmanaged Tillers.\n"},
		{both, "Nothing found in 1 tenant and 0 unmanaged Tillers.\n"},
		{append([]audit.Deployer{{Home: "kube-system", Account: "tiller"}}, both...), "Nothing found in 1 tenant and 1 unmanaged Tiller.\n"},
	} {
		var text reportText
		text.summary(&audit.Report{Result: audit.Clean, Deployers: test.deployers}, true)
		if got := text.text.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// Unread objects may contain findings: the text must not say that there are none.
func TestAuditWithUnreadObjects(t *testing.T) {
	unseen := &audit.Report{Result: audit.Unknown, Unseen: []audit.Unseen{{What: "secrets in all namespaces", Matters: "where releases are"}}}
	var text reportText
	text.canReach(unseen, nil)
	text.summary(unseen, true)
	const want = "The answer is unknown, because you may not read everything:\n  secrets in all namespaces: so it is not known where releases are\n"
	if diff := cmp.Diff(want, text.text.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAuditSaysThroughWhom(t *testing.T) {
	path := []audit.OpenPath{{Path: audit.Path{Name: "exec into pods"}, Chains: [][]string{{"user zoe", "RoleBinding r"}}}}
	for _, test := range []struct {
		report  audit.Report
		tenants []string
		want    string
	}{
		{audit.Report{Asked: "user zoe", Groups: []string{"devs"}}, []string{"a", "b"}, "user zoe (in devs) reaches no deployer of a,b, and can't act as anybody who does\n"},
		{audit.Report{Asked: "user zoe"}, nil, "user zoe reaches no deployer, and can't act as anybody who does\nA user's groups are known only when they log in: name them with --in-group.\n"},
		{audit.Report{Asked: "user zoe", Groups: []string{"devs"}}, nil, "user zoe (in devs) reaches no deployer, and can't act as anybody who does\n"},
		{audit.Report{Asked: "service account ci:robot"}, nil, "service account ci:robot reaches no deployer, and can't act as anybody who does\n"},
		{audit.Report{Asked: "user zoe", CanReach: []audit.Reached{{Tenant: "a", Member: true, Paths: path}}}, nil, "user zoe reaches:\ntenant a, as a member\n  exec into pods\n    user zoe -> RoleBinding r\n"},
		{audit.Report{Asked: "user zoe", CanReach: []audit.Reached{{Tenant: "a", Member: true, Through: []string{"user yan", "user bob"}, Paths: path}}}, nil,
			"user zoe reaches:\ntenant a, through user yan, then user bob\n  exec into pods\n    user zoe -> RoleBinding r\n"},
		{audit.Report{Asked: "user zoe", CanReach: []audit.Reached{{Tenant: "a", Paths: append(path, path...), Everything: [][]string{{"user zoe", "ClusterRoleBinding all", "ClusterRole cluster-admin"}}}}}, nil,
			"user zoe reaches:\ntenant a\n  do everything in the cluster\n    user zoe -> ClusterRoleBinding all -> ClusterRole cluster-admin\n"},
	} {
		var text reportText
		text.canReach(&test.report, test.tenants)
		if diff := cmp.Diff(test.want, text.text.String()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestAuditShowsHowDeployersReachThemselves(t *testing.T) {
	secrets, pods := audit.Path{ID: "read-secrets", Name: "read Secrets"}, audit.Path{ID: "create-pods", Name: "create pods"}
	own := audit.Access{Subject: "service account a-tiller:tiller", Own: true, Paths: []audit.OpenPath{{Path: secrets}}}
	report := &audit.Report{Deployers: []audit.Deployer{
		{Tenant: "a", Home: "a-tiller", Account: "tiller", Namespaces: []string{"x"}, Power: audit.Power{OwnHome: []audit.Path{secrets, pods}}, Access: []audit.Access{own}},
		{Tenant: "a", Home: "a-tiller", Account: "helm", Namespaces: []string{"x"}, Access: []audit.Access{own}},
	}}
	var text reportText
	text.access(report)
	const want = `Who reaches what
  tenant a: service account a-tiller:tiller, acts in x
    itself    service account a-tiller:tiller: read Secrets, create pods
  tenant a: service account a-tiller:helm, acts in x
    itself    service account a-tiller:tiller: read Secrets
  administrators of the cluster, who reach all deployers by Kubernetes' own design

`
	if diff := cmp.Diff(want, text.text.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
