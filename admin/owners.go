package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/refusal"
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

// RBAC is enforced sooner than an admission policy, which the API server compiles first: owners
// whose rights are written together with the policy that limits them would have a second or two in
// which nothing does.

// write makes the writes of the plan. New owners get their rights when the API server enforces the
// admission policy of owners; held remembers over several plans that it does.
func (p *Prepared) write(ctx context.Context, c *cluster.Client, width int, held *atomic.Bool, onChange func(cluster.Change)) error {
	p.Plan.BeforeOwners = func(ctx context.Context) error {
		if held.Load() || !p.limitsNewOwners() {
			return nil
		}
		if err := awaitOwnersHeld(ctx, c, p.Tenant); err != nil {
			return err
		}
		held.Store(true)
		return nil
	}
	return c.Write(ctx, &p.Plan, width, onChange)
}

// limitsNewOwners reports whether the plan gives somebody an owner's rights that an admission
// policy is to limit. Where there is none, that is a risk that the admin accepted; it selects no
// home of a tenant of all namespaces, whose owners can become administrators anyway.
func (p *Prepared) limitsNewOwners() bool {
	if p.live == nil || p.Tenant.AllNamespaces || !servesPolicies(p.live) || p.accepted.has(RiskUnheldOwners) {
		return false
	}
	return slices.ContainsFunc(p.Plan.Changes, func(change cluster.Change) bool {
		return change.Key == peopleKey(p.Tenant.Home(), tenant.RelationOwner) && len(boundIn(change.Object).Without(boundIn(change.Live))) > 0
	})
}

// boundIn returns the subjects of a RoleBinding; none for nil.
func boundIn(object *unstructured.Unstructured) tenant.Members {
	var binding rbacv1.RoleBinding
	if object == nil || runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &binding) != nil {
		return nil
	}
	return tenant.MembersOf(binding.Subjects, binding.Namespace)
}

// awaitOwnersHeld waits until the API server enforces the admission policy of owners in a tenant's
// home namespace: until the policy refuses the dry run of a write that it refuses to everybody. If
// anything else refuses that, the answer does not show whether the policy would, and the error says
// what refuses it.
func awaitOwnersHeld(ctx context.Context, c *cluster.Client, t tenant.Tenant) error {
	err := awaitEnforced(ctx, enforcePatience, func(ctx context.Context) (bool, error) {
		err := c.TryAnnotate(ctx, memberKey(t.Home()), install.AnnotationProbe, t.Name)
		if err == nil || apierrors.IsConflict(err) {
			return false, nil
		}
		if by, _ := refusal.Read(err.Error()); by.Policy == install.OwnersName {
			return true, nil
		}
		return false, err
	})
	const limits = "the admission policy " + install.OwnersName + ", which limits what owners write"
	switch {
	case errors.Is(err, errNotEnforced):
		return fmt.Errorf("whoever becomes an owner gets no rights before the API server enforces %s, and it does not yet; a server that never does needs --accept-risk=%s", limits, RiskUnheldOwners)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return fmt.Errorf("nobody becomes an owner unless the API server enforces %s; whether it does is not known, and --accept-risk=%s goes on without it: something else refused the dry run: %w", limits, RiskUnheldOwners, err)
	}
	return err
}
