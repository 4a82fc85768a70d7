package cluster

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"helm-tenant/refusal"
	"helm-tenant/visible"
)

// templates are the kinds that create pods, and the path of the pod template in each. A
// Pod is its own template.
var templates = map[string][]string{
	"Pod":                   nil,
	"Deployment":            {"spec", "template"},
	"ReplicaSet":            {"spec", "template"},
	"StatefulSet":           {"spec", "template"},
	"DaemonSet":             {"spec", "template"},
	"Job":                   {"spec", "template"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template"},
	"ReplicationController": {"spec", "template"},
	"PodTemplate":           {"template"},
}

// templateRounds are these kinds, those that create objects of others first.
var templateRounds = [][]string{
	{"Deployment", "StatefulSet", "DaemonSet", "CronJob", "ReplicationController", "PodTemplate"},
	{"ReplicaSet", "Job"},
	{"Pod"},
}

// Template is a pod, or an object that creates pods, with its pod template.
type Template struct {
	Key Key
	// Maker is the existing controller that the object's owner reference names, or the zero
	// Key. Whoever writes an object chooses its owner references: the maker need not have
	// created it.
	Maker Key
	Spec  *corev1.PodTemplateSpec
}

// EachTemplate calls do for every pod and every pod template, one at a time, makers first; of
// all namespaces if namespace is empty. Objects that have a maker and run nothing any more are
// left out: ReplicaSets of old revisions, completed Jobs and pods.
func (c *Client) EachTemplate(ctx context.Context, namespace string, do func(Template)) error {
	return c.eachTemplate(ctx, namespace, func(string) bool { return true }, do)
}

// EachTemplateIn is EachTemplate for the namespaces that wanted accepts. It lists the whole
// cluster: nothing of other namespaces is converted or kept.
func (c *Client) EachTemplateIn(ctx context.Context, wanted func(namespace string) bool, do func(Template)) error {
	return c.eachTemplate(ctx, "", wanted, do)
}

func (c *Client) eachTemplate(ctx context.Context, namespace string, wanted func(string) bool, do func(Template)) error {
	var owners Owners
	for _, kindNames := range templateRounds {
		if err := c.eachTemplateOf(ctx, kindNames, namespace, wanted, &owners, do); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) eachTemplateOf(ctx context.Context, kindNames []string, namespace string, wanted func(string) bool, owners *Owners, do func(Template)) error {
	var mutex sync.Mutex
	return concurrently(len(kindNames), Width, func(i int) error {
		kindName := kindNames[i]
		return c.each(ctx, kindName, namespace, metav1.ListOptions{}, func(object *unstructured.Unstructured) {
			if !wanted(object.GetNamespace()) {
				return
			}
			mutex.Lock()
			maker, hasMaker := owners.Maker(kindName, object)
			if kindName != "Pod" {
				owners.Add(kindName, object)
			}
			mutex.Unlock()
			if hasMaker && runsNothing(kindName, object) {
				return
			}
			template := object.Object
			if path := templates[kindName]; path != nil {
				template, _, _ = unstructured.NestedMap(object.Object, path...)
			}
			var typed corev1.PodTemplateSpec
			if Typed(&unstructured.Unstructured{Object: template}, &typed) != nil {
				return // the API server accepts only templates that can be read
			}
			mutex.Lock()
			defer mutex.Unlock()
			do(Template{keyOf(object), maker, &typed})
		})
	})
}

// runsNothing reports whether a Pod, ReplicaSet or Job neither is nor has a running pod.
func runsNothing(kindName string, object *unstructured.Unstructured) bool {
	switch kindName {
	case "Pod":
		phase, _, _ := unstructured.NestedString(object.Object, "status", "phase")
		return phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed)
	case "ReplicaSet":
		replicas, found, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
		return found && replicas == 0
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(condition any) bool {
		fields, _ := condition.(map[string]any)
		return fields["status"] == "True" && (fields["type"] == "Complete" || fields["type"] == "Failed")
	})
}

// warnings collects the API server's warnings in answers to a context's requests.
type warnings struct {
	mutex sync.Mutex
	texts []string
}

type warningsKey struct{}

// warningHandler passes warnings to the context that collects them, and drops all others.
type warningHandler struct{}

func (warningHandler) HandleWarningHeaderWithContext(ctx context.Context, _ int, _ string, text string) {
	if w, asked := ctx.Value(warningsKey{}).(*warnings); asked {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.texts = append(w.texts, visible.OneLine(text))
	}
}

// LabelAnswer are the API server's warnings when a namespace gets a PodSecurity label.
type LabelAnswer struct {
	// Violations are PodSecurity's own warnings about pods that violate the label's level.
	// Others are all other warnings, such as those of admission webhooks: a warning does not
	// name its author.
	Violations, Others []string
}

// TryLabel returns the warnings of a dry run that sets a PodSecurity label on a live namespace.
func (c *Client) TryLabel(ctx context.Context, namespace *unstructured.Unstructured, label, value string) (LabelAnswer, error) {
	next := namespace.DeepCopy()
	labels := next.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[label] = value
	next.SetLabels(labels)
	var found warnings
	_, err := c.resource(kinds["Namespace"], "").Update(context.WithValue(ctx, warningsKey{}, &found), next,
		metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: FieldManager})
	return labelAnswer(namespace.GetName(), found.texts), c.explain("trying a label of namespace "+namespace.GetName(), err)
}

// violatingPod matches PodSecurity's warnings about single pods: "web-0: host namespaces",
// "web-0 (and 2 other pods): privileged".
var violatingPod = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?( \(and [0-9]+ other pods?\))?: .`)

// labelAnswer separates PodSecurity's warnings from others. PodSecurity writes one block: a line
// that names the namespace, then a line for each violation
// (k8s.io/pod-security-admission/admission, EvaluatePodsInNamespace).
func labelAnswer(namespace string, texts []string) LabelAnswer {
	var answer LabelAnswer
	heading := fmt.Sprintf("existing pods in namespace %q violate the new PodSecurity enforce level ", namespace)
	for i := 0; i < len(texts); i++ {
		if !strings.HasPrefix(texts[i], heading) {
			answer.Others = append(answer.Others, texts[i])
			continue
		}
		first := i + 1
		for i+1 < len(texts) && violatingPod.MatchString(texts[i+1]) {
			i++
		}
		if first > i { // it names none
			first = i
		}
		answer.Violations = append(answer.Violations, texts[first:i+1]...)
	}
	return answer
}

// privileged is a pod that every level of PodSecurity except privileged refuses.
var privileged = &unstructured.Unstructured{Object: map[string]any{
	"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"generateName": "helm-tenant-"},
	"spec": map[string]any{"automountServiceAccountToken": false, "containers": []any{map[string]any{
		"name": "main", "image": "registry.k8s.io/pause:3.10", "securityContext": map[string]any{"privileged": true},
	}}},
}}

// RefusesPrivileged asks the API server, by a dry run, whether the PodSecurity label of a
// namespace makes it refuse a privileged pod. If something else refuses the pod, the
// answer is not known and that is the error.
func (c *Client) RefusesPrivileged(ctx context.Context, namespace string) (bool, error) {
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: FieldManager}
	var err error
	by := func(kind refusal.Kind) bool {
		if err == nil {
			return false
		}
		found, known := refusal.Read(err.Error())
		return known && found.Kind == kind
	}
	// The default service account is created a moment after its namespace.
	patience := wait.Backoff{Duration: 100 * time.Millisecond, Steps: 30}
	waiting := wait.ExponentialBackoffWithContext(ctx, patience, func(ctx context.Context) (bool, error) {
		_, err = c.resource(kinds["Pod"], namespace).Create(ctx, privileged.DeepCopy(), options)
		return !by(refusal.ServiceAccount), nil
	})
	if waiting != nil && ctx.Err() != nil {
		return false, ctx.Err()
	}
	if by(refusal.PodSecurity) {
		return true, nil
	}
	return false, c.explain("trying a privileged pod in namespace "+namespace, err)
}
