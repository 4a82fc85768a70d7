package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// TestAnswers: who can answer in the place of a webhook that is sent objects of homes, by rights
// in the namespace of its Service.
func TestAnswers(t *testing.T) {
	zoe := User("zoe")
	pods := rule("", "pods", "create")
	hook := func(change func(*Webhook)) Webhook {
		w := Webhook{Kind: "MutatingWebhookConfiguration", Configuration: "injector", Server: "service hook in namespace hooks", Service: ObjectRef{"Service", "hooks", "hook"},
			Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"CREATE"}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"*"}, Resources: []string{"pods"}}}}}
		if change != nil {
			change(&w)
		}
		return w
	}
	selected := func(service ObjectRef) map[ObjectRef]map[string]string {
		return map[ObjectRef]map[string]string{service: {"app": "hook"}}
	}
	give := func(namespace string, who Subject, rules ...rbacv1.PolicyRule) func(*Snapshot) {
		return func(s *Snapshot) { s.give(namespace, "w", who, rules...) }
	}
	served := func(unverified bool) Webhook {
		return hook(func(w *Webhook) {
			w.Kind, w.Configuration, w.Rules, w.Unverified = AggregatedAPI, "v1alpha1.argoproj.io", nil, unverified
		})
	}
	lends := func(rules ...rbacv1.PolicyRule) func(*Snapshot) {
		return func(s *Snapshot) {
			s.APIGroups = []string{"argoproj.io"}
			s.give("hooks", "w", zoe, rules...)
		}
	}
	withoutHomes := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: tenant.LabelHome, Operator: metav1.LabelSelectorOpDoesNotExist}}}
	const open, high = "answer-webhook", "HT085 high user zoe"
	for _, test := range []struct {
		name  string
		hook  Webhook
		plant func(*Snapshot)
		want  []string // the findings
		reach bool
	}{
		{"nobody", hook(nil), func(*Snapshot) {}, nil, false},
		{"pods", hook(nil), give("hooks", zoe, pods), []string{high}, true},
		{"pods elsewhere", hook(nil), give("others", zoe, pods), nil, false},
		{"a workload", hook(nil), give("hooks", zoe, rule("apps", "daemonsets", "create")), []string{high}, true},
		{"the webhook's pod", hook(nil), func(s *Snapshot) {
			s.Pods = append(s.Pods, Pod{Namespace: "hooks", Name: "hook-1", Account: "default"})
			s.give("hooks", "w", zoe, rule("", "pods/exec", "create", "hook-1"))
		}, []string{high}, true},
		{"a pod that is not there", hook(nil), give("hooks", zoe, rule("", "pods/exec", "create", "hook-2")), nil, false},
		{"a role to bind", hook(nil), func(s *Snapshot) {
			s.Roles = append(s.Roles, Role{Name: "runner", Rules: []rbacv1.PolicyRule{pods}})
			s.give("hooks", "w", zoe, rule(rbacGroup, "rolebindings", "create"), rule(rbacGroup, "clusterroles", "bind", "runner"))
		}, []string{high}, true},
		{"the certificate and the Service", hook(nil), give("hooks", zoe, rule("", "secrets", "get", "tls"), rule("", "services", "patch", "hook")), []string{high}, true},
		{"the certificate and an EndpointSlice", hook(nil), give("hooks", zoe, rule("", "secrets", "list"), rule("discovery.k8s.io", "endpointslices", "create")), []string{high}, true},
		{"the certificate and its EndpointSlices", hook(nil), give("hooks", zoe, rule("", "secrets", "list"), rule("discovery.k8s.io", "endpointslices", "patch", "hook-x7x2p")), []string{high}, true},
		{"EndpointSlices", hook(nil), give("hooks", zoe, rule("discovery.k8s.io", "endpointslices", "*")), nil, false},
		{"the certificate and another Service", hook(nil), give("hooks", zoe, rule("", "secrets", "get"), rule("", "services", "update", "other")), nil, false},
		{"the Service", hook(nil), give("hooks", zoe, rule("", "services", "update")), nil, false},
		{"the certificate", hook(nil), give("hooks", zoe, rule("", "secrets", "get")), nil, false},
		{"the Service of an API that the API server verifies", served(false), lends(rule("", "services", "update")), nil, false},
		{"the Service of an API that it does not verify", served(true), lends(rule("", "services", "update", "hook")), []string{high}, true},
		{"another Service beside such an API", served(true), lends(rule("", "services", "update", "other")), nil, false},
		{"EndpointSlices of an API that it does not verify", served(true), lends(rule("discovery.k8s.io", "endpointslices", "patch")), []string{high}, true},
		{"a pod that its Service selects", hook(func(w *Webhook) { w.Selectors = selected(w.Service) }), func(s *Snapshot) {
			s.Pods = append(s.Pods, Pod{Namespace: "hooks", Name: "hook-1", Labels: map[string]string{"app": "hook"}}, Pod{Namespace: "hooks", Name: "db-1"})
			s.give("hooks", "w", zoe, rule("", "pods/exec", "create", "hook-1"))
		}, []string{high}, true},
		{"a pod that its Service does not select", hook(func(w *Webhook) { w.Selectors = selected(w.Service) }), func(s *Snapshot) {
			s.Pods = append(s.Pods, Pod{Namespace: "hooks", Name: "hook-1", Labels: map[string]string{"app": "hook"}}, Pod{Namespace: "hooks", Name: "db-1"})
			s.give("hooks", "w", zoe, rule("", "pods/exec", "create", "db-1"), rule("", "pods/ephemeralcontainers", "patch", "db-1"))
		}, nil, false},
		{"the labels of a pod that its Service does not select", hook(func(w *Webhook) { w.Selectors = selected(w.Service) }), func(s *Snapshot) {
			s.Pods = append(s.Pods, Pod{Namespace: "hooks", Name: "db-1"})
			s.give("hooks", "w", zoe, rule("", "pods", "patch", "db-1"))
		}, []string{high}, true},
		{"where its Service leads", hook(func(w *Webhook) { w.Leads = []ObjectRef{{"Service", "others", "real"}} }), give("others", zoe, pods), []string{high}, true},
		{"a pod that the Service where it leads does not select", hook(func(w *Webhook) {
			w.Leads = []ObjectRef{{"Service", "others", "real"}}
			w.Selectors = selected(w.Leads[0])
		}), func(s *Snapshot) {
			s.Pods = append(s.Pods, Pod{Namespace: "others", Name: "real-1", Labels: map[string]string{"app": "hook"}}, Pod{Namespace: "others", Name: "db-1"})
			s.give("others", "w", zoe, rule("", "pods/exec", "create", "db-1"))
		}, nil, false},
		{"where its URL leads", hook(func(w *Webhook) {
			w.Server, w.Service, w.Leads = "https://hook.example/", ObjectRef{}, []ObjectRef{{"Service", "others", "real"}}
		}), give("others", zoe, pods), []string{high}, true},
		{"the pod of an address", hook(func(w *Webhook) { w.Leads = []ObjectRef{{"Pod", "others", "real-1"}} }), func(s *Snapshot) {
			s.Pods = append(s.Pods, Pod{Namespace: "others", Name: "real-1"}, Pod{Namespace: "others", Name: "db-1"})
			s.give("others", "w", zoe, rule("", "pods/exec", "create", "real-1"))
		}, []string{high}, true},
		{"another pod than that of an address", hook(func(w *Webhook) { w.Leads = []ObjectRef{{"Pod", "others", "real-1"}} }), func(s *Snapshot) {
			s.Pods = append(s.Pods, Pod{Namespace: "others", Name: "real-1"}, Pod{Namespace: "others", Name: "db-1"})
			s.give("others", "w", zoe, rule("", "pods/exec", "create", "db-1"))
		}, nil, false},
		{"what runs it", hook(nil), give("hooks", Account("hooks", "operator"), pods), nil, false},
		{"all accounts of its namespace", hook(nil), give("hooks", Group("system:serviceaccounts:hooks"), pods), nil, false},
		{"an account elsewhere", hook(nil), give("hooks", Account("ci", "robot"), pods), []string{"HT085 high service account ci:robot"}, false},
		{"an account of kube-system", hook(nil), give("hooks", Account("kube-system", "addon"), pods), []string{"HT085 medium service account kube-system:addon"}, false},
		{"a tenant's deployer", hook(nil), give("hooks", Account("b-helm", "helm"), pods), []string{"HT005 high service account b-helm:helm", "HT085 high service account b-helm:helm"}, false},
		{"everybody", hook(nil), give("hooks", Group("system:authenticated"), pods), []string{"HT085 critical group system:authenticated"}, true},
		{"perhaps", hook(func(w *Webhook) { w.Conditional = true }), give("hooks", zoe, pods), []string{"HT085 medium user zoe"}, true},
		{"no homes", hook(func(w *Webhook) { w.NamespaceSelector = withoutHomes }), give("hooks", zoe, pods), nil, false},
		{"a validating one, of pods", hook(func(w *Webhook) { w.Kind = "ValidatingWebhookConfiguration" }), give("hooks", zoe, pods), nil, false},
		{"ClusterRoleBindings, no homes", hook(func(w *Webhook) {
			w.NamespaceSelector, w.Rules[0].APIGroups, w.Rules[0].Resources = withoutHomes, []string{rbacGroup}, []string{"clusterrolebindings"}
		}), give("hooks", zoe, pods), []string{high}, true},
		{"everything, no homes", hook(func(w *Webhook) {
			w.NamespaceSelector, w.Rules[0].APIGroups, w.Rules[0].Resources = withoutHomes, []string{"*"}, []string{"*"}
		}), give("hooks", zoe, pods), []string{high}, true},
		{"everything in namespaces, no homes", hook(func(w *Webhook) {
			w.NamespaceSelector, w.Rules[0].APIGroups, w.Rules[0].Resources, w.Rules[0].Scope = withoutHomes, []string{"*"}, []string{"*"}, new(admissionv1.NamespacedScope)
		}), give("hooks", zoe, pods), []string{"HT085 medium user zoe"}, false}, // RoleBindings of tenants' namespaces
		{"a validating one, of ClusterRoles", hook(func(w *Webhook) {
			w.Kind, w.NamespaceSelector, w.Rules[0].APIGroups, w.Rules[0].Resources = "ValidatingWebhookConfiguration", withoutHomes, []string{rbacGroup}, []string{"*"}
		}), give("hooks", zoe, pods), nil, false},
		{"a host elsewhere", hook(func(w *Webhook) { w.Server, w.Service = "https://hook.example/", ObjectRef{} }), give("hooks", zoe, pods), nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation))
			s.Namespaces = append(s.Namespaces, Namespace{Name: "hooks", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}},
				Namespace{Name: "others", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}})
			s.Webhooks = []Webhook{test.hook}
			test.plant(s)
			var got []string
			for _, f := range Audit(s, Options{}).Findings {
				if f.ID != idWebhook {
					got = append(got, f.ID+" "+string(f.Severity)+" "+f.Subject)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, name := range []string{"a", "b"} {
				var paths, want []string
				for _, reached := range Audit(s, Options{Ask: zoe, Tenants: []string{name}}).CanReach {
					for _, path := range reached.Paths {
						paths = append(paths, path.ID)
					}
				}
				if test.reach {
					want = []string{open}
				}
				if diff := cmp.Diff(want, paths); diff != "" {
					t.Errorf("--can-reach of %s, -want +got:\n%s", name, diff)
				}
			}
		})
	}
}

// TestListeners: which objects of homes a webhook or a policy is sent, by its rules and by the
// labels that it selects.
func TestListeners(t *testing.T) {
	const validating, mutating = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"
	has := func(key string, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values}}}
	}
	hasNot := func(key string, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpNotIn, Values: values}}}
	}
	without := func(key string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist}}}
	}
	for _, test := range []struct {
		name, kind, operation, group, resource string
		selector                               *metav1.LabelSelector
		configMaps                             bool
		want                                   string
	}{
		{"deleted Secrets", validating, "DELETE", "", "secrets", nil, false, "the Secrets"},
		{"a policy of deleted Secrets", MutatingPolicy, "DELETE", "", "secrets", nil, false, ""},
		{"deleted ConfigMaps", validating, "DELETE", "", "configmaps", nil, false, ""},
		{"releases in ConfigMaps", validating, "UPDATE", "", "configmaps", nil, true, "the releases in ConfigMaps"},
		{"deleted releases in ConfigMaps", validating, "DELETE", "", "configmaps", has("OWNER", "TILLER"), true, "the releases in ConfigMaps"},
		{"other ConfigMaps", validating, "UPDATE", "", "configmaps", without("OWNER"), true, ""},
		{"superseded releases", validating, "UPDATE", "", "secrets", &metav1.LabelSelector{MatchLabels: map[string]string{"OWNER": "TILLER"}, MatchExpressions: hasNot("STATUS", "DEPLOYED").MatchExpressions}, false, "the Secrets"},
		{"no releases", validating, "UPDATE", "", "secrets", &metav1.LabelSelector{MatchLabels: map[string]string{"OWNER": "X"}}, false, ""},
		{"Tillers of helm-tenant's", mutating, "UPDATE", "apps", "deployments", has(tenant.LabelManagedBy, tenant.ManagedBy), false, "the pods, to change them"},
		{"a tenant's Tiller", mutating, "UPDATE", "apps", "deployments", has(tenant.LabelTenant, "a"), false, "the pods, to change them"},
		{"another tenant's Tiller", mutating, "UPDATE", "apps", "deployments", has(tenant.LabelTenant, "c"), false, ""},
		{"pods of ReplicaSets", mutating, "CREATE", "", "pods", &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "pod-template-hash", Operator: metav1.LabelSelectorOpExists}}}, false, "the pods, to change them"},
		{"a tenant's bindings", mutating, "UPDATE", "rbac.authorization.k8s.io", "rolebindings", has(tenant.LabelTenant, "b"), false, "the RoleBindings, to change them of a-tiller, b-helm, and the RoleBindings, to change them, of a-1, b-1"},
		{"a tenant's record", mutating, "UPDATE", "", "configmaps", has(tenant.LabelTenant, "b"), false, "the tenants' records, to change them"},
		{"no record", mutating, "UPDATE", "", "configmaps", without(tenant.LabelTenant), false, ""},
		{"homes", mutating, "UPDATE", "", "namespaces", has(tenant.LabelHome, "tiller"), false, "the namespaces themselves, to change their labels"},
		{"no homes", mutating, "UPDATE", "", "namespaces", without(tenant.LabelHome), false, "the labels and annotations, to change them, of a-1, b-1"},
		{"ClusterRoles", mutating, "CREATE", rbacGroup, "clusterroles", nil, false, "the ClusterRoles, to change them"},
		{"a policy of ClusterRoleBindings", MutatingPolicy, "UPDATE", rbacGroup, "clusterrolebindings", nil, false, "the ClusterRoleBindings, to change them"},
		{"every kind of RBAC", mutating, "*", rbacGroup, "*", nil, false, "the RoleBindings, to change them of a-tiller, b-helm, and the RoleBindings, to change them, of a-1, b-1, and the ClusterRoleBindings and the ClusterRoles, to change them"},
		{"deleted ClusterRoles", mutating, "DELETE", rbacGroup, "clusterroles", nil, false, ""},
		{"ClusterRoles of a validating one", validating, "UPDATE", rbacGroup, "clusterroles", nil, false, ""},
		{"other ClusterRoles", mutating, "UPDATE", rbacGroup, "clusterroles", has("app", "x"), false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := team("a", tenant.EngineTiller)
			if test.configMaps {
				first.Tiller.Storage = tenant.StorageConfigMap
			}
			s := sceneOf(first, team("b", tenant.EngineImpersonation))
			s.Webhooks = []Webhook{{Kind: test.kind, Configuration: "w", Server: "https://hook.example/", ObjectSelector: test.selector,
				Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.OperationType(test.operation)}, Rule: admissionv1.Rule{APIGroups: []string{test.group}, APIVersions: []string{"*"}, Resources: []string{test.resource}}}}}}
			a := newAuditor(s)
			var got string
			for _, w := range a.findListeners() {
				got = strings.TrimSuffix(w.what(), " of "+shortened(w.homes))
			}
			want := test.want
			if test.kind == MutatingPolicy {
				want, _, _ = strings.Cut(want, ", to change")
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
