package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/refusal"
	"helm-tenant/tenant"
)

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
