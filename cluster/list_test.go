package cluster

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"helm-tenant/tenant"
)

// clientOf returns a client of a server of our own.
func clientOf(t *testing.T, serve http.HandlerFunc) *Client {
	t.Helper()
	return clientWith(t, serve, rest.Config{})
}

// clientWith is clientOf with settings.
func clientWith(t *testing.T, serve http.HandlerFunc, config rest.Config) *Client {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	config.Host = server.URL
	c, err := newClient(&config, `context "prod"`)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(t *testing.T, w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(object); err != nil {
		t.Error(err)
	}
}

// TestPages: whichever way a list is read, it comes in pages of our own size.
func TestPages(t *testing.T) {
	pageOf := func(kind, name, next string) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": kind + "List", "metadata": map[string]any{"resourceVersion": "7", "continue": next},
			"items": []any{map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "a"}}}}
	}
	options := metav1.ListOptions{LabelSelector: "x=y"}
	smaller := metav1.ListOptions{LabelSelector: "x=y", Limit: 100}
	for _, test := range []struct {
		name, path, limit string
		read              func(c *Client, add func(string)) error
	}{
		{"each", "/api/v1/configmaps", "2000", func(c *Client, add func(string)) error {
			objects, err := c.List(t.Context(), "ConfigMap", "", options)
			for _, object := range objects {
				add(object.GetKind() + " " + object.GetName())
			}
			return err
		}},
		{"typed, in a namespace", "/api/v1/namespaces/a/configmaps", "2000", func(c *Client, add func(string)) error {
			objects, err := List[corev1.ConfigMap](t.Context(), c, "ConfigMap", "a", options)
			for _, object := range objects {
				add(object.Kind + " " + object.Name)
			}
			return err
		}},
		{"as the API server's own type", "/api/v1/configmaps", "2000", func(c *Client, add func(string)) error {
			return Each(t.Context(), c, "ConfigMap", "", options, func(m *corev1.ConfigMap) { add("ConfigMap " + m.Name) })
		}},
		{"in pages of another size", "/api/v1/namespaces/a/configmaps", "100", func(c *Client, add func(string)) error {
			return Each(t.Context(), c, "ConfigMap", "a", smaller, func(m *corev1.ConfigMap) { add("ConfigMap " + m.Name) })
		}},
		{"metadata", "/api/v1/configmaps", "2000", func(c *Client, add func(string)) error {
			return c.EachMeta(t.Context(), "ConfigMap", "", options, func(m *metav1.PartialObjectMetadata) { add("ConfigMap " + m.Name) })
		}},
		{"metadata, in a namespace", "/api/v1/namespaces/a/configmaps", "2000", func(c *Client, add func(string)) error {
			return c.EachMeta(t.Context(), "ConfigMap", "a", options, func(m *metav1.PartialObjectMetadata) { add("ConfigMap " + m.Name) })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				if r.URL.Path != test.path || q.Get("limit") != test.limit || q.Get("labelSelector") != "x=y" {
					t.Errorf("it asks for %s", r.URL)
				}
				kind := "ConfigMap"
				if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadataList") {
					kind = "PartialObjectMetadata"
				}
				page := pageOf(kind, "second", "")
				if q.Get("continue") == "" {
					page = pageOf(kind, "first", "next")
				}
				if kind == "PartialObjectMetadata" {
					page["apiVersion"] = "meta.k8s.io/v1"
				}
				answer(t, w, http.StatusOK, page)
			})
			var got []string
			if err := test.read(c, func(name string) { got = append(got, name) }); err != nil {
				t.Fatal(err)
			}
			if want := []string{"ConfigMap first", "ConfigMap second"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestListRefused: errors name the kind and the namespace in the same way everywhere.
func TestListRefused(t *testing.T) {
	c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
		status := apierrors.NewForbidden(corev1.Resource("x"), "", nil).Status()
		status.Kind, status.APIVersion, status.Message = "Status", "v1", "no"
		answer(t, w, http.StatusForbidden, status)
	})
	nothing := metav1.ListOptions{}
	for _, test := range []struct {
		name, want string
		read       func(ctx context.Context) error
	}{
		{"all", "listing pods", func(ctx context.Context) error { _, err := c.List(ctx, "Pod", "", nothing); return err }},
		{"in a namespace", "listing pods in namespace a", func(ctx context.Context) error { _, err := c.TillerPods(ctx, "a"); return err }},
		{"as protobuf", "listing configmaps", func(ctx context.Context) error {
			return c.EachPlaced(ctx, tenant.StorageConfigMap, func(string) bool { return true }, func(Key) {}, func(Placed) {}, func(Key, error) {})
		}},
		{"metadata", "listing secrets", func(ctx context.Context) error { _, _, err := c.Revisions(ctx); return err }},
		{"metadata in a namespace", "listing secrets in namespace a", func(ctx context.Context) error {
			_, err := c.StoredNames(ctx, "a", func(metav1.Object) bool { return true })
			return err
		}},
		{"to watch", "listing deployments in namespace a", func(ctx context.Context) error { return c.WaitForTiller(ctx, "a", func(string) {}) }},
		{"to watch, of no namespace", "listing namespaces", func(ctx context.Context) error { return c.WaitForDeletion(ctx, "a") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.read(t.Context())
			if diff := cmp.Diff(test.want+` in context "prod": no`, errorText(err)); diff != "" || !apierrors.IsForbidden(err) {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
