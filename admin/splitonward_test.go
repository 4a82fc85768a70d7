package admin

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// splittingOnward returns a split of unsplit's Tiller, of which tenant ta moves on to Helm 3 and 4.
func splittingOnward(t *testing.T, c *cluster.Client) *Split {
	t.Helper()
	s := splitting(t, c)
	s.Requests[0].Tenant.Engine = tenant.EngineImpersonation
	folder := t.TempDir()
	s.Migration = func(name string) *Migrate {
		return &Migrate{Client: c, Name: name, File: filepath.Join(folder, name+".yaml"), Timeout: time.Minute, Event: func(Event) {}, Ownership: func(OwnershipChange) {},
			Backups: backup.Backups{Tenant: name, Now: func() time.Time { return time.Unix(0, 0) }, Say: func(string, ...any) {}, Read: c.EachRecord},
			Verifier: func(context.Context) (func(context.Context, *Migration) error, error) {
				return func(context.Context, *Migration) error { return nil }, nil
			},
			Confirm: func(context.Context) error { return nil }}
	}
	return s
}

// helmRecordsIn are Helm 3's records in a namespace.
func helmRecordsIn(s *clustertest.Server, namespace string) []string {
	var names []string
	for _, object := range s.Objects() {
		if key := cluster.KeyOf(object); key.Kind == "Secret" && key.Namespace == namespace && strings.HasPrefix(key.Name, "sh.helm.release.v1.") {
			names = append(names, key.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TestSplitOnward: a tenant that the file wants with Helm 3 and 4 is migrated in the same run,
// in the home of its Tiller; there to the end, killed at some writes, and back.
func TestSplitOnward(t *testing.T) {
	t.Parallel()
	s, c := unsplit(t).start(t)
	before := recordsIn(s)
	p, err := splittingOnward(t, c).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	for _, r := range p.Releases {
		if r.Onward {
			notes = append(notes, r.Name)
		}
	}
	if diff := cmp.Diff([]string{"web"}, notes); diff != "" || !slices.Equal(p.State.Onward, []string{"ta"}) {
		t.Errorf("going on are %q, releases (-want +got):\n%s", p.State.Onward, diff)
	}
	moved := []string{"sh.helm.release.v1.web.v1", "sh.helm.release.v1.web.v2"}
	if diff := cmp.Diff(moved, helmRecordsIn(s, "a")); diff != "" || replicasOf(s, "ta-tiller") != "0" || replicasOf(s, "tb-tiller") != "1" {
		t.Errorf("replicas %s and %s; Helm's records (-want +got):\n%s", replicasOf(s, "ta-tiller"), replicasOf(s, "tb-tiller"), diff)
	}
	begun := s.Objects()
	writes := 0
	for _, line := range s.Writes() {
		if !strings.Contains(line, "Review") {
			writes++
		}
	}

	finish := func(t *testing.T, s *clustertest.Server, run *Split) {
		t.Helper()
		run.File += "-f"
		if _, err := run.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"Secret db.v1 in namespace tb-tiller": before["ConfigMap db.v1 in namespace old"], "ConfigMap rest.v1 in namespace old": before["ConfigMap rest.v1 in namespace old"]}
		if diff := cmp.Diff(want, recordsIn(s)); diff != "" || replicasOf(s, "ta-tiller") != "" || replicasOf(s, "old") != "1" || !slices.Equal(moved, helmRecordsIn(s, "a")) {
			t.Errorf("replicas %q and %q; Helm has %q; records (-want +got):\n%s", replicasOf(s, "ta-tiller"), replicasOf(s, "old"), helmRecordsIn(s, "a"), diff)
		}
		settled(t, s)
		// The file as it was is the truth: nothing is left to write.
		asked := splittingOnward(t, run.Client).Requests
		outcomes, err := PrepareAll(t.Context(), run.Client, asked)
		if err == nil {
			err = failed(outcomes)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if len(o.Prepared.Plan.Changes) > 0 {
				t.Errorf("apply would write %v", o.Prepared.Plan.Changes[0].Key)
			}
		}
	}
	back := func(t *testing.T, s *clustertest.Server, run *Split) {
		t.Helper()
		run.File += "-b"
		if _, err := run.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, recordsIn(s)); diff != "" || replicasOf(s, "old") != "1" || len(helmRecordsIn(s, "a")) > 0 {
			t.Errorf("replicas %q; Helm has %q; records (-want +got):\n%s", replicasOf(s, "old"), helmRecordsIn(s, "a"), diff)
		}
		settled(t, s)
	}
	// Killed while it is migrated, and where it ends.
	for n := writes - 9; n < writes; n += 1 + stride() {
		s, c := unsplit(t).start(t)
		run := splittingOnward(t, c)
		if err := killedAt(s, n, func() error { _, err := run.Begin(t.Context()); return err }); err == nil {
			t.Fatalf("it was not killed after %d", n)
		}
		killed := s.Objects()
		second := splittingOnward(t, c)
		if _, err := second.Begin(t.Context()); err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		finish(t, s, second)
		s = clustertest.Start(t, killed...)
		back(t, s, splittingOnward(t, s.Connect()))
	}
	for n := 0; ; n += stride() {
		s := clustertest.Start(t, begun...)
		run := splittingOnward(t, s.Connect())
		err := killedAt(s, n, func() error { _, err := run.Finish(t.Context()); return err })
		if moved, ok := errors.AsType[*MovedOnError](func() error { _, err := splittingOnward(t, s.Connect()).Abort(t.Context()); return err }()); ok {
			t.Errorf("an abort while it finishes: %v", moved)
		}
		finishing := splittingOnward(t, s.Connect())
		if err == nil {
			break
		}
		if _, state, err := readSplitState(t.Context(), s.Connect(), "old"); err != nil || state == nil {
			continue // it was aborted, before the end began
		}
		finish(t, s, finishing)
	}
	back(t, s, splittingOnward(t, c))

	// A tenant that was finished by itself keeps what it has, and the split has one way left.
	s = clustertest.Start(t, begun...)
	run := splittingOnward(t, s.Connect())
	if _, err := run.Migration("ta").Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Abort(t.Context()); errorText(err) != "the releases of tenant ta are Helm 3's for good, and there is no way back" {
		t.Errorf("got %v", err)
	}
	finish(t, s, run)

	// Problems of the conversion are reported before anything is written.
	s, c = unsplit(t).start(t)
	s.Put(inConfigMap(record(t, "old", "late", "a", 1, 6)))
	s.Writes()
	if _, err := splittingOnward(t, c).Begin(t.Context()); !strings.Contains(fullText(err), `tenant "ta" can't move on to Helm 3: release late, revision 1, is PENDING_INSTALL`) {
		t.Errorf("got %v", fullText(err))
	}
	if writes := slices.DeleteFunc(s.Writes(), func(line string) bool { return strings.Contains(line, "Review") }); len(writes) > 0 {
		t.Errorf("it wrote %q", writes)
	}
}

// TestSplitNarrow: --finish makes the old Tiller a tenant of the remaining releases. After a
// kill at any write the same command continues, and a risk that is not accepted is reported
// while an abort is still possible.
func TestSplitNarrow(t *testing.T) {
	t.Parallel()
	s, c := unsplit(t).start(t)
	if _, err := guarded(splitting(t, c)).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Put(configMapNamed("old", "somebody's"))
	begun := s.Objects()
	run := guarded(splitting(t, c))
	run.Narrow = "ops"
	risk, ok := errors.AsType[*RiskError](func() error { _, err := run.Finish(t.Context()); return err }())
	if _, state, err := readSplitState(t.Context(), c, "old"); !ok || risk.Risk != RiskSharedHome || err != nil || state.Phase != tenant.PhaseVerified {
		t.Fatalf("the risk is %v, the state %+v, %v", risk, state, err)
	}
	for n := 0; ; n += stride() {
		s := clustertest.Start(t, begun...)
		run := guarded(splitting(t, s.Connect()))
		run.Narrow, run.Accepted = "ops", Accepted{RiskSharedHome}
		killed := killedAt(s, n, func() error { _, err := run.Finish(t.Context()); return err })
		if killed != nil {
			run.File += "-2"
			if _, err := run.Finish(t.Context()); err != nil {
				t.Fatalf("after %d: %v", n, err)
			}
		}
		live, err := run.Client.Read(t.Context(), "ops")
		if err != nil {
			t.Fatal(err)
		}
		ops, existed, err := recorded(live, "ops")
		if err != nil || !existed || !slices.Equal(ops.Namespaces, []string{"c"}) || ops.Home() != "old" || replicasOf(s, "old") != "1" {
			t.Errorf("after %d: the tenant is %+v, %v", n, ops, err)
		}
		if len(recordsIn(s)) != 4 {
			t.Errorf("after %d: the records are %v", n, recordsIn(s))
		}
		settled(t, s)
		if killed == nil {
			break
		}
	}

	// No controller makes pods here: a run that waits says so when the split is finished.
	s = clustertest.Start(t, begun...)
	run = guarded(splitting(t, s.Connect()))
	run.Narrow, run.Accepted, run.Wait, run.Timeout = "ops", Accepted{RiskSharedHome}, true, time.Millisecond
	_, err := run.Finish(t.Context())
	if _, ok := errors.AsType[*cluster.NotReadyError](err); !ok {
		t.Errorf("got %v", fullText(err))
	}
	settled(t, s)
}

// TestSplitNarrowClusterObjects: objects outside namespaces of the remaining releases are
// reported before the records of the others are removed; those of releases that moved are not.
func TestSplitNarrowClusterObjects(t *testing.T) {
	role := func(name string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: " + name + "\n"
	}
	w := unsplit(t)
	s, c := w.start(t)
	moves := recordHolding(t, "old", "moves", "a", 1, release.Status_DEPLOYED, role("moves"))
	s.Put(inConfigMap(moves), clusterRole("moves", "*"))
	begin := splitting(t, c)
	begin.Accepted = Accepted{RiskClusterObjects, RiskUnmatchedRecords}
	if _, err := begin.Begin(t.Context()); err != nil {
		t.Fatal(fullText(err))
	}
	narrow := func(accepted ...Risk) error {
		run := splitting(t, c)
		run.Narrow, run.Accepted = "ops", append(Accepted{RiskSharedHome}, accepted...)
		run.DryRun = len(accepted) == 0
		_, err := run.Finish(t.Context())
		return err
	}
	if err := narrow(); err != nil {
		t.Errorf("of a release that moved: %v", fullText(err))
	}
	s.Put(inConfigMap(recordHolding(t, "old", "stays", "c", 1, release.Status_DEPLOYED, role("stays"))))
	err := narrow(RiskOutsideReleases)
	risk, ok := errors.AsType[*RiskError](err)
	if !ok || risk.Risk != RiskClusterObjects || !strings.Contains(risk.Why, "ClusterRole stays of release stays;") {
		t.Fatalf("got %v", fullText(err))
	}
	if _, state, err := readSplitState(t.Context(), c, "old"); err != nil || state.Phase != tenant.PhaseVerified {
		t.Fatalf("the state is %+v, %v", state, err)
	}
	if err := narrow(RiskClusterObjects); err != nil {
		t.Errorf("accepted: %v", fullText(err))
	}
	settled(t, s)
}
