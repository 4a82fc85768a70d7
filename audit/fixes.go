package audit

import (
	"fmt"
	"strings"

	"helm-tenant/command"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// init is the command that makes the tenant what its record says. It refuses one that
// is being migrated.
func (r *Record) init(flags ...string) command.Fix {
	init := command.Run(command.Tenant("init", r.Tenant.Name, flags...))
	if r.Migrating != nil {
		return r.endMigration().Then(init)
	}
	return init
}

// endMigration is the commands that end the tenant's migration.
func (r *Record) endMigration() command.Fix {
	name := r.Tenant.Name
	if from := r.Migrating.From; from != "" {
		if r.Migrating.Phase == tenant.PhaseAborting {
			return command.Run(splitCommand(from, "--abort"))
		}
		return command.Run(splitCommand(from, "-f", "tenants.yaml")).With("with the tenants file of the split")
	}
	finish, abort := command.Tenant("migrate", name, "--finish"), command.Tenant("migrate", name, "--abort")
	switch r.Migrating.Phase {
	case tenant.PhaseVerified, tenant.PhaseFinishing:
		return command.Run(finish)
	case tenant.PhaseAborting:
		return command.Run(abort)
	}
	return command.Run(command.Tenant("migrate", name), finish)
}

// abortMigration is the other end of a migration; none where one end was begun.
func (r *Record) abortMigration() []command.Fix {
	if r.Migrating == nil || r.Migrating.Phase == tenant.PhaseFinishing || r.Migrating.Phase == tenant.PhaseAborting {
		return nil
	}
	if from := r.Migrating.From; from != "" {
		return []command.Fix{command.Run(splitCommand(from, "--abort")).With("takes the split back")}
	}
	return []command.Fix{command.Run(command.Tenant("migrate", r.Tenant.Name, "--abort")).With("takes the migration back")}
}

// splitCommand is split of the Tiller in a namespace.
func splitCommand(from string, flags ...string) command.Command {
	return append(append(command.Command{"helm", "tenant", "split"}, flags...), "--from="+from)
}

// memberFlag is how a verb of ours names a subject; empty, which no command holds, for
// nobody.
func memberFlag(s Subject) string {
	if s.Text() == "" {
		return ""
	}
	return command.List("--"+s.Flag(), s.Text())
}

// takeAway is the command that ends what a binding gives to the subject.
func (a *auditor) takeAway(b *Binding, s Subject) command.Fix {
	if b.Name == rbac.ReaderName && b.RoleName == rbac.ReaderName {
		for _, d := range a.homes[b.Namespace] {
			if d.record != nil {
				return command.Run(command.Tenant("revoke", d.tenant(), "--reader", memberFlag(s)))
			}
		}
	}
	if b.Name == rbac.OwnerName && b.RoleName == rbac.OwnerName {
		for _, d := range a.homes[b.Namespace] {
			if d.record != nil {
				return command.Run(command.Tenant("revoke", d.tenant(), "--owner", memberFlag(s)))
			}
		}
	}
	if isMemberBinding(b) {
		if named := a.homes[b.Namespace]; len(named) > 0 {
			for _, d := range named {
				if d.record != nil {
					return command.Run(command.Tenant("revoke", d.tenant(), memberFlag(s)))
				}
			}
		}
	}
	resource := "rolebinding"
	if b.Namespace == "" {
		resource = "clusterrolebinding"
	}
	if len(b.Subjects) > 1 {
		return command.Run(command.Kubectl("edit", b.Namespace, resource, b.Name)).With("the binding has other subjects, too: take only this one out")
	}
	return command.Run(command.Kubectl("delete", b.Namespace, resource, b.Name))
}

// takeAwayAll are the commands for all of the steps.
func (a *auditor) takeAwayAll(paths []opened) command.Fix {
	var fix command.Fix
	for _, o := range paths {
		// Of several rights that a path needs one is enough to take away.
		first := o.steps[0].grant
		fix = fix.Then(a.takeAway(first.binding, first.to))
	}
	return fix
}

func chainsOf(who Subject, paths []opened) [][]string {
	var chains [][]string
	for _, o := range paths {
		chains = append(chains, o.chains(who)...)
	}
	return chains
}

// mend is the command that makes a deployer's Tiller what it should be: for one of no
// tenant, a tenant's. init takes over the Deployment by which Helm knows a Tiller, and
// no other workload.
func (a *auditor) mend(d *deployer) command.Fix {
	if d.record != nil {
		return d.record.init()
	}
	if d.orphan != "" {
		return a.recordAgain(d)
	}
	if a.ownerOf(d.target.Home) != nil { // where a member can make anything, nothing is taken over
		if d.tiller.OfPod != "" {
			return deletePod(d.target.Home, d.tiller.OfPod, d.tiller.Kind != "Pod")
		}
		return deleteObject(d.target.Home, d.tiller.Kind, d.tiller.Name)
	}
	init := command.Run(command.Command{"helm", "tenant", "init", "TENANT", "--home-namespace=" + d.target.Home, "--namespaces=NS", "--adopt"}).
		With("put the tenant's name and its namespaces in place of TENANT and NS")
	if d.tiller.Kind == "Deployment" && d.tiller.Name == install.DeploymentName {
		return init
	}
	if d.tiller.OfPod != "" {
		return deletePod(d.target.Home, d.tiller.OfPod, d.tiller.Kind != "Pod").Then(init)
	}
	return deleteObject(d.target.Home, d.tiller.Kind, d.tiller.Name).Then(init)
}

// deletePod is the command that deletes a pod. What made it is named by the pod alone,
// which can name anything: no command touches that.
func deletePod(namespace, name string, made bool) command.Fix {
	fix := deleteObject(namespace, "Pod", name)
	if made {
		return fix.With("if the pod comes back, delete what makes it")
	}
	return fix
}

// deleteObject is the command that deletes an object of that kind.
func deleteObject(namespace, kind, name string) command.Fix {
	return command.Run(command.Kubectl("delete", namespace, strings.ToLower(kind), name))
}

// narrow are the commands that give a tenant of all namespaces some namespaces instead:
// it is destroyed and created again.
func narrow(name string) command.Fix {
	return command.Run(command.Tenant("destroy", name), command.Tenant("init", name, "--namespaces=NS")).With("put the tenant's namespaces in place of NS")
}

// shortened lists the first of many names.
func shortened(names []string) string {
	const most = 4
	if len(names) <= most {
		return visible.List(names)
	}
	return fmt.Sprintf("%s and %d more", visible.List(names[:most]), len(names)-most)
}

// prune is the command that also takes away what the tenant's record does not name.
func (r *Record) prune() command.Fix {
	prune := command.Run(command.Tenant("init", r.Tenant.Name, "--prune"))
	if r.Migrating != nil {
		return r.endMigration().Then(prune)
	}
	return prune
}

// applyFile is the command that makes the cluster what a tenants file says.
func applyFile(file string) command.Command {
	return command.Command{"helm", "tenant", "apply", command.List("--filename", file)}
}

// purge is the command that deletes a release of a tenant's. A record can carry a name
// that no helm takes; then it is the record that is deleted.
func purge(name string, r Release) command.Fix {
	if purge := command.Release(name, r.Name, []string{"delete", "--purge"}); purge != nil {
		return command.Run(purge)
	}
	return deleteObject(r.Record.Namespace, r.Record.Kind, r.Record.Name).With("no helm takes the release's name: this deletes the record alone")
}
