package audit

import (
	"slices"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// driftOfBindings compares the deployer's bindings in one of the tenant's namespaces.
func (a *auditor) driftOfBindings(r *Record, t tenant.Tenant, ns string, drift driftFunc) {
	var names []string
	for _, wanted := range rbac.DeployerBindings(t, ns) {
		names = append(names, wanted.Name)
		name := objectName("RoleBinding", ns, wanted.Name)
		index := slices.IndexFunc(a.rights.bindings[ns], func(b *Binding) bool { return b.Name == wanted.Name })
		switch {
		case index < 0:
			drift(name, r.init(), "the deployer's binding is missing from namespace %s", ns)
		case !a.sameSubjects(r, a.rights.bindings[ns][index], wanted.Subjects) || a.rights.bindings[ns][index].RoleName != wanted.RoleRef.Name:
			drift(name, r.init(), "the deployer's binding in namespace %s is another than it should be", ns)
		case a.rights.roleOf(a.rights.bindings[ns][index]) == nil:
			drift("ClusterRole "+wanted.RoleRef.Name, r.init(), "the deployer's ClusterRole %s does not exist", wanted.RoleRef.Name)
		}
	}
	for _, wanted := range rbac.ReaderBindings(t, ns) {
		if !slices.ContainsFunc(a.rights.bindings[ns], func(b *Binding) bool { return b.Name == wanted.Name && a.isReadersOwn(b) }) {
			drift(objectName("RoleBinding", ns, wanted.Name), r.init(), "the binding %s of the readers' account is missing from namespace %s, or another than it should be", wanted.Name, ns)
		}
	}
	for _, b := range a.rights.bindings[ns] {
		for _, actor := range actorsOf(t.Engine) {
			if !slices.Contains(names, b.Name) && slices.Contains(b.Subjects, Account(r.Namespace, actor.account)) && !a.wasReported(r, b.String(), Account(r.Namespace, actor.account).String()) {
				drift(b.String(), a.takeAway(b, Account(r.Namespace, actor.account)), "the deployer has %s in namespace %s, too", b.Role(), ns)
			}
		}
	}
}
