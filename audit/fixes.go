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

// init returns the command that makes the tenant what its record says. It refuses a
// tenant that is being migrated.
func (r *Record) init(flags ...string) command.Fix {
	init := command.Run(command.Tenant("init", r.Tenant.Name, flags...))
	if r.Migrating != nil {
		return r.endMigration().Then(init)
	}
	return init
}

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

// abortMigration returns the alternative way to end a migration; none if one way has begun
// already.
func (r *Record) abortMigration() []command.Fix {
	if r.Migrating == nil || r.Migrating.Phase == tenant.PhaseFinishing || r.Migrating.Phase == tenant.PhaseAborting {
		return nil
	}
	if from := r.Migrating.From; from != "" {
		return []command.Fix{command.Run(splitCommand(from, "--abort")).With("takes the split back")}
	}
	return []command.Fix{command.Run(command.Tenant("migrate", r.Tenant.Name, "--abort")).With("takes the migration back")}
}

func splitCommand(from string, flags ...string) command.Command {
	return append(append(command.Command{"helm", "tenant", "split"}, flags...), "--from="+from)
}

// memberFlag returns the flag for a subject; empty for nobody, which no command contains.
func memberFlag(s Subject) string {
	if s.Text() == "" {
		return ""
	}
	return command.List("--"+s.Flag(), s.Text())
}

func revoke(name string, s Subject, as tenant.Relation) command.Fix {
	var flags []string
	if as != tenant.RelationMember {
		flags = []string{"--" + string(as)}
	}
	return command.Run(command.Tenant("revoke", name, append(flags, memberFlag(s))...))
}

// takeAway returns the command that removes what a binding grants to the subject.
func (a *auditor) takeAway(b *Binding, s Subject) command.Fix {
	for _, as := range tenant.Relations {
		named := b.Name == rbac.BindingName(as) && b.RoleName == b.Name && (as != tenant.RelationMember || b.RoleKind == "Role")
		if r := a.recordAt(b.Namespace); named && r != nil {
			return revoke(r.Tenant.Name, s, as)
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

func (a *auditor) takeAwayAll(paths []opened) command.Fix {
	var fix command.Fix
	for _, o := range paths {
		// Removing one of the rights that a path needs is enough.
		first := o.steps[0].grant
		fix = fix.Then(a.takeAway(first.binding, first.to))
	}
	return fix
}

func (a *auditor) finding(s Subject, by opened, text string, arguments ...any) Finding {
	return Finding{Subject: s.String(), Text: fmt.Sprintf(text, arguments...), Chains: by.chains(s), Fix: a.takeAwayAll([]opened{by})}
}

func chainsOf(subject Subject, paths []opened) [][]string {
	var chains [][]string
	for _, o := range paths {
		chains = append(chains, o.chains(subject)...)
	}
	return chains
}

// repair returns the command that repairs a deployer's Tiller; an unmanaged one becomes a
// tenant's. init adopts the Deployment with Tiller's usual name, and no other workload.
func (a *auditor) repair(d *deployer) command.Fix {
	if d.record != nil {
		return d.record.init()
	}
	if d.orphan != "" {
		return a.recordAgain(d)
	}
	if a.ownerOf(d.target.Home) != nil { // nothing is adopted where members can create anything
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

// deletePod returns the command that deletes a pod. Only the pod names its maker, and can
// name any object, so that no command touches the maker.
func deletePod(namespace, name string, owned bool) command.Fix {
	fix := deleteObject(namespace, "Pod", name)
	if owned {
		return fix.With("if the pod comes back, delete what makes it")
	}
	return fix
}

func deleteObject(namespace, kind, name string) command.Fix {
	return command.Run(command.Kubectl("delete", namespace, strings.ToLower(kind), name))
}

// narrow returns the commands that give a tenant of all namespaces some namespaces
// instead: it is destroyed and created again.
func narrow(name string) command.Fix {
	return command.Run(command.Tenant("destroy", name), command.Tenant("init", name, "--namespaces=NS")).With("put the tenant's namespaces in place of NS")
}

// shortened lists the first of many names.
func shortened(names []string) string {
	const limit = 4
	if len(names) <= limit {
		return visible.List(names)
	}
	return fmt.Sprintf("%s and %d more", visible.List(names[:limit]), len(names)-limit)
}

// applyFile returns the command that makes the cluster match a tenants file.
func applyFile(file string) command.Command {
	return command.Command{"helm", "tenant", "apply", command.List("--filename", file)}
}

// purge returns the command that deletes a release of a tenant. If no helm accepts the
// name in the record, the record is deleted instead.
func purge(name string, r Release) command.Fix {
	if purge := command.Release(name, r.Name, []string{"delete", "--purge"}); purge != nil {
		return command.Run(purge)
	}
	return deleteObject(r.Record.Namespace, r.Record.Kind, r.Record.Name).With("no helm takes the release's name: this deletes the record alone")
}
