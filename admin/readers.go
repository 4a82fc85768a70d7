package admin

import (
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// settleReaders decides whether the tenant has the objects for readers; there reports
// whether it has them already. They stay when the last reader is removed, so that the
// next grant is one write.
func (d *decision) settleReaders(current people, there bool) error {
	t := &d.tenant
	if t.CheckReaders() != nil {
		for _, s := range current.byRelation[tenant.RelationReader].Names() {
			d.note("no longer a reader, since the tenant can have none: %s", s)
		}
		t.Readers, t.ReadersKept = nil, false
		t.Temporary = t.Temporary.Without(tenant.RelationReader, current.byRelation[tenant.RelationReader])
		return nil
	}
	t.ReadersKept = there
	if more := t.Readers.Without(current.byRelation[tenant.RelationReader]); len(more) > 0 {
		return checkReadsSecrets(d.request.Accepted, *t)
	}
	return nil
}

// checkReadsSecrets refuses new readers unless it is accepted that they read Secrets.
func checkReadsSecrets(accepted Accepted, t tenant.Tenant) error {
	return accepted.unless(RiskReadsSecrets, "a reader reads every Secret in %s, passwords and tokens of service accounts among them: release records are Secrets, and RBAC can't tell one from another", visible.Named("namespace", t.Namespaces))
}

// readerObjects returns all objects that a tenant's readers need except their binding.
func readerObjects(t tenant.Tenant) []runtime.Object {
	objects := []runtime.Object{rbac.SecretsClusterRole()}
	for _, object := range rbac.ServiceAccounts(t) {
		if cluster.KeyOf(object).Name == tenant.ReaderAccount {
			objects = append(objects, object)
		}
	}
	for _, object := range rbac.Home(t) {
		if key := cluster.KeyOf(object); key.Name == rbac.ReaderName && key.Kind == "Role" {
			objects = append(objects, object)
		}
	}
	for _, ns := range t.Namespaces {
		for _, b := range rbac.ReaderBindings(t, ns) {
			objects = append(objects, b)
		}
	}
	return objects
}
