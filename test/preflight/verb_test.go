package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/preflight"
	"helm-tenant/test/harness"
)

// newTenant makes a tenant of one namespace and its member, who knows it.
func (w *world) newTenant(t *testing.T, name, major string, init ...string) *member {
	t.Helper()
	engine := "impersonation"
	if major == "2" {
		engine = "tiller"
	}
	user := w.member(t, major, name+"-member")
	w.must(t, append([]string{"init", name, "--namespaces", name + "-a", "--create-namespaces", "--engine", engine, "--wait=false", "--user", name + "-member"}, init...)...)
	if err := harness.Await(t.Context(), "the tenant", func(context.Context) (bool, error) {
		if r := user.run(t, "use", name); r.Code != 0 {
			return false, errors.New(r.String())
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	w.settle(t, name+"-a")
	return user
}

// TestVerb runs what people type, and compares what helm itself would say.
func TestVerb(t *testing.T) {
	w := start(t)
	for _, major := range []string{"3", "4"} {
		t.Run("helm"+major, func(t *testing.T) {
			t.Parallel()
			name := "verb" + major
			user := w.newTenant(t, name, major)
			good := chart(t, configMap+"---\n"+workload("Deployment", container("")), name+"-a")
			crds := chart(t, "FILE crds/a.yaml\n"+crd+"FILE templates/a.yaml\n"+configMap, name+"-a")
			empty := chart(t, "", name+"-a")
			hooks := chart(t, hookOf(configMap, "pre-install")+"---\n"+hookOf(rbac("ClusterRole", ""), "post-delete"), name+"-a")
			values := chart(t, "{{- if .Values.on }}\n"+rbac("ClusterRole", "")+"{{- end }}\n", name+"-a")
			fails := chart(t, `{{ fail "no luck" }}`, name+"-a")
			// The chart's own values say nothing of its subcharts', one of which has an alias.
			subcharts := chart(t, "FILE Chart.yaml\napiVersion: v2\nname: chart\nversion: 1.0.0\ndependencies:\n- {name: db, version: 1.0.0, alias: store}\n- {name: db, version: 1.0.0}\n"+
				"FILE charts/db/Chart.yaml\napiVersion: v2\nname: db\nversion: 1.0.0\nFILE charts/db/values.yaml\nrbac: {create: true}\n"+
				"FILE charts/db/templates/a.yaml\n{{- if .Values.rbac.create }}\n"+strings.Replace(rbac("ClusterRole", ""), "name: R", "name: {{ .Release.Name }}-{{ .Chart.Name }}", 1)+"{{- end }}\n", name+"-a")
			for _, c := range []struct {
				args string
				code int
				says string
			}{
				{"install web " + good, 0, "fits (2 objects; 0 refused"},
				{"install " + good + " --generate-name", 0, "fits (2 objects"},
				{"install web " + good + " -n " + name + "-a --create-namespace --wait --timeout 5s --description --", 0, "fits"},
				{"upgrade -i web " + good, 0, "fits"},
				{"upgrade web " + good, 4, `helm itself refuses it: UPGRADE FAILED: "web" has no deployed releases`},
				{"install web " + good + " -n other-a", 4, `namespace "other-a" is not the tenant's`},
				{"install web " + empty, 0, "fits (0 objects"},
				{"install web " + hooks, 0, "fits (1 object"},
				{"install web " + crds, 4, "CustomResourceDefinition things.crds.example.com"},
				{"install web " + crds + " --skip-crds", 0, "fits (1 object"},
				{"install web " + values, 0, "fits (0 objects"},
				{"install web " + values + " --set on=true", 4, "cluster-scoped"},
				{"install web " + values + " --set-string on=x,y=z", 4, "cluster-scoped"},
				{"install web " + subcharts, 4, "with --set db.rbac.create=false,store.rbac.create=false no cluster-scoped object is left, of 2"},
				{"install web " + fails, 1, "no luck"},
				{"install web ./nowhere-at-all", 1, "not found"},
				{"install web " + good + " --bad-flag", 2, "helm install has no flag --bad-flag"},
				{"install web", 1, "must either provide a name"},
				{"install", 2, "the chart is missing"},
				{"rollback web", 2, "type install or upgrade"},
				{"install web " + good + " --kube-as-user root", 1, "--kube-as-user sets who acts"},
				{"install web " + good + " -o name", 2, `--output "name" is not one of`},
			} {
				r := user.run(t, append([]string{"preflight"}, strings.Fields(c.args)...)...)
				if r.Code != c.code || !strings.Contains(r.Stdout+r.Stderr, c.says) {
					t.Errorf("wanted %d, %q: %v", c.code, c.says, r)
				}
			}
			w.holdsNothing(t, name+"-a")

			// A release that is there.
			if r := user.run(t, "install", "web", good, "--set", "kept=1"); r.Code != 0 {
				t.Fatal(r)
			}
			reuse := chart(t, `{{- if .Values.kept }}`+"\n"+configMap+"---\n"+in("other-a", strings.Replace(configMap, "name: R", "name: R-2", 1))+"{{- end }}\n", name+"-a")
			for _, c := range []struct {
				args string
				code int
				says string
			}{
				{"upgrade web " + good, 0, "fits (2 objects"},
				{"install web " + good, 4, "a release of that name is there (deployed)"},
				{"upgrade web " + reuse + " --reset-values", 0, "fits (0 objects"},
				{"upgrade web " + reuse, 4, `namespace "other-a" is not the tenant's`},
				{"upgrade web " + reuse + " --reuse-values", 4, `namespace "other-a" is not the tenant's`},
				{"install web2 " + chart(t, strings.Replace(configMap, "name: R", "name: web", 1), name+"-a"), 4, `belongs to release "web"`},
				{"install web2 " + chart(t, strings.Replace(configMap, "name: R", "name: web", 1), name+"-a") + " --take-ownership", 0, "fits"},
			} {
				r := user.run(t, append([]string{"preflight"}, strings.Fields(c.args)...)...)
				if r.Code != c.code || !strings.Contains(r.Stdout+r.Stderr, c.says) {
					t.Errorf("wanted %d, %q: %v", c.code, c.says, r)
				}
			}
		})
	}
}

// holdsNothing checks that nothing was written into a namespace.
func (w *world) holdsNothing(t *testing.T, namespace string) {
	t.Helper()
	deployments, err := w.root.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(deployments.Items) > 0 {
		t.Errorf("there are Deployments: %v, %v", deployments.Items, err)
	}
	secrets, err := w.root.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(secrets.Items) > 0 {
		t.Errorf("there are Secrets: %v, %v", secrets.Items, err)
	}
	maps, err := w.root.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(maps.Items) > 1 { // the cluster's CA
		t.Errorf("there are ConfigMaps: %v, %v", maps.Items, err)
	}
	pods, err := w.root.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		t.Errorf("there are Pods: %v, %v", pods.Items, err)
	}
}

// ofHelm2 writes a chart for Helm 2.
func ofHelm2(t *testing.T, text, namespace string) string {
	t.Helper()
	folder := chart(t, text, namespace)
	if err := os.WriteFile(filepath.Join(folder, "Chart.yaml"), []byte("apiVersion: v1\nname: chart\nversion: 1.0.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestHelm2 judges statically, as a member who may ask nothing as the Tiller's account.
func TestHelm2(t *testing.T) {
	w := start(t)
	user := w.newTenant(t, "two", "2", "--hosts", "*.example.com")
	for _, c := range []struct {
		text, args string
		code       int
		id         string
	}{
		{configMap, "-n web", 5, ""},
		{workload("Deployment", container("")), "", 5, ""},
		{`{{- if .Capabilities.APIVersions.Has "policy/v1beta1" }}` + "\nkind: X\napiVersion: v0\nmetadata: {name: R}\n{{- end }}\n{{- if not (.Capabilities.APIVersions.Has \"apps/v1\") }}\nkind: X\napiVersion: v0\nmetadata: {name: R}\n{{- end }}\n", "", 5, ""},
		{"apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: R}\n", "--set a=b", 4, "api-not-served"},
		{rbac("ClusterRole", ""), "", 4, "cluster-scoped"},
		{in("kube-system", configMap), "", 4, "foreign-namespace"},
		{workload("StatefulSet", "hostNetwork: true, "+container("")), "", 4, "pod-security"},
		{binding("RoleBinding", "ClusterRole", "view", "{kind: User, name: mallory}"), "", 4, "guard"},
		{configMap, "-n " + strings.Repeat("a", 54), 4, "name"},
		{strings.Replace(crd, "metadata: {name: things.R.example.com}", "metadata: {name: things.x.example.com, annotations: {helm.sh/hook: crd-install}}", 1), "", 4, "cluster-scoped"},
	} {
		folder := ofHelm2(t, strings.ReplaceAll(c.text, ".R.example.com", ".x.example.com"), "two-a")
		report, r := user.report(t, append([]string{"install", folder}, strings.Fields(c.args)...)...)
		if r.Code != c.code || c.id != "" && !slices.ContainsFunc(report.Findings, has(c.id)) || !report.Has(preflight.Untried) {
			t.Errorf("wanted %d, %s: %v\n%s", c.code, c.id, r, c.text)
		}
	}
	if r := user.run(t, "preflight", "install", ofHelm2(t, "{{ fail \"no luck\" }}", "two-a")); r.Code != 1 || !strings.Contains(r.Stderr, "no luck") {
		t.Errorf("a chart that does not render: %v", r)
	}
	if r := user.run(t, "preflight", "upgrade", "web", ofHelm2(t, "{{- if .Release.IsUpgrade }}\n"+rbac("ClusterRole", "")+"{{- end }}\n", "two-a")); r.Code != 4 {
		t.Errorf("an upgrade: %v", r)
	}
}

// TestBarePod finds what refuses a pod behind PodSecurity, which answers first: the guard and a quota.
func TestBarePod(t *testing.T) {
	w := start(t)
	user := w.newTenant(t, "bare", "4", "--quota", "requests.cpu=500m")
	const storage = ", volumes: [{name: v, nfs: {server: s, path: /}}]"
	costly := container(", resources: {requests: {cpu: 1}}")
	for _, c := range []struct {
		spec string
		want []string
	}{
		{"hostNetwork: true, " + costly + storage, []string{"guard", "pod-security", "quota"}},
		{"hostNetwork: true, restartPolicy: OnFailure, activeDeadlineSeconds: 9, " + costly + storage, []string{"guard", "pod-security", "quota"}},
		{"hostNetwork: true, serviceAccountName: nobody, " + costly + storage, []string{"guard", "pod-security", "quota", "service-account"}},
		{costly + storage, []string{"guard", "quota"}},
		{"hostNetwork: true, " + costly, []string{"pod-security", "quota"}},
	} {
		report, r := user.report(t, "install", "web", chart(t, workload("Pod", c.spec), "bare-a"))
		var got []string
		for _, f := range report.Findings {
			got = append(got, string(f.ID))
		}
		slices.Sort(got)
		if r.Code != 4 || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v: %v", c.spec, got, c.want, r)
		}
	}
	w.holdsNothing(t, "bare-a")
}

// TestForAdmin writes what an admin can create, and has one create it.
func TestForAdmin(t *testing.T) {
	w := start(t)
	user := w.newTenant(t, "foradmin", "4")
	folder := chart(t, strings.Join([]string{
		rbac("ClusterRole", "{apiGroups: [''], resources: [nodes], verbs: [get]}"), strings.Replace(crd, "things.R.example.com", "things.fa.example.com", 1),
		strings.Replace(rbac("ClusterRole", "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}"), "name: R", "name: R-all", 1),
		binding("ClusterRoleBinding", "ClusterRole", "view", "{kind: ServiceAccount, name: helm, namespace: foradmin-helm}"),
		// Names that contain YAML documents and flags.
		strings.Replace(rbac("ClusterRole", `{apiGroups: ["x\n---\nkind: Secret\n# $(reboot)"], resources: ["\u001b[31mnodes"], verbs: [get]}`), "name: R", "name: R-odd", 1),
	}, "---\n"), "foradmin-a")
	text, err := os.ReadFile(filepath.Join(folder, "templates", "all.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "templates", "all.yaml"), []byte(strings.ReplaceAll(string(text), "group: {{ .Release.Name }}.example.com", "group: fa.example.com")), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "for-admin.yaml")
	if r := user.run(t, "preflight", "install", "fa", folder, "--for-admin", file); r.Code != 4 || !strings.Contains(r.Stderr, "wrote "+file) {
		t.Fatal(r)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(written), "\n") {
		if line == "kind: Secret" || strings.ContainsRune(line, '\x1b') || strings.Contains(line, "apiGroup: '*'") {
			t.Errorf("a word became more than that: %q\n%s", line, written)
		}
	}
	for _, want := range []string{"# get nodes", "# Left out: a rule of it has a wildcard", "# Left out: it binds the tenant's deployer", "# Defines the kind Thing of the group fa.example.com for the whole cluster"} {
		if !strings.Contains(string(written), want) {
			t.Errorf("%q is not said:\n%s", want, written)
		}
	}
	w.kubectl(t, string(written), "--dry-run=server")
	if strings.Count(string(written), "\napiVersion: ") != 3 {
		t.Errorf("not three objects are written:\n%s", written)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(fmt.Errorf("the file: %v, %w", info, err))
	}
}

// TestValues names the settings that help.
func TestValues(t *testing.T) {
	w := start(t)
	user := w.newTenant(t, "values", "3")
	folder := chart(t, "FILE values.yaml\nrbac: {create: true}\ncrds: {enabled: true}\nwhere: x\nFILE templates/a.yaml\n{{- if .Values.rbac.create }}\n"+rbac("ClusterRole", "")+"{{- end }}\n", "values-a")
	report, r := user.report(t, "install", "web", folder)
	if r.Code != 4 || len(report.Values) != 1 || report.Values[0] != (preflight.Setting{Set: "rbac.create=false", Left: 0, Of: 1}) {
		t.Errorf("%v", r)
	}
	if r := user.run(t, "preflight", "install", "web", folder, "--set", report.Values[0].Set); r.Code != 0 {
		t.Errorf("with what helps: %v", r)
	}
}
