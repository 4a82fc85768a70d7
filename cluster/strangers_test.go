package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// withOwner returns an object of that name and UID in namespace ns, with a controller where there is
// one: "UID KIND NAME", or "UID GROUP/KIND NAME".
func withOwner(name, uid, controller string) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid)}}
	if words := strings.Fields(controller); len(words) == 3 {
		group, kind, named := strings.Cut(words[1], "/")
		if !named {
			group, kind = kinds[words[1]].resource.Group, words[1]
		}
		version := schema.GroupVersion{Group: group, Version: "v1"}
		m.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(words[0]), APIVersion: version.String(), Kind: kind, Name: words[2], Controller: new(true)}}
	}
	return m
}

// Whoever created the namespace early writes the owner references in it: they hide no object.
func TestStrangersWithoutMade(t *testing.T) {
	type stranger struct {
		kind   string
		object *metav1.PartialObjectMetadata
	}
	one := func(kind, name, uid, controller string) stranger {
		return stranger{kind, withOwner(name, uid, controller)}
	}
	web := one("Deployment", "web", "1", "")
	for _, test := range []struct {
		name string
		all  []stranger
		want []string
	}{
		{"a workload and what it makes", []stranger{one("Pod", "web-1-x", "3", "2 ReplicaSet web-1"), web, one("ReplicaSet", "web-1", "2", "1 Deployment web")},
			[]string{"Deployment web"}},
		{"a RoleBinding and a token that a ConfigMap controls", []stranger{one("RoleBinding", "mine", "1", "9 ConfigMap x"), one("Secret", "forever", "2", "9 ConfigMap x")},
			[]string{"RoleBinding mine", "token Secret forever"}},
		{"a token that a workload controls", []stranger{one("Secret", "forever", "2", "1 Deployment web"), web},
			[]string{"token Secret forever", "Deployment web"}},
		{"a pod of something that is not there", []stranger{one("Pod", "miner", "1", "9 ReplicaSet x")}, []string{"Pod miner"}},
		{"a ReplicaSet by the UID of another kind", []stranger{one("ReplicaSet", "miner", "2", "1 StatefulSet web"), web}, []string{"ReplicaSet miner", "Deployment web"}},
		{"a ReplicaSet by the UID of another name", []stranger{one("ReplicaSet", "miner", "2", "1 Deployment other"), web}, []string{"ReplicaSet miner", "Deployment web"}},
		{"a ReplicaSet by the name of another UID", []stranger{one("ReplicaSet", "miner", "2", "7 Deployment web"), web}, []string{"ReplicaSet miner", "Deployment web"}},
		{"a ReplicaSet by a kind of another group", []stranger{one("ReplicaSet", "miner", "2", "1 example.com/Deployment web"), web}, []string{"ReplicaSet miner", "Deployment web"}},
		{"a ReplicaSet by a kind of no group", []stranger{one("ReplicaSet", "miner", "2", "1 /Deployment web"), web}, []string{"ReplicaSet miner", "Deployment web"}},
		{"a ReplicaSet by what is no group", []stranger{one("ReplicaSet", "miner", "2", "1 apps/v1/Deployment web"), web}, []string{"ReplicaSet miner", "Deployment web"}},
		{"two that control each other", []stranger{one("ReplicaSet", "one", "1", "2 Deployment two"), one("Deployment", "two", "2", "1 ReplicaSet one")}, []string{"Deployment two"}},
		{"two of a kind", []stranger{one("ReplicaSet", "one", "1", "2 ReplicaSet two"), one("ReplicaSet", "two", "2", "1 ReplicaSet one")}, []string{"ReplicaSet one", "ReplicaSet two"}},
		{"one that controls itself", []stranger{one("Pod", "miner", "1", "1 Pod miner")}, []string{"Pod miner"}},
		{"kinds that nobody may list", []stranger{{kind: "Pod"}, one("Pod", "x", "1", "")}, []string{"Pods that you may not list", "Pod x"}},
	} {
		var found []Stranger
		var objects []*metav1.PartialObjectMetadata
		for _, one := range test.all {
			name := ""
			if one.object != nil {
				name = one.object.Name
			}
			found, objects = append(found, Stranger{one.kind, name}), append(objects, one.object)
		}
		var shown []string
		for _, one := range withoutMade(found, objects) {
			shown = append(shown, one.String())
		}
		if diff := cmp.Diff(test.want, shown); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}

// Objects that would be deleted with a namespace are named, except those that a named object
// owns.
func TestUnowned(t *testing.T) {
	type object struct {
		kind, name, uid, owner string
		ours                   bool
	}
	tillers := map[string]bool{"tiller-1": true}
	web := object{kind: "Deployment", name: "web", uid: "1"}
	for _, test := range []struct {
		name string
		all  []object
		want []string
	}{
		{"a chain", []object{web, {"ReplicaSet", "web-1", "2", "1 Deployment web", false}, {"PodMetric", "m", "3", "2 ReplicaSet web-1", false}}, []string{"Deployment web"}},
		{"a chain, the other way round", []object{{"PodMetric", "m", "3", "2 ReplicaSet web-1", false}, {"ReplicaSet", "web-1", "2", "1 Deployment web", false}, web}, []string{"Deployment web"}},
		{"an owner that is not named", []object{{"ConfigMap", "kube-root-ca.crt", "1", "", true}, {"Claim", "data", "2", "1 ConfigMap kube-root-ca.crt", false}}, []string{"Claim data"}},
		{"an owner that is not there", []object{{"Claim", "data", "2", "9 Namespace ns", false}}, []string{"Claim data"}},
		{"the UID of another kind", []object{web, {"Claim", "data", "2", "1 StatefulSet web", false}}, []string{"Deployment web", "Claim data"}},
		{"the UID of another name", []object{web, {"Claim", "data", "2", "1 Deployment db", false}}, []string{"Deployment web", "Claim data"}},
		{"the UID of another group", []object{web, {"Claim", "data", "2", "1 example.com/Deployment web", false}}, []string{"Deployment web", "Claim data"}},
		{"the name of another UID", []object{web, {"Claim", "data", "2", "7 Deployment web", false}}, []string{"Deployment web", "Claim data"}},
		{"two that own each other", []object{{"Claim", "a", "1", "2 Claim b", false}, {"Claim", "b", "2", "1 Claim a", false}}, []string{"Claim a", "Claim b"}},
		{"one that owns itself", []object{{"Claim", "a", "1", "1 Claim a", false}}, []string{"Claim a"}},
		{"what a Tiller's pod owns", []object{{"Pod", "tiller-1", "1", "", true}, {"Endpoint", "of-pod", "2", "1 Pod tiller-1", false}, {"Report", "r", "3", "2 Endpoint of-pod", false}}, nil},
		{"what says so of a pod that is gone", []object{{"Pod", "tiller-1", "1", "", true}, {"Endpoint", "of-pod", "2", "9 Pod tiller-1", false}}, []string{"Endpoint of-pod"}},
		{"a part of a Tiller's", []object{{"ReplicaSet", "tiller-1", "1", "", true}}, nil},
	} {
		var existing Owners
		var all []owned
		for _, o := range test.all {
			m := withOwner(o.name, o.uid, o.owner)
			existing.Add(o.kind, m)
			all = append(all, owned{groupedKey{kinds[o.kind].resource.Group, Key{o.kind, "ns", o.name}}, o.kind + " " + o.name, m.OwnerReferences, o.ours, tillers[o.name]})
		}
		if diff := cmp.Diff(test.want, existing.unowned(all)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}

// An object of several owners is collected as garbage when all of them are gone.
func TestUnownedBySeveral(t *testing.T) {
	web, db := withOwner("web", "1", ""), withOwner("db", "2", "")
	both, half := withOwner("both", "3", "1 Deployment web"), withOwner("half", "4", "1 Deployment web")
	both.SetOwnerReferences(append(both.GetOwnerReferences(), metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "db", UID: "2"}))
	half.SetOwnerReferences(append(half.GetOwnerReferences(), metav1.OwnerReference{Kind: "ClusterThing", Name: "x", UID: "9"}))
	var existing Owners
	existing.Add("Deployment", web)
	existing.Add("Deployment", db)
	key := func(kind, name string) groupedKey {
		return groupedKey{kinds[kind].resource.Group, Key{kind, "ns", name}}
	}
	all := []owned{{key: key("Deployment", "web"), shown: "web"}, {key: key("Deployment", "db"), shown: "db"},
		{key: key("Claim", "both"), shown: "both", owners: both.GetOwnerReferences()}, {key: key("Claim", "half"), shown: "half", owners: half.GetOwnerReferences()}}
	if diff := cmp.Diff([]string{"web", "db", "half"}, existing.unowned(all)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
