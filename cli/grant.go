package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type grantOptions struct {
	memberOptions
	reader bool
	owner  bool
	term   time.Duration
	reason string
	risks  []string
}

func grantDuration(into *time.Duration) flagValue[time.Duration] {
	return flagValue[time.Duration]{"duration", into, func(text string, _ time.Duration) (time.Duration, error) {
		value, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return 0, errors.New("it is not a duration such as 90m or 8h, of at most 292 years; a day is 24h")
		case value < time.Second:
			return 0, errors.New("it must be at least 1s")
		}
		return value, nil
	}}
}

func newGrant(s *session) *cobra.Command {
	o := &grantOptions{}
	cmd := &cobra.Command{
		Use: "grant TENANT [--user U] [--group G] [--service-account NS:NAME]", Short: "Let users, groups and service accounts use a tenant",
		Long: `Let users, groups and service accounts use a tenant.

A member may use the tenant's deployer (reach its Tiller by port-forward, or impersonate
its service account) and read the tenant's record, and nothing else: members get no
rights in the tenant's namespaces.
Several names are separated by commas. A distinguished name is one name: --user
CN=alice,O=devs; another name with a comma needs quotes: '"doe, john"'.

With --reader, subjects may see the tenant's releases through Helm 3 and 4 (list, get,
history, status, diff and dry runs), and change nothing. They can read every Secret in
the tenant's namespaces, since release records are Secrets and RBAC can't tell them from
others; this needs --accept-risk=reads-secrets. A tenant with only a Tiller has no
readers: a Tiller can't tell readers from writers.

With --owner, subjects may grant and revoke the tenant's members and readers, and nothing
else; they are members only if granted that as well, and need no rights in the cluster.
An admission policy of Kubernetes 1.30 and later limits what owners write; older versions
need --accept-risk=unheld-owners. Owners of a tenant of all namespaces, or with a shared
home, need --accept-risk=owner-of-cluster.

With --for, the grant is limited in time. Kubernetes does not end it by itself: helm
tenant revoke --expired ends it, which a CronJob can run, and so does apply. Until then
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
			request := admin.GrantRequest{Who: o.members, As: tenant.RelationMember, For: o.term, Reason: o.reason, Accepted: accepted}
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
	cmd.Flags().BoolVar(&o.reader, "reader", false, "grant only the right to see the tenant's releases")
	cmd.Flags().BoolVar(&o.owner, "owner", false, "grant the right to grant and revoke the tenant's members and readers")
	cmd.Flags().Var(grantDuration(&o.term), "for", "duration of the grant, such as 8h (default no end)")
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
			if !o.dryRun {
				s.awaitGranted(ctx, client, result)
			}
			err := s.printMembership(result, o, granted, nil, nil, nil)
			for _, note := range result.Notes {
				s.say("Note: %s", note)
			}
			if request.For > 0 {
				s.sayClock(client.Ahead())
			}
			if t.Home() != t.Engine.ConventionalHome(t.Name) && err == nil && !o.dryRun {
				s.next("Its home can't be found by the tenant's name: they start with", useOf(t))
			}
			if request.As == tenant.RelationReader {
				s.say("Note: readers of tenant %s read every Secret in %s, and they use Helm 3 or 4", name, visible.Named("namespace", t.Namespaces))
			}
			return err
		}
	}
	return s.explainMembers("grant", name, client, err)
}

// awaitGranted waits until the API server enforces a grant: they may use it at once.
func (s *session) awaitGranted(ctx context.Context, client *cluster.Client, result admin.Membership) {
	if err := admin.AwaitGranted(ctx, client, result); err != nil {
		s.say("Warning: whether the grant is in force is not known: %v", err)
	}
}
