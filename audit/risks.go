package audit

import (
	"slices"
	"strings"

	"helm-tenant/command"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// accepting returns a fix whose inits accept what the tenants are already: init asks for each of
// these risks again whenever it has to write something, and for shared namespaces always.
func (a *auditor) accepting(fix command.Fix) command.Fix {
	commands := slices.Clone(fix.Commands)
	for i, c := range commands {
		if len(c) < 4 || !slices.Equal(c[:3], command.Command{"helm", "tenant", "init"}) || slices.ContainsFunc(commands[:i], isDestroyOf(c[3])) {
			continue
		}
		for r := range a.records() {
			if r.Tenant.Name == c[3] {
				commands[i] = withFlags(c, a.accepted(r, c[4:]))
				break
			}
		}
	}
	fix.Commands = commands
	return fix
}

// isDestroyOf returns a function that reports whether a command destroys a tenant, so that a later
// init makes it anew, as other flags say.
func isDestroyOf(name string) func(command.Command) bool {
	return func(c command.Command) bool {
		return len(c) > 3 && slices.Equal(c[:4], command.Command{"helm", "tenant", "destroy", name})
	}
}

// withFlags adds the flags that a command does not have yet.
func withFlags(c command.Command, flags []string) command.Command {
	return append(slices.Clone(c), slices.DeleteFunc(flags, func(flag string) bool { return slices.Contains(c, flag) })...)
}

// accepted returns the flags without which an init of a tenant with these flags is refused,
// although the tenant is what they accept.
func (a *auditor) accepted(r *Record, flags []string) []string {
	t := r.Tenant.WithDefaults()
	for _, flag := range flags {
		if value, found := strings.CutPrefix(flag, "--namespaces="); found {
			t.Namespaces, t.AllNamespaces = strings.Split(value, ","), false
		}
		if value, found := strings.CutPrefix(flag, "--role="); found {
			t.Role = value
		}
	}
	if t.AllNamespaces {
		return []string{"--accept-risk=cluster-wide"}
	}
	var needed []string
	if slices.ContainsFunc(t.Namespaces, tenant.IsSystemNamespace) {
		needed = append(needed, "--accept-risk=system-namespace")
	}
	if role := a.clusterRoles[t.Role]; role != nil && len(rbac.WritesNamespaces(role.Rules)) > 0 {
		needed = append(needed, "--accept-risk=namespace-writer")
	}
	if home := a.namespaces[r.Namespace]; home != nil && home.Labels[tenant.LabelManagedBy] != tenant.ManagedBy && slices.ContainsFunc(a.deployers, func(d *deployer) bool {
		return d.record == r && len(a.neighbours(d)) > 0
	}) {
		needed = append(needed, "--accept-risk=shared-home")
	}
	if slices.ContainsFunc(t.Namespaces, func(name string) bool { return a.isShared(r, name) }) {
		needed = append(needed, "--share")
	}
	return needed
}

// isShared reports whether a tenant shares a namespace whose label names another tenant.
func (a *auditor) isShared(r *Record, name string) bool {
	ns := a.namespaces[name]
	if ns == nil || !slices.Contains(r.Tenant.Namespaces, name) {
		return false
	}
	owner := ns.Labels[tenant.LabelTenant]
	return owner != "" && owner != r.Tenant.Name
}
