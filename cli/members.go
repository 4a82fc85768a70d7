package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/admin"
	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type memberOptions struct {
	members tenant.Members
	home    string
	dryRun  bool
	output  string
	// as is the relation, member by default.
	as tenant.Relation
}

func (o *memberOptions) flags(cmd *cobra.Command) {
	memberFlags(cmd, &o.members)
	f := cmd.Flags()
	f.StringVar(&o.home, "home-namespace", "", "the tenant's home namespace; needed if you may not list ConfigMaps in the cluster")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would change, and write nothing")
	outputFlag(cmd, &o.output, "text", "json", "yaml", "name")
}

// check refuses names that no subject can have.
func (o *memberOptions) check() error {
	wrong := o.members.Validate()
	if len(wrong) == 0 {
		return nil
	}
	for i := range wrong {
		wrong[i] = fmt.Errorf("--%w", wrong[i])
	}
	return problems(wrong)
}

// noteUnknown names the fields of a tenant's record that are left alone, because a newer
// helm-tenant wrote them.
func (s *session) noteUnknown(t tenant.Tenant) {
	if fields := t.UnknownFields(); fields != "" {
		s.say("Note: the record of tenant %s is kept as it is: %s", t.Name, fields)
	}
}

func (s *session) explainMembers(verb, name string, client *cluster.Client, err error) error {
	hints := hintsFor(err, inFlags)
	if unknown, ok := errors.AsType[*admin.NoTenantError](err); ok && unknown.Home == "" && len(unknown.Near) == 0 && verb == "grant" {
		hints = []hint{typed("make it with", command.Tenant("init", unknown.Name, "--namespaces=NS"))}
	}
	if _, ok := errors.AsType[*cluster.NotOursError](err); ok && len(hints) > 0 {
		hints = []hint{typed("its label "+tenant.LabelTenant+" is missing; an administrator restores it with", command.Tenant("init", name, "--adopt"))}
	}
	if len(hints) == 0 && apierrors.IsForbidden(err) {
		hints = []hint{hint("an owner of the tenant may " + verb + " its members and readers, an administrator of the cluster everybody")}
	}
	if len(admin.ReasonsOf(err)) > 1 {
		return explained(memberChange(verb, name, client), err, inFlags)
	}
	return withHint(memberChange(verb, name, client).Wrap(err), hints...)
}

func memberChange(verb, name string, client *cluster.Client) failure.Error {
	change := failure.Of(verb, name, client.Where())
	change.Tenant.Preposition = "for"
	return change
}

// askForMember is the hint for a reader who types what only a member can.
func askForMember(ctx context.Context, client *cluster.Client, name string) hint {
	return typed("ask a member to type it, or an owner or an admin to type", grantToCaller(ctx, client, name))
}

// ownHints name what shows the caller's own tenant, where a verb needs more rights than a member
// has.
func ownHints(err error) []hint {
	if _, denied := errors.AsType[*admin.ReadDeniedError](err); !denied && !apierrors.IsForbidden(err) {
		return nil
	}
	return []hint{typed("your own tenant is shown by", command.Command{"helm", "tenant", "whoami"})}
}

// subjectWays are the ways of a subject that is not, or no longer, a member.
type subjectWays struct {
	Subject string   `json:"subject"`
	Ways    []string `json:"ways"`
	// Paths are the IDs of the ways in an audit.
	Paths []string `json:"paths"`
	// Rights are the bindings that give the subject rights in the tenant's namespaces.
	Rights []string `json:"rights"`
}

func (w subjectWays) reaches() bool { return len(w.Ways) > 0 }

// stillIn finds the ways, known to an audit, by which the subjects can still reach the
// tenant's deployers, and their rights in the tenant's namespaces.
func stillIn(ctx context.Context, client *cluster.Client, t tenant.Tenant, removed tenant.Members) ([]subjectWays, error) {
	// An owner may not list them, so the permission is asked for first.
	if allowed, err := client.May(ctx, cluster.Permission{Verb: "list", Group: rbacv1.GroupName, Resource: "clusterrolebindings"}); err != nil {
		return nil, err
	} else if !allowed {
		return nil, errors.New("you may not list the cluster's role bindings")
	}
	snapshot, err := admin.TakeReach(ctx, client)
	if err != nil {
		return nil, err
	}
	reach := audit.NewReach(snapshot)
	var remaining []subjectWays
	for _, subject := range removed {
		// Our own binding counts as well: it may have a group that contains the subject.
		ways := append(reach.Ways(t.Home(), subject), reach.AccountWays(t, subject)...)
		found := subjectWays{Subject: subject.String(), Ways: []string{}, Paths: []string{}, Rights: append([]string{}, reach.Kept(t, subject)...)}
		if len(ways) == 0 && len(found.Rights) == 0 {
			continue
		}
		for _, way := range ways {
			found.Ways, found.Paths = append(found.Ways, way.String()), append(found.Paths, way.IDs...)
		}
		slices.Sort(found.Paths)
		found.Paths = slices.Compact(found.Paths)
		remaining = append(remaining, found)
	}
	if len(snapshot.Unseen) > 0 {
		access := lists.Map(snapshot.Unseen, func(unseen audit.Unseen) string { return unseen.What })
		return remaining, fmt.Errorf("you may not list %s", strings.Join(access, ", "))
	}
	return remaining, nil
}

type membershipChange int

const (
	granted membershipChange = iota
	revoked
)

// mayAs has what the subjects of each relation may do with a tenant.
var mayAs = map[tenant.Relation]string{tenant.RelationMember: "use", tenant.RelationReader: "read", tenant.RelationOwner: "grant and revoke members of"}

func (c membershipChange) done(as tenant.Relation, dryRun bool) string {
	switch {
	case c == revoked && dryRun:
		return "would no longer be able to " + mayAs[as]
	case c == revoked:
		return "can no longer " + mayAs[as]
	case dryRun:
		return "would be able to " + mayAs[as]
	}
	return "can now " + mayAs[as]
}

func (c membershipChange) undone(as tenant.Relation) string {
	if c == revoked {
		return fmt.Sprintf("was no %s of", as)
	}
	return "could already " + mayAs[as]
}

// membership is a change of a tenant's members, readers and owners for machine output.
type membership struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Tenant     string `json:"tenant"`
	DryRun     bool   `json:"dryRun,omitempty"`
	// Changed are the members that changed, ChangedReaders and ChangedOwners the others.
	Changed        tenant.Members `json:"changed"`
	ChangedReaders tenant.Members `json:"changedReaders"`
	ChangedOwners  tenant.Members `json:"changedOwners"`
	// Members, Readers and Owners are null if their binding was not read: the caller may
	// not, or the change does not concern it.
	Members   *tenant.Members `json:"members"`
	Readers   *tenant.Members `json:"readers"`
	Owners    *tenant.Members `json:"owners"`
	Temporary tenant.Terms    `json:"temporary"`
	// Stays has the relations that a revoke of others leaves to those whom it names.
	Stays   map[tenant.Relation]tenant.Members `json:"stays,omitempty"`
	StillIn []subjectWays                      `json:"stillIn" nil:"unknown"`
	Unknown string                             `json:"stillInUnknown,omitempty"` // the reason why the ways were not looked for
	// Unseen are the relations whose binding the caller may not read, which were not
	// changed.
	Unseen []tenant.Relation `json:"unseen"`
	Notes  []string          `json:"notes"`
	Error  string            `json:"error,omitempty"`

	Disconnected *admin.Disconnection `json:"disconnected,omitempty"`
}

func membershipOf(result admin.Membership, dryRun bool) membership {
	t := result.Tenant
	people := func(as tenant.Relation) *tenant.Members {
		if slices.Contains(result.Unseen, as) || slices.Contains(result.Unread, as) {
			return nil
		}
		m := t.People(as)
		return &m
	}
	return membership{Tenant: t.Name, DryRun: dryRun, Changed: result.Changed[tenant.RelationMember], ChangedReaders: result.Changed[tenant.RelationReader],
		ChangedOwners: result.Changed[tenant.RelationOwner],
		Members:       people(tenant.RelationMember), Readers: people(tenant.RelationReader), Owners: people(tenant.RelationOwner), Temporary: t.Temporary,
		StillIn: []subjectWays{}, Stays: result.Stays, Unseen: result.Unseen, Notes: result.Notes}
}

// printMembership prints the result of a change. remaining has the ways that are left to
// former members; unknown is the reason why they could not be looked for, or nil. ended
// is what was done about open connections, nil for nothing.
func (s *session) printMembership(result admin.Membership, o *memberOptions, change membershipChange, remaining []subjectWays, unknown error, ended *admin.Disconnection) error {
	t := result.Tenant
	if o.output == "json" || o.output == "yaml" {
		m := membershipOf(result, o.dryRun)
		m.APIVersion, m.Kind, m.StillIn, m.Unknown = tenant.APIVersion, "Membership", known(remaining, unknown == nil), errorText(unknown)
		m.Disconnected = ended
		return printObject(s.out(), o.output, m)
	}
	if o.output == "name" {
		s.printTenantName(t.Name)
	} else {
		s.printPeople(result, change, o.as, o.dryRun)
	}
	for _, subject := range remaining {
		s.sayRemaining("can still reach it", subject.Subject, subject.Ways)
		s.sayRemaining("keeps rights in the tenant's namespaces, by bindings that are not the tenant's", subject.Subject, subject.Rights)
	}
	asked := len(o.members) > 0 || len(result.Everybody()) > 0
	if groups := t.Members.OfKind(rbacv1.GroupKind); asked && !slices.ContainsFunc(remaining, subjectWays.reaches) && change == revoked && len(groups) > 0 {
		s.say("Note: everybody in these groups can use it: %s (in %s of namespace %s)", visible.List(groups.Names()), rbac.MemberName, t.Home())
	}
	return nil
}

// sayRemaining warns of what a revoke left to a subject.
func (s *session) sayRemaining(what, subject string, ways []string) {
	if len(ways) > 0 {
		s.say("Warning: %s %s:", subject, what)
	}
	for _, way := range ways {
		s.say("  %s", way)
	}
}

// printPeople prints a line for everybody who was named, or whose time has ended. as is
// the relation that was named, empty for none.
func (s *session) printPeople(result admin.Membership, change membershipChange, as tenant.Relation, dryRun bool) {
	t := result.Tenant
	for _, relation := range tenant.Relations {
		for _, subject := range result.Changed[relation] {
			current, limited := t.Temporary.Of(relation, subject)
			was, wasLimited := result.Was.Of(relation, subject)
			text := ""
			if limited {
				text = " " + current.String()
			}
			if wasLimited {
				text += fmt.Sprintf(" (was %s)", was)
			}
			visible.Fprintf(s.out(), "%s %s tenant %s%s\n", subject, change.done(relation, dryRun), t.Name, text)
		}
	}
	for _, name := range result.Unchanged.Names() {
		visible.Fprintf(s.out(), "%s %s tenant %s\n", name, change.undone(as), t.Name)
	}
}

// sayClock says that the API server's clock counts, if it is a minute or more ahead of this
// machine's, or behind it: the end of a grant then looks wrong here.
func (s *session) sayClock(ahead time.Duration) {
	if note := clockNote(ahead); note != "" {
		s.say("Note: %s", note)
	}
}

func clockNote(ahead time.Duration) string {
	side := "ahead of"
	if ahead < 0 {
		side = "behind"
	}
	if ahead.Abs() < time.Minute {
		return ""
	}
	return fmt.Sprintf("the API server's clock, which counts, is %s %s this machine's", ahead.Abs().Round(time.Second), side)
}
