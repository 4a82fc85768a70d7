package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/command"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// findOrphans finds the deployers of tenants without a trusted record, from the other objects
// of init: a member can use a deployer without its record.
func (a *auditor) findOrphans(tillers map[string][]*Workload, add func(*deployer)) {
	found := map[Subject]string{} // the tenants' names
	take := func(name string, account Subject) {
		if account != (Subject{}) && a.deployerOf(account) == nil && found[account] == "" {
			found[account] = name
		}
	}
	homes := map[string]string{} // the evidence for each home
	isHome := func(home, name string) {
		if tenant.CheckName(name) != nil {
			name = "" // anybody's word
		}
		if a.recordAt(home) == nil && (a.namespaces[home] != nil || a.unseen("namespaces")) {
			homes[home] = cmp.Or(name, homes[home])
		}
	}
	for _, bindings := range a.rights.bindings {
		for _, b := range bindings {
			if isMemberBinding(b) && a.saysHome(b.Namespace) {
				isHome(b.Namespace, b.Tenant)
			}
			name, ours := strings.CutPrefix(b.Name, "helm-tenant.")
			name, _, two := strings.Cut(name, ".")
			if !ours || !two || tenant.CheckName(name) != nil {
				continue // not a binding of init
			}
			for _, s := range b.Subjects {
				// Anybody with rights in a namespace can give a binding there any name and
				// any subject.
				if s.Kind == rbacv1.ServiceAccountKind && slices.Contains(tenant.EngineBoth.DeployerAccounts(), s.Name) && (b.Namespace == "" && a.ownerOf(s.Namespace) == nil || a.saysHome(s.Namespace)) {
					take(name, s)
				}
			}
		}
	}
	for name, labelled := range a.labelled {
		known := slices.ContainsFunc(a.snapshot.Records, func(r Record) bool { return r.Tenant.Name == name })
		for _, ns := range labelled {
			home := cmp.Or(ns.Annotations[tenant.AnnotationHome], ns.Name)
			if known && home == ns.Name && ns.Labels[tenant.LabelHome] == "" {
				continue // a namespace of the tenant without the home's annotation
			}
			isHome(home, name)
		}
	}
	for _, home := range slices.Sorted(maps.Keys(homes)) {
		for _, actor := range a.actorsAt(home) {
			take(cmp.Or(homes[home], home), Account(home, actor.account))
		}
	}
	for _, account := range slices.SortedFunc(maps.Keys(found), compareSubjects) {
		members := a.membersOf(account.Namespace)
		d := &deployer{orphan: found[account], members: members, target: Target{Home: account.Namespace, Account: account.Name, Engine: tenant.EngineImpersonation, Members: members}}
		if account.Name == tenant.TillerAccount {
			d.target.Engine = tenant.EngineTiller
			d.tiller = a.takeTiller(tillers, account.Namespace, account.Name)
			a.settleAccount(d, tillers)
		}
		add(d)
	}
}

// settleAccount handles an orphan whose Tiller runs as another account than init creates: if
// that account does not exist, the Tiller's is the deployer; otherwise there are two deployers.
func (a *auditor) settleAccount(d *deployer, tillers map[string][]*Workload) {
	if d.tiller == nil || accountName(d.tiller.Template.Spec) == d.target.Account {
		return
	}
	home := d.target.Home
	if a.accounts[Account(home, d.target.Account)] == nil {
		d.target.Account = accountName(d.tiller.Template.Spec)
		return
	}
	tillers[home] = append(tillers[home], d.tiller)
	d.tiller = nil
}

// actorsAt returns the deployers of a home without a record: those whose account exists, or to
// which its members' role still leads.
func (a *auditor) actorsAt(home string) []actor {
	members := a.rights.roles[roleKey{home, rbac.MemberName}]
	allowed := func(verb, resource string) bool {
		return members != nil && members.answer(act{verb, "", resource}).some
	}
	return slices.DeleteFunc(actorsOf(tenant.EngineBoth), func(account actor) bool {
		used := allowed("impersonate", "serviceaccounts")
		if account.engine == tenant.EngineTiller {
			used = allowed("create", "pods/portforward")
		}
		return !used && a.accounts[Account(home, account.account)] == nil
	})
}

// recordAt returns the record in that home, nil if there is no trusted one.
func (a *auditor) recordAt(home string) *Record {
	for _, d := range a.homes[home] {
		if d.record != nil {
			return d.record
		}
	}
	return nil
}

// checkOrphan reports a deployer whose tenant has no record.
func (a *auditor) checkOrphan(d *deployer) {
	if a.unseen("configmaps") {
		return // the record may exist
	}
	home := d.target.Home
	f := d.about(d.account.String(), "the deployer %s is of tenant %s, which has no record", d.account.Name, d.orphan)
	f.Chains = [][]string{{"tenant " + d.orphan, "namespace " + home, d.account.String()}}
	f.Fix = a.recordAgain(d)
	if real := a.homeOf(d.orphan); real != "" {
		f.Text = fmt.Sprintf("namespace %s looks like the home of tenant %s, which is %s: members who look for the tenant by its name find this one", home, d.orphan, real)
		f.Chains = [][]string{{"tenant " + d.orphan, "namespace " + real}, {"namespace " + home, d.account.String()}}
		f.Fix = command.Run(command.Kubectl("delete", home, "serviceaccount", d.account.Name))
		if slices.ContainsFunc(a.snapshot.Disbelieved, func(r Record) bool { return r.Namespace == home }) {
			f.Fix = f.Fix.Then(command.Run(command.Kubectl("delete", home, "configmap", tenant.RecordName)))
		}
		f.Fix = f.Fix.With("find out who made the namespace")
	} else if index := slices.IndexFunc(a.snapshot.Disbelieved, func(r Record) bool { return r.Namespace == home }); index >= 0 {
		label := tenant.LabelTenant + "=" + a.snapshot.Disbelieved[index].Tenant.Name
		f.Text = fmt.Sprintf("the deployer %s is of tenant %s, whose record is not believed: its namespace does not say that it is the home", d.account.Name, d.orphan)
		f.Chains = [][]string{{objectName("ConfigMap", home, tenant.RecordName), "namespace " + home, "label " + label}}
		// Whoever may create namespaces can fake one.
		f.Fix = labelHome(home, a.snapshot.Disbelieved[index].Tenant.Name).With("only if you know it for the tenant's home")
	}
	if tokens := a.tokensOf(Account(home, d.target.Account)); len(tokens) > 0 {
		var secrets []string
		var deletions []command.Fix
		for _, token := range tokens {
			secrets = append(secrets, "Secret "+token.Name)
			f.Chains = append(f.Chains, []string{objectName("Secret", home, token.Name), d.account.String()})
			deletions = append(deletions, deleteObject(home, "Secret", token.Name))
		}
		f.Text, f.Fix = f.Text+"; tokens of it that never end are there in "+shortened(secrets), command.Fix{}.Then(append(deletions, f.Fix)...)
	}
	var names []string
	for _, access := range d.access {
		if !d.isOwn(access.who) {
			if names == nil {
				f.Chains = append(f.Chains, chainsOf(access.who, access.paths[:1])...)
			}
			names = append(names, access.Subject)
		}
	}
	if len(names) > 0 {
		f.Text += "; it can be reached by " + shortened(names)
	}
	a.add(idOrphan, "", f)
}

// homeOf returns the home of the tenant of that name by a trusted record, empty if there is
// none.
func (a *auditor) homeOf(name string) string {
	for r := range a.records() {
		if r.Tenant.Name == name {
			return r.Namespace
		}
	}
	return ""
}

// labelHome returns the command that makes a namespace say that it is the tenant's home. A
// name that no tenant can have is not written into a label.
func labelHome(home, name string) command.Fix {
	if tenant.CheckName(name) != nil {
		return command.Advice(command.Unnamed)
	}
	label := command.Kubectl("label", "", "namespace", home, "--overwrite")
	return command.Run(append(label, tenant.LabelTenant+"="+name))
}

// recordAgain returns the init that makes a tenant of an orphan and of others in the same home,
// with the namespaces and the role of its bindings.
func (a *auditor) recordAgain(d *deployer) command.Fix {
	engine := d.target.Engine
	if len(a.homes[d.target.Home]) > 1 && !slices.ContainsFunc(tenant.EngineBoth.DeployerAccounts(), func(name string) bool { return a.homes[d.target.Home][name] == nil }) {
		engine = tenant.EngineBoth
	}
	// After an interrupted init, only one of two accounts exists.
	if ns := a.namespaces[d.target.Home]; ns != nil && ns.Labels[tenant.LabelHome] == string(tenant.EngineBoth) {
		engine = tenant.EngineBoth
	}
	t := tenant.Tenant{Name: d.orphan, HomeNamespace: d.target.Home, Engine: engine}
	var spaces []string
	for _, g := range slices.Concat(a.rights.bySubject[d.account], a.rights.inCluster[d.account]) {
		if b := g.binding; b.RoleKind == "ClusterRole" && b.Name == rbac.DeployerBinding(d.orphan, b.RoleName) {
			t.Role = b.RoleName
			if !slices.Contains(spaces, b.Namespace) {
				spaces = append(spaces, b.Namespace)
			}
		}
	}
	slices.Sort(spaces)
	note := ""
	switch {
	case len(spaces) == 0:
		note = "put the tenant's namespaces in place of NS"
	case spaces[0] == "":
		t.AllNamespaces = true
	default:
		t.Namespaces = spaces
	}
	// The Tiller's settings stay, including the storage of its releases.
	for _, deployer := range a.homes[d.target.Home] {
		if deployer.tiller != nil && deployer.tiller.Deployment != nil && engine.Has(tenant.EngineTiller) {
			t.Tiller = install.LiveSettings(*deployer.tiller.Deployment)
		}
	}
	return command.Run(InitCommand(t)).With(note)
}

// ownerOf returns the record of the tenant that has the namespace, nil if no tenant has it.
// Members can create anything there, so the namespace never counts as a home.
func (a *auditor) ownerOf(namespace string) *Record {
	for r := range a.records() {
		if !r.Tenant.AllNamespaces && slices.Contains(r.Tenant.Namespaces, namespace) {
			return r
		}
	}
	return nil
}

// atMost returns the severity of a finding about a deployer, lowered to what its account
// can do: anybody who can create pods can create one that looks like a Tiller. It is not
// lowered for a tenant's deployer.
func (a *auditor) atMost(d *deployer, severity Severity) Severity {
	if d.isTenants() || a.unseen("roles", "rolebindings", "clusterroles", "clusterrolebindings") {
		return severity
	}
	highest := Low
	worse := func(s Severity) {
		if s.AtLeast(highest) {
			highest = s
		}
	}
	owner := a.ownerOf(d.target.Home)
	for _, s := range d.holders() {
		if slices.ContainsFunc(a.wide, func(w wide) bool { return w.who == s }) {
			worse(Critical)
		}
		for _, g := range a.rights.inCluster[s] {
			switch {
			case everything(g.rules):
				worse(Critical)
			case readsOnly(g.rules.rules):
				worse(Medium)
			default:
				worse(High)
			}
		}
		for _, g := range a.rights.bySubject[s] {
			ns := g.binding.Namespace
			switch {
			case ns == systemNamespace:
				worse(Critical)
			case owner != nil && slices.Contains(owner.Tenant.Namespaces, ns), readsOnly(g.rules.rules):
				worse(Medium)
			default:
				worse(High)
			}
		}
	}
	if severity.AtLeast(highest) {
		return highest
	}
	return severity
}

// saysHome reports whether objects that only admins write make a namespace a home: its
// own labels, or the annotation of a tenant's namespace. Objects in it prove nothing,
// since whoever may write there can make them.
func (a *auditor) saysHome(namespace string) bool {
	if a.unseen("namespaces") {
		return true
	}
	if a.ownerOf(namespace) != nil {
		return false
	}
	ns := a.namespaces[namespace]
	return a.referredHomes[namespace] || ns != nil && (ns.Labels[tenant.LabelHome] != "" || ns.Labels[tenant.LabelTenant] != "")
}
