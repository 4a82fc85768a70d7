package apitest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// TestRoleGapsAreReal compares whoami's report about a deployer's role with real Helm 3 and 4:
// if no right is missing, an install, an upgrade and an uninstall succeed; if one is, whoami
// names it, and the command that it names is forbidden.
func TestRoleGapsAreReal(t *testing.T) {
	t.Parallel()
	w := start(t)
	chart := configMapChart(t)
	secrets := []string{"get", "list", "create", "update", "delete"}
	without := func(verbs []string, one string) []string {
		return slices.DeleteFunc(slices.Clone(verbs), func(v string) bool { return v == one })
	}
	objects := []string{"get", "list", "create", "patch", "update", "delete"}
	pods := rule("", "pods", "get", "list", "watch")
	for _, c := range []struct {
		name             string
		secrets, objects []string
		// gap is a part of whoami's report; empty if no right is missing.
		gap string
		// fails are the commands that don't work, by Helm's major.
		fails map[string][]string
	}{
		{"nothing missing", secrets, objects, "", nil},
		{"no create of secrets", without(secrets, "create"), objects, "it may not create secrets", map[string][]string{"helm3": {"install"}, "helm4": {"install"}}},
		{"no update of secrets", without(secrets, "update"), objects, "it may not update secrets", map[string][]string{"helm3": {"upgrade"}, "helm4": {"upgrade"}}},
		{"no list of secrets", without(secrets, "list"), objects, "may not list Secrets", map[string][]string{"helm3": {"upgrade"}, "helm4": {"upgrade"}}},
		{"no delete of secrets", without(secrets, "delete"), objects, "it may not delete secrets", map[string][]string{"helm3": {"uninstall"}, "helm4": {"uninstall"}}},
		{"no create", secrets, without(objects, "create"), "it may create nothing", map[string][]string{"helm3": {"install"}, "helm4": {"install"}}},
		{"no patch", secrets, without(objects, "patch"), "it may patch nothing", map[string][]string{"helm3": {"upgrade"}, "helm4": {"install"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, major := range []string{"helm3", "helm4"} {
				team := newTeam()
				team.home = team.name + "-helm"
				role := team.name + "-deployer"
				rules := []rbacv1.PolicyRule{pods, rule("", "configmaps", c.objects...), rule("", "secrets", c.secrets...)}
				w.role(t, "", role, rules...)
				member := w.newUser(t, "member")
				member.env = []string{"HELM_BIN=" + w.Bin(major)}
				w.makeTenant(t, team, "--engine", "impersonation", "--role", role, "--user", member.name)
				member.must(t, "use", team.name)

				var output struct {
					Deployer struct {
						RoleGaps []string `json:"roleGaps"`
					} `json:"deployer"`
				}
				r := member.run(t, "whoami", "-o", "json")
				if err := json.Unmarshal([]byte(r.Stdout), &output); err != nil {
					t.Fatalf("%s: whoami says %v", major, r)
				}
				gaps := strings.Join(output.Deployer.RoleGaps, "\n")
				// Without list on secrets, whoami reports that nothing works at all.
				if c.gap == "" && (gaps != "" || output.Deployer.RoleGaps == nil) || !strings.Contains(gaps+r.Stderr, strings.TrimPrefix(c.gap, "it ")) {
					t.Errorf("%s: the gaps are %q, want %q; whoami says %v", major, gaps, c.gap, r)
				}
				failed := false
				for _, command := range [][]string{{"install", "web", chart}, {"upgrade", "web", chart, "--set", "value=two"}, {"uninstall", "web"}} {
					r := member.run(t, command...)
					expected := slices.Contains(c.fails[major], command[0])
					// A release whose record could not be updated is pending for good.
					refused := r.Code != 0 && (strings.Contains(r.Stderr, "forbidden") || strings.Contains(r.Stderr, "cannot ") || strings.Contains(r.Stderr, "another operation"))
					if expected != refused || !expected && r.Code != 0 {
						t.Errorf("%s %v, expected to fail: %v: %v", major, command, expected, r)
					}
					if failed = failed || expected; failed {
						break
					}
				}
			}
		})
	}
}

// configMapChart writes a chart of one ConfigMap, which needs no rights on other kinds.
func configMapChart(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "plain")
	must(t, os.MkdirAll(filepath.Join(dir, "templates"), 0o755))
	for name, text := range map[string]string{
		"Chart.yaml":              "apiVersion: v2\nname: plain\nversion: 1.0.0\n",
		"values.yaml":             "value: one\n",
		"templates/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  value: {{ .Values.value }}\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}
