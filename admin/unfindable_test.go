package admin

import (
	"strings"
	"testing"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
)

// TestUnfindable: what can't be looked for is said with the reason.
func TestUnfindable(t *testing.T) {
	named := migrate.Object{Resource: migrate.Resource{APIVersion: "v1", Kind: "ConfigMap", Name: "x"}, Namespace: "a"}
	nameless := named
	nameless.Name = ""
	for _, test := range []struct {
		object migrate.Object
		kind   *cluster.ServedKind
		want   string
	}{
		{named, &cluster.ServedKind{}, ""},
		{named, nil, "does not serve the kind in v1"},
		{nameless, &cluster.ServedKind{}, "generateName"},
	} {
		got := errorText(unfindable(test.object, test.kind))
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.object, got, test.want)
		}
	}
	if got := nameless.String(); got != "ConfigMap without a name in namespace a" {
		t.Error(got)
	}
}

// TestRemovalTakes: what is in a namespace that is deleted with the tenant is not left behind.
func TestRemovalTakes(t *testing.T) {
	_, c := empty().start(t)
	write(t, c, asked(namespaces("made"), func(r *Request) { r.CreateNamespaces = true }))
	for withNamespaces, want := range map[bool]bool{true: true, false: false} {
		removal, err := prepareRemoval(t.Context(), c, "t", withNamespaces)
		if err != nil {
			t.Fatal(err)
		}
		if removal.Takes("made") != want || removal.Takes("a") || removal.Takes("") {
			t.Errorf("with namespaces %t: made %t, a %t", withNamespaces, removal.Takes("made"), removal.Takes("a"))
		}
	}
}
