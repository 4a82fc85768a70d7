package audit

import (
	"cmp"
	"maps"
	"slices"

	"helm-tenant/tenant"
)

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

// findOwnHome finds how a deployer reaches itself.
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
