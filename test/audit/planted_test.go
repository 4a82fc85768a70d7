package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// unmanaged makes a Tiller that is no tenant's, hardened but for what change
// does to it.
func (p *plant) unmanaged(change func(*appsv1.Deployment)) {
	p.Helper()
	ctx := context.Background()
	ns := p.namespace(nil)
	labels := map[string]string{"app": "helm", "name": "tiller"}
	spec := restricted("default")
	spec.Containers[0].Name, spec.Containers[0].Image = "tiller", "ghcr.io/helm/tiller:v2.17.0"
	spec.Containers[0].Command = []string{"/tiller", "--listen=localhost:44134"}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "tiller-deploy", Namespace: ns, Labels: labels}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}}
	if change != nil {
		change(d)
	}
	must(p.T, create(p.w.root.AppsV1().Deployments(ns).Create(ctx, d, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.AppsV1().Deployments(ns).Delete(ctx, d.Name, metav1.DeleteOptions{})) })
}

func relabel(d *appsv1.Deployment) {
	other := map[string]string{"x": "y"}
	d.Labels, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels = nil, other, other
}

func container(d *appsv1.Deployment) *corev1.Container { return &d.Spec.Template.Spec.Containers[0] }

// tiller returns a plant that changes alpha's Tiller.
func tiller(change func(*appsv1.Deployment)) func(*plant) {
	return func(p *plant) { p.mutateTiller("alpha-tiller", change) }
}

const (
	tillerOfAlpha   = "Deployment tiller-deploy in namespace alpha-tiller"
	accountOfAlpha  = "service account alpha-tiller:tiller"
	unmanagedTiller = "service account old:default"
)

// planting is a misconfiguration, and the exact findings that an audit must report for it.
type planting struct {
	name  string
	plant func(*plant)
	want  []string // "ID tenants subject"
}

// allPlanted returns all of them.
func allPlanted() []planting {
	return slices.Concat(planted, plantedPeople, plantedCluster, plantedRails, plantedRelatives)
}

// planted are misconfigurations of Tillers, deployers and their pods.
var planted = []planting{
	{"unmanaged Tiller, by its labels", func(p *plant) { p.unmanaged(nil) }, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller, by its image", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) {
			relabel(d)
			container(d).Name, container(d).Image = "server", "registry.example:5000/team/helm-tiller:v2.17.0"
			container(d).Command, container(d).Args = nil, []string{"--listen=localhost:44134"}
		})
	}, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller that another program starts, nobody knows how", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) {
			relabel(d)
			container(d).Name, container(d).Image, container(d).Command = "server", "registry.example:5000/team/helm-tiller:v2.17.0", []string{"/bin/start", "--listen=localhost:44134"}
		})
	}, []string{"HT001  " + unmanagedTiller, "HT003  Deployment tiller-deploy in namespace old"}},
	{"unmanaged Tiller, by its command", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) {
			relabel(d)
			container(d).Name, container(d).Image, container(d).Command = "server", "example/tools:1", []string{"sh", "-c", "exec /usr/bin/tiller --listen=localhost:44134"}
		})
	}, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller, a pod by itself", func(p *plant) {
		ns := p.namespace(nil)
		spec := restricted("default")
		spec.Containers[0].Command = []string{"/tiller", "--listen=127.0.0.1:44134"}
		must(p.T, create(p.w.root.CoreV1().Pods(ns).Create(context.Background(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "alone"}, Spec: spec}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().Pods(ns).Delete(context.Background(), "alone", metav1.DeleteOptions{}))
		})
	}, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller in a StatefulSet", func(p *plant) {
		ns := p.namespace(nil)
		spec := restricted("default")
		spec.Containers[0].Command = []string{"/tiller", "--listen=127.0.0.1:44134"}
		labels := map[string]string{"is": "set"}
		must(p.T, create(p.w.root.AppsV1().StatefulSets(ns).Create(context.Background(), &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "set"}, Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.AppsV1().StatefulSets(ns).Delete(context.Background(), "set", metav1.DeleteOptions{}))
		})
	}, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller that is cluster-admin", func(p *plant) {
		p.unmanaged(nil)
		p.bind("", "tiller", "ClusterRole", "cluster-admin", "account "+p.old+":default")
	}, []string{"HT001  " + unmanagedTiller, "HT002  " + unmanagedTiller}},
	{"unmanaged Tiller with rights over the cluster", func(p *plant) {
		p.unmanaged(nil)
		p.bind("", "tiller", "ClusterRole", "edit", "account "+p.old+":default")
	}, []string{"HT001  " + unmanagedTiller, "HT022  " + unmanagedTiller}},
	{"unmanaged Tiller as helm init makes it, open on the network", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) { container(d).Command = nil })
	}, []string{"HT001  " + unmanagedTiller, "HT003  Deployment tiller-deploy in namespace old"}},
	{"unmanaged Tiller of an old release", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) { container(d).Image = "gcr.io/kubernetes-helm/tiller:v2.9.1" })
	}, []string{"HT001  " + unmanagedTiller, "HT004  Deployment tiller-deploy in namespace old"}},
	{"unmanaged Tiller that asks for certificates", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) {
			container(d).Command, container(d).Env = nil, []corev1.EnvVar{{Name: "TILLER_TLS_VERIFY", Value: "1"}}
		})
	}, []string{"HT001  " + unmanagedTiller}},

	{"a tenant's Tiller that is cluster-admin", func(p *plant) {
		p.bind("", "too-much", "ClusterRole", "cluster-admin", "account alpha-tiller:tiller")
	}, []string{"HT002 alpha " + accountOfAlpha}},
	{"a tenant for all namespaces, by a role that is less than cluster-admin", func(p *plant) {
		p.helmTenant("init", "everyw", "--all-namespaces", "--role", "edit", "--user", "eve", "--wait=false", "--accept-risk=cluster-wide")
		p.later(func() { p.helmTenant("destroy", "everyw", "--yes") })
	}, []string{"HT002 everyw service account everyw-tiller:tiller"}},
	{"all accounts of a home are cluster-admin", func(p *plant) {
		p.bind("", "too-much", "ClusterRole", "cluster-admin", "group system:serviceaccounts:beta-tiller")
	}, []string{"HT002 beta service account beta-tiller:tiller", "HT022  group system:serviceaccounts:beta-tiller"}},
	{"Tiller listens on all interfaces", tiller(func(d *appsv1.Deployment) { container(d).Command = []string{"/tiller", "--storage=secret"} }),
		[]string{"HT003 alpha " + tillerOfAlpha}},
	{"Tiller listens on all interfaces, and nothing holds others off", func(p *plant) {
		p.delete("/apis/networking.k8s.io/v1/namespaces/alpha-tiller/networkpolicies/helm-tenant")
		tiller(func(d *appsv1.Deployment) { container(d).Command = []string{"/tiller", "--storage=secret"} })(p)
	}, []string{"HT003 alpha " + tillerOfAlpha}},
	{"old Tiller", tiller(func(d *appsv1.Deployment) { container(d).Image = "ghcr.io/helm/tiller:v2.14.3" }), []string{"HT004 alpha " + tillerOfAlpha}},
	{"a deployer with rights in a namespace of nobody's", func(p *plant) {
		p.bind("outside", "left", "ClusterRole", "edit", "account alpha-tiller:tiller")
	}, []string{"HT005 alpha " + accountOfAlpha}},
	{"a deployer with two roles in a namespace of nobody's", func(p *plant) {
		p.bind("outside", "a-view", "ClusterRole", "view", "account alpha-tiller:tiller")
		p.bind("outside", "b-edit", "ClusterRole", "edit", "account alpha-tiller:tiller")
		if r := p.w.run(p.w.Admin(), "audit", "--fail-on", "high"); r.Code != 4 {
			p.Errorf("exit code %d\n%s", r.Code, r.Stdout)
		}
	}, []string{"HT005 alpha " + accountOfAlpha, "HT005 alpha " + accountOfAlpha}},
	{"a deployer with rights over the whole cluster", func(p *plant) {
		p.grant("", "wide", []string{"get,list,create customthings"}, "account alpha-tiller:tiller")
	}, []string{"HT005 alpha " + accountOfAlpha}},
	{"a deployer in another's namespace", func(p *plant) {
		p.bind("beta-a", "left", "ClusterRole", "edit", "account alpha-tiller:tiller")
	}, []string{"HT005 alpha " + accountOfAlpha}},
	{"a deployer in another's home", func(p *plant) {
		p.grant("beta-tiller", "left", []string{"create pods/exec"}, "account alpha-tiller:tiller")
	}, []string{"HT012 beta " + accountOfAlpha}},
	{"a deployer in its own home", func(p *plant) {
		p.grant("alpha-tiller", "own", []string{"create pods"}, "account alpha-tiller:tiller")
	}, []string{"HT006 alpha " + accountOfAlpha}},
	{"a deployer by its records' role in its own home", func(p *plant) {
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-tiller/roles/helm-tenant-records",
			`{"rules":[{"apiGroups":[""],"resources":["secrets","pods"],"verbs":["get","list","create","update","delete"]}]}`)
		p.again("alpha")
	}, []string{"HT006 alpha " + accountOfAlpha}},
	{"a deployer that may give itself rights", func(p *plant) {
		p.grant("alpha-a", "more", []string{"bind,escalate rbac:roles"}, "account alpha-tiller:tiller")
	}, []string{"HT007 alpha " + accountOfAlpha}},

	{"a tenant without its record", func(p *plant) {
		p.later(func() { p.init("gamma", "--engine", "impersonation", "--namespaces", "gamma-a") })
		p.delete("/api/v1/namespaces/gamma-helm/configmaps/helm-tenant")
	}, []string{"HT008 gamma service account gamma-helm:helm"}},
	{"a tenant with a Tiller without its record", func(p *plant) {
		p.later(func() { p.init("alpha", "--engine", "tiller", "--namespaces", "alpha-a,alpha-b") })
		p.delete("/api/v1/namespaces/alpha-tiller/configmaps/helm-tenant")
	}, []string{"HT008 alpha " + accountOfAlpha}},
	{"a tenant whose home does not say that it is", func(p *plant) {
		p.later(func() {
			p.merge("/api/v1/namespaces/gamma-helm", `{"metadata":{"labels":{"helm-tenant/tenant":"gamma"}}}`)
		})
		p.merge("/api/v1/namespaces/gamma-helm", `{"metadata":{"labels":{"helm-tenant/tenant":null}}}`)
	}, []string{"HT008 gamma service account gamma-helm:helm"}},

	{"a pod that Helm 2 takes for the Tiller, with its account", func(p *plant) {
		p.pod("alpha-tiller", "impostor", "tiller", map[string]string{"app": "helm", "name": "tiller"})
	}, []string{"HT009 alpha Pod impostor"}},
	{"a pod that Helm 2 takes for the Tiller, with no rights", func(p *plant) {
		p.pod("alpha-tiller", "impostor", "default", map[string]string{"app": "helm", "name": "tiller"})
	}, []string{"HT009 alpha Pod impostor"}},
	{"a pod with the Tiller's account", func(p *plant) { p.pod("alpha-tiller", "stowaway", "tiller", nil) }, []string{"HT009 alpha Pod stowaway"}},
	{"a pod with the account of Helm 3", func(p *plant) { p.pod("gamma-helm", "stowaway", "helm", nil) }, []string{"HT009 gamma Pod stowaway"}},
	{"a Job with the Tiller's account", func(p *plant) { p.job("alpha-tiller", "tiller") }, []string{"HT009 alpha Pod old"}},
	{"the live Tiller's image is another", func(p *plant) {
		p.old = p.tillerPod("alpha-tiller")
		must(p.T, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			pod, err := p.w.root.CoreV1().Pods("alpha-tiller").Get(context.Background(), p.old, metav1.GetOptions{})
			if err != nil {
				return err
			}
			pod.Spec.Containers[0].Image = "evil.example/tiller:v2.17.0"
			return create(p.w.root.CoreV1().Pods("alpha-tiller").Update(context.Background(), pod, metav1.UpdateOptions{}))
		}))
		p.podAgain("alpha-tiller")
	}, []string{"HT009 alpha Pod old"}},
	{"the live Tiller has a container more", func(p *plant) {
		p.old = p.tillerPod("alpha-tiller")
		debug := restricted("tiller").Containers[0]
		pod, err := p.w.root.CoreV1().Pods("alpha-tiller").Get(context.Background(), p.old, metav1.GetOptions{})
		must(p.T, err)
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: debug.Image, SecurityContext: debug.SecurityContext}}}
		must(p.T, create(p.w.root.CoreV1().Pods("alpha-tiller").UpdateEphemeralContainers(context.Background(), p.old, pod, metav1.UpdateOptions{})))
		p.podAgain("alpha-tiller")
	}, []string{"HT009 alpha Pod old"}},
}

const tenantHome = "helm-tenant/home"

// webhook makes one that is sent a resource, but of namespaces with the label without and of
// kube-system.
func (p *plant) webhook(name, owner, without string, conditions ...string) {
	p.Helper()
	p.webhookBeside(name, owner, without, "kube-system", conditions...)
}

// webhookBeside makes one that is sent a resource, but of the namespace skipped and of those with
// the label without, if there is one.
func (p *plant) webhookBeside(name, owner, without, skipped string, conditions ...string) {
	p.Helper()
	none, ignore, url := admissionv1.SideEffectClassNone, admissionv1.Ignore, "https://webhook.example/"
	selector := &metav1.LabelSelector{}
	if without != "" {
		selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: without, Operator: metav1.LabelSelectorOpDoesNotExist},
			{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{skipped}}}
	}
	var matched []admissionv1.MatchCondition
	for i, condition := range conditions {
		matched = append(matched, admissionv1.MatchCondition{Name: fmt.Sprintf("condition-%d", i), Expression: condition})
	}
	// One second is enough for a refusal; nothing answers.
	second := int32(1)
	must(p.T, create(p.w.root.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(context.Background(), &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionv1.ValidatingWebhook{{Name: "listener.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &ignore, TimeoutSeconds: &second, NamespaceSelector: selector, MatchConditions: matched,
			ClientConfig: admissionv1.WebhookClientConfig{URL: &url},
			Rules:        []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"UPDATE"}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{owner}}}}}}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.Background(), name, metav1.DeleteOptions{}))
	})
}

// mutator makes a webhook that can change a resource in every namespace, which a Service in that
// namespace answers.
func (p *plant) mutator(name, group, resource, namespace string) {
	p.Helper()
	p.mutatorIn(name, group, resource, namespace, &metav1.LabelSelector{})
}

// mutatorOf makes a webhook that can change a resource in one namespace.
func (p *plant) mutatorOf(name, group, resource, only string) {
	p.Helper()
	p.mutatorIn(name, group, resource, "outside", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: only}})
}

func (p *plant) mutatorIn(name, group, resource, namespace string, selector *metav1.LabelSelector) {
	p.Helper()
	none, ignore, second := admissionv1.SideEffectClassNone, admissionv1.Ignore, int32(1)
	must(p.T, create(p.w.root.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(context.Background(), &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionv1.MutatingWebhook{{Name: "mutator.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &ignore, TimeoutSeconds: &second, NamespaceSelector: selector,
			ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: namespace, Name: "mutator"}},
			Rules:        []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"UPDATE"}, Rule: admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}}}}}}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), name, metav1.DeleteOptions{}))
	})
}

// changes makes a policy that can change a resource in every namespace, and binds it.
func (p *plant) changes(name, group, resource string, bound bool) {
	p.Helper()
	ctx, policies, bindings := context.Background(), p.w.root.AdmissionregistrationV1().MutatingAdmissionPolicies(), p.w.root.AdmissionregistrationV1().MutatingAdmissionPolicyBindings()
	ignore, never := admissionv1.Ignore, admissionv1.NeverReinvocationPolicy
	must(p.T, create(policies.Create(ctx, &admissionv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.MutatingAdmissionPolicySpec{FailurePolicy: &ignore, ReinvocationPolicy: never,
		MatchConstraints: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{}, ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{"UPDATE"}, Rule: admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}}}}}},
		Mutations: []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeApplyConfiguration, ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: `Object{}`}}}}}, metav1.CreateOptions{})))
	p.later(func() { p.gone(policies.Delete(ctx, name, metav1.DeleteOptions{})) })
	if bound {
		must(p.T, create(bindings.Create(ctx, &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name}}, metav1.CreateOptions{})))
		p.later(func() { p.gone(bindings.Delete(ctx, name, metav1.DeleteOptions{})) })
	}
}

// TestEveryFindingIsPlanted: each kind of finding is expected by one of the tests.
func TestEveryFindingIsPlanted(t *testing.T) {
	w := start(t)
	var sarif struct {
		Runs []struct {
			Tool struct {
				Driver struct {
					Rules []struct {
						ID string `json:"id"`
					} `json:"rules"`
				} `json:"driver"`
			} `json:"tool"`
		} `json:"runs"`
	}
	must(t, json.Unmarshal([]byte(w.run(w.Admin(), "audit", "-o", "sarif").Stdout), &sarif))
	wanted := map[string]bool{}
	add := func(want string) { id, _, _ := strings.Cut(want, " "); wanted[id] = true }
	for _, test := range allPlanted() {
		for _, want := range test.want {
			add(want)
		}
	}
	for _, test := range differing {
		for _, want := range test.want {
			add(want)
		}
	}
	for _, way := range ways {
		add(way.want)
	}
	if len(allPlanted()) < 40 || len(sarif.Runs) != 1 || len(sarif.Runs[0].Tool.Driver.Rules) < 40 {
		t.Fatalf("%d are planted, and the audit says of itself: %+v", len(allPlanted()), sarif)
	}
	for _, rule := range sarif.Runs[0].Tool.Driver.Rules {
		if !wanted[rule.ID] {
			t.Errorf("%s is planted nowhere", rule.ID)
		}
	}
}

// TestPlanted plants one misconfiguration after the other, and types the command
// with which the finding says it can be mended.
func TestPlanted(t *testing.T) {
	w := start(t)
	w.clean(t)
	for _, test := range allPlanted() {
		t.Run(test.name, func(t *testing.T) {
			p := w.plant(t)
			test.plant(p)
			got := w.audit(t)
			p.same(got.Findings, test.want)
			typed.saw(got.Findings)
			if !t.Failed() {
				p.fix(got.Findings)
			}
		})
	}
}

// A tenant without a record is audited by its name, and it is answered who reaches it.
func TestTenantWithoutRecord(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	p.later(func() { p.init("gamma", "--engine", "impersonation", "--namespaces", "gamma-a") })
	p.delete("/api/v1/namespaces/gamma-helm/configmaps/helm-tenant")
	p.same(w.audit(t, "gamma").Findings, []string{"HT008 gamma service account gamma-helm:helm"})
	reached := w.audit(t, "--can-reach", "gail").CanReach
	if len(reached) != 1 || reached[0].Tenant != "gamma" || !reached[0].Member || len(reached[0].Paths) != 1 {
		t.Errorf("gail reaches %+v", reached)
	}
}

// A tenant that does not exist is reported as by the other verbs.
func TestNoSuchTenant(t *testing.T) {
	w := start(t)
	exported, got := w.run(w.Admin(), "export", "nobody"), w.run(w.Admin(), "audit", "nobody")
	want := strings.Replace(exported.Stderr, "Error: export: ", "Error: audit: ", 1)
	if got.Code != exported.Code || got.Stderr != want || !strings.Contains(want, "helm tenant tenants") {
		t.Errorf("exit code %d, not %d:\n%s\nnot\n%s", got.Code, exported.Code, got.Stderr, want)
	}
}
