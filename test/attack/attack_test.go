// Package attack proves isolation by trying to break it. Real users with real
// kubeconfigs attack, with the real helm, kubectl and helm-tenant, on a real
// cluster, in three worlds that hold the same people and teams:
//
//   - ours: tenants made by helm-tenant;
//   - the seed's recipe: a Tiller per team by plain `helm init`, whose users may
//     create pods beside it;
//   - the control: one Tiller that is cluster-admin, and an attacker who is an
//     administrator of the cluster. There every attack must succeed; that shows
//     that it is able to.
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
	"sync"
	"testing"
	"time"

	"helm-tenant/test/testcluster"
)

func TestMain(m *testing.M) {
	os.Exit(testcluster.Main(m, testcluster.Options{Size: testcluster.Full}))
}

// attack is one way of trying to get what one should not have.
type attack struct {
	name string
	// as whom it is made.
	as  []stance
	run func(ctx context.Context, s *scene) outcome
	// spoils says that it leaves what it hits unusable if it works.
	spoils bool
	// alone says that it can't be made while others are.
	alone bool
	// known says why it works against ours for those of knownAs, who are all that
	// it may work for. It is documented, and tried so that the documentation
	// stays true.
	known   string
	knownAs []stance
}

// themes are all attacks, as the table shows them.
var themes = []struct {
	name    string
	attacks []attack
}{
	{"Reaching another's Tiller", reaching},
	{"Through a Tiller, by what a chart holds", charting},
	{"The home namespace and the API server directly", homing},
	{"helm-tenant itself", tooling},
	{"Limits: known and documented, and what closes them", limits},
}

// result is what came of one attack.
type result struct {
	theme  int
	attack attack
	// ours and seed are by stance; there is one control.
	ours, seed map[stance]outcome
	control    outcome
}

func TestAttacks(t *testing.T) {
	start := time.Now()
	st := newStage(t)
	ours, seed, control := newWorlds(t, st)
	t.Logf("the worlds stood after %s", time.Since(start).Round(time.Second))

	results := attackAll(t.Context(), ours, seed, control)
	table := newTable(results)
	t.Logf("after %s:\n%s", time.Since(start).Round(time.Second), table.text())
	if file := os.Getenv("HELM_TENANT_ATTACK_TABLE"); file != "" {
		if err := os.WriteFile(file, []byte(table.markdown()), 0o644); err != nil {
			t.Error(err)
		}
	}
	for _, r := range results {
		r.check(t)
	}
	for _, hurt := range ours.unhurt(t.Context()) {
		t.Errorf("after all attacks: %s", hurt)
	}
}

// newWorlds makes the three worlds side by side.
func newWorlds(t *testing.T, st *stage) (ours, seed, control *world) {
	t.Helper()
	ctx := t.Context()
	var err error
	if st.node, err = st.nodeName(ctx); err != nil {
		t.Fatal(err)
	}
	makers := []func(context.Context, *stage) (*world, error){newOurs, newSeed, newControl}
	worlds, errs := make([]*world, len(makers)), make([]error, len(makers))
	var group sync.WaitGroup
	for i, make := range makers {
		group.Go(func() { worlds[i], errs[i] = make(ctx, st) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatalf("setting up: %v", err)
		}
	}
	return worlds[0], worlds[1], worlds[2]
}

// atOnce is how many attacks are under way side by side.
const atOnce = 5

// attackAll makes every attack in every world and stance.
func attackAll(ctx context.Context, ours, seed, control *world) []*result {
	type job struct {
		attack attack
		world  *world
		stance stance
		done   func(outcome)
	}
	var results []*result
	var together, alone []job
	var mu sync.Mutex
	for i, theme := range themes {
		for _, a := range theme.attacks {
			r := &result{theme: i, attack: a, ours: map[stance]outcome{}, seed: map[stance]outcome{}}
			results = append(results, r)
			jobs := []job{{a, control, a.as[0], func(o outcome) { r.control = o }}}
			for _, as := range a.as {
				jobs = append(jobs,
					job{a, ours, as, func(o outcome) { r.ours[as] = o }},
					job{a, seed, as, func(o outcome) { r.seed[as] = o }})
			}
			if a.alone {
				alone = append(alone, jobs...)
			} else {
				together = append(together, jobs...)
			}
		}
	}
	do := func(j job) {
		o := attempt(ctx, j.attack, j.world, j.stance)
		mu.Lock()
		defer mu.Unlock()
		j.done(o)
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
func attempt(ctx context.Context, a attack, w *world, as stance) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = failure("it panicked: %v\n%s", p, debug.Stack())
		}
	}()
	s, err := newScene(ctx, w, as, a.spoils)
	if err != nil {
		return failure("%v", err)
	}
	return a.run(ctx, s)
}

// check fails the suite for what must not be.
func (r *result) check(t *testing.T) {
	t.Helper()
	a := r.attack
	if r.control.verdict != worked {
		t.Errorf("%s: does not even succeed in the control, so it is not able to: %s", a.name, r.control.detail)
	}
	known := map[stance]bool{}
	for _, as := range a.knownAs {
		known[as] = true
	}
	if (a.known == "") != (len(known) == 0) {
		t.Errorf("%s: what is known to work needs both a reason and for whom", a.name)
	}
	for _, as := range a.as {
		who := fmt.Sprintf("%s, as %s", a.name, stanceNames[as])
		switch o := r.ours[as]; {
		case o.verdict == broken:
			t.Errorf("%s: could not run against ours: %s", who, o.detail)
		case o.verdict == worked && !known[as]:
			t.Errorf("%s: WORKED against ours: %s", who, o.detail)
		case o.verdict == refused && known[as]:
			t.Errorf("%s: is documented to work against ours, and was refused: %s; correct the list and the documentation", who, o.detail)
		}
		if o := r.seed[as]; o.verdict == broken {
			t.Errorf("%s: could not run against the seed's recipe: %s", who, o.detail)
		}
	}
}
