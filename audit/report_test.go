package audit

import (
	"slices"
	"testing"

	"helm-tenant/tenant"
)

// No two findings have the same fingerprint, also of one kind about one subject.
func TestFingerprintsAreDifferent(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineTiller))
	tiller, zoe := Account("a-tiller", "tiller"), User("zoe")
	s.Namespaces = append(s.Namespaces, Namespace{Name: "outside"})
	s.give("outside", "left", tiller, rule("", "pods", "create"))
	s.give("outside", "left-too", tiller, rule("", "pods", "list"))
	s.give("a-1", "bind", tiller, rule(rbacGroup, "roles", "bind"))
	s.give("a-1", "escalate", tiller, rule(rbacGroup, "roles", "escalate"))
	s.give("a-tiller", "enter", zoe, rule("", "pods/exec", "create"), rule("", "secrets", "get"))
	s.give("", "wide", Account("ci", "robot"), rule("", "secrets", "get"))
	s.give("", "wide-too", Account("cd", "robot"), rule("", "secrets", "get"))
	s.give("ci", "use", zoe, rule("", "pods", "create"))
	s.give("cd", "use", zoe, rule("", "pods", "create"))
	for _, namespace := range []string{"outside", "elsewhere"} {
		s.Releases = append(s.Releases, Release{Name: "web", Home: "a-tiller", Namespace: namespace, Record: ObjectRef{Kind: "Secret", Namespace: "a-tiller", Name: "web.v1"}})
	}
	count, known := map[string]int{}, map[string]Finding{}
	for _, f := range Audit(s, Options{}).Findings {
		fingerprint := f.Fingerprint()
		if other, same := known[fingerprint]; same {
			t.Errorf("%s is that of %q and of %q", fingerprint, other.Text, f.Text)
		}
		known[fingerprint] = f
		count[f.ID]++
	}
	for _, id := range []string{idLeaves, idEscalates, idUseAccount, idStray} {
		if count[id] != 2 {
			t.Errorf("%d findings are %s: two should be compared", count[id], id)
		}
	}
	// As others' findings come and go, it stays what it is.
	s.Bindings = slices.DeleteFunc(s.Bindings, func(b Binding) bool { return b.Name == "left-too" })
	for _, f := range found(s, idLeaves) {
		if _, same := known[f.Fingerprint()]; !same {
			t.Errorf("%s is another than before", f.Fingerprint())
		}
	}
}
