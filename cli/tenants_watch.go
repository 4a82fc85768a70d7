package cli

import (
	"context"
	"slices"
	"time"

	"helm-tenant/admin"
	"helm-tenant/cluster"
)

// watchEvery is the interval at which the tenants are read again. A list of all takes a
// few requests; watches of every kind would be a dozen open connections.
const watchEvery = 5 * time.Second

// watchTenants prints a row again when it changes, until the caller interrupts it or the
// tenants can't be read. seen is what was printed already. It reports on stderr that a
// tenant was removed.
func (s *session) watchTenants(ctx context.Context, client *cluster.Client, seen *admin.Inventory, q tenantsQuery) error {
	wide := q.output == "wide"
	before := tenantRows(seen, wide)
	q.plain.noHeaders = q.plain.noHeaders || len(before) > 0 // nothing is printed for an empty cluster
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // the usual end of a watch
		case <-ticker.C:
		}
		inventory, _, err := takeTenants(ctx, client, q.names)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		rows := tenantRows(inventory, wide)
		if err := s.printChanged(before, rows, &q); err != nil {
			return err
		}
		before = rows
	}
}

// printChanged prints the changed rows, with headers if these were not printed yet.
func (s *session) printChanged(before, rows [][]string, q *tenantsQuery) error {
	changed, gone := changedRows(before, rows)
	for _, name := range gone {
		s.say("gone: %s", name)
	}
	if len(changed) == 0 {
		return nil
	}
	err := s.printTenantRows(changed, *q)
	q.plain.noHeaders = true
	return err
}

// changedRows returns the rows that were not there before, and the names of tenants that
// no longer have a row.
func changedRows(before, after [][]string) (changed [][]string, removed []string) {
	for _, row := range after {
		if !slices.ContainsFunc(before, func(b []string) bool { return slices.Equal(b, row) }) {
			changed = append(changed, row)
		}
	}
	for _, row := range before {
		if !slices.ContainsFunc(after, func(a []string) bool { return a[0] == row[0] && (a[0] != unmanaged || a[1] == row[1]) }) {
			removed = append(removed, row[0])
		}
	}
	return changed, removed
}
