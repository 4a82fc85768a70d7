package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// broken are the ways to end a run of migrate in each of its phases.
var broken = map[tenant.Phase]func(*testing.T, *clustertest.Server, *Migrate) error{
	"": func(*testing.T, *clustertest.Server, *Migrate) error { return nil },
	tenant.PhaseFrozen: func(t *testing.T, s *clustertest.Server, m *Migrate) error {
		_, err := refusing(s, "create", "Secret", func() (*Migration, error) { return m.Begin(t.Context()) })
		return err
	},
	tenant.PhaseConverted: func(t *testing.T, _ *clustertest.Server, m *Migrate) error {
		verifier := m.Verifier
		defer func() { m.Verifier = verifier }()
		m.Verifier = func(context.Context) (func(context.Context, *Migration) error, error) {
			return func(context.Context, *Migration) error { return errors.New("not listed") }, nil
		}
		_, err := m.Begin(t.Context())
		return err
	},
	tenant.PhaseVerified: func(t *testing.T, _ *clustertest.Server, m *Migrate) error {
		if _, err := m.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		return nil
	},
	tenant.PhaseFinishing: func(t *testing.T, s *clustertest.Server, m *Migrate) error {
		if _, err := m.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := refusing(s, "delete", "Secret", func() (*Prepared, error) { return m.Finish(t.Context()) })
		return err
	},
	tenant.PhaseAborting: func(t *testing.T, s *clustertest.Server, m *Migrate) error {
		if _, err := m.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.File += "-helm3"
		_, err := refusing(s, "delete", "Secret", func() (*Prepared, error) { return m.Abort(t.Context()) })
		return err
	},
}

// refusing runs what the server refuses at the first request of that verb and kind.
func refusing[T any](s *clustertest.Server, verb, kind string, run func() (T, error)) (T, error) {
	s.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb == verb && r.Kind == kind {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, r.Name, errors.New("broken"))
		}
		return nil
	}
	defer func() { s.Refuse = nil }()
	return run()
}

// gone are the things that disappear while a tenant migrates.
var gone = map[string]func(*clustertest.Server){
	"nothing":                   func(*clustertest.Server) {},
	"a namespace with releases": func(s *clustertest.Server) { s.Remove(namespaceKey("a")) },
	"a namespace, which is made again": func(s *clustertest.Server) {
		removeAllIn(s, "a", "", "")
		s.Remove(namespaceKey("a"))
		s.Put(namespaceNamed("a"))
	},
	"a namespace without releases": func(s *clustertest.Server) { s.Remove(namespaceKey("b")) },
	"Tiller's account":             func(s *clustertest.Server) { s.Remove(accountKey("t-tiller", "tiller")) },
	"Helm's account":               func(s *clustertest.Server) { s.Remove(accountKey("t-tiller", "helm")) },
	"the role": func(s *clustertest.Server) {
		s.Remove(clusterRoleKey("helm-tenant:admin"))
		s.Remove(clusterRoleKey("admin"))
	},
	"Tiller's Deployment":         func(s *clustertest.Server) { s.Remove(tillerKey("t-tiller")) },
	"the newest record of Helm 3": func(s *clustertest.Server) { s.Remove(helmKey(2)) },
	"all records of Helm 3":       func(s *clustertest.Server) { s.Remove(helmKey(1)); s.Remove(helmKey(2)) },
	"the newest record of Tiller": func(s *clustertest.Server) {
		s.Remove(cluster.Key{Kind: "Secret", Namespace: "t-tiller", Name: "web.v2"})
	},
	"all records of Tiller":           func(s *clustertest.Server) { removeAllIn(s, "t-tiller", "Secret", "web.") },
	"the binding of Tiller's storage": func(s *clustertest.Server) { removeAllIn(s, "t-tiller", "RoleBinding", "") },
	"the deployer's bindings":         func(s *clustertest.Server) { removeAllIn(s, "a", "RoleBinding", "") },
	"the record":                      func(s *clustertest.Server) { s.Remove(recordKey("t-tiller")) },
	"what the record says": func(s *clustertest.Server) {
		changeByHand(s, recordKey("t-tiller"), "data", tenant.RecordKey, "name: [t\n")
	},
	"what a record of Helm 3 holds": func(s *clustertest.Server) {
		changeByHand(s, helmKey(2), "data", "release", "SDRzSUFBQUFBQUFB")
	},
	"what a record of Tiller holds": func(s *clustertest.Server) {
		changeByHand(s, cluster.Key{Kind: "Secret", Namespace: "t-tiller", Name: "web.v2"}, "data", "release", "SDRzSUFBQUFBQUFB")
	},
	"the home": func(s *clustertest.Server) { s.Remove(namespaceKey("t-tiller")) },
}

// changeByHand sets a field of an object, if there is one, to text.
func changeByHand(s *clustertest.Server, key cluster.Key, path ...string) {
	object := s.Get(key)
	if object == nil {
		return
	}
	text, path := path[len(path)-1], path[:len(path)-1]
	if err := unstructured.SetNestedField(object.Object, text, path...); err != nil {
		panic(err)
	}
	s.Put(object)
}

func helmKey(revision int) cluster.Key {
	return cluster.Key{Kind: "Secret", Namespace: "a", Name: "sh.helm.release.v1.web.v" + string(rune('0'+revision))}
}

// inPhase returns the objects of a cluster in which the tenant's migration has that phase.
func inPhase(t *testing.T, phase tenant.Phase) []runtime.Object {
	t.Helper()
	server, c := withReleases(t, unguarded)
	m, _ := migrating(t, c)
	err := broken[phase](t, server, m)
	if phaseOf(server) != phase {
		t.Fatalf("the phase is %q: %v", phaseOf(server), err)
	}
	return server.Objects()
}

// onward takes the way to the end of the migration.
func onward(ctx context.Context, m *Migrate, phase tenant.Phase) error {
	if phase != tenant.PhaseFinishing {
		if _, err := m.Begin(ctx); err != nil {
			return err
		}
		m.File += "-3"
	}
	_, err := m.Finish(ctx)
	return err
}

// TestMigrateWays: from each phase the migration can be completed and aborted, whatever was
// deleted; in the last two phases only the way that was taken is open.
func TestMigrateWays(t *testing.T) {
	t.Parallel()
	// early are the phases in which the way to the end needs what was deleted.
	early := func(phase tenant.Phase) bool { return phase == "" || phase == tenant.PhaseFrozen }
	always := func(tenant.Phase) bool { return true }
	// What is deleted or changed, the error that names it, and what the admin does then.
	type obstacle struct {
		says     string
		onward   func(tenant.Phase) bool
		back     bool
		repaired func(*clustertest.Server)
	}
	blocked := map[string]obstacle{
		"a namespace with releases":     {`namespace "a" does not exist`, early, false, func(s *clustertest.Server) { s.Put(namespaceNamed("a")) }},
		"the role":                      {"ClusterRole admin, does not exist: create it", early, false, func(s *clustertest.Server) { s.Put(clusterRole("admin", "*")) }},
		"what a record of Tiller holds": {"Secret web.v2 in namespace t-tiller is no release record of Helm 2", func(p tenant.Phase) bool { return p != tenant.PhaseFinishing }, false, gone["the newest record of Tiller"]},
		"what the record says": {"tenant.yaml: line 1: did not find expected", always, true, func(s *clustertest.Server) {
			c := s.Connect()
			_, err := Prepare(t.Context(), c, Request{Tenant: tenant.Tenant{Name: "t"}})
			output, ok := errors.AsType[*UnreadableRecordError](err)
			if !ok {
				t.Fatalf("init: %v", err)
			}
			write(t, c, Request{Tenant: output.Tenant}) // as the hint is typed
		}},
	}
	scenarios := 0
	for phase := range broken {
		objects := inPhase(t, phase)
		without := func(what string) (*clustertest.Server, *Migrate) {
			server := clustertest.Start(t, objects...)
			gone[what](server)
			m, _ := migrating(t, server.Connect())
			m.Accepted = Accepted{RiskMissingReleases}
			return server, m
		}
		for what := range gone {
			if scenarios++; scenarios%stride() != 0 {
				continue
			}
			t.Run(string(phase)+", gone is "+what, func(t *testing.T) {
				lost := what == "the record" || what == "the home"
				if phase != tenant.PhaseAborting {
					server, m := without(what)
					err := onward(t.Context(), m, phase)
					if o, listed := blocked[what]; listed && o.onward(phase) {
						if !strings.Contains(fullText(err), o.says) {
							t.Errorf("to the end: got %q", fullText(err))
						}
						o.repaired(server)
						m.File += "-4"
						err = onward(t.Context(), m, phase)
					}
					checkEnd(t, server, "to the end", err, lost)
				}
				if phase == tenant.PhaseFinishing || phase == "" {
					return
				}
				server, m := without(what)
				_, err := m.Abort(t.Context())
				if o := blocked[what]; o.back {
					if !strings.Contains(fullText(err), o.says) {
						t.Errorf("back: got %q", fullText(err))
					}
					o.repaired(server)
					_, err = m.Abort(t.Context())
				}
				checkEnd(t, server, "back", err, lost)
				if err == nil && !lost && server.Get(tillerKey("t-tiller")) == nil {
					t.Error("back: there is no Tiller")
				}
			})
		}
	}
}

// checkEnd checks that the migration has ended; or, if its state is lost, that the error says
// so, and that the tenant can be made again for either helm.
func checkEnd(t *testing.T, server *clustertest.Server, way string, err error, lost bool) {
	t.Helper()
	if !lost {
		if err != nil || phaseOf(server) != "" {
			t.Errorf("%s: %v, in phase %q", way, fullText(err), phaseOf(server))
		}
		return
	}
	var left []string // the namespaces that still are the tenant's
	for _, ns := range []string{"a", "b"} {
		if object := server.Get(namespaceKey(ns)); object != nil && object.GetLabels()[tenant.LabelTenant] == "t" {
			left = append(left, ns)
		}
	}
	output, ok := errors.AsType[*LostRecordError](err)
	if !ok || !slices.Equal(output.Namespaces, left) {
		t.Fatalf("%s: got %v", way, err)
	}
	if len(left) == 0 {
		return
	}
	server.Put(clusterRole("admin", "*"))
	c := server.Connect()
	for _, engine := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation} {
		second := Request{Tenant: tenant.Tenant{Name: "t", Namespaces: output.Namespaces, Engine: engine, HomeNamespace: output.Home}}
		if engine == tenant.EngineTiller {
			if write(t, c, second); server.Get(tillerKey("t-tiller")) == nil {
				t.Errorf("%s: no Tiller is made", way)
			}
			continue
		}
		if output.Home == "" {
			server.Remove(namespaceKey("t-tiller"))
		} else {
			server.Remove(recordKey(output.Home))
		}
		if prepared := write(t, c, second); prepared.Tenant.Engine != engine || server.Get(tillerKey(output.Home)) != nil {
			t.Errorf("%s: made is %v", way, prepared.Tenant)
		}
	}
}

func fullText(err error) string {
	text := errorText(err)
	if listed, ok := errors.AsType[interface {
		error
		Details() []string
	}](err); ok {
		text += " " + strings.Join(listed.Details(), "\n")
	}
	return text
}

func namespaceNamed(name string) *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// TestMigrateQuota: a quota that leaves no room is seen before Tiller is stopped, and fewer
// revisions may fit.
func TestMigrateQuota(t *testing.T) {
	server, c := withReleases(t, unguarded)
	m, _ := migrating(t, c)
	server.Put(&corev1.ResourceQuota{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "few"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/secrets": resource.MustParse("1")}}})
	server.Writes()
	if _, err := m.Begin(t.Context()); !strings.Contains(errorText(err), `ResourceQuota few of namespace "a" allows 1 Secrets, 0 exist, and Helm 3 needs 2 more`) || len(server.Writes()) > 0 {
		t.Fatalf("got %v", err)
	}
	m.Keep = 1
	migration, err := m.Begin(t.Context())
	if err != nil || migration.Moved() != "1 release, 1 revision" || server.Get(helmKey(1)) != nil || server.Get(helmKey(2)) == nil {
		t.Fatalf("with --keep 1: %v", err)
	}
	// What the migration began with counts until it ends.
	m.Keep = 2
	if _, err := m.Begin(t.Context()); errorText(err) != "its migration began with --keep 1, which can't be changed before it ends" {
		t.Errorf("got %v", err)
	}
	m.Keep, m.Timeout = 0, time.Second
	if migration, err = m.Begin(t.Context()); err != nil || migration.Moved() != "1 release, 1 revision" {
		t.Errorf("again: %v", err)
	}
	if _, err := m.Finish(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := m.Finish(t.Context()); err != nil {
		t.Errorf("finished again: %v", err)
	}
}
