package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"

	"helm-tenant/tenant"
)

// MigrationOf reads from a tenant's record how far its migration is; nil where it
// is not being migrated.
func MigrationOf(record metav1.Object) (*tenant.Migration, error) {
	text, found := record.GetAnnotations()[tenant.AnnotationMigration]
	if !found {
		return nil, nil
	}
	m, err := tenant.ParseMigration(text)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s in namespace %q: %w", record.GetName(), record.GetNamespace(), err)
	}
	return &m, nil
}

// Migration reads how far the tenant with that home is migrated; nil where it is
// not.
func (c *Client) Migration(ctx context.Context, home string) (*tenant.Migration, error) {
	record, err := c.resource(kinds["ConfigMap"], home).Get(ctx, tenant.RecordName, metav1.GetOptions{})
	if err != nil {
		return nil, c.explain(fmt.Sprintf("reading the tenant's record in namespace %q", home), err)
	}
	return MigrationOf(record)
}

// Annotate adds a change of one annotation of a live object; an empty value takes
// it away.
func (p *Plan) Annotate(live *unstructured.Unstructured, name, value string) {
	have, found := live.GetAnnotations()[name]
	if have == value && found == (value != "") {
		return
	}
	field := Field{Path: "metadata.annotations[" + name + "]", Wanted: value}
	if found {
		field.Live = have
	}
	next := live.DeepCopy()
	annotations := next.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[name] = value
	if value == "" {
		delete(annotations, name)
		field.Wanted = nil
	}
	next.SetAnnotations(annotations)
	p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live, Fields: []Field{field}, phase: phaseNamespaces})
}

// Scale adds a change of how many pods a live Deployment has.
func (p *Plan) Scale(live *unstructured.Unstructured, replicas int32) error {
	have, _, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if err != nil || have == int64(replicas) {
		return err
	}
	next := live.DeepCopy()
	if err := unstructured.SetNestedField(next.Object, int64(replicas), "spec", "replicas"); err != nil {
		return err
	}
	p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live,
		Fields: []Field{{Path: "spec.replicas", Live: have, Wanted: int64(replicas)}}, phase: phaseWorkload})
	return nil
}

// Create adds the creation of an object that is not there.
func (p *Plan) Create(object runtime.Object) error {
	want, err := toUnstructured(object)
	if err == nil {
		p.Changes = append(p.Changes, Change{Action: Create, Key: keyOf(want), Object: want, phase: phaseObjects})
	}
	return err
}

// WaitUntilStopped watches the Tiller in a home namespace until none of its pods is
// left, and calls say with a sentence at each change.
func (c *Client) WaitUntilStopped(ctx context.Context, home string, say func(string)) error {
	return c.watchTiller(ctx, home, say, func(d *appsv1.Deployment, pods []corev1.Pod) (string, bool, error) {
		switch {
		case len(pods) > 0:
			return fmt.Sprintf("waiting for pod %s to end", pods[0].Name), false, nil
		case d != nil && (d.Status.ObservedGeneration < d.Generation || d.Status.Replicas > 0):
			return "waiting for the Deployment to be scaled down", false, nil
		}
		return "stopped", true, nil
	})
}

// Secrets are those in a namespace whose metadata say that they are wanted. Only they
// are read: a namespace may hold many large ones that do not matter.
func (c *Client) Secrets(ctx context.Context, namespace string, wanted func(metav1.Object) bool) ([]*unstructured.Unstructured, error) {
	var names []string
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return c.metadata.Resource(kinds["Secret"].resource).Namespace(namespace).List(ctx, options)
	})
	pages.PageSize = pageSize
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		if meta := object.(*metav1.PartialObjectMetadata); wanted(meta) {
			names = append(names, meta.Name)
		}
		return nil
	})
	if err != nil {
		return nil, c.explain("listing secrets in namespace "+namespace, err)
	}
	var records []*unstructured.Unstructured
	if len(names) >= manyNames {
		// Nearly all of them are release records.
		if records, err = c.list(ctx, "Secret", namespace, metav1.ListOptions{LabelSelector: helmSelector}); err != nil {
			return nil, err
		}
		records = slices.DeleteFunc(records, func(secret *unstructured.Unstructured) bool {
			at := slices.Index(names, secret.GetName())
			if at >= 0 {
				names = slices.Delete(names, at, at+1)
			}
			return at < 0
		})
	}
	found := make([]*unstructured.Unstructured, len(names))
	err = concurrently(len(names), Width, func(i int) error {
		secret, err := c.resource(kinds["Secret"], namespace).Get(ctx, names[i], metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil // removed meanwhile
		}
		found[i] = secret
		return c.explain("reading secret "+names[i]+" in namespace "+namespace, err)
	})
	return append(records, slices.DeleteFunc(found, func(secret *unstructured.Unstructured) bool { return secret == nil })...), err
}

// ServedKinds says which kinds the API server serves of each of these API versions;
// one that it does not serve at all is left out.
func (c *Client) ServedKinds(ctx context.Context, apiVersions []string) (map[string]map[string]bool, error) {
	var groups metav1.APIGroupList
	if err := c.discover(ctx, "/apis", &groups); err != nil {
		return nil, err
	}
	// Asked is for nothing but what the server names: the API versions are a
	// chart's own words.
	paths := map[string]string{"v1": "/api/v1"}
	for _, group := range groups.Groups {
		for _, version := range group.Versions {
			paths[version.GroupVersion] = "/apis/" + version.GroupVersion
		}
	}
	served := map[string]map[string]bool{}
	for _, apiVersion := range apiVersions {
		path, found := paths[apiVersion]
		if !found || served[apiVersion] != nil {
			continue
		}
		var resources metav1.APIResourceList
		if err := c.discover(ctx, path, &resources); err != nil {
			return nil, err
		}
		served[apiVersion] = map[string]bool{}
		for _, resource := range resources.APIResources {
			served[apiVersion][resource.Kind] = true
		}
	}
	return served, nil
}

// discover reads what the API server says of itself. The discovery client of
// client-go would bring the schemas of all kinds along.
func (c *Client) discover(ctx context.Context, path string, into any) error {
	config := dynamic.ConfigFor(c.config)
	config.GroupVersion = &schema.GroupVersion{}
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return err
	}
	text, err := client.Get().AbsPath(path).DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	return c.explain("asking for "+path, err)
}
