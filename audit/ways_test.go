package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// TestWaysAreThoseOfAudit: the ways of a former member are the same list as an audit's
// --can-reach.
func TestWaysAreThoseOfAudit(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(s *Snapshot)
		want  []string
	}{
		{"nothing", func(*Snapshot) {}, nil},
		{"exec at home", func(s *Snapshot) { s.give("a-tiller", "w", User("eve"), rule("", "pods/exec", "create")) }, []string{"exec"}},
		{"the home of another", func(s *Snapshot) { s.give("b-helm", "w", User("eve"), rule("", "secrets", "get")) }, nil},
		{"a Secret that is not there", func(s *Snapshot) { s.give("a-tiller", "w", User("eve"), rule("", "secrets", "get", "x")) }, nil},
		{"a member's account", func(s *Snapshot) { s.give("ci", "w", User("eve"), rule("", "pods", "create")) }, []string{"use-account"}},
		{"a member by impersonation", func(s *Snapshot) { s.give("", "w", User("eve"), rule("", "users", "impersonate", "alice")) }, []string{"impersonate-member"}},
		{"an administrator's account", func(s *Snapshot) {
			s.give("", "ops", Account("ops", "robot"), rule("*", "*", "*"))
			s.give("ops", "w", User("eve"), rule("", "pods", "create"))
		}, []string{"use-administrator"}},
		{"the cloud's map of identities", func(s *Snapshot) {
			s.Identities = IdentityMap{Used: true, Exists: true}
			s.give("kube-system", "w", User("eve"), rule("", "configmaps", "update", "aws-auth"))
		}, []string{"map-identity"}},
		{"another ConfigMap beside it", func(s *Snapshot) {
			s.Identities = IdentityMap{Used: true, Exists: true}
			s.give("kube-system", "w", User("eve"), rule("", "configmaps", "update", "coredns"))
		}, nil},
		{"where no cloud maps identities", func(s *Snapshot) {
			s.give("kube-system", "w", User("eve"), rule("", "configmaps", "update", "aws-auth"))
		}, nil},
		{"what an unattended apply reads", func(s *Snapshot) {
			s.give("", "ops", Account("ops", "robot"), rule("*", "*", "*"))
			s.Workloads = append(s.Workloads, Workload{Kind: "CronJob", Namespace: "ops", Account: "robot", AppliesFrom: []ObjectRef{{"ConfigMap", "ops", "tenants"}}})
			s.give("ops", "w", User("eve"), rule("", "configmaps", "update"))
		}, []string{"write-tenants-file"}},
		{"the place of a webhook, and the home's labels", func(s *Snapshot) {
			s.Webhooks = []Webhook{{Kind: "MutatingWebhookConfiguration", Configuration: "injector", Server: "x", Service: ObjectRef{"Service", "hooks", "hook"},
				Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}}}}}}
			s.give("a-tiller", "w", User("eve"), rule("", "namespaces", "patch"))
			s.give("hooks", "w", User("eve"), rule("", "pods", "create"))
			s.Namespaces = append(s.Namespaces, Namespace{Name: "hooks", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}})
		}, []string{"answer-webhook", "change-home"}},
		{"an account that reaches it", func(s *Snapshot) {
			s.give("x", "w", User("eve"), rule("", "serviceaccounts/token", "create", "bot"))
			s.give("a-tiller", "bot", Account("x", "bot"), rule("", "pods/portforward", "create"))
		}, []string{"port-forward"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := team("a", tenant.EngineTiller)
			a.Members = tenant.Members{tenant.User("alice"), tenant.Account("ci", "robot")}
			s := sceneOf(a, team("b", tenant.EngineImpersonation))
			test.plant(s)
			var got, asked []string
			for _, way := range NewReach(s).Ways("a-tiller", User("eve")) {
				got = append(got, way.IDs...)
			}
			for _, reached := range Audit(s, Options{Ask: User("eve"), Tenants: []string{"a"}}).CanReach {
				for _, path := range reached.Paths {
					asked = append(asked, path.ID)
				}
			}
			slices.Sort(got)
			slices.Sort(asked)
			if diff := cmp.Diff(test.want, slices.Compact(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(asked, got); diff != "" {
				t.Errorf("-can-reach +revoke:\n%s", diff)
			}
		})
	}
}

// TestWaysOverTheNetwork: a way that begins at an open Tiller, which asks for no right, has that
// connection as its first step.
func TestWaysOverTheNetwork(t *testing.T) {
	for name, plant := range map[string]func(*Snapshot){
		"anybody who reaches a node -> Service tiller in namespace b-tiller -> Deployment tiller-deploy in namespace b-tiller": func(s *Snapshot) {
			s.Services = []Service{{"b-tiller", "tiller", recognise.Labels()}}
		},
		"anybody who reaches a node -> the node's own port -> Deployment tiller-deploy in namespace b-tiller": func(s *Snapshot) {
			for _, w := range s.Workloads {
				w.Template.Spec.HostNetwork = true
			}
		},
		"any pod of the cluster -> Deployment tiller-deploy in namespace b-tiller": func(s *Snapshot) {
			s.give("outside", "w", User("eve"), rule("", "pods", "create"))
		},
	} {
		s := sceneOf(team("a", tenant.EngineImpersonation), team("b", tenant.EngineTiller))
		s.open()
		s.Namespaces = append(s.Namespaces, Namespace{Name: "outside", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}})
		s.give("a-helm", "next", Account("b-tiller", "tiller"), rule("", "serviceaccounts", "impersonate"))
		plant(s)
		ways := NewReach(s).Ways("a-helm", User("eve"))
		if len(ways) != 1 || !strings.Contains(ways[0].String(), name) || !strings.Contains(ways[0].String(), "service account b-tiller:tiller -> RoleBinding next") {
			t.Errorf("the ways are %v, without %q", ways, name)
		}
	}
}
