package recognise

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestListenerOf(t *testing.T) {
	const tillers, own = "ghcr.io/helm/tiller:v2.17.0", "registry.example/tools:1"
	named := []corev1.ContainerPort{{Name: "metrics", ContainerPort: 1}, {Name: "tiller", ContainerPort: 7000}}
	for _, test := range []struct {
		name string
		c    corev1.Container
		want Listener
	}{
		{"helm init's", corev1.Container{Image: tillers}, Listener{false, 44134}},
		{"helm init's, whatever it declares", corev1.Container{Image: tillers, Ports: named}, Listener{false, 44134}},
		{"ours", corev1.Container{Image: tillers, Command: []string{"/tiller", "--listen=localhost:44134"}}, Listener{true, 44134}},
		{"another port", corev1.Container{Image: tillers, Args: []string{"--listen=:9000"}}, Listener{false, 9000}},
		{"one dash, two words", corev1.Container{Image: tillers, Args: []string{"-listen", "0.0.0.0:9000"}}, Listener{false, 9000}},
		{"the last one counts", corev1.Container{Image: tillers, Args: []string{"--listen=localhost:44134", "--listen=:9000"}}, Listener{false, 9000}},
		{"a variable", corev1.Container{Image: tillers, Args: []string{"--listen=:$(PORT)"}, Env: []corev1.EnvVar{{Name: "PORT", Value: "9000"}}}, Listener{false, 9000}},
		{"a variable from elsewhere", corev1.Container{Image: tillers, Args: []string{"--listen=:$(PORT)"}}, Listener{false, 0}},
		{"the loopback of version 6", corev1.Container{Image: tillers, Args: []string{"--listen=[::1]:9000"}}, Listener{true, 9000}},
		{"all of version 6", corev1.Container{Image: tillers, Args: []string{"--listen=[::]:9000"}}, Listener{false, 9000}},
		{"no address", corev1.Container{Image: tillers, Args: []string{"--listen=localhost"}}, Listener{false, 0}},
		{"a script", corev1.Container{Image: own, Command: []string{"sh", "-c", "exec /tiller -listen=:9000"}}, Listener{false, 9000}},
		{"an entry point that is not known", corev1.Container{Image: own, Ports: named}, Listener{false, 7000}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := ListenerOf(&test.c); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
