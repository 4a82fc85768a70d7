package faults

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/test/harness"
)

// trialsAtOnce is how many commands run with faults side by side: most of each is
// waiting.
const trialsAtOnce = 12

// trials is how many commands run with faults.
func trials() int {
	switch {
	case harness.Soak():
		return 400
	case testing.Short():
		return 12
	}
	return 18 // three of each verb
}

// spec is a tenant of a trial.
type spec struct {
	namespaces []string // a, b, c
	users      []string
	role       string
}

// item returns the tenant as an item of a tenants file.
func (s *spec) item(name string) string {
	var namespaces []string
	for _, ns := range s.namespaces {
		namespaces = append(namespaces, name+"-"+ns)
	}
	return fmt.Sprintf("- name: %s\n  namespaces: [%s]\n  role: %s\n  members: {users: [%s]}\n",
		name, strings.Join(namespaces, ", "), s.role, strings.Join(s.users, ", "))
}

// trial is one command that runs with faults. Its tenants are NAMEx, NAMEy and NAMEz: those
// that exist before, and those that should exist afterwards.
type trial struct {
	number        int
	seed          uint64
	verb          string
	args, input   string
	before, after map[string]*spec
	releases      bool
	faults        faults
}

func (t *trial) name() string { return fmt.Sprintf("c%03d", t.number) }
func (t *trial) like() string { return fmt.Sprintf("r%03d", t.number) }

func newTrial(number int, seed uint64) *trial {
	random := rand.New(rand.NewPCG(seed, 1))
	some := func(atLeast int, names ...string) []string {
		n := atLeast + random.IntN(len(names)-atLeast+1)
		var chosen []string
		for _, i := range random.Perm(len(names))[:n] {
			chosen = append(chosen, names[i])
		}
		return chosen
	}
	role := func() string { return some(1, "admin", "edit", "view", roleOne, roleTwo)[0] }
	tenant := func() *spec {
		return &spec{namespaces: some(1, "a", "b", "c"), users: some(0, "alice", "bob", "carol", "dave"), role: role()}
	}
	users := func(names []string) (flags string) {
		for _, name := range names {
			flags += " --user " + name
		}
		return flags
	}
	namespaces := func(names []string) string {
		var full []string
		for _, ns := range names {
			full = append(full, "NAMEx-"+ns)
		}
		return " --namespaces " + strings.Join(full, ",")
	}
	t := &trial{number: number, seed: seed, before: map[string]*spec{}, after: map[string]*spec{}}
	verbs := []string{"init", "init again", "apply", "grant", "revoke", "destroy"}
	t.verb = verbs[seed%uint64(len(verbs))] // trials have seeds in a row
	switch t.verb {
	case "init":
		x := tenant()
		t.after["x"] = x
		t.args = "init NAMEx --create-namespaces --wait=false --role " + x.role + namespaces(x.namespaces) + users(x.users)
	case "init again":
		x, asked := tenant(), tenant()
		t.before["x"] = x
		t.after["x"] = &spec{namespaces: union(x.namespaces, asked.namespaces), users: union(x.users, asked.users), role: asked.role}
		t.args = "init NAMEx --create-namespaces --wait=false --role " + asked.role + namespaces(asked.namespaces) + users(asked.users)
		if random.IntN(2) == 0 {
			t.args += " --prune"
			t.after["x"].namespaces = asked.namespaces
		}
	case "apply":
		t.args, t.input = "apply -f - --create-namespaces", "apiVersion: helm-tenant/v1\ntenants:\n"
		for _, letter := range some(1, "x", "y", "z") {
			t.after[letter] = tenant()
			t.input += t.after[letter].item("NAME" + letter)
			switch random.IntN(4) {
			case 0:
				t.before[letter] = t.after[letter]
			case 1:
			default:
				t.before[letter] = tenant()
			}
		}
	case "grant", "revoke":
		x, asked := tenant(), some(1, "alice", "bob", "carol", "dave", "erin")
		t.before["x"] = x
		next := *x
		next.users = union(x.users, asked)
		if t.verb == "revoke" {
			next.users = slices.DeleteFunc(slices.Clone(x.users), func(user string) bool { return slices.Contains(asked, user) })
		}
		t.after["x"] = &next
		t.args = t.verb + " NAMEx" + users(asked)
	case "destroy":
		t.before["x"] = tenant()
		t.releases = random.IntN(2) == 0
		t.args = "destroy NAMEx --keep-releases --yes"
	}
	t.faults = newFaults(seed, random)
	return t
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// left is what the trial leaves of namespaces that are no tenant's any more.
func (t *trial) left() (state, error) {
	all := state{}
	for letter, was := range t.before {
		for _, ns := range was.namespaces {
			next := t.after[letter]
			if next != nil && slices.Contains(next.namespaces, ns) {
				continue
			}
			name := "NAME" + letter + "-" + ns
			labels := map[string]any{"kubernetes.io/metadata.name": name}
			if next != nil {
				labels["app.kubernetes.io/managed-by"] = "helm-tenant" // it made it
			}
			key, text, err := normal(&unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Namespace",
				"metadata": map[string]any{"name": name, "labels": labels},
				"spec":     map[string]any{"finalizers": []any{"kubernetes"}},
			}}, "NAME")
			if err != nil {
				return nil, err
			}
			all[key] = text
		}
	}
	return all, nil
}

// chosenSeed returns the seed of the faults, HELM_TENANT_SEED or one by the clock, and logs
// it, so that a failure can be repeated.
func chosenSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano()) % 1_000_000
	if s := os.Getenv("HELM_TENANT_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("HELM_TENANT_SEED: %v", err)
		}
	}
	t.Logf("HELM_TENANT_SEED=%d", seed)
	return seed
}

// TestChaos runs commands through a proxy that disturbs them. Each ends successfully or with a
// clear error; then the same command without faults succeeds. In the end everything is as an
// undisturbed apply would make it.
func TestChaos(t *testing.T) {
	w, ctx := start(t), context.Background()
	seed := chosenSeed(t)
	began := time.Now()
	all := make([]*trial, trials())
	file := "apiVersion: helm-tenant/v1\ntenants:\n"
	for i := range all {
		all[i] = newTrial(i, seed+uint64(i))
		for letter, s := range all[i].before {
			file += s.item(all[i].name() + letter)
		}
		for letter, s := range all[i].after {
			file += s.item(all[i].like() + letter)
		}
	}
	if err := w.must(w.run(w.direct, w.folder(), file, "apply", "-f", "-", "--create-namespaces")); err != nil {
		t.Fatal(err)
	}
	for _, trial := range all {
		if trial.releases {
			if err := addReleases(ctx, w, trial.name()+"x"); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("made what is there before, and what is wanted: %.1fs", time.Since(began).Seconds())
	var mu sync.Mutex
	counts := map[string]int{}
	side(trialsAtOnce, len(all), func(i int) {
		outcome, err := all[i].run(w)
		mu.Lock()
		defer mu.Unlock()
		counts[outcome]++
		if len(all[i].faults.made) == 0 {
			counts["undisturbed by chance"]++
		}
		for fault, n := range all[i].faults.made {
			counts["fault "+fault] += n
		}
		if err != nil {
			t.Errorf("%v: %v", all[i], err)
		}
	})
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%4d %s", counts[what], what)
	}
	current, err := w.settledStates(ctx, "c", len("c000"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := w.states(ctx, "r", len("r000"))
	if err != nil {
		t.Fatal(err)
	}
	for _, trial := range all {
		left, err := trial.left()
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(left, want[trial.like()])
		if err := current[trial.name()].differs(left); err != nil {
			t.Errorf("%v: %v", trial, err)
		}
	}
	t.Logf("%.1fs", time.Since(began).Seconds())
}

func (t *trial) String() string {
	return fmt.Sprintf("trial %d (HELM_TENANT_SEED=%d for it as trial 0, %s)", t.number, t.seed, t.verb)
}

// run runs the command with faults and, where it failed, once more without.
func (t *trial) run(w *world) (outcome string, err error) {
	folder := w.folder()
	p, err := w.through(folder, t.faults.handle)
	if err != nil {
		return "", err
	}
	defer p.close()
	args := strings.Fields(strings.ReplaceAll(t.args, "NAME", t.name()))
	input := strings.ReplaceAll(t.input, "NAME", t.name())
	r, err := w.run(p.kubeconfig, folder, input, append(args, "--request-timeout", requestTimeout.String())...)
	switch {
	case err != nil:
		return "hung", err
	case r.Code == 0:
		return t.verb + ": done", nil
	}
	if err := t.complains(r); err != nil {
		return "unclear error", err
	}
	second, err := w.run(w.direct, folder, input, args...)
	if err == nil && second.Code != 0 && !goneAlready(second) {
		err = fmt.Errorf("the same command again, without faults, does not finish: %v\nfirst: %v", second, r)
	}
	return t.verb + ": an error, and done by the same command again", err
}

// complains checks that a command failed as it should.
func (t *trial) complains(r harness.Result) error {
	var found []string
	for line := range strings.Lines(r.Stderr) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "Error: "):
			found = append(found, line)
		case len(found) > 0 && !strings.HasPrefix(line, "  "):
			return fmt.Errorf("%q is no clear line: %v", line, r)
		}
	}
	atMost := 1
	if t.verb == "apply" {
		atMost = len(t.after) // a line for each that failed
	}
	if len(found) == 0 || len(found) > atMost {
		return fmt.Errorf("%d lines of error: %v", len(found), r)
	}
	for _, line := range found {
		// These concern every tenant.
		whole := t.verb == "apply" && (strings.HasPrefix(line, "Error: apply in ") || strings.HasPrefix(line, "Error: apply: the API server of "))
		if !strings.Contains(line, `context "`+contextName+`"`) || !whole && !strings.Contains(line, t.name()) {
			return fmt.Errorf("tenant or context is not said: %v", r)
		}
		if len(line) > 600 {
			return fmt.Errorf("a line of %d characters: %v", len(line), r)
		}
	}
	// Go's formats for values that were not meant to be printed.
	for _, noise := range []string{"panic", "goroutine ", "%!", "0xc0", "<nil>", "&{", ".go:"} {
		if strings.Contains(r.Stderr, noise) {
			return fmt.Errorf("%q is no clear line: %v", noise, r)
		}
	}
	if r.Code != 1 && r.Code != 3 {
		return fmt.Errorf("exit code %d: %v", r.Code, r)
	}
	return nil
}
