package attack

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/command/shelltest"
	"helm-tenant/test/harness"
	"helm-tenant/test/records"
	"helm-tenant/visible"
)

// hostileNames are names that the API server accepts for a RoleBinding
// (k8s.io/apimachinery/pkg/api/validation/path) and that a chart can contain.
func hostileNames() []string {
	return slices.DeleteFunc(slices.Clone(shelltest.Words), func(word string) bool {
		return word == "" || word == "." || word == ".." || strings.ContainsAny(word, "/%\x00") || !utf8.ValidString(word)
	})
}

// hostileChart returns a member's chart: a RoleBinding of each name, to a user of that name,
// release records that no helm wrote, and workloads that look like the Tiller of some of them.
func hostileChart(t *testing.T, namespace string) string {
	t.Helper()
	var manifest bytes.Buffer
	add := func(object any) {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		manifest.WriteString("---\n")
		// A template is not looked for in a name.
		text = bytes.ReplaceAll(text, []byte("{{"), []byte(`\u007b\u007b`))
		if _, err := (visible.Writer{W: &manifest, As: visible.YAML}).Write(append(text, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	for i, word := range hostileNames() {
		add(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
			"metadata": map[string]any{"name": word, "namespace": namespace, "annotations": map[string]any{"note": word}},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": word}}})
		if i%4 != 0 {
			continue
		}
		name := fmt.Sprintf("forged-%d", i)
		add(map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
			"metadata":   map[string]any{"name": "sh.helm.release.v1." + name + ".v1", "namespace": namespace, "labels": map[string]any{"owner": "helm", "name": name, "status": "deployed", "version": "1"}},
			"stringData": map[string]any{"release": packed(t, word, namespace)}})
		// As a Tiller stores one: only the labels have to be plain.
		record := records.Release{Name: word, Namespace: []string{namespace, word}[i/4%2], Revision: 1, Status: "DEPLOYED"}
		add(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"release": records.Encode(record)},
			"metadata": map[string]any{"name": name + ".v1", "namespace": namespace, "labels": map[string]any{"OWNER": "TILLER", "NAME": name, "STATUS": "DEPLOYED", "VERSION": "1"}}})
	}
	labels := map[string]any{"app": "helm", "name": "tiller"}
	add(map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "tiller-deploy", "namespace": namespace, "labels": labels},
		"spec": map[string]any{"replicas": 0, "selector": map[string]any{"matchLabels": labels}, "template": map[string]any{"metadata": map[string]any{"labels": labels},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "tiller", "image": "ghcr.io/helm/tiller:v2.17.0", "command": []any{"/tiller", "--listen=localhost:44134"}}}}}}})
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "templates"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte("apiVersion: v2\nname: hostile\nversion: 0.1.0\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "templates", "all.yaml"), manifest.Bytes(), 0o644))
	return dir
}

// packed returns a release of that name as Helm 3 stores one.
func packed(t *testing.T, word, namespace string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"name": word, "namespace": namespace, "version": 1, "info": map[string]any{"status": "deployed"},
		"chart": map[string]any{"metadata": map[string]any{"name": word, "version": word, "apiVersion": "v2"}}})
	must(t, err)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err = w.Write(text)
	must(t, err)
	must(t, w.Close())
	return base64.StdEncoding.EncodeToString(zipped.Bytes())
}

var must = harness.Must

var fixLine = regexp.MustCompile(`^            (?:fix|or|  )   ?((?:helm|kubectl) .*)$`)

// wordsCodes are the exit codes of verbs in TestHostileNames, by their first three words, if
// they are not 0.
var wordsCodes = map[string]int{
	"audit": 4, "audit -o wide": 4, "audit -o json": 4, "audit -o yaml": 4, "audit -o sarif": 4,
	"prove words": 4, "prove words -o": 4, // the guard is off
	"destroy words":           1, // it has releases
	"preflight install other": 4, // its objects are another release's
}

// TestHostileNames: a member installs a chart whose objects are called as somebody would
// call them who wants an admin to run, or to believe, something else. What the admin's
// verbs say to type is typed into every shell, and into kubectl.
func TestHostileNames(t *testing.T) {
	st := newEnvironment(t).under(3)
	const team, namespace = "words", "words-1"
	init := []string{"init", team, "--engine", "impersonation", "--namespaces", namespace, "--create-namespaces", "--user", "alice"}
	help, err := st.runTenant(t.Context(), st.root, "init", "--help")
	must(t, err)
	if strings.Contains(help, "--guard") { // it refuses bindings to users
		init = append(init, "--guard=off", "--accept-risk=no-guard")
	}
	_, err = st.runTenant(t.Context(), st.root, init...)
	must(t, err)
	chart := hostileChart(t, namespace)
	_, err = eventually(t.Context(), func(ctx context.Context) (string, error) {
		return st.run(ctx, call{actor: st.alice, program: st.tenantTool, env: []string{"HELM_BIN=" + st.helm},
			args: []string{"--tenant=" + team, "upgrade", "--install", "hostile", chart, "--namespace=" + namespace}})
	})
	must(t, err)
	planted, err := st.root.client.RbacV1().RoleBindings(namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	existing := map[string]bool{}
	for _, b := range planted.Items {
		existing[b.Name] = true
	}
	for _, word := range hostileNames() {
		if !existing[word] {
			t.Errorf("there is no RoleBinding %q", word)
		}
	}
	verbs := [][]string{
		{"audit"}, {"audit", "-o", "wide"}, {"audit", "-o", "json"}, {"audit", "-o", "yaml"}, {"audit", "-o", "sarif"}, {"describe", team}, {"describe", team, "-o", "json"}, {"describe", team, "-o", "yaml"},
		{"tenants", "-o", "wide"}, {"destroy", team}, {"destroy", team, "--dry-run", "--keep-releases"}, {"revoke", team, "--user", `"x; touch pwned; #"`}, {"revoke", team, "--group", "system:authenticated"},
	}
	output := map[string]string{}
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	must(t, os.WriteFile(file, []byte("apiVersion: helm-tenant/v1\ntenants:\n- {name: taker, namespaces: [taken], engine: tiller}\n"), 0o600))
	verbs = append(verbs, []string{"split", "-f", file, "--from=" + namespace, "--create-namespaces", "--dry-run"}, []string{"split", "-f", file, "--from=" + namespace, "--create-namespaces", "--dry-run", "-o", "json"})
	forAdmin := filepath.Join(t.TempDir(), "for-admin.yaml")
	verbs = append(verbs, [][]string{
		{"releases", team}, {"releases", team, "-o", "wide"}, {"releases", team, "-o", "json"}, {"releases", "--all", "-o", "yaml"}, {"prove", team}, {"prove", team, "-o", "json"},
		{"freeze", team, "--reason", "INC-1", "--dry-run"}, {"grant", team, "--user", "x", "--dry-run"}, {"export", team}, {"export", team, "--format=flux"}, {"init", team, "--flux-account=flux", "--dry-run"},
	}...)
	asMember := [][]string{
		{"whoami"}, {"whoami", "-o", "json"}, {"kubeconfig", team}, {"shellenv", "--shell=bash"},
		{"preflight", "install", "other", chart, "--namespace=" + namespace, "--for-admin", forAdmin}, {"preflight", "upgrade", "hostile", chart, "--namespace=" + namespace, "-o", "json"},
	}
	for i, args := range slices.Concat(verbs, asMember) {
		name := strings.Join(args, " ")
		as := call{actor: st.root, program: st.tenantTool, args: args}
		if i >= len(verbs) {
			as.actor, as.env, as.args = st.alice, []string{"HELM_BIN=" + st.helm, "HELM_TENANT=" + team}, args
		}
		out, err := st.run(t.Context(), as)
		code := 0
		if exit, ok := errors.AsType[interface {
			error
			ExitCode() int
		}](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			code = -1
		}
		if want := wordsCodes[strings.Join(args[:min(len(args), 3)], " ")]; out == "" || code != want {
			t.Errorf("%s: exit code %d, not %d: %s", name, code, want, out)
		}
		output[name] = out
		for line := range strings.Lines(out) {
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), visible.Hidden) || visible.Instructs(line) || strings.HasPrefix(line, "run: ") || line == "Releases: 0\n" {
				t.Errorf("%s prints the line %q", name, line)
			}
		}
	}
	checkFixes(t, st, namespace, output["audit"], output["audit -o json"])
}

// checkFixes runs the fixes of an audit: in shells with recording programs, whose arguments
// must equal those in the JSON, and then for real.
func checkFixes(t *testing.T, st *environment, namespace, text, report string) {
	t.Helper()
	report, _, _ = strings.Cut(report, "\nError: ") // of an exit code, on the other stream
	var read struct {
		Findings []struct {
			Fixes []struct{ Commands [][]string }
		}
	}
	must(t, json.Unmarshal([]byte(report), &read))
	var want [][]string
	named := map[string]bool{}
	for _, f := range read.Findings {
		for _, fix := range f.Fixes {
			for _, c := range fix.Commands {
				want = append(want, c)
				if slices.Equal(c[:len(c)-1], []string{"kubectl", "delete", "--namespace=" + namespace, "rolebinding", "--"}) {
					named[c[len(c)-1]] = true
				}
			}
		}
	}
	for _, word := range hostileNames() {
		if named[word] != visible.Plain(word) {
			t.Errorf("the audit has a command for the RoleBinding %q: %t", word, named[word])
		}
	}
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if match := fixLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); match != nil {
			lines.WriteString(match[1] + "\n")
		}
	}
	// The two reports have their findings in different orders.
	slices.SortFunc(want, slices.Compare[[]string])
	t.Run("shells", func(t *testing.T) {
		for _, shell := range shelltest.Shells {
			t.Run(shell.Name, func(t *testing.T) {
				calls := shell.Calls(t, lines.String())
				slices.SortFunc(calls, slices.Compare[[]string])
				if diff := cmp.Diff(want, calls); diff != "" {
					t.Errorf("-json +run:\n%s", diff)
				}
			})
		}
	})
	var deletions strings.Builder
	for line := range strings.Lines(lines.String()) {
		if strings.HasPrefix(line, "kubectl delete --namespace="+namespace+" ") {
			deletions.WriteString(line)
		}
	}
	// One by one: together they take minutes on a slow machine.
	for _, words := range shelltest.Shells[0].Calls(t, deletions.String()) {
		if out, err := st.run(t.Context(), call{actor: st.root, program: st.kubectl, args: words[1:]}); err != nil {
			t.Errorf("what the audit says can't be typed: %q: %v\n%s", words, err, out)
		}
	}
	left, err := st.root.client.RbacV1().RoleBindings(namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, b := range left.Items {
		if visible.Plain(b.Name) && !strings.HasPrefix(b.Name, "helm-tenant.") {
			t.Errorf("the RoleBinding %q is left", b.Name)
		}
	}
	if !slices.ContainsFunc(left.Items, func(b rbacv1.RoleBinding) bool { return strings.HasPrefix(b.Name, "helm-tenant.words.") }) {
		t.Error("the tenant's own RoleBinding is gone")
	}
}
