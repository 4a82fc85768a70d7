package cluster

import (
	"context"
	"slices"

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
	// The first kinds decide which objects are trusted: the others can be created by anybody
	// and are dropped. Records come last, since a record is written before the bindings that it
	// describes: so every binding that is read is in its record.
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
