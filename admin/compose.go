package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// toDecide are the objects that the decision needs, beside the tenant's own.
func (b *builder) toDecide() ([]cluster.Key, error) {
	keys := []cluster.Key{namespaceKey(b.tenant.Home()), {Kind: "ClusterRole", Name: b.tenant.Role}}
	for _, ns := range b.claimed() {
		keys = append(keys, namespaceKey(ns))
	}
	// The roles that are bound now, to know whether they and the new one nest.
	for _, key := range b.live.OfTenant(b.tenant.Name) {
		if key.Kind != "RoleBinding" && key.Kind != "ClusterRoleBinding" {
			continue
		}
		ref, _, _ := unstructured.NestedStringMap(b.live.Get(key).Object, "roleRef")
		if ref["kind"] == "ClusterRole" {
			keys = append(keys, cluster.Key{Kind: "ClusterRole", Name: ref["name"]})
		}
	}
	for _, kind := range []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} {
		keys = append(keys, cluster.Key{Kind: kind, Name: install.AdmissionName})
	}
	return append(keys, b.toAdopt()...), nil
}

// compose settles what the tenant's objects are made of: its members, and which
// Tiller it gets.
func (b *builder) compose() error {
	members, err := liveMembers(b.live, b.tenant)
	if err != nil {
		return err
	}
	b.membersKnown = b.live.Get(memberKey(b.tenant.Home())) != nil
	b.tenant.Members = members.With(b.request.Tenant.Members)
	if b.request.Exact {
		b.tenant.Members = b.request.Tenant.Members
		if gone := members.Without(b.tenant.Members).Names(); len(gone) > 0 {
			b.notes = append(b.notes, "no longer members: "+strings.Join(gone, ", "))
		}
	}
	if b.tenant.Engine.Has(tenant.EngineTiller) && !b.live.Serves("ValidatingAdmissionPolicy") {
		b.notes = append(b.notes, "this API server has no ValidatingAdmissionPolicy (Kubernetes 1.30): a chart can write Secrets into the home namespace")
	}
	return nil
}

// wanted makes all wanted objects. It is called anew where they are needed:
// kept for a thousand tenants they would be much of the memory.
func (b *builder) wanted() ([]runtime.Object, error) {
	t := b.tenant
	record, err := install.Record(t)
	if err != nil {
		return nil, err
	}
	objects := []runtime.Object{install.Home(t, b.shared, b.homeCreated), record}
	objects = append(objects, rbac.ServiceAccounts(t)...)
	objects = append(objects, rbac.Home(t)...)
	if t.Engine.Has(tenant.EngineTiller) {
		objects = append(objects, install.NetworkPolicy(t, b.shared))
		if b.live.Serves("ValidatingAdmissionPolicy") {
			objects = append(objects, install.Admission()...)
		}
		if b.migration == nil {
			objects = append(objects, install.Deployment(b.versioned()))
		}
	}
	if t.AllNamespaces {
		objects = append(objects, rbac.ClusterWide(t))
	}
	for _, ns := range b.claimed() {
		live := b.live.Get(namespaceKey(ns))
		if live == nil || live.GetLabels()[tenant.LabelTenant] == t.Name || live.GetLabels()[tenant.LabelTenant] == "" {
			created := live == nil || live.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
			objects = append(objects, install.Namespace(t, ns, created))
		}
		objects = append(objects, rbac.InNamespace(t, ns))
	}
	return objects, nil
}

// versioned is the tenant with the version that its Tiller gets.
func (b *builder) versioned() tenant.Tenant {
	t := b.tenant
	if t.Tiller.Version == "" {
		t.Tiller.Version = b.request.ClientVersion
	}
	return t
}

// liveMembers are the subjects of the tenant's member binding.
func liveMembers(live *cluster.Live, t tenant.Tenant) (tenant.Members, error) {
	var binding rbacv1.RoleBinding
	_, err := live.Into(memberKey(t.Home()), &binding)
	return tenant.MembersOf(binding.Subjects), err
}

func memberKey(home string) cluster.Key {
	return cluster.Key{Kind: "RoleBinding", Namespace: home, Name: rbac.MemberName}
}

func (b *builder) wantedKeys() ([]cluster.Key, error) {
	objects, err := b.wanted()
	keys := make([]cluster.Key, len(objects))
	for i, object := range objects {
		keys[i] = cluster.KeyOf(object)
	}
	return keys, err
}

func (b *builder) plan() error {
	if err := b.checkUnmissed(); err != nil {
		return err
	}
	wanted, err := b.wanted()
	if err != nil {
		return err
	}
	keys := make([]cluster.Key, len(wanted))
	for i, object := range wanted {
		keys[i] = cluster.KeyOf(object)
	}
	plan, err := cluster.NewPlan(b.tenant.Name, wanted, b.live, func(key cluster.Key) bool {
		// Its own namespaces were checked one by one; the rest needs a word.
		return key.Kind == "Namespace" || b.request.Adopt
	})
	if err != nil {
		return err
	}
	if err := b.planRemovals(&plan, keys); err != nil {
		return err
	}
	if err := b.planAdoption(&plan, keys); err != nil {
		return err
	}
	b.noteForeignRights(keys)
	b.prepared = &Prepared{Tenant: b.tenant, Existed: b.existed, Plan: plan, Notes: b.notes, live: b.live}
	return nil
}

// checkUnmissed fails as outdated where somebody else made the tenant's record or
// its member binding after the tenant's objects were read: what they hold is not
// in what is wanted, and would be lost.
func (b *builder) checkUnmissed() error {
	for _, made := range []struct {
		key   cluster.Key
		known bool
	}{
		{cluster.Key{Kind: "ConfigMap", Namespace: b.tenant.Home(), Name: tenant.RecordName}, b.existed},
		{memberKey(b.tenant.Home()), b.membersKnown},
	} {
		live := b.live.Get(made.key)
		if !made.known && live != nil && live.GetLabels()[tenant.LabelTenant] == b.tenant.Name {
			return apierrors.NewConflict(schema.GroupResource{Resource: made.key.Kind}, made.key.Name, errors.New("it was made meanwhile"))
		}
	}
	return nil
}

// planRemovals takes away what the tenant has and should not have any more:
// bindings of another role, and what stands in namespaces that were pruned.
func (b *builder) planRemovals(plan *cluster.Plan, wanted []cluster.Key) error {
	t := b.tenant
	for _, key := range b.live.OfTenant(t.Name) {
		if slices.Contains(wanted, key) {
			continue
		}
		live := b.live.Get(key)
		switch key.Kind {
		case "Namespace":
			if b.request.Prune || b.request.Exact {
				note := fmt.Sprintf("namespace %q is taken from the tenant; what runs in it stays", key.Name)
				if releases := b.dropped[key.Name]; len(releases) > 0 {
					note += ", and the tenant can no longer manage its releases there: " + brief(releases)
				}
				b.notes = append(b.notes, note)
				plan.Relabel(live, []string{tenant.LabelTenant}, []string{tenant.AnnotationHome})
			} else {
				b.notes = append(b.notes, fmt.Sprintf("namespace %q carries the tenant's label but is not one of its namespaces; --prune takes the label away", key.Name))
			}
		case "RoleBinding", "ClusterRoleBinding":
			var binding rbacv1.RoleBinding
			if _, err := b.live.Into(key, &binding); err != nil {
				return err
			}
			stays := slices.Contains(b.claimed(), key.Namespace)
			if key.Kind == "ClusterRoleBinding" {
				stays = t.AllNamespaces
			}
			if !stays && key.Kind == "RoleBinding" {
				// After the record: who reads one that still names the namespace
				// finds the binding too, and does not make it anew.
				plan.Remove(live)
				continue
			}
			if !stays {
				plan.RemoveEarly(live)
				continue
			}
			// Another role in a namespace that stays. The new binding stands
			// before the old one goes where one role holds all of the other; where
			// neither does, both at once would be more than either.
			nested, err := cluster.Nested(b.live, binding.RoleRef.Name, t.Role)
			if err != nil {
				return err
			}
			if nested {
				plan.Remove(live)
			} else {
				plan.RemoveEarly(live)
			}
		case "Deployment", "ServiceAccount", "Role", "NetworkPolicy":
			// Of an engine that the tenant has no more.
			stopped := key.Kind == "Deployment" && b.migration != nil && t.Engine.Has(tenant.EngineTiller)
			if key.Namespace == t.Home() && slices.Contains(ofEngines, key.Name) && !stopped {
				plan.Remove(live)
			}
		}
	}
	return nil
}
