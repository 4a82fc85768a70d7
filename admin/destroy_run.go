package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// Destroy is one run of destroy.
type Destroy struct {
	Client *cluster.Client
	Name   string
	// Backups writes the backups; File is the requested file, empty for a new one.
	Backups backup.Backups
	File    string
	// DeleteReleases has the tenant's deployer delete its releases first; KeepReleases
	// leaves what they installed. With neither, a tenant that has releases is refused.
	DeleteReleases, KeepReleases bool
	// DeleteNamespaces deletes those of the tenant's namespaces that helm-tenant created.
	DeleteNamespaces bool
	// DryRun ends the run before anything is written.
	DryRun bool
	// Wait waits until the home namespace is deleted, for at most Timeout.
	Wait    bool
	Timeout time.Duration
	Event   Sink
	// Confirm asks the admin before anything is removed.
	Confirm func(context.Context) error
	// Uninstall returns what deletes the releases with helm, or an error if this helm can't. It
	// writes nothing itself, and a dry run calls it as well.
	Uninstall func(*Removal) (run func(context.Context) error, err error)
}

// HasReleasesError refuses to remove a tenant that has releases.
type HasReleasesError struct{ Releases []Release }

func (e *HasReleasesError) Error() string {
	if len(e.Releases) == 1 {
		return "it has a release:"
	}
	return fmt.Sprintf("it has %d releases:", len(e.Releases))
}

// Details returns the releases as the rows of a table.
func (e *HasReleasesError) Details() []string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, r := range e.Releases {
		fmt.Fprintf(table, "%s\tnamespace %s\t%s\t%s\n", visible.Text(r.Name), visible.Text(cmp.Or(r.Namespace, "-")), visible.Text(strings.ToLower(r.Status)), visible.Text(r.Chart))
	}
	table.Flush() // a buffer in memory
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// Run removes the tenant. Before the first deletion it checks that all deletions are
// allowed and backs up the records that are deleted. The order: backup, releases, rights,
// a second backup of what was written since, objects. It returns what belonged to the
// tenant.
func (d *Destroy) Run(ctx context.Context) (*Removal, error) {
	if err := backup.Check(d.File); err != nil {
		return nil, err
	}
	removal, err := prepareRemoval(ctx, d.Client, d.Name, d.DeleteNamespaces)
	if err != nil {
		return nil, err
	}
	if living := removal.Living(); len(living) > 0 && !d.DeleteReleases && !d.KeepReleases {
		return nil, &HasReleasesError{living}
	}
	for _, note := range removal.Prepared.Notes {
		d.Event.note("%s", note)
	}
	if d.File != "" && len(d.recordsToSave(removal)) == 0 {
		d.Event.note("there is no release record: the backup file is not written")
	}
	var uninstall func(context.Context) error
	if d.DeleteReleases {
		if uninstall, err = d.Uninstall(removal); err != nil {
			return nil, err
		}
	}
	if d.DryRun {
		return removal, nil
	}
	if err := d.Confirm(ctx); err != nil {
		return nil, err
	}
	if err := CheckAllowed(ctx, d.Client, removal.Prepared); err != nil {
		return nil, err
	}
	saved, err := d.Backups.Save(ctx, d.File, "", d.recordsToSave(removal))
	if err != nil {
		return nil, err
	}
	removal.addBackup(saved)
	if uninstall != nil {
		if err := uninstall(ctx); err != nil {
			return nil, err
		}
	}
	if err := d.remove(ctx, removal, saved); err != nil {
		return nil, err
	}
	if removal.HomeGoes && d.Wait {
		ctx, cancel := context.WithTimeout(ctx, d.Timeout)
		defer cancel()
		if err := d.Client.WaitForDeletion(ctx, removal.Home); err != nil {
			return nil, err
		}
	}
	return removal, nil
}

// addBackup adds the file of a backup, unless it is empty or added already.
func (r *Removal) addBackup(b backup.Backup) {
	if b.File != "" && !slices.Contains(r.Backups, b.File) {
		r.Backups = append(r.Backups, b.File)
	}
}

// recordsToSave returns the release records that are deleted with other objects; for a file that
// somebody named all that the tenant has, since the file is what brings its releases back.
func (d *Destroy) recordsToSave(removal *Removal) []cluster.Stored {
	if d.DeleteReleases || d.DeleteNamespaces || d.File != "" {
		return slices.Concat(removal.Records, removal.helmRecords)
	}
	return removal.Records
}

// remove deletes the tenant's objects, unless something was installed in the meantime.
// The rights are removed first, in a step of their own: records written until then go
// into a second backup, and nobody can write any afterwards.
func (d *Destroy) remove(ctx context.Context, removal *Removal, saved backup.Backup) error {
	check := func(current *Removal, err error) (*Removal, error) {
		if _, deleted := errors.AsType[*NoTenantError](err); deleted {
			return &Removal{Name: d.Name, Prepared: removal.Prepared.withoutPlan()}, nil // another admin was faster
		}
		if err != nil {
			return nil, err
		}
		if living := current.Living(); len(living) > 0 && !d.KeepReleases {
			return nil, &HasReleasesError{living}
		}
		return current, nil
	}
	_, err := Write(ctx, d.Client, func(ctx context.Context) (*Prepared, error) {
		current, err := check(removal.rights(ctx, d.Client))
		if err != nil {
			return nil, err
		}
		return current.Prepared, nil
	}, d.Event.made)
	if err != nil {
		return err
	}
	d.awaitPowerless(ctx, removal)
	_, err = Write(ctx, d.Client, func(ctx context.Context) (*Prepared, error) {
		current, err := check(prepareRemoval(ctx, d.Client, d.Name, d.DeleteNamespaces))
		if err != nil {
			return nil, err
		}
		if saved, err = d.Backups.SaveAgain(ctx, saved, "-later", d.recordsToSave(current)); err != nil {
			return nil, err
		}
		removal.addBackup(saved)
		return current.Prepared, nil
	}, d.Event.made)
	return err
}

// awaitPowerless waits until the API server enforces the removal of the deployers' rights.
func (d *Destroy) awaitPowerless(ctx context.Context, removal *Removal) {
	var namespaces []string
	for _, key := range removal.Prepared.live.OfTenant(d.Name) {
		if key.Kind == "RoleBinding" && key.Namespace != removal.Home {
			namespaces = append(namespaces, key.Namespace)
		}
	}
	err := awaitPowerless(ctx, d.Client, tenant.EngineBoth, removal.Home, namespaces)
	if err != nil {
		d.Event.warn(err, "whether the deployer of tenant %s can still write releases is not known", d.Name)
	}
}

// sharer is another tenant that has one of the namespaces.
type sharer struct {
	name string
	// home is the home namespace with the tenant's record; empty if only a binding names
	// the tenant, whose label a chart may have set.
	home string
}

// findOthers returns the other tenants of a tenant's namespaces, one for each namespace
// that has any: by their records, or by a binding there that carries a tenant's label.
func findOthers(ctx context.Context, c *cluster.Client, live *cluster.Live, name string, keys []cluster.Key) (map[string]*sharer, error) {
	others := map[string]*sharer{}
	records, err := c.TenantRecords(ctx)
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		// An unreadable record names no namespaces, but its bindings do.
		t, err := tenant.ReadRecord(record.Data[tenant.RecordKey])
		if err != nil || t.Name == name || t.AllNamespaces {
			continue
		}
		shared := slices.DeleteFunc(slices.Clone(t.Namespaces), func(ns string) bool {
			return others[ns] != nil || !slices.Contains(keys, namespaceKey(ns))
		})
		if len(shared) == 0 {
			continue
		}
		if err := c.Lookup(ctx, live, []cluster.Key{namespaceKey(record.Namespace)}); err != nil {
			return nil, err
		}
		if home := live.Get(namespaceKey(record.Namespace)); home == nil || home.GetDeletionTimestamp() != nil {
			continue // it is deleted as well
		}
		for _, ns := range shared {
			others[ns] = &sharer{t.Name, record.Namespace}
		}
	}
	var unknown []string
	for _, key := range keys {
		if key.Kind == "Namespace" && others[key.Name] == nil {
			unknown = append(unknown, key.Name)
		}
	}
	options := metav1.ListOptions{LabelSelector: tenant.LabelTenant + "!=" + name + "," + tenant.LabelTenant}
	list := unknown
	if listsCluster(c, len(unknown)) {
		list = []string{""}
	}
	for _, ns := range list {
		err := c.EachMeta(ctx, "RoleBinding", ns, options, func(b *metav1.PartialObjectMetadata) {
			if slices.Contains(unknown, b.Namespace) && others[b.Namespace] == nil {
				others[b.Namespace] = &sharer{name: b.Labels[tenant.LabelTenant]}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return others, nil
}
