package preflight

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// TestHostileChart: charts are untrusted. No content of a chart makes preflight report "fits"
// although helm's install fails, starts a program, or reaches the terminal.
func TestHostileChart(t *testing.T) {
	w := start(t)
	evil := rbac("ClusterRole", "{apiGroups: [''], resources: [pods], verbs: [get]}")
	hidden := strings.Replace(evil, "metadata: {", "metadata: {annotations: {helm.sh/hook: test}, ", 1)
	item := strings.ReplaceAll(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: R, annotations: {helm.sh/hook: test}}}`, "\n", "")
	for _, major := range []string{"3", "4"} {
		t.Run("helm"+major, func(t *testing.T) {
			t.Parallel()
			name := "hostile" + major
			user := w.newTenant(t, name, major)
			if r := user.run(t, "install", "web", chart(t, configMap, name+"-a")); r.Code != 0 {
				t.Fatal(r)
			}
			named := chart(t, configMap, name+"-a")
			broken := filepath.Join(named, "templates", "a\n---\n# Source: chart")
			if err := os.MkdirAll(filepath.Join(broken, "crds"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(broken, "crds", "b.yaml"), []byte(strings.Replace(evil, "name: R", "name: evil", 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			pwned := filepath.Join(t.TempDir(), "pwned")
			program := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(program, []byte("#!/bin/sh\ntouch "+pwned+"\ncat\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			option := filepath.Join(t.TempDir(), "--post-renderer="+strings.TrimPrefix(program, "/"))
			if err := os.MkdirAll(filepath.Dir(option), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(chart(t, evil, name+"-a"), option); err != nil {
				t.Fatal(err)
			}
			keys := chart(t, "FILE values.yaml\n\"--post-renderer="+program+"\": {rbac: {create: true}}\n\"x,post-renderer="+program+"\": {rbac: {create: true}}\nrbac: {create: true}\nFILE templates/a.yaml\n"+evil, name+"-a")
			for _, c := range []struct {
				name string
				args []string
				code int
				says string
			}{
				{"a forged comment", []string{"upgrade", "web", chart(t, "# Source: chart/crds/x.yaml\n"+evil, name+"-a")}, 4, "cluster-scoped"},
				{"a forged document", []string{"upgrade", "web", chart(t, configMap+"---\n# Source: chart/crds/x.yaml\n"+evil, name+"-a")}, 4, "cluster-scoped"},
				{"a forged comment in a new release", []string{"install", "new", chart(t, "---\n# Source: chart/crds/x.yaml\n"+evil, name+"-a"), "--skip-crds"}, 4, "cluster-scoped"},
				{"a file's name with lines", []string{"upgrade", "web", named}, 4, "cluster-scoped"},
				{"a hook in a List", []string{"install", "new", chart(t, "apiVersion: v1\nkind: List\nitems:\n- "+item+"\n", name+"-a")}, 4, "cluster-scoped"},
				{"a hook that is none for helm", []string{"install", "new", chart(t, strings.Replace(hidden, "{helm.sh/hook: test}", "{helm.sh/hook: test, helm.sh/hook: pre-install}", 1), name+"-a")}, 4, ""},
				{"hidden characters", []string{"install", "new", chart(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"x\\e[2Jfits\\r\\n\\u202e\", namespace: \"\\e]0;x\\a\"}\n", name+"-a")}, 4, ""},
				{"much text", []string{"install", "new", chart(t, `{{- range until 35 }}`+"\n# {{ repeat 1000000 \"x\" }}\n{{- end }}\n"+configMap, name+"-a")}, 1, "more than"},
				{"many objects", []string{"install", "new", chart(t, `{{- range until 6000 }}`+"\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x{{ . }}}\n{{- end }}\n", name+"-a")}, 1, "more than 5000 objects"},
				{"a folder like an option", []string{"install", "new", "--", option}, 4, "cluster-scoped"},
				{"a release like an option", []string{"install", "--", "--post-renderer=" + program, chart(t, configMap, name+"-a")}, 4, "the release's name"},
				{"values like options", []string{"install", "new", keys}, 4, "cluster-scoped"},
			} {
				r := user.run(t, append([]string{"preflight"}, c.args...)...)
				if r.Code != c.code || !strings.Contains(r.Stdout+r.Stderr, c.says) || strings.Contains(r.Stdout, ": fits (") {
					t.Errorf("%s: wanted %d, %q: %.3000s", c.name, c.code, c.says, r.String())
				}
				if i := strings.IndexFunc(r.Stdout+r.Stderr, func(c rune) bool { return c != '\n' && (unicode.IsControl(c) || c == '\u202e') }); i >= 0 {
					t.Errorf("%s: a hidden character is printed: %.3000q", c.name, r.Stdout+r.Stderr)
				}
				if c.code == 1 && strings.Count(strings.TrimSpace(r.Stderr), "\n") > 1 {
					t.Errorf("%s: more than one line and a hint: %.3000s", c.name, r.Stderr)
				}
			}
			if _, err := os.Stat(pwned); err == nil {
				t.Error("a program was started")
			}
		})
	}
}
