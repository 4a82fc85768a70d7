package audit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// Cluster-wide rights of a deployer's account are reported once, whoever's account it is.
func TestPowerOverTheClusterIsToldOnce(t *testing.T) {
	tokens := rule("", "serviceaccounts/token", "create")
	everywhere := tenant.Tenant{Name: "all", AllNamespaces: true, Role: "edit", Engine: tenant.EngineTiller}
	account := Account("all-tiller", "tiller")
	recorded := func(s *Snapshot) {
		s.give("", "edit", account, tokens)
		s.Bindings[len(s.Bindings)-1].Name = rbac.DeployerBinding("all", "edit")
	}
	unmanaged := func(s *Snapshot) {
		w := s.Workloads[0]
		w.Namespace, w.Tenant = "old", ""
		s.Workloads = append(s.Workloads, w)
	}
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		want   []string
	}{
		{"an unmanaged Tiller", func(s *Snapshot) { unmanaged(s); s.give("", "x", Account("old", "tiller"), tokens) }, []string{"HT001 high", "HT022 high"}},
		{"an unmanaged Tiller that reaches nobody", func(s *Snapshot) { unmanaged(s); s.give("", "x", Account("old", "tiller"), rule("", "things", "get")) }, []string{"HT001 medium"}},
		{"a tenant for all namespaces", recorded, []string{"HT002 medium"}},
		{"a tenant for all namespaces, by another binding, too", func(s *Snapshot) { recorded(s); s.give("", "x", account, rule("", "pods", "create")) }, []string{"HT002 medium", "HT005 high"}},
		{"a tenant whose record can't be read", func(s *Snapshot) {
			s.Records[0].Problem = "it is no YAML"
			s.give("", "x", Account("a-tiller", "tiller"), tokens)
		}, []string{"HT022 high", "HT042 high"}},
		{"a tenant", func(s *Snapshot) { s.give("", "x", Account("a-tiller", "tiller"), tokens) }, []string{"HT005 high"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller), everywhere)
			test.change(s)
			var got []string
			for _, f := range Audit(s, Options{}).Findings {
				if f.ID == idDrift && f.Severity == Medium {
					continue // the scene has no binding over the cluster
				}
				got = append(got, f.ID+" "+string(f.Severity))
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
