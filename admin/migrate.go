package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// RiskMissingReleases removes a Tiller's records of releases that Helm 3 does not have.
const RiskMissingReleases Risk = "missing-releases"

// MigratingError refuses an action that would disturb a migration that is under way.
type MigratingError struct {
	Name string
	tenant.Migration
}

func (e *MigratingError) Error() string {
	return fmt.Sprintf("tenant %q is %s", e.Name, e.Migration)
}

// Names implements failure.Namer.
func (e *MigratingError) Names() []string { return []string{failure.Tenant(e.Name)} }

// ErrEnded says that another admin finished or aborted the migration while this run was
// under way.
var ErrEnded = errors.New("another admin has ended the migration in the meantime")

// BlockedError has all problems that keep a tenant's releases from moving.
type BlockedError struct{ Problems []error }

func (e *BlockedError) Error() string {
	if len(e.Problems) == 1 {
		return "it can't move: " + e.Problems[0].Error()
	}
	return fmt.Sprintf("it can't move, for %d reasons:", len(e.Problems))
}

// Details returns the problems, unless the error itself is the only one.
func (e *BlockedError) Details() []string { return migrate.Lines(e.Problems) }

// Migration is the state in the cluster of a tenant's migration from its Tiller to Helm 3
// and 4.
type Migration struct {
	Tenant tenant.Tenant
	// State is nil if the migration has not begun.
	State *tenant.Migration
	// records are the records of the tenant's Tiller, Releases what they convert to.
	records  []cluster.Stored
	Releases []migrate.Release
	// Standings has what Helm 3 has of each release.
	Standings []migrate.Standing
	// helmRecords are Helm 3's Secrets that belong to the releases.
	helmRecords []cluster.Stored
	// later has those helmRecords that Helm 3 made after the migrated ones.
	later map[cluster.Key]bool
	// Problems keep the releases from moving. The first unmovable ones concern Tiller's
	// records themselves.
	Problems  []error
	unmovable int
	// replicas is the present number of replicas of Tiller's Deployment.
	replicas int32

	// keep bounds the revisions of each release that move; 0 is no bound.
	keep int
	// helm has the Secrets from which Standings and helmRecords were made, by namespace
	// and name of the release.
	helm map[string][]cluster.Stored
	// written has the records that this run wrote; nil if it wrote none yet.
	written *migrate.Written
	live    *cluster.Live
}

func recordKey(home string) cluster.Key {
	return cluster.Key{Kind: "ConfigMap", Namespace: home, Name: tenant.RecordName}
}

// readMigration reads the state of the migration and the records to move, converts these,
// and looks for problems that keep the releases from moving. It writes nothing. earlier
// is the result of an earlier read in the same run, or nil: records that have not changed
// since are not read and converted again. keep bounds the revisions of each release that
// move, unless the migration began with another bound; 0 is no bound. If the releases still
// have to move, it calls save with each of Tiller's records that it reads, one at a time; an
// error of save ends the reading. save may be nil.
func readMigration(ctx context.Context, c *cluster.Client, name string, keep int, earlier *Migration, save func(cluster.Record) error) (*Migration, error) {
	m, err := readMigrationOf(ctx, c, name, keep, earlier, save)
	return m, explainNeeded(ctx, c, err, func(s *readSet) { s.migration(ctx, c, name) })
}

func readMigrationOf(ctx context.Context, c *cluster.Client, name string, keep int, earlier *Migration, save func(cluster.Record) error) (*Migration, error) {
	live, err := c.Read(ctx, name)
	if err != nil {
		return nil, err
	}
	t, existed, err := recorded(live, name)
	switch {
	case err != nil:
		return nil, err
	case !existed:
		return nil, lostOrNone(ctx, c, live, name)
	}
	m := &Migration{Tenant: t.WithDefaults(), later: map[cluster.Key]bool{}, helm: map[string][]cluster.Stored{}, live: live}
	if earlier != nil {
		m.written = earlier.written
	}
	home := m.Tenant.Home()
	if m.State, err = cluster.MigrationOf(live.Get(recordKey(home))); err != nil {
		return nil, err
	}
	if m.State != nil && m.State.From != "" {
		return nil, &MigratingError{name, *m.State}
	}
	// A Deployment that may not be seen is not one that is gone: its Tiller would go on running.
	seen := tenant.Tenant{Engine: m.Tenant.Engine}
	if m.State != nil {
		seen.Engine = tenant.EngineTiller
	}
	if err := checkSeen(live, seen); err != nil {
		return nil, err
	}
	storage := m.Tenant.Tiller.Storage
	m.keep = keep
	if m.State != nil {
		storage, m.keep = m.State.Storage, m.State.Keep
	}
	if deployment := live.Get(tillerKey(home)); deployment != nil {
		replicas, found, err := unstructured.NestedInt64(deployment.Object, "spec", "replicas")
		if err != nil {
			return nil, err
		}
		m.replicas = 1
		if found {
			m.replicas = int32(replicas)
		}
	}
	if m.records, err = c.StoredReleases(ctx, tenant.EngineTiller, home); err != nil {
		return nil, err
	}
	stored := countStorages(m.records)
	m.records = ofStorage(m.records, storage)
	slices.SortFunc(m.records, func(a, b cluster.Stored) int { return strings.Compare(a.Key.Name, b.Key.Name) })
	if earlier != nil && slices.Equal(earlier.records, m.records) && earlier.keep == m.keep && slices.Equal(earlier.Tenant.Namespaces, t.Namespaces) && earlier.Tenant.AllNamespaces == t.AllNamespaces {
		m.Releases, m.Problems = earlier.Releases, slices.Clone(earlier.Problems[:earlier.unmovable])
	} else if err := m.readReleases(ctx, c, save); err != nil {
		return nil, err
	}
	if len(m.records) == 0 && len(stored) > 0 && !m.converted() && (m.State == nil || m.State.Phase == tenant.PhaseFrozen) {
		m.Problems = append(m.Problems, &StorageError{Home: home, Who: fmt.Sprintf("the record of tenant %q says that its Tiller", name), Said: storage, Records: stored})
	}
	m.unmovable = len(m.Problems)
	return m, m.lookAtTargets(ctx, c, earlier)
}

// readReleases reads Tiller's records and converts them; for save see readMigration.
func (m *Migration) readReleases(ctx context.Context, c *cluster.Client, save func(cluster.Record) error) error {
	if save == nil || m.State != nil && m.State.Phase != tenant.PhaseFrozen {
		save = func(cluster.Record) error { return nil }
	}
	notes := &migrationNotes{served: c.Served(), tenant: m.Tenant}
	stored := map[string]migrate.Stored{}
	var mutex sync.Mutex
	saveUnlessFailed := func(record cluster.Record) error { return cmp.Or(notes.problem(), save(record)) }
	err := unpackEach(ctx, c, m.records, saveUnlessFailed, func(record cluster.Record) {
		old, err := c.ReleaseOf(record)
		s := migrate.Unreadable(record.Key.Name, err)
		if err == nil {
			var keeps func(migrate.Object) bool
			if !m.converted() {
				keeps = notes.keeps(ctx, old.GetNamespace())
			}
			s = migrate.Read(record.Key.Name, old, keeps)
		}
		mutex.Lock()
		defer mutex.Unlock()
		stored[record.Key.Name] = s
	})
	if err != nil {
		return err
	}
	sorted := lists.Map(slices.Sorted(maps.Keys(stored)), func(name string) migrate.Stored { return stored[name] })
	m.Releases, m.Problems = migrate.Releases(sorted, m.keep, func(namespace string) bool {
		return namespace != "" && m.Tenant.ActsIn(namespace)
	})
	return notes.add(ctx, m.Releases)
}

// unpackEach reads records and calls unpack for several of them at once, which takes longer than
// reading. It calls also, unless that is nil, for one record at a time; an error of it ends the
// reading.
func unpackEach(ctx context.Context, c *cluster.Client, records []cluster.Stored, also func(cluster.Record) error, unpack func(cluster.Record)) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	err := c.EachRecord(ctx, records, func(record cluster.Record) error {
		group.Go(func() error {
			unpack(record)
			return nil
		})
		if also == nil {
			return nil
		}
		return also(record)
	})
	_ = group.Wait() // the functions return no error
	return err
}

// compare finds out what Helm 3 has of each release.
func (m *Migration) compare(ctx context.Context, c *cluster.Client, earlier *Migration) error {
	var unread []cluster.Stored
	releases := map[cluster.Key]migrate.Release{}
	for i, r := range m.Releases {
		secrets := m.helm[r.Namespace+"/"+r.Name]
		slices.SortFunc(secrets, func(a, b cluster.Stored) int { return strings.Compare(a.Key.Name, b.Key.Name) })
		if _, known := earlier.standing(m, i); known {
			continue
		}
		for _, secret := range secrets {
			unread, releases[secret.Key] = append(unread, secret), r
		}
	}
	read := map[cluster.Key]migrate.Kept{}
	versions := map[cluster.Key]cluster.Stored{}
	var mutex sync.Mutex
	err := unpackEach(ctx, c, unread, nil, func(record cluster.Record) {
		secret, ok := record.Object.(*corev1.Secret)
		if !ok {
			return
		}
		kept := migrate.ReadKept(releases[record.Key], *secret, m.written, c.Unpacked())
		mutex.Lock()
		defer mutex.Unlock()
		read[record.Key], versions[record.Key] = kept, record.Stored
	})
	if err != nil {
		return err
	}
	for i, r := range m.Releases {
		secrets := m.helm[r.Namespace+"/"+r.Name]
		standing, known := earlier.standing(m, i)
		if !known {
			var kept []migrate.Kept
			for j, secret := range secrets {
				if copied, found := read[secret.Key]; found { // otherwise it was deleted in the meantime
					secrets[j] = versions[secret.Key]
					kept = append(kept, copied)
				}
			}
			standing = migrate.Compare(r, kept, m.converted())
		}
		m.Standings = append(m.Standings, standing)
		for _, secret := range secrets {
			index := slices.Index(standing.Ours, secret.Key.Name)
			if index >= 0 {
				m.helmRecords = append(m.helmRecords, secret)
			}
			m.later[secret.Key] = index >= 0 && index < len(standing.Later)
		}
		m.checkClash(r, standing)
	}
	return nil
}

// standing returns the earlier result for the i-th release of current, if the Secrets are the
// same. Whether all revisions were written matters to migrate.Compare only if none of the
// Secrets is ours.
func (m *Migration) standing(current *Migration, i int) (migrate.Standing, bool) {
	if m == nil || !slices.Equal(m.records, current.records) || i >= len(m.Standings) || m.Releases[i].Name != current.Releases[i].Name {
		return migrate.Standing{}, false
	}
	r, s := m.Releases[i], m.Standings[i]
	same := slices.Equal(m.helm[r.Namespace+"/"+r.Name], current.helm[r.Namespace+"/"+r.Name])
	return s, same && (len(s.Ours) > 0 || m.converted() == current.converted())
}

// converted reports whether all revisions were written. From then on Helm 3 may change and delete
// them.
func (m *Migration) converted() bool {
	return m.State != nil && m.State.Converted
}

func (m *Migration) checkClash(r migrate.Release, s migrate.Standing) {
	if m.converted() {
		return
	}
	for _, foreign := range s.Foreign {
		m.Problems = append(m.Problems, fmt.Errorf("release %s: Helm 3 has one of that name in namespace %s (%s): uninstall it there, or delete this one", r.Name, r.Namespace, foreign))
	}
	if m.State == nil && len(s.Changed)+len(s.Later) > 0 {
		m.Problems = append(m.Problems, fmt.Errorf("release %s: Helm 3 has it in namespace %s already, and changed it since: delete the one that you do not mean", r.Name, r.Namespace))
	}
}

// Unmoved returns why a release of Tiller's is none of Helm 3's now; empty if it is, or will be.
func (m *Migration) Unmoved(i int) string {
	switch {
	case !m.converted():
		return ""
	case m.live != nil && m.LostNamespace(m.Releases[i].Namespace):
		return "its namespace is gone"
	case m.Standings[i].None() && len(m.Standings[i].Foreign) > 0:
		return "Helm 3 installed another one of that name"
	case m.Standings[i].None():
		return "Helm 3 has no record of it any more"
	}
	return ""
}

// Moved returns how much moved, such as "2 releases, 5 revisions".
func (m *Migration) Moved() string {
	releases, revisions := 0, 0
	for i, r := range m.Releases {
		if m.Unmoved(i) == "" {
			releases, revisions = releases+1, revisions+len(r.Revisions)
		}
	}
	return visible.Counted(releases, "release") + ", " + visible.Counted(revisions, "revision")
}

// check returns a *BlockedError if anything keeps the releases from moving.
func (m *Migration) check() error {
	if len(m.Problems) == 0 {
		return nil
	}
	return &BlockedError{m.Problems}
}
