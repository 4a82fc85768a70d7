package audit

import (
	"slices"
	"strings"
	"testing"

	"helm-tenant/tenant"
)

// TestDefinitions: the definition of a lender's kind leads to every deployer if the API server
// has the kind; no other definition does.
func TestDefinitions(t *testing.T) {
	eve := User("eve")
	const flux, argo = "helm.toolkit.fluxcd.io", "argoproj.io"
	define := func(verb string, names ...string) func(*Snapshot) {
		return func(s *Snapshot) { s.give("", "x", eve, rule(definitionsGroup, definitions, verb, names...)) }
	}
	borrows := []string{"HT079 high user eve"}
	for _, test := range []struct {
		name   string
		groups []string
		plant  func(*Snapshot)
		want   []string
	}{
		{"all definitions", []string{flux}, define("patch"), borrows},
		{"all definitions, to update", []string{"example.com", argo}, define("update"), borrows},
		{"all definitions of a cluster without such a controller", []string{"example.com"}, define("patch"), nil},
		{"the one of Flux's releases", []string{flux}, define("update", "helmreleases.helm.toolkit.fluxcd.io"), borrows},
		{"the one of Flux's sources", []string{flux, "source.toolkit.fluxcd.io"}, define("update", "gitrepositories.source.toolkit.fluxcd.io"), borrows},
		{"the one of Flux's alerts", []string{flux, "notification.toolkit.fluxcd.io"}, define("update", "alerts.notification.toolkit.fluxcd.io"), nil},
		{"the one of certificates, which act on no tenant", []string{"cert-manager.io"}, define("update", "certificates.cert-manager.io"), nil},
		{"all definitions of a cluster whose controllers only make pods", []string{"keda.sh", "ray.io"}, define("patch"), []string{"HT079 medium user eve"}},
		{"the one of such objects", []string{"ray.io"}, define("update", "rayjobs.ray.io"), []string{"HT079 medium user eve"}},
		{"the one of such objects that the cluster does not have", []string{"keda.sh"}, define("update", "rayjobs.ray.io"), nil},
		{"the one of such objects beside a lender", []string{flux, "ray.io"}, define("update", "rayjobs.ray.io"), []string{"HT079 medium user eve"}},
		{"an operator of such objects", []string{"ray.io"}, func(s *Snapshot) {
			s.give("", "x", Account("kuberay", "operator"), rule(definitionsGroup, definitions, "*"))
		}, []string{"HT079 low service account kuberay:operator"}},
		{"everybody, of such objects", []string{"ray.io"}, func(s *Snapshot) {
			s.give("", "x", Group("system:authenticated"), rule(definitionsGroup, definitions, "patch"))
		}, []string{"HT079 high group system:authenticated"}},
		{"to make and delete them", []string{flux}, func(s *Snapshot) {
			s.give("", "x", eve, rule(definitionsGroup, definitions, "create"), rule(definitionsGroup, definitions, "delete"))
		}, nil},
		{"their status", []string{flux}, func(s *Snapshot) { s.give("", "x", eve, rule(definitionsGroup, definitions+"/status", "update")) }, nil},
		{"in a namespace, where none is", []string{flux}, func(s *Snapshot) { s.give("c", "x", eve, rule(definitionsGroup, definitions, "patch")) }, nil},
		{"for everybody", []string{flux}, func(s *Snapshot) {
			s.give("", "x", Group("system:authenticated"), rule(definitionsGroup, definitions, "patch"))
		}, []string{"HT079 critical group system:authenticated"}},
		{"an account of kube-system", []string{flux}, func(s *Snapshot) {
			s.give("", "x", Account("kube-system", "addon"), rule(definitionsGroup, "*", "*"))
		}, []string{"HT079 medium service account kube-system:addon"}},
		{"an account of Flux's own", []string{flux}, func(s *Snapshot) {
			s.give("", "x", Account("flux-system", "helm-controller"), rule(definitionsGroup, "*", "*"))
		}, nil},
		{"an account of Flux's own beside another controller", []string{flux, "kyverno.io"}, func(s *Snapshot) {
			s.give("", "x", Account("flux-system", "helm-controller"), rule(definitionsGroup, "*", "*"))
		}, []string{"HT079 high service account flux-system:helm-controller"}},
		{"the objects as well", []string{flux}, func(s *Snapshot) {
			s.give("", "x", eve, rule(definitionsGroup, definitions, "patch"), rule(flux, "helmreleases", "create"))
		}, []string{"HT079 high user eve", "HT079 high user eve"}},
		{"an administrator", []string{flux}, func(s *Snapshot) { s.give("", "x", eve, rule("*", "*", "*")) }, []string{"HT022 high user eve"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(tenant.Tenant{Name: "a", Namespaces: []string{"a-1"}, Engine: tenant.EngineImpersonation, Members: tenant.Members{tenant.User("alice")}})
			s.APIGroups = test.groups
			test.plant(s)
			compareFindings(t, s, true, test.want)
			var reaches []string
			for _, way := range NewReach(s).Ways("a-helm", eve) {
				reaches = append(reaches, way.IDs...)
			}
			want := slices.Contains([]string{"HT079 high user eve", "HT022 high user eve", "HT079 critical group system:authenticated"}, strings.Join(slices.Compact(test.want), " "))
			if slices.Contains(reaches, "change-definition") != want {
				t.Errorf("eve has the ways %q", reaches)
			}
		})
	}
}
