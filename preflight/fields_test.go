package preflight

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestIsOwnConflict: the words are those of k8s.io/apimachinery, NewConflictError.
func TestIsOwnConflict(t *testing.T) {
	conflict := func(managers ...string) error {
		var causes []metav1.StatusCause
		for _, manager := range managers {
			causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Message: "conflict with " + manager, Field: ".spec.replicas"})
		}
		return apierrors.NewApplyConflict(causes, "Apply failed")
	}
	const own, byApply, byScale, other = `"helm" using apps/v1 at 2026-01-31T12:00:00Z`, `"helm"`, `"helm" with subresource "scale" using apps/v1`, `"kubectl-edit" using apps/v1`
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"helm's update":                {conflict(own), true},
		"several":                      {conflict(own, `"helm" using v1`), true},
		"another apply of that name":   {conflict(byApply), false},
		"through a subresource":        {conflict(byScale), false},
		"somebody else":                {conflict(other), false},
		"somebody else, too":           {conflict(own, other), false},
		"a name that begins like it":   {conflict(`"helm-operator" using apps/v1`), false},
		"another conflict":             {apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "x", errors.New(`conflict with "helm" using v1`)), false},
		"no conflict":                  {apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", nil), false},
		"an error that is no answer":   {errors.New(`conflict with "helm" using v1`), false},
		"none":                         {nil, false},
		"a conflict without any cause": {conflict(), false},
	} {
		if got := IsOwnConflict(test.err); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// TestValidatedByHelm: old API servers check no fields, so that helm does for all objects.
func TestValidatedByHelm(t *testing.T) {
	for _, test := range []struct {
		server string
		lists  bool
		want   bool
	}{
		{"v1.16.15", false, true}, {"v1.24.17", false, true}, {"v1.24.17+k3s1", false, true}, {"v1.25.0", false, false},
		{"v1.37.2", false, false}, {"v1.37.2", true, true}, {"v1.16.15", true, true}, {"", false, false}, {"something", true, true},
	} {
		r := Rendering{Rendered: Rendered{Lists: test.lists}}
		if got := r.ValidatedByHelm(test.server); got != test.want {
			t.Errorf("%q, lists %t: got %t", test.server, test.lists, got)
		}
	}
	for _, lists := range []bool{false, true} {
		r := Rendering{Rendered: Rendered{Lists: lists}}
		if r.Validated(&Attempt{Failed: true, Said: `Error: unknown field "spce"`}); len(r.Findings) != 1 || (r.Findings[0].Do == "do what helm says") == lists {
			t.Errorf("lists %t: got %+v", lists, r.Findings)
		}
	}
}

// TestInList: what stands in a list, at any depth, is known as such, and nothing else is.
func TestInList(t *testing.T) {
	r := parse(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: alone}\n---\napiVersion: v1\nkind: List\nmetadata: {annotations: {helm.sh/hook: pre-install}}\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: in}}\n"+
		"- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: deep}}]}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: after}\n")
	for _, o := range r.Objects {
		if want := o.GetName() == "in" || o.GetName() == "deep"; o.InList != want || o.Hook != want {
			t.Errorf("%s: in a list %t, a hook %t", o.GetName(), o.InList, o.Hook)
		}
	}
}
