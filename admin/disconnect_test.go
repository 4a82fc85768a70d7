package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/cluster"
	rel "helm-tenant/release"
	"helm-tenant/tenant"
)

// tillerPod is a pod that a Helm 2 client takes for the tenant's Tiller.
func tillerPod(name string) *corev1.Pod {
	return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "t-tiller", UID: types.UID(name), Labels: map[string]string{"app": "helm", "name": "tiller"}}}
}

func serviceAccount(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// Tiller's pods go when no release is pending any more, and no sooner.
func TestDisconnect(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked())
	deployment := &appsv1.Deployment{}
	if err := cluster.Typed(server.Get(cluster.Key{Kind: "Deployment", Namespace: "t-tiller", Name: "tiller-deploy"}), deployment); err != nil {
		t.Fatal(err)
	}
	deployment.Status = appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1, ObservedGeneration: deployment.Generation}
	server.Put(deployment, tillerPod("old"), record(t, "t-tiller", "web", "a", 2, release.Status_PENDING_UPGRADE),
		serviceAccount("a", "default"), serviceAccount("a", "builder"), serviceAccount("b", "default"), serviceAccount("t-tiller", "tiller"))
	found, err := Find(t.Context(), c, "t", "")
	if err != nil {
		t.Fatal(err)
	}
	server.Writes()
	d := &Disconnect{Client: c, Tenant: found, Timeout: time.Minute, Say: func(sentence string) {
		if strings.Contains(sentence, "waiting for pending releases: web") {
			if writes := server.Writes(); len(writes) > 0 {
				t.Errorf("while a release is pending: %q", writes)
			}
			server.Put(record(t, "t-tiller", "web", "a", 2, release.Status_DEPLOYED))
		}
	}}
	if err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := d.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Disconnection{Restarted: []string{"old"}, Lasting: lasting(found), Accounts: []NamespaceAccounts{{"a", []string{"builder", "default"}}}}
	if slices.Contains(found.Namespaces, "b") {
		want.Accounts = append(want.Accounts, NamespaceAccounts{"b", []string{"default"}})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if pod := server.Get(cluster.Key{Kind: "Pod", Namespace: "t-tiller", Name: "old"}); pod != nil {
		t.Error("the old pod is still there")
	}
}

// A release that stays pending is named after the timeout, and does not keep Tiller.
func TestDisconnectStuckRelease(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked())
	server.Put(tillerPod("old"), record(t, "t-tiller", "web", "a", 1, release.Status_PENDING_INSTALL))
	found, err := Find(t.Context(), c, "t", "")
	if err != nil {
		t.Fatal(err)
	}
	d := &Disconnect{Client: c, Tenant: found, Timeout: 50 * time.Millisecond, Say: func(string) {}}
	got, err := d.Run(t.Context())
	var late *cluster.NotReadyError // no controller makes new pods here
	if !errors.As(err, &late) || !slices.Equal(got.Interrupted, []string{"web"}) || !slices.Equal(got.Restarted, []string{"old"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Run(ctx); err == nil {
		t.Error("an interrupted wait ends without an error")
	}
}

func TestLastingConnections(t *testing.T) {
	for _, test := range []struct {
		engine tenant.Engine
		watch  bool
	}{{tenant.EngineTiller, false}, {tenant.EngineImpersonation, true}, {tenant.EngineBoth, true}} {
		lines := strings.Join(lasting(tenant.Tenant{Name: "t", Namespaces: []string{"a", "b"}, Engine: test.engine}), "\n")
		if !strings.Contains(lines, "in namespaces a, b") || strings.Contains(lines, "a watch") != test.watch {
			t.Errorf("%s: %s", test.engine, lines)
		}
	}
}

func TestPendingReleases(t *testing.T) {
	var stored []cluster.Stored
	for i, status := range []string{"DEPLOYED", "PENDING_INSTALL", "PENDING_UPGRADE", "PENDING_ROLLBACK", "DELETING", "DELETED", "FAILED", "SUPERSEDED", ""} {
		stored = append(stored, cluster.Stored{Revision: rel.Revision{Release: string(rune('a' + i)), Status: status}})
	}
	if got := strings.Join(pendingReleases(stored), ""); got != "bcde" {
		t.Errorf("pending: %s", got)
	}
}
