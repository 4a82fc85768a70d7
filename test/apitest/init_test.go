package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/records"
)

var update = flag.Bool("update", false, "write testdata anew from what the cluster holds")

// initArgs is the usual command that makes a team's tenant.
func initArgs(made team, more ...string) []string {
	return append([]string{"init", made.name, "--namespaces", made.a + "," + made.b, "--create-namespaces", "--user", "alice", "--wait=false"}, more...)
}

// made are the writes that make a tenant of a home namespace and of others, none
// of which is there before.
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

// TestATenantIsMadeOf holds the tenant to testdata/tenant.yaml, object by object
// and field by field, as the API server has it.
func TestATenantIsMadeOf(t *testing.T) {
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
	out := bytes.NewBufferString("# A tenant as the API server has it. TEAM is its name.\n# Written by: go test ./apitest -run TestATenantIsMadeOf -update\n")
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

// documents are the objects of a YAML text.
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

func TestASecondRunWritesNothing(t *testing.T) {
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
		again := w.admin(t)
		r := again.must(t, command...)
		again.wroteNothing(t)
		if !strings.Contains(r.stdout+r.stderr, "as asked: nothing") && !strings.Contains(r.stderr, "nothing to write") {
			t.Errorf("it does not say that nothing was written: %v", r)
		}
		same(t, "objects", before, w.versions(t, team))
	}
}

// TestADryRunIsWhatIsWritten compares what a dry run prints with the bodies of
// the requests of the real run.
func TestADryRunIsWhatIsWritten(t *testing.T) {
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
		for _, o := range documents(t, asYAML.stdout) {
			names = append(names, strings.ToLower(o.GetKind())+"/"+o.GetName())
			printed[keyOf(o)] = content(o)
		}
		same(t, step.name+": what was printed, what was written", printed, bodies)

		var list unstructured.UnstructuredList
		if err := json.Unmarshal([]byte(asJSON.stdout), &list); err != nil {
			t.Fatalf("-o json: %v", err)
		}
		inJSON := map[string]string{}
		for i := range list.Items {
			inJSON[keyOf(&list.Items[i])] = content(&list.Items[i])
		}
		same(t, step.name+": YAML and JSON", printed, inJSON)
		slices.Sort(names)
		same(t, step.name+": -o name", names, lines(byName.stdout))

		for _, line := range writes(real.requests(t)) {
			if !strings.HasPrefix(line, "delete ") {
				continue
			}
			name := line[strings.LastIndex(line, "/")+1:]
			if !strings.Contains(asYAML.stderr, "would be deleted") || !strings.Contains(asYAML.stderr, name) {
				t.Errorf("%s: %q is not told by the dry run: %v", step.name, line, asYAML)
			}
		}
	}
}

func keyOf(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())
}

// content is the object's JSON without what only an update has to carry.
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
	apply.Stdin = strings.NewReader(printed.stdout)
	apply.Env = []string{"HOME=" + filepath.Join(dir, "home")}
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
	same(t, "the tenant", w.dump(t, reference), w.dump(t, team))

	after := w.admin(t)
	if r := after.must(t, initArgs(team)...); !strings.Contains(r.stdout, "nothing was written") {
		t.Errorf("kubectl made another tenant: %v", r)
	}
	after.wroteNothing(t)
}

func TestMissingNamespaces(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.namespace(t, team.a)
	admin := w.admin(t)
	admin.fails(t, 1, []string{`namespace "` + team.b + `" does not exist`, "--create-namespaces", team.name, `context "test"`},
		"init", team.name, "--namespaces", team.a+","+team.b, "--wait=false")
	admin.fails(t, 1, []string{team.b + ", " + team.c, "do not exist", "--create-namespaces"},
		"init", team.name, "--namespaces", team.a+","+team.b+","+team.c, "--wait=false")
	admin.wroteNothing(t)
	admin.must(t, "init", team.name, "--namespaces", team.a+","+team.b, "--create-namespaces", "--wait=false")
	if got := w.label(t, team.a, "app.kubernetes.io/managed-by"); got != "" {
		t.Errorf("a namespace that was there is labelled as made by %q", got)
	}
	if got := w.label(t, team.b, "app.kubernetes.io/managed-by"); got != "helm-tenant" {
		t.Errorf("a namespace that was made is labelled as made by %q", got)
	}
}

func (w *world) label(t *testing.T, namespace, label string) string {
	t.Helper()
	ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Labels[label]
}

func TestNamespacesOfAnotherTenant(t *testing.T) {
	t.Parallel()
	w, team, other := start(t), newTeam(), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(other)...)
	before := w.versions(t, other)

	second := w.admin(t)
	second.fails(t, 1, []string{`namespace "` + other.a + `" belongs to tenant "` + other.name + `"`, "--share", team.name},
		"init", team.name, "--namespaces", team.a+","+other.a, "--create-namespaces", "--wait=false")
	second.fails(t, 1, []string{`namespace "` + other.a + `" belongs to tenant`},
		"init", team.name, "--namespaces", other.a, "--adopt", "--wait=false")
	// Another's home is never one of a tenant's namespaces, nor its home.
	for _, flags := range [][]string{{}, {"--share"}, {"--share", "--adopt"}} {
		second.fails(t, 1, []string{other.home, "home namespace of tenant", other.name},
			append([]string{"init", team.name, "--namespaces", other.home, "--wait=false"}, flags...)...)
		second.fails(t, 1, []string{other.home, other.name, "--home-namespace"},
			append([]string{"init", team.name, "--namespaces", team.a, "--create-namespaces", "--home-namespace", other.home, "--wait=false"}, flags...)...)
	}
	// Nor is a namespace of another's this one's home.
	second.fails(t, 1, []string{other.a, other.name, "--home-namespace"},
		"init", team.name, "--namespaces", team.a, "--create-namespaces", "--home-namespace", other.a, "--adopt", "--wait=false")
	// Nor its own home one of its own namespaces.
	second.fails(t, 2, []string{team.home, "home namespace"}, "init", team.name, "--namespaces", team.home, "--create-namespaces", "--wait=false")
	second.wroteNothing(t)
	same(t, "the other tenant", before, w.versions(t, other))

	second.must(t, "init", team.name, "--namespaces", team.a+","+other.a, "--create-namespaces", "--share", "--wait=false")
	if owner := w.label(t, other.a, "helm-tenant/tenant"); owner != other.name {
		t.Errorf("sharing changed the owner of the namespace to %q", owner)
	}
	w.bound(t, other.a, team, "admin")
	w.bound(t, other.a, other, "admin")
	// Shared once, it needs no word again.
	third := w.admin(t)
	if r := third.run(t, "init", team.name, "--namespaces", team.a+","+other.a, "--share", "--wait=false"); r.code != 0 {
		t.Errorf("a second run: %v", r)
	}
	third.wroteNothing(t)
	// And its owner's next run changes nothing of it.
	fourth := w.admin(t)
	fourth.must(t, initArgs(other)...)
	fourth.wroteNothing(t)
}

// bound checks that exactly these roles are bound to the team's deployer in a
// namespace, by bindings that carry its label.
func (w *world) bound(t *testing.T, namespace string, made team, roles ...string) {
	t.Helper()
	bindings, err := w.root.RbacV1().RoleBindings(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, b := range bindings.Items {
		for _, s := range b.Subjects {
			if s.Kind == "ServiceAccount" && s.Namespace == made.home && s.Name == "tiller" {
				found = append(found, b.RoleRef.Name)
				if b.Labels["helm-tenant/tenant"] != made.name {
					t.Errorf("RoleBinding %s in %s has the labels %v", b.Name, namespace, b.Labels)
				}
			}
		}
	}
	slices.Sort(found)
	if len(found) == 0 && len(roles) == 0 {
		return
	}
	same(t, "roles of "+made.name+" in "+namespace, roles, found)
}

func TestNamespacesAreAddedAndTakenAway(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	admin.requests(t)

	// Added, the others stay.
	admin.must(t, "init", team.name, "--namespaces", team.c, "--create-namespaces", "--wait=false")
	same(t, "writes that add a namespace", lines(`
		create namespaces `+team.c+`
		create rolebindings `+team.c+`/helm-tenant.`+team.name+`.admin
		update configmaps `+team.home+`/helm-tenant
		update namespaces `+team.a+`
		update namespaces `+team.b+`
	`), writes(admin.requests(t)))
	if got := w.record(t, team)["namespaces"]; fmt.Sprint(got) != fmt.Sprint([]string{team.a, team.b, team.c}) {
		t.Errorf("the record has the namespaces %v", got)
	}

	// Another default: only the order changes.
	admin.must(t, "init", team.name, "--default-namespace", team.b, "--wait=false")
	same(t, "writes that change the default", lines(`update configmaps `+team.home+`/helm-tenant`), writes(admin.requests(t)))
	if got := w.record(t, team)["namespaces"]; fmt.Sprint(got) != fmt.Sprint([]string{team.b, team.a, team.c}) {
		t.Errorf("with the default %s the record has the namespaces %v", team.b, got)
	}
	admin.fails(t, 2, []string{"elsewhere", "default namespace", team.b}, "init", team.name, "--default-namespace", "elsewhere", "--wait=false")
	admin.wroteNothing(t)

	// Taken away: its content and the namespace itself stay, and a label of
	// somebody else's.
	if _, err := w.root.CoreV1().ConfigMaps(team.a).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "DEPLOYED"}, records.Release{Name: "db", Namespace: team.b, Revision: 1, Status: "DEPLOYED"})
	r := admin.must(t, "init", team.name, "--namespaces", team.b, "--prune", "--wait=false")
	if want := fmt.Sprintf("namespace %q is taken from the tenant; what runs in it stays, and the tenant can no longer manage its releases there: web\n", team.a); !strings.Contains(r.stderr, want) {
		t.Errorf("it does not say which releases are left: %v", r)
	}
	same(t, "writes that prune", lines(`
		delete rolebindings `+team.a+`/helm-tenant.`+team.name+`.admin
		delete rolebindings `+team.c+`/helm-tenant.`+team.name+`.admin
		update configmaps `+team.home+`/helm-tenant
		update namespaces `+team.a+`
		update namespaces `+team.b+`
		update namespaces `+team.c+`
	`), writes(admin.requests(t)))
	for _, name := range []string{team.a, team.c} {
		if !strings.Contains(r.stderr, name) {
			t.Errorf("it does not say that %s is taken away: %v", name, r)
		}
		w.bound(t, name, team)
		ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || ns.DeletionTimestamp != nil {
			t.Fatalf("namespace %s did not stay: %v", name, err)
		}
		if owner, has := ns.Labels["helm-tenant/tenant"]; has {
			t.Errorf("namespace %s is still labelled as %q's", name, owner)
		}
		if home, has := ns.Annotations["helm-tenant/home-namespace"]; has {
			t.Errorf("namespace %s still says that its home is %q", name, home)
		}
	}
	if _, err := w.root.CoreV1().ConfigMaps(team.a).Get(t.Context(), "theirs", metav1.GetOptions{}); err != nil {
		t.Errorf("what was in the namespace is gone: %v", err)
	}
	w.bound(t, team.b, team, "admin")
	if got := w.record(t, team)["namespaces"]; fmt.Sprint(got) != fmt.Sprint([]string{team.b}) {
		t.Errorf("after --prune the record has the namespaces %v", got)
	}
	again := w.admin(t)
	again.must(t, "init", team.name, "--namespaces", team.b, "--prune", "--wait=false")
	again.wroteNothing(t)
}

// record is the tenant as its home namespace tells it.
func (w *world) record(t *testing.T, made team) map[string]any {
	t.Helper()
	cm, err := w.root.CoreV1().ConfigMaps(made.home).Get(t.Context(), "helm-tenant", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	record := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(cm.Data["tenant.yaml"]), &record); err != nil {
		t.Fatalf("the record: %v\n%v", err, cm.Data)
	}
	return record
}

// TestAnythingMissingComesBack deletes any of a tenant's objects, one or many.
func TestAnythingMissingComesBack(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	want := w.dump(t, team)

	type object struct{ kind, namespace, name string }
	var all []object
	for key := range want {
		kind, rest, _ := strings.Cut(strings.ReplaceAll(key, "TEAM", team.name), " ")
		namespace, name, _ := strings.Cut(rest, "/")
		if kind != "Namespace" { // those take a while to go
			all = append(all, object{kind, namespace, name})
		}
	}
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	random := rand.New(rand.NewPCG(1, uint64(len(all))))
	subsets := [][]object{all}
	for _, o := range all {
		subsets = append(subsets, []object{o})
	}
	for range 4 {
		var some []object
		for _, o := range all {
			if random.IntN(2) == 0 {
				some = append(some, o)
			}
		}
		subsets = append(subsets, some)
	}
	for _, subset := range subsets {
		for _, o := range subset {
			if err := w.dynamic.Resource(own[o.kind]).Namespace(o.namespace).Delete(t.Context(), o.name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		// A command that names everything, since the record may be among what is
		// gone.
		admin.must(t, initArgs(team)...)
		same(t, fmt.Sprintf("the tenant after the loss of %v", subset), want, w.dump(t, team))
	}
}

// TestDamageIsRepaired changes every object that a tenant is made of.
func TestDamageIsRepaired(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	want := w.dump(t, team)
	for _, damage := range []struct{ resource, namespace, name, patch string }{
		{"namespaces", "", team.home, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`},
		{"namespaces", "", team.home, `{"metadata":{"labels":{"helm-tenant/home":null}}}`},
		{"namespaces", "", team.a, `{"metadata":{"annotations":{"helm-tenant/home-namespace":"elsewhere"}}}`},
		{"serviceaccounts", team.home, "tiller", `{"automountServiceAccountToken":true}`},
		{"roles", team.home, "helm-tenant-records", `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`},
		{"roles", team.home, "helm-tenant-member", `{"rules":[{"apiGroups":[""],"resources":["pods/exec"],"verbs":["create"]}]}`},
		{"rolebindings", team.home, "helm-tenant-records", `{"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"system:authenticated"}]}`},
		{"rolebindings", team.a, "helm-tenant." + team.name + ".admin", `{"subjects":[]}`},
		{"networkpolicies", team.home, "helm-tenant", `{"spec":{"ingress":[{}]}}`},
		{"configmaps", team.home, "helm-tenant", `{"data":{"more":"than there was"}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"hostNetwork":true}}}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"containers":[{"name":"tiller","command":["/tiller","--storage=secret"]}]}}}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"containers":[{"name":"tiller","securityContext":{"readOnlyRootFilesystem":false}}]}}}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"containers":[{"name":"more","image":"example.com/more"}]}}}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"containers":[{"name":"tiller","env":[{"name":"HELM_HOST","value":"x"}]}]}}}}`},
	} {
		w.patch(t, damage.resource, damage.namespace, damage.name, damage.patch)
		before := w.admin(t)
		before.must(t, initArgs(team)...)
		if got := writes(before.requests(t)); len(got) != 1 {
			t.Errorf("%v: repaired with the writes %q", damage, got)
		}
		same(t, fmt.Sprintf("the tenant after %v", damage), want, w.dump(t, team))
	}
	// What others put beside ours stays theirs.
	for _, harmless := range []struct{ resource, namespace, name, patch string }{
		{"namespaces", "", team.a, `{"metadata":{"labels":{"cost-center":"7"},"annotations":{"owner":"them"}}}`},
		{"deployments", team.home, "tiller-deploy", `{"metadata":{"annotations":{"note":"x"}},"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`},
	} {
		w.patch(t, harmless.resource, harmless.namespace, harmless.name, harmless.patch)
		again := w.admin(t)
		again.must(t, initArgs(team)...)
		again.wroteNothing(t)
	}
}

// patch is a strategic merge patch by somebody else.
func (w *world) patch(t *testing.T, resource, namespace, name, patch string) {
	t.Helper()
	path := "/api/v1"
	switch resource {
	case "roles", "rolebindings":
		path = "/apis/rbac.authorization.k8s.io/v1"
	case "networkpolicies":
		path = "/apis/networking.k8s.io/v1"
	case "deployments":
		path = "/apis/apps/v1"
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	err := w.root.CoreV1().RESTClient().Patch("application/strategic-merge-patch+json").AbsPath(path, resource, name).Body([]byte(patch)).Do(t.Context()).Error()
	if err != nil {
		t.Fatalf("patching %s %s/%s: %v", resource, namespace, name, err)
	}
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
		if r := <-p.ended; r.code != 0 {
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

// members are the subjects of the team's member binding, sorted.
func (w *world) members(t *testing.T, made team) []string {
	t.Helper()
	binding, err := w.root.RbacV1().RoleBindings(made.home).Get(t.Context(), "helm-tenant-member", metav1.GetOptions{})
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
