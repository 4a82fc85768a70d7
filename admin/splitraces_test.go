package admin

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// beginAnd runs a split, and do once when the key was written.
func beginAnd(t *testing.T, run *Split, key cluster.Key, do func()) error {
	t.Helper()
	var once sync.Once
	run.Event = func(e Event) {
		if e.Change != nil && e.Change.Key == key {
			once.Do(do)
		}
	}
	_, err := run.Begin(t.Context())
	run.Event = func(Event) {}
	return err
}

func configMapKey(namespace, name string) cluster.Key {
	return cluster.Key{Kind: "ConfigMap", Namespace: namespace, Name: name}
}

// TestSplitLeavesNewReleases: what a tenant installs before its Tiller is stopped is its own,
// also under the name of a release that moves.
func TestSplitLeavesNewReleases(t *testing.T) {
	s, c := unsplit(t).start(t)
	write(t, c, Request{Tenant: tenant.Tenant{Name: "ta", Namespaces: []string{"a"}}, Exact: true})
	run := splitting(t, c)
	err := beginAnd(t, run, splitKey("old"), func() { s.Put(record(t, "ta-tiller", "web", "a", 7, release.Status_DEPLOYED)) })
	if err == nil || !strings.Contains(fullText(err), `release web: the Tiller of tenant "ta" has one of that name already`) {
		t.Fatalf("got %v", fullText(err))
	}
	with := recordsIn(s)
	run.File += "-2"
	if _, err := run.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(with, recordsIn(s)); diff != "" || replicasOf(s, "old") != "1" || replicasOf(s, "ta-tiller") != "1" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	settled(t, s)
}

// TestSplitWhileReleasesChange: until the Tiller is stopped, releases come and go.
func TestSplitWhileReleasesChange(t *testing.T) {
	s, c := unsplit(t).start(t)
	run := splitting(t, c)
	if err := beginAnd(t, run, splitKey("old"), func() { s.Remove(configMapKey("old", "db.v1")) }); err != nil {
		t.Fatal(err)
	}
	if replicasOf(s, "tb-tiller") != "1" {
		t.Errorf("the Tiller of the tenant without a release has %q replicas", replicasOf(s, "tb-tiller"))
	}
	run.File += "-2"
	if _, err := run.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, s)

	s, c = unsplit(t).start(t)
	s.Remove(configMapKey("old", "db.v1"))
	run = splitting(t, c)
	err := beginAnd(t, run, splitKey("old"), func() { s.Put(inConfigMap(record(t, "old", "db", "b", 1, release.Status_DEPLOYED))) })
	if err == nil || !strings.Contains(err.Error(), `release "db" of tenant "tb" was installed before the Tiller stopped`) {
		t.Fatalf("got %v", err)
	}
	run.File += "-2"
	if _, err := run.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if recordsIn(s)["Secret db.v1 in namespace tb-tiller"] == "" {
		t.Error("the new release has no copy")
	}
}

// TestSplitAbortedMeanwhile: a run that waits for a Tiller to stop does not go on when another
// admin goes back.
func TestSplitAbortedMeanwhile(t *testing.T) {
	s, c := unsplit(t).start(t)
	before := recordsIn(s)
	err := beginAnd(t, splitting(t, c), tillerKey("old"), func() {
		if _, err := splitting(t, c).Abort(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, ErrEnded) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, recordsIn(s)); diff != "" || replicasOf(s, "old") != "1" {
		t.Errorf("the old Tiller has %q replicas; records (-want +got):\n%s", replicasOf(s, "old"), diff)
	}
	settled(t, s)
}

// TestSplitByTwo: who began decides which releases move.
func TestSplitByTwo(t *testing.T) {
	quiet := func(cluster.Change) {}
	state := func(releases map[string]string) *tenant.Split {
		return &tenant.Split{Phase: tenant.PhaseFrozen, Storage: tenant.StorageConfigMap, Releases: releases}
	}
	s, c := unsplit(t).start(t)
	mine, others := state(map[string]string{"web": "ta"}), state(map[string]string{"web": "tb"})
	if err := setSplit(t.Context(), c, "old", nil, mine, quiet); err != nil {
		t.Fatal(err)
	}
	if err := setSplit(t.Context(), c, "old", nil, mine, quiet); err != nil {
		t.Errorf("the same split: %v", err)
	}
	var splitting *SplittingError
	if err := setSplit(t.Context(), c, "old", nil, others, quiet); !errors.As(err, &splitting) {
		t.Errorf("another split: %v", err)
	}
	if _, now, err := readSplitState(t.Context(), c, "old"); err != nil || now.Releases["web"] != "ta" {
		t.Errorf("it is %v, %v: %v", now, err, s.Get(splitKey("old")))
	}
}

// TestSplitOfWrittenRecords: what was written after the copies were made is not removed
// without a word, and neither is what tenants did with a release.
func TestSplitOfWrittenRecords(t *testing.T) {
	t.Parallel()
	begun := func(t *testing.T) (*clustertest.Server, *Split) {
		s, c := unsplit(t).start(t)
		run := splitting(t, c)
		if _, err := run.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		run.File += "-2"
		return s, run
	}
	t.Run("finish", func(t *testing.T) {
		s, run := begun(t)
		s.Put(inConfigMap(record(t, "old", "web", "a", 2, release.Status_DELETED)))
		_, err := run.Finish(t.Context())
		if risk, ok := errors.AsType[*RiskError](err); !ok || risk.Risk != RiskMissingReleases || !strings.Contains(err.Error(), `the records of web in namespace "old" were written after they were copied`) {
			t.Fatalf("got %v", err)
		}
		run.Accepted = Accepted{RiskMissingReleases}
		if _, err := run.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	for _, test := range []struct {
		name   string
		status release.Status_Code
		age    time.Duration
		want   string
	}{
		{"deleted with its history kept", release.Status_DELETED, 0, "left it at revision 1, DELETED"},
		{"installed anew", release.Status_DEPLOYED, time.Hour, "left it at revision 1, DEPLOYED"},
		{"left alone", release.Status_DEPLOYED, 0, ""},
	} {
		t.Run("abort, "+test.name, func(t *testing.T) {
			s, run := begun(t)
			changed := record(t, "tb-tiller", "db", "b", 1, test.status)
			if test.age > 0 {
				changed.Labels["CREATED_AT"] = fmt.Sprint(time.Now().Add(test.age).Unix())
			}
			s.Put(changed)
			var output strings.Builder
			run.Event = func(e Event) { output.WriteString(e.Text) }
			if _, err := run.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := output.String(); !strings.Contains(got, test.want) || strings.Contains(got, "release db") != (test.want != "") {
				t.Errorf("it says %q", got)
			}
		})
	}
}
