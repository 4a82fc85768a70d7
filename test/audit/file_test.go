package audit

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/records"
)

// differing are changes of the tenants file, and the findings for each.
var differing = []struct {
	name     string
	old, new string
	want     []string
}{
	{"as it is", "", "", nil},
	{"a member less", "[alice]", "[]", []string{"HT043 alpha user alice"}},
	{"a member more", "[alice]", "[alice, amy]", []string{"HT043 alpha user amy"}},
	{"a group of another name", "[alpha-devs]", "[devs]", []string{"HT043 alpha group alpha-devs", "HT043 alpha group devs"}},
	{"a namespace less", "[alpha-a, alpha-b]", "[alpha-a]", []string{"HT043 alpha namespace alpha-b"}},
	{"a namespace more", "[beta-a]", "[beta-a, beta-b]", []string{"HT043 beta namespace beta-b"}},
	{"another role", "[beta-a]", "[beta-a]\n  role: edit", []string{"HT043 beta role"}},
	{"another setting of Tiller's", "[beta-a]", "[beta-a]\n  tiller: {historyMax: 5}", []string{"HT043 beta tiller"}},
	{"another home", "[beta-a]", "[beta-a]\n  homeNamespace: outside", []string{"HT043 beta home namespace"}},
	{"another engine", "[beta-a]", "[beta-a]\n  engine: impersonation", []string{"HT043 beta engine"}},
	{"another storage", "[beta-a]", "[beta-a]\n  tiller: {storage: configmap}", []string{"HT043 beta storage"}},
	{"a tenant more", "- name: beta", "- name: delta\n  namespaces: [delta-a]\n- name: beta", []string{"HT043 delta tenant delta"}},
	{"a tenant less", "- name: beta\n  namespaces: [beta-a]\n  members:\n    users: [bob]\n  podSecurity: baseline\n  guard: enforce\n  network: open\n", "", []string{"HT043 beta tenant beta"}},
}

// TestFile compares the cluster with tenants files, and types what the findings say.
func TestFile(t *testing.T) {
	w := start(t)
	w.clean(t)
	exported := w.run(w.Admin(), "export")
	if exported.Code != 0 {
		t.Fatal(exported.Stderr)
	}
	before := filepath.Join(t.TempDir(), "before.yaml")
	must(t, os.WriteFile(before, []byte(exported.Stdout), 0o644))
	for _, ns := range []string{"beta-b", "delta-a"} {
		must(t, create(w.root.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})))
	}
	for _, test := range differing {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(exported.Stdout, test.old, test.new, 1)
			if test.old != "" && text == exported.Stdout {
				t.Fatalf("%q is not in the file:\n%s", test.old, text)
			}
			file := filepath.Join(t.TempDir(), "tenants.yaml")
			must(t, os.WriteFile(file, []byte(text), 0o644))
			p := w.plant(t)
			got := w.audit(t, "-f", file).Findings
			p.same(got, test.want)
			if t.Failed() || len(got) == 0 || got[0].Fixes[0].Note != "" {
				return
			}
			p.later(func() { p.helmTenant("apply", "-f", before, "--wait=false") })
			if strings.HasPrefix(test.new, "- name: delta") {
				p.later(func() { p.helmTenant("destroy", "delta", "--yes") })
			}
			p.typeFix(got[0].Fix)
			p.same(w.audit(t, "-f", file).Findings, nil)
		})
	}
}

// If releases are in ConfigMaps, these lead to their values.
func TestRecordsInConfigMaps(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	name := "maps-" + rand.String(5)
	p.helmTenant("init", name, "--engine", "tiller", "--namespaces", name+"-a", "--create-namespaces", "--storage", "configmap", "--user", "mia", "--wait=false")
	p.later(func() {
		p.helmTenant("destroy", name, "--yes", "--keep-releases", "--backup", filepath.Join(t.TempDir(), "backup.yaml"))
	})
	record := records.ConfigMap(records.Release{Name: "web", Namespace: name + "-a", Revision: 1, Status: "SUPERSEDED"})
	must(t, create(w.root.CoreV1().ConfigMaps(name+"-tiller").Create(t.Context(), record, metav1.CreateOptions{})))
	config := w.Config(t, "zoe")
	zoe := kubernetes.NewForConfigOrDie(config)
	for _, test := range []struct {
		rule, want string
		read       bool
	}{
		{"get configmaps " + record.Name, "HT013", true},
		{"get,list configmaps", "HT013", true},
		{"list,watch configmaps", "HT013", false},
		{"get configmaps another", "", false},
		{"patch configmaps " + record.Name, "HT013", false},
		{"create configmaps", "HT013", false},
		{"update configmaps helm-tenant", "HT020", false},
		{"get secrets " + record.Name, "", false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			want := []string{"HT052 " + name + " --storage"}
			if test.want != "" {
				want = append(want, test.want+" "+name+" user zoe")
			}
			rights := &plant{T: t, w: w}
			defer func() {
				for _, undo := range rights.undos {
					undo()
				}
			}()
			rights.grant(name+"-tiller", "one", []string{test.rule}, "user zoe")
			w.settle(t)
			rights.same(w.audit(t).Findings, want)
			_, err := zoe.CoreV1().ConfigMaps(name+"-tiller").Get(t.Context(), record.Name, metav1.GetOptions{})
			if (err == nil) != test.read {
				t.Errorf("the API server lets zoe read the record: %v", err)
			}
		})
	}
}

// TestReleasesLeaveConfigMaps: the finding's fix for a tenant with releases in ConfigMaps
// works, and so do the commands in docs/audit.md for staying with Tiller.
func TestReleasesLeaveConfigMaps(t *testing.T) {
	w := start(t)
	w.clean(t)
	w.env = append(slices.Clone(w.env), "HELM_BIN="+w.Bin("helm3"))
	defer func() { w.env = w.env[:len(w.env)-1] }()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "audit.md"))
	must(t, err)
	_, anew, _ := strings.Cut(string(text), "\n    helm tenant export team-a")
	anew, _, found := strings.Cut("helm tenant export team-a"+anew, "\n\n")
	if !found {
		t.Fatal("docs/audit.md does not say how to stay with Tiller")
	}
	for _, test := range []struct {
		name string
		// commands are what is typed, of the finding's fix.
		commands func(fix string) string
	}{
		{"by migrating", func(fix string) string {
			return fix + " --yes"
		}},
		{"by making the tenant anew", func(string) string { return strings.Replace(anew, "--keep-releases", "--keep-releases --yes", 1) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := w.plant(t)
			name := "maps-" + rand.String(5)
			p.helmTenant("init", name, "--engine", "tiller", "--namespaces", name+"-a", "--create-namespaces", "--storage", "configmap", "--user", "mia", "--wait=false")
			p.later(func() {
				p.helmTenant("destroy", name, "--yes", "--keep-releases", "--backup", filepath.Join(t.TempDir(), "backup.yaml"))
			})
			record := records.ConfigMap(records.Release{Name: "web", Namespace: name + "-a", Revision: 1, Status: "DEPLOYED"})
			must(t, create(w.root.CoreV1().ConfigMaps(name+"-tiller").Create(t.Context(), record, metav1.CreateOptions{})))
			got := w.audit(t).Findings
			p.same(got, []string{"HT052 " + name + " --storage"})
			if t.Failed() {
				return
			}
			commands := "set -e\ncd " + t.TempDir() + "\n" + strings.ReplaceAll(test.commands(got[0].Fix), "team-a", name)
			if r := w.command(w.Admin(), "/bin/sh", "-c", commands); r.Code != 0 {
				t.Fatalf("%s\nexit code %d\n%s", commands, r.Code, r.Stderr)
			}
			w.clean(t)
			if r := w.run(w.Admin(), "describe", name); !strings.Contains(r.Stdout, "web") {
				t.Errorf("the release is lost:\n%s%s", r.Stdout, r.Stderr)
			}
		})
	}
}
