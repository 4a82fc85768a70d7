package admin

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestSelectors: what is written for a tenant whose selector chooses namespaces, and what
// becomes of a namespace that matches no more.
func TestSelectors(t *testing.T) {
	selecting := func(r *Request) {
		r.Tenant.NamespaceSelector = &tenant.NamespaceSelector{MatchLabels: map[string]string{"team": "t"}}
	}
	labelled := func(name string, labels ...string) tenant.LabelledNamespace {
		ns := tenant.LabelledNamespace{Name: name, Labels: map[string]string{}}
		for i := 0; i < len(labels); i += 2 {
			ns.Labels[labels[i]] = labels[i+1]
		}
		return ns
	}
	request := asked(namespaces("a"), exactly, selecting, engine(tenant.EngineImpersonation))
	resolve := func(all ...tenant.LabelledNamespace) Request {
		t.Helper()
		resolved, unresolved := withSelected([]Request{request}, all)
		if unresolved[0] != nil {
			t.Fatal(unresolved[0])
		}
		return resolved[0]
	}
	w := empty().with(namespace("c"))
	existing := w.after(t, resolve(labelled("b", "team", "t"), labelled("kube-system", "team", "t")))
	more := resolve(labelled("b", "team", "t"), labelled("c", "team", "t"), labelled("kube-system", "team", "t"))
	prepared, err := decide(existing.facts(t, more), more)
	if err != nil {
		t.Fatal(err)
	}
	checkSteps(t, "one more matches", stepsOf(prepared.Plan), "update ConfigMap helm-tenant", "update Namespace a: ", "update Namespace b: ", "update Namespace c: ", "create RoleBinding helm-tenant.t.admin in namespace c")
	if diff := cmp.Diff([]string{"b", "c"}, prepared.Tenant.Selected); diff != "" || prepared.Tenant.Namespaces[0] != "a" {
		t.Errorf("default %s, -want +got:\n%s", prepared.Tenant.Namespaces[0], diff)
	}
	if !slices.Contains(prepared.Notes, `namespace "kube-system" matches the namespaceSelector and is left out: it is Kubernetes' own`) {
		t.Errorf("it says %q", prepared.Notes)
	}
	// Who made a namespace can have prepared it. The tenant's own bindings are read with it.
	squatted := existing.with()
	squatted.strangers = map[string][]cluster.Stranger{"b": {{Kind: "RoleBinding", Name: "old"}}, "c": {{Kind: "RoleBinding", Name: "mine"}, {Kind: "RoleBinding", Name: "helm-tenant-member"}, {Kind: "Secret", Name: "forever"}, {Kind: "Pod", Name: "web"}}}
	if got, want := squatted.decide(t, more), `namespace "c" becomes the tenant's by its labels; others can act in it: RoleBinding mine, RoleBinding helm-tenant-member, token Secret forever`; !slices.Contains(got.Notes, want) || slices.ContainsFunc(got.Notes, func(note string) bool { return strings.Contains(note, "RoleBinding old") }) {
		t.Errorf("of a namespace with others' bindings it says %q", got.Notes)
	}
	// The record names b; that namespace was deleted, and made again by somebody else.
	remade := edited(squatted, cluster.Key{Kind: "Namespace", Name: "b"}, func(ns *unstructured.Unstructured) {
		ns.SetLabels(map[string]string{"team": "t"})
		ns.SetAnnotations(nil)
	})
	if got, want := remade.decide(t, resolve(labelled("b", "team", "t"))), `namespace "b" becomes the tenant's by its labels; others can act in it: RoleBinding old`; !slices.Contains(got.Notes, want) {
		t.Errorf("of a namespace that only the record says is the tenant's it says %q", got.Notes)
	}
	steps, notes, _ := existing.steps(t, resolve())
	checkSteps(t, "none matches any more", steps, "update ConfigMap helm-tenant", "update Namespace a: ", "update Namespace b: ", "delete RoleBinding helm-tenant.t.admin in namespace b")
	if !slices.Contains(notes, `namespace "b" is taken from the tenant; what runs in it stays`) {
		t.Errorf("it says %q", notes)
	}
	// An init resolves nothing, and changes nothing; what it names stays when the label goes.
	steps, _, _ = existing.steps(t, Request{Tenant: tenant.Tenant{Name: "t"}})
	checkSteps(t, "init", steps)
	named, err := decide(existing.facts(t, asked(namespaces("b"))), asked(namespaces("b"), engine(tenant.EngineImpersonation)))
	if err != nil || len(named.Tenant.Selected) > 0 || named.Tenant.NamespaceSelector == nil {
		t.Errorf("an init that names it: %+v, %v", named, err)
	}
	// A tenant that is prepared again, alone, knows what the file names for another.
	request.File = []tenant.Tenant{request.Tenant, {Name: "o", Namespaces: []string{"b"}}}
	if second := resolve(labelled("b", "team", "t")); len(second.Tenant.Selected) > 0 {
		t.Errorf("it takes what the file names for another: %q", second.Tenant.Selected)
	}
	request.File = nil
	other := asked(namespaces("c"), exactly, selecting)
	other.Tenant.Name = "o"
	if _, unresolved := withSelected([]Request{request, other}, []tenant.LabelledNamespace{labelled("b", "team", "t")}); unresolved[0] == nil || unresolved[1] == nil {
		t.Errorf("two choose one: %v", unresolved)
	}
	if _, err := Render([]Request{request}, DefaultKubeVersion, noon); err == nil || errorText(err) != `tenant "t": its namespaceSelector chooses namespaces of a cluster: apply the file to one, or name the namespaces` {
		t.Errorf("without a cluster: %v", err)
	}
	_, c := empty().start(t)
	if _, err := Scope(t.Context(), c, []Request{request}); err == nil || errorText(err) != `tenant "t" has a namespaceSelector, which can't be resolved without listing the cluster's namespaces: name its namespaces` {
		t.Errorf("without reading the cluster: %v", err)
	}
}
