package audit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/install"
	"helm-tenant/tenant"
)

// init is the command that makes the tenant what its record says. It refuses one that
// is being migrated.
func (r *Record) init() string {
	init := "helm tenant init " + r.Tenant.Name
	if r.Migrating != nil {
		return r.endMigration() + "; then: " + init
	}
	return init
}

// endMigration is the command that ends the tenant's migration, and what else there is.
func (r *Record) endMigration() string {
	migrate := "helm tenant migrate " + r.Tenant.Name
	switch r.Migrating.Phase {
	case tenant.PhaseVerified:
		return fmt.Sprintf("%s --finish   # or back: %[1]s --abort", migrate)
	case tenant.PhaseFinishing:
		return migrate + " --finish   # it was begun"
	case tenant.PhaseAborting:
		return migrate + " --abort   # it was begun"
	}
	return fmt.Sprintf("%s   # and then %[1]s --finish; or back: %[1]s --abort", migrate)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// quote makes one word of a shell's of it.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// memberFlag is how a verb of ours names a subject.
func memberFlag(s Subject) string {
	switch s.Kind {
	case rbacv1.GroupKind:
		return "--group " + quote(s.Name)
	case rbacv1.ServiceAccountKind:
		return "--service-account " + s.Namespace + ":" + s.Name
	}
	return "--user " + quote(s.Name)
}

// takeAway is the command that ends what a binding gives to the subject.
func (a *auditor) takeAway(b *Binding, s Subject) string {
	if isMemberBinding(b) {
		if named := a.homes[b.Namespace]; len(named) > 0 {
			for _, d := range named {
				if d.record != nil {
					return fmt.Sprintf("helm tenant revoke %s %s", d.tenant(), memberFlag(s))
				}
			}
		}
	}
	verb, hint := "delete", ""
	if len(b.Subjects) > 1 {
		verb, hint = "edit", fmt.Sprintf("   # take out %s", s)
	}
	if b.Namespace == "" {
		return fmt.Sprintf("kubectl %s clusterrolebinding %s%s", verb, quote(b.Name), hint)
	}
	return fmt.Sprintf("kubectl -n %s %s rolebinding %s%s", b.Namespace, verb, quote(b.Name), hint)
}

// takeAwayAll are the commands for all of the steps.
func (a *auditor) takeAwayAll(paths []opened) string {
	var commands []string
	for _, o := range paths {
		// Of several rights that a path needs one is enough to take away.
		first := o.steps[0].grant
		if command := a.takeAway(first.binding, first.to); !slices.Contains(commands, command) {
			commands = append(commands, command)
		}
	}
	return joinFixes(commands...)
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
func (a *auditor) mend(d *deployer) string {
	if d.record != nil {
		return d.record.init()
	}
	if d.orphan != "" {
		return a.recordAgain(d)
	}
	init := fmt.Sprintf("helm tenant init TENANT --home-namespace %s --namespaces NS --adopt", d.target.Home)
	if d.tiller.Kind == "Deployment" && d.tiller.Name == install.DeploymentName {
		return init
	}
	return fmt.Sprintf("kubectl -n %s delete %s %s; %s", d.target.Home, strings.ToLower(d.tiller.Kind), d.tiller.Name, init)
}

// few lists the first of many.
func few(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
