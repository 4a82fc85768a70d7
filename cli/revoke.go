package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/tenant"
)

type revokeOptions struct {
	memberOptions
	expired, all, disconnect bool
	member, reader, owner    bool
	timeout                  time.Duration
}

func newRevoke(s *session) *cobra.Command {
	o := &revokeOptions{}
	cmd := &cobra.Command{
		Use: "revoke TENANT [--user U] [--group G] [--service-account NS:NAME]", Short: "Remove users, groups and service accounts from a tenant",
		Long: `Remove users, groups and service accounts from a tenant.

They are removed from the members, readers and owners, or only from those that --member,
--reader and --owner name. An owner can revoke members and readers.
The removal is in force when the command ends, or, with --all and for a caller who may not
create SubjectAccessReviews, a moment later. A port-forward to a Tiller that they have open lasts
until Tiller is restarted. The output names every other binding through which they can
still use the tenant's deployer, and the bindings that give them rights in its namespaces.

--disconnect also restarts Tiller: it waits for pending releases up to --timeout, and then
deletes Tiller's pods. That ends all port-forwards to them, including those of members, who
connect again. It needs the permission to delete pods in the home namespace, which the
ClusterRole of init --print-role does not give. If it is interrupted, the next init, apply
or revoke of the tenant by somebody with that permission finishes it; others get a warning.
The output names connections that can't be ended, and the service accounts in the tenant's
namespaces of which former members may hold a token.

--expired removes grants whose end has passed (grant --for), by the API server's clock;
with --all for every tenant. If one tenant fails, the others are still processed, and the
exit code is 3.`,
		Example: `  helm tenant revoke team-a --user alice
  helm tenant revoke team-a --group team-a-devs --service-account ci:deployer
  helm tenant revoke team-a --owner --user dana
  helm tenant revoke team-a --user alice --disconnect
  helm tenant revoke team-a --expired
  helm tenant revoke --expired --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if !o.all {
				return oneTenant(cmd, args)
			}
			if len(args) > 0 {
				return asUsage(cmd, fmt.Errorf("a tenant (%s) and --all contradict each other", args[0]))
			}
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.member, "member", false, "remove them only from the members")
	cmd.Flags().BoolVar(&o.reader, "reader", false, "remove them only from the readers")
	cmd.Flags().BoolVar(&o.owner, "owner", false, "remove them only from the owners")
	cmd.Flags().BoolVar(&o.expired, "expired", false, "remove those whose grant has expired")
	cmd.Flags().BoolVar(&o.all, "all", false, "with --expired: for every tenant")
	disconnectFlag(cmd, &o.disconnect, "those revoked")
	timeoutFlag(cmd, &o.timeout)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.all && !o.expired:
			return asUsage(cmd, errors.New("--all goes with --expired"))
		case o.all && o.home != "":
			return asUsage(cmd, errors.New("--all and --home-namespace contradict each other"))
		case o.all && o.disconnect:
			return asUsage(cmd, errors.New("--all and --disconnect contradict each other: it restarts one tenant's Tiller"))
		case o.expired && !o.members.IsZero():
			return asUsage(cmd, errors.New("--expired removes everybody whose time has ended: leave out --user, --group and --service-account"))
		case !o.expired && o.members.IsZero():
			return asUsage(cmd, errors.New("nobody is named: give --user, --group or --service-account"))
		}
		if err := o.check(); err != nil {
			return asUsage(cmd, err)
		}
		o.as = tenant.RelationMember
		if as := o.request().As; len(as) == 1 {
			o.as = as[0]
		}
		if o.all {
			return s.revokeExpired(cmd.Context(), o)
		}
		return s.revoke(cmd.Context(), args[0], o)
	}
	return cmd
}

// request returns the request; without names it concerns those whose time has ended.
func (o *revokeOptions) request() admin.RevokeRequest {
	r := admin.RevokeRequest{Who: o.members, Expired: o.expired, Disconnect: o.disconnect}
	for as, only := range map[tenant.Relation]bool{tenant.RelationMember: o.member, tenant.RelationReader: o.reader, tenant.RelationOwner: o.owner} {
		if only {
			r.As = append(r.As, as)
		}
	}
	return r
}

func (s *session) revoke(ctx context.Context, name string, o *revokeOptions) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	t, err := admin.Find(ctx, client, name, o.home)
	if unreadable, ok := errors.AsType[*cluster.RecordError](err); ok {
		// The binding alone says who is a member: the record is not needed.
		s.say("Warning: the record of tenant %s can't be read: %v", name, unreadable)
		err = nil
	}
	if err != nil {
		return s.explainMembers("revoke", name, client, err)
	}
	s.noteUnknown(t)
	ending := s.disconnecting(client, t, o.timeout)
	if o.disconnect {
		if err := ending.Check(ctx); err != nil {
			return s.explainMembers("revoke", name, client, err)
		}
	}
	result, failed := admin.Revoke(ctx, client, t, o.request(), o.dryRun)
	if o.expired {
		s.sayClock(client.Ahead())
	}
	if failed != nil && !isPartly(failed) {
		return s.explainMembers("revoke", name, client, failed)
	}
	if err := s.reportRevoked(ctx, client, result, failed, ending, o); err != nil || failed == nil {
		return err
	}
	failed = s.explainMembers("revoke", name, client, failed)
	if len(result.Everybody()) > 0 {
		return &codeError{exitPartly, failed}
	}
	return failed
}

// isPartly reports whether a revoke with that error changed all relations but those of which it
// is not known whose time has ended.
func isPartly(err error) bool {
	_, partly := errors.AsType[*admin.TermsError](err)
	return partly
}

// reportRevoked prints what a revoke did, and ends connections if that was asked for. failed is
// the reason why some relations were left out.
func (s *session) reportRevoked(ctx context.Context, client *cluster.Client, result admin.Membership, failed error, ending *admin.Disconnect, o *revokeOptions) error {
	name := result.Tenant.Name
	for _, as := range result.Unseen {
		s.say("Note: you may not read the %ss of tenant %s: they are not changed", as, name)
	}
	removed := o.members
	if o.expired {
		removed = result.Everybody()
		if len(removed) == 0 && failed == nil {
			s.say("Nobody's time is over in tenant %s", name)
		}
	}
	end := o.disconnect && len(removed) > 0
	if result.Disconnect && !end && (o.dryRun || s.mayFinish(ctx, ending)) {
		s.say("Note: tenant %s: %s", name, admin.Unended)
		end = !o.dryRun
	}
	if account := result.Tenant.FluxAccount; account != "" && (len(removed) > 0 || end) {
		s.say("Note: service account %s in the namespaces of tenant %s keeps its role, and who was a member may hold a token of it from a pod", account, name)
	}
	defer s.sayStays(result)
	if o.dryRun || len(removed) == 0 && !end {
		return s.printMembership(result, &o.memberOptions, revoked, nil, nil, nil)
	}
	remaining, unknown := stillIn(ctx, client, result.Tenant, removed)
	if unknown != nil {
		s.say("Warning: whether they can still reach tenant %s in another way is not known: %v", name, unknown)
	}
	s.awaitRevoked(ctx, client, result, remaining)
	if !end {
		return s.printMembership(result, &o.memberOptions, revoked, remaining, unknown, nil)
	}
	ended, stuck := ending.Run(ctx)
	if err := s.printMembership(result, &o.memberOptions, revoked, remaining, unknown, &ended); err != nil {
		return err
	}
	s.sayDisconnection(name, ended)
	if stuck != nil {
		return revokeError(name, client, stuck)
	}
	return nil
}

// sayStays says what is left to those of whom one relation was revoked.
func (s *session) sayStays(result admin.Membership) {
	for _, as := range tenant.Relations {
		for _, subject := range result.Stays[as] {
			s.next(fmt.Sprintf("Note: %s stays %s of tenant %s; to revoke that as well", subject, as.Noun(), result.Tenant.Name),
				command.Tenant("revoke", result.Tenant.Name, append(memberArguments(tenant.Members{subject}), "--"+string(as))...))
		}
	}
}

// awaitRevoked waits until the API server enforces a revoke: the output says that they can no
// longer use the tenant, and connections that are ended must not be opened again.
func (s *session) awaitRevoked(ctx context.Context, client *cluster.Client, result admin.Membership, remaining []subjectWays) {
	err := admin.AwaitRevoked(ctx, client, result, func(subject tenant.Subject) bool {
		return slices.ContainsFunc(remaining, func(w subjectWays) bool { return w.reaches() && w.Subject == subject.String() })
	})
	if err != nil {
		s.say("Warning: whether the revoke is in force is not known: %v", err)
	}
}

// revokeExpired removes from all tenants those whose time has ended.
func (s *session) revokeExpired(ctx context.Context, o *revokeOptions) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	tenants, err := admin.Expired(ctx, client)
	if err != nil {
		return failure.In("revoke", client.Where()).Wrap(err)
	}
	s.sayClock(client.Ahead())
	if len(tenants) == 0 {
		s.say("Nobody's time is over in %s", client.Where())
	}
	items := []membership{}
	var failed problems
	changed := false
	for _, t := range tenants {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		result, err := admin.Revoke(ctx, client, t, o.request(), o.dryRun)
		text := ""
		if err != nil {
			err = failure.OfTenant(t.Name).Wrap(err)
			failed, text = append(failed, withHint(err, hintsFor(err, inFlags)...)), errorText(err)
			if !isPartly(err) {
				items = append(items, membership{Tenant: t.Name, Error: text})
				continue
			}
		}
		item := membershipOf(result, o.dryRun)
		item.StillIn, item.Error = nil, text // nobody looked for ways
		items = append(items, item)
		switch nobody := len(result.Everybody()) == 0; {
		case nobody && err != nil:
		case nobody:
			s.say("Nobody's time is over in tenant %s", t.Name)
		case o.output == "name":
			s.printTenantName(t.Name)
		case o.output == "text":
			s.printPeople(result, revoked, o.as, o.dryRun)
		}
		changed = changed || len(result.Everybody()) > 0
		if result.Disconnect {
			s.say("Note: tenant %s: %s", t.Name, admin.Unended)
			s.say("  to restart it: %s", command.Run(command.Tenant("init", t.Name)))
		}
	}
	if o.output == "json" || o.output == "yaml" {
		err = printObject(s.out(), o.output, struct {
			document
			Items []membership `json:"items"`
		}{documentOf("MembershipList"), items})
	} else if len(tenants) > 0 && !o.dryRun {
		s.say("Note: to see whether they can still reach a tenant in another way: helm tenant audit")
	}
	if len(failed) == 0 || err != nil {
		return err
	}
	code := exitPartly
	if len(failed) == len(tenants) && !changed {
		code = exitFailed
	}
	return &codeError{code: code, err: failed}
}
