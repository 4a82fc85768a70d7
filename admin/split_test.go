package admin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// inConfigMap returns the record as a Tiller keeps it by default.
func inConfigMap(s *corev1.Secret) *corev1.ConfigMap {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: s.ObjectMeta, Data: map[string]string{"release": string(s.Data["release"])}}
}

func configMapNamed(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// unsplit returns a cluster with one Tiller for all: two releases of tenants to be, and one of
// nobody's.
func unsplit(t *testing.T) world {
	t.Helper()
	objects := tillerByHand("old", func(*appsv1.Deployment) {})
	for _, r := range []*corev1.Secret{
		record(t, "old", "web", "a", 1, release.Status_SUPERSEDED), record(t, "old", "web", "a", 2, release.Status_DEPLOYED),
		record(t, "old", "db", "b", 1, release.Status_DEPLOYED), record(t, "old", "rest", "c", 1, release.Status_DEPLOYED),
	} {
		objects = append(objects, inConfigMap(r))
	}
	return empty().with(append(objects, namespace("c"), configMapNamed("a", "web"), configMapNamed("b", "db"), configMapNamed("c", "rest"))...)
}

// splitting returns a split of unsplit's Tiller, to tenants without the guard.
func splitting(t *testing.T, c *cluster.Client) *Split {
	t.Helper()
	files := backup.Backups{Tenant: "old", Now: func() time.Time { return time.Unix(0, 0) }, Say: func(string, ...any) {}, Read: c.EachRecord}
	split := &Split{Client: c, From: "old", Backups: files, File: filepath.Join(t.TempDir(), "b.yaml"), Timeout: time.Minute,
		Requests: []Request{
			{Tenant: tenant.Tenant{Name: "ta", Namespaces: []string{"a"}}, Exact: true},
			{Tenant: tenant.Tenant{Name: "tb", Namespaces: []string{"b"}}, Exact: true},
		},
		Event: func(Event) {}, Confirm: func(context.Context) error { return nil }}
	for i := range split.Requests {
		unguarded(&split.Requests[i])
	}
	return split
}

// guarded has the split make tenants with the guard.
func guarded(s *Split) *Split {
	for i := range s.Requests {
		s.Requests[i].Tenant.Guard, s.Requests[i].Accepted = "", nil
	}
	return s
}

// records are the release records in the cluster, by key, with what they hold.
func recordsIn(s *clustertest.Server) map[string]string {
	found := map[string]string{}
	for _, object := range s.Objects() {
		m, ok := object.(metav1.Object)
		if !ok || m.GetLabels()["OWNER"] != "TILLER" {
			continue
		}
		key := cluster.KeyOf(object)
		var text string
		switch key.Kind {
		case "Secret":
			var secret corev1.Secret
			_ = cluster.Typed(s.Get(key), &secret)
			text = string(secret.Data["release"])
		case "ConfigMap":
			var configMap corev1.ConfigMap
			_ = cluster.Typed(s.Get(key), &configMap)
			text = configMap.Data["release"]
		}
		found[key.String()] = text
	}
	return found
}

// replicasOf returns the replicas of the Tiller in a namespace; empty if there is none.
func replicasOf(s *clustertest.Server, namespace string) string {
	d := s.Get(tillerKey(namespace))
	if d == nil {
		return ""
	}
	return fmt.Sprint(d.Object["spec"].(map[string]any)["replicas"])
}

// splitEnds checks what is there when a split is finished.
func splitEnds(t *testing.T, s *clustertest.Server, before map[string]string) {
	t.Helper()
	want := map[string]string{
		"Secret web.v1 in namespace ta-tiller": before["ConfigMap web.v1 in namespace old"],
		"Secret web.v2 in namespace ta-tiller": before["ConfigMap web.v2 in namespace old"],
		"Secret db.v1 in namespace tb-tiller":  before["ConfigMap db.v1 in namespace old"],
		"ConfigMap rest.v1 in namespace old":   before["ConfigMap rest.v1 in namespace old"],
	}
	if diff := cmp.Diff(want, recordsIn(s)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	for _, home := range []string{"ta-tiller", "tb-tiller", "old"} {
		if replicasOf(s, home) != "1" {
			t.Errorf("the Tiller in %s has %q replicas", home, replicasOf(s, home))
		}
	}
	settled(t, s)
}

// settled: no state of a split is left.
func settled(t *testing.T, s *clustertest.Server) {
	t.Helper()
	for _, object := range s.Objects() {
		m := object.(metav1.Object)
		if _, marked := m.GetAnnotations()[tenant.AnnotationMigration]; marked || m.GetName() == tenant.SplitName {
			t.Errorf("%s is left in a split", cluster.KeyOf(object))
		}
	}
}

// killedAt has the server refuse every write from the nth on.
func killedAt(s *clustertest.Server, n int, run func() error) error {
	var writes atomic.Int64 // several requests are answered at once
	s.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb != "create" && r.Verb != "update" && r.Verb != "delete" || strings.HasSuffix(r.Kind, "Review") {
			return nil
		}
		if writes.Add(1) > int64(n) {
			return apierrors.NewForbidden(schema.GroupResource{Resource: r.Kind}, r.Name, errors.New("killed"))
		}
		return nil
	}
	defer func() { s.Refuse = nil }()
	return run()
}

// stride is the distance between two of a table's many scenarios that are run: all of them in a
// soak, and few with the race detector, which sees the same goroutines in each.
func stride() int {
	switch {
	case os.Getenv("HELM_TENANT_SOAK") != "":
		return 1
	case raceDetector:
		return 15
	case testing.Short():
		return 5
	}
	return 3
}

// TestSplitKilled kills a split at each of its writes: the same command goes on to the same
// end, and from each point there is a way back.
func TestSplitKilled(t *testing.T) {
	t.Parallel()
	s, c := unsplit(t).start(t)
	before := recordsIn(s)
	if _, err := guarded(splitting(t, c)).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if replicasOf(s, "old") != "0" || replicasOf(s, "ta-tiller") != "1" {
		t.Errorf("replicas are %v and %v", replicasOf(s, "old"), replicasOf(s, "ta-tiller"))
	}
	begun := s.Objects()
	total := 0
	for _, line := range s.Writes() {
		if !strings.Contains(line, "Review") {
			total++
		}
	}
	if total < 20 {
		t.Fatalf("%d writes", total)
	}
	// The tenants' objects, which init writes, are most of the writes: of them every eighth.
	for n := 0; n < total; n += stride() {
		if n > 2 && n < total-16 {
			n += 7
		}
		t.Run(fmt.Sprintf("begin, after %d", n), func(t *testing.T) {
			s, c := unsplit(t).start(t)
			run := guarded(splitting(t, c))
			if err := killedAt(s, n, func() error { _, err := run.Begin(t.Context()); return err }); err == nil {
				t.Fatal("it was not killed")
			}
			killed := s.Objects()
			run.File += "-2"
			if _, err := run.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			run.File += "-3"
			if _, err := run.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			splitEnds(t, s, before)
			s = clustertest.Start(t, killed...)
			if s.Get(splitKey("old")) == nil {
				return
			}
			if _, err := guarded(splitting(t, s.Connect())).Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, recordsIn(s)); diff != "" || replicasOf(s, "old") != "1" {
				t.Errorf("the old Tiller has %q replicas; records (-want +got):\n%s", replicasOf(s, "old"), diff)
			}
			settled(t, s)
		})
	}
	for _, way := range []struct {
		name string
		run  func(*Split) error
		end  func(*testing.T, *clustertest.Server)
	}{
		{"finish", func(s *Split) error { _, err := s.Finish(t.Context()); return err }, func(t *testing.T, s *clustertest.Server) { splitEnds(t, s, before) }},
		{"abort", func(s *Split) error { _, err := s.Abort(t.Context()); return err }, func(t *testing.T, s *clustertest.Server) {
			if diff := cmp.Diff(before, recordsIn(s)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			settled(t, s)
		}},
	} {
		for n := 0; ; n += stride() {
			s := clustertest.Start(t, begun...)
			run := guarded(splitting(t, s.Connect()))
			killed := killedAt(s, n, func() error { return way.run(run) })
			if killed != nil {
				run.File += "-2"
				if err := way.run(run); err != nil {
					t.Fatalf("%s, after %d: %v", way.name, n, err)
				}
			}
			way.end(t, s)
			if killed == nil {
				if n < 5 {
					t.Errorf("%s makes %d writes", way.name, n)
				}
				break
			}
		}
	}
}

// TestSplitWithTenants: an existing tenant keeps its releases, its Tiller is stopped during the
// split, and changes that would disturb the split are refused.
func TestSplitWithTenants(t *testing.T) {
	s, c := unsplit(t).start(t)
	write(t, c, Request{Tenant: tenant.Tenant{Name: "ta", Namespaces: []string{"a"}}, Exact: true})
	s.Put(record(t, "ta-tiller", "own", "a", 1, release.Status_DEPLOYED))
	before := recordsIn(s)
	run := guarded(splitting(t, c))
	var stopped bool
	run.Event = func(e Event) {
		stopped = stopped || e.Change != nil && e.Change.Key == tillerKey("ta-tiller") && replicasOf(s, "ta-tiller") == "0"
	}
	if _, err := refusing(s, "create", "Secret", func() (*SplitPlan, error) { return run.Begin(t.Context()) }); err == nil {
		t.Fatal("it was not killed")
	}
	var moving *MigratingError
	if _, err := Prepare(t.Context(), c, Request{Tenant: tenant.Tenant{Name: "ta"}}); !errors.As(err, &moving) || !strings.Contains(err.Error(), `receiving its releases from the Tiller in namespace "old"`) {
		t.Errorf("init meanwhile: %v", err)
	}
	if _, err := readMigration(t.Context(), c, "ta", 0, nil, nil); !errors.As(err, &moving) {
		t.Errorf("migrate meanwhile: %v", err)
	}
	run.File += "-2"
	if _, err := run.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, recordsIn(s)); diff != "" || !stopped || replicasOf(s, "ta-tiller") != "1" {
		t.Errorf("stopped: %v, replicas %v, records (-want +got):\n%s", stopped, replicasOf(s, "ta-tiller"), diff)
	}
}

// TestSplitRefused: each thing that is in the way is said, and nothing is written.
func TestSplitRefused(t *testing.T) {
	forged := func(edit func(*corev1.ConfigMap)) []runtime.Object {
		m := inConfigMap(record(t, "old", "web", "a", 2, release.Status_DEPLOYED))
		edit(m)
		return []runtime.Object{m}
	}
	for _, test := range []struct {
		name    string
		put     []runtime.Object
		removed []cluster.Key
		run     func(*Split)
		want    string
		risk    Risk
	}{
		{name: "an object that is not there", removed: []cluster.Key{{Kind: "ConfigMap", Namespace: "a", Name: "web"}},
			want: "release web: ConfigMap web in namespace a does not exist", risk: RiskUnmatchedRecords},
		{name: "labels that lie", put: forged(func(m *corev1.ConfigMap) { m.Labels["STATUS"] = "FAILED" }),
			want: "record web.v2 is labelled as FAILED and holds one that is DEPLOYED", risk: RiskUnmatchedRecords},
		{name: "another team's namespace in an old revision", put: []runtime.Object{inConfigMap(record(t, "old", "web", "b", 1, release.Status_SUPERSEDED))},
			want: `revision 1 names namespace`, risk: RiskUnmatchedRecords},
		{name: "a release that the tenant has", put: []runtime.Object{record(t, "ta-tiller", "web", "a", 7, release.Status_DEPLOYED), namespace("ta-tiller", tenant.LabelTenant, "ta", tenant.LabelManagedBy, tenant.ManagedBy)},
			want: "release web: the Tiller of tenant \"ta\" has one of that name already: delete one of the two, or leave this one with --leave web"},
		{name: "a namespace that is missing", run: func(s *Split) { s.Requests[1].Tenant.Namespaces = []string{"b", "d"} }, want: `tenant "tb": namespace "d" does not exist`},
		{name: "nothing to move", run: func(s *Split) { s.Leave = []string{"web", "db"} }, want: "no release would move to a tenant of the file"},
		{name: "nothing to leave", run: func(s *Split) { s.Leave = []string{"wbe"} }, want: `--leave wbe: the Tiller in namespace "old" has no such release`},
		{name: "no Tiller", run: func(s *Split) { s.From = "kube-system" }, want: `no Tiller runs in namespace "kube-system"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c := unsplit(t).start(t)
			s.Put(test.put...)
			for _, key := range test.removed {
				s.Remove(key)
			}
			run := splitting(t, c)
			if test.run != nil {
				test.run(run)
			}
			s.Writes()
			_, err := run.Begin(t.Context())
			if err == nil || !strings.Contains(fullText(err), test.want) {
				t.Errorf("got %v", fullText(err))
			}
			if writes := slices.DeleteFunc(s.Writes(), func(line string) bool { return strings.Contains(line, "Review") }); len(writes) > 0 {
				t.Errorf("it wrote %q", writes)
			}
			risk, ok := errors.AsType[*RiskError](err)
			if ok != (test.risk != "") || ok && risk.Risk != test.risk {
				t.Fatalf("the risk is %v", risk)
			}
			if ok {
				run.Accepted = Accepted{test.risk}
				if _, err := run.Begin(t.Context()); err != nil {
					t.Errorf("accepted: %v", err)
				}
			}
		})
	}
}
