package audit

import (
	"testing"

	"helm-tenant/tenant"
)

// TestUnownedReleases: releases that came from Tiller are reported until the record notes that
// their objects name them.
func TestUnownedReleases(t *testing.T) {
	moved := []ObjectRef{{"release", "m-1", "db"}, {"release", "m-1", "web"}}
	for _, test := range []struct {
		name   string
		change func(*Record)
		want   string
	}{
		{"two", func(r *Record) { r.Moved = moved }, "2 releases came from Tiller, and it is not known whether their objects name their release"},
		{"one", func(r *Record) { r.Moved = moved[:1] }, "a release came from Tiller, and it is not known whether its objects name it"},
		{"none", func(*Record) {}, ""},
		{"noted", func(r *Record) { r.Moved, r.OwnershipSet = moved, true }, ""},
		{"while it migrates", func(r *Record) { r.Moved, r.Migrating = moved, &tenant.Migration{Phase: tenant.PhaseVerified} }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("m", tenant.EngineImpersonation))
			test.change(&s.Records[0])
			got := found(s, idUnowned)
			switch {
			case test.want == "" && len(got) == 0:
			case test.want == "" || len(got) != 1 || got[0].Text != test.want || got[0].Fix.String() != "helm tenant migrate m --stamp":
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestClusterObjects: a release's objects outside namespaces are reported unless its tenant has
// all of them.
func TestClusterObjects(t *testing.T) {
	s := sceneOf(team("m", tenant.EngineTiller))
	s.Releases = []Release{{Home: "m-tiller", Name: "web", Namespace: "m-1", Record: ObjectRef{"Secret", "m-tiller", "web.v1"}, ClusterObjects: []string{"ClusterRole reader"}},
		{Home: "m-tiller", Name: "db", Namespace: "m-1", Record: ObjectRef{"Secret", "m-tiller", "db.v1"}}}
	got := found(s, idClusterObjects)
	if len(got) != 1 || got[0].Text != "release web in namespace m-1 holds objects outside namespaces: ClusterRole reader" {
		t.Errorf("got %v", got)
	}
	s.Records[0].Tenant.AllNamespaces = true
	if got := found(s, idClusterObjects); len(got) > 0 {
		t.Errorf("of a tenant of all namespaces: got %v", got)
	}
}
