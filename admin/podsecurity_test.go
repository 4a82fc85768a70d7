package admin

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

func TestPodSecurityUnheld(t *testing.T) {
	held := tenant.Tenant{Name: "t", Namespaces: []string{"kube-system", "a"}, Rails: tenant.Rails{PodSecurity: tenant.PodSecurityBaseline}}
	unmanaged, wide, system := held, held, held
	unmanaged.PodSecurity, wide.AllNamespaces, system.Namespaces = tenant.PodSecurityUnmanaged, true, []string{"kube-system"}
	refusal := func(text string) *apierrors.StatusError {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "helm-tenant-x", errors.New(text))
	}
	for _, test := range []struct {
		what   string
		team   tenant.Tenant
		refuse *apierrors.StatusError
		want   string // empty for nothing
		asked  bool
	}{
		{"refused", held, refusal(`violates PodSecurity "baseline:latest": privileged`), "", true},
		{"accepted", held, nil, `does not enforce PodSecurity: it takes a privileged pod in namespace "a"`, true},
		{"no right", held, refusal("User x cannot create resource"), "it is not known whether PodSecurity is enforced:", true},
		{"another admission plugin", held, refusal("exceeded quota: q"), "it is not known whether PodSecurity is enforced:", true},
		{"unmanaged", unmanaged, nil, "", false},
		{"all namespaces", wide, nil, "", false},
		{"Kubernetes' own namespaces", system, nil, "", false},
	} {
		server, c := empty().start(t)
		asked := false
		server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
			if r.Verb != "dry-run" || r.Kind != "Pod" {
				return nil
			}
			asked = true
			return test.refuse
		}
		got := PodSecurityUnheld(t.Context(), c, test.team)
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) || asked != test.asked {
			t.Errorf("%s: %q, asked: %t", test.what, got, asked)
		}
	}
}
