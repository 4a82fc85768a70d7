package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/failure"
)

// Served tells which kinds the API server serves. It reads each API version once, when it
// is first asked for. It is safe for concurrent use.
type Served struct {
	client *Client
	mutex  sync.Mutex
	// paths are the discovery documents of the served API versions; nil if their list was
	// not read yet.
	paths map[string]string
	// kinds has the kinds of the API versions that were read, by name.
	kinds map[string]map[string]ServedKind
}

// Served returns a Served that has read nothing.
func (c *Client) Served() *Served {
	return &Served{client: c, kinds: map[string]map[string]ServedKind{}}
}

// Kind returns a kind of an API version; found is false if it is not served.
func (s *Served) Kind(ctx context.Context, apiVersion, name string) (kind ServedKind, found bool, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.read(ctx, apiVersion); err != nil {
		return ServedKind{}, false, err
	}
	kind, found = s.kinds[apiVersion][name]
	return kind, found, nil
}

// read reads the kinds of an API version, unless that is done or it is not served.
func (s *Served) read(ctx context.Context, apiVersion string) error {
	if s.paths == nil {
		paths, err := s.client.discoveryPaths(ctx)
		if err != nil {
			return err
		}
		s.paths = paths
	}
	// Only API versions that the server itself lists are requested: these strings come
	// from a chart.
	path, found := s.paths[apiVersion]
	if !found || s.kinds[apiVersion] != nil {
		return nil
	}
	kinds, err := s.client.kindsAt(ctx, apiVersion, path)
	if err == nil {
		s.kinds[apiVersion] = kinds
	}
	return err
}

// ServedKinds returns the kinds that the API server serves of each of these API versions,
// by name. API versions that it does not serve are left out.
func (c *Client) ServedKinds(ctx context.Context, apiVersions []string) (map[string]map[string]ServedKind, error) {
	s := c.Served()
	for _, apiVersion := range apiVersions {
		if err := s.read(ctx, apiVersion); err != nil {
			return nil, err
		}
	}
	return s.kinds, nil
}

// discoveryPaths returns the paths of the discovery documents, by API version.
func (c *Client) discoveryPaths(ctx context.Context) (map[string]string, error) {
	var groups metav1.APIGroupList
	if err := c.discover(ctx, "/apis", &groups); err != nil {
		return nil, err
	}
	paths := map[string]string{"v1": "/api/v1"}
	for _, group := range groups.Groups {
		for _, version := range group.Versions {
			paths[version.GroupVersion] = "/apis/" + version.GroupVersion
		}
	}
	return paths, nil
}

func (c *Client) kindsAt(ctx context.Context, apiVersion, path string) (map[string]ServedKind, error) {
	var resources metav1.APIResourceList
	if err := c.discover(ctx, path, &resources); err != nil {
		return nil, err
	}
	groupVersion, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, failure.Naming(fmt.Errorf("the API server of %s names the API version %q: %w", c.where, apiVersion, err), c.where)
	}
	served := map[string]ServedKind{}
	for _, resource := range resources.APIResources {
		if !strings.Contains(resource.Name, "/") { // a subresource has the kind of its own object, or another kind
			served[resource.Kind] = ServedKind{kind{resource: groupVersion.WithResource(resource.Name), namespaced: resource.Namespaced}}
		}
	}
	return served, nil
}

// discover reads a discovery document. The discovery client of client-go would link the
// schemas of all kinds.
func (c *Client) discover(ctx context.Context, path string, into any) error {
	text, err := c.document(ctx, path, "application/json")
	if err == nil {
		err = c.explain("asking for "+path, json.Unmarshal(text, into))
	}
	return err
}

// longestDocument is larger than the discovery documents of any API server.
const longestDocument = 64 << 20

// document reads the text at a path of the API server, in a content type.
func (c *Client) document(ctx context.Context, path, accept string) ([]byte, error) {
	client, err := c.typed(corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	text, err := rawAnswer(client.Get().AbsPath(path).SetHeader("Accept", accept).Do(context.WithValue(ctx, meteredKey{}, &metered{limit: longestDocument})))
	return text, c.explain("asking for "+path, err)
}
