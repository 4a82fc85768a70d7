package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/tenant"
)

const (
	// Width is how many requests of one step are under way at once.
	Width = 16
	// manyNames is from how many names on a list of everything is cheaper than
	// asking for each.
	manyNames = 50
	// manyRecords is the same for the release records of a namespace. Their pages are small
	// (recordPageSize), so that a list pays off sooner.
	manyRecords = 8
)

// Key names one object.
type Key struct {
	Kind, Namespace, Name string
}

func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return fmt.Sprintf("%s %s in namespace %s", k.Kind, k.Name, k.Namespace)
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

func keyOf(object *unstructured.Unstructured) Key {
	return Key{object.GetKind(), object.GetNamespace(), object.GetName()}
}

// KeyOf is the key of a wanted object.
func KeyOf(object runtime.Object) Key {
	key := Key{Kind: object.GetObjectKind().GroupVersionKind().Kind}
	if meta, isMeta := object.(metav1.Object); isMeta {
		key.Namespace, key.Name = meta.GetNamespace(), meta.GetName()
	}
	return key
}

// Live is what a cluster holds, as far as it was read.
type Live struct {
	objects map[Key]*unstructured.Unstructured
	// byTenant are the keys of the objects that Read found by a tenant's label.
	byTenant map[string][]Key
	// unserved are kinds that this API server does not have; unseen those that the
	// caller may not list.
	unserved, unseen map[string]bool
	// scoped says that only single namespaces were read.
	scoped bool
	// homes are those that the objects which were found by a tenant's label lead to.
	homes *Homes
	// mutex guards the maps while they are filled; afterwards they are only read.
	mutex sync.Mutex
}

// NewLive is a cluster of which nothing was read yet.
func NewLive() *Live {
	return &Live{objects: map[Key]*unstructured.Unstructured{}, byTenant: map[string][]Key{}, unserved: map[string]bool{}, unseen: map[string]bool{}, homes: NewHomes()}
}

// LiveOf is a cluster that holds these objects, as if all of them had been read and
// looked up. Its API server serves every kind but the unserved ones.
func LiveOf(objects []runtime.Object, unserved ...string) (*Live, error) {
	live, known := NewLive(), NewLive()
	for _, object := range objects {
		item, err := toUnstructured(object)
		if err != nil {
			return nil, err
		}
		known.put(item)
		if item.GetLabels()[tenant.LabelTenant] != "" {
			live.addLabelled(item)
		}
	}
	if err := live.disown(); err != nil {
		return nil, err
	}
	live.objects = known.objects
	for _, kindName := range unserved {
		live.unserved[kindName] = true
	}
	return live, nil
}

// put takes an object in, without the parts that nobody here looks at: with a
// thousand tenants these are most of the memory.
func (l *Live) put(object *unstructured.Unstructured) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	unstructured.RemoveNestedField(object.Object, "metadata", "managedFields")
	delete(object.Object, "status")
	l.objects[keyOf(object)] = object
}

// addLabelled takes an object in that was found by a tenant's label.
func (l *Live) addLabelled(object *unstructured.Unstructured) {
	l.put(object)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	name := object.GetLabels()[tenant.LabelTenant]
	l.byTenant[name] = append(l.byTenant[name], keyOf(object))
}

// With returns a copy in which these objects are as given.
func (l *Live) With(objects ...*unstructured.Unstructured) *Live {
	next := &Live{objects: maps.Clone(l.objects), byTenant: l.byTenant, unserved: maps.Clone(l.unserved), unseen: maps.Clone(l.unseen), scoped: l.scoped, homes: l.homes}
	for _, object := range objects {
		next.objects[keyOf(object)] = object
	}
	return next
}

// Get returns the live object, nil where there is none.
func (l *Live) Get(key Key) *unstructured.Unstructured { return l.objects[key] }

// Into reads the live object into a typed one and reports whether there is one.
func (l *Live) Into(key Key, object any) (bool, error) {
	live := l.objects[key]
	if live == nil {
		return false, nil
	}
	return true, Typed(live, object)
}

// Serves reports whether the API server has this kind.
func (l *Live) Serves(kind string) bool { return !l.unserved[kind] }

// seldom are kinds of which only some tenants have objects, by their settings or engine.
var seldom = []string{"ResourceQuota", "LimitRange", "NetworkPolicy", "Deployment"}

// Scoped reports whether only single namespaces were read; see Client.Within.
func (l *Live) Scoped() bool { return l.scoped }

// Sees reports whether the caller may list the objects of this kind: one of those of
// ReadShared or of seldom, or a cluster-scoped one for a client of Within.
func (l *Live) Sees(kind string) bool { return !l.unseen[kind] }

// All are the objects of a kind that were read, sorted by their keys.
func (l *Live) All(kind string) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for key, object := range l.objects {
		if key.Kind == kind {
			objects = append(objects, object)
		}
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int { return compareKeys(keyOf(a), keyOf(b)) })
	return objects
}

// OfTenant are the keys of the objects that Read found by the tenant's label, sorted.
// Objects that were looked up by name are not among them.
func (l *Live) OfTenant(name string) []Key {
	keys := slices.Clone(l.byTenant[name])
	slices.SortFunc(keys, compareKeys)
	return keys
}

// findHomes finds the homes that are believed.
func (l *Live) findHomes() error {
	l.homes = NewHomes()
	for key, object := range l.objects {
		switch key.Kind {
		case "Namespace":
			l.homes.AddNamespace(object)
		case "ClusterRoleBinding":
			var binding rbacv1.ClusterRoleBinding
			if err := Typed(object, &binding); err != nil {
				return err
			}
			l.homes.addBinding(object.GetLabels()[tenant.LabelTenant], binding.Subjects)
		}
	}
	return nil
}

// disown drops the objects whose label is not to be trusted.
func (l *Live) disown() error {
	if err := l.findHomes(); err != nil {
		return err
	}
	maps.DeleteFunc(l.objects, func(_ Key, object *unstructured.Unstructured) bool { return !l.believes(object) })
	for name, keys := range l.byTenant {
		l.byTenant[name] = slices.DeleteFunc(keys, func(key Key) bool { return l.objects[key] == nil })
	}
	return nil
}

// believes reports whether an object's label is to be trusted. Anyone who may write in a
// namespace can set labels on the objects in it, a chart too; only admins write
// namespaces. So an object counts where its namespace is believed to be this tenant's
// home. Kinds that stand in the tenant's other namespaces count anywhere: their label
// leads to a removal at most.
func (l *Live) believes(object *unstructured.Unstructured) bool {
	k := kinds[object.GetKind()]
	return !k.namespaced || k.outsideHome || l.homes.TenantOf(object.GetNamespace()) == object.GetLabels()[tenant.LabelTenant]
}

// HomeOf is the tenant whose home a namespace is believed to be, empty where it is none's;
// see Homes.
func (l *Live) HomeOf(namespace string) string { return l.homes.TenantOf(namespace) }

// Leads reports whether something that only admins write leads from the tenant to that home
// namespace; see Homes.
func (l *Live) Leads(name, home string) bool { return l.homes.Leads(name, home) }
