package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// checkPower checks the rights of the deployer beyond its namespaces.
func (a *auditor) checkPower(d *deployer) {
	var t tenant.Tenant
	if d.record != nil {
		t = d.record.Tenant
	}
	var outside, own []grant
	for _, s := range d.holders() {
		for _, g := range a.rights.inCluster[s] {
			recorded := t.AllNamespaces && slices.Contains(rbac.BoundRoles(t), g.binding.RoleName) && g.binding.Name == rbac.DeployerBinding(t.Name, g.binding.RoleName)
			switch {
			case everything(g.rules):
				a.reportClusterAdmin(d, g, recorded)
			case recorded:
				a.reportRecordedPower(d, g)
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
		return // its own namespaces are not known
	}
	if t.AllNamespaces {
		outside = slices.DeleteFunc(outside, func(g grant) bool { return g.binding.Namespace != "" })
	}
	a.checkOutside(d, outside)
	a.checkEscalations(d, own)
	a.checkOwnGrants(d, own)
}

// reportClusterAdmin reports a binding that makes a deployer an administrator of the
// cluster. recorded reports whether the tenant's record asks for it.
func (a *auditor) reportClusterAdmin(d *deployer, g grant, recorded bool) {
	f := d.about(d.account.String(), "%s is cluster-admin", d.name())
	f.Chains = [][]string{g.chain(d.account, Ask{Verb: "*", Resource: "*"})}
	f.Fix = a.takeAway(g.binding, g.to)
	severity := Critical
	if recorded {
		severity, f.Fix = Medium, narrow(d.tenant())
		f.Text += ", as its record says"
	} else if !d.isTenants() {
		f.Fix = a.repair(d).Then(f.Fix)
		if g.to == Account(d.target.Home, tenant.TillerAccount) {
			f.Fix = a.repair(d) // adopts that account, and removes the binding
		}
	}
	a.add(idClusterAdmin, severity, f)
	a.markPowerReported(d, g)
}

// reportRecordedPower reports the binding through which a tenant of all namespaces reaches the
// deployers of other tenants.
func (a *auditor) reportRecordedPower(d *deployer, g grant) {
	index := slices.IndexFunc(a.wide, func(w wide) bool { return w.who == g.to })
	if index < 0 {
		return
	}
	w := a.wide[index]
	f := d.about(d.account.String(), "%s reaches %s by %s, as its record says", d.name(), a.countReached(w), g.binding.Role())
	f.Why = "Whoever reaches it reaches these, too, and has their rights."
	f.Chains = chainsOf(w.who, w.paths[:1])
	f.Fix = narrow(d.tenant())
	a.add(idClusterAdmin, Medium, f)
	a.markPowerReported(d, g)
}

// markPowerReported remembers that a finding reports a deployer's own cluster-wide rights.
func (a *auditor) markPowerReported(d *deployer, g grant) {
	if g.to == d.account && g.binding.Namespace == "" {
		a.powerful[d.account] = true
	}
}

func (a *auditor) checkOutside(d *deployer, grants []grant) {
	for _, g := range grants {
		ns := g.binding.Namespace
		if a.namespaces[ns] == nil && ns != "" && !a.unseen("namespaces") {
			continue // a leftover of a deleted namespace
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
		if severity.AtLeast(High) { // a less severe finding hides nothing
			a.markPowerReported(d, g)
		}
		a.markGrantReported(d.record, g)
	}
}

// checkEscalations finds rights of a deployer in its own namespaces with which it can
// give itself more rights.
func (a *auditor) checkEscalations(d *deployer, grants []grant) {
	t := d.record.Tenant
	reported := map[string]bool{}
	for _, g := range grants {
		rights := escalations(g.rules)
		if len(rights) == 0 || reported[g.binding.Role()] {
			continue
		}
		reported[g.binding.Role()] = true // once for all namespaces
		f := d.about(d.account.String(), "its deployer may %s in its namespaces", strings.Join(rights, ", "))
		if rights[0] == "everything" {
			f.Text = "its deployer may do everything in its namespaces, quotas and the namespace itself among it"
		}
		f.Chains = [][]string{{d.account.String(), g.binding.String(), g.binding.Role(), rights[0]}}
		f.Fix = otherRole(t.Role, []*Record{d.record})
		if g.binding.Name != rbac.DeployerBinding(t.Name, t.Role) {
			f.Fix = a.takeAway(g.binding, g.to)
			a.markGrantReported(d.record, g)
		}
		a.add(idEscalates, "", f)
	}
}

// opensHome reports whether a grant in a namespace is reported already, as the path of an
// outsider to a deployer with its home there.
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
				// A milder finding says less than that it has rights there.
				if ruleOf(o.path.finding).Severity.AtLeast(High) && slices.ContainsFunc(o.steps, func(s step) bool { return s.grant.binding == g.binding }) {
					return true
				}
			}
		}
	}
	return false
}

// streams are the subresources for which the verb get may allow anything.
var streams = []string{"/exec", "/attach", "/portforward", "/proxy"}

// readsOnly reports whether rules only read, and no Secrets.
func readsOnly(rules []rbacv1.PolicyRule) bool {
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) {
				return false
			}
		}
		for _, resource := range rule.Resources {
			if resource == "secrets" || resource == "*" || slices.ContainsFunc(streams, func(sub string) bool { return strings.HasSuffix(resource, sub) }) {
				return false
			}
		}
	}
	return true
}

// Power has the rights of a deployer.
type Power struct {
	// Namespaces are those in which it has rights, with the roles.
	Namespaces []PowerIn `json:"namespaces"`
	// ClusterWide are its cluster-wide roles.
	ClusterWide []PowerIn `json:"clusterWide"`
	// Admin reports whether it can do everything everywhere.
	Admin bool `json:"admin,omitempty"`
	// Escalates are its rights to get more rights.
	Escalates []string `json:"escalates"`
	// OwnHome are its paths to itself. A Tiller has those with which it writes its
	// release records; any others are findings.
	OwnHome []Path `json:"ownHome"`
}

// PowerIn is a role in a namespace.
type PowerIn struct {
	Namespace string `json:"namespace,omitempty"`
	Role      string `json:"role"`
	Binding   string `json:"binding"`
}

// holders returns the subjects whose rights are the deployer's own: itself, and the group
// of the accounts in its home. Rights of all accounts of the cluster are no deployer's
// own.
func (d *deployer) holders() []Subject {
	return []Subject{d.account, Group(tenant.GroupAccounts + ":" + d.target.Home)}
}

func (a *auditor) findOwnHome(d *deployer) {
	for _, o := range a.open(identityOf(d.account), d, nil, func(g grant) bool { return slices.Contains(d.holders(), g.to) }) {
		d.power.OwnHome = append(d.power.OwnHome, o.path)
	}
}

func (a *auditor) findPower(d *deployer) {
	escalates := map[string]bool{}
	for _, s := range d.holders() {
		for _, g := range a.rights.inCluster[s] {
			d.power.ClusterWide = append(d.power.ClusterWide, PowerIn{"", g.binding.Role(), g.binding.Name})
			d.power.Admin = d.power.Admin || everything(g.rules)
			for _, verb := range escalations(g.rules) {
				escalates[verb] = true
			}
		}
		for _, g := range a.rights.bySubject[s] {
			d.power.Namespaces = append(d.power.Namespaces, PowerIn{g.binding.Namespace, g.binding.Role(), g.binding.Name})
			for _, verb := range escalations(g.rules) {
				escalates[verb] = true
			}
		}
	}
	d.power.Escalates = slices.Sorted(maps.Keys(escalates))
	slices.SortFunc(d.power.Namespaces, func(x, y PowerIn) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Role, y.Role), cmp.Compare(x.Binding, y.Binding))
	})
}

func everything(rules *ruleSet) bool { return rules.answer(act{"*", "*", "*"}).all }

// escalations returns the rights with which a subject can get more rights.
func escalations(rules *ruleSet) []string {
	var found []string
	if everything(rules) {
		return []string{"everything"}
	}
	for _, a := range []act{
		{"escalate", rbacGroup, "roles"}, {"bind", rbacGroup, "roles"}, {"escalate", rbacGroup, "clusterroles"}, {"bind", rbacGroup, "clusterroles"},
		{"impersonate", "", "users"}, {"impersonate", "", "groups"},
	} {
		if rules.answer(a).some {
			found = append(found, a.verb+" "+a.resource)
		}
	}
	return found
}
