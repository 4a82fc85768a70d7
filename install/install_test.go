package install

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

func teamA() tenant.Tenant {
	return tenant.Tenant{Name: "team-a", Namespaces: []string{"a", "b"}}.WithDefaults()
}

func TestImage(t *testing.T) {
	for _, test := range []struct{ image, version, want string }{
		{"", "", "ghcr.io/helm/tiller:v2.17.0"},
		{"", "v2.16.12", "ghcr.io/helm/tiller:v2.16.12"},
		{"registry.example/tiller", "", "registry.example/tiller:v2.17.0"},
		{"registry.example:5000/tiller", "v2.16.12", "registry.example:5000/tiller:v2.16.12"},
		{"registry.example:5000/tiller:mine", "v2.16.12", "registry.example:5000/tiller:mine"},
		{"tiller@sha256:0123", "v2.16.12", "tiller@sha256:0123"},
	} {
		team := teamA()
		team.Tiller.Image, team.Tiller.Version = test.image, test.version
		if got := Image(team); got != test.want {
			t.Errorf("%q in version %q: got %s, want %s", test.image, test.version, got, test.want)
		}
	}
}

func TestDeployment(t *testing.T) {
	d := Deployment(teamA())
	if d.Name != "tiller-deploy" || d.Namespace != "team-a-tiller" || *d.Spec.Replicas != 1 {
		t.Errorf("%s in %s with %d replicas", d.Name, d.Namespace, *d.Spec.Replicas)
	}
	// Every Helm 2 client looks for these labels, and the Deployment for its own pods.
	for what, labels := range map[string]map[string]string{"selector": d.Spec.Selector.MatchLabels, "pod": d.Spec.Template.Labels} {
		if diff := cmp.Diff(map[string]string{"app": "helm", "name": "tiller"}, labels); diff != "" {
			t.Errorf("labels of the %s, -want +got:\n%s", what, diff)
		}
	}
	want := map[string]string{"app": "helm", "name": "tiller", "helm-tenant/tenant": "team-a", "app.kubernetes.io/managed-by": "helm-tenant"}
	if diff := cmp.Diff(want, d.Labels); diff != "" {
		t.Errorf("labels, -want +got:\n%s", diff)
	}
	pod := d.Spec.Template.Spec
	if pod.ServiceAccountName != "tiller" || pod.DeprecatedServiceAccount != "tiller" || !*pod.AutomountServiceAccountToken {
		t.Errorf("it does not run as its account with a token: %+v", pod)
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC || len(pod.Volumes) > 0 || len(pod.InitContainers) > 0 || len(pod.Containers) != 1 {
		t.Errorf("it has more than one plain container: %+v", pod)
	}
	c := pod.Containers[0]
	if diff := cmp.Diff([]string{"/tiller", "--listen=localhost:44134", "--storage=secret"}, c.Command); diff != "" {
		t.Errorf("command, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.EnvVar{{Name: "TILLER_NAMESPACE", Value: "team-a-tiller"}, {Name: "TILLER_HISTORY_MAX", Value: "20"}}, c.Env); diff != "" {
		t.Errorf("environment, -want +got:\n%s", diff)
	}
	if c.ImagePullPolicy != corev1.PullIfNotPresent || c.LivenessProbe.HTTPGet.Path != "/liveness" || c.ReadinessProbe.HTTPGet.Path != "/readiness" {
		t.Errorf("pull policy or probes: %+v", c)
	}
}

// What the restricted level of PodSecurity demands, which the home namespace
// enforces (https://kubernetes.io/docs/concepts/security/pod-security-standards/),
// and a read-only root.
func TestDeploymentIsRestricted(t *testing.T) {
	pod := Deployment(teamA()).Spec.Template.Spec
	c := pod.Containers[0]
	for what, holds := range map[string]bool{
		"it is not root":                    *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser != 0 && *pod.SecurityContext.RunAsGroup != 0,
		"a seccomp profile":                 pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"no privilege escalation":           !*c.SecurityContext.AllowPrivilegeEscalation,
		"no capabilities":                   cmp.Equal(c.SecurityContext.Capabilities, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}),
		"a read-only root":                  *c.SecurityContext.ReadOnlyRootFilesystem,
		"not privileged":                    c.SecurityContext.Privileged == nil,
		"no port of the node":               !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.HostPort != 0 }),
		"requests and limits, for a quota":  len(c.Resources.Requests) == 2 && len(c.Resources.Limits) == 2,
		"the API server fills nothing in":   pod.RestartPolicy != "" && pod.DNSPolicy != "" && pod.SchedulerName != "" && pod.TerminationGracePeriodSeconds != nil && c.TerminationMessagePath != "" && c.TerminationMessagePolicy != "",
		"the Deployment's defaults are out": Deployment(teamA()).Spec.RevisionHistoryLimit != nil && Deployment(teamA()).Spec.ProgressDeadlineSeconds != nil && Deployment(teamA()).Spec.Strategy.RollingUpdate != nil,
	} {
		if !holds {
			t.Errorf("it lacks: %s", what)
		}
	}
}

func TestDeploymentAsAsked(t *testing.T) {
	team := teamA()
	history, replicas := 0, 3
	team.HomeNamespace = "elsewhere"
	team.Tiller = tenant.Tiller{
		Image: "registry.example/tiller:x", Storage: tenant.StorageConfigMap, HistoryMax: &history, Replicas: &replicas,
		Resources:    map[string]string{"limits.memory": "1024Mi", "requests.cpu": "1000m", "limits.ephemeral-storage": "1Gi"},
		NodeSelector: map[string]string{"disk": "ssd"}, ImagePullSecrets: []string{"one", "two"},
	}
	d := Deployment(team)
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	if d.Namespace != "elsewhere" || *d.Spec.Replicas != 3 || c.Image != "registry.example/tiller:x" {
		t.Errorf("%d of %s in %s", *d.Spec.Replicas, c.Image, d.Namespace)
	}
	if diff := cmp.Diff([]corev1.EnvVar{{Name: "TILLER_NAMESPACE", Value: "elsewhere"}, {Name: "TILLER_HISTORY_MAX", Value: "0"}}, c.Env); diff != "" {
		t.Errorf("environment, -want +got:\n%s", diff)
	}
	if !slices.Contains(c.Command, "--storage=configmap") {
		t.Errorf("command: %q", c.Command)
	}
	if diff := cmp.Diff(map[string]string{"disk": "ssd"}, pod.NodeSelector); diff != "" {
		t.Errorf("node selector, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.LocalObjectReference{{Name: "one"}, {Name: "two"}}, pod.ImagePullSecrets); diff != "" {
		t.Errorf("pull secrets, -want +got:\n%s", diff)
	}
	// Those that were not asked for keep their defaults; all are written as the
	// API server writes them, or each run would find a difference.
	want := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Gi"), "ephemeral-storage": resource.MustParse("1Gi")},
	}
	if diff := cmp.Diff(want, c.Resources); diff != "" {
		t.Errorf("resources, -want +got:\n%s", diff)
	}
	if cpu, memory := c.Resources.Requests["cpu"], c.Resources.Limits["memory"]; cpu.String() != "1" || memory.String() != "1Gi" {
		t.Errorf("written as %s and %s", cpu.String(), memory.String())
	}
}

// A default gives way to what was asked for: the API server refuses a request above
// its limit.
func TestDefaultResourcesGiveWay(t *testing.T) {
	for asked, want := range map[string]string{
		"requests.memory=512Mi":                     "20m 512Mi 1 512Mi",
		"limits.memory=32Mi":                        "20m 32Mi 1 32Mi",
		"requests.cpu=2":                            "2 64Mi 2 256Mi",
		"requests.memory=128Mi":                     "20m 128Mi 1 256Mi",
		"limits.cpu=10m":                            "10m 64Mi 10m 256Mi",
		"requests.memory=300Mi,limits.memory=400Mi": "20m 300Mi 1 400Mi",
	} {
		team := teamA()
		team.Tiller.Resources = map[string]string{}
		for pair := range strings.SplitSeq(asked, ",") {
			key, value, _ := strings.Cut(pair, "=")
			team.Tiller.Resources[key] = value
		}
		r := Deployment(team).Spec.Template.Spec.Containers[0].Resources
		if got := fmt.Sprint(r.Requests.Cpu(), r.Requests.Memory(), r.Limits.Cpu(), r.Limits.Memory()); got != want {
			t.Errorf("%s: %s, not %s", asked, got, want)
		}
	}
}

// Wanted objects must not share memory: a later change of one would change all.
func TestDeploymentsAreTheirOwn(t *testing.T) {
	one, two := Deployment(teamA()), Deployment(teamA())
	one.Labels["x"], one.Spec.Template.Spec.Containers[0].Command[0] = "y", "z"
	if diff := cmp.Diff(Deployment(teamA()), two); diff != "" {
		t.Errorf("a change of another shows:\n%s", diff)
	}
}

func TestHome(t *testing.T) {
	const enforce, version = "pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/enforce-version"
	wide := teamA()
	wide.AllNamespaces = true
	impersonation := teamA()
	impersonation.Engine = tenant.EngineImpersonation
	for _, test := range []struct {
		name            string
		tenant          tenant.Tenant
		shared, created bool
		want            map[string]string
	}{
		{"one of our own", teamA(), false, true, map[string]string{"helm-tenant/tenant": "team-a", "helm-tenant/home": "tiller", "app.kubernetes.io/managed-by": "helm-tenant", enforce: "restricted", version: "latest"}},
		{"one that was there, and empty", teamA(), false, false, map[string]string{"helm-tenant/tenant": "team-a", "helm-tenant/home": "tiller", enforce: "restricted", version: "latest"}},
		{"one that is shared", teamA(), true, false, map[string]string{"helm-tenant/tenant": "team-a", "helm-tenant/home": "tiller"}},
		{"one of a tenant of all namespaces", wide, true, false, map[string]string{"helm-tenant/tenant": "team-a"}},
		{"one of an impersonated tenant", impersonation, false, true, map[string]string{"helm-tenant/tenant": "team-a", "helm-tenant/home": "impersonation", "app.kubernetes.io/managed-by": "helm-tenant", enforce: "restricted", version: "latest"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := Home(test.tenant, test.shared, test.created)
			if diff := cmp.Diff(test.want, home.Labels); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if home.Name != test.tenant.Home() {
				t.Errorf("it is called %s", home.Name)
			}
		})
	}
}

func TestNamespace(t *testing.T) {
	for created, labels := range map[bool]map[string]string{
		true:  {"helm-tenant/tenant": "team-a", "app.kubernetes.io/managed-by": "helm-tenant"},
		false: {"helm-tenant/tenant": "team-a"}, // not made by us, not removed by us
	} {
		ns := Namespace(teamA(), "b", created)
		if ns.Name != "b" {
			t.Errorf("it is called %s", ns.Name)
		}
		if diff := cmp.Diff(labels, ns.Labels); diff != "" {
			t.Errorf("labels, -want +got:\n%s", diff)
		}
		if diff := cmp.Diff(map[string]string{"helm-tenant/home-namespace": "team-a-tiller"}, ns.Annotations); diff != "" {
			t.Errorf("annotations, -want +got:\n%s", diff)
		}
	}
}

func TestRecord(t *testing.T) {
	team := teamA()
	team.Members = tenant.Members{tenant.User("alice")}
	record, err := Record(team)
	if err != nil {
		t.Fatal(err)
	}
	if record.Name != "helm-tenant" || record.Namespace != "team-a-tiller" || record.Labels["helm-tenant/tenant"] != "team-a" {
		t.Errorf("%s in %s with %v", record.Name, record.Namespace, record.Labels)
	}
	got, err := tenant.ParseRecord(record.Data["tenant.yaml"])
	if err != nil {
		t.Fatal(err)
	}
	team.Members = nil // the binding alone has the members
	team.Rails = tenant.RailsOfBefore()
	if diff := cmp.Diff(team, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNetworkPolicy(t *testing.T) {
	for shared, selector := range map[bool]metav1.LabelSelector{
		false: {},
		true:  {MatchLabels: map[string]string{"app": "helm", "name": "tiller"}},
	} {
		policy := NetworkPolicy(teamA(), shared)
		want := networkingv1.NetworkPolicySpec{PodSelector: selector, PolicyTypes: []networkingv1.PolicyType{"Ingress"}}
		if diff := cmp.Diff(want, policy.Spec); diff != "" {
			t.Errorf("shared %t, -want +got:\n%s", shared, diff)
		}
	}
}

func TestAdmission(t *testing.T) {
	objects := Admission()
	if len(objects) != 2 {
		t.Fatalf("%d objects", len(objects))
	}
	policy, binding := objects[0].(*admissionv1.ValidatingAdmissionPolicy), objects[1].(*admissionv1.ValidatingAdmissionPolicyBinding)
	if binding.Spec.PolicyName != policy.Name || !slices.Equal(binding.Spec.ValidationActions, []admissionv1.ValidationAction{"Deny"}) {
		t.Errorf("the binding does not make the policy deny: %+v", binding.Spec)
	}
	if *policy.Spec.FailurePolicy != admissionv1.Fail {
		t.Error("an expression that fails lets a request through")
	}
	// It holds back the Tiller of a home namespace, and nobody else anywhere.
	if got := policy.Spec.MatchConstraints.NamespaceSelector.MatchExpressions[0]; got.Key != tenant.LabelHome || got.Operator != metav1.LabelSelectorOpExists {
		t.Errorf("it selects namespaces by %+v", got)
	}
	if len(policy.Spec.MatchConditions) != 1 || !strings.Contains(policy.Spec.MatchConditions[0].Expression, `":tiller"`) {
		t.Errorf("it holds back others than Tiller: %+v", policy.Spec.MatchConditions)
	}
	for _, object := range []metav1.Object{policy, binding} {
		// Every tenant needs it: one tenant's label would let that tenant's end take it away.
		if diff := cmp.Diff(map[string]string{"app.kubernetes.io/managed-by": "helm-tenant"}, object.GetLabels()); diff != "" {
			t.Errorf("labels of %s, -want +got:\n%s", object.GetName(), diff)
		}
	}
}
