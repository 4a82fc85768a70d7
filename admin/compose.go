package admin

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/lists"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// wanted makes all wanted objects. It is called each time they are needed: kept for a
// thousand tenants they would take much of the memory.
func (d *decision) wanted() ([]runtime.Object, error) {
	record, err := install.Record(d.tenant)
	if err != nil {
		return nil, err
	}
	if d.request.Receiving != nil {
		text, err := d.request.Receiving.Annotation()
		if err != nil {
			return nil, err
		}
		if record.Annotations == nil {
			record.Annotations = map[string]string{}
		}
		record.Annotations[tenant.AnnotationMigration] = text
	}
	home := install.Home(d.tenant, d.homeShared, d.homeCreated)
	var labels, annotations map[string]string
	if live := d.facts.live.Get(namespaceKey(home.Name)); live != nil {
		labels, annotations = live.GetLabels(), live.GetAnnotations()
	}
	rails.FreezeHome(d.tenant, home, labels, annotations)
	objects := []runtime.Object{home, record}
	objects = append(objects, d.wantedInHome()...)
	inCluster, err := d.wantedInCluster()
	if err != nil {
		return nil, err
	}
	objects = append(objects, inCluster...)
	for _, ns := range d.claimed() {
		if d.leftOut(ns) {
			continue
		}
		inNamespace, err := d.wantedInNamespace(ns)
		if err != nil {
			return nil, err
		}
		objects = append(objects, inNamespace...)
	}
	return objects, nil
}

// wantedInHome returns the objects in the home namespace except the record.
func (d *decision) wantedInHome() []runtime.Object {
	t := d.tenant
	objects := append(rbac.ServiceAccounts(t), rbac.Home(t)...)
	settleTerms(objects, d.facts.live, d.unreadTerms)
	d.settleMark(objects)
	if !t.Engine.Has(tenant.EngineTiller) {
		return objects
	}
	objects = append(objects, install.NetworkPolicy(t, d.homeShared))
	if d.migration == nil || d.request.StartTiller {
		deployment := install.Deployment(d.versioned())
		if d.facts.server.NoSeccompProfile {
			install.AnnotateSeccomp(deployment)
		}
		objects = append(objects, deployment)
	}
	return objects
}

// wantedInCluster returns the cluster-scoped objects: the tenant's own, and those that
// all tenants share (isShared).
func (d *decision) wantedInCluster() ([]runtime.Object, error) {
	var objects []runtime.Object
	if rbac.MadeOf(d.tenant.Role) != nil {
		rules, found, err := d.roleRules(d.tenant.Role)
		if err != nil {
			return nil, err
		}
		if found {
			objects = append(objects, rbac.ClusterRole(d.tenant.Role, rules))
		}
	}
	if d.tenant.HasOwners() && servesPolicies(d.facts.live) {
		objects = append(objects, install.Owners()...)
	}
	if d.tenant.HasReaders() {
		objects = append(objects, rbac.SecretsClusterRole())
	}
	if d.tenant.Engine.Has(tenant.EngineTiller) && servesPolicies(d.facts.live) {
		objects = append(objects, install.Admission()...)
	}
	if d.tenant.AllNamespaces {
		for _, binding := range rbac.ClusterWideBindings(d.tenant) {
			objects = append(objects, binding)
		}
	}
	objects = append(objects, d.wantedForFreeze()...)
	if d.reserves() {
		reserving, err := d.facts.reservingObjects()
		if err != nil {
			return nil, err
		}
		objects = append(objects, reserving...)
	}
	if !d.guarded() {
		return objects, nil
	}
	guard, err := d.facts.guardObjects(d.tenant.Guard)
	return append(objects, guard...), err
}

// reserves reports whether the policies that reserve helm-tenant's labels are wanted. A tenant
// that needs no other policy can be made by somebody who may not write policies.
func (d *decision) reserves() bool {
	return seesPolicies(d.facts.live) && (d.guarded() || d.tenant.AllNamespaces || d.tenant.HasOwners() || d.tenant.Engine.Has(tenant.EngineTiller))
}

// wantedInNamespace returns a namespace of the tenant and the objects in it. A shared
// namespace that carries another tenant's label keeps that label.
func (d *decision) wantedInNamespace(name string) ([]runtime.Object, error) {
	live := d.facts.live.Get(namespaceKey(name))
	owner := d.tenant.Name
	created := live == nil && (!d.request.offline || d.request.CreateNamespaces)
	if live != nil {
		owner = cmp.Or(live.GetLabels()[tenant.LabelTenant], owner)
		created = live.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
	}
	namespace := install.Namespace(d.tenant, name, created)
	if owner != d.tenant.Name {
		namespace.Labels, namespace.Annotations = map[string]string{}, map[string]string{}
	}
	var objects []runtime.Object
	for _, binding := range rbac.DeployerBindings(d.tenant, name) {
		objects = append(objects, binding)
	}
	for _, b := range rbac.ReaderBindings(d.tenant, name) {
		objects = append(objects, b)
	}
	if account := rbac.FluxAccount(d.tenant, name); account != nil {
		objects = append(objects, account)
	}
	if !tenant.IsSystemNamespace(name) {
		labels, annotations, err := railsMeta(d.tenant, name, live)
		if err != nil {
			return nil, err
		}
		maps.Copy(namespace.Labels, labels)
		maps.Copy(namespace.Annotations, annotations)
		if d.tenant.Network == tenant.NetworkIsolated && !servesPolicies(d.facts.live) {
			// The NetworkPolicy selects by it, and API servers before Kubernetes 1.21 do not
			// set it. The others refuse any other value.
			namespace.Labels[corev1.LabelMetadataName] = name
		}
		objects = append(objects, rails.Objects(d.tenant, name, owner)...)
	}
	if len(namespace.Labels)+len(namespace.Annotations) > 0 {
		objects = append(objects, namespace)
	}
	return objects, nil
}

// versioned returns the tenant with the version of its Tiller filled in.
func (d *decision) versioned() tenant.Tenant {
	t := d.tenant
	if t.Tiller.Version == "" {
		t.Tiller.Version = d.request.ClientVersion
	}
	return t
}

func keysOf(objects []runtime.Object) []cluster.Key {
	return lists.Map(objects, cluster.KeyOf)
}

// plan compares the wanted objects with the live ones, and adds the removals.
func (d *decision) plan() (cluster.Plan, error) {
	wanted, err := d.wanted()
	if err != nil {
		return cluster.Plan{}, err
	}
	plan, err := d.compare(wanted)
	if err != nil {
		return plan, err
	}
	keys := keysOf(wanted)
	for _, key := range d.facts.live.OfTenant(d.tenant.Name) {
		if slices.Contains(keys, key) {
			continue
		}
		if err := d.planRemoval(&plan, key); err != nil {
			return plan, err
		}
	}
	for _, key := range d.droppedAccounts() {
		if live := d.facts.live.Get(key); live != nil && live.GetLabels()[tenant.LabelTenant] == d.tenant.Name {
			plan.Delete(live, cluster.PhaseRemoval)
		}
	}
	if key := accountKey(d.tenant.Home(), tenant.ReaderAccount); d.squatted && !slices.Contains(keys, key) {
		if live := d.facts.live.Get(key); live != nil { // the first reader would get it as the tenant's
			plan.Delete(live, cluster.PhaseRemoval)
		}
	}
	for _, ns := range d.removedNamespaces().Namespaces {
		// A shared namespace carries another tenant's label.
		live := d.facts.live.Get(namespaceKey(ns))
		if live != nil && live.GetLabels()[tenant.LabelTenant] != d.tenant.Name && rails.Claimed(d.tenant.Name, live) {
			if err := d.planUnrail(&plan, live); err != nil {
				return plan, err
			}
		}
	}
	if err := d.renew(&plan, wanted); err != nil {
		return plan, err
	}
	if err := d.planAdoption(&plan, keys); err != nil {
		return plan, err
	}
	if d.squatted {
		plan.TakeFirst(d.tenant.Home())
	}
	d.planRestart(&plan)
	d.noteChanges(plan)
	d.noteForeignGrants(keys)
	d.facts.guard.reuse(plan.Changes)
	return plan, nil
}

func (d *decision) compare(wanted []runtime.Object) (cluster.Plan, error) {
	return cluster.NewPlan(d.tenant.Name, wanted, d.facts.live, func(key cluster.Key) bool {
		return key.Kind == "Namespace" || d.request.Adopt // checkNamespaces and checkHome looked at the namespaces
	})
}

// compareRefused is compare for a tenant that is refused, of which nothing is written: the error is
// nil or a *cluster.NotOursError. What is in a home that somebody else has is left out,
// since that is a reason of the refusal.
func (d *decision) compareRefused() (cluster.Plan, error) {
	var plan cluster.Plan
	wanted, err := d.wanted()
	if err == nil {
		plan, err = d.compare(wanted)
	}
	foreign, ok := errors.AsType[*cluster.NotOursError](err)
	if !ok {
		return plan, nil
	}
	home := d.tenant.Home()
	if d.squatted || d.homeOfOther() != nil {
		foreign.Keys = slices.DeleteFunc(foreign.Keys, func(key cluster.Key) bool { return key.Namespace == home || key == namespaceKey(home) })
	}
	if len(foreign.Keys) == 0 {
		return foreign.Rest, nil
	}
	return foreign.Rest, foreign
}

func roleRefOf(binding *unstructured.Unstructured) (kind, name string) {
	ref, _, _ := unstructured.NestedStringMap(binding.Object, "roleRef")
	return ref["kind"], ref["name"]
}
