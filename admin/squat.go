package admin

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/lists"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// SquattedError refuses a home namespace that existed before with the tenant's label, and
// to which no object that only admins write refers. Whoever made it may have tokens of
// the accounts in it, which no list shows.
type SquattedError struct {
	Name, Home string
	// Found has the names of the objects in it.
	Found []string
}

func (e *SquattedError) Error() string {
	text := fmt.Sprintf("namespace %q is labelled as the home of tenant %q, but no namespace of the tenant leads to it: whoever made it may hold tokens of its service accounts", e.Home, e.Name)
	if len(e.Found) > 0 {
		text += "; in it: " + visible.List(e.Found)
	}
	return text
}

// leadsToRecord reports whether an object that only admins write refers to a namespace
// with a record of the tenant.
func (f *facts) leadsToRecord(name string) bool {
	return slices.ContainsFunc(f.live.OfTenant(name), func(key cluster.Key) bool {
		return key.Kind == "ConfigMap" && f.live.Leads(name, key.Namespace)
	})
}

// labelledOnly reports whether somebody labelled the home namespace, an account of the deployer's
// or of readers in it, the record, or a binding of people as the tenant's, without an object that
// only admins write referring to it.
func (d *decision) labelledOnly() bool {
	name, home := d.tenant.Name, d.tenant.Home()
	live := d.facts.live
	namespace := live.Get(namespaceKey(home))
	if namespace == nil || d.request.Migrating || d.request.Resumed || live.Leads(name, home) || d.facts.shares(d.tenant, d.was) {
		return false
	}
	if namespace.GetLabels()[tenant.LabelTenant] == name {
		return true
	}
	keys := append(peopleKeys(home), recordKey(home))
	for _, account := range append(d.tenant.Engine.DeployerAccounts(), tenant.ReaderAccount) {
		keys = append(keys, accountKey(home, account))
	}
	return slices.ContainsFunc(keys, func(key cluster.Key) bool {
		object := live.Get(key)
		return object != nil && object.GetLabels()[tenant.LabelTenant] == name
	})
}

func peopleKeys(home string) []cluster.Key {
	return lists.Map(tenant.Relations, func(as tenant.Relation) cluster.Key { return peopleKey(home, as) })
}

// shares reports whether objects that only admins write say that the tenant has the home of its
// record, although none of its namespaces refers to it: a namespace that it shares carries the
// label of another tenant. Such an object is the tenant's claim on one of them. A tenant without
// guard rails has none: then its deployer has to be bound in all of them, where whoever could
// bind it has no more to gain.
func (f *facts) shares(t, was tenant.Tenant) bool {
	all := slices.Concat(was.Namespaces, t.Namespaces)
	if slices.ContainsFunc(all, func(ns string) bool {
		live := f.live.Get(namespaceKey(ns))
		return live != nil && rails.Claimed(t.Name, live)
	}) {
		return true
	}
	return len(all) > 0 && !slices.ContainsFunc(all, func(ns string) bool {
		live := f.live.Get(namespaceKey(ns))
		return live == nil || slices.Contains([]string{"", t.Name}, live.GetLabels()[tenant.LabelTenant]) || !f.bindsIn(t.Name, was.Home(), ns)
	})
}

// bindsIn reports whether a RoleBinding with the tenant's label in a namespace has an account of
// that home as a subject.
func (f *facts) bindsIn(name, home, ns string) bool {
	return slices.ContainsFunc(f.live.OfTenant(name), func(key cluster.Key) bool {
		var binding rbacv1.RoleBinding
		return key.Kind == "RoleBinding" && key.Namespace == ns && cluster.Typed(f.live.Get(key), &binding) == nil &&
			slices.ContainsFunc(binding.Subjects, func(s rbacv1.Subject) bool {
				return s.Kind == rbacv1.ServiceAccountKind && s.Namespace == home
			})
	})
}

// judgeSquatter refuses a home that may be a stranger's. An empty one was left by an
// interrupted run that had made only the namespace. With --adopt the home is taken: its
// record and bindings are not believed, and the accounts are made again.
func (d *decision) judgeSquatter() error {
	if !d.labelledOnly() {
		return nil
	}
	home := d.tenant.Home()
	strangers, err := d.strangersIn(home)
	if err != nil {
		return err
	}
	var found []string
	for _, key := range []cluster.Key{recordKey(home), accountKey(home, tenant.TillerAccount), accountKey(home, tenant.HelmAccount), accountKey(home, tenant.ReaderAccount)} {
		if d.facts.live.Get(key) != nil {
			found = append(found, key.Kind+" "+key.Name)
		}
	}
	found = append(found, texts(strangers)...)
	for _, key := range peopleKeys(home) {
		// Who is in it would be one of the tenant's people.
		if name := key.Kind + " " + key.Name; len(found) == 0 && d.facts.live.Get(key) != nil {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return nil
	}
	for _, ns := range d.remade() {
		bindings, err := d.bindingsIn(ns)
		if err != nil {
			return err
		}
		for _, binding := range bindings {
			found = append(found, binding.String()+" in namespace "+ns)
		}
	}
	d.squatted = true
	if !d.request.Adopt {
		return &SquattedError{d.tenant.Name, home, found}
	}
	d.warn("namespace %q was made by others. Its service accounts are created again, which ends their tokens; everything else in it stays, and can act in it: %s", home, visible.List(found))
	return nil
}

// takesHome reports whether --adopt takes a home namespace without any tenant's label. In
// Kubernetes' own namespaces only administrators write.
func (d *decision) takesHome() bool {
	home := d.tenant.Home()
	live := d.facts.live.Get(namespaceKey(home))
	return d.request.Adopt && live != nil && live.GetLabels()[tenant.LabelTenant] == "" && !tenant.IsSystemNamespace(home) && !d.labelledOnly()
}

// noteTaken names what can act as the service accounts of such a home, except what the adoption
// replaces or deletes: whoever made the namespace may have prepared it.
func (d *decision) noteTaken() error {
	if !d.takesHome() {
		return nil
	}
	home := d.tenant.Home()
	strangers, err := d.strangersIn(home)
	if err != nil {
		return err
	}
	var adopted []cluster.Stranger
	if d.looksByHand() {
		found, err := d.byHand()
		if err != nil {
			return err
		}
		for _, other := range found.tillers {
			adopted = append(adopted, cluster.Stranger{Kind: other.object.GetKind(), Name: other.object.GetName()})
		}
	}
	for _, b := range d.adopted.bindings {
		if b.GetNamespace() == home {
			adopted = append(adopted, cluster.Stranger{Kind: b.GetKind(), Name: b.GetName()})
		}
	}
	staying := without(strangers, adopted)
	if len(staying) > 0 {
		d.warn("namespace %q was made by others. What is in it stays, and can act in it: %s", home, visible.List(texts(staying)))
	}
	return nil
}

// noteRemade warns of a namespace that the record names and that does not have the tenant's
// label, and of bindings in it: it was deleted and created again, or the record is a stranger's.
func (d *decision) noteRemade() error {
	selected := d.selectedAnew() // of which noteSelected warns
	for _, ns := range d.remade() {
		if slices.Contains(selected, ns) {
			continue
		}
		bindings, err := d.bindingsIn(ns)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("namespace %q, which the tenant's record names, does not have the tenant's label: it may have been deleted and made again", ns)
		switch {
		case len(bindings) > 0:
			d.warn("%s; others have rights in it: %s", text, visible.List(texts(bindings)))
		case !slices.Contains(d.request.Tenant.Namespaces, ns):
			d.warn("%s, or whoever made the tenant may have named a namespace of others; its deployer gets the role %q there", text, d.tenant.Role)
		}
	}
	return nil
}

// warnOfExisting warns if the tenant exists and has none of the requested namespaces: the admin
// may want to create a tenant. Whoever may create namespaces can create two of them, one
// labelled as a home and one whose annotation refers to it, and together they look like a
// tenant that an admin created. The author of such a home also wrote its record, so the live
// namespaces decide.
func (d *decision) warnOfExisting() error {
	asked := d.request.Tenant
	if !d.existed || d.restored || d.request.Migrating || d.request.Receiving != nil || d.request.Resumed || len(asked.Namespaces) == 0 && !asked.AllNamespaces {
		return nil
	}
	if slices.ContainsFunc(asked.Namespaces, d.holds) || d.boundInCluster() {
		return nil
	}
	recorded := "names no namespaces"
	switch {
	case d.was.AllNamespaces:
		recorded = "says that it has all namespaces"
	case len(d.was.Namespaces) > 0:
		recorded = "names the namespaces " + briefList(d.was.Namespaces)
	}
	d.warn("tenant %q already exists, with the home namespace %q, and its record %s: if no admin created it, whoever did can act in the namespaces that it gets", d.tenant.Name, d.was.Home(), recorded)
	return nil
}

// holds reports whether a namespace is the tenant's by what only admins write on it: the label
// with the annotation that leads to the home, or, in a namespace that is shared with another
// tenant, the claim.
func (d *decision) holds(ns string) bool {
	live := d.facts.live.Get(namespaceKey(ns))
	if live == nil {
		return false
	}
	leads := live.GetLabels()[tenant.LabelTenant] == d.tenant.Name && live.GetAnnotations()[tenant.AnnotationHome] == d.was.Home()
	return leads || rails.Claimed(d.tenant.Name, live)
}

// boundInCluster reports whether a ClusterRoleBinding of the tenant, which only admins create,
// has an account of the home as a subject: an admin gave the tenant all namespaces.
func (d *decision) boundInCluster() bool {
	return slices.ContainsFunc(d.facts.live.OfTenant(d.tenant.Name), func(key cluster.Key) bool {
		var binding rbacv1.ClusterRoleBinding
		return key.Kind == "ClusterRoleBinding" && cluster.Typed(d.facts.live.Get(key), &binding) == nil &&
			slices.ContainsFunc(binding.Subjects, func(s rbacv1.Subject) bool {
				return s.Kind == rbacv1.ServiceAccountKind && s.Namespace == d.was.Home()
			})
	})
}

// noteSelected names the RoleBindings and tokens of others in namespaces that the tenant
// gets by a selector: no admin named these namespaces, and whoever made one may have
// prepared it.
func (d *decision) noteSelected() error {
	for _, ns := range d.selectedAnew() {
		strangers, err := d.strangersIn(ns)
		if err != nil {
			return err
		}
		found := ofKinds(strangers, "RoleBinding", "Secret")
		if len(found) > 0 {
			d.warn("namespace %q becomes the tenant's by its labels; others can act in it: %s", ns, visible.List(texts(found)))
		}
	}
	return nil
}

// selectedAnew returns the existing namespaces that the tenant's selector chooses and that are
// not the tenant's by what only admins write on them, whatever its record names.
func (d *decision) selectedAnew() []string {
	return slices.DeleteFunc(slices.Clone(d.tenant.Selected), func(ns string) bool {
		return d.holds(ns) || d.facts.live.Get(namespaceKey(ns)) == nil
	})
}

// bindingsIn returns the RoleBindings of others in a namespace.
func (d *decision) bindingsIn(ns string) ([]cluster.Stranger, error) {
	strangers, err := d.strangersIn(ns)
	return ofKinds(strangers, "RoleBinding"), err
}

func ofKinds(strangers []cluster.Stranger, kinds ...string) []cluster.Stranger {
	return slices.DeleteFunc(slices.Clone(strangers), func(s cluster.Stranger) bool { return !slices.Contains(kinds, s.Kind) })
}

// texts returns the strangers as they are named to the admin.
func texts(strangers []cluster.Stranger) []string {
	return lists.Map(strangers, cluster.Stranger.String)
}

// remade returns the namespaces that the record names and that lost the tenant's label.
func (d *decision) remade() []string {
	var remade []string
	for _, ns := range d.was.Namespaces {
		live := d.facts.live.Get(namespaceKey(ns))
		if live != nil && live.GetLabels()[tenant.LabelTenant] == "" && slices.Contains(d.claimed(), ns) {
			remade = append(remade, ns)
		}
	}
	return remade
}

// strangersIn returns the objects through which others can act in a namespace, except what the plan
// makes as the tenant should have it: in its home, by the engine. Elsewhere the same names are
// strangers'.
func (d *decision) strangersIn(ns string) ([]cluster.Stranger, error) {
	found, err := answerAbout(d.facts.strangers, "the objects of others", ns)
	if err != nil || ns != d.tenant.Home() {
		return found, err
	}
	ours := []cluster.Stranger{{Kind: "RoleBinding", Name: rbac.MemberName}}
	if d.tenant.Engine.Has(tenant.EngineTiller) {
		ours = append(ours, cluster.Stranger{Kind: "RoleBinding", Name: rbac.RecordsName}, cluster.Stranger{Kind: "Deployment", Name: install.DeploymentName})
	}
	return without(found, ours), nil
}

func without(strangers, others []cluster.Stranger) []cluster.Stranger {
	return slices.DeleteFunc(slices.Clone(strangers), func(s cluster.Stranger) bool { return slices.Contains(others, s) })
}
