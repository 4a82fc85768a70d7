package audit

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/version"

	"helm-tenant/tenant"
)

func TestServerWithFlags(t *testing.T) {
	for plugins, want := range map[string]bool{"": false, "PodSecurity": true, "[PodSecurity]": true, "[DefaultStorageClass,PodSecurity]": true, "[PodSecurityPolicy]": false} {
		if got := serverOfMinor(37).WithFlags(map[string]string{"disable-admission-plugins": plugins}).NoPodSecurity; got != want {
			t.Errorf("with the plugins %q off NoPodSecurity is %t", plugins, got)
		}
	}
	if !serverOfMinor(22).NoPodSecurity || serverOfMinor(23).NoPodSecurity || serverOfMinor(0).NoPodSecurity {
		t.Error("PodSecurity is on from 1.23, and where the version is not known")
	}
	if !serverOfMinor(18).NoSeccompProfile || serverOfMinor(19).NoSeccompProfile || serverOfMinor(0).NoSeccompProfile {
		t.Error("pods have a field for the seccomp profile from 1.19 on, and where the version is not known")
	}
}

// A level that the API server does not enforce is reported once, where a tenant asks for one.
func TestPodSecurityThatIsOff(t *testing.T) {
	held := team("a", tenant.EngineTiller)
	held.PodSecurity = tenant.PodSecurityBaseline
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		want   int
	}{
		{"off", func(s *Snapshot) { s.Server.NoPodSecurity = true }, 1},
		{"on", func(*Snapshot) {}, 0},
		{"off, and nobody asks", func(s *Snapshot) {
			s.Server.NoPodSecurity, s.Records[0].Tenant.PodSecurity = true, tenant.PodSecurityPrivileged
		}, 0},
		{"off, and a webhook stands in", func(s *Snapshot) {
			s.Server.NoPodSecurity, s.WebhookNames = true, map[string][]string{"ValidatingWebhookConfiguration": {"pod-security-webhook.kubernetes.io"}}
		}, 0},
	} {
		s := sceneOf(held)
		test.change(s)
		local := func(f Finding) bool { return f.Subject == "the API server" }
		if findings := found(s, idLoosened); len(slices.DeleteFunc(findings, func(f Finding) bool { return !local(f) })) != test.want {
			t.Errorf("%s: %v", test.name, findings)
		}
	}
}

func TestServerOfVersion(t *testing.T) {
	for _, test := range []struct {
		info  version.Info
		minor int
	}{
		{version.Info{Minor: "24"}, 24},
		{version.Info{Minor: "34+"}, 34},
		{version.Info{Minor: "37", EmulationMinor: "36", GitVersion: "v1.37.2"}, 36},
		{version.Info{GitVersion: "v1.24.17"}, 24},
		{version.Info{GitVersion: "v1.36.3-eks-1234"}, 36},
		{version.Info{GitVersion: "unknown"}, 0},
		{version.Info{}, 0},
	} {
		if got, want := ServerOf(test.info), serverOfMinor(test.minor); got != want {
			t.Errorf("%+v: got %+v, want %+v", test.info, got, want)
		}
	}
}
