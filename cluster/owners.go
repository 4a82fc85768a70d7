package cluster

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// makers are, by kind, the kinds whose controllers create such objects.
var makers = map[string][]string{
	"Pod":        {"StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"},
	"ReplicaSet": {"Deployment"},
	"Job":        {"CronJob"},
}

// Owners resolves owner references. An owner reference is untrusted, since whoever writes
// the object can set it: it counts if an object of that UID, API group, kind, namespace and
// name was added. The zero Owners is ready to use.
type Owners struct{ byUID map[types.UID]groupedKey }

// groupedKey is an object of any API group: several can have a kind of the same name.
type groupedKey struct {
	group string
	Key
}

// Add adds an object of that kind of Kubernetes' own.
func (o *Owners) Add(kind string, object metav1.Object) {
	o.addOfGroup(kinds[kind].resource.Group, kind, object)
}

func (o *Owners) addOfGroup(group, kind string, object metav1.Object) {
	if object.GetUID() == "" {
		return
	}
	if o.byUID == nil {
		o.byUID = map[types.UID]groupedKey{}
	}
	o.byUID[object.GetUID()] = groupedKey{group, Key{kind, object.GetNamespace(), object.GetName()}}
}

// find returns the object that a reference in an object of that namespace names, if it is there.
func (o *Owners) find(namespace string, ref metav1.OwnerReference) (groupedKey, bool) {
	key, found := o.byUID[ref.UID]
	version, err := schema.ParseGroupVersion(ref.APIVersion)
	return key, found && err == nil && key == groupedKey{version.Group, Key{ref.Kind, namespace, ref.Name}}
}

// Maker returns the controller of an object of that kind, if it was added and its kind
// can create such objects.
func (o *Owners) Maker(kind string, object metav1.Object) (Key, bool) {
	ref := metav1.GetControllerOf(object)
	if ref == nil || !slices.Contains(makers[kind], ref.Kind) || OwnerKind(*ref) != ref.Kind {
		return Key{}, false
	}
	key, found := o.find(object.GetNamespace(), *ref)
	return key.Key, found
}

// OwnerKind returns the kind that an owner reference names. A kind of another API group that has
// the name of one of Kubernetes' own gets the group's name as well, as kubectl takes it:
// "Deployment.example.com".
func OwnerKind(ref metav1.OwnerReference) string {
	version, err := schema.ParseGroupVersion(ref.APIVersion)
	if own, isOwn := kinds[ref.Kind]; !isOwn || err == nil && version.Group == own.resource.Group {
		return ref.Kind
	}
	group := version.Group
	if group == "" {
		group = ref.APIVersion // "v1", or what is no version of a group
	}
	return ref.Kind + "." + group
}

// owned is an object with the objects to which its owner references resolve.
type owned struct {
	key    groupedKey
	shown  string
	owners []metav1.OwnerReference
	// ours reports whether the object is never reported, whatever owns it. tillers
	// reports whether it is part of a Tiller: what it owns, such as a report on its pod,
	// is deleted with it.
	ours, tillers bool
}

// unowned returns the names of the objects that have no owner, direct or indirect, that
// is reported itself or part of a Tiller.
func (o *Owners) unowned(all []owned) []string {
	children := map[groupedKey][]int{}
	covered := make([]bool, len(all))
	// uncovered counts the owners of an object that are not covered. An object is garbage
	// collected when all its owners are deleted.
	uncovered := make([]int, len(all))
	var queue []int
	queued := make([]bool, len(all))
	for i, one := range all {
		var owners []groupedKey
		for _, ref := range one.owners {
			if owner, found := o.find(one.key.Namespace, ref); found && owner != one.key {
				owners = append(owners, owner)
			}
		}
		isOwned := len(owners) > 0 && len(owners) == len(one.owners)
		if isOwned {
			uncovered[i] = len(owners)
			for _, owner := range owners {
				children[owner] = append(children[owner], i)
			}
		}
		if !isOwned && !one.ours || one.tillers {
			queue, queued[i] = append(queue, i), true
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[all[queue[0]].key] {
			if uncovered[child]--; uncovered[child] > 0 {
				continue
			}
			covered[child] = true
			if !queued[child] {
				queue, queued[child] = append(queue, child), true
			}
		}
	}
	var names []string
	for i, one := range all {
		if !one.ours && !covered[i] {
			names = append(names, one.shown)
		}
	}
	return names
}
