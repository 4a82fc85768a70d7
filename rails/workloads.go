package rails

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// DependsOnPriorities reports whether the named policy of the guard contains the priority
// of the cluster's default class, or the names of classes.
func DependsOnPriorities(name string) bool {
	return slices.ContainsFunc(workloads(Priorities{}), func(p policy) bool { return p.name() == name })
}

// workloads returns the policies for pods, for kinds that create pods, and for groups of
// pods. Controllers are not restricted, so templates are judged as pods are.
func workloads(p Priorities) []policy {
	all := []policy{pods(p)}
	for _, w := range []struct{ kind, group, template string }{
		{"deployments", "apps", "spec.template"},
		{"replicasets", "apps", "spec.template"},
		{"daemonsets", "apps", "spec.template"},
		{"statefulsets", "apps", "spec.template"},
		{"jobs", "batch", "spec.template"},
		{"cronjobs", "batch", "spec.jobTemplate.spec.template"},
		{"replicationcontrollers", "", "spec.template"},
		{"podtemplates", "", "template"},
	} {
		one := policy{
			kind: w.kind, groups: []string{w.group}, resources: []string{w.kind}, operations: onWrite,
			variables: append(allowedClasses(p),
				admissionv1.Variable{Name: "class", Expression: classIn("object", w.template)},
				admissionv1.Variable{Name: "was", Expression: `oldObject == null ? "" : ` + classIn("oldObject", w.template)},
				admissionv1.Variable{Name: "volumes", Expression: volumesOf("object", w.template, ephemeral)},
				admissionv1.Variable{Name: "wereVolumes", Expression: `oldObject == null ? [] : ` + volumesOf("oldObject", w.template, ephemeral)},
			),
			rules: []admissionv1.Validation{
				rule(`variables.class == "" || variables.class in variables.classes || variables.class == variables.was`, classMessage, classMessageExpression(p)),
				rule(`variables.volumes.all(v, v in variables.wereVolumes)`, volumeMessage, volumeMessageExpression),
			},
		}
		one.variables = append(one.variables, templateStorageVariables(w.template)...)
		one.rules = append(one.rules, templateStorageRules()...)
		if w.kind == "statefulsets" {
			one.variables = append(one.variables,
				admissionv1.Variable{Name: "claimed", Expression: claimedVolumes("object")},
				admissionv1.Variable{Name: "wereClaimed", Expression: `oldObject == null ? [] : ` + claimedVolumes("oldObject")})
			one.rules = append(one.rules, rule(`variables.claimed.all(v, v in variables.wereClaimed)`, volumeMessage,
				`"a claim's template here can't name a volume, as " + variables.claimed.join(", ") + ": leave volumeName out"`))
		}
		all = append(all, one)
	}
	return append(all, podGroups(p)...)
}

const (
	classMessage            = "a pod in a tenant's namespace can't have a priority above the cluster's default, unless its class is allowed"
	volumeMessage           = "a claim in a tenant's namespace can't name its volume"
	volumeMessageExpression = `"a claim's template here can't name a volume, as " + variables.volumes.join(", ") + ": leave volumeName out"`
)

// classMessageExpression names the refused class and the allowed ones: the classes of the
// cluster may have changed since the policies were written.
func classMessageExpression(p Priorities) string {
	const refused = `"a pod here can't have the priority class " + variables.class + `
	if p.Unknown {
		return refused + `", since the priorities of the cluster's classes could not be read when the policy was written; allowed: " + (variables.allowed.size() == 0 ? "no class" : variables.allowed.join(", "))`
	}
	return refused + fmt.Sprintf(`", which is above the cluster's default priority of %d; allowed: " + (variables.allowed.size() == 0 ? "those up to it" : variables.allowed.join(", ") + ", and those up to it")`, p.Default)
}

func allowedClasses(p Priorities) []admissionv1.Variable {
	return []admissionv1.Variable{
		{Name: "allowed", Expression: noteList(annotationClasses, `[]`)},
		{Name: "classes", Expression: `variables.allowed + ` + celList(slices.Sorted(slices.Values(p.Harmless)))},
	}
}

// present returns a CEL expression that reports whether all fields on the way to a
// template's spec exist, and the path of that spec.
func present(object, template string) (exists, spec string) {
	var checks []string
	path := object
	for _, field := range strings.Split(template+".spec", ".") {
		path += "." + field
		checks = append(checks, "has("+path+")")
	}
	return strings.Join(checks, " && "), path
}

func classIn(object, template string) string {
	exists, spec := present(object, template)
	return fmt.Sprintf(`%s && has(%s.priorityClassName) ? %s.priorityClassName : ""`, exists, spec, spec)
}

// ephemeral returns a CEL expression for the volumes that ephemeral claims of a pod name.
func ephemeral(spec string) string {
	const claim = `v.ephemeral.volumeClaimTemplate.spec`
	return spec + `.volumes.filter(v, has(v.ephemeral) && has(v.ephemeral.volumeClaimTemplate) && has(` + claim + `.volumeName) && ` + claim + `.volumeName != "").map(v, ` + claim + `.volumeName)`
}

func claimedVolumes(object string) string {
	return `!has(` + object + `.spec.volumeClaimTemplates) ? [] : ` + object +
		`.spec.volumeClaimTemplates.filter(c, has(c.spec) && has(c.spec.volumeName) && c.spec.volumeName != "").map(c, c.spec.volumeName)`
}

// pods are judged when they are created, since these fields can't be changed later. The
// priority is set before the policy sees it.
func pods(p Priorities) policy {
	return policy{
		kind: "pods", groups: []string{""}, resources: []string{"pods"}, operations: onCreate,
		variables: slices.Concat(allowedClasses(p), []admissionv1.Variable{
			{Name: "class", Expression: ifHas(`object.spec.priorityClassName`, `""`)},
			{Name: "volumes", Expression: `!has(object.spec.volumes) ? [] : ` + ephemeral("object.spec")},
		}, podStorageVariables()),
		rules: append([]admissionv1.Validation{
			rule(fmt.Sprintf(`!has(object.spec.priority) || object.spec.priority <= %d || variables.class in variables.allowed`, p.Default), classMessage, classMessageExpression(p)),
			rule(`variables.volumes.size() == 0`, volumeMessage, volumeMessageExpression),
		}, podStorageRules()...),
	}
}

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
