package recognise

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/tenant"
)

// TestKnownStorageOf: the storage in the arguments of Tiller's process, by the image's entry
// point and by variables; empty if it is not known.
func TestKnownStorageOf(t *testing.T) {
	const tillers, own = "ghcr.io/helm/tiller:v2.17.0", "registry.example/tools:1"
	secret := []corev1.EnvVar{{Name: "STORAGE", Value: "secret"}}
	elsewhere := []corev1.EnvVar{{Name: "STORAGE", ValueFrom: &corev1.EnvVarSource{}}}
	for _, test := range []struct {
		name string
		c    corev1.Container
		want tenant.Storage
	}{
		{"helm init's", corev1.Container{Image: tillers}, "configmap"},
		{"arguments of the entry point", corev1.Container{Image: tillers, Args: []string{"--storage=secret"}}, "secret"},
		// The entry point is Tiller already: it takes the word for the end of its flags.
		{"the program among the arguments", corev1.Container{Image: tillers, Args: []string{"/tiller", "--storage=secret"}}, "configmap"},
		{"the same as a command", corev1.Container{Image: tillers, Command: []string{"/tiller", "--storage=secret"}}, "secret"},
		{"another image's entry point", corev1.Container{Image: own, Args: []string{"/tiller", "--storage=secret"}}, ""},
		{"another image's command", corev1.Container{Image: own, Command: []string{"/tiller"}, Args: []string{"--storage=secret"}}, "secret"},
		{"a variable", corev1.Container{Image: tillers, Args: []string{"--storage=$(STORAGE)"}, Env: secret}, "secret"},
		{"a variable, escaped", corev1.Container{Image: tillers, Args: []string{"--storage=$$(STORAGE)"}, Env: secret}, ""},
		{"a variable from elsewhere", corev1.Container{Image: tillers, Args: []string{"--storage=$(STORAGE)"}, Env: elsewhere}, ""},
		{"a shell's variable", corev1.Container{Image: tillers, Command: []string{"sh", "-c", "exec /tiller --storage=${STORAGE}"}, Env: secret}, "secret"},
		{"a shell's variable from elsewhere", corev1.Container{Image: tillers, Command: []string{"sh", "-c", "exec /tiller --storage=$STORAGE"}, Env: elsewhere}, ""},
		{"a script in the image", corev1.Container{Image: tillers, Command: []string{"/start.sh"}}, ""},
		{"a shell's script in the image", corev1.Container{Image: tillers, Command: []string{"sh", "/start.sh"}}, ""},
		{"another flag's variable", corev1.Container{Image: tillers, Args: []string{"--storage=sql", "--sql-connection-string=$(STORAGE)"}, Env: elsewhere}, "sql"},
		{"a variable in the place of flags", corev1.Container{Image: tillers, Command: []string{"sh", "-c", "exec /tiller $FLAGS"}}, ""},
		{"in memory", corev1.Container{Image: tillers, Args: []string{"--storage=memory"}}, "memory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := KnownStorageOf(&test.c); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNamespaceOf(t *testing.T) {
	c := corev1.Container{Env: []corev1.EnvVar{{Name: "TILLER_NAMESPACE", Value: "there"}}}
	if got, _ := NamespaceOf(&c, "here"); got != "there" {
		t.Errorf("got %q", got)
	}
	c.Env[0] = corev1.EnvVar{Name: "TILLER_NAMESPACE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}
	if got, _ := NamespaceOf(&c, "here"); got != "here" {
		t.Errorf("got %q", got)
	}
}

func TestVerifiesClients(t *testing.T) {
	for _, test := range []struct {
		flag, variable string
		want           bool
	}{{"", "", false}, {"--tls-verify", "", true}, {"--tls-verify=false", "1", false}, {"", "1", true}, {"", "0", true}, {"--tls", "", false}} {
		c := corev1.Container{Command: []string{"/tiller"}, Env: []corev1.EnvVar{{Name: "TILLER_TLS_VERIFY", Value: test.variable}}}
		if test.flag != "" {
			c.Args = []string{test.flag}
		}
		if got := VerifiesClients(&c); got != test.want {
			t.Errorf("%q and %q: got %v", test.flag, test.variable, got)
		}
	}
}
