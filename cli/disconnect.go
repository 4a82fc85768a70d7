package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

func disconnectFlag(cmd *cobra.Command, into *bool, whose string) {
	cmd.Flags().BoolVar(into, "disconnect", false, "also end the open connections of "+whose+": wait for pending releases, then restart Tiller")
}

// disconnecting returns the run that ends a tenant's open connections.
func (s *session) disconnecting(client *cluster.Client, t tenant.Tenant, timeout time.Duration) *admin.Disconnect {
	return &admin.Disconnect{Client: client, Tenant: t, Timeout: timeout, Say: func(sentence string) { s.say("%s: %s", t.Name, sentence) }}
}

// checkDisconnect checks, before anything is written, whether the connections of the tenants
// that lose a member may be ended, if asked is true; if not, that is an error of the tenant. An
// interrupted run is finished in any case, if that is permitted.
func (s *session) checkDisconnect(ctx context.Context, client *cluster.Client, outcomes []admin.Outcome, asked bool) {
	for i := range outcomes {
		o := &outcomes[i]
		switch {
		case o.Err != nil:
		case asked && len(o.Prepared.Revoked) > 0:
			o.Err = s.disconnecting(client, o.Prepared.Tenant, 0).Check(ctx)
		case o.Prepared.Disconnect:
			o.Prepared.Disconnect = s.mayFinish(ctx, s.disconnecting(client, o.Prepared.Tenant, 0))
		}
	}
}

// mayFinish reports whether the caller may end the connections that an interrupted run was
// to end, and prints a warning if not.
func (s *session) mayFinish(ctx context.Context, ending *admin.Disconnect) bool {
	err := ending.CheckFinish(ctx)
	if err == nil {
		return true
	}
	why := failure.Text(err)
	if denied, ok := errors.AsType[*admin.DeniedError](err); ok {
		missing := lists.Map(denied.Missing, cluster.Permission.String)
		why = "you lack " + strings.Join(missing, ", ")
	}
	name := ending.Tenant.Name
	s.say("Warning: tenant %s: %s, and you can't restart it: %s", name, admin.Unended, why)
	s.say("  somebody who may types: %s", command.Run(command.Tenant("init", name)))
	return false
}

// disconnectAll ends the open connections of the tenants that lost a member, if asked is
// true, and those that an interrupted run was to end. A failure is an error of the tenant.
func (s *session) disconnectAll(ctx context.Context, client *cluster.Client, outcomes []admin.Outcome, asked bool, timeout time.Duration) {
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil || !o.Prepared.Disconnect && !(asked && len(o.Prepared.Revoked) > 0) {
			continue
		}
		if lost := o.Prepared.Revoked; len(lost) > 0 { // who could connect again
			remaining, _ := stillIn(ctx, client, o.Prepared.Tenant, lost) // apply does not report them
			s.awaitRevoked(ctx, client, admin.Membership{Tenant: o.Prepared.Tenant, Changed: map[tenant.Relation]tenant.Members{tenant.RelationMember: lost}}, remaining)
		}
		var done admin.Disconnection
		done, o.Err = s.disconnecting(client, o.Prepared.Tenant, timeout).Run(ctx)
		s.sayDisconnection(o.Name, done)
	}
}

// finishDisconnect ends the connections that an interrupted run was to end.
func (s *session) finishDisconnect(ctx context.Context, client *cluster.Client, prepared *admin.Prepared, timeout time.Duration) error {
	if !prepared.Disconnect {
		return nil
	}
	ending := s.disconnecting(client, prepared.Tenant, timeout)
	if !s.mayFinish(ctx, ending) {
		return nil
	}
	done, err := ending.Run(ctx)
	s.sayDisconnection(prepared.Tenant.Name, done)
	return err
}

// sayDisconnection prints which connections ended, which did not, and how to end these.
func (s *session) sayDisconnection(name string, d admin.Disconnection) {
	if len(d.Interrupted) > 0 {
		s.say("Warning: tenant %s: Tiller was restarted while these releases were pending: %s", name, visible.List(d.Interrupted))
	}
	if len(d.Restarted) > 0 {
		s.say("tenant %s: ended, with all port-forwards to it: %s", name, visible.List(d.Restarted))
	}
	for _, line := range d.Lasting {
		s.say("Note: tenant %s: not ended: %s", name, line)
	}
	if d.AccountsUnknown != "" {
		s.say("Warning: tenant %s: it is not known of which service accounts they may hold tokens: %s", name, d.AccountsUnknown)
	}
	if len(d.Accounts) == 0 {
		return
	}
	s.say("Note: tenant %s: they may hold tokens of the service accounts in its namespaces. Deleting an account ends its tokens;", name)
	s.say("  Kubernetes creates the account default again; create others again yourself, and restart the pods that run as them:")
	for _, in := range d.Accounts {
		s.say("  %s", command.Run(append(command.Kubectl("delete", in.Namespace, "serviceaccount", in.Names[0]), in.Names[1:]...)))
	}
}

// revokeError reports that somebody was revoked, and what failed afterwards.
func revokeError(name string, client *cluster.Client, err error) error {
	text := fmt.Errorf("they are no longer members, but their open connections were not ended: %w", err)
	return &codeError{code: exitPartly, err: withHint(memberChange("revoke", name, client).Wrap(text), hintsFor(err, inFlags)...)}
}
