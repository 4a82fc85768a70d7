package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	sigsyaml "sigs.k8s.io/yaml"

	"helm-tenant/admin"
	"helm-tenant/command"
	"helm-tenant/tenant"
)

// Values of export's --format.
const (
	formatTenants = "tenants"
	formatArgoCD  = "argocd"
)

func newExport(s *session) *cobra.Command {
	format, argo := formatTenants, admin.ArgoCD{Namespace: "argocd", Server: "https://kubernetes.default.svc"}
	cmd := &cobra.Command{
		Use:   "export [TENANT...]",
		Short: "Write the tenants file from the cluster",
		Long: `Write the tenants file from the cluster: given to apply, it changes nothing. What
a file can't carry is said on standard error. The exit code is 3 where a tenant was left
out, because its record can't be read.

With --format=argocd it writes an AppProject of Argo CD for each tenant instead: its
Applications deploy into the tenant's namespaces only, make nothing outside namespaces,
and are synchronized as the tenant's deployer where Argo CD impersonates.`,
		Example: `  helm tenant export > tenants.yaml
  helm tenant export team-a team-b
  helm tenant export --format=argocd --argocd-namespace=argocd`,
		Args: tenantNames,
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", format, "what is written: tenants (a tenants file) or argocd (AppProjects)")
	f.StringVar(&argo.Namespace, "argocd-namespace", argo.Namespace, "with --format=argocd: Argo CD's namespace")
	f.StringVar(&argo.Server, "argocd-server", argo.Server, "with --format=argocd: how Argo CD's Applications name this cluster")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case format == formatArgoCD:
			return s.export(cmd.Context(), args, func(tenants []tenant.Tenant) (string, error) { return s.appProjects(argo, tenants) })
		case format != formatTenants:
			return asUsage(cmd, fmt.Errorf("--format=%s is not one of %s, %s", format, formatTenants, formatArgoCD))
		case f.Changed("argocd-namespace") || f.Changed("argocd-server"):
			return asUsage(cmd, errors.New("--argocd-namespace and --argocd-server are for --format=argocd"))
		}
		return s.export(cmd.Context(), args, tenant.FormatFile)
	}
	return cmd
}

// appProjects are the tenants as Argo CD has them; who can't be one is said.
func (s *session) appProjects(argo admin.ArgoCD, tenants []tenant.Tenant) (string, error) {
	var out strings.Builder
	for _, t := range tenants {
		project, err := argo.AppProject(t)
		if err != nil {
			s.say("Warning: no AppProject for %v", err)
			continue
		}
		text, err := sigsyaml.Marshal(project)
		if err != nil {
			return "", err
		}
		if out.Len() > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.String(), nil
}

// export writes tenants from the cluster, all or those that are named.
func (s *session) export(ctx context.Context, names []string, write func([]tenant.Tenant) (string, error)) error {
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
		if unknown := inventory.Lacks(name, client.Where()); unknown != nil {
			return withHint(fmt.Errorf("export: %w", unknown), noTenantHints(unknown)...)
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
	text, err := write(tenants)
	if err != nil {
		return err
	}
	if err := printYAML(s.Env.Stdout, []byte(text)); err != nil || len(missing) == 0 {
		return err
	}
	return &codeError{exitPartly, withHint(missing, "the file lacks them: with apply --prune they would be destroyed")}
}
