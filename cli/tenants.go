package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// tenantsQuery has the options of `tenants`.
type tenantsQuery struct {
	names  []string
	output string
	plain  tableOptions
	watch  bool
}

func newTenants(s *session) *cobra.Command {
	var q tenantsQuery
	cmd := &cobra.Command{
		Use:   "tenants [TENANT...]",
		Short: "List the tenants of the cluster, and the Tillers that belong to none",
		Long: `List the tenants of the cluster, and the Tillers that belong to none; or only the named
tenants.

A "?" stands for what you may not read, and null in -o json; a warning names it.`,
		Example: `  helm tenant tenants
  helm tenant tenants team-a team-b
  helm tenant tenants -o wide
  helm tenant tenants --watch
  helm tenant tenants -o json`,
		Args: tenantNames,
	}
	outputFlag(cmd, &q.output, "table", "wide", "json", "yaml", "name")
	q.plain.flags(cmd)
	cmd.Flags().BoolVarP(&q.watch, "watch", "w", false, "keep running: print a tenant's line again when it changes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q.names = args
		if q.watch && (q.plain.quiet || q.output != "table" && q.output != "wide") {
			return asUsage(cmd, errors.New("--watch prints tables only: leave --quiet out, and --output, or make it wide"))
		}
		return s.tenants(cmd.Context(), q)
	}
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return asUsage(cmd, withHint(fmt.Errorf("%s takes no arguments, not %q", cmd.Name(), args[0]), strayHints(cmd, args[0])...))
	}
	return nil
}

func (s *session) tenants(ctx context.Context, q tenantsQuery) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	inventory, missing, err := takeTenants(ctx, client, q.names)
	if err != nil {
		return err
	}
	for _, unseen := range inventory.Unseen {
		s.say("Warning: not everything is shown: %s", errorText(unseen))
	}
	if err := s.printTenants(inventory, client.Where(), q); err != nil {
		return err
	}
	if len(missing) > 0 {
		code := exitPartly
		if len(inventory.Tenants) == 0 {
			code = exitFailed
		}
		return &codeError{code, missing}
	}
	if q.watch {
		return s.watchTenants(ctx, client, inventory, q)
	}
	return nil
}

// takeTenants reads the named tenants, or all if there are no names. missing has an error
// for each tenant that does not exist.
func takeTenants(ctx context.Context, client *cluster.Client, names []string) (inventory *admin.Inventory, missing problems, err error) {
	if inventory, err = admin.TakeInventory(ctx, client); err != nil {
		return nil, nil, withHint(unlistedTenants(client).Wrap(err), append(hintsFor(err, inFlags), ownHints(err)...)...)
	}
	if len(names) == 0 {
		return inventory, nil, nil
	}
	for _, name := range names {
		if unknown := inventory.Lacks(name, client.Where()); unknown != nil {
			missing = append(missing, withHint(unknown, noTenantHints(unknown)...))
		}
	}
	inventory.Only(names)
	return inventory, missing, nil
}

// unlistedTenants describes a list of tenants that could not be read, for errors.
func unlistedTenants(client *cluster.Client) failure.Error {
	return failure.Error{Operation: "the tenants", Where: failure.Subject{Preposition: "of", Text: client.Where()}, Outcome: "can't be listed"}
}

// tenantItem is a tenant in machine output, with null for what is not known.
type tenantItem struct {
	admin.Overview
	Members   *tenant.Members `json:"members"`
	Readers   *tenant.Members `json:"readers"`
	Owners    *tenant.Members `json:"owners"`
	Temporary *tenant.Terms   `json:"temporary"`
	Releases  map[string]int  `json:"releases"`
}

func tenantItems(inventory *admin.Inventory) []tenantItem {
	items := []tenantItem{}
	for _, t := range inventory.Tenants {
		item := tenantItem{Overview: t}
		if !inventory.PeopleUnseen {
			item.Members, item.Readers, item.Owners, item.Temporary = &t.Members, &t.Readers, &t.Owners, &t.Temporary
		}
		if !inventory.ReleasesUnseen {
			item.Releases = map[string]int{}
			maps.Copy(item.Releases, t.Releases)
		}
		items = append(items, item)
	}
	return items
}

func tenantList(inventory *admin.Inventory) any {
	unseen := lists.Map(inventory.Unseen, errorText)
	return struct {
		document
		Items     []tenantItem      `json:"items"`
		Unmanaged []admin.Unmanaged `json:"unmanaged" nil:"unknown"`
		Unseen    []string          `json:"unseen"`
	}{documentOf("TenantList"), tenantItems(inventory), known(inventory.Unmanaged, !inventory.TillersUnseen), unseen}
}

func (s *session) printTenants(inventory *admin.Inventory, where string, q tenantsQuery) error {
	if q.plain.quiet || q.output == "name" {
		prefix := "tenant/"
		if q.plain.quiet {
			prefix = ""
		}
		for _, t := range inventory.Tenants {
			visible.Fprintf(s.out(), "%s%s\n", prefix, t.Name)
		}
		return nil
	}
	if q.output == "json" || q.output == "yaml" {
		return printObject(s.out(), q.output, tenantList(inventory))
	}
	if len(inventory.Tenants)+len(inventory.Unmanaged) == 0 {
		if len(q.names) == 0 {
			s.say("There are no tenants in %s. Make one with: helm tenant init TENANT --namespaces=NS", where)
		}
		return nil
	}
	for _, t := range inventory.Tenants {
		if len(t.Terminating) > 0 {
			s.say("Note: tenant %s: being deleted: %s", t.Name, visible.Named("namespace", t.Terminating))
		}
		if t.Tiller != nil && t.Tiller.Rollout != "" {
			s.say("Note: tenant %s: Tiller: %s", t.Name, t.Tiller.Rollout)
		}
	}
	if err := s.printTenantRows(tenantRows(inventory, q.output == "wide"), q); err != nil {
		return err
	}
	for _, t := range inventory.Tenants {
		if fields := t.UnknownFields(); fields != "" {
			s.say("Note: of tenant %s not everything is shown: %s", t.Name, fields)
		}
	}
	return nil
}

// printTenantRows prints rows of the table of tenants, with headers unless q turns them
// off.
func (s *session) printTenantRows(rows [][]string, q tenantsQuery) error {
	table := tabwriter.NewWriter(s.out(), 0, 0, 3, ' ', 0)
	columns := []string{"NAME", "NAMESPACES", "MEMBERS", "ENGINE", "TILLER", "READY", "RELEASES"}
	if q.output == "wide" {
		columns = append(columns, "HOME", "ROLE", "IMAGE")
	}
	q.plain.head(table, columns...)
	for _, row := range rows {
		printRow(table, row...)
	}
	return table.Flush()
}

const (
	// unknownCell is the cell for what could not be read.
	unknownCell = "?"
	// unmanaged is the name of a Tiller that belongs to no tenant.
	unmanaged = "(unmanaged)"
)

func tenantRows(inventory *admin.Inventory, wide bool) [][]string {
	var rows [][]string
	releases := func(byStatus map[string]int) string {
		if inventory.ReleasesUnseen {
			return unknownCell
		}
		return countReleases(byStatus)
	}
	for _, t := range inventory.Tenants {
		namespaces, members := brief(t.Namespaces), countMembers(t.Members)
		if wide {
			members = strings.Join(peopleOf(t.Tenant), "; ")
			namespaces = strings.Join(t.Namespaces, ",")
		}
		if inventory.PeopleUnseen {
			members = unknownCell
		}
		if t.AllNamespaces {
			namespaces = "(all)"
		}
		version, ready, image := "-", "-", "-"
		switch {
		case t.Tiller != nil:
			version, ready, image = t.Tiller.Version, fmt.Sprintf("%d/%d", t.Tiller.Ready, t.Tiller.Desired), t.Tiller.Image
		case inventory.TillersUnseen && t.Engine.Has(tenant.EngineTiller):
			version, ready, image = unknownCell, unknownCell, unknownCell
		}
		engine := string(t.Engine)
		if t.Migration != nil {
			engine += fmt.Sprintf(" (migrating: %s)", t.Migration.Phase)
		}
		if t.Frozen != nil {
			engine += " (frozen)"
		}
		if slices.Contains(t.Terminating, t.Home) {
			engine += " (its home is being deleted)"
		}
		row := []string{t.Name, dash(namespaces), dash(members), engine, dash(version), ready, releases(t.Releases)}
		if t.Problem != "" && len(t.Unknown) == 0 {
			row[1] = "(its record can't be read)"
		}
		if wide {
			row = append(row, t.Home, t.Role, image)
		}
		rows = append(rows, row)
	}
	for _, u := range inventory.Unmanaged {
		row := []string{unmanaged, "in " + u.Namespace, "-", "tiller", dash(clipped(u.Version)), fmt.Sprintf("%d/%d", u.Ready, u.Desired), releases(u.Releases)}
		if wide {
			row = append(row, u.Namespace, "-", clipped(u.Image))
		}
		rows = append(rows, row)
	}
	return rows
}

// peopleOf returns a tenant's members, readers and owners, a text for each relation that
// anybody has, with the ends of grants for a time.
func peopleOf(t tenant.Tenant) []string {
	var all []string
	for _, as := range tenant.Relations {
		var names []string
		for _, s := range t.People(as) {
			name := visible.Name(s.String())
			if term, limited := t.Temporary.Of(as, s); limited {
				name += fmt.Sprintf(" (%s)", term)
			}
			names = append(names, name)
		}
		text := strings.Join(names, ", ")
		if as != tenant.RelationMember && text != "" {
			text = fmt.Sprintf("%ss: %s", as, text)
		}
		if text != "" {
			all = append(all, text)
		}
	}
	return all
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// brief lists the first of many names.
func brief(names []string) string {
	const mostNames = 3
	if len(names) <= mostNames {
		return strings.Join(names, ",")
	}
	return fmt.Sprintf("%s,... (%d)", strings.Join(names[:mostNames], ","), len(names))
}

func countMembers(m tenant.Members) string {
	var parts []string
	for _, list := range []struct {
		kind, one, many string
	}{{rbacv1.UserKind, "user", "users"}, {rbacv1.GroupKind, "group", "groups"}, {rbacv1.ServiceAccountKind, "account", "accounts"}} {
		switch count := len(m.OfKind(list.kind)); {
		case count == 1:
			parts = append(parts, "1 "+list.one)
		case count > 1:
			parts = append(parts, fmt.Sprintf("%d %s", count, list.many))
		}
	}
	return strings.Join(parts, ", ")
}

// countReleases returns a count such as "3" or "3 (1 failed)".
func countReleases(byStatus map[string]int) string {
	total := 0
	var odd []string
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		count := byStatus[status]
		if status == "DELETED" {
			continue // only its history is kept
		}
		total += count
		if status != "DEPLOYED" {
			odd = append(odd, fmt.Sprintf("%d %s", count, strings.ToLower(status)))
		}
	}
	if len(odd) == 0 {
		return fmt.Sprint(total)
	}
	return fmt.Sprintf("%d (%s)", total, strings.Join(odd, ", "))
}
