package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// disconnectFlag adds --disconnect.
func disconnectFlag(cmd *cobra.Command, into *bool, whose string) {
	cmd.Flags().BoolVar(into, "disconnect", false, "also end the open connections of "+whose+": wait for pending releases, then restart Tiller")
}

// disconnecting returns the run that ends a tenant's open connections.
func (s *session) disconnecting(client *cluster.Client, t tenant.Tenant, timeout time.Duration) *admin.Disconnect {
	return &admin.Disconnect{Client: client, Tenant: t, Timeout: timeout, Say: func(sentence string) { s.say("%s: %s", t.Name, sentence) }}
}

// checkDisconnect checks, before anything is written, whether the connections of the
// tenants that lose a member may be ended; if not, that is an error of the tenant. It
// prints the command that ends them if this one is interrupted: the same apply again
// would find nobody to revoke, and end nothing.
func (s *session) checkDisconnect(ctx context.Context, client *cluster.Client, outcomes []admin.Outcome) {
	for i := range outcomes {
		if o := &outcomes[i]; o.Err == nil && len(o.Prepared.Revoked) > 0 {
			if o.Err = s.disconnecting(client, o.Prepared.Tenant, 0).Check(ctx); o.Err == nil && o.Prepared.Tenant.Engine.Has(tenant.EngineTiller) {
				s.say("Note: tenant %s: if this ends before Tiller is restarted, type: %s", o.Name, command.Run(disconnectCommand(o.Name, o.Prepared.Revoked)))
			}
		}
	}
}

// disconnectAll ends the open connections of the tenants that lost a member. A failure is
// an error of the tenant.
func (s *session) disconnectAll(ctx context.Context, client *cluster.Client, outcomes []admin.Outcome, timeout time.Duration) {
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil || len(o.Prepared.Revoked) == 0 {
			continue
		}
		var done admin.Disconnection
		done, o.Err = s.disconnecting(client, o.Prepared.Tenant, timeout).Run(ctx)
		s.sayDisconnection(o.Name, done)
	}
}

// disconnectCommand returns the revoke that ends the connections of former members.
func disconnectCommand(name string, gone tenant.Members) command.Command {
	var flags []string
	for _, subject := range gone.Subjects() {
		switch subject.Kind {
		case rbacv1.UserKind:
			flags = append(flags, command.List("--user", subject.Name))
		case rbacv1.GroupKind:
			flags = append(flags, command.List("--group", subject.Name))
		default:
			flags = append(flags, command.List("--service-account", subject.Namespace+":"+subject.Name))
		}
	}
	return command.Tenant("revoke", name, append(flags, "--disconnect")...)
}

// sayDisconnection prints what was ended, and what was not and how it can be.
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
	return &codeError{code: exitPartly, err: withHint(
		fmt.Errorf("revoke for tenant %q in %s: they are no longer members, but their open connections were not ended: %w", name, client.Where(), err),
		hintsFor(err, byFlag)...)}
}
