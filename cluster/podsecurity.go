package cluster

import (
	"context"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// templates are the kinds that make pods, and where in them a pod's template is. A pod
// is its own.
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

// templateRounds are the kinds of templates, those that make others first.
var templateRounds = [][]string{
	{"Deployment", "StatefulSet", "DaemonSet", "CronJob", "ReplicationController", "PodTemplate"},
	{"ReplicaSet", "Job"},
	{"Pod"},
}

// EachTemplate calls do for every pod and every template of pods, one at a time; of all
// namespaces where namespace is empty. What one of these kinds made that is there is left
// out: its maker's template says the same.
func (c *Client) EachTemplate(ctx context.Context, namespace string, do func(Key, *corev1.PodTemplateSpec)) error {
	var there Owners
	for _, kindNames := range templateRounds {
		if err := c.eachTemplateOf(ctx, kindNames, namespace, &there, do); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) eachTemplateOf(ctx context.Context, kindNames []string, namespace string, there *Owners, do func(Key, *corev1.PodTemplateSpec)) error {
	var mutex sync.Mutex
	return concurrently(len(kindNames), Width, func(i int) error {
		kindName := kindNames[i]
		return c.each(ctx, kindName, namespace, metav1.ListOptions{}, func(object *unstructured.Unstructured) {
			mutex.Lock()
			_, made := there.Maker(kindName, object)
			if kindName != "Pod" {
				there.Add(kindName, object)
			}
			mutex.Unlock()
			if made {
				return
			}
			template := object.Object
			if path := templates[kindName]; path != nil {
				template, _, _ = unstructured.NestedMap(object.Object, path...)
			}
			var typed corev1.PodTemplateSpec
			if Typed(&unstructured.Unstructured{Object: template}, &typed) != nil {
				return // the API server takes none that can't be read
			}
			mutex.Lock()
			defer mutex.Unlock()
			do(keyOf(object), &typed)
		})
	})
}

// warnings collects what the API server warns of in answer to the requests of a
// context.
type warnings struct {
	mutex sync.Mutex
	texts []string
}

type warningsKey struct{}

// warningHandler passes warnings on to the context that asks for them, and drops all
// others.
type warningHandler struct{}

func (warningHandler) HandleWarningHeaderWithContext(ctx context.Context, _ int, _ string, text string) {
	if w, asked := ctx.Value(warningsKey{}).(*warnings); asked {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.texts = append(w.texts, strings.Join(strings.Fields(text), " "))
	}
}

// TryLabel asks the API server, without storing it, what it warns of when a live
// namespace gets a label.
func (c *Client) TryLabel(ctx context.Context, namespace *unstructured.Unstructured, label, value string) ([]string, error) {
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
	return found.texts, c.explain("trying a label of namespace "+namespace.GetName(), err)
}

// privileged is a pod that every level of PodSecurity but privileged refuses.
var privileged = &unstructured.Unstructured{Object: map[string]any{
	"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"generateName": "helm-tenant-"},
	"spec": map[string]any{"automountServiceAccountToken": false, "containers": []any{map[string]any{
		"name": "main", "image": "registry.k8s.io/pause:3.10", "securityContext": map[string]any{"privileged": true},
	}}},
}}

// RefusesPrivileged asks the API server, by a dry run that stores nothing, whether it
// refuses a privileged pod in a namespace for its PodSecurity label. What else refuses
// the pod is the error: then it is not known.
func (c *Client) RefusesPrivileged(ctx context.Context, namespace string) (bool, error) {
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: FieldManager}
	var err error
	// The account that the pod has by default comes a moment after its namespace.
	for range 30 {
		_, err = c.resource(kinds["Pod"], namespace).Create(ctx, privileged.DeepCopy(), options)
		if err == nil || !strings.Contains(err.Error(), "service account") {
			break
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err != nil && strings.Contains(err.Error(), "violates PodSecurity") {
		return true, nil
	}
	return false, c.explain("trying a privileged pod in namespace "+namespace, err)
}
