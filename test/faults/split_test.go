package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/harness"
	"helm-tenant/test/records"
)

// splitFile has the tenants that get the releases of the Tiller in namespace NAME-old-tiller.
// NAMEy exists before the split, and has a release of its own.
const (
	splitFile = "apiVersion: helm-tenant/v1\ntenants:\n" +
		"- name: NAMEx\n  namespaces: [NAMEx-a]\n  members: {users: [alice]}\n" + existingTenant
	// splitFileOnward moves one of them on to Helm 3 and 4.
	splitFileOnward = "apiVersion: helm-tenant/v1\ntenants:\n" +
		"- name: NAMEx\n  namespaces: [NAMEx-a]\n  engine: impersonation\n  members: {users: [alice]}\n" + existingTenant
	existingTenant = "- name: NAMEy\n  namespaces: [NAMEy-a]\n  members: {users: [bob]}\n"
)

const (
	splitBegin  = "split -f - --from NAME-old-tiller --wait=false"
	splitFinish = "split --finish --from NAME-old-tiller --yes --wait=false"
	splitAbort  = "split --abort --from NAME-old-tiller --wait=false"
)

// splits are the scenarios of split: to the tenants, to the end, and back.
var splits = []*scenario{
	{
		name: "split", prefix: "sa", about: []string{"NAMEx", "NAMEy"}, tenants: existingTenant, prepare: sharedTiller, first: originalsBackedUp,
		args: splitBegin + " --backup backup.yaml", input: splitFile,
	},
	{
		name: "split, to the end", prefix: "sb", about: []string{"NAMEx", "NAMEy"}, tenants: existingTenant, prepare: splitDone, first: originalsBackedUp,
		args: splitFinish + " --backup backup.yaml",
	},
	{
		name: "split, and back", prefix: "sc", about: []string{"NAMEx", "NAMEy"}, tenants: existingTenant, prepare: splitDone, first: copiesBackedUp,
		args: splitAbort + " --backup backup.yaml",
	},
	{
		name: "split to Helm 3", prefix: "se", about: []string{"NAMEx", "NAMEy"}, tenants: existingTenant, prepare: sharedTiller, first: originalsBackedUp,
		args: splitBegin + " --backup backup.yaml", input: splitFileOnward,
	},
	{
		name: "split to Helm 3, to the end", prefix: "sf", about: []string{"NAMEx", "NAMEy"}, tenants: existingTenant, prepare: splitDoneOnward, first: originalsBackedUp,
		args: splitFinish + " --backup backup.yaml",
	},
	{
		name: "split to Helm 3, and back", prefix: "sg", about: []string{"NAMEx", "NAMEy"}, tenants: existingTenant, prepare: splitDoneOnward, first: copiesBackedUp,
		args: splitAbort + " --backup backup.yaml", loses: true,
	},
}

func init() { scenarios = append(scenarios, splits...) }

// splitHistory is what the split Tiller has stored; rest belongs to no tenant.
var splitHistory = []records.Release{
	{Name: "web", Namespace: "NAMEx-a", Revision: 1, Status: "SUPERSEDED"},
	{Name: "web", Namespace: "NAMEx-a", Revision: 2, Status: "DEPLOYED"},
	{Name: "db", Namespace: "NAMEy-a", Revision: 1, Status: "DEPLOYED"},
	{Name: "rest", Namespace: "NAME-rest", Revision: 1, Status: "DEPLOYED"},
}

// sharedTiller makes a Tiller for everybody, with its records in ConfigMaps, what its
// releases made, and a release in the Tiller that tenant NAMEy has already.
func sharedTiller(ctx context.Context, w *world, name string) error {
	if err := handMadeTiller(ctx, w, name+"-old"); err != nil {
		return err
	}
	for _, namespace := range []string{name + "x-a", name + "-rest"} {
		if err := w.makeNamespace(namespace); err != nil {
			return err
		}
	}
	for _, r := range splitHistory {
		r.Namespace = strings.ReplaceAll(r.Namespace, "NAME", name)
		if _, err := w.root.CoreV1().ConfigMaps(name+"-old-tiller").Create(ctx, records.ConfigMap(r), metav1.CreateOptions{}); err != nil {
			return err
		}
		if r.Status != "DEPLOYED" {
			continue
		}
		created := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: r.Name}, Data: map[string]string{"greeting": fmt.Sprint(r.Revision)}}
		if _, err := w.root.CoreV1().ConfigMaps(r.Namespace).Create(ctx, created, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	own := records.Release{Name: "own", Namespace: name + "y-a", Revision: 1, Status: "DEPLOYED"}
	_, err := w.root.CoreV1().Secrets(name+"y-tiller").Create(ctx, records.Secret(own), metav1.CreateOptions{})
	return err
}

// splitDone has that Tiller split.
func splitDone(ctx context.Context, w *world, name string) error {
	if err := sharedTiller(ctx, w, name); err != nil {
		return err
	}
	return w.must(w.runFor(name, w.folder(), splitBegin, splitFile))
}

// splitDoneOnward has that Tiller split, and one of the tenants moved to Helm 3 and 4.
func splitDoneOnward(ctx context.Context, w *world, name string) error {
	if err := sharedTiller(ctx, w, name); err != nil {
		return err
	}
	return w.must(w.runFor(name, w.folder(), splitBegin, splitFileOnward))
}

// runFor runs a command in which NAME is replaced by the name.
func (w *world) runFor(name, folder, args, input string, more ...string) (harness.Result, error) {
	words := append(strings.Fields(strings.ReplaceAll(args, "NAME", name)), more...)
	return w.run(w.direct, folder, strings.ReplaceAll(input, "NAME", name), words...)
}

func originalsBackedUp(_ context.Context, _ *world, name, folder string) error {
	return backupNames(folder, "backup.yaml", map[string]int{name + "-old-tiller": 3})
}

func copiesBackedUp(_ context.Context, _ *world, name, folder string) error {
	return backupNames(folder, "backup.yaml", map[string]int{name + "x-tiller": 2, name + "y-tiller": 1})
}

// backupNames checks how many records of each namespace a backup holds.
func backupNames(folder, file string, want map[string]int) error {
	var backup struct {
		Items []struct{ Metadata metav1.ObjectMeta }
	}
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, &backup); err != nil {
		return fmt.Errorf("the backup can't be read: %w\n%s", err, text)
	}
	got := map[string]int{}
	for _, item := range backup.Items {
		got[item.Metadata.Namespace]++
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("the backup holds records of %v, not of %v", got, want)
	}
	return nil
}

// onlyRecords returns the release records of a state, and the Deployment of the split Tiller:
// what an abort restores. left is what remains of the split.
func onlyRecords(s state) (found state, left []string) {
	found = state{}
	for key, text := range s {
		kind, _, _ := strings.Cut(key, " ")
		var object struct {
			Metadata metav1.ObjectMeta
			Data     map[string]string
		}
		_ = json.Unmarshal([]byte(text), &object) // normal wrote it
		if object.Data["release"] != "" || kind == "Deployment" && strings.HasPrefix(key, "Deployment NAME-old-tiller/") {
			found[key] = text
		}
		if object.Metadata.Annotations["helm-tenant/migration"] != "" || strings.HasSuffix(key, "/helm-tenant-split") {
			left = append(left, key)
		}
	}
	return found, left
}

// TestSplitAbortAfterEveryWrite kills split after each of its writes and aborts it: the old
// Tiller and all records are as before, and nothing of the split remains. Unless in a soak, it
// tries some of the writes, and more of the last ones, which are the split's own: the unit tests
// of admin kill it at each of these.
func TestSplitAbortAfterEveryWrite(t *testing.T) {
	w, ctx := start(t), context.Background()
	s := &scenario{prefix: "sd", tenants: existingTenant, prepare: sharedTiller, args: splitBegin, input: splitFile}
	whole := s.one(0)
	if err := s.setUp(ctx, w, whole); err != nil {
		t.Fatal(err)
	}
	created, err := s.undisturbed(ctx, w, whole, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var writes []int // before the kill, by name
	for n := 1; n <= len(created); n++ {
		if harness.Soak() || n == 1 || n%12 == 0 || n > len(created)-14 && n%2 == 0 || n == len(created) {
			names, writes = append(names, s.one(n)), append(writes, n)
		}
	}
	if err := s.setUp(ctx, w, names...); err != nil {
		t.Fatal(err)
	}
	before, err := w.settledStates(ctx, s.prefix, len(whole))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	side(inFlight, len(names), func(i int) {
		if err := s.killedAndBack(w, names[i], writes[i]); err != nil {
			mu.Lock()
			defer mu.Unlock()
			t.Errorf("killed after write %d, %q: %v", writes[i], created[writes[i]-1], err)
		}
	})
	after, err := w.settledStates(ctx, s.prefix, len(whole))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		was, _ := onlyRecords(before[name])
		is, left := onlyRecords(after[name])
		if err := is.differs(was); err != nil || len(left) > 0 || len(was) != len(splitHistory)+2 {
			t.Errorf("killed after write %d, %q, and gone back: %v; left is %q", writes[i], created[writes[i]-1], err, left)
		}
	}
	t.Logf("%d kill points", len(names))
}

// killedAndBack kills the split after a number of its writes, and goes back.
func (s *scenario) killedAndBack(w *world, name string, writes int) error {
	folder, g := w.folder(), newGate()
	g.stopAfter = writes
	proxy, err := w.through(folder, g.handle)
	if err != nil {
		return err
	}
	defer proxy.close()
	args, input, err := s.command(w, name)
	if err != nil {
		return err
	}
	p, err := w.launch(proxy.kubeconfig, folder, input, args...)
	if err != nil {
		return err
	}
	select {
	case <-g.reached:
		_ = p.cmd.Process.Kill() // it may have ended after its last write
		<-p.ended
	case <-p.ended:
	}
	r, err := w.runFor(name, w.folder(), splitAbort, "")
	if err == nil && r.Code != 0 && !goneAlready(r) {
		err = fmt.Errorf("it does not go back: %v", r)
	}
	return err
}

// TestSplitWhileServerFails runs split, --finish and --abort while the API server fails. Each
// ends successfully or with a clear error; then the same command without faults succeeds, with
// the same result as a split without faults.
func TestSplitWhileServerFails(t *testing.T) {
	w, ctx := start(t), context.Background()
	seed := chosenSeed(t)
	count := 6
	if harness.Soak() {
		count = 60
	}
	s := &scenario{prefix: "c9", tenants: existingTenant, prepare: sharedTiller}
	all := make([]*trial, count)
	var names []string
	for i := range all {
		all[i] = &trial{number: 900 + i, seed: seed + uint64(i), verb: "split"}
		names = append(names, all[i].name())
	}
	finished, aborted := "c990", "c991"
	if err := s.setUp(ctx, w, append(names, finished, aborted)...); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]string{finished: splitFinish, aborted: splitAbort} {
		for _, args := range []string{splitBegin, end} {
			if err := w.must(w.runFor(name, w.folder(), args, inputOf(args))); err != nil {
				t.Fatal(err)
			}
		}
	}
	var mu sync.Mutex
	side(trialsAtOnce, len(all), func(i int) {
		random := rand.New(rand.NewPCG(all[i].seed, 2))
		for _, args := range []string{splitBegin, []string{splitFinish, splitAbort}[i%2]} {
			all[i].args, all[i].input, all[i].faults = args, inputOf(args), newFaults(all[i].seed, random)
			outcome, err := all[i].run(w)
			mu.Lock()
			t.Logf("%s: %s, faults %v", all[i].name(), outcome, all[i].faults.made)
			if err != nil {
				t.Errorf("%v, %s: %v", all[i], args, err)
			}
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	current, err := w.settledStates(ctx, s.prefix, len(finished))
	if err != nil {
		t.Fatal(err)
	}
	for i, trial := range all {
		want := current[[]string{finished, aborted}[i%2]]
		if err := current[trial.name()].differs(want); err != nil {
			t.Errorf("%v: %v", trial, err)
		}
	}
}

// inputOf returns the standard input of a run of split.
func inputOf(args string) string {
	if args == splitBegin {
		return splitFile
	}
	return ""
}
