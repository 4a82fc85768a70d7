package cluster

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// makers are the kinds that make objects of some kinds.
var makers = map[string][]string{
	"Pod":        {"StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"},
	"ReplicaSet": {"Deployment"},
	"Job":        {"CronJob"},
}

// Owners are objects that were read, as owner references name them. Owner references are the
// word of whoever writes the object: one counts where it names an object that is there, by its
// UID, kind, namespace and name. The zero Owners is ready to use.
type Owners struct{ byUID map[types.UID]Key }

// Add adds an object of that kind.
func (o *Owners) Add(kind string, object metav1.Object) {
	if object.GetUID() == "" {
		return
	}
	if o.byUID == nil {
		o.byUID = map[types.UID]Key{}
	}
	o.byUID[object.GetUID()] = Key{kind, object.GetNamespace(), object.GetName()}
}

// find returns the object that a reference in an object of that namespace names, if it is there.
func (o *Owners) find(namespace string, ref metav1.OwnerReference) (Key, bool) {
	key, found := o.byUID[ref.UID]
	return key, found && key == Key{ref.Kind, namespace, ref.Name}
}

// Maker returns the controller of an object of that kind, if it is there and of a kind that
// makes such objects.
func (o *Owners) Maker(kind string, object metav1.Object) (Key, bool) {
	ref := metav1.GetControllerOf(object)
	if ref == nil || !slices.Contains(makers[kind], ref.Kind) {
		return Key{}, false
	}
	return o.find(object.GetNamespace(), *ref)
}

// owned is an object, and the objects that its owner references name.
type owned struct {
	key    Key
	shown  string
	owners []metav1.OwnerReference
	// ours is one that is not named, whoever owns it. tillers is one of a Tiller's: what it
	// owns, such as a report on its pod, goes with it.
	ours, tillers bool
}

// unowned returns the names of those that no other one owns that is named, or a Tiller's, by
// whatever chain.
func (o *Owners) unowned(all []owned) []string {
	children := map[Key][]int{}
	covered := make([]bool, len(all))
	// uncovered counts the owners of an object that are not covered: it is collected as
	// garbage when all of them are gone.
	uncovered := make([]int, len(all))
	var queue []int
	queued := make([]bool, len(all))
	for i, one := range all {
		var owners []Key
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
