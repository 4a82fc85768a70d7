package audit

import (
	"slices"
	"strings"
	"testing"

	"helm-tenant/tenant"
)

// Only an init of a tenant with a Tiller writes the admission policy.
func TestAdmissionIsMendedByTenantWithTiller(t *testing.T) {
	broken := sceneOf(team("bad", tenant.EngineTiller), team("good", tenant.EngineTiller))
	broken.Records[0].Problem = "it is no YAML"
	for _, test := range []struct {
		name string
		s    *Snapshot
		want string
	}{
		{"the first has no Tiller", sceneOf(team("a", tenant.EngineImpersonation), team("b", tenant.EngineBoth), team("c", tenant.EngineTiller)), "helm tenant init b"},
		{"the first can't be read", broken, "helm tenant init good"},
		{"nobody has a Tiller", sceneOf(team("a", tenant.EngineImpersonation)), ""},
	} {
		test.s.Admission = AdmissionMissing
		var got string
		for _, f := range found(test.s, idAdmission) {
			got += f.Fix.String()
		}
		if got != test.want {
			t.Errorf("%s: the fix is %q, not %q", test.name, got, test.want)
		}
	}
}

// init refuses a tenant that is being migrated: no finding says to type it first.
func TestMigrationIsEndedFirst(t *testing.T) {
	for phase, want := range map[tenant.Phase]string{
		tenant.PhaseFrozen:    "helm tenant migrate a; helm tenant migrate a --finish",
		tenant.PhaseVerified:  "helm tenant migrate a --finish",
		tenant.PhaseFinishing: "helm tenant migrate a --finish",
		tenant.PhaseAborting:  "helm tenant migrate a --abort",
	} {
		s := sceneOf(team("a", tenant.EngineTiller))
		s.Records[0].Migrating = &tenant.Migration{Phase: phase}
		stopped := int32(0)
		s.Workloads[0].Deployment.Replicas = &stopped
		got := Audit(s, Options{}).Findings
		if len(got) != 1 || got[0].ID != idDrift || got[0].Fix.String() != want || !strings.Contains(got[0].Text, "its Tiller is") {
			t.Errorf("%s: found %+v", phase, got)
		}
		began := phase == tenant.PhaseFinishing || phase == tenant.PhaseAborting
		if back := got[0].Or; began != (len(back) == 0) || !began && back[0].String() != "helm tenant migrate a --abort" {
			t.Errorf("%s: the other way is %v", phase, back)
		}
		s.Accounts, s.Workloads = nil, nil
		for _, f := range Audit(s, Options{}).Findings {
			if !strings.HasPrefix(f.Fix.String(), want) {
				t.Errorf("%s: %s: the fix is %s", phase, f.Text, f.Fix)
			}
		}
	}
}

// A tenant's storage can't be changed by init.
func TestReleasesInConfigMapsAreMendedByMigrating(t *testing.T) {
	maps := team("maps", tenant.EngineTiller)
	maps.Tiller.Storage = tenant.StorageConfigMap
	got := found(sceneOf(maps), idConfigMaps)
	if len(got) != 1 || got[0].Fix.String() != "helm tenant migrate maps; helm tenant migrate maps --finish" {
		t.Errorf("of releases in ConfigMaps is told %+v", got)
	}
	strays := sceneOf(team("strays", tenant.EngineTiller))
	command := strays.Workloads[0].Template.Spec.Containers[0].Command
	for i, word := range command {
		command[i] = strings.Replace(word, "--storage=secret", "--storage=configmap", 1)
	}
	if got := found(strays, idConfigMaps); len(got) != 1 || got[0].Fix.String() != "helm tenant init strays --storage=configmap" {
		t.Errorf("of releases in ConfigMaps against the record is told %+v", got)
	}
}

// TestPodSecurityOfForeignHome: init gives no level to a home that holds objects of others, so the
// fix says more where helm-tenant did not create the home; kube-system can have none.
func TestPodSecurityOfForeignHome(t *testing.T) {
	for _, test := range []struct {
		home    string
		created bool
		want    string
	}{
		{"a-tiller", true, "helm tenant init a"},
		{"old", false, "where the namespace holds objects of others, init leaves its level to you: set its label pod-security.kubernetes.io/enforce to restricted"},
		{"kube-system", false, ""},
	} {
		a := team("a", tenant.EngineTiller)
		a.HomeNamespace = test.home
		s := sceneOf(a)
		for i := range s.Namespaces {
			if s.Namespaces[i].Name != test.home {
				continue
			}
			s.Namespaces[i].Labels = map[string]string{tenant.LabelTenant: "a"}
			if test.created {
				s.Namespaces[i].Labels[tenant.LabelManagedBy] = tenant.ManagedBy
			}
		}
		got := found(s, idPodSecurity)
		if (len(got) == 1) != (test.want != "") {
			t.Errorf("of the home %s is told %+v", test.home, got)
			continue
		}
		if test.want == "" {
			continue
		}
		if text := got[0].Fix.String(); !slices.Contains(append(got[0].Fix.Notes, text), test.want) {
			t.Errorf("the fix for the home %s is %q with %q, want %q", test.home, text, got[0].Fix.Notes, test.want)
		}
	}
}
