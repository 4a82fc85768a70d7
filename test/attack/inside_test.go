package attack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/harness"
)

// TestInside makes each of insideAttacks in a tenant's namespace, as every kind of subject that
// may write there, with its own credentials, and by every request that can create or change an
// object. The control is the deployer of a tenant without guard rails, for whom each attack
// must succeed. The results are compared with the table in docs/security.md.
func TestInside(t *testing.T) {
	p := newProver(t)
	i := &inside{prover: p, namespace: "ina1", control: "inc1"}
	for _, args := range [][]string{
		{"inside-a", "--namespaces", "ina1", "--network", "isolated", "--hosts", "*.a.example.com", "--quota", "pods=50", "--limits", "default.cpu=500m"},
		{"inside-b", "--namespaces", "inb1"},
		{"inside-c", "--namespaces", "inc1", "--network", "isolated", "--guard", "off", "--accept-risk", "no-guard", "--pod-security", "privileged", "--accept-risk", "node-access"},
	} {
		if _, err := p.helmTenant(t.Context(), append([]string{"init", "--engine", "impersonation", "--create-namespaces"}, args...)...); err != nil {
			t.Fatalf("init %v: %v", args, err)
		}
	}
	i.people(t)
	var rows []string
	for _, a := range insideAttacks {
		rows = append(rows, i.row(t, a))
	}
	i.compare(t, rows)
	// These kinds are not in the table: API servers serve them only with a feature gate.
	if _, err := i.root.Discovery().ServerResourcesForGroupVersion("scheduling.k8s.io/v1beta1"); err != nil {
		t.Logf("groups of pods are not tried here, but in TestTheGuard of test/apitest: %v", err)
		return
	}
	i.row(t, attackInside{what: "template of groups of pods with a high priority",
		object: "apiVersion: scheduling.k8s.io/v1beta1\nkind: Workload\nmetadata: {name: $ID}\nspec: {podGroupTemplates: [{name: a, schedulingPolicy: {basic: {}}, priority: 1000000000}]}\n"})
}

// inside has a tenant's namespace, that of the control, and those who may
// write in the first.
type inside struct {
	*prover
	namespace, control string
	actors             []insider
	controller         *http.Client
	count              int
}

// insider is somebody who may write in the tenant's namespace.
type insider struct {
	name   string
	client *http.Client
}

// people creates the subjects that make the attacks.
func (i *inside) people(t *testing.T) {
	t.Helper()
	bind := func(name, role string, subject rbacv1.Subject) {
		t.Helper()
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{subject}}
		if _, err := i.root.RbacV1().RoleBindings(i.namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	bind("person", "edit", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: "inside-editor"})
	bind("own", "admin", rbacv1.Subject{Kind: "ServiceAccount", Name: "default", Namespace: i.namespace})
	bind("other", "admin", rbacv1.Subject{Kind: "ServiceAccount", Name: "default", Namespace: "inb1"})
	i.settledIn(t, i.namespace)
	i.settledIn(t, "inb1")
	i.actors = []insider{
		{"deployer", i.withToken(t, "inside-a-helm", "helm")},
		{"person with `edit`", i.withCertificate(t, "inside-editor")},
		{"account of its own", i.withToken(t, i.namespace, "default")},
		{"another tenant's account that an admin let in", i.withToken(t, "inb1", "default")},
		{"another tenant's account", i.withToken(t, "inside-b-helm", "helm")},
	}
	i.controller = i.withToken(t, "inside-c-helm", "helm")
	// Rights and policies come into force a moment after they are written.
	probe := &attackInside{object: "apiVersion: v1\nkind: Service\nmetadata: {name: probe}\nspec: {externalIPs: [192.0.2.1], ports: [{port: 80}]}\n"}
	if err := harness.Await(t.Context(), "the guard to hold everybody", func(context.Context) (bool, error) {
		for _, actor := range i.actors[:4] {
			code, body := i.send(t, actor.client, http.MethodPost, i.path(probe.parsed(t, "probe"), i.namespace, "")+"?dryRun=All", jsonType, i.text(t, probe.parsed(t, "probe")), nil)
			if code < 300 || !strings.Contains(string(body), "helm-tenant-guard-services") {
				return false, fmt.Errorf("%s: %d %s", actor.name, code, body)
			}
		}
		code, body := i.send(t, i.controller, http.MethodPost, i.path(probe.parsed(t, "probe"), i.control, "")+"?dryRun=All", jsonType, i.text(t, probe.parsed(t, "probe")), nil)
		if code >= 300 {
			return false, fmt.Errorf("the control: %d %s", code, body)
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
}

const (
	jsonType  = "application/json"
	mergeType = "application/merge-patch+json"
	applyType = "application/apply-patch+yaml"
)

// parsed returns the attack's object under a name, unless it has one that counts.
func (a *attackInside) parsed(t *testing.T, name string) map[string]any {
	t.Helper()
	return parsedAs(t, a.object, name)
}

func parsedAs(t *testing.T, text, name string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "$ID", name)), &object); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return object
}

func (i *inside) text(t *testing.T, object any) []byte {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = yaml.YAMLToJSON(text); err != nil {
		t.Fatal(err)
	}
	return text
}

// path returns the path of a collection, or of an object if it has a name.
func (i *inside) path(object map[string]any, namespace, name string) string {
	version, kind := object["apiVersion"].(string), object["kind"].(string)
	prefix := "/apis/" + version
	if !strings.Contains(version, "/") {
		prefix = "/api/" + version
	}
	path := prefix + "/namespaces/" + namespace + "/" + resources[kind].Resource
	if resources[kind].Resource == "" {
		panic("the suite knows no kind " + kind)
	}
	if name != "" {
		path += "/" + name
	}
	return path
}

// row makes an attack as everybody and in all of its ways, and is its line in the table.
func (i *inside) row(t *testing.T, a attackInside) string {
	t.Helper()
	var ways []string
	cells := make([][]string, len(i.actors))
	for _, w := range a.ways() {
		ways = append(ways, w.name)
		for n, actor := range i.actors {
			output := i.try(t, a, w, actor.client, i.namespace)
			if output.worked || output.by == "" {
				t.Errorf("%s, %s, as %s: it must be refused: %s", a.what, w.name, actor.name, output.text)
			}
			if cell := cmp.Or(output.by, "WORKED"); !slices.Contains(cells[n], cell) {
				cells[n] = append(cells[n], cell)
			}
		}
		if output := i.try(t, a, w, i.controller, i.control); !output.worked {
			t.Errorf("%s, %s: it does not even succeed without guard rails: %s", a.what, w.name, output.text)
		}
	}
	line := "| " + a.what + " | " + strings.Join(ways, ", ")
	for _, cell := range cells {
		line += " | refused: " + strings.Join(cell, ", ")
	}
	return line + " | WORKED |"
}

// said is the result of one attempt.
type said struct {
	worked   bool
	by, text string
}

var refusersInside = []struct {
	words *regexp.Regexp
	by    string
}{
	{regexp.MustCompile(`ValidatingAdmissionPolicy 'helm-tenant-guard-[a-z]+' with binding 'helm-tenant-guard-[a-z]+' denied request: .*; ask an admin of this cluster`), "guard"},
	{regexp.MustCompile(`violates PodSecurity "baseline:latest"`), "PodSecurity"},
	{regexp.MustCompile(` is forbidden: User "[^"]+" cannot `), "RBAC"},
}

// try makes an attack by one kind of request, checks as root whether it had an effect, and
// reverts it.
func (i *inside) try(t *testing.T, a attackInside, w way, client *http.Client, namespace string) said {
	t.Helper()
	i.count++
	name := fmt.Sprintf("x%d", i.count)
	before := a.before
	if w.existing {
		before = cmp.Or(before, a.harmless)
	}
	object := a.parsed(t, name)
	meta := object["metadata"].(map[string]any)
	name = meta["name"].(string)
	delete(meta, "namespace") // the path says it
	path := i.path(object, namespace, name)
	if before != "" {
		if code, body := i.send(t, i.client, http.MethodPost, i.path(object, namespace, ""), jsonType, i.text(t, parsedAs(t, before, name)), nil); code >= 300 {
			t.Fatalf("%s: making %s: %d %s", a.what, name, code, body)
		}
	}
	had, was := i.send(t, i.client, http.MethodGet, path, "", nil, nil)
	code, body := w.make(i, t, client, path, object, was)
	has, content := i.send(t, i.client, http.MethodGet, path, "", nil, nil)
	var answer metav1.Status
	if code >= 300 {
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
	}
	s := said{text: fmt.Sprintf("%d %s", code, answer.Message)}
	for _, refuser := range refusersInside {
		if code >= 300 && s.by == "" && refuser.words.MatchString(answer.Message) {
			s.by = refuser.by
		}
	}
	// Controllers change objects' status, and deletion waits for finalizers.
	s.worked = code < 300 && (had != has || i.differs(t, was, content))
	if code >= 300 && (had != has || i.differs(t, was, content)) {
		t.Errorf("%s, %s: it was refused, and yet had an effect", a.what, w.name)
	}
	i.restore(t, a, path, had, was)
	return s
}

// differs compares what people write: neither status nor what controllers count.
func (i *inside) differs(t *testing.T, a, b []byte) bool {
	t.Helper()
	plain := func(text []byte) string {
		var object map[string]any
		if err := yaml.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		delete(object, "status")
		if meta, has := object["metadata"].(map[string]any); has {
			for _, field := range []string{"managedFields", "resourceVersion", "generation", "annotations"} {
				delete(meta, field)
			}
		}
		return string(i.text(t, object))
	}
	return plain(a) != plain(b)
}

// restore reverts an attack: it deletes its objects, and creates the admin's objects again.
func (i *inside) restore(t *testing.T, a attackInside, path string, had int, was []byte) {
	t.Helper()
	code, body := i.send(t, i.client, http.MethodDelete, path+"?gracePeriodSeconds=0&propagationPolicy=Background", "", nil, nil)
	if code >= 300 && code != http.StatusNotFound {
		t.Fatalf("%s: taking back %s: %d %s", a.what, path, code, body)
	}
	if had >= 300 || a.harmless != "" || a.before != "" {
		return
	}
	var object map[string]any
	if err := yaml.Unmarshal(was, &object); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"resourceVersion", "uid", "managedFields", "creationTimestamp"} {
		delete(object["metadata"].(map[string]any), field)
	}
	if code, body := i.send(t, i.client, http.MethodPost, path[:strings.LastIndex(path, "/")], jsonType, i.text(t, object), nil); code >= 300 {
		t.Fatalf("%s: putting back %s: %d %s", a.what, path, code, body)
	}
}

// compare compares the table in docs/security.md with the results of the attacks, and writes
// the table if a file is named.
func (i *inside) compare(t *testing.T, rows []string) {
	t.Helper()
	heading := "| attack | ways |"
	for _, actor := range i.actors {
		heading += " " + actor.name + " |"
	}
	table := heading + " control |\n" + strings.Repeat("|---", len(i.actors)+3) + "|\n" + strings.Join(rows, "\n") + "\n"
	compareTable(t, "inside", table)
}
