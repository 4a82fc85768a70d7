package audit

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestDifferences: what a pod has beyond its template, in templates that nobody made with
// helm-tenant.
func TestDifferences(t *testing.T) {
	type spec = corev1.PodSpec
	certificates := func(name string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "tiller-secret"}}}
	}
	tokenWith := func(name, configMap string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: configMap}}},
		}}}}
	}
	const account = "/var/run/secrets/kubernetes.io/serviceaccount"
	mount := func(s *spec, v corev1.Volume, at string) {
		s.Volumes = append(s.Volumes, v)
		s.Containers[0].VolumeMounts = append(s.Containers[0].VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: at})
	}
	variable := func(s *spec, name, value string) {
		s.Containers[0].Env = append(s.Containers[0].Env, corev1.EnvVar{Name: name, Value: value})
	}
	from := func(name string) corev1.EnvFromSource {
		return corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
	}
	nothing := func(*spec) {}
	for _, test := range []struct {
		name           string
		template, then func(*spec)
		want           string
	}{
		{"nothing", nothing, nothing, ""},
		{"a variable twice in the template", func(s *spec) { variable(s, "TILLER_HISTORY_MAX", "1"); variable(s, "TILLER_HISTORY_MAX", "2") }, nothing, ""},
		{"the first of them again", func(s *spec) { variable(s, "TILLER_HISTORY_MAX", "1"); variable(s, "TILLER_HISTORY_MAX", "2") },
			func(s *spec) { variable(s, "TILLER_HISTORY_MAX", "1") }, "environment"},
		{"a variable of Tiller's that the template has not", nothing, func(s *spec) { variable(s, "TILLER_NAMESPACE", "x") }, "environment"},
		{"another API server", nothing, func(s *spec) { variable(s, "KUBECONFIG", "/x") }, "environment"},
		{"a proxy of the cloud's", nothing, func(s *spec) { variable(s, "HTTPS_PROXY", "http://proxy") }, ""},
		{"all variables of a ConfigMap", nothing, func(s *spec) { s.Containers[0].EnvFrom = []corev1.EnvFromSource{from("x")} }, "environment"},
		{"those of the template", func(s *spec) { s.Containers[0].EnvFrom = []corev1.EnvFromSource{from("x")} }, nothing, ""},
		{"those of another", func(s *spec) { s.Containers[0].EnvFrom = []corev1.EnvFromSource{from("x")} },
			func(s *spec) { s.Containers[0].EnvFrom = []corev1.EnvFromSource{from("y")} }, "environment"},
		{"a volume of the template", func(s *spec) { mount(s, certificates("certs"), "/etc/certs") }, nothing, ""},
		{"another volume by its name", func(s *spec) { mount(s, certificates("certs"), "/etc/certs") }, func(s *spec) {
			s.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
		}, "volumes"},
		{"a disk", nothing, func(s *spec) {
			s.Containers[0].VolumeDevices = []corev1.VolumeDevice{{Name: "x", DevicePath: "/dev/x"}}
		}, "volume mounts"},
		{"the account's token", nothing, func(s *spec) { mount(s, tokenWith("kube-api-access-x", "kube-root-ca.crt"), account) }, ""},
		{"the account's token on an older server", nothing, func(s *spec) {
			mount(s, corev1.Volume{Name: "tiller-token-x", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "tiller-token-x"}}}, account)
		}, ""},
		{"the token with certificates of another API server", nothing, func(s *spec) { mount(s, tokenWith("kube-api-access-x", "mine"), account) }, "volume mounts"},
		{"other certificates by another way", nothing, func(s *spec) { mount(s, tokenWith("x", "mine"), "/var/run/secrets/x/../kubernetes.io") }, "volume mounts"},
		{"other certificates in a Secret", nothing, func(s *spec) { mount(s, certificates("x"), account) }, "volume mounts"},
		{"other certificates in a folder", nothing, func(s *spec) {
			mount(s, corev1.Volume{Name: "x", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}, account)
		}, "volume mounts"},
		{"the template's own", func(s *spec) { mount(s, certificates("x"), account) }, nothing, ""},
		{"names of the pod's own", nothing, func(s *spec) {
			s.HostAliases = []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"api.example.com"}}}
		}, "host aliases"},
		{"a capability", nothing, func(s *spec) {
			s.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}
		}, "capabilities"},
		{"what OpenShift's admission sets", nothing, func(s *spec) {
			s.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: new(int64(1000650000)), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"MKNOD"}}}
		}, ""},
		{"another folder", nothing, func(s *spec) { s.Containers[0].WorkingDir = "/tmp" }, "command"},
	} {
		t.Run(test.name, func(t *testing.T) {
			template := spec{Containers: []corev1.Container{{Name: "tiller", Image: "tiller", Env: []corev1.EnvVar{{Name: "A", Value: "1"}}}}}
			test.template(&template)
			pod := *template.DeepCopy()
			test.then(&pod)
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			if got := podDifferences(template, pod); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
