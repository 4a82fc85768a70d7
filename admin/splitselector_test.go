package admin

import (
	"testing"

	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/tenant"
)

// TestSplitSelector: a release goes to the tenant whose namespaceSelector chooses its namespace,
// and what two selectors choose is refused before anything is written.
func TestSplitSelector(t *testing.T) {
	selecting := func(label string) *tenant.NamespaceSelector {
		return &tenant.NamespaceSelector{MatchLabels: map[string]string{"team": label}}
	}
	chosen := namespace("chosen")
	chosen.Labels = map[string]string{"team": "ta"}
	w := unsplit(t).with(chosen, configMapNamed("chosen", "picked"), inConfigMap(record(t, "old", "picked", "chosen", 1, release.Status_DEPLOYED)))

	server, c := w.start(t)
	s := splitting(t, c)
	s.Requests[0].Tenant.NamespaceSelector = selecting("ta")
	if _, err := s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if records := recordsIn(server); records["Secret picked.v1 in namespace ta-tiller"] == "" {
		t.Errorf("the release is not with the tenant: %v", records)
	}

	server, c = w.start(t)
	s = splitting(t, c)
	for i := range s.Requests {
		s.Requests[i].Tenant.NamespaceSelector = selecting("ta")
	}
	_, err := s.Begin(t.Context())
	if want := `tenant "ta": namespace "chosen" matches the namespaceSelectors of the tenants ta, tb: let one of them match, or name it in its namespaces; and 1 more of the tenants`; errorText(err) != want {
		t.Errorf("got %q, want %q", errorText(err), want)
	}
	if writes := server.Writes(); len(writes) > 0 {
		t.Errorf("it wrote %v", writes)
	}
}
