// Package cluster reads a tenant's objects from a cluster, compares them with the wanted
// objects, and writes the difference. It does not decide what a tenant should be.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"helm-tenant/failure"
	"helm-tenant/release"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

func init() {
	// client-go also logs to stderr what it returns as an error.
	klog.SetLogger(klog.Logger{})
}

// Client talks to the API server of one kubeconfig context, and to no other.
type Client struct {
	dynamic  dynamic.Interface
	metadata metadata.Interface
	config   *rest.Config
	// typed makes the REST client of an API group's version; see Each.
	typed func(schema.GroupVersion) (rest.Interface, error)
	// unpacked bounds the total unpacked size of all release records that it reads.
	unpacked *release.Budget
	// where names the context, for errors.
	where string
	// settings are where the address of the API server comes from.
	settings *settings
	clock    *clock
	// within lists the namespaces that are read; nil for the whole cluster. See Within.
	within []string
}

// Connect makes a client without calling the API. timeout bounds each request except
// watches; 0 means no bound.
func Connect(k *tenant.Kubeconfig, userAgent string, timeout time.Duration) (*Client, error) {
	config, err := k.RESTConfig()
	if err != nil {
		return nil, failure.In("", k.Where()).Wrap(errors.New(visible.OneLine(err.Error())))
	}
	config = rest.CopyConfig(config)
	config.UserAgent = userAgent
	config.Timeout = timeout
	// The API server limits the rate by priority and fairness, and client-go obeys its
	// Retry-After. Our requests are few, and their concurrency is bounded.
	config.QPS = -1
	config.WarningHandlerWithContext = warningHandler{}
	c, err := newClient(config, k.Where())
	if err == nil {
		c.settings = settingsOf(k.InPod(), config.CAFile)
	}
	return c, err
}

func newClient(config *rest.Config, where string) (*Client, error) {
	counted, clock := rest.CopyConfig(config), &clock{}
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper { return meteredTransport{next, clock} })
	d, err := dynamic.NewForConfig(counted)
	if err != nil {
		return nil, failure.In("", where).Wrap(err)
	}
	m, err := metadata.NewForConfig(counted)
	if err != nil {
		return nil, failure.In("", where).Wrap(err)
	}
	return &Client{dynamic: d, metadata: m, config: config, typed: typedClients(counted), unpacked: release.NewBudget(), where: where, settings: ofKubeconfig, clock: clock}, nil
}

// As returns a client of the same API server that impersonates a user without groups.
func (c *Client) As(user string) (*Client, error) {
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	return c.with(config)
}

// with returns a client of the same API server with other credentials.
func (c *Client) with(config *rest.Config) (*Client, error) {
	other, err := newClient(config, c.where)
	if err == nil {
		other.within, other.settings = c.within, c.settings
	}
	return other, err
}

// May asks the API server whether the caller has a permission.
func (c *Client) May(ctx context.Context, permission Permission) (bool, error) {
	p := c.NewPreflight(NewLive())
	err := p.ask(ctx, []Permission{permission})
	return p.knows(permission), err
}

// Unpacked returns the bound on the total unpacked size of the release records that this
// run reads.
func (c *Client) Unpacked() *release.Budget { return c.unpacked }

// Where returns a description of the client's context.
func (c *Client) Where() string { return c.where }

func (c *Client) resource(k kind, namespace string) dynamic.ResourceInterface {
	api := c.dynamic.Resource(k.resource)
	if k.namespaced {
		return api.Namespace(namespace)
	}
	return api
}

// NamespaceLabels reads a namespace's labels and annotations.
func (c *Client) NamespaceLabels(ctx context.Context, name string) (labels, annotations map[string]string, err error) {
	ns, err := c.resource(kinds["Namespace"], "").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, c.explain("reading namespace "+name, err)
	}
	return ns.GetLabels(), ns.GetAnnotations(), nil
}

// Terminating reports whether a namespace is being deleted.
func (c *Client) Terminating(ctx context.Context, name string) (bool, error) {
	ns, err := c.resource(kinds["Namespace"], "").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, c.explain("reading namespace "+name, err)
	}
	return ns.GetDeletionTimestamp() != nil, nil
}

// Record returns the tenant in the record of a home namespace. Fields that this version
// of helm-tenant does not know are in the tenant's Unknown. apierrors.IsNotFound holds
// for the error if there is no record, apierrors.IsForbidden if the caller may not read
// it.
func (c *Client) Record(ctx context.Context, home string) (tenant.Tenant, error) {
	object, err := c.resource(kinds["ConfigMap"], home).Get(ctx, tenant.RecordName, metav1.GetOptions{})
	if err != nil {
		return tenant.Tenant{}, c.explain(fmt.Sprintf("reading the tenant's record in namespace %q", home), err)
	}
	return recordOf(object, tenant.ReadRecord)
}

// RecordError reports a record that can't be read: it has no owner, was written by a
// newer helm-tenant, or was changed by hand.
type RecordError struct {
	// Tenant is the tenant in the label of the record's ConfigMap.
	Tenant string
	why    string
	// Newer reports whether a newer helm-tenant may have written the record. Writing it
	// again would lose the fields that the newer version added.
	Newer bool
}

func (e *RecordError) Error() string { return e.why }

// RecordOf returns the tenant in a record. A field that is not known is an error. The
// error is a *RecordError.
func RecordOf(object *unstructured.Unstructured) (tenant.Tenant, error) {
	return recordOf(object, tenant.ParseRecord)
}

func recordOf(object *unstructured.Unstructured, parse func(string) (tenant.Tenant, error)) (tenant.Tenant, error) {
	owner := object.GetLabels()[tenant.LabelTenant]
	text, found, err := unstructured.NestedString(object.Object, "data", tenant.RecordKey)
	if err != nil || !found {
		return tenant.Tenant{}, &RecordError{Tenant: owner, why: fmt.Sprintf("ConfigMap %s in namespace %q holds no %s", object.GetName(), object.GetNamespace(), tenant.RecordKey)}
	}
	t, err := parse(text)
	if err != nil {
		return tenant.Tenant{}, &RecordError{owner, fmt.Sprintf("ConfigMap %s in namespace %q: %v", object.GetName(), object.GetNamespace(), err), tenant.IsNewer(text)}
	}
	return t, nil
}

// MigrationOf returns the state of a tenant's migration from its record, nil if it is not
// being migrated.
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

// Migration returns the state of the migration of the tenant with that home namespace,
// nil if it is not being migrated.
func (c *Client) Migration(ctx context.Context, home string) (*tenant.Migration, error) {
	record, err := c.resource(kinds["ConfigMap"], home).Get(ctx, tenant.RecordName, metav1.GetOptions{})
	if err != nil {
		return nil, c.explain(fmt.Sprintf("reading the tenant's record in namespace %q", home), err)
	}
	return MigrationOf(record)
}

// User returns the caller's name at the API server (k8s.io/api/authentication/v1,
// SelfSubjectReview; Kubernetes 1.28 and later).
func (c *Client) User(ctx context.Context) (string, error) {
	var review authenticationv1.SelfSubjectReview
	review.APIVersion, review.Kind = authenticationv1.SchemeGroupVersion.String(), "SelfSubjectReview"
	if err := c.ask(ctx, "selfsubjectreviews", &review); err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}

// ask creates a review object and reads the answer into it.
func (c *Client) ask(ctx context.Context, resource string, review runtime.Object) error {
	gvk := review.GetObjectKind().GroupVersionKind()
	question, err := toUnstructured(review)
	if err != nil {
		return err
	}
	answer, err := c.dynamic.Resource(schema.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: resource}).Create(ctx, question, metav1.CreateOptions{})
	if err != nil {
		return c.explain("asking for "+resource, err)
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(answer.Object, review)
}

// explain adds the operation, the context, and the usual reasons for such a failure. It wraps
// the API server's own error.
func (c *Client) explain(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsUnauthorized(err):
		return failure.Naming(fmt.Errorf("%s: the credentials of %s are not accepted: %w", operation, c.where, err), c.where)
	case c.isNobody(err):
		return failure.Naming(fmt.Errorf("%s: %w", operation, apierrors.NewUnauthorized(fmt.Sprintf(`the API server of %s takes you for system:anonymous: the context's user is missing in the kubeconfig, or has no credentials that it accepts`, c.where))), c.where)
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err), apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return failure.In(operation, c.where).Wrap(err)
	case apierrors.IsTooManyRequests(err):
		return failure.Naming(fmt.Errorf("%s: the API server of %s is overloaded (429), try again later: %w", operation, c.where, err), c.where)
	}
	if _, answered := errors.AsType[statusError](err); !answered {
		foreign, unreadable := isForeign(err), isUnreadable(err)
		// The request's URL is left out: any other request would have failed as well.
		if request, ok := errors.AsType[*url.Error](err); ok {
			err = request.Err
		}
		unreachable := &UnreachableError{where: c.where, before: fmt.Sprintf("the API server of %s can't be reached%s: ", c.where, throughProxy(c.config)), request: request{operation: operation, settings: c.settings}, err: err}
		if c.config != nil {
			unreachable.request.timeout = c.config.Timeout
			if c.config.ExecProvider != nil {
				unreachable.request.plugin = c.config.ExecProvider.Command
			}
		}
		var timeout interface{ Timeout() bool }
		switch {
		case errors.Is(err, context.Canceled):
			unreachable.before = fmt.Sprintf("interrupted while the API server of %s was to answer: ", c.where)
		case errors.As(err, &timeout) && timeout.Timeout():
			unreachable.before, unreachable.TimedOut = fmt.Sprintf("the API server of %s did not answer in time%s: ", c.where, throughProxy(c.config)), true
		case isWithoutCredentials(err): // a plugin's answer can be no JSON, too
			unreachable.before = fmt.Sprintf("the credentials of %s can't be obtained: ", c.where)
		case foreign:
			unreachable.before = fmt.Sprintf("the server of %s%s is no Kubernetes API server: ", c.where, throughProxy(c.config))
		case unreadable:
			unreachable.before = fmt.Sprintf("the answer of the API server of %s%s can't be read: ", c.where, throughProxy(c.config))
		}
		return unreachable
	}
	return failure.In(operation, c.where).Wrap(withoutPage(err))
}

// statusError is an error that the API server itself answered with.
type statusError interface {
	error
	apierrors.APIStatus
}

func toUnstructured(object runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	prune(content)
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}, nil
}

// prune removes nulls: typed objects have them where a server's answer has no field.
func prune(m map[string]any) {
	for key, value := range m {
		switch v := value.(type) {
		case nil:
			delete(m, key)
		case map[string]any:
			prune(v)
		case []any:
			for _, item := range v {
				if inner, isMap := item.(map[string]any); isMap {
					prune(inner)
				}
			}
		}
	}
}
