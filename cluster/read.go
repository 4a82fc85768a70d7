package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"helm-tenant/tenant"
)

// Read finds all objects with the label of one of the named tenants, or of any tenant if
// none is named: one paged list per kind, over all namespaces.
func (c *Client) Read(ctx context.Context, names ...string) (*Live, error) {
	operator := selection.In
	if len(names) == 0 || len(names) > manyNames {
		operator, names = selection.Exists, nil
	}
	requirement, err := labels.NewRequirement(tenant.LabelTenant, operator, names)
	if err != nil {
		return nil, err
	}
	live := NewLive()
	live.scoped = c.Scoped()
	list := func(kindName string) error {
		return c.each(ctx, kindName, "", metav1.ListOptions{LabelSelector: requirement.String()}, func(object *unstructured.Unstructured) {
			if live.believes(object) {
				live.addLabelled(object)
			}
		})
	}
	listAll := func(kindNames []string) error {
		return concurrently(len(kindNames), Width, func(i int) error {
			err := list(kindNames[i])
			// Not every tenant has objects of these kinds: decisions ask Sees.
			if apierrors.IsForbidden(err) && (slices.Contains(seldom, kindNames[i]) || live.scoped && !kinds[kindNames[i]].namespaced) {
				live.mutex.Lock()
				defer live.mutex.Unlock()
				live.unseen[kindNames[i]] = true
				return nil
			}
			return err
		})
	}
	// The first kinds decide which objects are trusted; objects that anybody can create are
	// dropped otherwise. Records are read last, since a record is written before its bindings:
	// so every binding that is read is in its record.
	first, rest := tenantKinds[:0:0], tenantKinds[:0:0]
	for _, kindName := range tenantKinds {
		if kinds[kindName].namespaced {
			rest = append(rest, kindName)
		} else {
			first = append(first, kindName)
		}
	}
	if err := listAll(first); err != nil {
		return nil, err
	}
	if err := live.findHomes(); err != nil {
		return nil, err
	}
	if err := listAll(rest); err != nil {
		return nil, err
	}
	return live, list("ConfigMap")
}

// ReadShared adds objects that belong to no tenant: helm-tenant's admission policies with
// their bindings, and PriorityClasses. A kind that the API server does not have, or that
// the caller may not list, is no error: see Serves and Sees.
func (c *Client) ReadShared(ctx context.Context, live *Live) error {
	shared := []string{KindPolicy, KindPolicyBinding, "PriorityClass"}
	return concurrently(len(shared), Width, func(i int) error {
		kindName, options := shared[i], metav1.ListOptions{}
		if kindName != "PriorityClass" {
			options.LabelSelector = tenant.LabelManagedBy + "=" + tenant.ManagedBy
		}
		err := c.each(ctx, kindName, "", options, live.put)
		live.mutex.Lock()
		defer live.mutex.Unlock()
		switch {
		case isUnserved(err):
			live.unserved[kindName] = true
		case apierrors.IsForbidden(err):
			live.unseen[kindName] = true
		default:
			return err
		}
		return nil
	})
}

// Lookup gets the objects of these keys that are not in live yet, whoever made them.
// Objects in a namespace that does not exist are not requested. Many objects of one kind
// are taken from a list.
func (c *Client) Lookup(ctx context.Context, live *Live, keys []Key) error {
	clusterScoped, inNamespaces := map[Key]bool{}, map[Key]bool{}
	for _, key := range keys {
		if live.objects[key] != nil {
			continue
		}
		if !kinds[key.Kind].namespaced {
			clusterScoped[key] = true
			continue
		}
		inNamespaces[key] = true
		if ns := (Key{Kind: "Namespace", Name: key.Namespace}); live.objects[ns] == nil {
			clusterScoped[ns] = true
		}
	}
	if err := c.lookup(ctx, live, clusterScoped); err != nil {
		return err
	}
	maps.DeleteFunc(inNamespaces, func(key Key, _ bool) bool {
		return live.objects[Key{Kind: "Namespace", Name: key.Namespace}] == nil
	})
	return c.lookup(ctx, live, inNamespaces)
}

func (c *Client) lookup(ctx context.Context, live *Live, wanted map[Key]bool) error {
	byKind := map[string][]Key{}
	for key := range wanted {
		byKind[key.Kind] = append(byKind[key.Kind], key)
	}
	var single []Key
	for kindName, keys := range byKind {
		if len(keys) < manyNames || c.Scoped() {
			single = append(single, keys...)
			continue
		}
		err := c.each(ctx, kindName, "", metav1.ListOptions{}, func(object *unstructured.Unstructured) {
			if wanted[keyOf(object)] {
				live.put(object)
			}
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(single, compareKeys)
	return concurrently(len(single), Width, func(i int) error {
		key := single[i]
		object, err := c.resource(kinds[key.Kind], key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		switch {
		case isUnserved(err):
			live.mutex.Lock()
			defer live.mutex.Unlock()
			live.unserved[key.Kind] = true
			return nil
		case apierrors.IsNotFound(err):
			return nil
		case apierrors.IsForbidden(err) && c.Scoped() && !kinds[key.Kind].namespaced && key.Kind != "Namespace":
			live.mutex.Lock()
			defer live.mutex.Unlock()
			live.unseen[key.Kind] = true
			return nil
		case err != nil:
			return c.explain("reading "+key.String(), err)
		}
		live.put(object)
		return nil
	})
}

// isUnserved distinguishes a kind that the API server does not serve from an object that does
// not exist. For a missing object the Status names the object. For a missing kind it names
// nothing, and for a missing API group there is no Status.
func isUnserved(err error) bool {
	status, answered := errors.AsType[statusError](err)
	if !apierrors.IsNotFound(err) || !answered {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == "" || apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// concurrently calls do for 0 to n-1, at most width at once, and returns the first error.
// After an error it starts no further call.
func concurrently(n, width int, do func(i int) error) error {
	group, failed := errgroup.WithContext(context.Background())
	group.SetLimit(width)
	for i := range n {
		if failed.Err() != nil {
			break
		}
		group.Go(func() error {
			if failed.Err() != nil {
				return nil
			}
			return do(i)
		})
	}
	return group.Wait()
}
