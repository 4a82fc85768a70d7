package admin

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

func TestAppProject(t *testing.T) {
	argo := ArgoCD{Namespace: "argocd", Server: "https://here"}
	for _, test := range []struct {
		engine  tenant.Engine
		account string
	}{{tenant.EngineTiller, "t-tiller:tiller"}, {tenant.EngineImpersonation, "t-helm:helm"}, {tenant.EngineBoth, "t-tiller:helm"}} {
		project, err := argo.AppProject(tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Engine: test.engine}.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"description": "tenant t of helm-tenant", "sourceRepos": []any{"*"}, "clusterResourceWhitelist": []any{},
			"destinations":               []any{map[string]any{"server": "https://here", "namespace": "a"}},
			"destinationServiceAccounts": []any{map[string]any{"server": "https://here", "namespace": "a", "defaultServiceAccount": test.account}},
		}
		if diff := cmp.Diff(want, project["spec"]); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.engine, diff)
		}
	}
	for _, one := range []tenant.Tenant{{Name: "t", AllNamespaces: true}, {Name: "default", Namespaces: []string{"a"}}} {
		if project, err := argo.AppProject(one.WithDefaults()); err == nil {
			t.Errorf("%s is %v", one.Name, project)
		}
	}
}
