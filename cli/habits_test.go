package cli_test

import (
	"strings"
	"testing"
)

// TestHabits: what people type who know kubectl and helm is answered by what to type instead.
func TestHabits(t *testing.T) {
	a := newAdministrator(t)
	for line, want := range map[string]string{
		"releases -A":                        "releases of all tenants: helm tenant releases --all",
		"releases --all-namespaces":          "releases of all tenants: helm tenant releases --all",
		"releases --status=failed":           "each status is a flag: --deployed, --failed",
		"releases -l app=web":                "--filter REGEXP",
		"tenants -A":                         "it concerns tenants, with all of their namespaces: leave it out",
		"describe t -n x":                    "it concerns a tenant, with all of its namespaces: leave it out",
		"init t -n x":                        "named with --namespaces",
		"init t --namespace=x":               "did you mean: --namespaces",
		"init t x y":                         "did you mean: helm tenant init TENANT --namespaces x\n",
		"use t -n x":                         "kubectl config set-context --current --namespace=NAMESPACE",
		"grant t bob":                        "did you mean: helm tenant grant TENANT --user bob; groups with --group",
		"grant t -u bob":                     "users are named with --user",
		"revoke t -g devs":                   "groups are named with --group",
		"freeze t INC-12":                    "did you mean: helm tenant freeze TENANT --reason INC-12\n",
		"destroy t --force":                  "--yes does not ask",
		"apply tenants.yaml":                 "did you mean: helm tenant apply -f tenants.yaml\n",
		"apply -k folder":                    "named with -f",
		"kubeconfig -o file":                 "--output-file",
		"shellenv bash":                      "did you mean: helm tenant shellenv --shell bash\n",
		"-o wide tenants":                    "the flags of tenants go behind it: helm tenant tenants ...",
		"--all releases":                     "the flags of releases go behind it: helm tenant releases ...",
		"--wait install web":                 "the flags of helm's command go behind it: helm tenant COMMAND ...",
		"--contxt=here list":                 "did you mean: --context",
		"-v":                                 "the version is printed by: helm tenant --version",
		"init t --namespaces=x --engine=two": `engine: "two" is not one of tiller, impersonation, both`,
		"describe t y":                       `one tenant is named at a time, not also "y"`,
	} {
		if got := a.tries("", strings.Fields(line)...); got.code != 2 || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%s: exit code %d, wanted %q:\n%s%s", line, got.code, want, got.stdout, got.stderr)
		}
	}
	for word, verb := range map[string]string{"unfreeze": "thaw", "edit": "init", "rm": "delete", "remove": "delete", "use-context": "use", "tenant": "tenants"} {
		if got := a.tries("", word, "t"); got.code != 1 || !strings.HasSuffix(got.stderr, "  did you mean: helm tenant "+verb+"\n") {
			t.Errorf("%s: exit code %d:\n%s", word, got.code, got.stderr)
		}
	}
	// A name with hidden characters can't be typed.
	if got := a.tries("", "grant", "t", "bo\u202eb"); got.code != 2 || strings.Contains(got.stderr, "did you mean") {
		t.Errorf("for a hidden character exit code %d:\n%s", got.code, got.stderr)
	}
	if got := a.runs("--help", "tenants"); !strings.Contains(got.stdout, "helm tenant tenants [TENANT...]") {
		t.Errorf("--help before a verb prints:\n%s", got.stdout)
	}
}
