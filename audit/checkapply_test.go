package audit

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// TestApplyFile: subjects that can write what an apply with an administrator's rights reads are
// found.
func TestApplyFile(t *testing.T) {
	const ns = "helm-tenant-apply"
	named := func(verb string) rbacv1.PolicyRule {
		r := rule("", "configmaps", verb)
		r.ResourceNames = []string{"tenants"}
		return r
	}
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		want   bool
	}{
		{"may update it", func(s *Snapshot) { s.give(ns, "x", User("zoe"), named("update")) }, true},
		{"may patch all ConfigMaps there", func(s *Snapshot) { s.give(ns, "x", User("zoe"), rule("", "configmaps", "patch")) }, true},
		{"may patch ConfigMaps everywhere", func(s *Snapshot) { s.give("", "x", User("zoe"), rule("", "configmaps", "patch")) }, true},
		{"may make it anew", func(s *Snapshot) { s.give(ns, "x", User("zoe"), named("delete"), rule("", "configmaps", "create")) }, true},
		{"may delete it", func(s *Snapshot) { s.give(ns, "x", User("zoe"), named("delete")) }, false},
		{"may make others", func(s *Snapshot) { s.give(ns, "x", User("zoe"), rule("", "configmaps", "create")) }, false},
		{"may read it", func(s *Snapshot) { s.give(ns, "x", User("zoe"), rule("", "configmaps", "get", "list")) }, false},
		{"may write others", func(s *Snapshot) {
			r := named("update")
			r.ResourceNames = []string{"other"}
			s.give(ns, "x", User("zoe"), r)
		}, false},
		{"may write one of that name elsewhere", func(s *Snapshot) { s.give("elsewhere", "x", User("zoe"), named("update")) }, false},
		{"an account without an administrator's rights", func(s *Snapshot) {
			s.give(ns, "x", User("zoe"), named("update"))
			s.Workloads[len(s.Workloads)-1].Account = "harmless"
		}, false},
		{"a workload that applies nothing", func(s *Snapshot) {
			s.give(ns, "x", User("zoe"), named("update"))
			s.Workloads[len(s.Workloads)-1].AppliesFrom = nil
		}, false},
		{"may write the Secret that it reads", func(s *Snapshot) {
			s.give(ns, "x", User("zoe"), rule("", "secrets", "update"))
			s.Workloads[len(s.Workloads)-1].AppliesFrom = []ObjectRef{{Kind: "Secret", Namespace: ns, Name: "tenants"}}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			s.give("", "apply", Account(ns, "apply"), rule("*", "*", "*"))
			s.Workloads = append(s.Workloads, Workload{Kind: "CronJob", Namespace: ns, Name: "nightly", Account: "apply",
				AppliesFrom: []ObjectRef{{Kind: "ConfigMap", Namespace: ns, Name: "tenants"}}})
			test.change(s)
			got := found(s, idApplyFile)
			if found := slices.ContainsFunc(got, func(f Finding) bool {
				return f.Subject == "user zoe" && len(f.Chains) > 0 && strings.Contains(f.Text, "CronJob nightly")
			}); found != test.want || len(got) > 1 {
				t.Errorf("found %t: %+v", found, got)
			}
		})
	}
}
