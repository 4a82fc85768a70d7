package audit

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// check makes the findings of what is known by now.
func (a *auditor) check() {
	for _, d := range a.deployers {
		a.checkTiller(d)
		a.checkPower(d)
		if d.isTenants() {
			a.checkPods(d)
		}
		switch {
		case d.orphan != "":
			a.checkOrphan(d)
			continue
		case d.record == nil:
			a.checkUnmanaged(d)
			continue
		}
		a.checkAccess(d)
		a.checkHome(d)
	}
	for i := range a.snapshot.Records {
		r := &a.snapshot.Records[i]
		a.checkMembers(r)
		a.checkNamespaces(r)
		a.checkDrift(r)
	}
	a.checkWide()
	a.checkTwoTenants()
	a.checkSharedNamespaces()
	a.checkReleases()
	a.checkAdmission()
	a.checkFile()
}

// about begins a finding on a deployer.
func (d *deployer) about(subject, text string, arguments ...any) Finding {
	f := Finding{Home: d.target.Home, Subject: subject, Text: fmt.Sprintf(text, arguments...)}
	if d.tenant() != "" {
		f.Tenants = []string{d.tenant()}
	}
	return f
}

func (r *Record) about(subject, text string, arguments ...any) Finding {
	return Finding{Tenants: []string{r.Tenant.Name}, Home: r.Namespace, Subject: subject, Text: fmt.Sprintf(text, arguments...)}
}

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

func (a *auditor) checkUnmanaged(d *deployer) {
	var who []string
	for _, access := range d.access {
		if access.who != d.account {
			who = append(who, access.Subject)
		}
	}
	f := d.about(d.account.String(), "%s %s runs with the account %s and belongs to no tenant", d.tiller.Kind, d.tiller.Name, d.account.Name)
	if !d.power.Admin && len(d.power.ClusterWide) > 0 {
		var roles []string
		for _, in := range d.power.ClusterWide {
			roles = append(roles, in.Role)
		}
		f.Text += "; it has " + few(roles) + " in the whole cluster"
	}
	if len(who) > 0 {
		f.Text += "; it can be reached by " + few(who)
	}
	f.Chains = [][]string{{d.tiller.Kind + " " + d.tiller.Name, d.account.String()}}
	f.Fix = a.mend(d)
	a.add(idUnmanaged, "", f)
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

// checkTiller looks at the Tiller itself, managed or not.
func (a *auditor) checkTiller(d *deployer) {
	if d.tiller == nil {
		return
	}
	workload := objectName(d.tiller.Kind, d.target.Home, d.tiller.Name)
	fix := a.mend(d)
	if n := d.network; n.listens {
		f := d.about(workload, "Tiller listens on its pod's address, and no NetworkPolicy holds anybody off")
		severity := Critical
		f.Chains = [][]string{{"any pod of the cluster", workload, "port 44134"}}
		switch {
		case len(n.services) > 0:
			f.Text = "Tiller listens on its pod's address, and a Service leads there from outside the cluster"
			f.Chains = [][]string{{"anybody who reaches a node", n.services[0], workload, "port 44134"}}
		case n.closed:
			severity = Medium
			f.Text = fmt.Sprintf("Tiller listens on its pod's address; only the NetworkPolicy %s holds others off, where the network enforces it", strings.Join(n.policies, ", "))
		case n.partly:
			severity = High
			f.Text = fmt.Sprintf("Tiller listens on its pod's address, and the NetworkPolicy %s lets some in", strings.Join(n.policies, ", "))
		}
		f.Fix = fix
		a.add(idOpen, severity, f)
		a.tell(d.record, workload)
	}
	if old(d.version) {
		f := d.about(workload, "Tiller is %s", d.version)
		f.Chains = [][]string{{workload, "image " + install.TillerContainer(d.tiller.Template.Spec).Image}}
		f.Fix = fix
		if d.record != nil {
			f.Fix = fmt.Sprintf("helm tenant init %s --tiller-version v2.17.0", d.tenant())
		}
		a.add(idOld, "", f)
	}
}

// old says whether it is a version before the last of Helm 2. One that is not a
// version is not known to be.
func old(text string) bool {
	v, err := version.ParseSemantic(text)
	return err == nil && v.LessThan(version.MustParseSemantic("2.17.0"))
}

// tell remembers that a finding speaks of that object, so that it is not told of
// once more as drift.
func (a *auditor) tell(r *Record, object string) {
	if r == nil {
		return
	}
	a.told[r.Namespace+"\n"+object] = true
}

func (a *auditor) wasTold(r *Record, object string) bool { return a.told[r.Namespace+"\n"+object] }

// checkPower looks at what the deployer can do beyond its namespaces.
func (a *auditor) checkPower(d *deployer) {
	var t tenant.Tenant
	if d.record != nil {
		t = d.record.Tenant
	}
	var outside, own []grant
	for _, s := range d.holders() {
		for _, g := range a.rights.inCluster[s] {
			recorded := t.AllNamespaces && g.binding.Name == rbac.DeployerBinding(t.Name, t.Role) && g.binding.RoleName == t.Role
			switch {
			case everything(g.rules):
				a.tellClusterAdmin(d, g, recorded)
			case recorded:
				a.tellRecorded(d, g)
			default:
				outside = append(outside, g)
			}
		}
		for _, g := range a.rights.bySubject[s] {
			ns := g.binding.Namespace
			switch {
			case slices.Contains(t.Namespaces, ns):
				own = append(own, g)
			case ns == d.target.Home, a.opensHome(ns, g):
			default:
				outside = append(outside, g)
			}
		}
	}
	if d.record == nil || d.record.Problem != "" {
		return // which namespaces are its own nobody says
	}
	if t.AllNamespaces {
		outside = slices.DeleteFunc(outside, func(g grant) bool { return g.binding.Namespace != "" })
	}
	a.checkOutside(d, outside)
	a.checkEscalations(d, own)
}

// tellClusterAdmin tells of a binding by which a deployer can do everything;
// recorded says that the tenant's record wants it.
func (a *auditor) tellClusterAdmin(d *deployer, g grant, recorded bool) {
	f := d.about(d.account.String(), "%s is cluster-admin", d.name())
	f.Chains = [][]string{g.chain(d.account, Ask{Verb: "*", Resource: "*"})}
	f.Fix = a.takeAway(g.binding, g.to)
	severity := Critical
	if recorded {
		severity, f.Fix = Medium, fmt.Sprintf("helm tenant destroy %s   # then: helm tenant init %[1]s --namespaces NS", d.tenant())
		f.Text += ", as its record says"
	} else if !d.isTenants() {
		f.Fix = joinFixes(a.mend(d), f.Fix)
		if g.to == Account(d.target.Home, tenant.TillerAccount) {
			f.Fix = a.mend(d) // which takes over that account, and the binding away
		}
	}
	a.add(idClusterAdmin, severity, f)
	a.tellPower(d, g)
}

// tellRecorded tells of the binding of a tenant for all namespaces by which it reaches
// others' deployers.
func (a *auditor) tellRecorded(d *deployer, g grant) {
	at := slices.IndexFunc(a.wide, func(w wide) bool { return w.who == g.to })
	if at < 0 {
		return
	}
	w := a.wide[at]
	f := d.about(d.account.String(), "%s reaches %s by %s, as its record says", d.name(), a.reach(w), g.binding.Role())
	f.Why = "Whoever reaches it reaches these, too, and has their rights."
	f.Chains = chainsOf(w.who, w.paths[:1])
	f.Fix = fmt.Sprintf("helm tenant destroy %s   # then: helm tenant init %[1]s --namespaces NS", d.tenant())
	a.add(idClusterAdmin, Medium, f)
	a.tellPower(d, g)
}

// tellPower remembers that a finding speaks of a deployer's own rights over the whole
// cluster.
func (a *auditor) tellPower(d *deployer, g grant) {
	if g.to == d.account && g.binding.Namespace == "" {
		a.powerful[d.account] = true
	}
}

// checkOutside looks at a deployer's rights where none of its namespaces is.
func (a *auditor) checkOutside(d *deployer, grants []grant) {
	for _, g := range grants {
		ns := g.binding.Namespace
		if a.namespaces[ns] == nil && ns != "" && !a.unseen("namespaces") {
			continue // left behind by a namespace that is gone
		}
		f := d.about(d.account.String(), "its deployer has rights in namespace %s, which is none of its namespaces", ns)
		if ns == "" {
			f.Text = "its deployer has rights in the whole cluster"
		}
		f.Chains = [][]string{{d.account.String(), g.binding.String(), g.binding.Role()}}
		f.Fix = a.takeAway(g.binding, g.to)
		severity := High
		if readsOnly(g.rules.rules) {
			severity = Medium
		}
		a.add(idLeaves, severity, f)
		a.tellPower(d, g)
		a.tell(d.record, g.binding.String())
	}
}

// checkEscalations looks at what of a deployer's rights in its own namespaces gives
// it more of them.
func (a *auditor) checkEscalations(d *deployer, grants []grant) {
	t := d.record.Tenant
	told := map[string]bool{}
	for _, g := range grants {
		rights := escalations(g.rules)
		if len(rights) == 0 || told[g.binding.Role()] {
			continue
		}
		told[g.binding.Role()] = true // once for all namespaces
		f := d.about(d.account.String(), "its deployer may %s in its namespaces", strings.Join(rights, ", "))
		if rights[0] == "everything" {
			f.Text = "its deployer may do everything in its namespaces, quotas and the namespace itself among it"
		}
		f.Chains = [][]string{{d.account.String(), g.binding.String(), g.binding.Role(), rights[0]}}
		f.Fix = fmt.Sprintf("helm tenant init %s --role admin", t.Name)
		if g.binding.Name != rbac.DeployerBinding(t.Name, t.Role) {
			f.Fix = a.takeAway(g.binding, g.to)
			a.tell(d.record, g.binding.String())
		}
		a.add(idEscalates, "", f)
	}
}

// opensHome says whether a grant in a namespace is told already as the way of an
// outsider to a deployer that has its home there.
func (a *auditor) opensHome(namespace string, g grant) bool {
	for _, d := range a.homes[namespace] {
		if d.record == nil {
			continue
		}
		for _, access := range d.access {
			if access.who != g.to {
				continue
			}
			for _, o := range access.paths {
				if slices.ContainsFunc(o.steps, func(s step) bool { return s.grant.binding == g.binding }) {
					return true
				}
			}
		}
	}
	return false
}

// readsOnly says whether rules do no more than read, and no Secrets.
func readsOnly(rules []rbacv1.PolicyRule) bool {
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) {
				return false
			}
		}
		if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "*") || slices.Contains(rule.Resources, "nodes/proxy") {
			return false
		}
	}
	return true
}

// checkAccess looks at who reaches a tenant's deployer.
func (a *auditor) checkAccess(d *deployer) {
	t := d.record.Tenant
	for _, access := range d.access {
		switch {
		case d.isOwn(access.who):
			a.checkOwnHome(d, access)
			continue
		case access.Member:
			a.checkMember(d, access)
			continue
		}
		byFinding := map[string][]opened{}
		for _, o := range access.paths {
			id := o.path.finding
			if a.byMemberAccount(d, o) {
				continue // told with the account
			}
			if b := o.steps[0].grant.binding; b.Namespace == d.target.Home && b.RoleKind == "Role" && b.RoleName == rbac.MemberName {
				if o.path.ID != MemberPath(d.target.Engine) {
					continue // the member role's own trouble, told as such
				}
				id = idStillIn
			}
			byFinding[id] = append(byFinding[id], o)
		}
		for _, id := range slices.Sorted(maps.Keys(byFinding)) {
			paths := byFinding[id]
			f := d.about(access.Subject, "%s is no member and can %s", access.Subject, strings.Join(names(paths), ", "))
			if id == idStillIn {
				f.Text = fmt.Sprintf("%s is no member and has a member's rights by another binding", access.Subject)
			}
			f.Chains = chainsOf(access.who, paths)
			f.Fix = a.takeAwayAll(paths)
			severity := Severity("")
			if isEverybody(access.who) {
				severity = Critical
			}
			if d.power.Admin && ruleOf(id).Severity == High {
				severity, f.Text = Critical, f.Text+"; the deployer is cluster-admin"
			}
			a.add(id, severity, f)
			for _, o := range paths {
				for _, s := range o.steps {
					a.tell(d.record, s.grant.binding.String())
				}
			}
		}
	}
	// What the member role gives every member.
	wanted := wantedRules(t)[rbac.MemberName]
	live := a.rights.roles[roleKey{d.target.Home, rbac.MemberName}]
	if live == nil || d != a.firstOf(d.record) {
		return
	}
	if covered, more := validation.Covers(wanted, live.rules); !covered {
		object := objectName("Role", d.target.Home, rbac.MemberName)
		var rights []string
		for _, rule := range more {
			rights = append(rights, describeRule(rule))
		}
		f := d.about("every member", "the member role gives more than a member needs: %s", few(rights))
		f.Chains = [][]string{{"every member", objectName("RoleBinding", d.target.Home, rbac.MemberName), "Role " + rbac.MemberName, rights[0]}}
		f.Fix = d.record.init()
		a.add(idWideMember, "", f)
		a.tell(d.record, object)
	}
}

// describeRule is one atom of a rule, as text.
func describeRule(rule rbacv1.PolicyRule) string {
	if len(rule.NonResourceURLs) > 0 {
		return rule.Verbs[0] + " " + rule.NonResourceURLs[0]
	}
	text := Ask{Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: rule.Resources[0]}.String()
	if len(rule.ResourceNames) > 0 {
		text += " " + rule.ResourceNames[0]
	}
	return text
}

// wantedRules are the rules of a tenant's roles at home, by the role's name.
func wantedRules(t tenant.Tenant) map[string][]rbacv1.PolicyRule {
	wanted := map[string][]rbacv1.PolicyRule{}
	for _, object := range rbac.Home(t) {
		if role, isRole := object.(*rbacv1.Role); isRole {
			wanted[role.Name] = role.Rules
		}
	}
	return wanted
}

// byMemberAccount says whether a path goes by using a service account that is a
// member, in the account's own namespace.
func (a *auditor) byMemberAccount(d *deployer, o opened) bool {
	if o.path.ID != "use-account" && o.path.ID != "impersonate-member" {
		return false
	}
	return slices.ContainsFunc(o.steps, func(s step) bool {
		return s.ask.Namespace != "" && slices.ContainsFunc(d.members, func(m Subject) bool { return m.Kind == rbacv1.ServiceAccountKind && m.Namespace == s.ask.Namespace })
	})
}

// checkMember looks at the ways of a member beside the one that is meant.
func (a *auditor) checkMember(d *deployer, access Access) {
	var paths []opened
	for _, o := range access.paths {
		ours := !slices.ContainsFunc(o.steps, func(s step) bool { return !isMemberBinding(s.grant.binding) })
		meant := slices.ContainsFunc(actorsOf(d.record.Tenant.Engine), func(of actor) bool { return o.path.ID == MemberPath(of.engine) })
		// A member who can be another member, or its account, gains nothing.
		if ours || meant || a.byMemberAccount(d, o) || o.path.ID == "impersonate-member" {
			continue
		}
		paths = append(paths, o)
	}
	if len(paths) == 0 {
		return
	}
	f := d.about(access.Subject, "%s is a member and can also %s", access.Subject, strings.Join(names(paths), ", "))
	f.Chains = chainsOf(access.who, paths)
	f.Fix = a.takeAwayAll(paths)
	a.add(idWideMember, "", f)
	for _, o := range paths {
		for _, s := range o.steps {
			a.tell(d.record, s.grant.binding.String())
		}
	}
}

// checkOwnHome looks at what a deployer can do to its own home, beyond writing
// its release records.
func (a *auditor) checkOwnHome(d *deployer, access Access) {
	t := d.record.Tenant
	wanted := wantedRules(t)[rbac.RecordsName]
	live := a.rights.roles[roleKey{d.target.Home, rbac.RecordsName}]
	var wider bool
	if live != nil {
		covered, _ := validation.Covers(wanted, live.rules)
		wider = !covered
	}
	var paths []opened
	for _, o := range access.paths {
		records := !slices.ContainsFunc(o.steps, func(s step) bool {
			return s.grant.binding.Name != rbac.RecordsName || s.grant.binding.RoleName != rbac.RecordsName || s.grant.binding.Namespace != d.target.Home
		})
		byDesign := slices.Contains([]string{"read-secrets", "write-secrets"}, o.path.ID) ||
			slices.Contains([]string{"read-configmaps", "write-configmaps", "write-record"}, o.path.ID) && t.Tiller.Storage == tenant.StorageConfigMap
		if records && (byDesign && !wider || o.path.ID == "read-secrets" && t.Tiller.Storage == tenant.StorageSecret) {
			continue
		}
		if records && wider && byDesign && t.Tiller.Storage == tenant.StorageSecret && !writesMore(live.rules) {
			continue
		}
		paths = append(paths, o)
	}
	if len(paths) == 0 {
		return
	}
	f := d.about(access.Subject, "its deployer %s can %s in its own home", access.who.Name, strings.Join(names(paths), ", "))
	f.Chains = chainsOf(access.who, paths)
	f.Fix = a.takeAwayAll(paths)
	if slices.ContainsFunc(paths, func(o opened) bool { return o.steps[0].grant.binding.Name == rbac.RecordsName }) {
		f.Fix = d.record.init()
	}
	a.add(idOwnHome, "", f)
	for _, o := range paths {
		for _, s := range o.steps {
			a.tell(d.record, s.grant.binding.String())
			a.tell(d.record, objectName(s.grant.binding.RoleKind, d.target.Home, s.grant.binding.RoleName))
		}
	}
}

// writesMore says whether rules write Secrets by more verbs than Tiller needs.
func writesMore(rules []rbacv1.PolicyRule) bool {
	set := ruleSet{rules: rules, known: map[act]answer{}}
	return set.answer(act{"patch", "", "secrets"}).some
}

// checkMembers looks at who is a member.
func (a *auditor) checkMembers(r *Record) {
	d := a.firstOf(r)
	if d == nil {
		return
	}
	for _, m := range d.members {
		revoke := fmt.Sprintf("helm tenant revoke %s %s", r.Tenant.Name, memberFlag(m))
		chain := [][]string{{m.String(), objectName("RoleBinding", r.Namespace, rbac.MemberName), "Role " + rbac.MemberName}}
		switch {
		case isEverybody(m),
			m.Kind == rbacv1.GroupKind && strings.HasPrefix(m.Name, groupAccounts+":"):
			f := r.about(m.String(), "%s is a member", m)
			f.Chains, f.Fix = chain, revoke
			severity := Critical
			if strings.HasPrefix(m.Name, groupAccounts+":") {
				severity = High
			}
			a.add(idOpenGroup, severity, f)
		case m.Kind == rbacv1.ServiceAccountKind:
			a.checkMemberAccount(r, d, m, chain, revoke)
		}
	}
}

// firstOf is the first of a tenant's deployers, nil where it has none.
func (a *auditor) firstOf(r *Record) *deployer { return a.byRecord[r] }

func (a *auditor) checkMemberAccount(r *Record, d *deployer, m Subject, chain [][]string, revoke string) {
	if a.accounts[m] == nil && !a.unseen("serviceaccounts") {
		f := r.about(m.String(), "%s is a member and does not exist", m)
		f.Chains, f.Fix = chain, revoke
		a.add(idNoAccount, "", f)
	}
	path := Path{Name: "use " + m.String(), Any: append(useAccount(m), pather{Target: Target{Minor: a.snapshot.Minor}}.impersonate(m)...)}
	var who []string
	var first []opened
	for _, s := range slices.SortedFunc(maps.Keys(a.rights.inside[m.Namespace]), compareSubjects) {
		if s == m || d.isOwn(s) || slices.Contains(d.members, s) {
			continue
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, func(g grant) bool { return g.to == s && g.binding.Namespace != "" && !isComponent(g.binding, s) })
		if !open {
			continue
		}
		who = append(who, s.String())
		if first == nil {
			first = []opened{{path, steps}}
			chain = chainsOf(s, first)
		}
	}
	if len(who) > 0 {
		f := r.about(m.String(), "%s is a member, and can be used by %s", m, few(who))
		f.Chains, f.Fix = append(chain, []string{m.String(), objectName("RoleBinding", r.Namespace, rbac.MemberName), "Role " + rbac.MemberName}), revoke
		a.add(idMountable, "", f)
	}
}

// checkWide tells who reaches deployers by rights over the whole cluster, once
// for all tenants.
func (a *auditor) checkWide() {
	for _, w := range a.wide {
		if a.powerful[w.who] {
			continue // told as what that deployer can do
		}
		f := Finding{Subject: w.who.String(), Chains: chainsOf(w.who, w.paths[:1]), Fix: a.takeAwayAll(w.paths)}
		if len(w.reached) < len(a.deployers) && len(w.reached) == 1 {
			f.Home = w.reached[0].target.Home
			if w.reached[0].tenant() != "" {
				f.Tenants = []string{w.reached[0].tenant()}
			}
		}
		f.Text = fmt.Sprintf("%s reaches %s: can %s", w.who, a.reach(w), few(names(w.paths)))
		id, severity := idClusterWide, High
		// Some ways nobody has but by rights over the whole cluster, and what loosens
		// the homes is no worse there than in one of them.
		for _, only := range []string{idNode, idImpersonateMember, idHome} {
			if !slices.ContainsFunc(w.paths, func(o opened) bool { return o.path.finding != only }) {
				id, severity = only, ruleOf(only).Severity
			}
		}
		if w.who == Group(groupAuthenticated) || w.who == Group(groupUnauthenticated) || w.who == Group(groupAccounts) {
			severity = Critical
		} else if w.who.Namespace == systemNamespace {
			severity, f.Why = Medium, "Rights over the whole cluster open every home namespace; who can use this account of kube-system has them."
		}
		a.add(id, severity, f)
	}
	for _, u := range a.uses {
		f := Finding{Subject: u.who.String(), Text: fmt.Sprintf("%s can use %s, which reaches deployers", u.who, u.account),
			Chains: chainsOf(u.who, []opened{{Path{}, u.steps}}), Fix: a.takeAwayAll([]opened{{Path{}, u.steps}}),
			Object: "namespace " + u.account.Namespace}
		a.add(idUseAccount, "", f)
	}
}

// reach says how many deployers somebody reaches.
func (a *auditor) reach(w wide) string {
	switch {
	case len(a.deployers) == 1:
		return "the one deployer that there is"
	case len(w.reached) < len(a.deployers):
		return fmt.Sprintf("%d of %d deployers", len(w.reached), len(a.deployers))
	}
	return fmt.Sprintf("all %d deployers", len(a.deployers))
}

func (a *auditor) checkTwoTenants() {
	tenants := map[Subject][]string{}
	for i := range a.snapshot.Records {
		r := &a.snapshot.Records[i]
		if d := a.firstOf(r); d != nil {
			for _, m := range d.members {
				if !slices.Contains(tenants[m], r.Tenant.Name) {
					tenants[m] = append(tenants[m], r.Tenant.Name)
				}
			}
		}
	}
	for _, m := range slices.SortedFunc(maps.Keys(tenants), compareSubjects) {
		in := tenants[m]
		if len(in) < 2 {
			continue
		}
		slices.Sort(in)
		f := Finding{Tenants: in, Subject: m.String(), Text: fmt.Sprintf("%s is a member of the tenants %s", m, few(in)),
			Fix: fmt.Sprintf("helm tenant revoke %s %s", in[len(in)-1], memberFlag(m))}
		for _, name := range in {
			f.Chains = append(f.Chains, []string{m.String(), "tenant " + name})
		}
		a.add(idTwoTenants, "", f)
	}
}

func (a *auditor) checkSharedNamespaces() {
	claims := map[string][]*Record{}
	for i := range a.snapshot.Records {
		r := &a.snapshot.Records[i]
		if r.Tenant.AllNamespaces {
			continue
		}
		for _, ns := range r.Tenant.Namespaces {
			claims[ns] = append(claims[ns], r)
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(claims)) {
		if len(claims[ns]) < 2 {
			continue
		}
		var in []string
		f := Finding{Subject: "namespace " + ns}
		for _, r := range claims[ns] {
			in = append(in, r.Tenant.Name)
			f.Chains = append(f.Chains, []string{"tenant " + r.Tenant.Name, objectName("RoleBinding", ns, rbac.DeployerBinding(r.Tenant.Name, r.Tenant.Role)), "namespace " + ns})
		}
		slices.Sort(in)
		f.Tenants, f.Text = in, fmt.Sprintf("namespace %s belongs to the tenants %s", ns, few(in))
		f.Fix = fmt.Sprintf("helm tenant init %s --namespaces NS --prune   # with all its namespaces but %s", in[len(in)-1], ns)
		a.add(idSharedNamespace, "", f)
	}
}

func (a *auditor) checkReleases() {
	for _, release := range a.snapshot.Releases {
		for _, d := range a.homes[release.Home] {
			if release.Problem != "" && d.isTenants() {
				a.tellUnreadable(d, release)
				break
			}
			if d.record == nil || d.record.Tenant.AllNamespaces || release.Problem != "" || slices.Contains(d.record.Tenant.Namespaces, release.Namespace) {
				continue
			}
			verb, severity := "lives in", Severity("")
			if release.Tried {
				verb, severity = "failed to be installed in", Low
			}
			f := d.about("release "+release.Name, "release %s %s namespace %s, which is none of the tenant's", release.Name, verb, release.Namespace)
			f.Chains = [][]string{{release.Record + " in namespace " + release.Home, "release " + release.Name, "namespace " + release.Namespace}}
			f.Fix = fmt.Sprintf("helm tenant --tenant %s delete --purge %s   # or give the tenant the namespace: helm tenant init %[1]s --namespaces %[3]s", d.tenant(), quote(release.Name), quote(release.Namespace))
			a.add(idStray, severity, f)
			break
		}
	}
}

// tellUnreadable tells of a release of which nobody knows where it lives.
func (a *auditor) tellUnreadable(d *deployer, release Release) {
	kind, name, _ := strings.Cut(release.Record, " ")
	f := d.about(release.Record, "where a release lives is not known: %s", release.Problem)
	f.Chains = [][]string{{release.Record + " in namespace " + release.Home}}
	f.Fix = fmt.Sprintf("kubectl -n %s delete %s %s", release.Home, strings.ToLower(kind), quote(name))
	a.add(idStray, Low, f)
}

func (a *auditor) checkAdmission() {
	// Only an init of a tenant with a Tiller writes the policy.
	var writer *Record
	for i := range a.snapshot.Records {
		r := &a.snapshot.Records[i]
		guarded := !r.Tenant.AllNamespaces && r.Tenant.Engine.Has(tenant.EngineTiller)
		if guarded && (writer == nil || writer.Problem != "" && r.Problem == "") {
			writer = r
		}
	}
	if writer == nil || a.snapshot.Admission == AdmissionInForce || a.snapshot.Admission == AdmissionUnknown {
		return
	}
	f := Finding{Subject: "ValidatingAdmissionPolicy helm-tenant-records", Text: fmt.Sprintf("the admission policy that holds Tillers to their release records is %s", a.snapshot.Admission)}
	f.Fix = writer.init()
	severity := Severity("")
	if a.snapshot.Admission == AdmissionUnserved {
		f.Text = "this API server has no admission policies (Kubernetes 1.30): nothing holds a Tiller to its release records"
		f.Fix = "upgrade the API server"
		severity = Low
	}
	a.add(idAdmission, severity, f)
}
