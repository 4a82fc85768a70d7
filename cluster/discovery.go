package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	discoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Discovery lists what the API server serves.
type Discovery struct {
	// Version is like v1.37.2.
	Version string
	Kinds   map[schema.GroupVersionKind]ServedKind
}

// APIVersions returns the served API versions, and each with its kinds, as the
// capabilities of Helm's charts have them: "apps/v1" and "apps/v1/Deployment".
func (d *Discovery) APIVersions() []string {
	all := map[string]bool{}
	for gvk := range d.Kinds {
		all[gvk.GroupVersion().String()] = true
		all[gvk.GroupVersion().String()+"/"+gvk.Kind] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// aggregated is the content type of one document about all kinds of all groups
// (Kubernetes 1.30).
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

// Discover asks the API server for its version and for all kinds that it serves.
func (c *Client) Discover(ctx context.Context) (*Discovery, error) {
	d := &Discovery{Kinds: map[schema.GroupVersionKind]ServedKind{}}
	paths := []string{"/api", "/apis"}
	texts := make([][]byte, len(paths))
	group, ctxOfGroup := errgroup.WithContext(ctx)
	group.Go(func() error {
		version, err := c.ServerVersion(ctxOfGroup)
		if err == nil {
			d.Version = version.GitVersion
		}
		return err
	})
	for i, path := range paths {
		group.Go(func() (err error) {
			texts[i], err = c.document(ctxOfGroup, path, aggregated)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, path := range paths {
		text := texts[i]
		var list discoveryv2.APIGroupDiscoveryList
		if json.Unmarshal(text, &list) != nil || list.Kind != "APIGroupDiscoveryList" {
			if err := c.discoverEach(ctx, d, path, text); err != nil {
				return nil, err
			}
			continue
		}
		for _, group := range list.Items {
			for _, version := range group.Versions {
				gv := schema.GroupVersion{Group: group.Name, Version: version.Version}
				for _, resource := range version.Resources {
					if resource.ResponseKind != nil {
						d.Kinds[gv.WithKind(resource.ResponseKind.Kind)] = ServedKind{kind{
							resource: gv.WithResource(resource.Resource), namespaced: resource.Scope == discoveryv2.ScopeNamespace}}
					}
				}
			}
		}
	}
	return d, nil
}

// discoverEach reads the discovery documents group by group, for an API server that has
// no aggregated one; text is its list of groups.
func (c *Client) discoverEach(ctx context.Context, d *Discovery, path string, text []byte) error {
	apiVersions := []string{"v1"}
	if path == "/apis" {
		apiVersions = nil
		var groups metav1.APIGroupList
		if err := json.Unmarshal(text, &groups); err != nil {
			return c.explain("asking for "+path, err)
		}
		for _, group := range groups.Groups {
			for _, version := range group.Versions {
				apiVersions = append(apiVersions, version.GroupVersion)
			}
		}
	}
	served, err := c.ServedKinds(ctx, apiVersions)
	if err != nil {
		return err
	}
	for apiVersion, kindsOf := range served {
		gv, err := schema.ParseGroupVersion(strings.TrimSpace(apiVersion))
		if err != nil {
			return err
		}
		for name, k := range kindsOf {
			d.Kinds[gv.WithKind(name)] = k
		}
	}
	return nil
}
