package admin

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// noon is the time in tests.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// world is what a test's cluster holds.
type world struct {
	objects  []runtime.Object
	unserved []string
	// neighbours, tiller and helm are what the reads of these namespaces answer; every
	// other one is empty.
	neighbours map[string][]string
	strangers  map[string][]cluster.Stranger
	tiller     map[string][]Release
	helm       map[string][]Release
	// records and outside are of Tillers made by hand.
	records map[tenant.Storage]int
	outside []outsideObject
	// recordKinds are those of the release records in a home.
	recordKinds map[string][]string
	// unmarkable are the permissions that the caller lacks to mark a binding of members.
	unmarkable map[string][]cluster.Permission
	// violations are what violates PodSecurity, by namespace.
	violations map[string]violations
	// fail is the error of every read of a namespace.
	fail map[string]error
}

// with returns the world with more objects.
func (w world) with(objects ...runtime.Object) world {
	w.objects = slices.Concat(w.objects, objects)
	return w
}

// facts returns those that gather would read for the request.
func (w world) facts(t *testing.T, r Request) *facts {
	t.Helper()
	live, err := cluster.LiveOf(w.objects, w.unserved...)
	if err != nil {
		t.Fatal(err)
	}
	f := &facts{live: live, now: noon, homes: map[string][]string{}, foreign: foreignGrants{}}
	for _, object := range w.objects {
		meta := object.(metav1.Object)
		owner := meta.GetLabels()[tenant.LabelTenant]
		switch o := object.(type) {
		case *corev1.ConfigMap:
			if o.Name == tenant.RecordName && owner != "" {
				f.homes[owner] = append(f.homes[owner], o.Namespace)
			}
		case *rbacv1.RoleBinding:
			if owner == "" {
				f.foreign.add("RoleBinding", &o.ObjectMeta, o.RoleRef, o.Subjects, true)
			}
		case *rbacv1.ClusterRoleBinding:
			if owner == "" {
				f.foreign.add("ClusterRoleBinding", &o.ObjectMeta, o.RoleRef, o.Subjects, true)
			}
		}
	}
	d, err := newDecision(f, r)
	if err != nil {
		return f
	}
	var needed reads
	d.addReads(&needed)
	f.violations = map[tightening]answer[violations]{}
	for _, tight := range needed.tightenings {
		f.violations[tight] = answer[violations]{w.violations[tight.namespace], w.fail["pods in "+tight.namespace]}
	}
	f.neighbours = answers(w, needed.neighbours, w.neighbours)
	f.strangers = answers(w, needed.strangers, w.strangers)
	f.byHand = map[string]answer[byHand]{}
	for _, ns := range needed.byHand {
		found, err := findByHand(inNamespace(t, w.objects, ns))
		found.records, found.outside = w.records, w.outside
		f.byHand[ns] = answer[byHand]{found, cmp.Or(err, w.fail[ns])}
	}
	f.tillerReleases = answers(w, needed.tillerReleases, w.tiller)
	f.helmReleases = answers(w, needed.helmReleases, w.helm)
	f.unmarkable = answers(w, needed.unmarkable, w.unmarkable)
	f.recordKinds = answers(w, needed.recordKinds, w.recordKinds)
	return f
}

// inNamespace returns the objects of a namespace as they are read.
func inNamespace(t *testing.T, objects []runtime.Object, namespace string) []*unstructured.Unstructured {
	t.Helper()
	var found []*unstructured.Unstructured
	for _, object := range objects {
		if object.(metav1.Object).GetNamespace() != namespace {
			continue
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, &unstructured.Unstructured{Object: content})
	}
	return found
}

func answers[T any](w world, namespaces []string, known map[string]T) map[string]answer[T] {
	out := map[string]answer[T]{}
	for _, ns := range namespaces {
		out[ns] = answer[T]{known[ns], w.fail[ns]}
	}
	return out
}

// decided is what a decision comes to, in short.
type decided struct {
	Err   string
	Steps []string
	Notes []string
}

func (w world) decide(t *testing.T, r Request) decided {
	t.Helper()
	prepared, err := decide(w.facts(t, r), r)
	if err != nil {
		if risk, ok := errors.AsType[*RiskError](err); ok {
			return decided{Err: string(risk.Risk) + ": " + err.Error()}
		}
		return decided{Err: err.Error()}
	}
	// What the world's small roles lack is noted each time; TestNoteRoleGaps looks at that.
	notes := slices.DeleteFunc(slices.Concat(prepared.Warnings, prepared.Notes), func(note string) bool {
		return slices.ContainsFunc(prepared.RoleGaps, func(gap string) bool { return strings.HasSuffix(note, gap) })
	})
	if len(notes) == 0 {
		notes = nil
	}
	return decided{Steps: withoutRailsOf(prepared.Plan), Notes: notes}
}

// withoutRailsOf returns the steps of a plan without what they do for guard rails, which
// TestRails looks at.
func withoutRailsOf(plan cluster.Plan) []string {
	var rest cluster.Plan
	for _, change := range plan.Changes {
		if strings.HasPrefix(change.Key.Name, rails.PolicyPrefix) {
			continue
		}
		if isRails := func(f cluster.Field) bool {
			return strings.Contains(f.Path, "rails.helm-tenant/") || strings.Contains(f.Path, "guard.helm-tenant/")
		}; slices.ContainsFunc(change.Fields, isRails) {
			change.Fields = slices.DeleteFunc(slices.Clone(change.Fields), func(f cluster.Field) bool {
				return isRails(f) || strings.Contains(f.Path, "pod-security") || strings.Contains(f.Path, "helm-tenant/guard") || strings.Contains(f.Path, "labels-before")
			})
			if len(change.Fields) == 0 {
				continue
			}
		}
		rest.Changes = append(rest.Changes, change)
	}
	return stepsOf(rest)
}

// stepsOf returns the changes of a plan in the order of writing: what is done to what, and
// the fields that an update changes.
func stepsOf(plan cluster.Plan) []string {
	var steps []string
	for _, change := range plan.Ordered() {
		step := fmt.Sprintf("%s %s", change.Action, change.Key)
		var paths []string
		for _, field := range change.Fields {
			paths = append(paths, field.Path)
		}
		if len(paths) > 0 {
			step += ": " + strings.Join(paths, ", ")
		}
		steps = append(steps, step)
	}
	return steps
}

func namespace(name string, labels ...string) *corev1.Namespace {
	ns := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for i := 0; i+1 < len(labels); i += 2 {
		ns.Labels[labels[i]] = labels[i+1]
	}
	return ns
}

func terminating(ns *corev1.Namespace) *corev1.Namespace {
	ns.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	return ns
}

func clusterRole(name string, verbs ...string) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}}}
}

func bindingOf(namespace, name, role string, subjects ...rbacv1.Subject) runtime.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	if namespace == "" {
		return &rbacv1.ClusterRoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}, ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
	}
	return &rbacv1.RoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}, ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
}

func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: name}
}

// empty returns a cluster without any tenant.
func empty() world {
	return world{objects: []runtime.Object{
		clusterRole("admin", "get", "list", "create", "update", "delete"), clusterRole("edit", "get", "list"), clusterRole("own", "watch"),
		clusterRole("cluster-admin", "*"), namespace("a"), namespace("b"), namespace("kube-system"),
	}}
}

// after returns the world after what the request asks for was written.
func (w world) after(t *testing.T, r Request) world {
	t.Helper()
	prepared, err := decide(w.facts(t, r), r)
	if err != nil {
		t.Fatal(err)
	}
	return w.written(prepared.Plan)
}

// written returns the world after the plan was written.
func (w world) written(plan cluster.Plan) world {
	objects := map[cluster.Key]runtime.Object{}
	for _, object := range w.objects {
		objects[cluster.KeyOf(object)] = object
	}
	for _, change := range plan.Ordered() {
		if change.Object == nil {
			delete(objects, change.Key)
			continue
		}
		objects[change.Key] = change.Object
		// The test looks at these by their Go types.
		var typed runtime.Object
		switch change.Key.Kind {
		case "ConfigMap":
			typed = &corev1.ConfigMap{}
		case "RoleBinding":
			typed = &rbacv1.RoleBinding{}
		case "ClusterRoleBinding":
			typed = &rbacv1.ClusterRoleBinding{}
		}
		if typed != nil && cluster.Typed(change.Object, typed) == nil {
			objects[change.Key] = typed
		}
	}
	w.objects = nil
	for _, key := range slices.SortedFunc(maps.Keys(objects), func(a, b cluster.Key) int { return strings.Compare(a.String(), b.String()) }) {
		w.objects = append(w.objects, objects[key])
	}
	return w
}

// edited returns the world with one object changed.
func edited[T runtime.Object](w world, key cluster.Key, edit func(T)) world {
	w.objects = slices.Clone(w.objects)
	for i, object := range w.objects {
		if typed, ok := object.(T); ok && cluster.KeyOf(object) == key {
			changed := typed.DeepCopyObject().(T)
			edit(changed)
			w.objects[i] = changed
		}
	}
	return w
}

// asked returns the tenant t with the namespaces a and b, and a change to that.
func asked(change ...func(*Request)) Request {
	r := Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"a", "b"}}}
	for _, c := range change {
		c(&r)
	}
	return r
}

func engine(e tenant.Engine) func(*Request)  { return func(r *Request) { r.Tenant.Engine = e } }
func accept(risks ...Risk) func(*Request)    { return func(r *Request) { r.Accepted = risks } }
func role(name string) func(*Request)        { return func(r *Request) { r.Tenant.Role = name } }
func home(name string) func(*Request)        { return func(r *Request) { r.Tenant.HomeNamespace = name } }
func namespaces(ns ...string) func(*Request) { return func(r *Request) { r.Tenant.Namespaces = ns } }
func everywhere(r *Request)                  { r.Tenant.AllNamespaces, r.Tenant.Namespaces = true, nil }
func adopting(r *Request)                    { r.Adopt = true }

// unguarded asks for a tenant without the guard, whose policies are most of what a change reads.
// Tests of many scenarios that have nothing to do with it take half the time without them.
func unguarded(r *Request) {
	r.Tenant.Guard, r.Accepted = tenant.GuardOff, append(r.Accepted, RiskNoGuard)
}

func pruning(r *Request) { r.Prune = true }
func exactly(r *Request) { r.Exact = true }
func storage(s tenant.Storage) func(*Request) {
	return func(r *Request) { r.Tenant.Tiller.Storage = s }
}

// leadingTo annotates a tenant's namespace with its home.
func leadingTo(home string, ns *corev1.Namespace) *corev1.Namespace {
	ns.Annotations = map[string]string{tenant.AnnotationHome: home}
	return ns
}

func recordIn(namespace, text, owner string) *corev1.ConfigMap {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: tenant.RecordName, Labels: map[string]string{tenant.LabelTenant: owner}}, Data: map[string]string{tenant.RecordKey: text}}
}
