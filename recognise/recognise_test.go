package recognise

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestLabels(t *testing.T) {
	if got := Selector(); got != "app=helm,name=tiller" {
		t.Errorf("the selector is %q", got)
	}
	for _, test := range []struct {
		labels map[string]string
		want   bool
	}{
		{nil, false},
		{map[string]string{"app": "helm"}, false},
		{map[string]string{"app": "helm", "name": "other"}, false},
		{map[string]string{"app": "helm", "name": "tiller", "x": "y"}, true},
	} {
		if got := HasLabels(test.labels); got != test.want {
			t.Errorf("%v: %v", test.labels, got)
		}
	}
	Labels()["app"] = "changed"
	if Labels()["app"] != "helm" {
		t.Error("the labels are one map for all")
	}
}

func TestIsTiller(t *testing.T) {
	digest := "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		name      string
		container corev1.Container
		want      bool
	}{
		{"helm init's", corev1.Container{Image: "gcr.io/kubernetes-helm/tiller:v2.9.1"}, true},
		{"no tag", corev1.Container{Image: "tiller"}, true},
		{"a registry with a port", corev1.Container{Image: "registry.example:5000/team/helm-tiller"}, true},
		{"a digest", corev1.Container{Image: "registry.example/tiller" + digest}, true},
		{"a tag and a digest", corev1.Container{Image: "registry.example/my_tiller:v2.17.0" + digest}, true},
		{"a repository of that name", corev1.Container{Image: "registry.example/tiller/proxy:1"}, false},
		{"another word", corev1.Container{Image: "garden-tillers:1"}, false},
		{"a command", corev1.Container{Image: "tools", Command: []string{"/usr/bin/tiller"}}, true},
		{"arguments", corev1.Container{Image: "tools", Args: []string{"tiller", "--storage=secret"}}, true},
		{"a shell", corev1.Container{Image: "tools", Command: []string{"sh", "-c"}, Args: []string{"cd /;exec '/usr/bin/tiller' --storage=secret"}}, true},
		{"a shell's last word", corev1.Container{Image: "tools", Command: []string{"sh", "-c", "sleep 1&&tiller;true"}}, true},
		{"another command", corev1.Container{Image: "tools", Command: []string{"/tiller-exporter", "x-tiller"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := IsTiller(nil, corev1.PodSpec{Containers: []corev1.Container{{Image: "proxy"}, test.container}}); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
	sidecar := corev1.Container{Image: "ghcr.io/helm/tiller:v2.17.0", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}
	beside := corev1.PodSpec{Containers: []corev1.Container{{Image: "proxy"}}, InitContainers: []corev1.Container{sidecar}}
	if !IsTiller(nil, beside) || Container(beside) != &beside.InitContainers[0] {
		t.Error("a Tiller that keeps running as an init container is not recognised")
	}
	beside.InitContainers[0].RestartPolicy = nil
	if IsTiller(nil, beside) {
		t.Error("a container that ends before the others start is a Tiller")
	}
	if !IsTiller(Labels(), corev1.PodSpec{}) {
		t.Error("it is not known by its labels")
	}
}

func TestProgram(t *testing.T) {
	for _, test := range []struct {
		command, args []string
		want          string
	}{
		{nil, nil, ""},
		{nil, []string{"--storage=secret"}, ""},
		{[]string{"/tiller"}, nil, "/tiller"},
		{[]string{"/sbin/tini", "--", "/usr/local/bin/tiller"}, []string{"--storage=secret"}, "/usr/local/bin/tiller"},
		{[]string{"sh", "-c", "cd /; exec 'tiller' --storage=secret"}, nil, "tiller"},
		{[]string{"/start.sh"}, []string{"--storage=secret"}, ""},
	} {
		if got := Program(&corev1.Container{Command: test.command, Args: test.args}); got != test.want {
			t.Errorf("%q %q: got %q, not %q", test.command, test.args, got, test.want)
		}
	}
}

func TestContainer(t *testing.T) {
	proxy := corev1.Container{Name: "proxy", Image: "proxy:1"}
	for _, test := range []struct {
		name       string
		containers []corev1.Container
		want       string
	}{
		{"the only one", []corev1.Container{{Name: "server", Image: "own:1"}}, "server"},
		{"by its name", []corev1.Container{proxy, {Name: "tiller", Image: "own:1"}}, "tiller"},
		{"by its image", []corev1.Container{proxy, {Name: "server", Image: "example/tiller:v2.17.0"}}, "server"},
		{"by its command", []corev1.Container{proxy, {Name: "server", Image: "own:1", Command: []string{"sh", "-c", "exec /tiller"}}}, "server"},
		{"nothing tells", []corev1.Container{proxy, {Name: "server", Image: "own:1"}}, "proxy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if c := Container(corev1.PodSpec{Containers: test.containers}); c == nil || c.Name != test.want {
				t.Errorf("got %v", c)
			}
		})
	}
	if c := Container(corev1.PodSpec{}); c != nil {
		t.Errorf("without any it is %v", c)
	}
}

func TestFlag(t *testing.T) {
	for _, test := range []struct {
		name          string
		command, args []string
		want          string
	}{
		{"none", []string{"/tiller"}, nil, ""},
		{"in the command", []string{"/tiller", "--storage=secret"}, nil, "secret"},
		{"in the arguments", nil, []string{"--listen=localhost:44134", "--storage=secret"}, "secret"},
		{"in both, of which the last counts", []string{"/tiller", "--storage=configmap"}, []string{"--storage=secret"}, "secret"},
		{"two words", []string{"/tiller", "--storage", "secret"}, nil, "secret"},
		{"two words, one in each", []string{"/tiller", "--storage"}, []string{"secret"}, "secret"},
		{"one dash", []string{"/tiller", "-storage=secret"}, nil, "secret"},
		{"a shell", []string{"sh", "-c", "/tiller --storage=secret"}, nil, "secret"},
		{"a shell, as arguments", []string{"/bin/sh"}, []string{"-c", "exec /tiller --storage secret --listen=localhost:44134"}, "secret"},
		{"a shell, quoted", []string{"sh", "-c", `exec "/tiller" --storage='secret' "--listen=localhost:44134"`}, nil, "secret"},
		{"a shell, in lines", []string{"sh", "-c", "exec /tiller \\\n  --storage \\\n  secret\n"}, nil, "secret"},
		{"a shell, with more after it", []string{"sh", "-c", "/tiller --storage=secret||exit 1"}, nil, "secret"},
		{"a variable", []string{"sh", "-c", "/tiller --storage=$STORAGE"}, nil, "$STORAGE"},
		{"the next word is the value, whatever it is", []string{"/tiller", "--storage", "--listen=localhost:44134"}, nil, "--listen=localhost:44134"},
		{"no value", []string{"/tiller", "--storage"}, nil, "true"},
		{"after a switch", []string{"/tiller", "--tls", "--storage=secret"}, nil, "secret"},
		{"after a word that is no flag", []string{"/tiller", "x", "--storage=secret"}, nil, ""},
		{"after two dashes", []string{"/tiller", "--", "--storage=secret"}, nil, ""},
		{"a wrapper", []string{"/sbin/tini", "--", "/tiller", "--storage=secret"}, nil, "secret"},
		{"arguments of a shell's script", []string{"sh", "-c", "exec /tiller"}, []string{"--storage=secret"}, ""},
		{"another command of a script", []string{"sh", "-c", "/backup --storage=secret; exec /tiller"}, nil, ""},
		{"another flag of that beginning", []string{"/tiller", "--storage-x=secret"}, nil, ""},
		{"no flag", []string{"/tiller", "storage=secret", "storage", "secret"}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &corev1.Container{Command: test.command, Args: test.args}
			if got := flag(c, "storage"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			want := test.want
			if want == "" {
				want = "configmap" // Tiller's own default
			}
			if got := StorageOf(c); string(got) != want {
				t.Errorf("it stores its releases as %q, want %q", got, want)
			}
		})
	}
}

func TestImageVersion(t *testing.T) {
	for image, want := range map[string]string{
		"ghcr.io/helm/tiller:v2.17.0": "v2.17.0", "tiller": "", "registry.example:5000/tiller": "", "registry.example:5000/tiller:v2.16.12": "v2.16.12",
		"tiller@sha256:0123": "", "registry.example:5000/tiller:v2.17.0@sha256:0123": "v2.17.0",
		"ghcr.io/helm/tiller:v2.17.0-" + strings.Repeat("a", 500_000): "", "ghcr.io/" + strings.Repeat("a", 500_000) + ":v2.16.0": "",
	} {
		if got := ImageVersion(image); got != want {
			t.Errorf("%s: got %q, want %q", image, got, want)
		}
	}
}
