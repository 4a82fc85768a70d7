package helm

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// environ makes an Environ of NAME=VALUE pairs.
func environ(pairs map[string]string) Environ {
	return func(name string) (string, bool) {
		value, found := pairs[name]
		return value, found
	}
}

func TestPluginOf(t *testing.T) {
	type env = map[string]string
	// What each major sets (k8s.io/helm/pkg/plugin, SetupPluginEnv; pkg/cli, EnvVars).
	two := env{"HELM_BIN": "helm", "HELM_PLUGIN_DIR": "/h/plugins/tenant", "HELM_PLUGIN": "/h/plugins", "TILLER_NAMESPACE": "kube-system", "HELM_PATH_CACHE": "/h/cache", "HELM_HOME": "/h"}
	three := env{"HELM_BIN": "helm", "HELM_PLUGIN_DIR": "/d/plugins/tenant", "HELM_PLUGINS": "/d/plugins", "HELM_NAMESPACE": "default", "HELM_DATA_HOME": "/d", "HELM_KUBECONTEXT": ""}
	join := func(envs ...env) env { // the last one wins
		out := env{}
		for _, e := range envs {
			maps.Copy(out, e)
		}
		return out
	}
	without := func(e env, names ...string) env {
		out := maps.Clone(e)
		for _, name := range names {
			delete(out, name)
		}
		return out
	}
	four := join(three, env{"HELM_CONTENT_CACHE": ""})
	for _, test := range []struct {
		name string
		env  env
		want int
	}{
		{"none", nil, 0},
		{"a user's HELM_BIN", env{"HELM_BIN": "/usr/bin/helm2"}, 0},
		{"a user's variables of Helm 3", env{"HELM_NAMESPACE": "a", "HELM_DATA_HOME": "/d"}, 0},
		{"Helm 2", two, 2},
		{"Helm 2 without HELM_BIN", without(two, "HELM_BIN"), 0},
		{"Helm 2 where a user exports a variable of Helm 3", join(two, env{"HELM_NAMESPACE": "a"}), 2},
		{"Helm 2 where a user exports several of Helm 3 and 4", join(two, env{"HELM_NAMESPACE": "a", "HELM_DATA_HOME": "/d", "HELM_PLUGINS": "/d/plugins", "HELM_CONTENT_CACHE": "/c"}), 2},
		{"Helm 2 in a plugin of Helm 3", join(three, two), 2},
		{"Helm 3", three, 3},
		{"Helm 3 that tells no data folder", without(three, "HELM_DATA_HOME"), 3},
		{"Helm 3 that tells no namespace", without(three, "HELM_NAMESPACE"), 3},
		{"Helm 3 where a user exports a variable of Helm 2", join(three, env{"TILLER_NAMESPACE": "a"}), 3},
		{"Helm 3 in a plugin of Helm 2", join(two, three), 3},
		{"Helm 3 with several plugin folders", join(two, three, env{"HELM_PLUGINS": "/other" + string(filepath.ListSeparator) + "/d/plugins/"}), 3},
		{"Helm 4", four, 4},
		{"Helm 4 in a plugin of Helm 2", join(two, four), 4},
	} {
		if got := pluginOf(environ(test.env)); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestClientCheck(t *testing.T) {
	for _, test := range []struct {
		client Client
		want   string
	}{
		{Client{"/helm", "v2.17.0", 2}, ""},
		{Client{"/helm", "v2.16.0-rc.1", 2}, ""},
		{Client{"/helm", "", 2}, ""}, // as its plugin, the version is not asked for
		{Client{"/helm", "v3.22.0", 3}, ""},
		{Client{"/helm", "v4.3.1", 4}, ""},
		{Client{"/helm", "v2.15.2", 2}, "helm v2.15.2 at /helm is too old: helm-tenant works with 2.16 and later, best 2.17"},
		{Client{"/helm", "v2.9.1", 2}, "helm v2.9.1 at /helm is too old: helm-tenant works with 2.16 and later, best 2.17"},
		{Client{"/helm", "v1.0.0", 1}, "helm v1.0.0 at /helm is of no major version that helm-tenant knows"},
		{Client{"/helm", "v5.0.0", 5}, "helm v5.0.0 at /helm is of no major version that helm-tenant knows"},
	} {
		if diff := cmp.Diff(test.want, errorText(test.client.Check())); diff != "" {
			t.Errorf("%+v, -want +got:\n%s", test.client, diff)
		}
	}
}

func TestEngine(t *testing.T) {
	for major, want := range map[int]string{2: "tiller", 3: "impersonation", 4: "impersonation"} {
		if got := (Client{Major: major}).Engine(); string(got) != want {
			t.Errorf("Helm %d: got %s", major, got)
		}
	}
}

func TestClassOf(t *testing.T) {
	for _, test := range []struct {
		command          string
		two, three, four Class
	}{
		{"install", Namespaced, Namespaced, Namespaced},
		{"list", Remote, Namespaced, Namespaced},
		{"uninstall", Plugin, Namespaced, Namespaced},
		{"lint", Local, Local, Local},
		{"template", Local, Namespaced, Namespaced},
		{"version", Remote, Local, Local},
		{"init", Local, Plugin, Plugin},
		{"push", Plugin, Local, Local},
		{"diff", Plugin, Plugin, Plugin},
		{"", Plugin, Plugin, Plugin},
	} {
		for major, want := range map[int]Class{2: test.two, 3: test.three, 4: test.four} {
			if got := ClassOf(major, test.command); got != want {
				t.Errorf("%s of Helm %d: got %d, want %d", test.command, major, got, want)
			}
		}
	}
}
