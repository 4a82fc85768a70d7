package audit

import (
	"slices"

	"helm-tenant/tenant"
)

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
