package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/admin"
	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type memberOptions struct {
	members tenant.Members
	home    string
	risks   []string
	output  string
	// Of revoke alone.
	disconnect bool
	timeout    time.Duration
}

// newMembers makes the parts that grant and revoke share.
func newMembers(use, short, long, example string, run func(context.Context, string, *memberOptions) error) (*cobra.Command, *memberOptions) {
	o := &memberOptions{}
	cmd := &cobra.Command{
		Use: use + " TENANT [--user U] [--group G] [--service-account NS:NAME]", Short: short, Long: long, Example: example, Args: oneTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.members.IsZero() {
				return asUsage(cmd, fmt.Errorf("nobody is named: give --user, --group or --service-account"))
			}
			if wrong := o.members.Validate(); len(wrong) > 0 {
				for i := range wrong {
					wrong[i] = fmt.Errorf("--%w", wrong[i])
				}
				return asUsage(cmd, problems(wrong))
			}
			return run(cmd.Context(), args[0], o)
		},
	}
	memberFlags(cmd, &o.members)
	cmd.Flags().StringVar(&o.home, "home-namespace", "", "the tenant's home namespace, where you may not list ConfigMaps in the cluster")
	outputFlag(cmd, &o.output, "text", "json", "yaml")
	return cmd, o
}

func newGrant(s *session) *cobra.Command {
	cmd, o := newMembers("grant", "Let users, groups and service accounts use a tenant",
		`Let users, groups and service accounts use a tenant.

A member may use the tenant's deployer (reach its Tiller by port-forward, or
impersonate its service account) and read the tenant's record, and nothing else: no
right in the tenant's namespaces comes with it.
Several names are separated by commas. A distinguished name is one: --user
CN=alice,O=devs; another name that holds a comma is put in quotes: '"doe, john"'.`,
		`  helm tenant grant team-a --user alice --group team-a-devs
  helm tenant grant team-a --service-account ci:deployer`, s.grant)
	riskFlag(cmd, &o.risks)
	return cmd
}

func newRevoke(s *session) *cobra.Command {
	cmd, o := newMembers("revoke", "Take users, groups and service accounts out of a tenant",
		`Take users, groups and service accounts out of a tenant.

It takes effect at their next call; a port-forward to a Tiller that they hold open
lasts until that is restarted. Afterwards every other binding is named through which
they can still use the tenant's deployer.

--disconnect restarts Tiller as well: it waits for pending releases up to --timeout,
and then ends Tiller's pods with all port-forwards to them, those of members too, who
connect again. What can't be ended is named, and the service accounts in the tenant's
namespaces of which they may hold a token.`,
		`  helm tenant revoke team-a --user alice
  helm tenant revoke team-a --group team-a-devs --service-account ci:deployer
  helm tenant revoke team-a --user alice --disconnect`, s.revoke)
	disconnectFlag(cmd, &o.disconnect, "those revoked")
	timeoutFlag(cmd, &o.timeout)
	return cmd
}

func (s *session) grant(ctx context.Context, name string, o *memberOptions) error {
	accepted, err := admin.ParseAccepted(o.risks)
	if err != nil {
		return &usageError{err, "helm tenant grant TENANT --accept-risk=RISK"}
	}
	_, client, err := s.open()
	if err != nil {
		return err
	}
	t, err := admin.Find(ctx, client, name, o.home)
	if err == nil {
		s.noteUnknown(t)
		var result admin.Membership
		result, err = admin.Grant(ctx, client, t, o.members, accepted)
		if err == nil {
			return s.printMembership(result, o.output, granted, nil, nil, nil)
		}
	}
	return s.explainMembers("grant", name, client, err)
}

func (s *session) revoke(ctx context.Context, name string, o *memberOptions) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	t, err := admin.Find(ctx, client, name, o.home)
	if unreadable, is := errors.AsType[*cluster.RecordError](err); is {
		// Who is a member stands in the binding alone: nothing else is needed.
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
	result, err := admin.Revoke(ctx, client, t, o.members)
	if err != nil {
		return s.explainMembers("revoke", name, client, err)
	}
	still, unknown := stillIn(ctx, client, result.Tenant, o.members)
	if unknown != nil {
		s.say("Warning: whether they can still reach tenant %s in another way is not known: %v", name, unknown)
	}
	if !o.disconnect {
		return s.printMembership(result, o.output, revoked, still, unknown, nil)
	}
	ended, failed := ending.Run(ctx)
	if err := s.printMembership(result, o.output, revoked, still, unknown, &ended); err != nil {
		return err
	}
	s.sayDisconnection(name, ended)
	if failed != nil {
		return revokeError(name, client, failed)
	}
	return nil
}

// noteUnknown says which fields of a tenant's record are left alone, because a newer
// helm-tenant wrote them.
func (s *session) noteUnknown(t tenant.Tenant) {
	if fields := t.UnknownFields(); fields != "" {
		s.say("Note: the record of tenant %s is kept as it is: %s", t.Name, fields)
	}
}

func (s *session) explainMembers(verb, name string, client *cluster.Client, err error) error {
	return withHint(fmt.Errorf("%s for tenant %q in %s: %w", verb, name, client.Where(), err), hintsFor(err, byFlag)...)
}

// subjectWays are the ways of one subject that is no member (any more).
type subjectWays struct {
	Subject string   `json:"subject"`
	Ways    []string `json:"ways"`
}

// stillIn finds the bindings of others through which the subjects can still
// reach the tenant's deployer, and the groups that are members.
func stillIn(ctx context.Context, client *cluster.Client, t tenant.Tenant, gone tenant.Members) ([]subjectWays, error) {
	targets := audit.TargetsOf(t.Home(), t.Engine, t.Members...)
	roles, bindings, err := admin.Bindings(ctx, client, targets)
	if err != nil {
		return nil, err
	}
	var still []subjectWays
	for _, subject := range gone {
		// Our own binding counts too: a group in it may hold the subject.
		ways := audit.Ways(subject, targets, roles, bindings)
		if len(ways) == 0 {
			continue
		}
		found := subjectWays{Subject: subject.String()}
		for _, way := range ways {
			found.Ways = append(found.Ways, way.String())
		}
		still = append(still, found)
	}
	return still, nil
}

// membershipChange is what a verb makes of a membership.
type membershipChange int

const (
	granted membershipChange = iota
	revoked
)

// words say what became of somebody, and of whom it was so before.
func (c membershipChange) words() (done, undone string) {
	if c == revoked {
		return "can no longer use", "was no member of"
	}
	return "can now use", "could already use"
}

// printMembership prints what became of the members. still are the ways that are left
// to who is none any more; unknown is why they could not be looked for, or nil. ended is
// what became of open connections, nil where they were left alone.
func (s *session) printMembership(result admin.Membership, output string, change membershipChange, still []subjectWays, unknown error, ended *admin.Disconnection) error {
	t := result.Tenant
	if output != "text" {
		return printObject(s.out(), output, struct {
			APIVersion string         `json:"apiVersion"`
			Kind       string         `json:"kind"`
			Tenant     string         `json:"tenant"`
			Changed    tenant.Members `json:"changed,omitzero"`
			Members    tenant.Members `json:"members,omitzero"`
			StillIn    []subjectWays  `json:"stillIn,omitempty"`
			Unknown    string         `json:"stillInUnknown,omitempty"` // why nobody looked

			Disconnected *admin.Disconnection `json:"disconnected,omitempty"`
		}{tenant.APIVersion, "Membership", t.Name, result.Changed, t.Members, still, errorText(unknown), ended})
	}
	done, undone := change.words()
	for _, name := range result.Changed.Names() {
		visible.Fprintf(s.out(), "%s %s tenant %s\n", name, done, t.Name)
	}
	for _, name := range result.Unchanged.Names() {
		visible.Fprintf(s.out(), "%s %s tenant %s\n", name, undone, t.Name)
	}
	for _, subject := range still {
		s.say("Warning: %s can still reach it:", subject.Subject)
		for _, way := range subject.Ways {
			s.say("  %s", way)
		}
	}
	if groups := t.Members.OfKind(rbacv1.GroupKind); len(still) == 0 && change == revoked && len(groups) > 0 {
		s.say("Note: everybody in these groups can use it: %s (in %s of namespace %s)", strings.Join(groups.Names(), ", "), rbac.MemberName, t.Home())
	}
	return nil
}
