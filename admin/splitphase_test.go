package admin

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// splitBroken are the ways to end a run of split in each of its phases.
var splitBroken = map[tenant.Phase]func(*testing.T, *clustertest.Server, *Split) error{
	tenant.PhaseFrozen: func(t *testing.T, s *clustertest.Server, run *Split) error {
		_, err := refusing(s, "create", "Secret", func() (*SplitPlan, error) { return run.Begin(t.Context()) })
		return err
	},
	tenant.PhaseConverted: func(t *testing.T, s *clustertest.Server, run *Split) error {
		_, err := refusing(s, "create", "Deployment", func() (*SplitPlan, error) { return run.Begin(t.Context()) })
		return err
	},
	tenant.PhaseVerified: func(t *testing.T, _ *clustertest.Server, run *Split) error {
		_, err := run.Begin(t.Context())
		return err
	},
	tenant.PhaseFinishing: func(t *testing.T, s *clustertest.Server, run *Split) error {
		if _, err := run.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := refusing(s, "delete", "ConfigMap", func() (*SplitEnd, error) { return run.Finish(t.Context()) })
		return err
	},
	tenant.PhaseAborting: func(t *testing.T, s *clustertest.Server, run *Split) error {
		if _, err := run.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		run.File += "-2"
		_, err := refusing(s, "delete", "Secret", func() (*SplitEnd, error) { return run.Abort(t.Context()) })
		return err
	},
}

// splitGone are the things that disappear while a Tiller is split.
var splitGone = map[string]func(*clustertest.Server){
	"nothing":                  func(*clustertest.Server) {},
	"a tenant's namespace":     func(s *clustertest.Server) { s.Remove(namespaceKey("a")) },
	"a tenant's account":       func(s *clustertest.Server) { s.Remove(accountKey("ta-tiller", "tiller")) },
	"the role":                 func(s *clustertest.Server) { s.Remove(clusterRoleKey("admin")) },
	"a tenant's Tiller":        func(s *clustertest.Server) { s.Remove(tillerKey("ta-tiller")) },
	"the Tiller that is split": func(s *clustertest.Server) { s.Remove(tillerKey("old")) },
	"the originals":            func(s *clustertest.Server) { removeAllIn(s, "old", "ConfigMap", "web.") },
	"the copies":               func(s *clustertest.Server) { removeAllIn(s, "ta-tiller", "Secret", "web.") },
	"a tenant's record":        func(s *clustertest.Server) { s.Remove(recordKey("ta-tiller")) },
	"a tenant's home":          func(s *clustertest.Server) { removeAllIn(s, "ta-tiller", "", ""); s.Remove(namespaceKey("ta-tiller")) },
	"a tenant": func(s *clustertest.Server) {
		for _, namespace := range []string{"ta-tiller", "a"} {
			removeAllIn(s, namespace, "", "")
			s.Remove(namespaceKey(namespace))
		}
	},
	"the state": func(s *clustertest.Server) { s.Remove(splitKey("old")) },
	"the namespace of the Tiller that is split": func(s *clustertest.Server) {
		removeAllIn(s, "old", "", "")
		s.Remove(namespaceKey("old"))
	},
}

// removeAllIn removes the objects in a namespace whose kind and name begin so.
func removeAllIn(s *clustertest.Server, namespace, kind, prefix string) {
	for _, object := range s.Objects() {
		if key := cluster.KeyOf(object); key.Namespace == namespace && strings.HasPrefix(key.Kind, kind) && strings.HasPrefix(key.Name, prefix) {
			s.Remove(key)
		}
	}
}

// splitWay is how a way out of a split ends.
type splitWay struct {
	// says is the error of the first run; after first the same way is open.
	says  string
	first func(*testing.T, *Split, *clustertest.Server)
	// done says that the error is the end: nothing of the split is left.
	done bool
	// web are the namespaces with records of release web in the end, beside the default.
	web []string
}

var (
	makeNamespace = func(_ *testing.T, _ *Split, s *clustertest.Server) {
		s.Put(namespaceNamed("a"), configMapNamed("a", "web"))
	}
	makeRole   = func(_ *testing.T, _ *Split, s *clustertest.Server) { s.Put(clusterRole("admin", "*")) }
	makeTenant = func(t *testing.T, run *Split, _ *clustertest.Server) {
		write(t, run.Client, Request{Tenant: tenant.Tenant{Name: "ta", Namespaces: []string{"a"}}, Share: true, Migrating: true, Accepted: Risks})
	}
	missing = func(_ *testing.T, run *Split, _ *clustertest.Server) { run.Accepted = Accepted{RiskMissingReleases} }
	again   = func(t *testing.T, run *Split, _ *clustertest.Server) {
		if _, err := run.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		run.File += "-again"
	}
	back = func(t *testing.T, run *Split, _ *clustertest.Server) {
		if _, err := run.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
)

const (
	lostRecord = `tenant "ta" has no record any more: ConfigMap helm-tenant is gone from namespace "ta-tiller"`
	noRecord   = "the tenants' Tillers have no record of web of tenant ta"
	noSplit    = "no split is under way there"
	noTiller   = `no Tiller runs in namespace "old"`
)

// toTheEnd is how the way to the end is, where it is not open at once.
func toTheEnd(phase tenant.Phase, what string) splitWay {
	early := phase == tenant.PhaseFrozen || phase == tenant.PhaseConverted
	switch what {
	case "a tenant's namespace", "a tenant":
		if early {
			w := splitWay{says: "does not exist", first: makeNamespace, web: []string{"ta-tiller"}}
			if what == "a tenant" && phase == tenant.PhaseConverted {
				w.first = func(t *testing.T, run *Split, s *clustertest.Server) { makeNamespace(t, run, s); missing(t, run, s) }
				w.web = nil
			}
			return w
		}
	case "the role":
		if early {
			return splitWay{says: `ClusterRole "admin" does not exist`, first: makeRole, web: []string{"ta-tiller"}}
		}
	case "a tenant's record":
		if !early {
			return splitWay{says: lostRecord, first: makeTenant, web: []string{"ta-tiller"}}
		}
	case "the originals":
		if phase == tenant.PhaseFrozen {
			return splitWay{}
		}
	case "the state":
		if phase == tenant.PhaseFinishing {
			return splitWay{says: noSplit, first: again, web: []string{"ta-tiller"}}
		}
	case "the namespace of the Tiller that is split":
		switch phase {
		case tenant.PhaseFrozen: // the way back is the end
			return splitWay{says: noTiller, first: back, done: true}
		case tenant.PhaseConverted:
			return splitWay{says: noTiller, first: back, done: true, web: []string{"ta-tiller"}}
		case tenant.PhaseVerified:
			return splitWay{says: noTiller, done: true, web: []string{"ta-tiller"}}
		}
		return splitWay{says: noSplit, done: true, web: []string{"ta-tiller"}}
	}
	if phase != tenant.PhaseFrozen && slices.Contains([]string{"the copies", "a tenant's home", "a tenant"}, what) {
		return splitWay{says: noRecord, first: missing}
	}
	return splitWay{web: []string{"ta-tiller"}}
}

// andBack is how the way back is, where it is not open at once.
func andBack(phase tenant.Phase, what string) splitWay {
	switch what {
	case "a tenant's record":
		if phase != tenant.PhaseFrozen {
			return splitWay{says: lostRecord, first: makeTenant, web: []string{"old"}}
		}
	case "the originals":
		if phase == tenant.PhaseFrozen {
			return splitWay{}
		}
		return splitWay{web: []string{"ta-tiller"}}
	case "the state":
		if phase == tenant.PhaseVerified {
			return splitWay{says: noSplit, first: again, web: []string{"old"}}
		}
	case "the namespace of the Tiller that is split":
		switch phase {
		case tenant.PhaseFrozen:
			return splitWay{}
		case tenant.PhaseVerified:
			return splitWay{says: noSplit, done: true, web: []string{"ta-tiller"}}
		}
		return splitWay{web: []string{"ta-tiller"}}
	}
	return splitWay{web: []string{"old"}}
}

// TestSplitWays: from each phase the split can be completed and aborted, whatever was deleted;
// in the last two phases only the way that was taken is open.
func TestSplitWays(t *testing.T) {
	t.Parallel()
	scenarios := 0
	for phase, end := range splitBroken {
		server, c := unsplit(t).start(t)
		err := end(t, server, splitting(t, c))
		if _, state, _ := readSplitState(t.Context(), c, "old"); state == nil || state.Phase != phase {
			t.Fatalf("the phase is not %s: %v", phase, err)
		}
		objects := server.Objects()
		for what, remove := range splitGone {
			try := func(name string, expected splitWay, run func(*testing.T, *Split) error) {
				if scenarios++; scenarios%stride() != 0 {
					return
				}
				t.Run(string(phase)+", gone is "+what+", "+name, func(t *testing.T) {
					s := clustertest.Start(t, objects...)
					remove(s)
					split := splitting(t, s.Connect())
					err := run(t, split)
					if expected.says != "" {
						if !strings.Contains(fullText(err), expected.says) {
							t.Fatalf("got %v, not %v", fullText(err), expected.says)
						}
						if expected.first != nil {
							expected.first(t, split, s)
						}
						if err = nil; !expected.done {
							split.File += "-2"
							err = run(t, split)
						}
					}
					if got := whereIs(s, "web"); err != nil || !slices.Equal(got, expected.web) {
						t.Errorf("release web is in %q, not in %q: %v", got, expected.web, fullText(err))
					}
					if got := replicasOf(s, "old"); slices.Equal(expected.web, []string{"old"}) && got != "1" && what != "the Tiller that is split" {
						t.Errorf("the Tiller has %q replicas", got)
					}
					settled(t, s)
				})
			}
			if phase != tenant.PhaseAborting {
				try("to the end", toTheEnd(phase, what), func(t *testing.T, run *Split) error {
					if phase != tenant.PhaseFinishing {
						if _, err := run.Begin(t.Context()); err != nil {
							return err
						}
						run.File += "-f"
					}
					_, err := run.Finish(t.Context())
					return err
				})
			}
			if phase != tenant.PhaseFinishing {
				try("and back", andBack(phase, what), func(t *testing.T, run *Split) error {
					_, err := run.Abort(t.Context())
					return err
				})
			}
		}
	}
}

// whereIs returns the namespaces that have records of a release.
func whereIs(s *clustertest.Server, release string) []string {
	found := map[string]bool{}
	for key := range recordsIn(s) {
		if _, namespace, _ := strings.Cut(key, " in namespace "); strings.Contains(key, " "+release+".v") {
			found[namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// TestSplitForgedState: whatever the state says, --abort removes no record of a release that
// the Tiller which is split does not have.
func TestSplitForgedState(t *testing.T) {
	s, c := unsplit(t).start(t)
	if _, err := splitting(t, c).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	own := record(t, "ta-tiller", "own", "a", 1, 1)
	s.Put(own)
	_, state, err := readSplitState(t.Context(), c, "old")
	if err != nil {
		t.Fatal(err)
	}
	state.Releases["own"], state.Copies["own"] = "ta", ""
	forged, err := splitObject("old", *state)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(forged)
	if _, err := splitting(t, c).Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := whereIs(s, "own"); !slices.Equal(got, []string{"ta-tiller"}) || !slices.Equal(whereIs(s, "web"), []string{"old"}) {
		t.Errorf("release own is in %q, release web in %q", got, whereIs(s, "web"))
	}
	settled(t, s)
}

// TestSplitToFrozen: a tenant that is frozen gets no releases.
func TestSplitToFrozen(t *testing.T) {
	s, c := unsplit(t).start(t)
	write(t, c, Request{Tenant: tenant.Tenant{Name: "ta", Namespaces: []string{"a"}}, Exact: true})
	write(t, c, FreezeRequest("ta", "INC-12", noon))
	before := s.Objects()
	_, err := splitting(t, c).Begin(t.Context())
	if frozen, ok := errors.AsType[*FrozenError](err); !ok || frozen.Name != "ta" || len(s.Objects()) != len(before) {
		t.Errorf("got %v", err)
	}
}
