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
	"helm-tenant/cluster/clustertest"
	rel "helm-tenant/release"
	"helm-tenant/tenant"
)

// tillerPod returns a pod that a Helm 2 client takes for the tenant's Tiller.
func tillerPod(name string) *corev1.Pod {
	return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "t-tiller", UID: types.UID(name), Labels: map[string]string{"app": "helm", "name": "tiller"}}}
}

// readyTiller returns the live Deployment of the tenant's Tiller, with a status that says it is ready.
func readyTiller(t *testing.T, server *clustertest.Server) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if err := cluster.Typed(server.Get(tillerKey("t-tiller")), deployment); err != nil {
		t.Fatal(err)
	}
	deployment.Status = appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1, ObservedGeneration: deployment.Generation}
	return deployment
}

func serviceAccount(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// Tiller's pods go when no release is pending any more, and no sooner.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	server, c := empty().start(t)
	write(t, c, asked())
	server.Put(readyTiller(t, server), tillerPod("old"), record(t, "t-tiller", "web", "a", 2, release.Status_PENDING_UPGRADE),
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

// A run that is stopped after it took a member out is finished by the next one: by an apply
// that does not ask for it, an init, or a revoke of somebody else.
func TestDisconnectStopped(t *testing.T) {
	alice, bob := tenant.User("alice"), tenant.User("bob")
	file := asked(exactly, func(r *Request) { r.Tenant.Members = tenant.Members{bob} })
	apply := file
	apply.Disconnect = true
	for name, stopped := range map[string]func(t *testing.T, c *cluster.Client, found tenant.Tenant) bool{
		"apply": func(t *testing.T, c *cluster.Client, _ tenant.Tenant) bool { return write(t, c, apply).Disconnect },
		"revoke": func(t *testing.T, c *cluster.Client, found tenant.Tenant) bool {
			result, err := Revoke(t.Context(), c, found, RevokeRequest{Who: tenant.Members{alice}, Disconnect: true}, false)
			if err != nil {
				t.Fatal(err)
			}
			return result.Disconnect
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := empty().start(t)
			existing := write(t, c, asked(func(r *Request) { r.Tenant.Members = tenant.Members{alice, bob} }))
			if existing.Disconnect {
				t.Error("a tenant without former members has connections to end")
			}
			server.Put(readyTiller(t, server), tillerPod("old"))
			found, err := Find(t.Context(), c, "t", "")
			if err != nil {
				t.Fatal(err)
			}
			if !stopped(t, c, found) {
				t.Fatal("no connections are to be ended")
			}
			binding := server.Get(memberKey("t-tiller"))
			if binding.GetAnnotations()[tenant.AnnotationDisconnect] == "" {
				t.Fatalf("the binding says nothing of it: %v", binding)
			}
			for _, next := range []Request{file, asked(), apply} {
				prepared, err := Prepare(t.Context(), c, next)
				if err != nil || !prepared.Disconnect || len(prepared.Plan.Changes) > 0 || !slices.Contains(prepared.Notes, Unended) {
					t.Errorf("exact %t: %v, %+v", next.Exact, err, prepared)
				}
			}
			other, err := Revoke(t.Context(), c, found, RevokeRequest{Who: tenant.Members{tenant.User("carol")}}, false)
			if err != nil || !other.Disconnect {
				t.Errorf("a revoke of somebody else: %v, %t", err, other.Disconnect)
			}
			d := &Disconnect{Client: c, Tenant: found, Timeout: time.Minute, Say: func(string) {}}
			got, err := d.Run(t.Context())
			if err != nil || !slices.Equal(got.Restarted, []string{"old"}) {
				t.Errorf("got %+v, %v", got, err)
			}
			if left := server.Get(memberKey("t-tiller")).GetAnnotations(); left[tenant.AnnotationDisconnect] != "" {
				t.Errorf("annotations: %v", left)
			}
			if prepared, err := Prepare(t.Context(), c, file); err != nil || prepared.Disconnect || slices.Contains(prepared.Notes, Unended) {
				t.Errorf("afterwards: %v, %+v", err, prepared)
			}
		})
	}
}

// TestMark: who gets the annotation, and when it goes.
func TestMark(t *testing.T) {
	two := func(r *Request) { r.Tenant.Members = tenant.Members{tenant.User("alice"), tenant.User("bob")} }
	one := func(r *Request) { r.Tenant.Members = tenant.Members{tenant.User("bob")} }
	disconnecting := func(r *Request) { r.Disconnect = true }
	const path = "metadata.annotations[" + tenant.AnnotationDisconnect + "]"
	existing := empty().after(t, asked(two))
	both := empty().after(t, asked(two, engine(tenant.EngineBoth)))
	helm := empty().after(t, asked(two, engine(tenant.EngineImpersonation)))
	left := both.after(t, asked(one, exactly, disconnecting, engine(tenant.EngineBoth)))
	for _, test := range []struct {
		name       string
		world      world
		request    Request
		written    bool
		disconnect bool
	}{
		{"a member less", existing, asked(one, exactly, disconnecting), true, true},
		{"a member less, and nobody asks for it", existing, asked(one, exactly), false, false},
		{"nobody less", existing, asked(two, exactly, disconnecting), false, false},
		{"both engines", both, asked(one, exactly, disconnecting, engine(tenant.EngineBoth)), true, true},
		{"no Tiller", helm, asked(one, exactly, disconnecting, engine(tenant.EngineImpersonation)), false, false},
		{"it is there", left, asked(one, exactly, engine(tenant.EngineBoth)), false, true},
		{"it is there, and the Tiller goes", left, asked(one, exactly, engine(tenant.EngineImpersonation), home("t-tiller")), true, false},
	} {
		prepared, err := decide(test.world.facts(t, test.request), test.request)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		steps := strings.Join(stepsOf(prepared.Plan), "\n")
		if strings.Contains(steps, path) != test.written || prepared.Disconnect != test.disconnect {
			t.Errorf("%s: disconnect %t:\n%s", test.name, prepared.Disconnect, steps)
		}
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
