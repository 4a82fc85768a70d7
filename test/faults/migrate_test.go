package faults

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// migrations are the scenarios of migrate: there, to the end, and back.
var migrations = []*scenario{
	{
		name: "migrate", prefix: "km", about: []string{"NAME"}, tenants: one, prepare: addHistory, first: historyBackedUp,
		args: "migrate NAME --backup backup.yaml",
	},
	{
		name: "migrate, to the end", prefix: "kn", about: []string{"NAME"}, tenants: one, prepare: migrated, first: historyBackedUp,
		args: "migrate NAME --finish --yes --backup backup.yaml",
	},
	{
		name: "migrate, and back", prefix: "ko", about: []string{"NAME"}, tenants: one, prepare: migrated, first: helmRecordsBackedUp,
		args: "migrate NAME --abort --wait=false --backup backup.yaml",
	},
}

func init() { scenarios = append(scenarios, migrations...) }

// history is what a tenant's Tiller has stored: a release of two revisions, and one
// that failed, in two namespaces.
var history = []struct {
	release, namespace, status string
	version                    int
}{
	{"web", "NAME-a", "SUPERSEDED", 1},
	{"web", "NAME-a", "DEPLOYED", 2},
	{"db", "NAME-b", "FAILED", 1},
}

// codes are the numbers of k8s.io/helm/_proto/hapi/release/status.proto.
var codes = map[string]uint64{"DEPLOYED": 1, "SUPERSEDED": 3, "FAILED": 4}

// addHistory puts the records of history into a tenant's home.
func addHistory(ctx context.Context, w *world, name string) error {
	for _, h := range history {
		namespace := strings.ReplaceAll(h.namespace, "NAME", name)
		manifest := fmt.Sprintf("\n---\n# Source: hello/templates/all.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  version: %q\n", h.release, fmt.Sprint(h.version))
		record := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.v%d", h.release, h.version), Labels: map[string]string{
				"NAME": h.release, "OWNER": "TILLER", "STATUS": h.status, "VERSION": fmt.Sprint(h.version), "CREATED_AT": "1600000000"}},
			Data: map[string][]byte{"release": zipped(release2(h.release, namespace, manifest, h.version, codes[h.status]))},
		}
		if _, err := w.root.CoreV1().Secrets(name+"-tiller").Create(ctx, record, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// release2 is a release of Helm 2's (k8s.io/helm/_proto/hapi/release/release.proto,
// and the others that it imports).
func release2(name, namespace, manifest string, version int, status uint64) []byte {
	message := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	text := func(field protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), value)
	}
	number := func(field protowire.Number, value uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), value)
	}
	when := func(seconds uint64) []byte { return message(number(1, seconds), number(2, 123456789)) }
	return message(
		text(1, []byte(name)),
		text(2, message( // info
			text(1, number(1, status)),
			text(2, when(1600000000)),
			text(3, when(1600000000+uint64(version))),
			text(5, []byte("Install complete")),
		)),
		text(3, message( // chart
			text(1, message(text(1, []byte("hello")), text(4, []byte("0.1.0")), text(10, []byte("v1")))),
			text(2, message(text(1, []byte("templates/all.yaml")), text(2, []byte("kind: ConfigMap")))),
			text(4, text(1, []byte("greeting: hello\n"))),
		)),
		text(4, text(1, []byte("greeting: you\n"))),
		text(5, []byte(manifest)),
		number(7, uint64(version)),
		text(8, []byte(namespace)),
	)
}

// zipped is a release as a record holds it.
func zipped(release []byte) []byte {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, _ = zip.Write(release) // into memory
	_ = zip.Close()
	return []byte(base64.StdEncoding.EncodeToString(out.Bytes()))
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
// everything is as it was.
func TestAbortAfterEveryWrite(t *testing.T) {
	w := start(t)
	ctx := context.Background()
	s := &scenario{prefix: "kp", tenants: one, prepare: addHistory, args: "migrate NAME"}
	whole := s.one(0)
	if err := s.setUp(ctx, w, whole); err != nil {
		t.Fatal(err)
	}
	made, err := s.undisturbed(ctx, w, whole, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for n := range made {
		names = append(names, s.one(n+1))
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
		if err := w.killedAndBack(names[i], i+1); err != nil {
			mu.Lock()
			defer mu.Unlock()
			t.Errorf("killed after write %d, %q: %v", i+1, made[i], err)
		}
	})
	after, err := w.settledStates(ctx, s.prefix, len(whole))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if err := after[name].differs(before[name]); err != nil {
			t.Errorf("killed after write %d, %q, and gone back: %v", i+1, made[i], err)
		}
	}
	t.Logf("%d kill points", len(made))
}

// killedAfter kills a command after a number of its writes.
func (w *world) killedAfter(writes int, args ...string) error {
	folder, g := w.folder(), newGate()
	g.stopAfter = writes
	proxy, err := w.through(folder, g.handle)
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
	s := &scenario{prefix: "kq", tenants: one, prepare: migrated}
	ending, going := s.one(1), s.one(2)
	if err := s.setUp(ctx, w, ending, going); err != nil {
		t.Fatal(err)
	}
	refused := func(words string, args ...string) {
		t.Helper()
		r, err := w.run(w.direct, w.folder(), "", args...)
		if err != nil || r.code != 1 || !strings.Contains(r.stderr, words) {
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
