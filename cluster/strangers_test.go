package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whoever squats a namespace writes the owner references of what is in it: none of them
// hides an object behind one that is not named.
func TestNameStrangers(t *testing.T) {
	for _, test := range []struct {
		name string
		all  []stranger
		want []string
	}{
		{"a workload and what it makes", []stranger{{"Pod", "Pod web-1-x", "3", "2"}, {"Deployment", "Deployment web", "1", ""}, {"ReplicaSet", "ReplicaSet web-1", "2", "1"}},
			[]string{"Deployment web"}},
		{"a RoleBinding and a token that a ConfigMap controls", []stranger{{"RoleBinding", "RoleBinding mine", "1", "9"}, {"Secret", "token Secret forever", "2", "9"}},
			[]string{"RoleBinding mine", "token Secret forever"}},
		{"a token that a workload controls", []stranger{{"Secret", "token Secret forever", "2", "1"}, {"Deployment", "Deployment web", "1", ""}},
			[]string{"token Secret forever", "Deployment web"}},
		{"a pod of something that is not there", []stranger{{"Pod", "Pod miner", "1", "9"}}, []string{"Pod miner"}},
		{"two that control each other", []stranger{{"ReplicaSet", "ReplicaSet one", "1", "2"}, {"Deployment", "Deployment two", "2", "1"}}, []string{"Deployment two"}},
		{"two of a kind", []stranger{{"ReplicaSet", "ReplicaSet one", "1", "2"}, {"ReplicaSet", "ReplicaSet two", "2", "1"}}, []string{"ReplicaSet one", "ReplicaSet two"}},
		{"one that controls itself", []stranger{{"Pod", "Pod miner", "1", "1"}}, []string{"Pod miner"}},
		{"kinds that nobody may list", []stranger{{shown: "Pods that you may not list"}, {"Pod", "Pod x", "1", ""}}, []string{"Pods that you may not list", "Pod x"}},
	} {
		if diff := cmp.Diff(test.want, nameStrangers(test.all)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}
