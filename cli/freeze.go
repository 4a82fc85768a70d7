package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/audit"
	"helm-tenant/failure"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type freezeOptions struct {
	home, output   string
	dryRun, scoped bool
}

func (o *freezeOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print what would be written, and write nothing")
	scopeFlag(cmd, &o.scoped)
	scopedHomeFlag(cmd, &o.home)
	outputFlag(cmd, &o.output, "text", "json", "yaml", "name")
}

func newFreeze(s *session) *cobra.Command {
	var reason string
	var o freezeOptions
	cmd := &cobra.Command{
		Use:   "freeze TENANT --reason REASON",
		Short: "Freeze a tenant: nothing changes in it through helm",
		Long: `Freeze a tenant: helm can read everything in it and change nothing, until it is thawed.

On Kubernetes 1.30 and later a ValidatingAdmissionPolicy denies writes by the tenant's
deployer and by the service accounts of its namespaces, and gives the reason. On older
versions the deployer gets a role that can only read. Running pods continue. The output
lists subjects that can still change the tenant with rights of their own.`,
		Example: `  helm tenant freeze team-a --reason=INC-12
  helm tenant freeze team-a --reason=INC-12 --dry-run -o name`,
		Args: oneTenant,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "the reason, on one line; each refusal shows it")
	o.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := tenant.CheckFreezeReason(reason); err != nil {
			return asUsage(cmd, fmt.Errorf("--reason: %w", err))
		}
		return s.freeze(cmd, admin.FreezeRequest(args[0], reason, s.Env.Now()), o)
	}
	return cmd
}

func newThaw(s *session) *cobra.Command {
	var o freezeOptions
	cmd := &cobra.Command{
		Use:   "thaw TENANT",
		Short: "End the freeze of a tenant",
		Long: `End the freeze of a tenant: its deployer and the service accounts of its namespaces may
write again what they could write before.`,
		Example: `  helm tenant thaw team-a
  helm tenant thaw team-a --dry-run`,
		Args: oneTenant,
	}
	o.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.freeze(cmd, admin.ThawRequest(args[0]), o)
	}
	return cmd
}

func (s *session) freeze(cmd *cobra.Command, request admin.Request, o freezeOptions) error {
	if err := checkScopedHome(cmd, o.home, o.scoped); err != nil {
		return err
	}
	ctx, verb, name := cmd.Context(), cmd.Name(), request.Tenant.Name
	request.Tenant.HomeNamespace = o.home
	_, client, err := s.open()
	if err != nil {
		return err
	}
	explain := func(err error) error {
		return withHint(failure.Of(verb, name, client.Where()).Wrap(err), hintsFor(err, inFlags)...)
	}
	if o.scoped {
		if client, err = admin.Scope(ctx, client, []admin.Request{request}); err != nil {
			return explain(err)
		}
		s.say("Note: only the tenant's own namespaces are read; its deployer's rights elsewhere are not known")
	}
	var prepared *admin.Prepared
	if o.dryRun {
		if prepared, err = admin.Prepare(ctx, client, request); err != nil {
			return explain(err)
		}
		if err := s.dryRun(prepared, o.output); err != nil {
			return err
		}
	} else if prepared, err = admin.WriteFreeze(ctx, client, request, s.change); err != nil {
		return explain(err)
	}
	if !o.dryRun {
		s.changesMade()
		if err := admin.AwaitFreeze(ctx, client, prepared.Tenant); err != nil {
			what := "the freeze is in force"
			if prepared.Tenant.Frozen == nil {
				what = "the freeze has ended"
			}
			s.say("Warning: whether %s is not known: %v", what, err)
		}
	}
	var writers []audit.Writer
	var unseen []string
	if prepared.Tenant.Frozen != nil {
		if writers, unseen, err = admin.Writers(ctx, client, prepared.Tenant); err != nil {
			s.say("Warning: who can still change something in tenant %s is not known: %v", name, err)
		}
	}
	if o.dryRun {
		s.sayWriters(prepared.Tenant, writers, unseen)
		return nil
	}
	return s.frozen(prepared, writers, unseen, o.output)
}

func (s *session) frozen(prepared *admin.Prepared, writers []audit.Writer, unseen []string, output string) error {
	t := prepared.Tenant
	for _, note := range prepared.Notes {
		s.say("Note: %s", note)
	}
	switch output {
	case "name":
		s.printTenantName(t.Name)
	case "json", "yaml":
		return printObject(s.out(), output, struct {
			document
			Tenant  string         `json:"tenant"`
			Frozen  *tenant.Freeze `json:"frozen"`
			Changed bool           `json:"changed"`
			Writers []audit.Writer `json:"writers"`
			Unseen  []string       `json:"unseen"`
		}{documentOf("TenantFreeze"), t.Name, t.Frozen, prepared.Wrote, append([]audit.Writer{}, writers...), unseen})
	default:
		state := "is not frozen"
		if t.Frozen != nil {
			state = "is " + t.Frozen.String()
		} else if prepared.Wrote {
			state = "is thawed"
		}
		visible.Fprintf(s.out(), "tenant %s %s\n", t.Name, state)
	}
	s.sayWriters(t, writers, unseen)
	return nil
}

// sayWriters lists the subjects that can still change objects in a frozen tenant.
func (s *session) sayWriters(t tenant.Tenant, writers []audit.Writer, unseen []string) {
	if t.Frozen == nil {
		return
	}
	if len(writers) > 0 {
		s.say("The freeze does not restrict subjects with rights of their own in the tenant's namespaces:")
	}
	for _, w := range writers {
		s.say("  %s, by %s, %s", visible.Name(w.Name), visible.Name(w.Binding), visible.Name(w.Role))
	}
	for _, missing := range unseen {
		s.say("Note: you may not list %s: this list may be incomplete", missing)
	}
}
