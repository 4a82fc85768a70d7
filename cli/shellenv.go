package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"helm-tenant/helm"
	"helm-tenant/tenant"
)

// shells are those that shellenv speaks, and how each sets and unsets.
var shells = map[string]struct {
	set, unset string
	quote      func(string) string
}{
	"bash": {"export %s=%s\n", "unset %s\n", posixQuote},
	"zsh":  {"export %s=%s\n", "unset %s\n", posixQuote},
	"sh":   {"export %s=%s\n", "unset %s\n", posixQuote},
	// "or true": nothing to unset is a failure there, which set -gx hands on, and
	// "... | source; and helm list" would stop.
	"fish":       {"set -gx %s %s;\n", "set -e %s; or true;\n", fishQuote},
	"powershell": {"$env:%s = %s\n", "Remove-Item Env:%s -ErrorAction SilentlyContinue\n", powershellQuote},
}

func posixQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
func powershellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func newShellenv(s *session) *cobra.Command {
	var shell string
	cmd := &cobra.Command{
		Use:   "shellenv",
		Short: "Print exports for tools that read the environment",
		Long: `Print exports for tools that read the environment and run helm themselves, such as
helmfile and terraform, and for CI: with them plain helm reaches your tenant.

helm 2 reads the kubeconfig context from no variable: it is the current one that
counts.`,
		Example: `  eval "$(helm tenant shellenv)"
  helm tenant shellenv --shell fish | source
  helm tenant --tenant team-b shellenv --shell powershell | Out-String | Invoke-Expression`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&shell, "shell", "", "bash, zsh, sh, fish or powershell (default that of $SHELL, else sh)")
	completeValues(cmd, "shell", slices.Sorted(maps.Keys(shells))...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if shell == "" {
			shell = filepath.Base(s.env.get("SHELL"))
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
	k, err := s.kubeconfig(s.kubeconfigFile, s.line.Context, s.context, s.kubeContext)
	if err != nil {
		return err
	}
	resolved, err := s.resolve(ctx, k, s.line.Tenant, s.engine(ctx), s.requestTimeout)
	if err != nil {
		return err
	}
	var vars [][2]string
	unset := []string{"HELM_HOST"}
	if resolved.Engine == tenant.EngineTiller {
		vars = append(vars, [2]string{"TILLER_NAMESPACE", resolved.Home})
	} else {
		vars = append(vars, [2]string{"HELM_KUBEASUSER", resolved.DeployerUser()})
		unset = []string{"HELM_KUBEASGROUPS", "HELM_KUBETOKEN", "HELM_KUBEAPISERVER"}
		if ns := resolved.NamespaceFor(k.Namespace); ns != "" {
			vars = append(vars, [2]string{"HELM_NAMESPACE", ns})
		} else {
			unset = append(unset, "HELM_NAMESPACE")
		}
	}
	if resolved.Name != "" && homeIsKnown(k, resolved) {
		vars = append(vars, [2]string{"HELM_TENANT", resolved.Name})
	}
	if k.Context != "" {
		vars = append(vars, [2]string{helm.VarContext, k.Context})
		if resolved.Engine == tenant.EngineTiller && !k.IsCurrent() {
			// Plain helm would go to the current context's cluster, with this tenant's names.
			return withHint(fmt.Errorf("helm 2 takes the context from the kubeconfig only, and %q is not the current one", k.Context), "make it so: kubectl config use-context "+k.Context)
		}
	}
	if s.kubeconfigFile != "" {
		vars = append(vars, [2]string{"KUBECONFIG", s.kubeconfigFile})
	}
	slices.SortFunc(vars, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	syntax := shells[shell]
	for _, name := range unset {
		fmt.Fprintf(s.out(), syntax.unset, name)
	}
	for _, v := range vars {
		fmt.Fprintf(s.out(), syntax.set, v[0], syntax.quote(v[1]))
	}
	return nil
}

// homeIsKnown says whether the tenant's name alone leads to its home namespace;
// where it does not, TILLER_NAMESPACE has to.
func homeIsKnown(k *tenant.Kubeconfig, r tenant.Resolved) bool {
	known, found := k.Extension.Find(r.Name)
	return found && known.HomeNamespace == r.Home || !found && r.Home == r.Engine.ConventionalHome(r.Name)
}
