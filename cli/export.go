package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/command"
	"helm-tenant/tenant"
)

func newExport(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [TENANT...]",
		Short: "Write the tenants file from the cluster",
		Long: `Write the tenants file from the cluster: given to apply, it changes nothing. What
a file can't carry is said on standard error. The exit code is 3 where a tenant was left
out, because its record can't be read.`,
		Example: `  helm tenant export > tenants.yaml
  helm tenant export team-a team-b`,
		Args: tenantNames,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return s.export(cmd.Context(), args) }
	return cmd
}

func (s *session) export(ctx context.Context, names []string) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	inventory, err := admin.TakeInventory(ctx, client)
	if err != nil {
		return fmt.Errorf("export from %s: %w", client.Where(), err)
	}
	if len(inventory.Unseen) > 0 {
		// A file that lacks members would take them away when it is applied.
		return fmt.Errorf("export from %s: %w", client.Where(), inventory.Unseen[0])
	}
	var tenants []tenant.Tenant
	var missing problems
	for _, t := range inventory.Tenants {
		switch {
		case len(names) > 0 && !slices.Contains(names, t.Name):
		case t.Problem != "":
			missing = append(missing, fmt.Errorf("tenant %q can't be exported: %s", t.Name, t.Problem))
		case t.TermsUnread != "":
			// In the file they would be members for good.
			missing = append(missing, fmt.Errorf("tenant %q can't be exported, since until when its members were let in can't be read: %s", t.Name, t.TermsUnread))
		default:
			tenants = append(tenants, t.Tenant)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(inventory.Tenants, func(t admin.Overview) bool { return t.Name == name }) {
			return withHint(fmt.Errorf("export: %w", &admin.NoTenantError{Name: name, Where: client.Where()}), "list them with: helm tenant tenants")
		}
	}
	if len(names) == 0 {
		for _, u := range inventory.Unmanaged {
			// A member can make what looks like a Tiller, and init takes no tenant's
			// namespace for a home.
			if slices.ContainsFunc(inventory.Tenants, func(t admin.Overview) bool { return slices.Contains(t.Namespaces, u.Namespace) }) {
				s.say("Warning: the Tiller in namespace %s is no tenant's and can't be carried over; that namespace is a tenant's and can't be a home", u.Namespace)
				continue
			}
			s.say("Warning: the Tiller in namespace %s is no tenant's and can't be carried over; make it one with: %s", u.Namespace,
				command.Run(command.Command{"helm", "tenant", "init", "TENANT", "--home-namespace=" + u.Namespace, "--namespaces=NS", "--adopt"}))
		}
	}
	if len(missing) > 0 && len(tenants) == 0 {
		return fmt.Errorf("export from %s: %w", client.Where(), missing)
	}
	text, err := tenant.FormatFile(tenants)
	if err != nil {
		return err
	}
	if err := printYAML(s.env.Stdout, []byte(text)); err != nil || len(missing) == 0 {
		return err
	}
	return &codeError{exitPartly, withHint(missing, "the file lacks them: with apply --prune they would be destroyed")}
}
