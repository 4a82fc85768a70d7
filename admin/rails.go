package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// rails returns the guard rails of a tenant that was recorded as was, zero for a new one. A new
// tenant gets the safe defaults; an existing one keeps what it has.
func (r Request) rails(was tenant.Tenant, allNamespaces bool) tenant.Rails {
	before := was.Rails
	if was.Name == "" || allNamespaces {
		before = tenant.NewRails(allNamespaces)
	}
	if r.Exact {
		return r.Tenant.Rails.Exactly(before)
	}
	return r.Tenant.Rails.Or(before).Compact()
}

// railed returns the tenant's namespaces that get guard rails: all except Kubernetes'
// own.
func (d *decision) railed() []string {
	return slices.DeleteFunc(slices.Clone(d.claimed()), tenant.IsSystemNamespace)
}

func (d *decision) guarded() bool {
	return d.tenant.Guard != tenant.GuardOff && len(d.railed()) > 0 && seesPolicies(d.facts.live)
}

// seesPolicies reports whether the API server has admission policies, and the caller may list
// them and their bindings.
func seesPolicies(live *cluster.Live) bool {
	return live.Serves(cluster.KindPolicy) && live.Sees(cluster.KindPolicy) && live.Sees(cluster.KindPolicyBinding)
}

// railsMeta is rails.NamespaceMeta for a live namespace that may not exist: a nil pointer would be
// an interface that is not nil.
func railsMeta(t tenant.Tenant, name string, live *unstructured.Unstructured) (labels, annotations map[string]string, err error) {
	if live == nil {
		return rails.NamespaceMeta(t, name, nil)
	}
	return rails.NamespaceMeta(t, name, live)
}

// checkRails refuses to loosen the guard rails unless that was accepted, and labels that
// another tenant of a shared namespace has with other values.
func (d *decision) checkRails() error {
	t, was, accepted := d.tenant, d.was, d.request.Accepted
	var refusals []error
	for _, ns := range d.railed() {
		if d.checkClaim(ns) != nil {
			continue // its content is not the tenant's
		}
		_, _, err := railsMeta(t, ns, d.facts.live.Get(namespaceKey(ns)))
		refusals = append(refusals, err)
	}
	if len(d.railed()) == 0 {
		return nil
	}
	if t.PodSecurity == tenant.PodSecurityPrivileged && !(d.existed && was.PodSecurity == tenant.PodSecurityPrivileged) ||
		t.PodSecurity == tenant.PodSecurityUnmanaged && d.existed && protectsNode(was.PodSecurity) {
		refusals = append(refusals, accepted.unless(RiskNodeAccess, "with podSecurity: %s a chart of tenant %q can take over the node, and every tenant on it", t.PodSecurity, t.Name))
	}
	if t.Guard == tenant.GuardOff && !(d.existed && was.Guard == tenant.GuardOff) {
		refusals = append(refusals, accepted.unless(RiskNoGuard, "with guard: off a chart of tenant %q can let outsiders in, take over addresses and host names of others, and evict their pods", t.Name))
	}
	return refuse(append(refusals, d.checkViolations())...)
}

func protectsNode(level tenant.PodSecurity) bool {
	return level == tenant.PodSecurityBaseline || level == tenant.PodSecurityRestricted
}

// noteRails notes which guard rails are not in force here, and what surprises people.
func (d *decision) noteRails() error {
	t, live := d.tenant, d.facts.live
	if t.AllNamespaces {
		d.note("a tenant of all namespaces has no guard rails")
		return nil
	}
	for _, ns := range d.claimed() {
		if ns == metav1.NamespaceDefault && !slices.Contains(d.was.Namespaces, ns) {
			d.note("namespace %q is that of every kubeconfig context that names none: what others install there without naming one is in the tenant's reach", ns)
		}
		if tenant.IsSystemNamespace(ns) {
			d.note("namespace %q is Kubernetes' own and gets no guard rails", ns)
		}
	}
	if t.Guard != tenant.GuardOff {
		switch {
		case !live.Serves(cluster.KindPolicy):
			d.note("%s", NoGuardHere)
		case !seesPolicies(live):
			d.note("%s", GuardUnseen)
		case !live.Sees("PriorityClass"):
			d.note("%s", priorityNote(live))
		}
		if mayUpdateNamespaces(live, t.Role) {
			d.note("ClusterRole %q may update namespaces: the guard does not hold who has it", t.Role)
		}
	}
	if err := d.noteRefused(); err != nil {
		return err
	}
	for _, note := range quotaNotes(t.Rails) {
		d.note("%s", note)
	}
	if t.Network == tenant.NetworkOpen && d.was.Network == tenant.NetworkIsolated {
		d.note("the network of the tenant's namespaces is no longer isolated")
	}
	return nil
}

// These are the texts of init, describe and audit where the guard is missing or can't be
// read.
const (
	NoGuardHere = rails.Unserved
	GuardUnseen = "you may not list validatingadmissionpolicies: it is not known whether the guard holds"
)

// mayUpdateNamespaces reports whether a role lets its subjects update the namespace in
// which it is bound.
func mayUpdateNamespaces(live *cluster.Live, role string) bool {
	var clusterRole rbacv1.ClusterRole
	if found, err := live.Into(clusterRoleKey(role), &clusterRole); err != nil || !found {
		return false
	}
	covers, _ := validation.Covers(clusterRole.Rules, []rbacv1.PolicyRule{{Verbs: []string{"update"}, APIGroups: []string{""}, Resources: []string{"namespaces"}}})
	return covers
}

// quotaNotes describes what surprises people about a quota.
func quotaNotes(r tenant.Rails) []string {
	var notes []string
	if r.Quota["services.nodeports"] == "0" {
		notes = append(notes, `quota services.nodeports: "0" also refuses Services of type LoadBalancer, unless they set allocateLoadBalancerNodePorts: false`)
	}
	limits := tenant.Limits{}
	if r.Limits != nil {
		limits = *r.Limits
	}
	isSet := func(name string, values ...map[string]string) bool {
		return slices.ContainsFunc(values, func(m map[string]string) bool { return m[name] != "" })
	}
	var lacking []string
	for _, name := range []string{"cpu", "memory", "ephemeral-storage"} {
		_, plain := r.Quota[name]
		_, requests := r.Quota["requests."+name]
		if (plain || requests) && !isSet(name, limits.DefaultRequest, limits.Default, limits.Max) {
			lacking = append(lacking, "limits.defaultRequest."+name)
		}
		if _, limited := r.Quota["limits."+name]; limited && !isSet(name, limits.Default, limits.Max) {
			lacking = append(lacking, "limits.default."+name)
		}
	}
	if len(lacking) > 0 {
		notes = append(notes, fmt.Sprintf("the quota refuses every pod that does not say its own requests and limits; set %s to fill them in", strings.Join(lacking, ", ")))
	}
	return notes
}

// planUnrailed plans the removal of a ResourceQuota, LimitRange or NetworkPolicy that is
// no longer wanted in one of the tenant's namespaces.
func (d *decision) planUnrailed(plan *cluster.Plan, key cluster.Key, live *unstructured.Unstructured) {
	if key.Namespace != d.tenant.Home() && rails.IsName(key.Kind, key.Name, d.tenant.Name) {
		plan.Delete(live, cluster.PhaseRemoval)
	}
}

// planUnrail removes the tenant's guard rails from a namespace that it no longer has,
// together with other edits.
func (d *decision) planUnrail(plan *cluster.Plan, live *unstructured.Unstructured, edits ...func(*unstructured.Unstructured)) error {
	unrail, err := withoutRails(d.tenant.Name, live)
	if err != nil {
		return err
	}
	plan.Edit(live, cluster.PhaseRemoval, func(next *unstructured.Unstructured) {
		for _, edit := range append(edits, unrail) {
			edit(next)
		}
	})
	return nil
}

// withoutRails removes from a namespace what it has for the guard rails of the named tenant
// alone; for Plan.Edit.
func withoutRails(name string, live *unstructured.Unstructured) (func(*unstructured.Unstructured), error) {
	labels, annotations, err := rails.WithoutTenant(name, live)
	if err != nil {
		return nil, err
	}
	return func(object *unstructured.Unstructured) {
		object.SetLabels(rails.Changed(object.GetLabels(), labels))
		object.SetAnnotations(rails.Changed(object.GetAnnotations(), annotations))
	}, nil
}

// withoutRails extends an edit of a namespace by the removal of the tenant's guard rails.
// What can't be read of these stays, with a note.
func (r *Removal) withoutRails(live *unstructured.Unstructured, edit func(*unstructured.Unstructured)) func(*unstructured.Unstructured) {
	unrail, err := withoutRails(r.Name, live)
	if err != nil {
		r.note("the guard rails of the tenant stay: %s", err)
		return edit
	}
	return func(next *unstructured.Unstructured) {
		edit(next)
		unrail(next)
	}
}

// isOwn reports whether an object with the tenant's label is removed with the tenant. Of
// the kinds that anybody can label in the tenant's namespaces, only helm-tenant's own
// are.
func isOwn(key cluster.Key, r *Removal) bool {
	switch key.Kind {
	case "ResourceQuota", "LimitRange":
		return rails.IsName(key.Kind, key.Name, r.Name)
	case "NetworkPolicy":
		return key.Namespace == r.Home || rails.IsName(key.Kind, key.Name, r.Name)
	}
	return true
}

// unrail removes the tenant's guard rails from the namespaces that carry another tenant's
// label.
func (r *Removal) unrail(ctx context.Context, c *cluster.Client, live *cluster.Live, keys []cluster.Key) error {
	shared := map[cluster.Key]bool{}
	for _, key := range keys {
		if namespace := namespaceKey(key.Namespace); key.Namespace != "" && key.Namespace != r.Home && !slices.Contains(keys, namespace) {
			shared[namespace] = true
		}
	}
	others := slices.Collect(maps.Keys(shared))
	if err := c.Lookup(ctx, live, others); err != nil {
		return err
	}
	for _, key := range others {
		namespace := live.Get(key)
		if namespace == nil || namespace.GetDeletionTimestamp() != nil || !rails.Claimed(r.Name, namespace) {
			continue
		}
		r.Prepared.Plan.Edit(namespace, cluster.PhaseRemoval, r.withoutRails(namespace, func(*unstructured.Unstructured) {}))
	}
	return nil
}
