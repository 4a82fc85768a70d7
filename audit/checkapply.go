package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/command"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// checkApply finds subjects that can write what an unattended `helm tenant apply` reads.
// The apply writes the tenants in it with its account's rights, which are an
// administrator's. Subjects that can use the account itself are found by
// findUseOfAccounts.
func (a *auditor) checkApply() {
	reported := map[string]bool{}
	for i := range a.snapshot.Workloads {
		w := &a.snapshot.Workloads[i]
		account := Account(w.Namespace, cmp.Or(w.Account, "default"))
		if len(w.AppliesFrom) == 0 || !a.reachesAll(account) {
			continue
		}
		for _, source := range w.AppliesFrom {
			if key := source.String(); !reported[key] {
				reported[key] = true
				a.checkSource(w, account, source)
			}
		}
	}
}

// reachesAll reports whether a service account reaches deployers by rights over the whole
// cluster.
func (a *auditor) reachesAll(account Subject) bool {
	return slices.ContainsFunc(a.wide, func(w wide) bool { return w.who == account }) ||
		slices.ContainsFunc(a.administrators, func(admin Administrator) bool {
			return admin.who == account && admin.who.Kind == rbacv1.ServiceAccountKind
		})
}

// checkSource finds subjects that can write one ConfigMap or Secret that an apply reads.
func (a *auditor) checkSource(w *Workload, account Subject, source ObjectRef) {
	p := pather{Target{Home: source.Namespace, Server: a.snapshot.Server, NamesKnown: true}, a.rights}
	resource := "configmaps"
	if source.Kind == "Secret" {
		resource = "secrets"
	}
	path := Path{ID: "write-tenants-file", Name: "write what an unattended apply reads", finding: idApplyFile, needs: p.write(resource, source.Name)}
	a.general = append(a.general, path)
	a.eachOther([]string{source.Namespace}, func(s Subject, mine func(grant) bool) {
		if s == account {
			return
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, mine)
		if !open {
			return
		}
		a.add(idApplyFile, everybodyIs(s), a.finding(s, opened{path, steps}, "%s can write %s, which %s applies with the rights of %s", s, source, objectName(w.Kind, w.Namespace, w.Name), account))
	})
}

const useAccountPath = "use-account"

// checkFluxAccount reports a tenant's accounts for Flux in its namespaces, the subjects
// that can act as them, and missing accounts.
func (a *auditor) checkFluxAccount(r *Record, drift driftFunc) {
	t := r.Tenant
	var chains [][]string
	var others, secrets []string
	var fix command.Fix
	var deletions []command.Fix
	for _, ns := range t.Namespaces {
		name := t.FluxAccountIn(ns)
		if name == "" {
			continue
		}
		account := Account(ns, name)
		if a.accounts[account] == nil && a.namespaces[ns] != nil && !a.unseen("serviceaccounts") {
			drift(objectName("ServiceAccount", ns, name), r.init(), "the account %s for Flux is missing from namespace %s", name, ns)
		}
		for _, b := range rbac.DeployerBindings(t, ns) {
			chains = append(chains, []string{account.String(), objectName("RoleBinding", ns, b.Name), "ClusterRole " + b.RoleRef.Name})
		}
		for _, token := range a.tokensOf(account) {
			secrets = append(secrets, objectName("Secret", ns, token.Name))
			chains = append(chains, []string{objectName("Secret", ns, token.Name), account.String()})
			deletions = append(deletions, deleteObject(ns, "Secret", token.Name))
		}
		for _, use := range a.usersOf(r, account) {
			if name := use.who.String(); !slices.Contains(others, name) {
				others = append(others, name)
				chains = append(chains, chainsOf(use.who, []opened{{Path{}, use.steps}})...)
			}
		}
	}
	if chains == nil {
		return
	}
	fix = fix.Then(deletions...)
	f := r.about("service account "+t.FluxAccount, "service account %s in each namespace of the tenant has its role %s, and pods there can use it", t.FluxAccount, t.Role)
	severity := Low
	if len(others) > 0 {
		severity, f.Text = Medium, f.Text+fmt.Sprintf("; so can %s", shortened(others))
	}
	if len(secrets) > 0 {
		severity, f.Text = Medium, f.Text+"; tokens of it that never end are in "+shortened(secrets)
	}
	f.Chains = chains
	f.Fix = fix.Then(command.Run(command.Tenant("init", t.Name, "--flux-account="))).With("or ignore it where Flux deploys the tenant")
	a.add(idFluxAccount, severity, f)
}

// tokensOf returns the Secrets with long-lived tokens of an account, according to their
// annotations.
func (a *auditor) tokensOf(account Subject) []Token {
	var found []Token
	for _, token := range a.tokens[account.Namespace] {
		if token.Account == account.Name {
			found = append(found, token)
		}
	}
	return found
}

// usersOf returns the subjects that can act as an account in a tenant's namespace by
// rights there, without the tenant's own accounts and its members.
func (a *auditor) usersOf(r *Record, account Subject) []accountUse {
	if a.unseen("roles", "rolebindings", "clusterroles") {
		return nil
	}
	d := a.byRecord[r]
	path := Path{Name: "use " + account.String(), needs: a.beAccount(account, true)}
	var found []accountUse
	for _, s := range slices.SortedFunc(maps.Keys(a.rights.inside[account.Namespace]), compareSubjects) {
		ours := s.Kind == rbacv1.ServiceAccountKind && slices.Contains(r.Tenant.Namespaces, s.Namespace)
		if s == (Subject{}) || ours || d != nil && (d.isOwn(s) || slices.Contains(d.members, s)) {
			continue
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, ownGrantsInside(s))
		if open {
			found = append(found, accountUse{s, account, steps})
		}
	}
	return found
}

// AccountWays returns the ways by which a subject has the tenant's role through an account
// for Flux: as the account itself, or by rights to use it.
func (r *Reach) AccountWays(t tenant.Tenant, subject Subject) []Way {
	a := r.auditor
	var ways []Way
	for _, ns := range t.Namespaces {
		name := t.FluxAccountIn(ns)
		if name == "" {
			continue
		}
		account := Account(ns, name)
		if account == subject {
			for _, b := range rbac.DeployerBindings(t, ns) {
				ways = append(ways, Way{Binding: objectName("RoleBinding", ns, b.Name), Role: "ClusterRole " + b.RoleRef.Name, Through: account.String(),
					Paths: []string{"act with the tenant's role"}, IDs: []string{useAccountPath}})
			}
			continue
		}
		path := Path{ID: useAccountPath, Name: "use " + account.String() + ", which has the tenant's role", needs: a.beAccount(account, true)}
		ways = append(ways, a.rights.ways(subject, []Path{path}, a.snapshot.Bindings, t.Home())...)
	}
	return mergeWays(ways)
}
