package cluster

import (
	"context"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/recognise"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// ignoredResources are resources whose objects do not matter when their namespace is
// deleted: Kubernetes creates them itself, or they only describe the namespace.
var ignoredResources = []string{
	"events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io", "leases.coordination.k8s.io",
	"resourcequotas", "limitranges", "networkpolicies.networking.k8s.io",
	"roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
}

// AllNeighbours is Neighbours for every kind that the API server can list, which is all
// that is deleted with a namespace. An object is left out if its owner exists and is
// reported itself or part of a Tiller. unseen are kinds that can't be read.
func (c *Client) AllNeighbours(ctx context.Context, namespace string) (found, unseen []string, err error) {
	var owners Owners
	var all []owned
	err = c.eachNeighbour(ctx, namespace, func(kindName string, m *metav1.PartialObjectMetadata, isTillers bool) {
		owners.Add(kindName, m)
		all = append(all, owned{groupedKey{kinds[kindName].resource.Group, Key{kindName, namespace, m.Name}}, kindName + " " + m.Name, nil, isTillers, hasTillersLabels(m.Labels)})
		if !isTillers {
			found = append(found, kindName+" "+m.Name)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	listable, unseen, err := c.listable(ctx)
	if err != nil {
		return nil, nil, err
	}
	var mutex sync.Mutex
	err = concurrently(len(listable), Width, func(i int) error {
		k := kind{resource: listable[i].resource, namespaced: true}
		list, err := c.metadata.Resource(k.resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
		mutex.Lock()
		defer mutex.Unlock()
		switch {
		case isUnseen(err):
			unseen = append(unseen, k.resource.GroupResource().String())
			return nil
		case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
			return nil // it was deleted in the meantime, or can't be listed
		case err != nil:
			return c.explain(listing(k, namespace), err)
		}
		for _, object := range list.Items {
			owners.addOfGroup(k.resource.Group, listable[i].kind, &object)
			isTillers := hasTillersLabels(object.Labels)
			all = append(all, owned{groupedKey{k.resource.Group, Key{listable[i].kind, namespace, object.Name}}, listable[i].kind + " " + object.Name, object.OwnerReferences, isTillers, isTillers})
		}
		return nil
	})
	more := slices.DeleteFunc(owners.unowned(all), func(name string) bool { return slices.Contains(found, name) })
	slices.Sort(more)
	slices.Sort(unseen)
	return append(found, slices.Compact(more)...), unseen, err
}

// isUnseen reports whether an error means that a kind can't be read: the caller may not,
// or its server is broken (an aggregated API server, a conversion webhook).
func isUnseen(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}

type listable struct {
	resource schema.GroupVersionResource
	kind     string
}

// listable returns the namespaced resources that can be listed, except those of
// Neighbours and of ignoredResources. unseen are API groups whose server does not answer.
func (c *Client) listable(ctx context.Context) (found []listable, unseen []string, err error) {
	var groups metav1.APIGroupList
	if err := c.discover(ctx, "/apis", &groups); err != nil {
		return nil, nil, err
	}
	versions := []string{"v1"}
	for _, group := range groups.Groups {
		// Metrics are not objects.
		if group.Name != "metrics.k8s.io" && !strings.HasSuffix(group.Name, ".metrics.k8s.io") {
			versions = append(versions, group.PreferredVersion.GroupVersion)
		}
	}
	var mutex sync.Mutex
	err = concurrently(len(versions), Width, func(i int) error {
		path := "/apis/" + versions[i]
		if versions[i] == "v1" {
			path = "/api/v1"
		}
		var resources metav1.APIResourceList
		err := c.discover(ctx, path, &resources)
		groupVersion, _ := schema.ParseGroupVersion(versions[i]) // as the server wrote it
		mutex.Lock()
		defer mutex.Unlock()
		if isUnseen(err) || apierrors.IsNotFound(err) {
			unseen = append(unseen, versions[i])
			return nil
		}
		for _, r := range resources.APIResources {
			one := listable{groupVersion.WithResource(r.Name), r.Kind}
			if r.Namespaced && slices.Contains(r.Verbs, "list") && !strings.Contains(r.Name, "/") &&
				!slices.Contains(ignoredResources, one.resource.GroupResource().String()) && !(groupVersion.Group == "" && slices.Contains(neighbourKinds, r.Kind)) {
				found = append(found, one)
			}
		}
		return err
	})
	return found, unseen, err
}

// neighbourKinds are the kinds that can also belong to a Tiller made by hand.
var neighbourKinds = []string{"Pod", "Secret", "ConfigMap", "ServiceAccount", "Service"}

// Neighbours returns the names of the objects in a namespace that are not part of a
// Tiller, made by hand or by helm-tenant, and that Kubernetes did not create by itself.
// Only metadata is read.
func (c *Client) Neighbours(ctx context.Context, namespace string) ([]string, error) {
	var found []string
	err := c.eachNeighbour(ctx, namespace, func(kindName string, m *metav1.PartialObjectMetadata, isTillers bool) {
		if !isTillers {
			found = append(found, kindName+" "+m.Name)
		}
	})
	return found, err
}

// eachNeighbour calls do for every object of neighbourKinds in a namespace, and reports
// whether it is part of a Tiller or created by Kubernetes itself.
func (c *Client) eachNeighbour(ctx context.Context, namespace string, do func(kindName string, m *metav1.PartialObjectMetadata, isTillers bool)) error {
	// API servers before 1.24 create a token Secret for each account.
	tokens := map[string]bool{}
	err := c.EachMeta(ctx, "Secret", namespace, metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeServiceAccountToken)}, func(m *metav1.PartialObjectMetadata) {
		account := m.Annotations[corev1.ServiceAccountNameKey]
		tokens[m.Name] = account == "default" || account == tenant.TillerAccount
	})
	if err != nil {
		return err
	}
	for _, kindName := range neighbourKinds {
		err := c.EachMeta(ctx, kindName, namespace, metav1.ListOptions{}, func(m *metav1.PartialObjectMetadata) {
			do(kindName, m, kindName == "Secret" && tokens[m.Name] || belongsToTiller(kindName, m))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hasTillersLabels reports whether labels are those of a tenant's objects, of a Tiller or
// of its records.
func hasTillersLabels(l map[string]string) bool {
	return l[tenant.LabelTenant] != "" || release.IsTillers(l) || recognise.HasLabels(l)
}

func belongsToTiller(kindName string, object metav1.Object) bool {
	switch {
	case hasTillersLabels(object.GetLabels()):
		return true
	case kindName == "ServiceAccount":
		return slices.Contains([]string{"default", tenant.TillerAccount, tenant.HelmAccount}, object.GetName())
	case kindName == "ConfigMap":
		return object.GetName() == "kube-root-ca.crt" || object.GetName() == tenant.SplitName
	}
	return false
}

// strangerKinds are the kinds through which somebody can act as a service account of the
// namespace, or become able to.
var strangerKinds = []string{"RoleBinding", "Secret", "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"}

// Stranger is an object through which somebody may act as a service account of its namespace.
type Stranger struct {
	Kind string
	// Name is empty if it represents all objects of the kind, which the caller may not list.
	Name string
}

func (s Stranger) String() string {
	kind := s.Kind
	if kind == "Secret" {
		kind = "token Secret" // no other Secret is listed
	}
	if s.Name == "" {
		return kind + "s that you may not list"
	}
	return kind + " " + s.Name
}

// Strangers returns the objects in a namespace through which others can act as its service
// accounts: RoleBindings, token Secrets, pods, and workloads that create pods. It does not
// matter to whom they belong, since anybody can set a label. Pods, ReplicaSets and Jobs of a
// workload that is named are left out. Only metadata is read.
func (c *Client) Strangers(ctx context.Context, namespace string) ([]Stranger, error) {
	var found []Stranger
	var objects []*metav1.PartialObjectMetadata // of those found; nil for a whole kind
	for _, kind := range strangerKinds {
		var options metav1.ListOptions
		if kind == "Secret" {
			options.FieldSelector = "type=" + string(corev1.SecretTypeServiceAccountToken)
		}
		err := c.EachMeta(ctx, kind, namespace, options, func(m *metav1.PartialObjectMetadata) {
			found, objects = append(found, Stranger{kind, m.Name}), append(objects, m)
		})
		switch {
		case apierrors.IsForbidden(err):
			found, objects = append(found, Stranger{Kind: kind}), append(objects, nil)
		case isUnserved(err): // an older API server
		case err != nil:
			return nil, err
		}
	}
	return withoutMade(found, objects), nil
}

// withoutMade returns the strangers without those whose maker is among them. The maker of a maker
// may be in its place.
func withoutMade(found []Stranger, objects []*metav1.PartialObjectMetadata) []Stranger {
	var owners Owners
	for i, object := range objects {
		if object != nil {
			owners.Add(found[i].Kind, object)
		}
	}
	var kept []Stranger
	for i, object := range objects {
		if object != nil {
			if _, hasMaker := owners.Maker(found[i].Kind, object); hasMaker {
				continue
			}
		}
		kept = append(kept, found[i])
	}
	return kept
}
