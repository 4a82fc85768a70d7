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

// Argo CD compares destinations as patterns: a server of "*" would be every cluster.
func TestArgoCDCheck(t *testing.T) {
	for server, good := range map[string]bool{
		"https://kubernetes.default.svc": true, "https://10.0.0.1:6443/k8s/clusters/c-1": true, "https://[fd00::1]:6443": true, "http://127.0.0.1:8001": true,
		"": false, "*": false, "https://*": false, "https://*.example.com": false, "in-cluster": false, "https://": false, "https://{a,b}.example.com": false, "https://a b": false, "ftp://x": false,
	} {
		if err := (ArgoCD{Namespace: "argocd", Server: server}).Check(); (err == nil) != good {
			t.Errorf("server %q: %v", server, err)
		}
	}
	for namespace, good := range map[string]bool{"argocd": true, "": false, "A B": false, "a\nb: c": false} {
		if err := (ArgoCD{Namespace: namespace, Server: "https://x"}).Check(); (err == nil) != good {
			t.Errorf("namespace %q: %v", namespace, err)
		}
	}
}
