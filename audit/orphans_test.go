package audit

import (
	"slices"
	"strings"
	"testing"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// A tenant without a record is reported from its other objects, with the subjects that reach
// it.
func TestTenantWithoutRecord(t *testing.T) {
	const home = "gone-helm"
	gail := User("gail")
	keep := func(s *Snapshot, wanted func(Binding) bool) {
		var kept []Binding
		for _, b := range s.Bindings {
			if wanted(b) {
				kept = append(kept, b)
			}
		}
		s.Bindings = kept
	}
	isMember := func(b Binding) bool { return b.Name == rbac.MemberName }
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		fix    string
		reach  int
	}{
		{"all but the record", func(*Snapshot) {}, "helm tenant init gone --engine=impersonation --namespaces=gone-1", 1},
		{"the record is not believed", func(s *Snapshot) {
			s.Disbelieved = []Record{{Namespace: home, Tenant: team("gone", tenant.EngineImpersonation)}}
		},
			"kubectl label --overwrite namespace -- gone-helm helm-tenant/tenant=gone", 1},
		{"the binding in its namespace", func(s *Snapshot) {
			keep(s, func(b Binding) bool { return b.Namespace == "gone-1" })
			s.Accounts = nil
			s.Namespaces = slices.DeleteFunc(s.Namespaces, func(ns Namespace) bool { return ns.Name == home })
		}, "helm tenant init gone --engine=impersonation --namespaces=gone-1", 0},
		{"the members' binding", func(s *Snapshot) {
			keep(s, isMember)
			s.Accounts, s.Namespaces = nil, []Namespace{{Name: home, Labels: map[string]string{tenant.LabelHome: "true"}}}
		}, "helm tenant init gone-helm --engine=impersonation --home-namespace=gone-helm --namespaces=NS", 1},
		{"the home's label, and the account", func(s *Snapshot) { keep(s, func(Binding) bool { return false }) },
			"helm tenant init gone --engine=impersonation --namespaces=NS", 0},
		{"the label of its namespace, and the account", func(s *Snapshot) {
			keep(s, func(Binding) bool { return false })
			for i := range s.Namespaces {
				if s.Namespaces[i].Name == home {
					s.Namespaces[i].Labels = nil
				}
			}
		}, "helm tenant init gone --engine=impersonation --namespaces=NS", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("gone", tenant.EngineImpersonation))
			s.Records = nil
			for i := range s.Bindings {
				if isMember(s.Bindings[i]) {
					s.Bindings[i].Subjects = []Subject{gail}
				}
			}
			test.change(s)
			r := Audit(s, Options{Ask: gail})
			if len(r.Findings) != 1 || r.Findings[0].ID != idOrphan || r.Findings[0].Fix.String() != test.fix {
				t.Errorf("found %+v", r.Findings)
			} else if printed := strings.Contains(r.Findings[0].Text, "reached by user gail"); printed != (test.reach > 0) {
				t.Errorf("of who reaches it: %s", r.Findings[0].Text)
			}
			if len(r.CanReach) != test.reach || len(r.Deployers) != 1 {
				t.Errorf("gail reaches %+v of %+v", r.CanReach, r.Deployers)
			}
		})
	}
	// A namespace that looks like the home of a tenant with another home is not its home.
	a := team("a", tenant.EngineImpersonation)
	a.HomeNamespace = "ops-a"
	s := sceneOf(a)
	s.Namespaces = append(s.Namespaces, Namespace{Name: "a-helm", Labels: map[string]string{tenant.LabelTenant: "a", tenant.LabelHome: "true"}})
	s.Accounts = append(s.Accounts, ServiceAccount{Namespace: "a-helm", Name: "helm"})
	s.Disbelieved = []Record{{Namespace: "a-helm", Tenant: team("a", tenant.EngineImpersonation)}}
	want := "kubectl delete --namespace=a-helm serviceaccount -- helm; kubectl delete --namespace=a-helm configmap -- helm-tenant"
	if got := found(s, idOrphan); len(got) != 1 || !strings.HasPrefix(got[0].Fix.String(), want) || !strings.Contains(got[0].Text, "which is ops-a") {
		t.Errorf("of a home beside the tenant's: %+v", got)
	}
	// A namespace of nobody, and objects in a known tenant's namespace, are no deployer.
	s = sceneOf(team("a", tenant.EngineTiller))
	s.Namespaces = append(s.Namespaces, Namespace{Name: "odd", Labels: map[string]string{tenant.LabelTenant: "nobody"}},
		Namespace{Name: "a-2", Labels: map[string]string{tenant.LabelTenant: "a"}})
	s.Accounts = append(s.Accounts, ServiceAccount{Namespace: "a-2", Name: "helm"})
	if got := found(s, idOrphan); len(got) > 0 {
		t.Errorf("found %+v", got)
	}
	// Where records can't be read, there may be one.
	s = sceneOf(team("gone", tenant.EngineBoth))
	s.Records, s.Unseen = nil, []Unseen{{Resource: "configmaps"}}
	if r := Audit(s, Options{}); len(r.Findings) > 0 || len(r.Deployers) != 2 {
		t.Errorf("without records: %+v, %+v", r.Findings, r.Deployers)
	}
	// With both engines it is one tenant.
	s.Unseen = nil
	for _, f := range found(s, idOrphan) {
		if f.Fix.String() != "helm tenant init gone --engine=both --namespaces=gone-1" {
			t.Errorf("of a tenant with both engines: %s", f.Fix)
		}
	}
	// It is both where only one of its accounts was made.
	s = sceneOf(team("gone", tenant.EngineBoth))
	s.Records, s.Bindings = nil, nil
	s.Roles = slices.DeleteFunc(s.Roles, func(role Role) bool { return role.Namespace == "gone-tiller" })
	s.Accounts = slices.DeleteFunc(s.Accounts, func(account ServiceAccount) bool { return account.Name == tenant.HelmAccount })
	for i, ns := range s.Namespaces {
		if ns.Name == "gone-tiller" {
			s.Namespaces[i].Labels[tenant.LabelHome] = string(tenant.EngineBoth)
		}
	}
	if got := found(s, idOrphan); len(got) != 1 || got[0].Fix.String() != "helm tenant init gone --engine=both --namespaces=NS" {
		t.Errorf("of an init that was stopped: %+v", got)
	}
}
