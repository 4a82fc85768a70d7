package admin

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// withAdoptedEngines returns the requests with the engine of the Tiller that is there as the
// default of those that adopt, name no engine, and would get another one because the admin's
// helm is not Helm 2. An existing tenant keeps its engine all the same.
func withAdoptedEngines(ctx context.Context, c *cluster.Client, requests []Request) ([]Request, error) {
	chosen := requests
	for i, r := range requests {
		if !r.Adopt || r.Exact || r.Tenant.Engine != "" || r.DefaultEngine == "" || r.DefaultEngine.Has(tenant.EngineTiller) || r.Check() != nil {
			continue
		}
		home := r.Tenant.HomeNamespace
		if home == "" {
			home = tenant.EngineTiller.ConventionalHome(r.Tenant.Name)
		}
		tiller, err := findTiller(ctx, c, home)
		switch {
		case apierrors.IsForbidden(err):
			return nil, &UnseenTillerError{home, r.DefaultEngine, err}
		case err != nil:
			return nil, err
		case tiller == "":
			continue
		}
		if &chosen[0] == &requests[0] {
			chosen = append([]Request(nil), requests...)
		}
		chosen[i].DefaultEngine = tenant.EngineTiller
		chosen[i].engineFrom = fmt.Sprintf("%s in namespace %q", tiller, home)
	}
	return chosen, nil
}

// UnseenTillerError reports that a tenant's engine depends on whether a Tiller runs in a
// namespace, which the caller may not see.
type UnseenTillerError struct {
	Home string
	// Engine is that of the caller's helm.
	Engine tenant.Engine
	Err    error
}

func (e *UnseenTillerError) Error() string {
	return fmt.Sprintf("whether namespace %q has a Tiller to adopt is not known: %s", e.Home, e.Err)
}

func (e *UnseenTillerError) Unwrap() error { return e.Err }

// findTiller returns the kind and name of what runs a Tiller in a namespace, whoever made it,
// stopped or not; empty if nothing does.
func findTiller(ctx context.Context, c *cluster.Client, namespace string) (string, error) {
	live := cluster.NewLive()
	if err := c.Lookup(ctx, live, []cluster.Key{namespaceKey(namespace)}); err != nil || live.Get(namespaceKey(namespace)) == nil {
		return "", err
	}
	for _, kind := range runnerKinds {
		objects, err := c.List(ctx, kind, namespace, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		for _, object := range objects {
			found, err := isTiller(object)
			if err != nil {
				return "", err
			}
			if found {
				return object.GetKind() + " " + object.GetName(), nil
			}
		}
	}
	return "", nil
}

func isTiller(object *unstructured.Unstructured) (bool, error) {
	spec, err := runnerSpec(object)
	if err != nil {
		return false, err
	}
	return recognise.IsTiller(spec.Template.Labels, spec.Template.Spec), nil
}

// noteEngine says which engine a new tenant gets because of the Tiller that it adopts.
func (d *decision) noteEngine() error {
	if from := d.request.engineFrom; from != "" && !d.existed && d.tenant.Engine == tenant.EngineTiller {
		d.warn("the engine is %s, that of %s; your helm's is %s: --engine decides", d.tenant.Engine, from, tenant.EngineImpersonation)
	}
	return nil
}
