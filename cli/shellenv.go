package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"helm-tenant/command"
	"helm-tenant/envvar"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// shells are the shells that shellenv knows, and how each sets and unsets a variable.
var shells = map[string]struct {
	set, unset string
	grammar    command.Shell
}{
	"bash": {"export %s=%s\n", "unset %s\n", command.Common},
	"zsh":  {"export %s=%s\n", "unset %s\n", command.Common},
	"sh":   {"export %s=%s\n", "unset %s\n", command.Common},
	// "or true": unsetting a variable that is not set fails there, set -gx passes the
	// failure on, and "... | source; and helm list" would stop.
	"fish":       {"set -gx %s %s;\n", "set -e %s; or true;\n", command.Common},
	"powershell": {"$env:%s = %s\n", "Remove-Item Env:%s -ErrorAction SilentlyContinue\n", command.PowerShell},
}

func newShellenv(s *session) *cobra.Command {
	var shell string
	cmd := &cobra.Command{
		Use:   "shellenv",
		Short: "Print exports for tools that read the environment",
		Long: `Print exports for tools that run helm and read the environment, such as helmfile, and for
CI: with them plain helm reaches your tenant. Tools that embed Helm's packages, such as
terraform, ignore these variables and need a kubeconfig: see "helm tenant kubeconfig".

No variable sets the kubeconfig context for helm 2, which uses the current one.`,
		Example: `  eval "$(helm tenant shellenv)"
  helm tenant shellenv --shell fish | source
  helm tenant --tenant team-b shellenv --shell powershell | Out-String | Invoke-Expression`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&shell, "shell", "", "bash, zsh, sh, fish or powershell (default that of $SHELL, else sh)")
	completeValues(cmd, "shell", slices.Sorted(maps.Keys(shells))...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if shell == "" {
			shell = filepath.Base(s.Env.Get(envvar.Shell))
			if _, known := shells[shell]; !known {
				shell = "sh"
			}
		}
		if _, known := shells[shell]; !known {
			names := []string{"bash", "zsh", "sh", "fish", "powershell"}
			return asUsage(cmd, fmt.Errorf("--shell %q is not one of %s", shell, strings.Join(names, ", ")))
		}
		return s.shellenv(cmd.Context(), shell)
	}
	return cmd
}

func (s *session) shellenv(ctx context.Context, shell string) error {
	if err := s.checkTyped(); err != nil {
		return err
	}
	k, err := s.kubeconfig(s.kubeconfigFile, s.context, s.kubeContext)
	if err != nil {
		return err
	}
	engine := s.engine(ctx)
	resolved, err := s.resolve(ctx, k, s.Call.Line.Tenant, engine, s.requestTimeout)
	if err != nil {
		return err
	}
	if resolved.Engine != tenant.EngineTiller && resolved.NamespacesUnknown() {
		// The record says which engine a tenant has that is only named.
		if found, err := s.readNamespaces(ctx, k, resolved, s.requestTimeout); err == nil {
			resolved = found
		}
	}
	if resolved.Engine == tenant.EngineTiller && k.Context != "" && !k.IsCurrent() {
		// Plain helm would use the current context's cluster with this tenant's names.
		return withHint(fmt.Errorf("helm 2 takes the context from the kubeconfig only, and %q is not the current one", k.Context), typed("make it so", command.Command{"kubectl", "config", "use-context", "--", k.Context}))
	}
	var vars [][2]string
	set := func(name, value string) { vars = append(vars, [2]string{name, value}) }
	unset := []string{envvar.Host}
	if resolved.Engine == tenant.EngineTiller {
		set(envvar.TillerNamespace, resolved.Home)
	} else {
		d, err := s.decideFor(ctx, probeCommand(resolved), k, resolved)
		if err != nil {
			return err
		}
		resolved = d.Tenant
		set(envvar.KubeAsUser, resolved.DeployerUser())
		unset = []string{envvar.KubeAsGroups, envvar.KubeToken, envvar.KubeAPIServer}
		if d.Namespace != k.Namespace {
			set(envvar.Namespace, d.Namespace)
		} else {
			unset = append(unset, envvar.Namespace)
		}
	}
	if resolved.Name != "" && homeIsKnown(k, resolved) {
		set(envvar.Tenant, resolved.Name)
	}
	if k.Context != "" {
		set(envvar.KubeContext, k.Context)
	}
	switch {
	case k.InPod() && resolved.Engine == tenant.EngineImpersonation:
		file, err := k.PodFile()
		if err != nil {
			return err
		}
		set(envvar.Kubeconfig, file)
	case s.kubeconfigFile != "":
		set(envvar.Kubeconfig, s.kubeconfigFile)
	}
	slices.SortFunc(vars, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	for _, v := range vars {
		if !visible.Plain(v[1]) {
			return fmt.Errorf("%s would be %q, which holds control or format characters: it is not passed to a shell", v[0], v[1])
		}
	}
	syntax := shells[shell]
	for _, name := range unset {
		visible.Fprintf(s.out(), syntax.unset, name)
	}
	for _, v := range vars {
		visible.Fprintf(s.out(), syntax.set, v[0], syntax.grammar.Literal(v[1]))
	}
	return nil
}

// homeIsKnown reports whether the tenant's name is enough to find its home namespace;
// otherwise TILLER_NAMESPACE is needed.
func homeIsKnown(k *tenant.Kubeconfig, r tenant.Resolved) bool {
	known, found := k.Extension.Find(r.Name)
	return found && known.HomeNamespace == r.Home || !found && r.Home == r.Engine.ConventionalHome(r.Name)
}
