package cli

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/tenant"
)

func TestStaleness(t *testing.T) {
	known := tenant.Known{Name: "team-a", HomeNamespace: "team-a-helm", Engine: tenant.EngineImpersonation, Namespaces: []string{"a", "b"}}
	record := tenant.Tenant{Name: "team-a", HomeNamespace: "team-a-helm", Engine: tenant.EngineImpersonation, Namespaces: []string{"a", "b"}}
	changed := func(change func(*tenant.Tenant)) tenant.Tenant { next := record; change(&next); return next }
	for _, test := range []struct {
		name   string
		record tenant.Tenant
		err    error
		want   string
	}{
		{"the same", record, nil, ""},
		{"other namespaces", changed(func(r *tenant.Tenant) { r.Namespaces = []string{"a", "c"} }), nil, "the kubeconfig is stale: it remembers namespaces a,b, which the record gives as a,c"},
		{"another default", changed(func(r *tenant.Tenant) { r.Namespaces = []string{"b", "a"} }), nil, "the kubeconfig is stale: it remembers namespaces a,b, which the record gives as b,a"},
		{"all namespaces", changed(func(r *tenant.Tenant) { r.Namespaces, r.AllNamespaces = nil, true }), nil, "the kubeconfig is stale: it remembers namespaces a,b, which the record gives as all namespaces"},
		{"another engine", changed(func(r *tenant.Tenant) { r.Engine = tenant.EngineBoth }), nil, "the kubeconfig is stale: it remembers engine impersonation, which the record gives as both"},
		{"no record", tenant.Tenant{}, apierrors.NewNotFound(schema.GroupResource{}, "x"), `the kubeconfig remembers namespace "team-a-helm" as the tenant's home, and there is no record there any more`},
		{"it can't be read", tenant.Tenant{}, errors.New("no"), ""},
	} {
		if got := staleness(known, test.record, test.err); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestTillerText(t *testing.T) {
	for want, shown := range map[string]tiller{
		"v2.17.0, 1 of 1 ready, answers as v2.17.0": {Version: "v2.17.0", Pods: 1, Ready: 1, Answers: true, Answer: "v2.17.0"},
		"v2.17.0, 1 of 1 ready, not asked":          {Version: "v2.17.0", Pods: 1, Ready: 1, Unasked: true},
		"0 of 0 ready, does not answer":             {},
	} {
		if got := shown.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	w := whoami{HomeNamespace: "h", Tiller: &tiller{Unasked: true, Problem: "only Helm 2 can talk to it"}}
	if err := silentTiller(w, &tenant.Kubeconfig{Context: "c"}); err == nil || !strings.Contains(err.Error(), `was not asked: only Helm 2`) {
		t.Error(err)
	}
}
