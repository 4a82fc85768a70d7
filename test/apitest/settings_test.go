package apitest

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func (w *world) tiller(t *testing.T, team team) *appsv1.Deployment {
	t.Helper()
	d, err := w.root.AppsV1().Deployments(team.home).Get(t.Context(), "tiller-deploy", metav1.GetOptions{})
	must(t, err)
	return d
}

func TestTillersSettings(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	env := func(d *appsv1.Deployment, name string) string {
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			if e.Name == name {
				return e.Value
			}
		}
		return ""
	}
	container := func(d *appsv1.Deployment) corev1.Container { return d.Spec.Template.Spec.Containers[0] }
	admin.must(t, initArgs(team)...)
	// Each step keeps the settings of the earlier ones.
	for _, step := range []struct {
		flags string
		want  string
		got   func(d *appsv1.Deployment) any
	}{
		{"--tiller-image registry.example.com:5000/mirror/tiller", "registry.example.com:5000/mirror/tiller:v2.17.0", func(d *appsv1.Deployment) any { return container(d).Image }},
		{"--tiller-version v2.16.12", "registry.example.com:5000/mirror/tiller:v2.16.12", func(d *appsv1.Deployment) any { return container(d).Image }},
		{"--tiller-image example.com/tiller@sha256:0000000000000000000000000000000000000000000000000000000000000000", "example.com/tiller@sha256:0000000000000000000000000000000000000000000000000000000000000000", func(d *appsv1.Deployment) any { return container(d).Image }},
		{"--history-max 7", "7", func(d *appsv1.Deployment) any { return env(d, "TILLER_HISTORY_MAX") }},
		{"--history-max 0", "0", func(d *appsv1.Deployment) any { return env(d, "TILLER_HISTORY_MAX") }},
		{"--replicas 3", "3", func(d *appsv1.Deployment) any { return *d.Spec.Replicas }},
		{"--resources requests.memory=128Mi,limits.memory=1Gi,limits.cpu=2", "1Gi 2 128Mi 20m", func(d *appsv1.Deployment) any {
			r := container(d).Resources
			return fmt.Sprintf("%s %s %s %s", r.Limits.Memory(), r.Limits.Cpu(), r.Requests.Memory(), r.Requests.Cpu())
		}},
		{"--resources requests.memory=512Mi", "512Mi 512Mi", func(d *appsv1.Deployment) any {
			r := container(d).Resources
			return fmt.Sprintf("%s %s", r.Requests.Memory(), r.Limits.Memory())
		}},
		{"--node-selector kubernetes.io/os=linux,pool=system", "map[kubernetes.io/os:linux pool:system]", func(d *appsv1.Deployment) any { return d.Spec.Template.Spec.NodeSelector }},
		{"--image-pull-secret one --image-pull-secret two", "[{one} {two}]", func(d *appsv1.Deployment) any { return d.Spec.Template.Spec.ImagePullSecrets }},
	} {
		admin.must(t, append([]string{"init", team.name, "--wait=false"}, strings.Fields(step.flags)...)...)
		if got := fmt.Sprint(step.got(w.tiller(t, team))); got != step.want {
			t.Errorf("%s: got %s, not %s", step.flags, got, step.want)
		}
		second := w.admin(t)
		second.must(t, "init", team.name, "--wait=false")
		second.wroteNothing(t)
	}
	d := w.tiller(t, team)
	if container(d).Image != "example.com/tiller@sha256:"+strings.Repeat("0", 64) || env(d, "TILLER_HISTORY_MAX") != "0" || *d.Spec.Replicas != 3 || env(d, "TILLER_NAMESPACE") != team.home {
		t.Errorf("a setting of an earlier command is lost: %v", d.Spec)
	}
	admin.requests(t)
	for flags, words := range map[string][]string{
		"--history-max -1":                                  {"history-max", "-1"},
		"--replicas 0":                                      {"replicas"},
		"--resources requests.memory=lot":                   {"requests.memory=lot"},
		"--resources memory=1Gi":                            {"requests.NAME"},
		"--resources requests.memory=-5Mi":                  {"requests.memory=-5Mi", "negative"},
		"--resources requests.memory=2Gi,limits.memory=1Gi": {"requests.memory=2Gi", "limits.memory=1Gi"},
		"--replicas 4294967297":                             {"replicas", "4294967297"},
		"--tiller-version foo/bar":                          {"tiller-version", "foo/bar"},
		"--tiller-image example.com/Tiller":                 {"tiller-image", "example.com/Tiller"},
		"--node-selector a/b/c=d":                           {"node-selector", "a/b/c"},
		"--image-pull-secret No_Secret":                     {"image-pull-secret", "No_Secret"},
		"--storage sql":                                     {"storage", "sql"},
		"--engine steam":                                    {"engine", "steam"},
	} {
		admin.fails(t, 2, words, append([]string{"init", team.name, "--wait=false"}, strings.Fields(flags)...)...)
	}
	admin.wroteNothing(t)
}

// TestTillersVersionIsThatOfTheClient is about admins without a Helm 2.
func TestTillersVersionIsThatOfTheClient(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct{ name, helm, want string }{
		{"no helm", "", "v2.17.0"},
		{"an older helm", fakeHelm(t, "v2.16.9"), "v2.16.9"},
		{"a helm 3", fakeHelm(t, "v3.22.0"), "v2.17.0"},
	} {
		team := newTeam()
		admin := w.admin(t)
		admin.env = []string{"HELM_BIN=" + c.helm}
		admin.must(t, append(initArgs(team), "--engine", "tiller")...)
		if got := w.tiller(t, team).Spec.Template.Spec.Containers[0].Image; got != "ghcr.io/helm/tiller:"+c.want {
			t.Errorf("%s: Tiller's image is %s", c.name, got)
		}
	}
}

// hardening lists the fields in which a tenant's Tiller differs from that of `helm init` of
// Helm 2.17, and why. docs/security.md has the same list.
var hardening = []struct{ path, why string }{
	{"metadata.labels", "what belongs to a tenant is found by its label"},
	{"spec.template.spec.containers[0].command", "listens where only a port-forward comes, and keeps releases in Secrets"},
	{"spec.template.spec.containers[0].resources", "starts where a quota asks for limits, and can not starve its neighbours"},
	{"spec.template.spec.containers[0].securityContext", "no way to more rights, and no file to change"},
	{"spec.template.spec.securityContext", "is not root, and has the system calls that pods usually have"},
}

// TestTheDeploymentIsThatOfHelmInit compares both after the API server filled in
// its defaults.
func TestTheDeploymentIsThatOfHelmInit(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.admin(t).must(t, initArgs(team)...)
	ours := w.tiller(t, team)

	theirs, _ := w.helmInit(t, team.home)
	// helm init would use this namespace, where the tenant's Tiller already is.
	theirs.Namespace = team.a
	theirs, err := w.root.AppsV1().Deployments(team.a).Create(t.Context(), theirs, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	must(t, err)

	a, err := runtime.DefaultUnstructuredConverter.ToUnstructured(theirs)
	must(t, err)
	b, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ours)
	must(t, err)
	var differing []string
	for _, o := range []map[string]any{a, b} {
		delete(o, "status")
		meta := o["metadata"].(map[string]any)
		for key := range meta {
			if key != "labels" && key != "name" {
				delete(meta, key)
			}
		}
	}
	compare("", a, b, &differing)
	// Each difference lies under a path that is known, and each of those has one.
	used := map[string]bool{}
	for _, path := range differing {
		index := slices.IndexFunc(hardening, func(h struct{ path, why string }) bool {
			return path == h.path || strings.HasPrefix(path, h.path+".") || strings.HasPrefix(path, h.path+"[")
		})
		if index < 0 {
			t.Errorf("%s differs from helm init's, and nobody said why", path)
			continue
		}
		used[hardening[index].path] = true
	}
	for _, h := range hardening {
		if !used[h.path] {
			t.Errorf("%s is as helm init has it, and is in the list of differences", h.path)
		}
		if h.why == "" {
			t.Errorf("%s has no reason", h.path)
		}
	}
}

// compare appends the paths in which a and b differ. Named items of a list are
// compared by place.
func compare(path string, a, b any, differing *[]string) {
	am, aMap := a.(map[string]any)
	bm, bMap := b.(map[string]any)
	al, aList := a.([]any)
	bl, bList := b.([]any)
	switch {
	case aMap && bMap:
		keys := map[string]bool{}
		for key := range am {
			keys[key] = true
		}
		for key := range bm {
			keys[key] = true
		}
		for key := range keys {
			compare(strings.TrimPrefix(path+"."+key, "."), am[key], bm[key], differing)
		}
	case aList && bList && len(al) == len(bl):
		for i := range al {
			compare(fmt.Sprintf("%s[%d]", path, i), al[i], bl[i], differing)
		}
	case fmt.Sprint(a) != fmt.Sprint(b):
		*differing = append(*differing, path)
	}
}

// TestSecurityMDHasTheHardening holds the table in docs/security.md to the one
// here.
func TestSecurityMDHasTheHardening(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	must(t, err)
	_, rest, found := strings.Cut(string(text), "<!-- hardening -->")
	table, _, closed := strings.Cut(rest, "<!-- /hardening -->")
	if !found || !closed {
		t.Fatal("docs/security.md has no table between <!-- hardening --> and <!-- /hardening -->")
	}
	row := regexp.MustCompile("(?m)^\\| *`([^`]+)` *\\|(.*)\\|")
	var documented []string
	for _, match := range row.FindAllStringSubmatch(table, -1) {
		documented = append(documented, match[1])
		if strings.Trim(match[2], " |") == "" {
			t.Errorf("docs/security.md says nothing about %s", match[1])
		}
	}
	var local []string
	for _, h := range hardening {
		local = append(local, h.path)
	}
	slices.Sort(documented)
	slices.Sort(local)
	same(t, "fields in docs/security.md", local, documented)
}
