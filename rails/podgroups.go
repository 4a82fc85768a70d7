package rails

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// maxWorkloadDepth is how deep templates of pod groups can be nested in a Workload
// (k8s.io/api/scheduling, WorkloadMaxTreeDepth).
const maxWorkloadDepth = 4

// podGroups returns the policies for groups of pods and for the templates of such groups. The
// scheduler takes the priority of the group for that of its pods
// (k8s.io/kubernetes/pkg/scheduler/framework/preemption, GetPodPriority), so a group of a
// high class evicts others' pods though its own pods name no class. The kinds are served
// where the feature gate GenericWorkload is enabled; the built-in roles admin and edit may
// then write them.
func podGroups(p Priorities) []policy {
	var all []policy
	for _, kind := range []string{"podgroups", "compositepodgroups"} {
		all = append(all, policy{
			kind: kind, groups: []string{"scheduling.k8s.io"}, resources: []string{kind}, operations: onWrite,
			variables: append(allowedClasses(p),
				admissionv1.Variable{Name: "class", Expression: ifHas(`object.spec.priorityClassName`, `""`)},
				admissionv1.Variable{Name: "was", Expression: `oldObject != null && has(oldObject.spec.priorityClassName) ? oldObject.spec.priorityClassName : ""`},
				admissionv1.Variable{Name: "kept", Expression: `oldObject != null && variables.class == variables.was && (has(object.spec.priority) ? object.spec.priority : 0) == (has(oldObject.spec.priority) ? oldObject.spec.priority : 0)`},
			),
			rules: []admissionv1.Validation{
				// The priority is filled in before the policy is evaluated, but by an API
				// server that does not know the field yet.
				rule(fmt.Sprintf(`variables.kept || variables.class in variables.allowed || (has(object.spec.priority) ? object.spec.priority <= %d : variables.class == "" || variables.class in variables.classes)`, p.Default),
					classMessage, classMessageExpression(p)),
			},
		})
	}
	return append(all, policy{
		kind: "workloads", groups: []string{"scheduling.k8s.io"}, resources: []string{"workloads"}, operations: onWrite,
		variables: append(allowedClasses(p),
			admissionv1.Variable{Name: "high", Expression: highTemplates("object.spec", p, maxWorkloadDepth)},
			// Templates are never added to a Workload, and their classes never changed.
			admissionv1.Variable{Name: "wasHigh", Expression: `oldObject != null && (` + highTemplates("oldObject.spec", p, maxWorkloadDepth) + `)`},
		),
		rules: []admissionv1.Validation{
			rule(`!variables.high || variables.wasHigh`, classMessage,
				`"a template of pod groups here can't have a priority class above the cluster's default priority; allowed: " + (variables.classes.size() == 0 ? "none" : variables.classes.join(", "))`),
		},
	})
}

// highTemplates returns a CEL expression that reports whether one of the templates of pod groups
// at that path, nested ones included, has a priority that is not allowed.
func highTemplates(path string, p Priorities, depth int) string {
	high := func(t string) string {
		class := t + ".priorityClassName"
		return fmt.Sprintf(`(has(%[1]s) && %[1]s != "" && !(%[1]s in variables.classes) || has(%[2]s.priority) && %[2]s.priority > %[3]d && !(has(%[1]s) && %[1]s in variables.allowed))`, class, t, p.Default)
	}
	t, c := fmt.Sprintf("t%d", depth), fmt.Sprintf("c%d", depth)
	found := fmt.Sprintf(`has(%[1]s.podGroupTemplates) && %[1]s.podGroupTemplates.exists(%[2]s, %[3]s)`, path, t, high(t))
	if depth == 1 {
		return found
	}
	return found + fmt.Sprintf(` || has(%[1]s.compositePodGroupTemplates) && %[1]s.compositePodGroupTemplates.exists(%[2]s, %[3]s || %[4]s)`,
		path, c, high(c), highTemplates(c, p, depth-1))
}
