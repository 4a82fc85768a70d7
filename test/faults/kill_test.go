package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rails"
	"helm-tenant/test/harness"
)

// scenario is a command that is killed after each of its writes. NAME in its
// texts stands for a name that no other kill has.
type scenario struct {
	name string
	// prefix begins all its names.
	prefix string
	// tenants are the tenants that exist before, as items of a tenants file.
	tenants string
	// prepare creates the other objects that exist before.
	prepare func(ctx context.Context, w *world, name string) error
	// first checks a condition for the first write.
	first func(ctx context.Context, w *world, name, folder string) error
	args  string
	input string
	// about are the tenants whose access is looked at.
	about []string
	// loses is for a change during which access that exists before and after may be missing.
	loses bool
	// renews is for a command that writes each time: a grant for a time, which ends later in
	// another second, or a revoke that restarts Tiller whoever was a member.
	renews bool
	// policy has the cluster's admission policies of homes, of freezes and of reserved labels
	// taken away before
	// each run.
	policy bool
	// alone is for a command about all tenants of the cluster: no other scenario and no other
	// kill runs at the same time, and their tenants are created only then. Its input is the
	// tenants file of all tenants but those of its own name.
	alone bool
	// every has it killed at every write, unless -short; others are killed at some.
	every bool
}

// inFlight is how many kills are under way at once; most of each is waiting.
const inFlight = 8

// TestKilledAfterEveryWrite kills the command twice for each of its writes: after the API
// server's answer, with concurrent writes in one order, and before the answer, in the reverse
// order. Only `make soak` does all of that; see sample.
func TestKilledAfterEveryWrite(t *testing.T) {
	w := start(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if !s.policy && !s.alone {
				t.Parallel()
			}
			began := time.Now()
			points, err := s.run(t, w)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d kill points in %.1fs", points, time.Since(began).Seconds())
		})
	}
}

// one returns a name of the scenario.
func (s *scenario) one(number int) string { return fmt.Sprintf("%s%03d", s.prefix, number) }

// kill is one run that is killed.
type kill struct {
	name   string
	after  int
	second bool
}

func (k kill) String() string {
	if k.second {
		return fmt.Sprintf("killed before the answer to write %d, side by side ones backwards", k.after)
	}
	return fmt.Sprintf("killed after write %d", k.after)
}

// sample returns the kills of a command with that many writes: all of them in a soak, otherwise
// some, evenly spread, alternately after and before the answer.
func (s *scenario) sample(writes int) (kills []kill) {
	if harness.Soak() {
		for _, second := range []bool{false, true} {
			for n := range writes {
				kills = append(kills, kill{after: n + 1, second: second})
			}
		}
		return kills
	}
	points := min(2, writes)
	if s.every && !testing.Short() {
		points = writes
	}
	for i := range points {
		kills = append(kills, kill{after: (2*i+1)*writes/(2*points) + 1, second: i%2 == 1})
	}
	return kills
}

func (s *scenario) run(t *testing.T, w *world) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	undisturbed := s.one(0)
	if err := s.setUp(ctx, w, undisturbed); err != nil {
		return 0, err
	}
	about := questions(s.about...)
	before, err := w.ask(ctx, about, undisturbed)
	if err != nil {
		return 0, err
	}
	created, err := s.undisturbed(ctx, w, undisturbed, 0)
	if err != nil {
		return 0, err
	}
	after, err := w.ask(ctx, about, undisturbed)
	if err != nil {
		return 0, err
	}
	for _, q := range about {
		if q.namespace == "kube-system" && after[q] {
			return 0, fmt.Errorf("in the end: %v", q)
		}
	}
	t.Logf("writes:\n%s", strings.Join(created, "\n"))
	kills := s.sample(len(created))
	var names []string
	for i := range kills {
		kills[i].name = s.one(i + 1)
		names = append(names, kills[i].name)
	}
	if !s.alone { // otherwise one kill could change what the next one needs
		if err := s.setUp(ctx, w, names...); err != nil {
			return 0, err
		}
	}
	width := inFlight
	if s.policy || s.alone {
		width = 1 // there is one policy, and one cluster
	}
	var mu sync.Mutex
	side(width, len(kills), func(i int) {
		if err := s.kill(ctx, w, kills[i], about, before, after); err != nil {
			mu.Lock()
			defer mu.Unlock()
			t.Errorf("%s, %v: %v", kills[i].name, kills[i], err)
		}
	})
	if t.Failed() {
		return 0, nil
	}
	current, err := w.settledStates(ctx, s.prefix, len(undisturbed))
	if err != nil {
		return 0, err
	}
	for _, k := range kills {
		if err := current[k.name].differs(current[undisturbed]); err != nil {
			t.Errorf("%s, %v: %v", k.name, k, err)
		}
	}
	return len(kills), nil
}

// side calls do for 0 to n-1, some side by side.
func side(width, n int, do func(i int)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range width {
		group.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

// settledStates returns the states when no namespace is being deleted any more.
func (w *world) settledStates(ctx context.Context, prefix string, length int) (map[string]state, error) {
	if err := w.awaitDeleted(ctx, prefix); err != nil {
		return nil, err
	}
	return w.states(ctx, prefix, length)
}

// awaitDeleted waits until no namespace of that prefix is being deleted any more.
func (w *world) awaitDeleted(ctx context.Context, prefix string) error {
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(200 * time.Millisecond) {
		all, err := w.root.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		leaving := ""
		for _, ns := range all.Items {
			if strings.HasPrefix(ns.Name, prefix) && ns.DeletionTimestamp != nil {
				leaving = ns.Name
			}
		}
		if leaving == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("namespace %s is not deleted in time", leaving)
		}
	}
}

// setUp creates what exists before the command.
func (s *scenario) setUp(ctx context.Context, w *world, names ...string) error {
	if s.tenants != "" {
		file := "apiVersion: helm-tenant/v1\ntenants:\n"
		for _, name := range names {
			file += strings.ReplaceAll(s.tenants, "NAME", name)
		}
		if err := w.must(w.run(w.direct, w.folder(), file, "apply", "-f", "-", "--create-namespaces")); err != nil {
			return err
		}
	}
	if s.prepare == nil {
		return nil
	}
	for _, name := range names {
		if err := s.prepare(ctx, w, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) command(w *world, name string) (args []string, input string, err error) {
	args, input = strings.Fields(strings.ReplaceAll(s.args, "NAME", name)), strings.ReplaceAll(s.input, "NAME", name)
	args = append(args, "--request-timeout=2m") // on a busy machine an answer has taken the usual 30 s
	if s.alone {
		// Those whose home is about to go can't be written any more.
		if err = w.awaitDeleted(context.Background(), ""); err == nil {
			input, err = w.allBut(name)
		}
	}
	return args, input, err
}

// allBut returns the tenants file of all tenants whose names do not begin so.
func (w *world) allBut(name string) (string, error) {
	r, err := w.run(w.direct, w.folder(), "", "tenants", "-o", "name")
	if err := w.must(r, err); err != nil {
		return "", err
	}
	export := []string{"export"}
	for _, other := range strings.Fields(r.Stdout) {
		if other = strings.TrimPrefix(other, "tenant/"); !strings.HasPrefix(other, name) {
			export = append(export, other)
		}
	}
	r, err = w.run(w.direct, w.folder(), "", export...)
	return r.Stdout, w.must(r, err)
}

// undisturbed runs the command to its end and returns the writes that it made.
func (s *scenario) undisturbed(ctx context.Context, w *world, name string, code int) ([]string, error) {
	if err := s.dropPolicy(ctx, w); err != nil {
		return nil, err
	}
	g := newGate()
	folder := w.folder()
	p, err := w.through(folder, g.handle)
	if err != nil {
		return nil, err
	}
	defer p.close()
	args, input, err := s.command(w, name)
	if err != nil {
		return nil, err
	}
	r, err := w.run(p.kubeconfig, folder, input, args...)
	if err == nil && r.Code != code {
		err = fmt.Errorf("exit code %d, not %d: %v", r.Code, code, r)
	}
	return g.made, err
}

func (s *scenario) kill(ctx context.Context, w *world, k kill, about []question, before, after access) error {
	if s.alone {
		if err := s.setUp(ctx, w, k.name); err != nil {
			return err
		}
	}
	if err := s.dropPolicy(ctx, w); err != nil {
		return err
	}
	folder := w.folder()
	g := newGate()
	g.stopAfter, g.silent, g.backwards = k.after, k.second, k.second
	if s.first != nil {
		g.first = func() error { return s.first(ctx, w, k.name, folder) }
	}
	proxy, err := w.through(folder, g.handle)
	if err != nil {
		return err
	}
	defer proxy.close()
	args, input, err := s.command(w, k.name)
	if err != nil {
		return err
	}
	p, err := w.launch(proxy.kubeconfig, folder, input, args...)
	if err != nil {
		return err
	}
	select {
	case <-g.reached:
		if !k.second {
			time.Sleep(20 * time.Millisecond) // it continues with its next requests
		}
		_ = p.cmd.Process.Kill() // it may have ended after its last write
		<-p.ended
	case <-p.ended:
		select {
		case <-g.reached: // after its last write it may end before we look
		default:
			r, _ := p.result()
			return fmt.Errorf("it ended after %d writes, %q: %v", len(g.made), g.made, r)
		}
	}
	proxy.close()
	if g.err != nil {
		return g.err
	}
	between, err := w.ask(ctx, about, k.name)
	if err == nil {
		err = between.wrong(before, after, !s.loses)
	}
	if err != nil {
		return fmt.Errorf("after %q: %w", g.made, err)
	}
	// The same command again, and once more.
	r, err := w.run(w.direct, folder, input, args...)
	if err == nil && r.Code != 0 && !goneAlready(r) {
		err = fmt.Errorf("the same command again does not finish, after %q: %v", g.made, r)
	}
	if err != nil {
		return err
	}
	second := newGate()
	counting, err := w.through(w.folder(), second.handle)
	if err != nil {
		return err
	}
	defer counting.close()
	r, err = w.run(counting.kubeconfig, folder, input, args...)
	if err == nil && r.Code != 0 && !goneAlready(r) {
		err = fmt.Errorf("the third run fails: %v", r)
	}
	if err == nil && second.begun > 0 && !s.renews {
		err = fmt.Errorf("the third run writes %q", second.made)
	}
	return err
}

// goneAlready reports whether a destroy found nothing left to destroy, or a migrate or a
// split nothing to end.
func goneAlready(r harness.Result) bool {
	switch r.Args[0] {
	case "migrate":
		return r.Code == 1 && strings.Contains(r.Stderr, "it is not being migrated")
	case "split":
		return r.Code == 1 && strings.Contains(r.Stderr, "no split is under way there")
	}
	return r.Args[0] == "destroy" && r.Code == 1 && strings.Contains(r.Stderr, "there is no tenant")
}

func (s *scenario) dropPolicy(ctx context.Context, w *world) error {
	if !s.policy {
		return nil
	}
	api := w.root.AdmissionregistrationV1()
	var err error
	for _, name := range []string{"helm-tenant-records", rails.PolicyPrefix + "frozen", rails.PolicyPrefix + "frozen-warn",
		rails.PolicyPrefix + "namespaces", rails.PolicyPrefix + "configmaps"} {
		err = errors.Join(err,
			ignoreNotFound(api.ValidatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{})),
			ignoreNotFound(api.ValidatingAdmissionPolicies().Delete(ctx, name, metav1.DeleteOptions{})),
		)
	}
	return err
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
