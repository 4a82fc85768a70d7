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

	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/visible"
)

// Destroy is one run of destroy.
type Destroy struct {
	Client *cluster.Client
	Name   string
	// Backups write the backups; File is the file that was asked for, empty for a new one.
	Backups backup.Backups
	File    string
	// DeleteReleases has the tenant's deployer delete its releases first, KeepReleases
	// leaves what they made; with neither, a tenant that has releases is refused.
	DeleteReleases, KeepReleases bool
	// DeleteNamespaces deletes the tenant's namespaces that helm-tenant created.
	DeleteNamespaces bool
	// DryRun ends the run before anything is written.
	DryRun bool
	// Wait waits until the home namespace is gone, at most for Timeout.
	Wait    bool
	Timeout time.Duration
	Event   Sink
	// Confirm asks the admin before anything is removed.
	Confirm func(context.Context) error
	// Uninstall deletes the releases with helm.
	Uninstall func(context.Context, *Removal) error
}

// HasReleasesError refuses to remove a tenant that has releases.
type HasReleasesError struct{ Releases []Release }

func (e *HasReleasesError) Error() string {
	if len(e.Releases) == 1 {
		return "it has a release:"
	}
	return fmt.Sprintf("it has %d releases:", len(e.Releases))
}

// Details are the releases, as the rows of a table.
func (e *HasReleasesError) Details() []string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, r := range e.Releases {
		fmt.Fprintf(table, "%s\tnamespace %s\t%s\t%s\n", visible.Text(r.Name), visible.Text(cmp.Or(r.Namespace, "-")), visible.Text(strings.ToLower(r.Status)), visible.Text(r.Chart))
	}
	table.Flush() // into memory
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// Run removes the tenant. Nothing is deleted before it is known that all of it may be
// deleted, and that the records that go with it are backed up. The order: backup,
// releases, rights, what was written since to a second backup, objects. It returns what
// there was of the tenant.
func (d *Destroy) Run(ctx context.Context) (*Removal, error) {
	if err := backup.Check(d.File); err != nil {
		return nil, err
	}
	removal, err := PrepareDestroy(ctx, d.Client, d.Name, d.DeleteNamespaces)
	if err != nil {
		return nil, err
	}
	if living := removal.Living(); len(living) > 0 && !d.DeleteReleases && !d.KeepReleases {
		return nil, &HasReleasesError{living}
	}
	for _, note := range removal.Prepared.Notes {
		d.Event(Event{Text: "Note: " + note})
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
	saved, err := d.Backups.Save(ctx, d.File, "", d.recordsAtRisk(removal))
	if err != nil {
		return nil, err
	}
	removal.addBackup(saved)
	if d.DeleteReleases {
		if err := d.Uninstall(ctx, removal); err != nil {
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

// addBackup notes the file of a backup, unless it holds nothing or is noted.
func (r *Removal) addBackup(b backup.Backup) {
	if b.File != "" && !slices.Contains(r.Backups, b.File) {
		r.Backups = append(r.Backups, b.File)
	}
}

// recordsAtRisk are the release records that go with what is deleted.
func (d *Destroy) recordsAtRisk(removal *Removal) []cluster.Stored {
	if d.DeleteReleases || d.DeleteNamespaces {
		return slices.Concat(removal.Records, removal.HelmRecords)
	}
	return removal.Records
}

// remove deletes the tenant's objects, unless something was installed meanwhile. The
// rights go first, in a step of their own: records that were written until then go into a
// second backup, and nobody can write any afterwards.
func (d *Destroy) remove(ctx context.Context, removal *Removal, saved backup.Backup) error {
	check := func(now *Removal, err error) (*Removal, error) {
		if _, gone := errors.AsType[*NoTenantError](err); gone {
			return &Removal{Name: d.Name, Prepared: removal.Prepared.WithoutPlan()}, nil // another admin was faster
		}
		if err != nil {
			return nil, err
		}
		if living := now.Living(); len(living) > 0 && !d.KeepReleases {
			return nil, &HasReleasesError{living}
		}
		return now, nil
	}
	_, err := Write(ctx, d.Client, func(ctx context.Context) (*Prepared, error) {
		now, err := check(removal.rights(ctx, d.Client))
		if err != nil {
			return nil, err
		}
		return now.Prepared, nil
	}, d.Event.made)
	if err != nil {
		return err
	}
	_, err = Write(ctx, d.Client, func(ctx context.Context) (*Prepared, error) {
		now, err := check(PrepareDestroy(ctx, d.Client, d.Name, d.DeleteNamespaces))
		if err != nil {
			return nil, err
		}
		if saved, err = d.Backups.SaveAgain(ctx, saved, "-later", d.recordsAtRisk(now)); err != nil {
			return nil, err
		}
		removal.addBackup(saved)
		return now.Prepared, nil
	}, d.Event.made)
	return err
}
