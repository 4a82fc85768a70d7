package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// runner is a Deployment of that image.
func runner(namespace, name, image string) *appsv1.Deployment {
	d := &appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "x", Image: image}}
	return d
}

// underHelm3 is a request of an admin whose helm is not Helm 2.
func underHelm3(r *Request) { r.DefaultEngine = tenant.EngineImpersonation }

// TestAdoptedEngine: an admin whose helm is Helm 3 and who adopts a Tiller gets a tenant with a
// Tiller, and is told before anything is written.
func TestAdoptedEngine(t *testing.T) {
	const tillerImage = "gcr.io/kubernetes-helm/tiller:v2.14.1"
	stopped := runner("t-tiller", "tiller-deploy", tillerImage)
	stopped.Spec.Replicas = new(int32)
	labelled := runner("t-tiller", "tiller-deploy", tillerImage)
	labelled.Labels = map[string]string{tenant.LabelTenant: "t"}
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "old", Name: "x"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Command: []string{"/bin/sh", "-c", "exec /tiller --storage=secret"}}}}}
	for _, test := range []struct {
		name   string
		holds  []runtime.Object
		asks   []func(*Request)
		engine tenant.Engine
		// from is what the warning names; empty for none.
		from string
	}{
		{"a Tiller in the conventional home", []runtime.Object{namespace("t-tiller"), runner("t-tiller", "tiller-deploy", tillerImage)}, nil, tenant.EngineTiller, `Deployment tiller-deploy in namespace "t-tiller"`},
		{"a stopped one", []runtime.Object{namespace("t-tiller"), stopped}, nil, tenant.EngineTiller, `Deployment tiller-deploy in namespace "t-tiller"`},
		{"one that an interrupted run labelled", []runtime.Object{namespace("t-tiller"), labelled}, nil, tenant.EngineTiller, `Deployment tiller-deploy in namespace "t-tiller"`},
		{"a pod in a named home", []runtime.Object{namespace("old"), pod}, []func(*Request){home("old"), accept(RiskSharedHome)}, tenant.EngineTiller, `Pod x in namespace "old"`},
		{"with --no-cluster-reads", []runtime.Object{namespace("t-tiller"), runner("t-tiller", "tiller-deploy", tillerImage)}, []func(*Request){}, tenant.EngineTiller, `Deployment tiller-deploy in namespace "t-tiller"`},
		{"no Tiller in the home", []runtime.Object{namespace("t-tiller"), namespace("other"), runner("t-tiller", "web", "nginx"), runner("other", "tiller-deploy", tillerImage)}, nil, tenant.EngineImpersonation, ""},
		{"no home", nil, nil, tenant.EngineImpersonation, ""},
		{"another engine is named", []runtime.Object{namespace("t-tiller"), runner("t-tiller", "tiller-deploy", tillerImage)}, []func(*Request){engine(tenant.EngineImpersonation)}, tenant.EngineImpersonation, ""},
		{"the engine is named", []runtime.Object{namespace("t-tiller"), runner("t-tiller", "tiller-deploy", tillerImage)}, []func(*Request){engine(tenant.EngineTiller)}, tenant.EngineTiller, ""},
		{"nothing is adopted", []runtime.Object{namespace("t-tiller"), runner("t-tiller", "tiller-deploy", tillerImage)}, []func(*Request){func(r *Request) { r.Adopt = false }}, tenant.EngineImpersonation, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, c := empty().with(test.holds...).start(t)
			r := asked(append([]func(*Request){adopting, underHelm3}, test.asks...)...)
			if strings.HasPrefix(test.name, "with --no") {
				var err error
				if c, err = Scope(t.Context(), c, []Request{r}); err != nil {
					t.Fatal(err)
				}
			}
			prepared, err := Prepare(t.Context(), c, r)
			if err != nil {
				t.Fatal(err)
			}
			if prepared.Tenant.Engine != test.engine {
				t.Errorf("the engine is %s", prepared.Tenant.Engine)
			}
			warned := slices.IndexFunc(prepared.Warnings, func(w string) bool { return strings.HasPrefix(w, "the engine is ") })
			if (warned >= 0) != (test.from != "") || warned >= 0 && !strings.Contains(prepared.Warnings[warned], "tiller, that of "+test.from+";") {
				t.Errorf("it warns of %q", prepared.Warnings)
			}
		})
	}
}

// TestAdoptedEngineInSeveralRuns: a run that was interrupted anywhere goes on with the same
// engine, whatever helm the admin has then, and an existing tenant keeps its own.
func TestAdoptedEngineInSeveralRuns(t *testing.T) {
	t.Parallel()
	w := empty().with(namespace("t-tiller"), runner("t-tiller", "tiller-deploy", "gcr.io/kubernetes-helm/tiller:v2.14.1"))
	r := asked(adopting, underHelm3, unguarded)
	first := func() *Prepared {
		_, c := w.start(t)
		prepared, err := Prepare(t.Context(), c, r)
		if err != nil {
			t.Fatal(err)
		}
		return prepared
	}()
	for done := range first.Plan.Changes {
		part := first.Plan
		part.Changes = part.Ordered()[:done]
		_, c := w.written(part).start(t)
		prepared, err := Prepare(t.Context(), c, r)
		if err != nil {
			t.Fatalf("after %d writes: %v", done, err)
		}
		if prepared.Tenant.Engine != tenant.EngineTiller || prepared.Tenant.Home() != "t-tiller" {
			t.Errorf("after %d writes: engine %s, home %s", done, prepared.Tenant.Engine, prepared.Tenant.Home())
		}
	}

	server, c := empty().start(t)
	write(t, c, asked(engine(tenant.EngineImpersonation), unguarded))
	server.Put(namespace("t-tiller"))
	server.Put(runner("t-tiller", "tiller-deploy", "gcr.io/kubernetes-helm/tiller:v2.14.1"))
	prepared, err := Prepare(t.Context(), c, r)
	if err != nil || prepared.Tenant.Engine != tenant.EngineImpersonation || len(prepared.Plan.Changes) > 0 {
		t.Errorf("an existing tenant: %v, %+v", err, prepared)
	}
}

// TestAdoptedEngineWithoutRecord: a tenant whose record was deleted keeps its engine, whatever
// helm the admin has.
func TestAdoptedEngineWithoutRecord(t *testing.T) {
	for _, was := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation, tenant.EngineBoth} {
		for _, other := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation} {
			server, c := empty().start(t)
			created := write(t, c, asked(engine(was)))
			server.Remove(recordKey(created.Tenant.Home()))
			prepared, err := Prepare(t.Context(), c, asked(adopting, func(r *Request) { r.DefaultEngine = other }))
			if err != nil || prepared.Tenant.Engine != was || prepared.Tenant.Home() != created.Tenant.Home() {
				t.Errorf("%s, with a helm for %s: %v, %+v", was, other, err, prepared)
			}
		}
	}
}

// TestAdoptedEngineUnseen: an admin who may not see whether there is a Tiller names the engine.
func TestAdoptedEngineUnseen(t *testing.T) {
	server, c := empty().with(namespace("t-tiller")).start(t)
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Kind == "StatefulSet" {
			return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "statefulsets"}, "", errors.New("no"))
		}
		return nil
	}
	_, err := Prepare(t.Context(), c, asked(adopting, underHelm3))
	if err == nil || !strings.Contains(err.Error(), `whether namespace "t-tiller" has a Tiller to adopt is not known: `) {
		t.Errorf("got %v", err)
	}
	if _, err := Prepare(t.Context(), c, asked(adopting, underHelm3, engine(tenant.EngineImpersonation))); err != nil {
		t.Errorf("with an engine: %v", err)
	}
}
