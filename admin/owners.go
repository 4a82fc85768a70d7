package admin

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// leaveToOwners keeps the subjects of a relation that the tenant's owners decide about,
// and notes them.
func (d *decision) leaveToOwners(as tenant.Relation, current people) {
	d.tenant.SetPeople(as, current.byRelation[as])
	d.tenant.Temporary = append(d.tenant.Temporary, current.terms.As(as)...)
	if err := current.unread[as]; err != nil {
		if d.unreadTerms == nil {
			d.unreadTerms = map[tenant.Relation]error{}
		}
		d.unreadTerms[as] = err
	}
	if len(current.byRelation[as]) > 0 {
		d.note("%ss, granted by the owners and kept: %s", as, strings.Join(described(current.byRelation[as], current.terms.As(as)), ", "))
	}
}

// unheldOwners describes what owners can do where no admission policy limits their
// writes.
const unheldOwners = "RBAC lets them write everything in the two bindings, such as a group of everybody, or an owner reference by which a binding is deleted; Kubernetes 1.30 and later have admission policies"

// servesPolicies reports whether the API server has admission policies, as far as the
// caller may see them.
func servesPolicies(live *cluster.Live) bool {
	return live.Serves(cluster.KindPolicy) && !(live.Scoped() && !live.Sees(cluster.KindPolicy))
}

// ownerRisks are the facts by which a tenant's owners could do more than choose its members and
// readers.
type ownerRisks struct {
	// homeShared reports whether the home namespace has objects of others.
	homeShared bool
	// noPolicies reports whether the API server has no admission policies.
	noPolicies bool
}

// check refuses owners of the tenant for whom there is a risk that was not accepted; the error
// is a *RiskError. An owner of a tenant of all namespaces can become a cluster administrator
// anyway, so that missing policies are no further risk.
func (r ownerRisks) check(t tenant.Tenant, accepted Accepted) error {
	var err error
	switch {
	case t.AllNamespaces:
		err = failure.Naming(accepted.unless(RiskOwnerOfCluster, "tenant %q has all namespaces: whoever its owners let in is an admin of the cluster, themselves among them", t.Name), failure.Tenant(t.Name))
	case r.homeShared && t.Engine.Has(tenant.EngineTiller):
		err = accepted.unless(RiskOwnerOfCluster, "the home of tenant %q holds objects of others: whoever its owners let in reaches every pod there, themselves among them", t.Name)
	case r.homeShared:
		err = accepted.unless(RiskOwnerOfCluster, "the home of tenant %q holds objects of others, and its owners may write role bindings there", t.Name)
	}
	if err != nil {
		return err
	}
	if r.noPolicies && !t.AllNamespaces {
		return accepted.unless(RiskUnheldOwners, "no admission policy limits what the owners of tenant %q write: %s", t.Name, unheldOwners)
	}
	return nil
}

// ownerObjects returns the objects that a tenant's owners need beside the bindings of
// members and readers; policies reports whether the API server has admission policies.
func ownerObjects(t tenant.Tenant, policies bool) []runtime.Object {
	var objects []runtime.Object
	if policies {
		objects = append(objects, install.Owners()...)
	}
	for _, object := range rbac.Home(t) {
		if key := cluster.KeyOf(object); key.Name == rbac.OwnerName && key.Kind == "Role" {
			objects = append(objects, object)
		}
	}
	if t.HasReaders() {
		objects = append(objects, readerObjects(t)...)
	}
	return objects
}
