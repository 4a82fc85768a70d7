package admin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/recognise"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// NoTillerError reports that no Tiller which could be split runs in a namespace.
type NoTillerError struct {
	From string
	// Tenant is the tenant whose home the namespace is, if it is one.
	Tenant string
}

func (e *NoTillerError) Error() string {
	if e.Tenant != "" {
		return fmt.Sprintf("namespace %q is the home of tenant %q: only a Tiller that is no tenant's is split", e.From, e.Tenant)
	}
	return fmt.Sprintf("no Tiller runs in namespace %q", e.From)
}

// SplittingError refuses an action that would disturb a split that is under way.
type SplittingError struct {
	From string
	tenant.Split
}

func (e *SplittingError) Error() string {
	return fmt.Sprintf("the split of the Tiller in namespace %q is %s", e.From, e.Phase)
}

func splitKey(from string) cluster.Key {
	return cluster.Key{Kind: "ConfigMap", Namespace: from, Name: tenant.SplitName}
}

// copyKey returns the key under which the Tiller of the release's tenant keeps the record.
func (r SplitRelease) copyKey(record cluster.Stored) cluster.Key {
	kind := "Secret"
	if r.storage == tenant.StorageConfigMap {
		kind = "ConfigMap"
	}
	return cluster.Key{Kind: kind, Namespace: r.Home, Name: record.Key.Name}
}

// readSplitState reads the state of a split; nil if there is none.
func readSplitState(ctx context.Context, c *cluster.Client, from string) (*unstructured.Unstructured, *tenant.Split, error) {
	live := cluster.NewLive()
	if err := c.Lookup(ctx, live, []cluster.Key{splitKey(from)}); err != nil {
		return nil, nil, err
	}
	object := live.Get(splitKey(from))
	if object == nil {
		return nil, nil, nil
	}
	var m corev1.ConfigMap
	if err := cluster.Typed(object, &m); err != nil {
		return nil, nil, err
	}
	state, err := tenant.ParseSplit(m.Data[tenant.SplitKey])
	return object, &state, err
}

// read reads the Tiller in a namespace, its records and the state of its split, and
// decides where each release goes: by the tenants' namespaces if the split has not begun
// or is frozen, otherwise by the state of the split. It writes nothing. earlier is the
// result of an earlier read in the same run, or nil: records that have not changed since
// are not read and unpacked again.
func (s *Split) read(ctx context.Context, earlier *SplitPlan) (*SplitPlan, error) {
	c, tenants := s.Client, s.tenants()
	p := &SplitPlan{From: s.From, copies: map[cluster.Key]tillerRecord{}, later: map[string][]cluster.Stored{}, live: cluster.NewLive()}
	var err error
	if _, p.State, err = readSplitState(ctx, c, s.From); err != nil {
		return nil, err
	}
	if err := p.readTiller(ctx, c); err != nil {
		return nil, err
	}
	stored, err := c.StoredReleases(ctx, tenant.EngineTiller, s.From)
	if err != nil {
		return nil, err
	}
	stored = ofStorage(stored, p.Storage)
	current := map[cluster.Key]bool{}
	for _, record := range currentRecords(stored, true) {
		current[record.Key] = true
	}
	records, err := readTillerRecords(ctx, c, stored, current, earlier.recordsByKey(), len(s.onward) > 0)
	if err != nil {
		return nil, err
	}
	p.Releases = assign(records, tenants, s.Leave)
	for _, name := range s.Leave {
		if !slices.ContainsFunc(p.Releases, func(r SplitRelease) bool { return r.Name == name }) {
			return nil, Invalid{fmt.Errorf("--leave %s: the Tiller in namespace %q has no such release", name, s.From)}
		}
	}
	if err := p.checkState(); err != nil {
		return nil, err
	}
	objects, err := readLiveObjects(ctx, c, p.Releases)
	if err != nil {
		return nil, err
	}
	noteMismatches(p.Releases, tenants, objects)
	p.checkTenants(tenants)
	p.checkOnward(tenants, s.onward)
	if err := p.readCopies(ctx, c); err != nil {
		return nil, err
	}
	p.checkClashes()
	return p, nil
}

// checkState refuses to split in another way than the split that has begun.
func (p *SplitPlan) checkState() error {
	if p.State == nil {
		return nil
	}
	mapping := p.mapping()
	for _, name := range slices.Sorted(maps.Keys(p.State.Releases)) {
		was, current := p.State.Releases[name], mapping[name]
		if current != was && slices.ContainsFunc(p.Releases, func(r SplitRelease) bool { return r.Name == name }) {
			return fmt.Errorf("the split began with release %q going to tenant %q, and not to %q: use the same file and --leave, or go back first", name, was, current)
		}
	}
	return nil
}

// readTiller finds the Tillers of the namespace, and the storage of their records.
func (p *SplitPlan) readTiller(ctx context.Context, c *cluster.Client) error {
	found, err := readTillers(ctx, c, p.From)
	if err != nil {
		return err
	}
	p.tillers = found.tillers
	if p.State != nil {
		p.Storage = p.State.Storage
		return nil
	}
	if len(found.tillers) == 0 {
		homes, err := c.Homes(ctx)
		if err != nil {
			return err
		}
		none := &NoTillerError{From: p.From}
		for name, names := range homes {
			if slices.Contains(names, p.From) {
				none.Tenant = name
			}
		}
		return none
	}
	for _, t := range found.tillers {
		if !slices.Contains(tenant.ScalableKinds, t.object.GetKind()) {
			return fmt.Errorf("the Tiller in namespace %q is %s, which can't be stopped and started again: run it as a Deployment first", p.From, t)
		}
	}
	container := recognise.Container(found.tillers[0].spec.Template.Spec)
	if container == nil {
		return fmt.Errorf("%s in namespace %q has no container", found.tillers[0], p.From)
	}
	storage, elsewhere := recognise.NamespaceOf(container, p.From)
	switch {
	case elsewhere != "":
		return fmt.Errorf("%s in namespace %q takes the namespace in which it stores its releases from %s: write the value into variable TILLER_NAMESPACE of the %s itself", found.tillers[0], p.From, elsewhere, found.tillers[0].object.GetKind())
	case storage != p.From:
		return fmt.Errorf("%s in namespace %q stores its releases in namespace %q: only a Tiller is split that has them in its own", found.tillers[0], p.From, storage)
	}
	if p.Storage, err = found.storage(p.From, ""); err == nil && p.Storage == "" {
		p.Storage = tenant.StorageConfigMap // the default of a Tiller whose command line does not set it
	}
	return err
}

// readTillers finds the Tillers of a namespace that belong to no tenant, and counts its
// records.
func readTillers(ctx context.Context, c *cluster.Client, namespace string) (byHand, error) {
	found, err := findByHandIn(ctx, c, namespace, runnerKinds)
	if err != nil || len(found.tillers) == 0 {
		return found, err
	}
	stored, err := c.StoredReleases(ctx, tenant.EngineTiller, namespace)
	found.records = countStorages(stored)
	return found, err
}

// readTillerRecords reads the content of records. The objects of the manifest are kept for
// the records in current. Records that are in known and have not changed are not read.
// The records for which converts is true are converted for Helm 3 as well.
func readTillerRecords(ctx context.Context, c *cluster.Client, stored []cluster.Stored, current map[cluster.Key]bool, known map[cluster.Key]tillerRecord, converts bool) ([]tillerRecord, error) {
	var records []tillerRecord
	var unread []cluster.Stored
	for _, record := range stored {
		if old, found := known[record.Key]; found && old.Stored == record && old.current == current[record.Key] {
			records = append(records, old)
		} else {
			unread = append(unread, record)
		}
	}
	var mutex sync.Mutex
	err := unpackEach(ctx, c, unread, nil, func(record cluster.Record) {
		old := tillerRecord{Stored: record.Stored, packed: sha256.Sum256(packedIn(record)), current: current[record.Key]}
		r, err := c.ReleaseOf(record)
		old.converted = migrate.Unreadable(record.Key.Name, err)
		if old.problem = err; err == nil {
			if converts {
				old.converted = migrate.Read(record.Key.Name, r, nil)
			}
			old.name, old.namespace, old.version, old.status = r.GetName(), r.GetNamespace(), int(r.GetVersion()), r.GetInfo().GetStatus().GetCode().String()
			if old.current {
				old.bodies, old.problem = migrate.Bodies(r.GetManifest())
			}
		}
		mutex.Lock()
		defer mutex.Unlock()
		records = append(records, old)
	})
	return records, err
}

// packedIn returns the data of a record, which is the same in a ConfigMap and in a
// Secret.
func packedIn(record cluster.Record) []byte {
	switch object := record.Object.(type) {
	case *corev1.Secret:
		return object.Data[release.DataKey]
	case *corev1.ConfigMap:
		return []byte(object.Data[release.DataKey])
	}
	return nil
}
