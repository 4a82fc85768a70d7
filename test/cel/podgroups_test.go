package cel

import (
	"fmt"
	"testing"

	"helm-tenant/rails"
)

// TestPodGroups: a group of pods has no higher priority than a pod may have, nor has a
// template of one, however deep it is nested.
func TestPodGroups(t *testing.T) {
	const (
		group    = "{apiVersion: scheduling.k8s.io/v1beta1, kind: PodGroup, metadata: {name: x}, spec: {schedulingPolicy: {gang: {minCount: %d}}%s}}"
		workload = "{apiVersion: scheduling.k8s.io/v1beta1, kind: Workload, metadata: {name: x%s}, spec: {%s}}"
		critical = "priorityClassName: system-node-critical"
	)
	notes := map[string]string{"guard.helm-tenant/priority-classes": "batch"}
	priorities := rails.Priorities{Default: 10, Harmless: []string{"low"}}
	templates := func(one string) string { return "podGroupTemplates: [{name: a}, {name: b, " + one + "}]" }
	nested := func(inner string) string { return "compositePodGroupTemplates: [{name: c, " + inner + "}]" }
	groups := func(minCount int, more string) string { return fmt.Sprintf(group, minCount, more) }
	workloads := func(spec string) string { return fmt.Sprintf(workload, "", spec) }
	for _, test := range []struct {
		what, kind, old, object string
		allowed                 bool
	}{
		{"no class", "podgroups", "", groups(1, ""), true},
		{"the default priority", "podgroups", "", groups(1, ", priority: 10, priorityClassName: default"), true},
		{"a critical class", "podgroups", "", groups(1, ", priority: 2000001000, "+critical), false},
		{"the same of a composite group", "compositepodgroups", "", groups(1, ", priority: 2000001000, "+critical), false},
		{"a class that is allowed", "podgroups", "", groups(1, ", priority: 1000, priorityClassName: batch"), true},
		{"a critical class whose priority is not filled in", "podgroups", "", groups(1, ", "+critical), false},
		{"a low class whose priority is not filled in", "podgroups", "", groups(1, ", priorityClassName: low"), true},
		{"a critical group that is scaled", "podgroups", groups(1, ", priority: 2000001000, "+critical), groups(2, ", priority: 2000001000, "+critical), true},
		{"a group that gets a class", "podgroups", groups(1, ", priority: 0"), groups(1, ", priority: 2000001000, "+critical), false},
		{"templates without a class", "workloads", "", workloads(templates("schedulingPolicy: {basic: {}}")), true},
		{"a template of a low class", "workloads", "", workloads(templates("priorityClassName: low")), true},
		{"a template of a class that is allowed", "workloads", "", workloads(templates("priorityClassName: batch, priority: 1000")), true},
		{"a template of a critical class", "workloads", "", workloads(templates(critical)), false},
		{"a template with a priority and no class", "workloads", "", workloads(templates("priority: 1000000000")), false},
		{"a composite template of a critical class", "workloads", "", workloads(nested(critical)), false},
		{"a template below two composite ones", "workloads", "", workloads(nested(nested(templates(critical)))), false},
		{"a template below three composite ones", "workloads", "", workloads(nested(nested(nested(templates(critical))))), false},
		{"low ones below three", "workloads", "", workloads(nested(nested(nested(templates("priorityClassName: low"))))), true},
		{"a critical one that is relabelled", "workloads", workloads(templates(critical)), fmt.Sprintf(workload, ", labels: {a: b}", templates(critical)), true},
	} {
		if allowed := judgeIn(t, test.kind, notes, priorities, test.old, test.object); allowed != test.allowed {
			t.Errorf("%s: allowed is %t", test.what, allowed)
		}
	}
	// Where the classes are not known only those go that the tenant is allowed.
	for class, want := range map[string]bool{"batch": true, "low": false, "system-node-critical": false} {
		pod := fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {priority: 1, priorityClassName: %s}}", class)
		deployment := fmt.Sprintf("{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {template: {spec: {priorityClassName: %s}}}}", class)
		for kind, object := range map[string]string{"pods": pod, "deployments": deployment} {
			if allowed := judgeIn(t, kind, notes, rails.Priorities{Unknown: true}, "", object); allowed != want {
				t.Errorf("%s of class %s, of an unknown priority: allowed is %t", kind, class, allowed)
			}
		}
	}
}
