package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lists are all rights that a complete audit needs, and the entry in unseen without each.
var lists = []struct{ rule, unseen string }{
	{"list namespaces", "namespaces in the cluster"},
	{"list configmaps", "configmaps in all namespaces"},
	{"list serviceaccounts", "serviceaccounts in all namespaces"},
	{"list secrets", "secrets in all namespaces"},
	{"list pods", "pods in all namespaces"},
	{"list services", "services in all namespaces"},
	{"list networking.k8s.io:networkpolicies", "networkpolicies in all namespaces"},
	{"list apps:deployments", "deployments in all namespaces"},
	{"list apps:replicasets", "replicasets in all namespaces"},
	{"list apps:statefulsets", "statefulsets in all namespaces"},
	{"list apps:daemonsets", "daemonsets in all namespaces"},
	{"list batch:jobs", "jobs in all namespaces"},
	{"list batch:cronjobs", "cronjobs in all namespaces"},
	{"list replicationcontrollers", "replicationcontrollers in all namespaces"},
	{"list admission:validatingwebhookconfigurations", "validatingwebhookconfigurations in the cluster"},
	{"list admission:mutatingwebhookconfigurations", "mutatingwebhookconfigurations in the cluster"},
	{"list apiextensions.k8s.io:customresourcedefinitions", "customresourcedefinitions in the cluster"},
	{"list apiregistration.k8s.io:apiservices", "apiservices in the cluster"},
	{"list admission:mutatingadmissionpolicies", "mutatingadmissionpolicies in the cluster"},
	{"list admission:mutatingadmissionpolicybindings", "mutatingadmissionpolicybindings in the cluster"},
	{"list rbac:roles", "roles in all namespaces"},
	{"list rbac:rolebindings", "rolebindings in all namespaces"},
	{"list rbac:clusterroles", "clusterroles in the cluster"},
	{"list rbac:clusterrolebindings", "clusterrolebindings in the cluster"},
	{"list persistentvolumeclaims", "persistentvolumeclaims in all namespaces"},
	{"list networking.k8s.io:ingresses", "ingresses in all namespaces"},
	{"list persistentvolumes", "persistentvolumes in the cluster"},
	{"list scheduling.k8s.io:priorityclasses", "priorityclasses"},
	{"list admission:validatingadmissionpolicies", "validatingadmissionpolicies helm-tenant-guard-*"},
	{"list admission:validatingadmissionpolicybindings", "validatingadmissionpolicybindings helm-tenant-guard-*"},
	{"get admission:validatingadmissionpolicies helm-tenant-records", "validatingadmissionpolicies in the cluster"},
	{"get admission:validatingadmissionpolicybindings helm-tenant-records", "validatingadmissionpolicies in the cluster"},
	{"get admission:validatingadmissionpolicies helm-tenant-owners", "validatingadmissionpolicies in the cluster"},
	{"get admission:validatingadmissionpolicybindings helm-tenant-owners", "validatingadmissionpolicies in the cluster"},
}

// An auditor without the right to one of the lists gets its name, and unknown instead of clean;
// an auditor with exactly these rights sees what an administrator sees.
func TestUnseen(t *testing.T) {
	w := start(t)
	w.clean(t)
	kubeconfig, err := w.Kubeconfig("auditor")
	must(t, err)
	for i := range len(lists) + 1 {
		name := "all lists"
		var rights []string
		for j, list := range lists {
			if i == j {
				name = "all but " + list.rule
				continue
			}
			rights = append(rights, list.rule)
		}
		t.Run(name, func(t *testing.T) {
			p := w.plant(t)
			p.grant("", "auditor", rights, "user auditor")
			w.settle(t)
			// The audit reports the auditor's own rights, which are ignored here.
			args := []string{"audit", "--ignore", "HT022:user auditor", "--reason", "it audits"}
			r := w.run(kubeconfig, append(args, "-o", "json")...)
			var got report
			if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
				t.Fatalf("exit code %d: %v\n%s", r.Code, err, r.Stderr)
			}
			table := w.run(kubeconfig, args...)
			if i == len(lists) {
				if r.Code != 0 || got.Result != "clean" || len(got.Unseen) > 0 || table.Code != 0 || !strings.HasPrefix(table.Stdout, "Nothing found in 3 tenants and 0 unmanaged Tillers.\n") {
					t.Errorf("exit code %d, %s, unseen %v\n%s", r.Code, got.Result, got.Unseen, table.Stdout)
				}
				return
			}
			want := lists[i].unseen
			if r.Code != 5 || got.Result != "unknown" {
				t.Errorf("exit code %d, %s", r.Code, got.Result)
			}
			var unseen []string
			for _, u := range got.Unseen {
				unseen = append(unseen, u.What)
			}
			others := slices.DeleteFunc(slices.Clone(unseen), func(what string) bool {
				return what == want || strings.HasPrefix(what, "configmaps of ") && lists[i].rule == "list configmaps"
			})
			if !slices.Contains(unseen, want) || len(others) > 0 {
				t.Errorf("unseen is %q, not %s", unseen, want)
			}
			if table.Code != 5 || !strings.Contains(table.Stdout, "The answer is unknown, because you may not read everything:\n") || !strings.Contains(table.Stdout, "\n  "+want+": so it is not known ") ||
				strings.Contains(table.Stdout, "Nothing found") || strings.Contains(table.Stderr, "nothing is left to ignore") {
				t.Errorf("exit code %d\n%s%s", table.Code, table.Stdout, table.Stderr)
			}
			if r := w.run(kubeconfig, "audit", "--can-reach", "zoe"); r.Code != 5 || strings.Contains(r.Stdout, "reaches no deployer") {
				t.Errorf("--can-reach: exit code %d\n%s", r.Code, r.Stdout)
			}
		})
	}
}

// TestFlags compares the exit code and the table with the flags.
func TestFlags(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	p.bind("beta-a", "foreign", "ClusterRole", "edit", "user zoe")
	dir := t.TempDir()
	file := func(name, items string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte("apiVersion: helm-tenant/v1\nignore:\n"+items), 0o600))
		return path
	}
	exact := file("exact.yaml", "- {id: HT040, subject: user zoe, tenant: beta, reason: she helps}\n")
	another := file("another.yaml", "- {id: HT040, subject: user zoe, tenant: alpha, reason: she helps}\n")
	const (
		printed = "tenant beta\n  medium    HT040  user zoe has rights in namespace beta-a"
		nothing = "Nothing found in "
		ignored = "Ignored:\n  HT040  tenant beta: user zoe has rights in namespace beta-a by a binding that is not the tenant's (she helps)\n"
		unused  = "Note: nothing is left to ignore for "
	)
	for _, test := range []struct {
		flags  string
		code   int
		stdout string
		stderr string // empty for none
	}{
		{"", 4, printed, ""},
		{"beta", 4, printed, ""},
		{"alpha beta", 4, printed, ""},
		{"alpha", 0, nothing + "1 tenant and 0 unmanaged Tillers.", ""},
		{"nobody", 1, "", "there is no tenant"},
		{"--fail-on low", 4, printed, ""},
		{"--fail-on medium", 4, printed, ""},
		{"--fail-on high", 0, printed, ""},
		{"--fail-on critical", 0, printed, ""},
		{"--fail-on none", 2, "", "is no severity"},
		{"--ignore HT040 --reason she_helps", 0, ignored, ""},
		{"--ignore HT040:zoe --reason she_helps", 4, printed, unused + "HT040:zoe: she helps\n  say of what kind the subject is: user zoe\n"},
		{"--ignore HT040:group_zoe --reason she_helps", 4, printed, unused},
		{"--ignore HT040:user_zoe --reason she_helps", 0, ignored, ""},
		{"--ignore HT041:zoe --reason she_helps", 4, printed, unused + "HT041:zoe: she helps\n"},
		{"--ignore HT040:yan --reason she_helps", 4, printed, unused + "HT040:yan: she helps\n"},
		{"--ignore HT040:zoe", 2, "", "--reason"},
		{"--ignore HT999 --reason x", 2, "", "no finding is called"},
		{"alpha --ignore HT040:user_zoe --reason she_helps", 0, nothing, ""},
		{"beta --ignore HT040:user_zoe --reason she_helps", 0, ignored, ""},
		{"alpha --ignore HT040:yan --reason x", 0, nothing, unused},
		{"--ignore-file " + exact, 0, ignored, ""},
		{"--ignore-file " + another, 4, printed, unused + "HT040:user zoe of tenant alpha"},
		{"--ignore-file " + exact + " --ignore-file " + another, 0, ignored, unused + "HT040:user zoe of tenant alpha"},
		{"--ignore-file " + filepath.Join(dir, "gone.yaml"), 1, "", "gone.yaml"},
		{"--can-reach zoe", 0, "user zoe reaches no deployer", ""},
		{"--can-reach alice", 0, "user alice reaches:\ntenant alpha, as a member\n", ""},
		{"--can-reach alice beta", 0, "user alice reaches no deployer of beta, and", ""},
		{"--can-reach alice --in-group others alpha", 0, "user alice (in others) reaches:\ntenant alpha, as a member\n", ""},
		{"--can-reach amy --in-group alpha-devs", 0, "user amy (in alpha-devs) reaches:\ntenant alpha, as a member\n", ""},
		{"--can-reach zoe --ignore HT041:zoe --reason x", 0, "user zoe reaches no deployer", ""},
		{"--in-group others", 2, "", "--can-reach"},
	} {
		t.Run(test.flags, func(t *testing.T) {
			args := []string{"audit"}
			for _, word := range strings.Fields(test.flags) {
				if !strings.HasPrefix(word, "/") { // a file's name does not change
					word = strings.ReplaceAll(word, "_", " ")
				}
				args = append(args, word)
			}
			r := w.run(w.Admin(), args...)
			if r.Code != test.code || !strings.Contains(r.Stdout, test.stdout) || (test.stdout == "") != (r.Stdout == "") {
				t.Errorf("exit code %d, not %d\n%s", r.Code, test.code, r.Stdout)
			}
			if test.stderr == "" && r.Stderr != "" || !strings.Contains(r.Stderr, test.stderr) {
				t.Errorf("on stderr, not %q:\n%s", test.stderr, r.Stderr)
			}
		})
	}
}
