package cli

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/tenant"
)

func TestStaleness(t *testing.T) {
	known := tenant.Known{Name: "team-a", HomeNamespace: "team-a-helm", Engine: tenant.EngineImpersonation, Namespaces: []string{"a", "b"}}
	record := tenant.Tenant{Name: "team-a", HomeNamespace: "team-a-helm", Engine: tenant.EngineImpersonation, Namespaces: []string{"a", "b"}}
	changed := func(change func(*tenant.Tenant)) tenant.Tenant { next := record; change(&next); return next }
	for _, test := range []struct {
		name   string
		record tenant.Tenant
		err    error
		want   string
	}{
		{"the same", record, nil, ""},
		{"other namespaces", changed(func(r *tenant.Tenant) { r.Namespaces = []string{"a", "c"} }), nil, "the kubeconfig is stale: it remembers namespaces a,b, which the record gives as a,c"},
		{"another default", changed(func(r *tenant.Tenant) { r.Namespaces = []string{"b", "a"} }), nil, "the kubeconfig is stale: it remembers namespaces a,b, which the record gives as b,a"},
		{"all namespaces", changed(func(r *tenant.Tenant) { r.Namespaces, r.AllNamespaces = nil, true }), nil, "the kubeconfig is stale: it remembers namespaces a,b, which the record gives as all namespaces"},
		{"another engine", changed(func(r *tenant.Tenant) { r.Engine = tenant.EngineBoth }), nil, "the kubeconfig is stale: it remembers engine impersonation, which the record gives as both"},
		{"no record", tenant.Tenant{}, apierrors.NewNotFound(schema.GroupResource{}, "x"), `the kubeconfig remembers namespace "team-a-helm" as the tenant's home, and there is no record there any more`},
		{"it can't be read", tenant.Tenant{}, errors.New("no"), ""},
	} {
		if got := staleness(known, test.record, test.err); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestTillerText(t *testing.T) {
	for want, shown := range map[string]tiller{
		"v2.17.0, 1 of 1 ready, answers as v2.17.0": {seen: true, Version: "v2.17.0", Pods: 1, Ready: 1, Answers: true, Answer: "v2.17.0"},
		"v2.17.0, 1 of 1 ready, not asked":          {seen: true, Version: "v2.17.0", Pods: 1, Ready: 1, Unasked: true},
		"no pod, does not answer":                   {seen: true},
		"does not answer":                           {}, // its pods can't be listed
	} {
		if got := shown.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	w := whoami{HomeNamespace: "h", Tiller: &tiller{Unasked: true, Problem: "only Helm 2 can talk to it"}}
	if err := silentTiller(w, &tenant.Kubeconfig{Context: "c"}); err == nil || !strings.Contains(err.Error(), `was not asked: only Helm 2`) {
		t.Error(err)
	}
}

func TestTillerPodsThatCount(t *testing.T) {
	now := metav1.Now()
	pod := func(version string, ready corev1.ConditionStatus, ending *metav1.Time) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: ending},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "tiller", Image: "ghcr.io/helm/tiller:" + version}}},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	old, starting, ending := pod("v2.16.0", corev1.ConditionTrue, nil), pod("v2.17.0", corev1.ConditionFalse, nil), pod("v2.15.0", corev1.ConditionTrue, &now)
	for _, test := range []struct {
		name        string
		pods        []corev1.Pod
		count, able int
		version     string
	}{
		{"none", nil, 0, 0, ""},
		{"one that starts", []corev1.Pod{starting}, 1, 0, "v2.17.0"},
		{"a rollout shows the version that answers", []corev1.Pod{old, starting}, 2, 1, "v2.16.0"},
		{"in any order", []corev1.Pod{starting, old}, 2, 1, "v2.16.0"},
		{"one that ends is not counted", []corev1.Pod{starting, ending}, 1, 0, "v2.17.0"},
		{"only one that ends", []corev1.Pod{ending}, 0, 0, ""},
	} {
		var got tiller
		got.count(test.pods)
		if got.Pods != test.count || got.Ready != test.able || got.Version != test.version {
			t.Errorf("%s: %d of %d ready, version %q; want %d of %d, %q", test.name, got.Ready, got.Pods, got.Version, test.able, test.count, test.version)
		}
	}
}

func TestEngineChange(t *testing.T) {
	for _, test := range []struct {
		used, recorded tenant.Engine
		want           string
	}{
		{tenant.EngineTiller, tenant.EngineTiller, ""},
		{tenant.EngineTiller, tenant.EngineBoth, ""},
		{tenant.EngineImpersonation, tenant.EngineBoth, ""},
		{tenant.EngineTiller, "", ""},
		{tenant.EngineTiller, tenant.EngineImpersonation, "the tenant was moved to Helm 3 and 4, and has no Tiller any more"},
		{tenant.EngineImpersonation, tenant.EngineTiller, "the tenant has a Tiller by now, which only Helm 2 can talk to"},
	} {
		if got := engineChange(test.used, test.recorded); got != test.want {
			t.Errorf("used as %s, recorded as %s: %q, want %q", test.used, test.recorded, got, test.want)
		}
	}
}
