package demo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNormalise(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want []string
	}{
		{"what comes before and after", []string{"building", "ready in 6.98s: https://10.99.0.2:6443", "", "# One", "a$ b", "", "# Two", "", "ending the cluster"},
			[]string{"# One", "a$ b", "", "# Two"}},
		{"a story from its first line on", []string{"# One", "a$ b", "", "# Two"}, []string{"# One", "a$ b", "", "# Two"}},
		{"objects keep their order", []string{"# One", "created  Role b", "created  ConfigMap a"}, []string{"# One", "created  Role b", "created  ConfigMap a"}},
		{"how long Tiller took", []string{"Tiller: waiting for the pod to be made", "Tiller: pod tiller-deploy-79fc88d9bf-d228h runs, and is not ready yet", "Tiller: 1 of 1 ready"},
			[]string{"Tiller: 1 of 1 ready"}},
		{"Tiller that is not ready in the end", []string{"Tiller: 0 of 1 ready"}, []string{"Tiller: 0 of 1 ready"}},
		{"times", []string{"LAST DEPLOYED: Thu Nov  6 20:47:07 2026", "UPDATED 2026-11-26 20:47:12.1 +0000 UTC x"},
			[]string{"LAST DEPLOYED: Mon Jan  2 15:04:05 2006", "UPDATED 2006-01-02 15:04:05 +0000 UTC x"}},
		{"pods and ages", []string{"greeter-66f44cdccd-nj7zr  1/1    Running  0         1m12s", "greeter  1     13s"},
			[]string{"greeter-66f44cdccd-xxxxx  1/1    Running  0         2s", "greeter  1     2s"}},
		{"names that only look random stay", []string{"tiller-deploy in namespace team-a-tiller", "pods/portforward", "v2.17.0", "hello-0.1.0"},
			[]string{"tiller-deploy in namespace team-a-tiller", "pods/portforward", "v2.17.0", "hello-0.1.0"}},
		{"ports", []string{"https://127.0.0.1:41233/"}, []string{"https://127.0.0.1:6443/"}},
		{"tables of helm's", []string{"NAME   \tUPDATED                           \tSTATUS  ", "greeter\t2026-11-26 20:47:12.123349 +0000 UTC\tdeployed"},
			[]string{"NAME      UPDATED                         STATUS", "greeter   2006-01-02 15:04:05 +0000 UTC   deployed"}},
		{"what is different stays different", []string{"greeter  0/1    1           0", "Error: no"}, []string{"greeter  0/1    1           0", "Error: no"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := normalise(strings.Join(c.got, "\n"))
			if diff := cmp.Diff(strings.Join(c.want, "\n"), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if second := normalise(got); second != got {
				t.Errorf("normalised twice it is another text: %q", second)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	whole := []string{"a", "", "b", "c"}
	for _, c := range []struct {
		part []string
		want string
	}{
		{[]string{"a", "c"}, ""},
		{[]string{"a", "", "", "b"}, ""},
		{[]string{"c", "b"}, "b"},
		{[]string{"a", "d"}, "d"},
		{[]string{"a", "a"}, "a"},
	} {
		if got := missing(whole, c.part); got != c.want {
			t.Errorf("missing(%q) = %q, want %q", c.part, got, c.want)
		}
	}
}
