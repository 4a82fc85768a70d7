package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/admin"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

func newTenants(s *session) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "tenants",
		Short: "List the tenants of the cluster, and the Tillers that are none's",
		Example: `  helm tenant tenants
  helm tenant tenants -o wide
  helm tenant tenants -o json`,
		Args: noArguments,
	}
	outputFlag(cmd, &output, "table", "wide", "json", "yaml", "name")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return s.tenants(cmd.Context(), output) }
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return asUsage(cmd, fmt.Errorf("%s takes no arguments, not %q", cmd.Name(), args[0]))
	}
	return nil
}

func (s *session) tenants(ctx context.Context, output string) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	inventory, err := admin.TakeInventory(ctx, client)
	if err != nil {
		return fmt.Errorf("the tenants of %s can't be listed: %w", client.Where(), err)
	}
	for _, unseen := range inventory.Unseen {
		s.say("Warning: not everything is shown: %v", unseen)
	}
	switch output {
	case "name":
		for _, t := range inventory.Tenants {
			visible.Fprintf(s.out(), "tenant/%s\n", t.Name)
		}
		return nil
	case "json", "yaml":
		return printObject(s.out(), output, struct {
			APIVersion string            `json:"apiVersion"`
			Kind       string            `json:"kind"`
			Items      []admin.Overview  `json:"items"`
			Unmanaged  []admin.Unmanaged `json:"unmanaged"`
		}{tenant.APIVersion, "TenantList", append([]admin.Overview{}, inventory.Tenants...), append([]admin.Unmanaged{}, inventory.Unmanaged...)})
	}
	if len(inventory.Tenants)+len(inventory.Unmanaged) == 0 {
		s.say("There are no tenants in %s. Make one with: helm tenant init TENANT --namespaces=NS", client.Where())
		return nil
	}
	for _, t := range inventory.Tenants {
		if t.Tiller != nil && t.Tiller.Rollout != "" {
			s.say("Note: tenant %s: Tiller: %s", t.Name, t.Tiller.Rollout)
		}
	}
	return s.printTenants(inventory, output == "wide")
}

func (s *session) printTenants(inventory *admin.Inventory, wide bool) error {
	table := tabwriter.NewWriter(s.out(), 0, 0, 3, ' ', 0)
	columns := []string{"NAME", "NAMESPACES", "MEMBERS", "ENGINE", "TILLER", "READY", "RELEASES"}
	if wide {
		columns = append(columns, "HOME", "ROLE", "IMAGE")
	}
	printRow(table, columns...)
	for _, t := range inventory.Tenants {
		namespaces, members := brief(t.Namespaces), countMembers(t.Members)
		if wide {
			members = strings.Join(peopleOf(t.Tenant), "; ")
			namespaces = strings.Join(t.Namespaces, ",")
		}
		if t.AllNamespaces {
			namespaces = "(all)"
		}
		version, ready, image := "-", "-", "-"
		if t.Tiller != nil {
			version, ready, image = t.Tiller.Version, fmt.Sprintf("%d/%d", t.Tiller.Ready, t.Tiller.Desired), t.Tiller.Image
		}
		engine := string(t.Engine)
		if t.Migration != nil {
			engine += fmt.Sprintf(" (migrating: %s)", t.Migration.Phase)
		}
		if t.Frozen != nil {
			engine += " (frozen)"
		}
		row := []string{t.Name, dash(namespaces), dash(members), engine, dash(version), ready, countReleases(t.Releases)}
		if t.Problem != "" && len(t.Unknown) == 0 {
			row[1] = "(its record can't be read)"
		}
		if wide {
			row = append(row, t.Home, t.Role, image)
		}
		printRow(table, row...)
	}
	for _, u := range inventory.Unmanaged {
		row := []string{"(unmanaged)", "in " + u.Namespace, "-", "tiller", dash(clipped(u.Version)), fmt.Sprintf("%d/%d", u.Ready, u.Desired), countReleases(u.Releases)}
		if wide {
			row = append(row, u.Namespace, "-", clipped(u.Image))
		}
		printRow(table, row...)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, t := range inventory.Tenants {
		if fields := t.UnknownFields(); fields != "" {
			s.say("Note: of tenant %s not everything is shown: %s", t.Name, fields)
		}
	}
	return nil
}

// peopleOf are a tenant's people, one text for each relation that anybody has, and each
// with the end of their time.
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
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ",")
	}
	return fmt.Sprintf("%s,... (%d)", strings.Join(names[:few], ","), len(names))
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

// countReleases is like "3" or "3 (1 failed)".
func countReleases(byStatus map[string]int) string {
	total := 0
	var odd []string
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		count := byStatus[status]
		if status == "DELETED" {
			continue // kept as history only
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
