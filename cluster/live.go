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
	// Width is the number of concurrent requests of one step.
	Width = 16
	// manyNames is the number of names from which on one list of everything costs less
	// than a get of each.
	manyNames = 50
	// manyRecords is the same for the release records of a namespace. Their pages are
	// small (recordPageSize), so that a list pays off sooner.
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

// KeyOf returns the key of a wanted object.
func KeyOf(object runtime.Object) Key {
	key := Key{Kind: object.GetObjectKind().GroupVersionKind().Kind}
	if meta, isMeta := object.(metav1.Object); isMeta {
		key.Namespace, key.Name = meta.GetNamespace(), meta.GetName()
	}
	return key
}

// Live has the objects that were read from a cluster.
type Live struct {
	objects map[Key]*unstructured.Unstructured
	// byTenant has the keys of the objects that Read found by a tenant's label.
	byTenant map[string][]Key
	// unserved are the kinds that the API server does not have; unseen are the kinds that
	// the caller may not list.
	unserved, unseen map[string]bool
	// scoped reports whether only single namespaces were read.
	scoped bool
	// homes are the home namespaces to which the objects with a tenant's label refer.
	homes *Homes
	// mutex guards the maps while they are filled; afterwards they are only read.
	mutex sync.Mutex
}

// NewLive returns a Live without objects.
func NewLive() *Live {
	return &Live{objects: map[Key]*unstructured.Unstructured{}, byTenant: map[string][]Key{}, unserved: map[string]bool{}, unseen: map[string]bool{}, homes: NewHomes()}
}

// LiveOf returns a Live with these objects, as if all of them had been read and looked
// up. Its API server serves every kind except the unserved ones.
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

// put adds an object without the parts that are never looked at, which for a thousand
// tenants would take most of the memory.
func (l *Live) put(object *unstructured.Unstructured) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	unstructured.RemoveNestedField(object.Object, "metadata", "managedFields")
	delete(object.Object, "status")
	l.objects[keyOf(object)] = object
}

func (l *Live) addLabelled(object *unstructured.Unstructured) {
	l.put(object)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	name := object.GetLabels()[tenant.LabelTenant]
	l.byTenant[name] = append(l.byTenant[name], keyOf(object))
}

// With returns a copy in which these objects replace the live ones.
func (l *Live) With(objects ...*unstructured.Unstructured) *Live {
	next := &Live{objects: maps.Clone(l.objects), byTenant: l.byTenant, unserved: maps.Clone(l.unserved), unseen: maps.Clone(l.unseen), scoped: l.scoped, homes: l.homes}
	for _, object := range objects {
		next.objects[keyOf(object)] = object
	}
	return next
}

// Get returns the live object, nil if there is none.
func (l *Live) Get(key Key) *unstructured.Unstructured { return l.objects[key] }

// Into converts the live object into a typed one and reports whether it exists.
func (l *Live) Into(key Key, object any) (bool, error) {
	live := l.objects[key]
	if live == nil {
		return false, nil
	}
	return true, Typed(live, object)
}

// Serves reports whether the API server has the kind.
func (l *Live) Serves(kind string) bool { return !l.unserved[kind] }

// seldom are the kinds that only some tenants use, depending on settings and engine.
var seldom = []string{"ResourceQuota", "LimitRange", "NetworkPolicy", "Deployment"}

// Scoped reports whether only single namespaces were read; see Client.Within.
func (l *Live) Scoped() bool { return l.scoped }

// Sees reports whether the caller may list objects of the kind. It is meant for the kinds
// of ReadShared and of seldom, and for the cluster-scoped ones of a client of Within.
func (l *Live) Sees(kind string) bool { return !l.unseen[kind] }

// All returns the objects of a kind that were read, sorted by key.
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

// OfTenant returns the keys of the objects that Read found by the tenant's label, sorted.
// Objects that were looked up by name are not among them.
func (l *Live) OfTenant(name string) []Key {
	keys := slices.Clone(l.byTenant[name])
	slices.SortFunc(keys, compareKeys)
	return keys
}

// findHomes finds the homes that are believed (see Homes).
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

// disown drops the objects whose label is not trusted.
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

// believes reports whether an object's label is trusted. Whoever may write in a namespace
// can label objects in it, and a chart can; only admins write namespaces. So the label
// counts if the namespace is believed to be the home of the same tenant. Labels on kinds
// that tenants also have outside their home count anywhere: they lead to a removal at
// most.
func (l *Live) believes(object *unstructured.Unstructured) bool {
	k := kinds[object.GetKind()]
	return !k.namespaced || k.outsideHome || l.homes.TenantOf(object.GetNamespace()) == object.GetLabels()[tenant.LabelTenant]
}

// HomeOf returns the tenant whose home a namespace is believed to be, empty if it is no
// home; see Homes.
func (l *Live) HomeOf(namespace string) string { return l.homes.TenantOf(namespace) }

// Leads reports whether an object that only admins write refers from the tenant to that
// home namespace; see Homes.
func (l *Live) Leads(name, home string) bool { return l.homes.claims[name][home] }
