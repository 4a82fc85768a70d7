package admin

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/tenant"
)

func fluxAccount(name string) func(*Request) {
	return func(r *Request) { r.Tenant.FluxAccount = name }
}

// TestFluxAccount: what is written when a tenant gets an account for Flux, keeps it and
// loses it.
func TestFluxAccount(t *testing.T) {
	existing := empty().after(t, asked())
	with := existing.after(t, asked(fluxAccount("flux")))
	const record = "update ConfigMap helm-tenant in namespace t-tiller: data.tenant.yaml"
	account := func(action, name, ns string) string {
		return action + " ServiceAccount " + name + " in namespace " + ns
	}
	binding := func(ns string) string {
		return "update RoleBinding helm-tenant.t.admin in namespace " + ns + ": subjects"
	}
	foreign := &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "flux"}}
	for _, test := range []struct {
		name    string
		world   world
		request Request
		want    []string
	}{
		{"it is asked for", existing, asked(fluxAccount("flux")), []string{record, account("create", "flux", "a"), account("create", "flux", "b"), binding("a"), binding("b")}},
		{"it is there", with, asked(), nil},
		{"a file that names it", with, asked(exactly, fluxAccount("flux")), nil},
		{"a file that does not", with, asked(exactly), []string{record, account("delete", "flux", "a"), account("delete", "flux", "b"), binding("a"), binding("b")}},
		{"it is taken away", with, asked(func(r *Request) { r.Unset = []Setting{SettingFluxAccount} }),
			[]string{record, account("delete", "flux", "a"), account("delete", "flux", "b"), binding("a"), binding("b")}},
		{"another name", with, asked(fluxAccount("deploys")), []string{record, binding("a"), binding("b"),
			account("create", "deploys", "a"), account("create", "deploys", "b"), account("delete", "flux", "a"), account("delete", "flux", "b")}},
		{"a namespace is taken away", with, asked(namespaces("a"), pruning), []string{record, "update Namespace a:", "update Namespace b:", "delete RoleBinding helm-tenant.t.admin in namespace b", account("delete", "flux", "b")}},
		{"somebody else's account", existing.with(foreign), asked(fluxAccount("flux")), []string{"error: ServiceAccount flux in namespace b was not made by helm-tenant"}},
		{"all namespaces", empty(), asked(everywhere, fluxAccount("flux"), accept(RiskClusterWide)), []string{"error: fluxAccount: a tenant of all namespaces has no accounts in its namespaces"}},
		{"a freeze", with, FreezeRequest("t", "INC-1", noon), []string{record, "update Namespace a:", "update Namespace b:", "update Namespace t-tiller:",
			"create ValidatingAdmissionPolicy ", "create ValidatingAdmissionPolicyBinding ", "create ValidatingAdmissionPolicyBinding "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps, _, _ := test.world.steps(t, test.request)
			checkSteps(t, test.name, steps, test.want...)
		})
	}
	// A member may have tokens of an existing account, whatever its label says.
	for _, test := range []struct {
		label   string
		request Request
	}{{"", asked(fluxAccount("flux"), adopting)}, {"t", asked(fluxAccount("flux"))}} {
		prepared := foreign.DeepCopy()
		if test.label != "" {
			prepared.Labels = map[string]string{tenant.LabelTenant: test.label}
		}
		world := existing.with(prepared)
		steps, notes, _ := world.steps(t, test.request)
		if !slices.Contains(steps, account("replace", "flux", "b")) || !slices.Contains(steps, account("create", "flux", "a")) {
			t.Errorf("of an account that was there, labelled %q, becomes %q", test.label, steps)
		}
		if want := `service account flux in namespace "b" is created again: every token of it ends`; !slices.Contains(notes, want) {
			t.Errorf("labelled %q, it notes %q", test.label, notes)
		}
		if second, _, _ := world.after(t, test.request).steps(t, test.request); len(second) > 0 {
			t.Errorf("labelled %q, again it does %q", test.label, second)
		}
	}
	for _, object := range with.objects {
		if b, ok := object.(*rbacv1.RoleBinding); ok && b.Name == "helm-tenant.t.admin" {
			want := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "t-tiller", Name: "tiller"}, {Kind: "ServiceAccount", Namespace: b.Namespace, Name: "flux"}}
			if diff := cmp.Diff(want, b.Subjects); diff != "" {
				t.Errorf("subjects in %s, -want +got:\n%s", b.Namespace, diff)
			}
		}
	}
	prepared, err := decide(existing.facts(t, asked(fluxAccount("flux"))), asked(fluxAccount("flux")))
	if err != nil || len(prepared.Warnings) != 1 || !strings.Contains(prepared.Warnings[0], "whoever may run pods or mint tokens there can act as it") {
		t.Errorf("it warns %q, %v", prepared.Warnings, err)
	}
	if _, notes, _ := with.steps(t, FreezeRequest("t", "INC-1", noon)); !slices.ContainsFunc(notes, func(note string) bool { return strings.Contains(note, "the freeze holds service account flux") }) {
		t.Errorf("a freeze says %q", notes)
	}
	// One that only carries the label is a member's, and stays.
	labelled := foreign.DeepCopy()
	labelled.Name, labelled.Labels = "own", map[string]string{tenant.LabelTenant: "t"}
	_, c := with.with(labelled).start(t)
	removal, err := prepareRemoval(t.Context(), c, "t", false)
	if err != nil {
		t.Fatal(err)
	}
	var removed []string
	for _, step := range stepsOf(removal.Prepared.Plan) {
		if strings.Contains(step, "ServiceAccount") && !strings.Contains(step, "t-tiller") {
			removed = append(removed, step)
		}
	}
	if want := []string{account("delete", "flux", "a"), account("delete", "flux", "b")}; !slices.Equal(removed, want) {
		t.Errorf("a destroy does %q", removed)
	}
}

// TestFluxObjects: the objects for Flux are those of init, and a Kustomization.
func TestFluxObjects(t *testing.T) {
	team := tenant.Tenant{Name: "t", Namespaces: []string{"a", "kube-system"}, Engine: tenant.EngineImpersonation}.WithDefaults()
	flux := Flux{Account: "flux", SourceKind: "Bucket"}
	objects, err := flux.Objects(team)
	if err != nil || len(objects) != 3 {
		t.Fatalf("%v, %v", objects, err)
	}
	team.FluxAccount = "flux"
	var want []any
	for _, object := range empty().after(t, asked(engine(tenant.EngineImpersonation), namespaces("a", "kube-system"), fluxAccount("flux"), accept(RiskSystemNamespace))).objects {
		meta := object.(metav1.Object)
		if meta.GetNamespace() != "a" || !slices.Contains([]string{"ServiceAccount", "RoleBinding"}, object.GetObjectKind().GroupVersionKind().Kind) {
			continue
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			t.Fatal(err)
		}
		delete(content["metadata"].(map[string]any), "creationTimestamp")
		want = append(want, content)
	}
	slices.SortFunc(want, func(a, b any) int {
		return -strings.Compare(a.(map[string]any)["kind"].(string), b.(map[string]any)["kind"].(string))
	})
	want = append(want, map[string]any{"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
		"metadata": map[string]any{"name": "t", "namespace": "a", "labels": map[string]any{tenant.LabelManagedBy: tenant.ManagedBy}},
		"spec": map[string]any{"interval": "10m", "path": "./a", "prune": true, "serviceAccountName": "flux", "targetNamespace": "a",
			"sourceRef": map[string]any{"kind": "Bucket", "name": "t"}}})
	var got []any
	for _, object := range objects {
		got = append(got, object.Object)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	team.FluxAccount = "deploys"
	if objects, err = flux.Objects(team); err != nil || objects[0].GetName() != "deploys" {
		t.Errorf("the account of the record is not taken: %v, %v", objects, err)
	}
	for _, one := range []tenant.Tenant{{Name: "t", AllNamespaces: true}, {Name: "t", Namespaces: []string{"kube-system"}}} {
		if objects, err := flux.Objects(one.WithDefaults()); err == nil {
			t.Errorf("of %v: %v", one, objects)
		}
	}
}

func TestParseFluxSource(t *testing.T) {
	for text, want := range map[string]string{
		"apps": "GitRepository apps", "Bucket": "Bucket ", "OCIRepository/apps.v1": "OCIRepository apps.v1", "ExternalArtifact/a": "ExternalArtifact a",
		"": "", "/": "", "Secret/a": "", "GitRepository/": "", "GitRepository/a/b": "", "a b": "", "-a": "", "Apps": "", "a\nb": "", "gitrepository": "GitRepository gitrepository",
	} {
		kind, name, err := ParseFluxSource(text)
		if got := kind + " " + name; (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}
