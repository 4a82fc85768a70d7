package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/tenant"
)

type grantOptions struct {
	memberOptions
	reader bool
	owner  bool
	term   termFlag
	reason string
	risks  []string
}

// termFlag is the duration of a grant; zero if it is not set.
type termFlag time.Duration

func (d *termFlag) String() string { return "" }
func (d *termFlag) Type() string   { return "duration" }
func (d *termFlag) Set(value string) error {
	term, err := time.ParseDuration(value)
	switch {
	case err != nil:
		return errors.New("it is not a duration such as 90m or 8h; a day is 24h")
	case term < time.Second:
		return errors.New("it must be at least 1s")
	}
	*d = termFlag(term)
	return nil
}

func newGrant(s *session) *cobra.Command {
	o := &grantOptions{}
	cmd := &cobra.Command{
		Use: "grant TENANT [--user U] [--group G] [--service-account NS:NAME]", Short: "Let users, groups and service accounts use a tenant",
		Long: `Let users, groups and service accounts use a tenant.

A member may use the tenant's deployer (reach its Tiller by port-forward, or
impersonate its service account) and read the tenant's record, and nothing else: no
right in the tenant's namespaces comes with it.
Several names are separated by commas. A distinguished name is one: --user
CN=alice,O=devs; another name that holds a comma is put in quotes: '"doe, john"'.

With --reader they may see the tenant's releases through Helm 3 and 4 (list, get,
history, status, diff and dry runs), and change nothing. They read every Secret of the
tenant's namespaces: a release record is one, and RBAC can't tell it from another. So
it needs --accept-risk=reads-secrets. A Tiller can't tell readers from writers.

With --owner they may grant and revoke the tenant's members and readers, and nothing
else: an owner is not a member unless granted that too, and needs no right over the
cluster. An admission policy limits what owners write, which Kubernetes has since 1.30;
below, it needs --accept-risk=unheld-owners. Owners of a tenant with a shared home or of
all namespaces need --accept-risk=owner-of-cluster.

With --for the grant is limited in time. Kubernetes does not end it by itself: it ends
with helm tenant revoke --expired, which a CronJob can run, and with apply. Until then
the audit reports it. The API server's clock counts.`,
		Example: `  helm tenant grant team-a --user alice --group team-a-devs
  helm tenant grant team-a --service-account ci:deployer
  helm tenant grant team-a --user oncall --for 8h --reason "INC-12"
  helm tenant grant team-a --reader --group support --accept-risk=reads-secrets
  helm tenant grant team-a --owner --user dana`,
		Args: oneTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.members.IsZero() {
				return asUsage(cmd, fmt.Errorf("nobody is named: give --user, --group or --service-account"))
			}
			if err := o.check(); err != nil {
				return asUsage(cmd, err)
			}
			accepted, err := admin.ParseAccepted(o.risks)
			if err != nil {
				return &usageError{err, "helm tenant grant TENANT --accept-risk=RISK"}
			}
			request := admin.GrantRequest{Who: o.members, As: tenant.RelationMember, For: time.Duration(o.term), Reason: o.reason, Accepted: accepted}
			switch {
			case o.reader && o.owner:
				return asUsage(cmd, errors.New("--reader and --owner: grant one at a time"))
			case o.reader:
				request.As = tenant.RelationReader
			case o.owner:
				request.As = tenant.RelationOwner
			}
			o.as = request.As
			if err := request.Check(); err != nil {
				return asUsage(cmd, err)
			}
			return s.grant(cmd.Context(), args[0], request, &o.memberOptions)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.reader, "reader", false, "let them see the tenant's releases, and change nothing")
	cmd.Flags().BoolVar(&o.owner, "owner", false, "let them grant and revoke the tenant's members and readers")
	cmd.Flags().Var(&o.term, "for", "how long the grant lasts, such as 8h (default without end)")
	cmd.Flags().StringVar(&o.reason, "reason", "", "with --for: the reason, kept with the grant")
	riskFlag(cmd, &o.risks)
	return cmd
}

func (s *session) grant(ctx context.Context, name string, request admin.GrantRequest, o *memberOptions) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	t, err := admin.Find(ctx, client, name, o.home)
	if err == nil {
		s.noteUnknown(t)
		var result admin.Membership
		result, err = admin.Grant(ctx, client, t, request, o.dryRun)
		if err == nil {
			err := s.printMembership(result, o, granted, nil, nil, nil)
			for _, note := range result.Notes {
				s.say("Note: %s", note)
			}
			if t.Home() != t.Engine.ConventionalHome(t.Name) && err == nil && !o.dryRun {
				s.next("Its home can't be found by the tenant's name: they start with", useOf(t))
			}
			if request.As == tenant.RelationReader {
				s.say("Note: readers of tenant %s read every Secret in %s, and they use Helm 3 or 4", name, brief(t.Namespaces))
			}
			return err
		}
	}
	return s.explainMembers("grant", name, client, err)
}
