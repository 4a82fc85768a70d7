package audit

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// TestLoosening: subjects that can remove the restrictions of a tenant's namespaces, or write a
// lender's objects in one, are reported with the right severity, including members and accounts
// of the tenant.
func TestLoosening(t *testing.T) {
	eve, alice, own, deployer := User("eve"), User("alice"), Account("a-1", "default"), Account("a-tiller", "tiller")
	labels := rule("", "namespaces", "patch", "a-1")
	releases := rule("helm.toolkit.fluxcd.io", "helmreleases", "create")
	plain := rule("", "pods", "create")
	admin := func(s *Snapshot, more ...rbacv1.PolicyRule) { s.Roles[0].Rules = append(s.Roles[0].Rules, more...) }
	class := func(verb string, names ...string) rbacv1.PolicyRule {
		return rule("scheduling.k8s.io", "priorityclasses", verb, names...)
	}
	allow := func(s *Snapshot, guard tenant.Guard, classes ...string) {
		s.Records[0].Tenant.Guard, s.Records[0].Tenant.PriorityClasses = guard, classes
		s.PriorityClasses = classes
	}
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		want  []string
	}{
		{"labels by name", func(s *Snapshot) { s.give("", "x", eve, labels) }, []string{"HT078 medium user eve"}},
		{"labels by name, of a subresource", func(s *Snapshot) { s.give("", "x", eve, rule("", "namespaces/finalize", "update", "a-1")) }, []string{"HT078 medium user eve"}},
		{"labels by name, as a member", func(s *Snapshot) { s.give("", "x", alice, labels) }, []string{"HT078 high user alice"}},
		{"labels by name, as everybody", func(s *Snapshot) { s.give("", "x", Group("system:authenticated"), labels) }, []string{"HT078 high group system:authenticated"}},
		{"labels of two namespaces", func(s *Snapshot) { s.give("", "x", eve, rule("", "namespaces", "patch", "a-1", "a-2", "other")) }, []string{"HT078 medium user eve"}},
		{"labels of another namespace", func(s *Snapshot) { s.give("", "x", eve, rule("", "namespaces", "patch", "other")) }, nil},
		{"a read by name", func(s *Snapshot) { s.give("", "x", eve, rule("", "namespaces", "get", "a-1")) }, nil},
		{"a delete by name", func(s *Snapshot) { s.give("", "x", eve, rule("", "namespaces", "delete", "a-1")) }, nil},
		{"labels of all namespaces", func(s *Snapshot) { s.give("", "x", eve, rule("", "namespaces", "patch")) }, []string{"HT020 medium user eve"}},
		{"labels, by a binding in the namespace", func(s *Snapshot) { s.give("a-1", "x", eve, rule("", "namespaces", "patch")) }, []string{"HT040 high user eve"}},
		{"labels, by a binding in the namespace, as a member", func(s *Snapshot) { s.give("a-1", "x", alice, rule("", "namespaces/status", "patch")) }, []string{"HT040 high user alice"}},
		{"labels, by a binding in the namespace, as its account", func(s *Snapshot) { s.give("a-1", "x", own, rule("", "namespaces", "patch")) }, []string{"HT040 high service account a-1:default"}},
		{"an account's own binding", func(s *Snapshot) { s.give("a-1", "x", own, plain) }, nil},
		{"a member's own binding", func(s *Snapshot) { s.give("a-1", "x", alice, plain) }, []string{"HT040 low user alice"}},
		{"a controller's objects", func(s *Snapshot) { s.give("a-1", "x", eve, releases) }, []string{"HT040 high user eve"}},
		{"a controller's objects, as a member", func(s *Snapshot) { s.give("a-1", "x", alice, releases) }, []string{"HT040 high user alice"}},
		{"a controller's objects to read", func(s *Snapshot) { s.give("a-1", "x", alice, rule("helm.toolkit.fluxcd.io", "helmreleases", "get")) }, []string{"HT040 low user alice"}},
		{"a controller's objects, as the role has them", func(s *Snapshot) {
			admin(s, releases)
			s.give("a-1", "x", own, releases)
		}, []string{"HT025 high ClusterRole admin"}},
		{"a controller's objects, as the deployer", func(s *Snapshot) { s.give("a-1", "x", deployer, releases) }, []string{"HT025 high service account a-tiller:tiller"}},
		{"labels, as the deployer", func(s *Snapshot) { s.give("a-1", "x", deployer, rule("", "namespaces", "patch")) }, []string{"HT026 high service account a-tiller:tiller"}},
		{"something else, as the deployer", func(s *Snapshot) { s.give("a-1", "x", deployer, plain) }, []string{"HT042 medium RoleBinding x in namespace a-1"}},
		{"a policy of the guard", func(s *Snapshot) {
			s.Records[0].Tenant.Guard = tenant.GuardEnforce
			s.give("", "x", eve, rule(admissionGroup, "validatingadmissionpolicybindings", "delete", "helm-tenant-guard-pods"))
		}, []string{"HT020 medium user eve"}},
		{"a policy of somebody's", func(s *Snapshot) {
			s.give("", "x", eve, rule(admissionGroup, "validatingadmissionpolicybindings", "delete", "pods"))
		}, nil},
		{"a policy of the guard that nobody has", func(s *Snapshot) {
			s.give("", "x", eve, rule(admissionGroup, "validatingadmissionpolicies", "update", "helm-tenant-guard-pods"))
		}, nil},
		{"an allowed priority class, made anew", func(s *Snapshot) {
			allow(s, tenant.GuardEnforce, "batch")
			s.give("", "x", eve, class("delete", "batch"), class("create"))
		}, []string{"HT020 medium user eve"}},
		{"an allowed priority class, applied anew", func(s *Snapshot) {
			allow(s, tenant.GuardEnforce, "batch")
			s.give("", "x", eve, class("deletecollection"), class("create", "batch"), class("patch", "batch"))
		}, []string{"HT020 medium user eve"}},
		{"a priority class that is not allowed", func(s *Snapshot) {
			allow(s, tenant.GuardEnforce, "batch")
			s.give("", "x", eve, class("delete", "other"), class("create"))
		}, nil},
		{"an allowed priority class, made anew by another name", func(s *Snapshot) {
			allow(s, tenant.GuardEnforce, "batch")
			s.give("", "x", eve, class("delete"), class("create", "other"), class("patch"))
		}, nil},
		{"an allowed priority class, changed", func(s *Snapshot) {
			allow(s, tenant.GuardEnforce, "batch")
			s.give("", "x", eve, class("create"), class("update"), class("patch"))
		}, nil},
		{"a priority class, where nobody guards", func(s *Snapshot) {
			allow(s, tenant.GuardOff, "batch")
			s.give("", "x", eve, class("delete"), class("create"))
		}, []string{"HT071 high tenant a"}},
		{"priority classes, where none is allowed", func(s *Snapshot) {
			allow(s, tenant.GuardEnforce)
			s.give("", "x", eve, class("delete"), class("create"))
		}, nil},
		{"a role with rights on priority classes, to bind", func(s *Snapshot) {
			s.Roles = append(s.Roles, Role{Name: "scheduler", Rules: []rbacv1.PolicyRule{class("delete"), class("create")}})
			s.give("", "x", eve, rule(rbacGroup, "clusterrolebindings", "create"), rule(rbacGroup, "clusterroles", "bind", "scheduler"))
		}, nil},
		{"the same, where a class is allowed", func(s *Snapshot) {
			allow(s, tenant.GuardEnforce, "batch")
			s.Roles = append(s.Roles, Role{Name: "scheduler", Rules: []rbacv1.PolicyRule{class("delete"), class("create")}})
			s.give("", "x", eve, rule(rbacGroup, "clusterrolebindings", "create"), rule(rbacGroup, "clusterroles", "bind", "scheduler"))
		}, []string{"HT022 high user eve"}},
		{"the record, deleted and made anew", func(s *Snapshot) {
			s.give("a-tiller", "x", eve, rule("", "configmaps", "delete", "helm-tenant"), rule("", "configmaps", "create"))
		}, []string{"HT020 medium user eve"}},
		{"the record, deleted", func(s *Snapshot) { s.give("a-tiller", "x", eve, rule("", "configmaps", "deletecollection")) }, nil},
		{"webhooks, of which there are none", func(s *Snapshot) {
			s.WebhookNames = map[string][]string{"ValidatingWebhookConfiguration": {}}
			s.give("", "x", eve, rule(admissionGroup, "validatingwebhookconfigurations", "update"))
		}, nil},
		{"a webhook", func(s *Snapshot) {
			s.WebhookNames = map[string][]string{"ValidatingWebhookConfiguration": {"theirs"}}
			s.give("", "x", eve, rule(admissionGroup, "validatingwebhookconfigurations", "update", "theirs"))
		}, []string{"HT022 high user eve"}},
		{"webhooks of which nobody knows", func(s *Snapshot) {
			s.WebhookNames = map[string][]string{"ValidatingWebhookConfiguration": {}}
			s.give("", "x", eve, rule(admissionGroup, "mutatingwebhookconfigurations", "update"))
		}, []string{"HT022 high user eve"}},
		{"a new webhook, applied", func(s *Snapshot) {
			s.WebhookNames = map[string][]string{"ValidatingWebhookConfiguration": {}}
			s.give("", "x", eve, rule(admissionGroup, "validatingwebhookconfigurations", "create", "mine"), rule(admissionGroup, "validatingwebhookconfigurations", "patch", "mine"))
		}, []string{"HT022 high user eve"}},
		{"a certificate's request, applied", func(s *Snapshot) {
			s.give("", "x", eve, rule(certificatesGroup, "certificatesigningrequests", "create", "mine"), rule(certificatesGroup, "certificatesigningrequests", "patch", "mine"),
				rule(certificatesGroup, "certificatesigningrequests/approval", "update", "mine"), rule(certificatesGroup, "signers", "approve", "kubernetes.io/*"))
		}, []string{"HT016 high user eve"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			team := tenant.Tenant{Name: "a", Namespaces: []string{"a-1", "a-2"}, Engine: tenant.EngineTiller, Members: tenant.Members{tenant.User("alice")}}
			s := sceneOf(team)
			test.plant(s)
			compareFindings(t, s, true, test.want)
		})
	}
}
