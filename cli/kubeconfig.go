package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// derivation is what `kubeconfig` is asked for.
type derivation struct {
	file          string
	eachNamespace bool
	account       string
	duration      time.Duration
}

func newKubeconfig(s *session) *cobra.Command {
	d := derivation{duration: time.Hour}
	cmd := &cobra.Command{
		Use:   "kubeconfig [TENANT]",
		Short: "Print a kubeconfig that is the tenant, for kubectl and other tools",
		Long: `Print a kubeconfig that is the tenant: your own credentials, acting as the tenant's
service account. With it kubectl, k9s, terraform, helmfile and plain Helm 3 and 4 are
the tenant, without a wrapper. Its contexts know the tenant, so "helm tenant" works
on them as well.

With --for-service-account the credentials are a token of that account, which has to
be a member of the tenant; it ends by itself. A token of an account in one of the
tenant's namespaces is requested as the tenant, any other as you.

The file is as secret as your credentials.`,
		Example: `  helm tenant kubeconfig --output-file team-a.kubeconfig
  helm tenant kubeconfig team-a --each-namespace > team-a.kubeconfig
  helm tenant kubeconfig team-a --for-service-account ci:deployer --duration 30m`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneTenant(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.file, "output-file", "", "write a file that only you can read, instead of printing")
	f.BoolVar(&d.eachNamespace, "each-namespace", false, "a context for each of the tenant's namespaces")
	f.StringVar(&d.account, "for-service-account", "", "use a token of this service account, NAMESPACE:NAME")
	f.Var((*nonNegativeDuration)(&d.duration), "duration", "how long the token is good, at least 10m")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("duration") && d.account == "" {
			return asUsage(cmd, errors.New("--duration is that of a token: give --for-service-account too"))
		}
		if d.duration < cluster.MinTokenLifetime {
			return asUsage(cmd, fmt.Errorf("--duration %s is too short: Kubernetes makes tokens of at least %s", d.duration, cluster.MinTokenLifetime))
		}
		return s.deriveKubeconfig(cmd.Context(), strings.Join(args, ""), d)
	}
	return cmd
}

func (s *session) deriveKubeconfig(ctx context.Context, name string, d derivation) error {
	k, client, err := s.open()
	if err != nil {
		return err
	}
	if name == "" {
		name = s.call.Line.Tenant
	}
	// Only tenants of Helm 3 and 4 have one, whatever helm is on PATH.
	resolved, err := s.resolve(ctx, k, name, tenant.EngineImpersonation, s.requestTimeout)
	if err != nil {
		return err
	}
	if resolved.Engine == tenant.EngineTiller {
		return withHint(fmt.Errorf("tenant %q has a Tiller: its members reach the tenant through helm only, not by a kubeconfig", resolved.Name),
			hint("for tools that run helm: helm tenant shellenv"))
	}
	if resolved.NamespacesUnknown() || resolved.Name == "" {
		if resolved, err = s.readNamespaces(ctx, k, resolved, s.requestTimeout); err != nil {
			return err
		}
	}
	known := tenant.Known{Name: resolved.Name, HomeNamespace: resolved.Home, Engine: tenant.EngineImpersonation, Namespaces: resolved.Namespaces, AllNamespaces: resolved.AllNamespaces}
	var with tenant.Credentials
	if d.account != "" {
		if with, err = s.accountToken(ctx, client, known, d); err != nil {
			return err
		}
	}
	text, contexts, err := k.Derive(known, d.eachNamespace, with)
	if err != nil {
		return err
	}
	if d.file == "" {
		_, err := s.env.Stdout.Write(text)
		return err
	}
	if err := tenant.WriteDerived(d.file, text, contexts); err != nil {
		return err
	}
	s.say("wrote %s with the contexts %s", d.file, strings.Join(contexts, ", "))
	return nil
}

// accountToken requests a token of the service account that was named.
func (s *session) accountToken(ctx context.Context, client *cluster.Client, known tenant.Known, d derivation) (tenant.Credentials, error) {
	namespace, name, found := strings.Cut(d.account, ":")
	if !found || namespace == "" || name == "" {
		return tenant.Credentials{}, fmt.Errorf("--for-service-account %q is not NAMESPACE:NAME", d.account)
	}
	if slices.Contains(known.Namespaces, namespace) {
		var err error
		if client, err = client.As(tenant.AccountUser(known.HomeNamespace, tenant.HelmAccount)); err != nil {
			return tenant.Credentials{}, err
		}
	}
	token, ends, err := client.RequestToken(ctx, namespace, name, d.duration)
	if err != nil {
		return tenant.Credentials{}, err
	}
	s.say("The token of service account %s ends at %s.", visible.Text(d.account), ends.UTC().Format(time.RFC3339))
	return tenant.Credentials{Token: token, User: d.account}, nil
}
