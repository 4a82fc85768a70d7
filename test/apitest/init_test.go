package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write testdata anew from what the cluster holds")

// initArgs returns the usual command that makes a team's tenant.
func initArgs(team team, more ...string) []string {
	return append([]string{"init", team.name, "--namespaces", team.a + "," + team.b, "--create-namespaces", "--user", "alice", "--wait=false"}, more...)
}

// made returns the writes that create a tenant with a new home namespace and other new
// namespaces.
func made(name, home string, namespaces ...string) []string {
	out := lines(`
		create namespaces ` + home + `
		create configmaps ` + home + `/helm-tenant
		create serviceaccounts ` + home + `/tiller
		create roles ` + home + `/helm-tenant-records
		create roles ` + home + `/helm-tenant-member
		create rolebindings ` + home + `/helm-tenant-records
		create rolebindings ` + home + `/helm-tenant-member
		create networkpolicies ` + home + `/helm-tenant
		create deployments ` + home + `/tiller-deploy
	`)
	for _, ns := range namespaces {
		out = append(out, "create namespaces "+ns, "create rolebindings "+ns+"/helm-tenant."+name+".admin")
	}
	slices.Sort(out)
	return out
}

// TestTenantObjects holds the tenant to testdata/tenant.yaml, object by object
// and field by field, as the API server has it.
func TestTenantObjects(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	same(t, "what it wrote", made(team.name, team.home, team.a, team.b), writes(admin.requests(t)))

	objects := w.dump(t, team)
	const golden = "testdata/tenant.yaml"
	if *update {
		writeGolden(t, golden, objects)
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, o := range documents(t, string(text)) {
		asJSON, err := json.MarshalIndent(o.Object, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())] = string(asJSON)
	}
	same(t, "the tenant", want, objects)
}

func writeGolden(t *testing.T, file string, objects map[string]string) {
	t.Helper()
	out := bytes.NewBufferString("# A tenant as the API server has it. TEAM is its name.\n# Written by: go test ./apitest -run TestTenantObjects -update\n")
	for i, key := range slices.Sorted(maps.Keys(objects)) {
		text, err := yaml.JSONToYAML([]byte(objects[key]))
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// documents returns the objects of a YAML text.
func documents(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("no YAML: %v\n%s", err, text)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

func TestTheFirstTenantAlsoMakesTheAdmissionPolicy(t *testing.T) {
	t.Parallel()
	w := start(t)
	want := append(made("first", "first-tiller", "first-a"),
		"create validatingadmissionpolicies helm-tenant-records",
		"create validatingadmissionpolicybindings helm-tenant-records")
	for _, policy := range guardPolicies {
		want = append(want, "create validatingadmissionpolicies helm-tenant-guard-"+policy, "create validatingadmissionpolicybindings helm-tenant-guard-"+policy)
	}
	slices.Sort(want)
	same(t, "what the first init wrote", want, w.firstWrites)
}

func TestSecondRunWritesNothing(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	before := w.versions(t, team)
	for _, command := range [][]string{
		initArgs(team),
		{"init", team.name, "--wait=false"}, // says nothing, so all stays
		{"init", team.name, "--namespaces", team.b, "--wait=false"},
		initArgs(team, "--dry-run"),
	} {
		second := w.admin(t)
		r := second.must(t, command...)
		second.wroteNothing(t)
		if !strings.Contains(r.Stdout+r.Stderr, "as asked: nothing") && !strings.Contains(r.Stderr, "nothing to write") {
			t.Errorf("it does not say that nothing was written: %v", r)
		}
		same(t, "objects", before, w.versions(t, team))
	}
}

// TestDryRunEqualsWrites compares what a dry run prints with the bodies of
// the requests of the real run.
func TestDryRunEqualsWrites(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.namespace(t, team.c)
	for _, step := range []struct{ name, command string }{
		{"from nothing", fmt.Sprintf("init %s --namespaces %s,%s --create-namespaces --user alice --group devs --service-account ci:bot", team.name, team.a, team.c)},
		{"a change", fmt.Sprintf("init %s --namespaces %s --create-namespaces --user bob --history-max 5 --role edit", team.name, team.b)},
		{"a removal", fmt.Sprintf("init %s --namespaces %s --prune", team.name, team.a)},
	} {
		// The steps build on each other.
		admin := w.admin(t)
		before := w.versions(t, team)
		asYAML := admin.must(t, append(strings.Fields(step.command), "--dry-run", "-o", "yaml")...)
		asJSON := admin.must(t, append(strings.Fields(step.command), "--dry-run", "-o", "json")...)
		byName := admin.must(t, append(strings.Fields(step.command), "--dry-run", "-o", "name")...)
		admin.wroteNothing(t)
		same(t, step.name+": objects after a dry run", before, w.versions(t, team))

		var mutex sync.Mutex
		bodies := map[string]string{}
		real := admin.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
			if !isWriteRequest(r) || r.Method == http.MethodDelete {
				return false
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			o := &unstructured.Unstructured{}
			if err := json.Unmarshal(body, &o.Object); err != nil {
				t.Errorf("a write's body: %v", err)
			}
			mutex.Lock()
			defer mutex.Unlock()
			bodies[keyOf(o)] = content(o)
			return false
		})
		real.must(t, append(strings.Fields(step.command), "--wait=false")...)

		printed, names := map[string]string{}, []string{}
		for _, o := range documents(t, asYAML.Stdout) {
			names = append(names, strings.ToLower(o.GetKind())+"/"+o.GetName())
			printed[keyOf(o)] = content(o)
		}
		same(t, step.name+": what was printed, what was written", printed, bodies)

		var list unstructured.UnstructuredList
		if err := json.Unmarshal([]byte(asJSON.Stdout), &list); err != nil {
			t.Fatalf("-o json: %v", err)
		}
		inJSON := map[string]string{}
		for i := range list.Items {
			inJSON[keyOf(&list.Items[i])] = content(&list.Items[i])
		}
		same(t, step.name+": YAML and JSON", printed, inJSON)
		slices.Sort(names)
		same(t, step.name+": -o name", names, lines(byName.Stdout))

		for _, line := range writes(real.requests(t)) {
			if !strings.HasPrefix(line, "delete ") {
				continue
			}
			name := line[strings.LastIndex(line, "/")+1:]
			if !strings.Contains(asYAML.Stderr, "would be deleted") || !strings.Contains(asYAML.Stderr, name) {
				t.Errorf("%s: %q is not told by the dry run: %v", step.name, line, asYAML)
			}
		}
	}
}

func keyOf(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())
}

// content returns the object's JSON without what only an update has to carry.
func content(o *unstructured.Unstructured) string {
	o = o.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	delete(o.Object, "status")
	withoutRestart(o)
	text, err := json.MarshalIndent(o.Object, "", " ")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// withoutRestart takes out of a Deployment when its pods were made again, as Tiller's are
// whose account is a later one.
func withoutRestart(o *unstructured.Unstructured) {
	annotations := []string{"spec", "template", "metadata", "annotations"}
	unstructured.RemoveNestedField(o.Object, append(annotations, "kubectl.kubernetes.io/restartedAt")...)
	if rest, found, _ := unstructured.NestedMap(o.Object, annotations...); found && len(rest) == 0 {
		unstructured.RemoveNestedField(o.Object, annotations...)
	}
}

func TestKubectlAppliesADryRun(t *testing.T) {
	t.Parallel()
	w, team, reference := start(t), newTeam(), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(reference)...)

	printed := admin.must(t, initArgs(team, "--dry-run", "-o", "yaml")...)
	apply := exec.Command(w.Bin("kubectl"), "--kubeconfig", admin.kubeconfig, "apply", "-f", "-")
	apply.Stdin = strings.NewReader(printed.Stdout)
	apply.Env = []string{"HOME=" + filepath.Join(dir, "home")}
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
	same(t, "the tenant", w.dump(t, reference), w.dump(t, team))

	after := w.admin(t)
	if r := after.must(t, initArgs(team)...); !strings.Contains(r.Stdout, "nothing was written") {
		t.Errorf("kubectl made another tenant: %v", r)
	}
	after.wroteNothing(t)
}

// TestTwoAdminsAtOnce makes one tenant by several commands at the same time,
// each of which asks for something else.
func TestTwoAdminsAtOnce(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	var running []*running
	const many = 6
	want := []any{}
	for i := range many {
		ns := fmt.Sprintf("%s-%d", team.name, i)
		want = append(want, ns)
		running = append(running, admin.launch(t, "init", team.name, "--namespaces", ns, "--create-namespaces", "--user", fmt.Sprintf("user%d", i), "--wait=false"))
	}
	for _, p := range running {
		if r := <-p.ended; r.Code != 0 {
			t.Errorf("one of several at once failed: %v", r)
		}
	}
	got, _ := w.record(t, team)["namespaces"].([]any)
	slices.SortFunc(got, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	same(t, "the record's namespaces", want, got)
	for _, ns := range want {
		w.bound(t, ns.(string), team, "admin")
	}
	if got := w.members(t, team); len(got) != many {
		t.Errorf("of %d members there are %v", many, got)
	}
}

// members returns the subjects of the team's member binding, sorted.
func (w *world) members(t *testing.T, team team) []string {
	t.Helper()
	binding, err := w.root.RbacV1().RoleBindings(team.home).Get(t.Context(), "helm-tenant-member", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	members := []string{}
	for _, s := range binding.Subjects {
		name := s.Kind + " " + s.Name
		if s.Namespace != "" {
			name = s.Kind + " " + s.Namespace + ":" + s.Name
		}
		members = append(members, name)
	}
	slices.Sort(members)
	return members
}
