package faults

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
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

// migrations are the scenarios of migrate: there, to the end, and back.
var migrations = []*scenario{
	{
		name: "migrate", prefix: "ma", about: []string{"NAME"}, tenants: one, prepare: addHistory, first: historyBackedUp,
		args: "migrate NAME --backup backup.yaml",
	},
	{
		name: "migrate, to the end", prefix: "mb", about: []string{"NAME"}, tenants: one, prepare: migrated, first: historyBackedUp,
		args: "migrate NAME --finish --yes --backup backup.yaml",
	},
	{
		name: "migrate, and back", prefix: "mc", about: []string{"NAME"}, tenants: one, prepare: migrated, first: helmRecordsBackedUp,
		args: "migrate NAME --abort --wait=false --backup backup.yaml",
	},
}

func init() { scenarios = append(scenarios, migrations...) }

// history is what a tenant's Tiller has stored: a release of two revisions, and a failed one,
// in two namespaces.
var history = []records.Release{
	{Name: "web", Namespace: "NAME-a", Revision: 1, Status: "SUPERSEDED"},
	{Name: "web", Namespace: "NAME-a", Revision: 2, Status: "DEPLOYED"},
	{Name: "db", Namespace: "NAME-b", Revision: 1, Status: "FAILED"},
}

// addHistory puts the records of history into a tenant's home.
func addHistory(ctx context.Context, w *world, name string) error {
	for _, r := range history {
		r.Namespace = strings.ReplaceAll(r.Namespace, "NAME", name)
		if _, err := w.root.CoreV1().Secrets(name+"-tiller").Create(ctx, records.Secret(r), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	// What the releases made, which the end of the migration has name its release.
	for _, r := range history[1:] {
		created := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: r.Name, Labels: map[string]string{"app.kubernetes.io/managed-by": "Tiller"}}}
		if _, err := w.root.CoreV1().ConfigMaps(strings.ReplaceAll(r.Namespace, "NAME", name)).Create(ctx, created, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// migrated has a tenant migrated that has that history.
func migrated(ctx context.Context, w *world, name string) error {
	if err := addHistory(ctx, w, name); err != nil {
		return err
	}
	return w.must(w.run(w.direct, w.folder(), "", "migrate", name))
}

func historyBackedUp(ctx context.Context, w *world, name, folder string) error {
	return savedAll(ctx, w, folder, "OWNER=TILLER", name+"-tiller")
}

func helmRecordsBackedUp(ctx context.Context, w *world, name, folder string) error {
	return savedAll(ctx, w, folder, "owner=helm", name+"-a", name+"-b")
}

// savedAll checks that the backup in a folder holds every record in the namespaces.
func savedAll(ctx context.Context, w *world, folder, selector string, namespaces ...string) error {
	text, err := os.ReadFile(filepath.Join(folder, "backup.yaml"))
	if err != nil {
		return err
	}
	var backup corev1.SecretList
	if err := yaml.UnmarshalStrict(text, &backup); err != nil {
		return fmt.Errorf("the backup can't be read: %w\n%s", err, text)
	}
	saved := map[string]corev1.Secret{}
	for _, record := range backup.Items {
		saved[record.Namespace+"/"+record.Name] = record
	}
	count := 0
	for _, namespace := range namespaces {
		records, err := w.root.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		for _, record := range records.Items {
			count++
			if !bytes.Equal(saved[namespace+"/"+record.Name].Data["release"], record.Data["release"]) {
				return fmt.Errorf("the backup of %s is not what is stored", record.Name)
			}
		}
	}
	if count != len(history) {
		return fmt.Errorf("there are %d records, not %d", count, len(history))
	}
	return nil
}

// TestAbortAfterEveryWrite kills migrate after each of its writes and goes back:
// everything is as it was. Unless in a soak, after every fifth.
func TestAbortAfterEveryWrite(t *testing.T) {
	w := start(t)
	ctx := context.Background()
	s := &scenario{prefix: "md", tenants: one, prepare: addHistory, args: "migrate NAME"}
	whole := s.one(0)
	if err := s.setUp(ctx, w, whole); err != nil {
		t.Fatal(err)
	}
	created, err := s.undisturbed(ctx, w, whole, 0)
	if err != nil {
		t.Fatal(err)
	}
	step := 5
	if harness.Soak() {
		step = 1
	}
	var names []string
	var writes []int // before the kill, by name
	for n := 0; n < len(created); n += step {
		names, writes = append(names, s.one(n+1)), append(writes, n+1)
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
		if err := w.killedAndBack(names[i], writes[i]); err != nil {
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
		if err := after[name].differs(before[name]); err != nil {
			t.Errorf("killed after write %d, %q, and gone back: %v", writes[i], created[writes[i]-1], err)
		}
	}
	t.Logf("%d kill points", len(names))
}

// killedAfter kills a command after a number of its writes; 0 is when it makes the first.
func (w *world) killedAfter(writes int, args ...string) error {
	folder, g := w.folder(), newGate()
	g.stopAfter = writes
	handle := g.handle
	if writes == 0 {
		var once sync.Once
		handle = func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			if isWrite(r) {
				once.Do(func() { close(g.reached) })
				hang(r)
				return
			}
			next.ServeHTTP(rw, r)
		}
	}
	proxy, err := w.through(folder, handle)
	if err != nil {
		return err
	}
	defer proxy.close()
	p, err := w.launch(proxy.kubeconfig, folder, "", args...)
	if err != nil {
		return err
	}
	select {
	case <-g.reached:
		_ = p.cmd.Process.Kill() // it may have ended after its last write
		<-p.ended
	case <-p.ended:
		r, _ := p.result()
		return fmt.Errorf("it ended after %d writes, %q: %v", len(g.made), g.made, r)
	}
	return nil
}

func (w *world) killedAndBack(name string, writes int) error {
	if err := w.killedAfter(writes, "migrate", name); err != nil {
		return err
	}
	return w.must(w.run(w.direct, w.folder(), "", "migrate", name, "--abort", "--wait=false"))
}

// TestMigrateHalfBack: a way that was taken is gone to its end.
func TestMigrateHalfBack(t *testing.T) {
	w := start(t)
	ctx := context.Background()
	s := &scenario{prefix: "me", tenants: one, prepare: migrated}
	ending, going := s.one(1), s.one(2)
	if err := s.setUp(ctx, w, ending, going); err != nil {
		t.Fatal(err)
	}
	refused := func(words string, args ...string) {
		t.Helper()
		r, err := w.run(w.direct, w.folder(), "", args...)
		if err != nil || r.Code != 1 || !strings.Contains(r.Stderr, words) {
			t.Errorf("it should be refused with the words %q: %v, %v", words, err, r)
		}
	}
	if err := w.killedAfter(4, "migrate", ending, "--finish", "--yes"); err != nil {
		t.Fatal(err)
	}
	refused("its Tiller is being removed", "migrate", ending, "--abort")
	refused("its Tiller is being removed", "migrate", ending)
	refused("its Tiller is being removed", "init", ending, "--wait=false")
	refused("its Tiller is being removed", "destroy", ending, "--keep-releases", "--yes")
	if err := w.must(w.run(w.direct, w.folder(), "", "migrate", ending, "--finish", "--yes")); err != nil {
		t.Error(err)
	}
	if err := w.killedAfter(4, "migrate", going, "--abort", "--wait=false"); err != nil {
		t.Fatal(err)
	}
	refused("going back to Helm 2", "migrate", going, "--finish", "--yes")
	refused("going back to Helm 2", "migrate", going)
	if err := w.must(w.run(w.direct, w.folder(), "", "migrate", going, "--abort", "--wait=false")); err != nil {
		t.Error(err)
	}
}

// TestMigrateWhileTillerWrites has Tiller finish an install when the records are read
// and backed up, and Tiller is not stopped yet: that release moves, too, and is in a
// backup.
func TestMigrateWhileTillerWrites(t *testing.T) {
	w := start(t)
	ctx := context.Background()
	s := &scenario{prefix: "mf", tenants: one, prepare: addHistory}
	late, stuck := s.one(1), s.one(2)
	if err := s.setUp(ctx, w, late, stuck); err != nil {
		t.Fatal(err)
	}
	migrate := func(name, status string) (string, harness.Result) {
		t.Helper()
		folder, g := w.folder(), newGate()
		g.first = func() error {
			r := records.Release{Name: "late", Namespace: name + "-b", Revision: 1, Status: status}
			_, err := w.root.CoreV1().Secrets(name+"-tiller").Create(ctx, records.Secret(r), metav1.CreateOptions{})
			return err
		}
		proxy, err := w.through(folder, g.handle)
		if err != nil {
			t.Fatal(err)
		}
		defer proxy.close()
		r, err := w.run(proxy.kubeconfig, folder, "", "migrate", name, "--backup", "backup.yaml")
		if err != nil || g.err != nil {
			t.Fatal(err, g.err)
		}
		return folder, r
	}
	folder, r := migrate(late, "DEPLOYED")
	if r.Code != 0 || !strings.Contains(r.Stdout, "3 releases, 4 revisions") || !strings.Contains(r.Stderr, "verified release late in namespace "+late+"-b: revision 1, deployed") {
		t.Errorf("%v", r)
	}
	for file, want := range map[string]int{"backup.yaml": 3, "backup-stopped.yaml": 4} {
		var backup corev1.SecretList
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err == nil {
			err = yaml.UnmarshalStrict(text, &backup)
		}
		if err != nil || len(backup.Items) != want {
			t.Errorf("%s holds %d records, not %d: %v", file, len(backup.Items), want, err)
		}
	}
	// One that was not finished: nothing is converted, and there is the way back.
	_, r = migrate(stuck, "PENDING_INSTALL")
	if r.Code != 1 || !strings.Contains(r.Stderr, "release late, revision 1, is PENDING_INSTALL") || !strings.Contains(r.Stderr, "migrate "+stuck+" --abort") {
		t.Errorf("%v", r)
	}
	for _, namespace := range []string{stuck + "-a", stuck + "-b"} {
		if found, err := w.root.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{}); err != nil || len(found.Items) > 0 {
			t.Errorf("in namespace %s there are %d Secrets, %v", namespace, len(found.Items), err)
		}
	}
	if err := w.must(w.run(w.direct, w.folder(), "", "migrate", stuck, "--abort", "--wait=false")); err != nil {
		t.Error(err)
	}
	if tiller, err := w.root.AppsV1().Deployments(stuck+"-tiller").Get(ctx, "tiller-deploy", metav1.GetOptions{}); err != nil || *tiller.Spec.Replicas != 1 {
		t.Errorf("Tiller is not back: %v, %v", tiller, err)
	}
}

// TestKilledAndBackedUpAgain kills a command with a given backup file, and writes a record
// before the same command runs again: it makes another backup, of all current records, and does
// not change the first one.
func TestKilledAndBackedUpAgain(t *testing.T) {
	w := start(t)
	ctx := context.Background()
	late := func(name string) error {
		r := records.Release{Name: "late", Namespace: name + "-b", Revision: 1, Status: "DEPLOYED"}
		_, err := w.root.CoreV1().Secrets(name+"-tiller").Create(ctx, records.Secret(r), metav1.CreateOptions{})
		return err
	}
	// As each helm does when it writes to a record.
	touch := func(namespace, name, label string) error {
		secret, err := w.root.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			secret.Labels[label] = "1700000000"
			_, err = w.root.CoreV1().Secrets(namespace).Update(ctx, secret, metav1.UpdateOptions{})
		}
		return err
	}
	touched2 := func(name string) error { return touch(name+"-tiller", "web.v2", "MODIFIED_AT") }
	touched3 := func(name string) error { return touch(name+"-a", "sh.helm.release.v1.web.v2", "modifiedAt") }
	for i, test := range []struct {
		name, args string
		prepare    func(context.Context, *world, string) error
		writes     int
		between    func(name string) error
		records    int
	}{
		{"migrate, before it writes", "migrate NAME", addHistory, 0, late, 4},
		{"migrate, when it has begun", "migrate NAME", addHistory, 1, late, 4},
		{"migrate, when Tiller is stopped", "migrate NAME", addHistory, 2, late, 4},
		{"back, before it writes", "migrate NAME --abort --wait=false", migrated, 0, touched3, 3},
		{"back, when it has begun", "migrate NAME --abort --wait=false", migrated, 1, touched3, 3},
		{"to the end, before it writes", "migrate NAME --finish --yes", migrated, 0, touched2, 3},
		{"destroy, before it writes", "destroy NAME --keep-releases --yes", addHistory, 0, late, 4},
		{"destroy, when it has begun", "destroy NAME --keep-releases --yes", addHistory, 1, late, 4},
	} {
		s := &scenario{prefix: "mh", tenants: one, prepare: test.prepare}
		name := s.one(i)
		if err := s.setUp(ctx, w, name); err != nil {
			t.Fatal(err)
		}
		folder := w.folder()
		args := append(strings.Fields(strings.ReplaceAll(test.args, "NAME", name)), "--backup", filepath.Join(folder, "backup.yaml"))
		if err := w.killedAfter(test.writes, args...); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		first, err := os.ReadFile(filepath.Join(folder, "backup.yaml"))
		if err == nil {
			err = test.between(name)
		}
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		r, err := w.run(w.direct, w.folder(), "", args...)
		if err != nil || r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "backup.yaml already exists, and is not changed") {
			t.Errorf("%s: %v, %v", test.name, err, r)
			continue
		}
		second, err := os.ReadFile(filepath.Join(folder, "backup.yaml"))
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s: the first backup is not as it was: %v", test.name, err)
		}
		var backup corev1.SecretList
		text, err := os.ReadFile(filepath.Join(folder, "backup-2.yaml"))
		if err == nil {
			err = yaml.UnmarshalStrict(text, &backup)
		}
		if err != nil || len(backup.Items) != test.records {
			t.Errorf("%s: the second backup holds %d records, not %d: %v", test.name, len(backup.Items), test.records, err)
		}
	}
}

// TestAbortWhileMigrating: one admin aborts while another's migrate is writing. That run stops,
// and the next abort finds and removes what it has written since.
func TestAbortWhileMigrating(t *testing.T) {
	w := start(t)
	ctx := context.Background()
	s := &scenario{prefix: "mg", tenants: one, prepare: addHistory}
	name := s.one(1)
	if err := s.setUp(ctx, w, name); err != nil {
		t.Fatal(err)
	}
	before, err := w.settledStates(ctx, s.prefix, len(name))
	if err != nil {
		t.Fatal(err)
	}
	abort := func() error {
		return w.must(w.run(w.direct, w.folder(), "", "migrate", name, "--abort", "--wait=false"))
	}
	var once sync.Once
	var aborted error
	proxy, err := w.through(w.folder(), func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/secrets") {
			once.Do(func() { aborted = abort() })
		}
		next.ServeHTTP(rw, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.close()
	r, err := w.run(proxy.kubeconfig, w.folder(), "", "migrate", name)
	if err != nil || aborted != nil {
		t.Fatal(err, aborted)
	}
	if r.Code != 1 || !strings.Contains(r.Stderr, "another admin has ended the migration in the meantime") || !strings.Contains(r.Stderr, "migrate it again, and abort that") {
		t.Errorf("%v", r)
	}
	tiller, err := w.root.AppsV1().Deployments(name+"-tiller").Get(ctx, "tiller-deploy", metav1.GetOptions{})
	if err != nil || *tiller.Spec.Replicas != 1 {
		t.Errorf("Tiller is not back: %v, %v", tiller, err)
	}
	if err := w.must(w.run(w.direct, w.folder(), "", "migrate", name)); err != nil {
		t.Fatal(err)
	}
	if err := abort(); err != nil {
		t.Fatal(err)
	}
	after, err := w.settledStates(ctx, s.prefix, len(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := after[name].differs(before[name]); err != nil {
		t.Error(err)
	}
}
