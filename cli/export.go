package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	sigsyaml "sigs.k8s.io/yaml"

	"helm-tenant/admin"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/tenant"
)

var exportFormats = []string{formatTenants, formatArgoCD, formatFlux}

const (
	formatTenants = "tenants"
	formatArgoCD  = "argocd"
	formatFlux    = "flux"
)

func newExport(s *session) *cobra.Command {
	format, argo := formatTenants, admin.ArgoCD{Namespace: "argocd", Server: "https://kubernetes.default.svc"}
	flux, source := admin.Flux{Account: "flux"}, admin.FluxSourceKinds[0]
	file := ""
	cmd := &cobra.Command{
		Use:   "export [TENANT...]",
		Short: "Write the tenants file from the cluster",
		Long: `Write the tenants file from the cluster; apply of this file changes nothing. Notes on
standard error name what a file can't contain. The exit code is 3 if a tenant was left
out because its record can't be read. -o replaces a file after everything was written; a
shell's ">" empties it first.

With --format=argocd it writes an AppProject of Argo CD for each tenant instead: its
Applications deploy into the tenant's namespaces only, can't create cluster-scoped
objects, and are synchronized as the tenant's deployer if Argo CD impersonates.

With --format=flux it writes for each namespace a service account with the tenant's role,
and a Kustomization that applies the folder with the namespace's name as this account.
Flux can only impersonate accounts of the Kustomization's namespace, where pods can use
them, too: the audit reports that (HT080). "init --flux-account" creates and records the
account.`,
		Example: `  helm tenant export > tenants.yaml
  helm tenant export -o tenants.yaml team-a team-b
  helm tenant export --format=argocd --argocd-namespace=argocd
  helm tenant export --format=flux --flux-source=OCIRepository/apps team-a`,
		Args: tenantNames,
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", format, "output format: tenants (a tenants file), argocd (AppProjects) or flux (accounts and Kustomizations)")
	f.StringVar(&argo.Namespace, "argocd-namespace", argo.Namespace, "with --format=argocd: Argo CD's namespace")
	f.StringVar(&argo.Server, "argocd-server", argo.Server, "with --format=argocd: the server address by which Argo CD's Applications name this cluster")
	f.StringVar(&flux.Account, "flux-account", flux.Account, "with --format=flux: the service account of tenants that record none")
	f.StringVar(&source, "flux-source", source, "with --format=flux: the source to apply, as KIND/NAME; named after the tenant where there is no NAME")
	f.StringVarP(&file, "output-file", "o", "", "write this file instead of printing; a run that fails leaves it as it was")
	completeValues(cmd, "format", exportFormats...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if file == "-" {
			file = ""
		}
		if err := checkExportFile(file); err != nil {
			return asUsage(cmd, err)
		}
		switch {
		case !slices.Contains(exportFormats, format):
			return asUsage(cmd, fmt.Errorf("--format=%s is not one of %s", format, strings.Join(exportFormats, ", ")))
		case format != formatArgoCD && (f.Changed("argocd-namespace") || f.Changed("argocd-server")):
			return asUsage(cmd, errors.New("--argocd-namespace and --argocd-server are for --format=argocd"))
		case format != formatFlux && (f.Changed("flux-account") || f.Changed("flux-source")):
			return asUsage(cmd, errors.New("--flux-account and --flux-source are for --format=flux"))
		case format == formatArgoCD && argo.Check() != nil:
			return asUsage(cmd, argo.Check())
		case format == formatArgoCD:
			return s.export(cmd.Context(), args, file, func(tenants []tenant.Tenant) (string, error) { return s.appProjects(argo, tenants) })
		case format == formatTenants:
			return s.export(cmd.Context(), args, file, tenant.FormatFile)
		}
		if err := tenant.CheckFluxAccount(flux.Account); err != nil {
			return asUsage(cmd, fmt.Errorf("--flux-account: %w", err))
		}
		var err error
		if flux.SourceKind, flux.SourceName, err = admin.ParseFluxSource(source); err != nil {
			return asUsage(cmd, fmt.Errorf("--flux-source: %w", err))
		}
		return s.export(cmd.Context(), args, file, func(tenants []tenant.Tenant) (string, error) { return s.fluxObjects(flux, tenants) })
	}
	return cmd
}

// checkExportFile refuses a file that can't be replaced, and the name of a format of output,
// which -o takes elsewhere.
func checkExportFile(file string) error {
	if slices.Contains([]string{"yaml", "json", "table", "wide", "name", "text"}, file) {
		return fmt.Errorf("-o names a file here, and what is written is YAML: leave -o %s out, or write ./%s", file, file)
	}
	if file == "" {
		return nil
	}
	return checkReplaceable("--output-file", file)
}

// fluxObjects returns the objects with which Flux deploys into the tenants' namespaces.
// It warns of what a tenant's record does not contain.
func (s *session) fluxObjects(flux admin.Flux, tenants []tenant.Tenant) (string, error) {
	var all []*unstructured.Unstructured
	for _, t := range tenants {
		objects, err := flux.Objects(t)
		if err != nil {
			s.say("Warning: nothing for Flux for %v", err)
			continue
		}
		if t.FluxAccount == "" {
			s.say("Warning: tenant %s records no account for Flux, and its next init or apply takes the rights of %s away; record it with: %s", t.Name, flux.Account,
				command.Run(command.Tenant("init", t.Name, "--flux-account="+flux.Account)))
		}
		all = append(all, objects...)
	}
	if len(all) == 0 {
		return "", nil
	}
	var out strings.Builder
	err := printManifests(&out, "yaml", all)
	return out.String(), err
}

// appProjects returns the tenants as Argo CD's AppProjects. It warns of tenants that
// can't be one.
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

// export writes tenants from the cluster, all or those that are named, to standard output or
// to a file.
func (s *session) export(ctx context.Context, names []string, file string, write func([]tenant.Tenant) (string, error)) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	failed := failure.Error{Operation: "export", Where: failure.Subject{Preposition: "from", Text: client.Where()}}
	inventory, err := admin.TakeInventory(ctx, client)
	if err != nil {
		return withHint(failed.Wrap(err), hintsFor(err, inFlags)...)
	}
	if len(inventory.Unseen) > 0 {
		// Applying a file without the members would take them away.
		err := inventory.Unseen[0]
		return withHint(failed.Wrap(err), hintsFor(err, inFlags)...)
	}
	var tenants []tenant.Tenant
	var missing problems
	for _, t := range inventory.Tenants {
		switch {
		case len(names) > 0 && !slices.Contains(names, t.Name):
		case t.Problem != "":
			missing = append(missing, fmt.Errorf("tenant %q can't be exported: %s", t.Name, t.Problem))
		case t.TermsUnread != "":
			// In the file they would be members without end.
			missing = append(missing, fmt.Errorf("tenant %q can't be exported, since the ends of its grants for a time can't be read: %s", t.Name, t.TermsUnread))
		default:
			tenants = append(tenants, t.Tenant)
		}
	}
	for _, name := range names {
		if unknown := inventory.Lacks(name, client.Where()); unknown != nil {
			return withHint(failed.Wrap(unknown), noTenantHints(unknown)...)
		}
	}
	if len(names) == 0 {
		for _, warning := range leftOut(inventory) {
			s.say("Warning: %s", warning)
		}
	}
	if len(missing) > 0 && len(tenants) == 0 {
		return failed.Wrap(missing)
	}
	text, err := write(tenants)
	if err != nil {
		return err
	}
	if err := s.printOrReplace(file, text); err != nil || len(missing) == 0 {
		return err
	}
	return &codeError{exitPartly, withHint(missing, "the file lacks them: with apply --prune they would be destroyed")}
}

// leftOut returns a text for each namespace with Tillers of no tenant, which a tenants file can't
// contain. Only one that can be a tenant's home gets the command that makes it one: anybody who
// makes pods can have one that looks like a Tiller.
func leftOut(inventory *admin.Inventory) []string {
	adoptable := map[string]bool{}
	for _, u := range inventory.Unmanaged {
		adoptable[u.Namespace] = adoptable[u.Namespace] || u.Adoptable()
	}
	var texts []string
	for _, namespace := range slices.Sorted(maps.Keys(adoptable)) {
		home := slices.IndexFunc(inventory.Tenants, func(t admin.Overview) bool { return t.Home == namespace })
		switch {
		case home >= 0:
			texts = append(texts, fmt.Sprintf("what looks like a Tiller in namespace %s, the home of tenant %s, is not the tenant's; see: %s", namespace, inventory.Tenants[home].Name,
				command.Run(command.Tenant("audit", inventory.Tenants[home].Name))))
		case slices.ContainsFunc(inventory.Tenants, func(t admin.Overview) bool { return slices.Contains(t.Namespaces, namespace) }):
			texts = append(texts, fmt.Sprintf("the Tiller in namespace %s is no tenant's and can't be carried over; that namespace is a tenant's and can't be a home", namespace))
		case !adoptable[namespace]:
			texts = append(texts, fmt.Sprintf("pods in namespace %s have the labels of a Tiller, and run none; there are no releases to carry over", namespace))
		default:
			texts = append(texts, fmt.Sprintf("the Tiller in namespace %s is no tenant's and can't be carried over; make it one with: %s", namespace,
				command.Run(command.Command{"helm", "tenant", "init", "TENANT", "--home-namespace=" + namespace, "--namespaces=NS", "--adopt"})))
		}
	}
	return texts
}

// printOrReplace prints the text, or replaces the file unless the text is empty.
func (s *session) printOrReplace(file, text string) error {
	switch {
	case file == "":
		return printYAML(s.Env.Stdout, []byte(text))
	case text == "":
		s.say("There is nothing to write; %s stays as it was.", file)
		return nil
	}
	if err := replaceFile(file, 0o644, func(w *os.File) error { return printYAML(w, []byte(text)) }); err != nil {
		return err
	}
	s.say("wrote %s", file)
	return nil
}
