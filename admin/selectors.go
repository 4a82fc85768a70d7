package admin

import (
	"context"
	"errors"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// errSelectorOffline is the error for a selector where no cluster is read.
var errSelectorOffline = errors.New("its namespaceSelector chooses namespaces of a cluster: apply the file to one, or name the namespaces")

// resolveSelectors returns the requests with the namespaces that their selectors choose.
// For a selector that can't be resolved, the error has the index of the request. The
// namespaces are listed once, and only if there is a selector.
func resolveSelectors(ctx context.Context, c *cluster.Client, requests []Request) ([]Request, []error, error) {
	selects := func(r Request) bool { return r.Tenant.NamespaceSelector != nil }
	unresolved := make([]error, len(requests))
	if !slices.ContainsFunc(requests, selects) {
		return requests, unresolved, nil
	}
	var all []tenant.LabelledNamespace
	err := c.EachMeta(ctx, "Namespace", "", metav1.ListOptions{}, func(ns *metav1.PartialObjectMetadata) {
		all = append(all, tenant.LabelledNamespace{Name: ns.Name, Labels: ns.Labels, Terminating: ns.DeletionTimestamp != nil})
	})
	if err != nil {
		return nil, nil, explainReads(ctx, c, err, func(s *readSet) { s.list("namespaces") })
	}
	resolved, unresolved := withSelected(requests, all)
	return resolved, unresolved, nil
}

// withSelected is resolveSelectors for namespaces that were listed. A request that is
// prepared again alone has the other tenants of its file in File.
func withSelected(requests []Request, all []tenant.LabelledNamespace) ([]Request, []error) {
	file := requests[0].File
	if file == nil {
		for _, r := range requests {
			file = append(file, r.Tenant)
		}
	}
	selection := tenant.Select(file, all)
	resolved, unresolved := slices.Clone(requests), make([]error, len(requests))
	for i := range resolved {
		r := &resolved[i]
		r.Tenant, r.leftOut, unresolved[i] = selection.Of(r.Tenant)
	}
	return resolved, unresolved
}
