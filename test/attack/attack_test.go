// Package attack proves isolation by trying to break it. Real users with real
// kubeconfigs attack, with the real helm, kubectl and helm-tenant, on a real
// cluster, in three worlds that hold the same people and teams. For Helm 2:
//
//   - ours: tenants made by helm-tenant;
//   - the seed's recipe: a Tiller per team by plain `helm init`, whose users may
//     create pods beside it. It is there to compare with, see compared;
//   - the control: one Tiller that is cluster-admin, and an attacker who is an
//     administrator of the cluster. There every attack must succeed; that shows
//     that it is able to.
//
// For Helm 3 and 4 the worlds are alike, see TestImpersonation.
//
// An attack works when its effect is seen. It is refused when something whose
// task that is says so, in words that are known. Anything else, a timeout or a
// missing program, is neither: the attack could not run, and the suite fails.
package attack

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

func TestMain(m *testing.M) {
	os.Exit(testcluster.Main(m, testcluster.Options{Size: testcluster.Full}))
}

// attack is one way of trying to get what one should not have.
type attack struct {
	name string
	// as whom it is made.
	as  []relation
	run func(ctx context.Context, s *attackRun) outcome
	// spoils says that it leaves what it hits unusable if it works.
	spoils bool
	// needsPod says that what it spoils has to have a pod of Tiller's.
	needsPod bool
	// alone says that it can't be made while others are.
	alone bool
	// known is the reason why the attack works in ours, and only for those in knownAs. It is
	// documented; the test checks that the documentation is true.
	known   string
	knownAs []relation
}

// theme is a list of attacks under one heading.
type theme struct {
	name    string
	attacks []attack
	// once says that no helm is in it: it is made in the first world of each kind.
	once bool
}

// themes are all attacks on tenants of Helm 2, as the table shows them.
var themes = []theme{
	{name: "Reaching another's Tiller", attacks: reaching},
	{name: "Through a Tiller, by what a chart holds", attacks: charting},
	{name: "The home namespace and the API server directly", attacks: homing},
	{name: "helm-tenant itself", attacks: tooling},
	{name: "From the tenant's own namespaces, at its neighbours", attacks: guarding},
	{name: "Limits: known and documented, and what closes them", attacks: limits},
}

// trial is a set of attacks, and the worlds in which they are made: one of each kind for every
// helm.
type trial struct {
	themes                  []theme
	ours, baseline, control []*world
	// against is what the baseline is called.
	against string
}

// result is what came of one attack, by world and relation. In the control it is
// made in one relation.
type result struct {
	theme  int
	attack attack
	in     map[*world]map[relation]outcome
}

// tableFile returns the file to which the table is written; empty for none.
func tableFile() string { return os.Getenv("HELM_TENANT_ATTACK_TABLE") }

// compared reports whether attacks are also made in the baseline's world: in a soak, and for
// the table. Their results there say nothing about helm-tenant.
func compared() bool { return harness.Soak() || tableFile() != "" }

func TestAttacks(t *testing.T) {
	st := newEnvironment(t)
	t.Parallel() // with TestImpersonation, whose teams are others
	makers := []maker{newOurs, newControl}
	if compared() {
		makers = append(makers, newSeed)
	}
	worlds := newWorlds(t, makers, st, st, st)
	tr := &trial{themes: themes, ours: worlds[:1], control: worlds[1:2], baseline: worlds[2:], against: "seed's recipe"}
	tr.run(t, tableFile())
}

// run makes all attacks, prints the table, writes it where a file is named, and
// fails for what must not be.
func (tr *trial) run(t *testing.T, file string) {
	start := time.Now()
	results := tr.attackAll(t.Context())
	table := newTable(tr, results)
	t.Logf("after %s:\n%s", time.Since(start).Round(time.Second), table.text())
	if file != "" {
		if err := os.WriteFile(file, []byte(table.markdown()), 0o644); err != nil {
			t.Error(err)
		}
	}
	for _, r := range results {
		r.check(t, tr)
	}
	for _, w := range tr.ours {
		for _, hurt := range w.unhurt(t.Context()) {
			t.Errorf("after all attacks: %s", hurt)
		}
	}
}

// maker makes a world on a environment.
type maker func(context.Context, *environment) (*world, error)

// newWorlds makes worlds side by side, each on its environment.
func newWorlds(t *testing.T, makers []maker, environments ...*environment) []*world {
	t.Helper()
	start := time.Now()
	worlds, errs := make([]*world, len(makers)), make([]error, len(makers))
	var group sync.WaitGroup
	for i, make := range makers {
		group.Go(func() { worlds[i], errs[i] = make(t.Context(), environments[i]) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatalf("setting up: %v", err)
		}
	}
	t.Logf("the worlds stood after %s", time.Since(start).Round(time.Second))
	return worlds
}

// atOnce is how many attacks are under way side by side.
const atOnce = 5

// attackAll makes every attack in every world and relation.
func (tr *trial) attackAll(ctx context.Context) []*result {
	type job struct {
		result   *result
		world    *world
		relation relation
	}
	var results []*result
	var together, alone []job
	var mu sync.Mutex
	for i, theme := range tr.themes {
		// Of worlds that differ in their helm one is chosen in turn: as each of those whom
		// an attack concerns it is made with one of the helms, and with each as somebody.
		choose := func(worlds []*world, number int) []*world {
			switch {
			case len(worlds) > 1 && theme.once:
				return worlds[:1]
			case len(worlds) > 1 && !compared():
				return worlds[number%len(worlds):][:1]
			}
			return worlds
		}
		for _, a := range theme.attacks {
			r := &result{theme: i, attack: a, in: map[*world]map[relation]outcome{}}
			results = append(results, r)
			var jobs []job
			for _, w := range choose(tr.control, len(results)) {
				jobs = append(jobs, job{r, w, a.as[0]})
			}
			for number, as := range a.as {
				for _, w := range slices.Concat(choose(tr.ours, len(results)+number), choose(tr.baseline, 0)) {
					jobs = append(jobs, job{r, w, as})
				}
			}
			for _, j := range jobs {
				if r.in[j.world] == nil {
					r.in[j.world] = map[relation]outcome{}
				}
				r.in[j.world][j.relation] = outcome{} // broken, until it is made
			}
			if a.alone {
				alone = append(alone, jobs...)
			} else {
				together = append(together, jobs...)
			}
		}
	}
	do := func(j job) {
		o := attempt(ctx, j.result.attack, j.world, j.relation)
		mu.Lock()
		defer mu.Unlock()
		j.result.in[j.world][j.relation] = o
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, j := range together {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			do(j)
		})
	}
	group.Wait()
	for _, j := range alone {
		do(j)
	}
	return results
}

// attempt makes one attack. One that breaks in the middle could not run.
func attempt(ctx context.Context, a attack, w *world, as relation) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = failure("it panicked: %v\n%s", p, debug.Stack())
		}
	}()
	s, err := newAttackRun(ctx, w, as, a)
	if err != nil {
		return failure("%v", err)
	}
	return a.run(ctx, s)
}

// made returns the worlds of these in which the attack was made in that relation.
func (r *result) made(worlds []*world, as relation) []*world {
	return slices.DeleteFunc(slices.Clone(worlds), func(w *world) bool {
		_, existing := r.in[w][as]
		return !existing
	})
}

// check fails the suite for what must not be.
func (r *result) check(t *testing.T, tr *trial) {
	t.Helper()
	a := r.attack
	for _, w := range r.made(tr.control, a.as[0]) {
		if o := r.in[w][a.as[0]]; o.verdict != worked {
			t.Errorf("%s, Helm %d: does not even succeed in the control, so it is not able to: %s", a.name, w.major, o.detail)
		}
	}
	known := map[relation]bool{}
	for _, as := range a.knownAs {
		known[as] = true
	}
	if (a.known == "") != (len(known) == 0) {
		t.Errorf("%s: what is known to work needs both a reason and for whom", a.name)
	}
	for _, as := range a.as {
		for _, w := range r.made(tr.ours, as) {
			who := fmt.Sprintf("%s, as %s, Helm %d", a.name, relationNames[as], w.major)
			switch o := r.in[w][as]; {
			case o.verdict == broken:
				t.Errorf("%s: could not run against ours: %s", who, o.detail)
			case o.verdict == worked && !known[as]:
				t.Errorf("%s: WORKED against ours: %s", who, o.detail)
			case o.verdict == refused && known[as]:
				t.Errorf("%s: is documented to work against ours, and was refused: %s; correct the list and the documentation", who, o.detail)
			}
		}
		for _, w := range r.made(tr.baseline, as) {
			if o := r.in[w][as]; o.verdict == broken {
				t.Errorf("%s, as %s, Helm %d: could not run against the %s: %s", a.name, relationNames[as], w.major, tr.against, o.detail)
			}
		}
	}
}
