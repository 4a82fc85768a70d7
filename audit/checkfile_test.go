package audit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

// TestFileSelectors: findings of an audit with a tenants file about namespaces that its
// selectors select.
func TestFileSelectors(t *testing.T) {
	selector := &tenant.NamespaceSelector{MatchLabels: map[string]string{"team": "a"}}
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		want  []string
	}{
		{"nothing", func(*Snapshot) {}, nil},
		{"another namespace matches", func(s *Snapshot) {
			s.Namespaces = append(s.Namespaces, Namespace{Name: "new", Labels: map[string]string{"team": "a"}})
		}, []string{"namespace new: namespace new matches the namespaceSelector of the file, and is not the tenant's in the cluster"}},
		{"one that is being deleted matches", func(s *Snapshot) {
			s.Namespaces = append(s.Namespaces, Namespace{Name: "old", Labels: map[string]string{"team": "a"}, Terminating: true})
		}, nil},
		{"Kubernetes' own and another tenant's match", func(s *Snapshot) {
			s.Namespaces = append(s.Namespaces, Namespace{Name: "kube-system", Labels: map[string]string{"team": "a"}})
			for i := range s.Namespaces {
				if s.Namespaces[i].Name == "b-1" {
					s.Namespaces[i].Labels["team"] = "a"
				}
			}
		}, nil},
		{"one matches no more", func(s *Snapshot) {
			for i := range s.Namespaces {
				delete(s.Namespaces[i].Labels, "team")
			}
		}, []string{"namespace a-2: namespace a-2 is the tenant's in the cluster, and not in the file"}},
		{"another selector", func(s *Snapshot) { s.Records[0].Tenant.NamespaceSelector = nil },
			[]string{`namespaceSelector: the namespaceSelector is "team=a" in the file, and "" in the cluster`}},
		{"namespaces that can't be seen", func(s *Snapshot) {
			s.Namespaces, s.Unseen = nil, append(s.Unseen, Unseen{Resource: "namespaces", What: "namespaces in all namespaces"})
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := team("a", tenant.EngineImpersonation)
			a.Namespaces, a.Selected, a.NamespaceSelector = []string{"a-1", "a-2"}, []string{"a-2"}, selector
			s := sceneOf(a, team("b", tenant.EngineImpersonation))
			for i := range s.Namespaces {
				if s.Namespaces[i].Name == "a-2" {
					s.Namespaces[i].Labels["team"] = "a"
				}
			}
			a.Namespaces, a.Selected = []string{"a-1"}, nil
			s.File = []tenant.Located{{Tenant: a.WithDefaults(), File: "f", Line: 1}, {Tenant: team("b", tenant.EngineImpersonation).WithDefaults(), File: "f", Line: 9}}
			test.plant(s)
			var got []string
			for _, f := range found(s, idFile) {
				got = append(got, f.Subject+": "+f.Text)
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
