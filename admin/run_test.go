package admin

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// backupsIn are backups in a folder of the test's.
func backupsIn(t *testing.T, c *cluster.Client) (backup.Backups, string) {
	folder := t.TempDir()
	return backup.Backups{Tenant: "t", Now: func() time.Time { return time.Unix(0, 0) }, Say: func(string, ...any) {}, Read: c.EachRecord}, filepath.Join(folder, "b.yaml")
}

// destroying returns a destroy of t, and what it says and does in its order.
func destroying(t *testing.T, c *cluster.Client) (*Destroy, *[]string) {
	var output []string
	files, file := backupsIn(t, c)
	files.Say = func(_ string, _ ...any) { output = append(output, "backup") }
	return &Destroy{Client: c, Name: "t", Backups: files, File: file, Wait: true, Timeout: time.Minute,
		Confirm: func(context.Context) error { output = append(output, "confirm"); return nil },
		Uninstall: func(*Removal) (func(context.Context) error, error) {
			return func(context.Context) error { output = append(output, "uninstall"); return nil }, nil
		},
		Event: func(e Event) {
			if e.Change != nil {
				output = append(output, fmt.Sprintf("%s %s", e.Change.Action, e.Change.Key))
			} else {
				output = append(output, e.Text)
			}
		}}, &output
}

// TestDestroy: backup, releases, rights, objects, the home last.
func TestDestroy(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked(unguarded))
	server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED))
	d, output := destroying(t, c)
	var has *HasReleasesError
	if _, err := d.Run(t.Context()); !errors.As(err, &has) || errorText(err) != "it has a release:" || len(has.Details()) != 1 || len(*output) > 0 {
		t.Fatalf("got %v, said %q", err, *output)
	}
	d.KeepReleases, d.DryRun = true, true
	server.Writes()
	if removal, err := d.Run(t.Context()); err != nil || len(removal.Prepared.Plan.Changes) == 0 || len(server.Writes()) > 0 {
		t.Fatalf("a dry run: %v", err)
	}
	*output, d.DryRun = nil, false
	if _, err := d.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"confirm", "backup",
		"delete RoleBinding helm-tenant.t.admin in namespace a", "delete RoleBinding helm-tenant.t.admin in namespace b",
		"delete RoleBinding helm-tenant-member in namespace t-tiller", "delete RoleBinding helm-tenant-records in namespace t-tiller",
		"update Namespace a", "update Namespace b", "delete Namespace t-tiller"}
	got := slices.Clone(*output)
	if diff := cmp.Diff(slices.Sorted(slices.Values(want[2:6])), slices.Sorted(slices.Values(got[2:6]))); diff != "" || !slices.Equal(want[:2], got[:2]) || got[len(got)-1] != want[len(want)-1] {
		t.Errorf("want %q\ngot  %q", want, got)
	}
	if left := server.Keys(); slices.ContainsFunc(left, func(key string) bool {
		return strings.Contains(key, "t-tiller") || strings.Contains(key, "helm-tenant.t.")
	}) {
		t.Errorf("left are %q", left)
	}
	var removed *NoTenantError
	if _, err := d.Run(t.Context()); !errors.As(err, &removed) {
		t.Errorf("got %v", err)
	}
}

// TestDestroyAndWrites: a release that is installed during the run stops it; one that is
// upgraded is saved.
func TestDestroyAndWrites(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked())
	d, output := destroying(t, c)
	d.Confirm = func(context.Context) error {
		server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED))
		return nil
	}
	var has *HasReleasesError
	if _, err := d.Run(t.Context()); !errors.As(err, &has) || server.Get(recordKey("t-tiller")) == nil {
		t.Errorf("got %v", err)
	}
	d.DeleteReleases = true
	d.Uninstall = func(*Removal) (func(context.Context) error, error) {
		return func(context.Context) error {
			server.Remove(cluster.Key{Kind: "Secret", Namespace: "t-tiller", Name: "web.v1"})
			server.Put(record(t, "t-tiller", "web", "a", 2, release.Status_DELETED))
			return nil
		}, nil
	}
	*output = nil
	if _, err := d.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if saved := len(slices.DeleteFunc(slices.Clone(*output), func(s string) bool { return s != "backup" })); saved != 2 {
		t.Errorf("backed up %d times: %q", saved, *output)
	}
	d.Uninstall = func(*Removal) (func(context.Context) error, error) {
		return func(context.Context) error { return errors.New("helm failed") }, nil
	}
	write(t, c, asked(unguarded))
	server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED))
	if _, err := d.Run(t.Context()); errorText(err) != "helm failed" || server.Get(recordKey("t-tiller")) == nil {
		t.Errorf("got %v", err)
	}
	// Another engine's helm is found before anybody confirms, and in a dry run.
	d.Uninstall = func(*Removal) (func(context.Context) error, error) { return nil, errors.New("no helm") }
	for _, dryRun := range []bool{true, false} {
		*output, d.DryRun = nil, dryRun
		if _, err := d.Run(t.Context()); errorText(err) != "no helm" || len(*output) > 0 {
			t.Errorf("dry run %v: got %v, and did %q", dryRun, err, *output)
		}
	}
}

// migrating returns a run of migrate of t, and what it says and does in its order.
func migrating(t *testing.T, c *cluster.Client) (*Migrate, *[]string) {
	var output []string
	files, file := backupsIn(t, c)
	files.Say = func(string, ...any) { output = append(output, "backup") }
	return &Migrate{Client: c, Name: "t", Backups: files, File: file, Timeout: 5 * time.Second,
		Confirm: func(context.Context) error { output = append(output, "confirm"); return nil },
		Verifier: func(context.Context) (func(context.Context, *Migration) error, error) {
			output = append(output, "find helm")
			return func(context.Context, *Migration) error { output = append(output, "verify"); return nil }, nil
		},
		Ownership: func(change OwnershipChange) { output = append(output, "ownership of "+change.Object.Name) },
		Event: func(e Event) {
			switch {
			case e.Change == nil:
				output = append(output, e.Text)
			case len(e.Change.Fields) > 0:
				output = append(output, fmt.Sprintf("%s %s: %s", e.Change.Action, e.Change.Key.Name, e.Change.Fields[0].Path))
			default:
				output = append(output, fmt.Sprintf("%s %s", e.Change.Action, e.Change.Key.Name))
			}
		}}, &output
}

// withReleases returns a cluster with the tenant t, made as asked, whose Tiller has the release
// web.
func withReleases(t *testing.T, change ...func(*Request)) (*clustertest.Server, *cluster.Client) {
	server, c := empty().start(t)
	write(t, c, asked(change...))
	server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_SUPERSEDED), record(t, "t-tiller", "web", "a", 2, release.Status_DEPLOYED))
	server.Writes()
	return server, c
}

func phaseOf(server *clustertest.Server) tenant.Phase {
	state, err := cluster.MigrationOf(server.Get(recordKey("t-tiller")))
	if err != nil || state == nil {
		return ""
	}
	return state.Phase
}

const state = "update helm-tenant: metadata.annotations[helm-tenant/migration]"

// TestMigrate: from Tiller to Helm 3, and each step before what depends on it.
func TestMigrate(t *testing.T) {
	server, c := withReleases(t)
	m, output := migrating(t, c)
	m.DryRun = true
	migration, err := m.Begin(t.Context())
	if err != nil || len(migration.Releases) != 1 || migration.Moved() != "1 release, 2 revisions" || len(server.Writes()) > 0 {
		t.Fatalf("a dry run: %v", err)
	}
	m.DryRun = false
	if migration, err = m.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	reads := server.Count("get", "Secret")
	want := []string{"find helm", "backup", state, "update tiller-deploy: spec.replicas", "Tiller: stopped",
		"create sh.helm.release.v1.web.v1", "create sh.helm.release.v1.web.v2", state, "RIGHTS", "verify", state}
	got := slices.Clone(*output)
	var short []string
	for _, line := range got {
		switch {
		case strings.Contains(line, "RoleBinding") || strings.Contains(line, "helm-tenant-member") || strings.Contains(line, "helm-tenant.t") || strings.HasSuffix(line, "create helm") || strings.Contains(line, "data.tenant.yaml") || strings.Contains(line, "t-tiller"):
			if len(short) == 0 || short[len(short)-1] != "RIGHTS" {
				short = append(short, "RIGHTS")
			}
		case strings.HasPrefix(line, "Tiller: waiting"):
		default:
			short = append(short, line)
		}
	}
	slices.Sort(short[5:7]) // written side by side
	if diff := cmp.Diff(want, short); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// Each of Tiller's records is read to be checked, backed up and converted; each of Helm 3's
	// to be checked.
	if reads > 8 {
		t.Errorf("%d reads of 4 records", reads)
	}
	if phaseOf(server) != tenant.PhaseVerified || migration.State.Phase != tenant.PhaseVerified {
		t.Errorf("the phase is %q", phaseOf(server))
	}
	// The same again changes nothing; a finish removes Tiller and what it stored.
	server.Writes()
	if _, err := m.Begin(t.Context()); err != nil || len(server.Writes()) > 0 {
		t.Errorf("again: %v", err)
	}
	*output = nil
	m.DryRun = true
	if prepared, err := m.Finish(t.Context()); err != nil || len(prepared.Plan.Changes) == 0 || len(server.Writes()) > 0 {
		t.Errorf("a dry run: %v", err)
	}
	m.DryRun, *output = false, nil
	if _, err := m.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := *output; got[0] != "confirm" || got[1] != "backup" || got[2] != "ownership of web" || slices.Index(got, state) < 2 || got[len(got)-1] != state {
		t.Errorf("said %q", got)
	}
	for _, key := range server.Keys() {
		if strings.Contains(key, "tiller-deploy") || strings.Contains(key, "Secret web.v") {
			t.Errorf("left is %s", key)
		}
	}
	var step *StepError
	server.Writes()
	if _, err := m.Finish(t.Context()); err != nil || len(server.Writes()) > 0 {
		t.Errorf("finished again: %v", err)
	}
	if _, err := m.Abort(t.Context()); !errors.As(err, &step) || step.Step != StepNothingToAbort {
		t.Errorf("got %v", err)
	}
	if _, err := m.Begin(t.Context()); errorText(err) != "it has the engine impersonation, and so no Tiller to move away from" {
		t.Errorf("got %v", err)
	}
}

// TestMigrateAborted: rights, records, Tiller.
func TestMigrateAborted(t *testing.T) {
	server, c := withReleases(t)
	m, output := migrating(t, c)
	m.Verifier = func(context.Context) (func(context.Context, *Migration) error, error) {
		return func(context.Context, *Migration) error { return errors.New("not listed") }, nil
	}
	var step *StepError
	if _, err := m.Begin(t.Context()); !errors.As(err, &step) || step.Step != StepVerify || phaseOf(server) != tenant.PhaseConverted {
		t.Fatalf("got %v in phase %q", err, phaseOf(server))
	}
	if _, err := m.Finish(t.Context()); !errors.As(err, &step) || step.Step != StepUnverified {
		t.Errorf("got %v", err)
	}
	var moving *MigratingError
	if _, err := Prepare(t.Context(), c, asked()); !errors.As(err, &moving) {
		t.Errorf("an init while it moves: %v", err)
	}
	if _, err := prepareRemoval(t.Context(), c, "t", false); !errors.As(err, &moving) {
		t.Errorf("a destroy while it moves: %v", err)
	}
	m.DryRun = true
	server.Writes()
	if prepared, err := m.Abort(t.Context()); err != nil || len(prepared.Plan.Changes) == 0 || len(server.Writes()) > 0 {
		t.Errorf("a dry run: %v", err)
	}
	m.DryRun, m.File, *output = false, m.File+"-2", nil
	if _, err := m.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := *output
	right, removed := slices.Index(got, "delete helm"), slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, "delete sh.helm") })
	started := slices.Index(got, "update tiller-deploy: spec.replicas")
	if got[0] != "backup" || got[1] != state || right < 0 || right > removed || removed > started || got[len(got)-1] != state || phaseOf(server) != "" {
		t.Errorf("said %q", got)
	}
	if server.Get(cluster.Key{Kind: "Secret", Namespace: "t-tiller", Name: "web.v2"}) == nil {
		t.Error("Tiller's records are gone")
	}
}

// TestMigrateBlocked: what keeps releases from moving is found before anything is written.
func TestMigrateBlocked(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*clustertest.Server, *Migrate)
		want  string
	}{
		{"a release outside", func(s *clustertest.Server, _ *Migrate) {
			s.Put(record(t, "t-tiller", "far", "z", 1, release.Status_DEPLOYED))
		}, "far"},
		{"no helm", func(_ *clustertest.Server, m *Migrate) {
			m.Verifier = func(context.Context) (func(context.Context, *Migration) error, error) {
				return nil, errors.New("no helm")
			}
		}, "no helm"},
		{"no permission", func(s *clustertest.Server, _ *Migrate) {
			s.Allowed = func(permission string) bool { return permission != "impersonate serviceaccounts" }
		}, "impersonate serviceaccounts/helm"},
		{"another's release of that name", func(s *clustertest.Server, _ *Migrate) {
			other := record(t, "a", "x", "a", 1, release.Status_DEPLOYED)
			other.Name, other.Labels = "sh.helm.release.v1.web.v1", map[string]string{"owner": "helm", "name": "web", "version": "1"}
			s.Put(other)
		}, "release web: Helm 3 has one of that name in namespace a"},
		{"a role that is too narrow", func(s *clustertest.Server, _ *Migrate) { s.Put(clusterRole("admin", "get")) }, "does not let Helm 3 keep its records"},
		{"a namespace that is gone", func(s *clustertest.Server, _ *Migrate) {
			s.Remove(namespaceKey("a"))
		}, `namespace "a" does not exist`},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, c := withReleases(t)
			m, _ := migrating(t, c)
			test.spoil(server, m)
			_, err := m.Begin(t.Context())
			text := errorText(err)
			if listed, ok := err.(interface{ Details() []string }); ok {
				text += strings.Join(listed.Details(), "\n")
			}
			if !strings.Contains(text, test.want) || len(server.Writes()) > 0 {
				t.Errorf("got %q", text)
			}
		})
	}
}

// TestMigrateMoved: a release that Helm 3 does not have any more is not counted as moved.
func TestMigrateMoved(t *testing.T) {
	server, c := withReleases(t, namespaces("a", "b"), unguarded)
	server.Put(record(t, "t-tiller", "db", "b", 1, release.Status_DEPLOYED))
	m, _ := migrating(t, c)
	moved := func(want, web, db string) {
		t.Helper()
		migration, err := m.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		why := map[string]string{}
		for i, r := range migration.Releases {
			why[r.Name] = migration.Unmoved(i)
		}
		if migration.Moved() != want || why["web"] != web || why["db"] != db {
			t.Errorf("%s, %v; want %s", migration.Moved(), why, want)
		}
	}
	moved("2 releases, 3 revisions", "", "")
	server.Remove(namespaceKey("b")) // with what is in it
	moved("1 release, 2 revisions", "", "its namespace is gone")
	server.Put(namespaceNamed("b"))
	server.Remove(helmKey(1))
	server.Remove(helmKey(2))
	moved("0 releases, 0 revisions", "Helm 3 has no record of it any more", "Helm 3 has no record of it any more")
}

// helmRecord returns a revision of a release as Helm 3 stores it, with labels only.
func helmRecord(namespace, name string) *corev1.Secret {
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, Type: "helm.sh/release.v1",
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "sh.helm.release.v1." + name + ".v1", Labels: map[string]string{"owner": "helm", "name": name, "version": "1", "status": "deployed"}}}
}

// TestDestroyOfHelm3: releases of Helm 3 count where the namespace is the tenant's alone.
func TestDestroyOfHelm3(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked(engine(tenant.EngineImpersonation)))
	write(t, c, Request{Tenant: tenant.Tenant{Name: "o", Namespaces: []string{"b"}}, Share: true})
	server.Put(helmRecord("a", "web"), helmRecord("b", "db"))
	removal, err := prepareRemoval(t.Context(), c, "t", false)
	if err != nil {
		t.Fatal(err)
	}
	if living := removal.Living(); len(living) != 1 || living[0].Name != "web" || len(removal.helmRecords) != 1 {
		t.Errorf("releases are %v", living)
	}
	if note := `releases of Helm 3 or 4 in namespace "b" stay: tenant "o" has that namespace, too`; !slices.Contains(removal.Prepared.Notes, note) {
		t.Errorf("notes are %q", removal.Prepared.Notes)
	}
	wide := asked(everywhere, engine(tenant.EngineImpersonation), accept(RiskClusterWide))
	wide.Tenant.Name = "w"
	write(t, c, wide)
	if removal, err = prepareRemoval(t.Context(), c, "w", false); err != nil || !slices.Contains(removal.Prepared.Notes, "releases that the tenant made with Helm 3 or 4 stay: they can't be distinguished from those of others") {
		t.Errorf("notes are %q, %v", removal.Prepared.Notes, err)
	}
}
