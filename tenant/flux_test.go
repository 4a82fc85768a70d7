package tenant

import (
	"strings"
	"testing"
)

func TestCheckFluxAccount(t *testing.T) {
	for name, want := range map[string]string{
		"flux": "", "team-a.flux": "",
		"default": "every pod", "helm": "home namespaces", "tiller": "home namespaces", "helm-reader": "home namespaces",
		"": "not a service account's name", "Flux": "not a service account's name", "a/b": "not a service account's name", "a\nb": "not a service account's name",
		"--x": "not a service account's name", strings.Repeat("a", 254): "not a service account's name", "flux\u202e": "not a service account's name",
	} {
		err := CheckFluxAccount(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	team := Tenant{Name: "t", Namespaces: []string{"a", "kube-system"}, FluxAccount: "flux"}
	for ns, want := range map[string]string{"a": "flux", "b": "", "kube-system": ""} {
		if got := team.FluxAccountIn(ns); got != want {
			t.Errorf("in %s: %q", ns, got)
		}
	}
	// Whoever can write a record can't name an account of a home.
	for _, text := range []string{"helm", "default", "'a b'"} {
		if _, err := ReadRecord("name: t\nnamespaces: [a]\nfluxAccount: " + text + "\n"); err == nil || !strings.Contains(err.Error(), "fluxAccount: ") {
			t.Errorf("a record with %s: %v", text, err)
		}
	}
}
