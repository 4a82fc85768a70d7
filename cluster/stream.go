package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"

	"helm-tenant/lists"
)

// Each calls do for all objects of a kind, of all namespaces if namespace is empty, page
// by page and as the API server's own type. They are requested as protobuf: for tens of
// thousands of objects that takes a fraction of the time and memory of JSON. do must not
// keep the object unless it means to keep its memory. The kinds are those of typedScheme.
func Each[T any, P interface {
	*T
	runtime.Object
}](ctx context.Context, c *Client, kindName, namespace string, options metav1.ListOptions, do func(P)) error {
	return eachSized(ctx, c, kindName, namespace, options, sizes{}, do)
}

func eachSized[T any, P interface {
	*T
	runtime.Object
}](ctx context.Context, c *Client, kindName, namespace string, options metav1.ListOptions, size sizes, do func(P)) error {
	k := kinds[kindName]
	client, err := c.typed(k.resource.GroupVersion())
	if err != nil {
		return err
	}
	if k.brief {
		size = briefSizes
	}
	err = c.pages(ctx, k, namespace, options, size, func(ctx context.Context, namespace string, options metav1.ListOptions) (runtime.Object, error) {
		request := client.Get().Resource(k.resource.Resource).SpecificallyVersionedParams(&options, metav1.ParameterCodec, metav1.SchemeGroupVersion)
		if size.packed {
			request = request.SetHeader(notZipped())
		}
		if k.brief {
			request = request.SetHeader("Accept", runtime.ContentTypeJSON)
		}
		if k.namespaced && namespace != "" {
			request = request.Namespace(namespace)
		}
		return request.Do(ctx).Get()
	}, func(object runtime.Object) error {
		item, ok := object.(P)
		if !ok {
			return fmt.Errorf("the API server answered with a %T", object)
		}
		do(item)
		return nil
	})
	if older, found := k.older(); found && isUnserved(err) {
		return eachOlder(ctx, c, older, kindName, namespace, options, do)
	}
	return err
}

// eachOlder is Each for a kind of which the API server has an older version: read as JSON,
// into the type of the present one.
func eachOlder[T any, P interface {
	*T
	runtime.Object
}](ctx context.Context, c *Client, k kind, kindName, namespace string, options metav1.ListOptions, do func(P)) error {
	var unread error
	err := c.eachOf(ctx, k, kindName, namespace, options, func(object *unstructured.Unstructured) {
		typed := new(T)
		if err := Typed(object, typed); err != nil {
			unread = fmt.Errorf("%s %s/%s: %w", kindName, object.GetNamespace(), object.GetName(), err)
			return
		}
		do(P(typed))
	})
	return errors.Join(err, unread)
}

// EachMeta is Each for the metadata of objects of any kind.
func (c *Client) EachMeta(ctx context.Context, kindName, namespace string, options metav1.ListOptions, do func(*metav1.PartialObjectMetadata)) error {
	k := kinds[kindName]
	if kindName == "Namespace" && c.within != nil {
		return c.namespacesWithin(ctx, options, func(namespace *unstructured.Unstructured) {
			do(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: namespace.GetName(), UID: namespace.GetUID(), ResourceVersion: namespace.GetResourceVersion(),
				Labels: namespace.GetLabels(), Annotations: namespace.GetAnnotations(), DeletionTimestamp: namespace.GetDeletionTimestamp()}})
		})
	}
	err := c.eachMetaOf(ctx, k, namespace, options, do)
	if older, found := k.older(); found && isUnserved(err) {
		return c.eachMetaOf(ctx, older, namespace, options, do)
	}
	return err
}

func (c *Client) eachMetaOf(ctx context.Context, k kind, namespace string, options metav1.ListOptions, do func(*metav1.PartialObjectMetadata)) error {
	return c.pages(ctx, k, namespace, options, sizes{}, func(ctx context.Context, namespace string, options metav1.ListOptions) (runtime.Object, error) {
		return c.metadata.Resource(k.resource).Namespace(namespace).List(ctx, options)
	}, func(object runtime.Object) error {
		do(object.(*metav1.PartialObjectMetadata))
		return nil
	})
}

// ServerVersion asks the API server for its version.
func (c *Client) ServerVersion(ctx context.Context) (version.Info, error) {
	var info version.Info
	client, err := c.typed(corev1.SchemeGroupVersion)
	if err != nil {
		return info, err
	}
	text, err := rawAnswer(client.Get().AbsPath("/version").Do(ctx))
	if err != nil {
		return info, c.explain("asking for the version", err)
	}
	return info, c.explain("asking for the version", json.Unmarshal(text, &info))
}

// ServerFlags returns the flags with which the API server was started. Before Kubernetes
// 1.36 the endpoint is off by default, and few people may read it.
func (c *Client) ServerFlags(ctx context.Context) (map[string]string, error) {
	client, err := c.typed(corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	text, err := rawAnswer(client.Get().AbsPath("/flagz").SetHeader("Accept", "application/json;g=config.k8s.io;v=v1beta1;as=Flagz").Do(ctx))
	if err != nil {
		return nil, c.explain("asking for the flags", err)
	}
	var answer struct {
		Flags map[string]string `json:"flags"`
	}
	return answer.Flags, c.explain("asking for the flags", json.Unmarshal(text, &answer))
}

// APIGroups returns the names of the API server's API groups except the core's.
func (c *Client) APIGroups(ctx context.Context) ([]string, error) {
	var list metav1.APIGroupList
	if err := c.discover(ctx, "/apis", &list); err != nil {
		return nil, err
	}
	names := lists.Map(list.Groups, func(group metav1.APIGroup) string { return group.Name })
	return names, nil
}

// typedScheme has the kinds that Each can read. It is made when it is first needed, since
// the wrapper never needs it.
var typedScheme = sync.OnceValues(func() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, networkingv1.AddToScheme, batchv1.AddToScheme, admissionv1.AddToScheme, addServed} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
})

func typedClients(config *rest.Config) func(schema.GroupVersion) (rest.Interface, error) {
	shared := sync.OnceValues(func() (*http.Client, error) { return rest.HTTPClientFor(config) })
	return func(groupVersion schema.GroupVersion) (rest.Interface, error) {
		scheme, err := typedScheme()
		if err != nil {
			return nil, err
		}
		client, err := shared()
		if err != nil {
			return nil, err
		}
		config := rest.CopyConfig(config)
		config.GroupVersion, config.APIPath = &groupVersion, "/apis"
		if groupVersion.Group == "" {
			config.APIPath = "/api"
		}
		config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		config.ContentType = runtime.ContentTypeProtobuf
		config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
		return rest.RESTClientForConfigAndClient(config, client)
	}
}
