package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// foreignGrants has the bindings that helm-tenant did not make and whose subject can be a
// deployer, or is a group that contains deployers; by subject.
type foreignGrants map[tenant.Subject][]grant

type grant struct {
	key cluster.Key
	// role is the kind and name of the role.
	role string
}

func (g grant) String() string { return fmt.Sprintf("%s -> %s", g.key, g.role) }

// readForeignGrants reads them with two lists for all tenants. With adopting it keeps the
// bindings of every service account, since a Tiller made by hand may use any.
func readForeignGrants(ctx context.Context, c *cluster.Client, adopting bool) (foreignGrants, error) {
	found := foreignGrants{}
	unlabelled := metav1.ListOptions{LabelSelector: "!" + tenant.LabelTenant}
	err := cluster.Each(ctx, c, "ClusterRoleBinding", "", unlabelled, func(b *rbacv1.ClusterRoleBinding) {
		found.add("ClusterRoleBinding", &b.ObjectMeta, b.RoleRef, b.Subjects, adopting)
	})
	if err != nil && !(c.Scoped() && apierrors.IsForbidden(err)) {
		return nil, err
	}
	err = cluster.Each(ctx, c, "RoleBinding", "", unlabelled, func(b *rbacv1.RoleBinding) {
		found.add("RoleBinding", &b.ObjectMeta, b.RoleRef, b.Subjects, adopting)
	})
	return found, err
}

// add adds a binding under each of its subjects that matters: of service accounts those
// that can be a deployer, or all.
func (f foreignGrants) add(kind string, meta *metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject, all bool) {
	g := grant{cluster.Key{Kind: kind, Namespace: meta.Namespace, Name: meta.Name}, ref.Kind + " " + ref.Name}
	for _, subject := range tenant.SubjectsOf(subjects, meta.Namespace) {
		group := subject.IsEverybody() || subject.AccountsOf() != ""
		if !group && !canBeDeployer(subject) && !(all && subject.Kind == rbacv1.ServiceAccountKind) {
			continue
		}
		// What Kubernetes itself grants to everybody is left out.
		if group && meta.Labels["kubernetes.io/bootstrapping"] == "rbac-defaults" {
			continue
		}
		// A binding may name an account twice: as a service account and as a user.
		if !slices.Contains(f[subject], g) {
			f[subject] = append(f[subject], g)
		}
	}
}

// canBeDeployer reports whether the subject is a service account with a deployer's name.
func canBeDeployer(s tenant.Subject) bool {
	return s.Kind == rbacv1.ServiceAccountKind && (s.Name == tenant.TillerAccount || s.Name == tenant.HelmAccount)
}

func (d *decision) deployers() []tenant.Subject {
	return lists.Map(d.tenant.Engine.DeployerAccounts(), func(account string) tenant.Subject {
		return tenant.Account(d.tenant.Home(), account)
	})
}

// findForeignBindings finds the bindings that name a deployer and were not made by
// helm-tenant: they would give it more rights than the tenant should have.
func (d *decision) findForeignBindings() error {
	for _, deployer := range d.deployers() {
		for _, g := range d.facts.foreign[deployer] {
			binding := d.facts.live.Get(g.key)
			if binding == nil || binding.GetLabels()[tenant.LabelTenant] != "" || slices.Contains(d.adopted.bindings, binding) {
				continue
			}
			typed, err := typedBinding(binding)
			if err != nil {
				return err
			}
			if slices.Contains(tenant.SubjectsOf(typed.Subjects, typed.Namespace), deployer) {
				d.adopted.bindings = append(d.adopted.bindings, binding)
			}
		}
	}
	return nil
}

// typedBinding converts a RoleBinding or ClusterRoleBinding: the fields in use are the
// same.
func typedBinding(binding *unstructured.Unstructured) (rbacv1.RoleBinding, error) {
	var typed rbacv1.RoleBinding
	err := cluster.Typed(binding, &typed)
	return typed, err
}

// noteForeignGrants notes the rights that a deployer has, or gets when it is created,
// beside the tenant's. Without --adopt they stay.
func (d *decision) noteForeignGrants(wanted []cluster.Key) {
	if d.request.Adopt {
		return
	}
	for _, deployer := range d.deployers() {
		var rights []string
		for _, g := range d.facts.foreign[deployer] {
			if !slices.Contains(wanted, g.key) {
				rights = append(rights, g.String())
			}
		}
		if len(rights) > 0 {
			d.note("service account %s in namespace %q has rights that helm-tenant did not grant, which --adopt removes: %s", deployer.Name, deployer.Namespace, briefList(rights))
		}
	}
}

// noteGroups notes the rights that an adopted account keeps because a group that contains
// it has them: others have them as well.
func (d *decision) noteGroups() {
	if len(d.adopted.accounts) == 0 {
		return
	}
	names := lists.Map(d.adopted.accounts, d.adopted.nameOf)
	for _, group := range tenant.Account(d.tenant.Home(), d.adopted.accounts[0]).Groups() {
		for _, g := range d.facts.foreign[tenant.Group(group)] {
			if !slices.Contains(d.tenant.Namespaces, g.key.Namespace) {
				d.note("%s keeps, with all of group %s: %s", strings.Join(names, " and "), group, g)
			}
		}
	}
}

// nameOf returns the name of an adopted account in notes: Tiller, if Tiller runs as it.
func (a *adoption) nameOf(account string) string {
	if account == tenant.TillerAccount && a.tiller {
		return "Tiller"
	}
	return "service account " + account
}

// planAdoption removes what adopted deployers had and should not have.
func (d *decision) planAdoption(plan *cluster.Plan, wanted []cluster.Key) error {
	if d.adopted == nil {
		return nil
	}
	for _, service := range d.adopted.services {
		plan.Delete(service, cluster.PhaseNarrowing)
	}
	for _, stray := range d.adopted.strays {
		plan.Delete(stray.object, cluster.PhaseNarrowing)
	}
	for _, binding := range d.adopted.bindings {
		if slices.Contains(wanted, cluster.KeyOf(binding)) {
			continue // NewPlan changes it
		}
		if err := d.planNarrowing(plan, binding); err != nil {
			return err
		}
	}
	return nil
}

// planNarrowing removes the tenant's deployers from a binding made by others, and deletes
// the binding if it has no other subject.
func (d *decision) planNarrowing(plan *cluster.Plan, binding *unstructured.Unstructured) error {
	typed, err := typedBinding(binding)
	if err != nil {
		return err
	}
	var from []string
	var left []rbacv1.Subject
	for _, s := range typed.Subjects {
		subject := tenant.SubjectOf(s, typed.Namespace)
		if !slices.Contains(d.deployers(), subject) {
			left = append(left, s)
		} else if name := d.adopted.nameOf(subject.Name); !slices.Contains(from, name) {
			from = append(from, name)
		}
	}
	names := strings.Join(from, " and ")
	taken := grant{cluster.KeyOf(binding), typed.RoleRef.Kind + " " + typed.RoleRef.Name}
	if len(left) == 0 {
		d.note("taken from %s: %s", names, taken)
		plan.Delete(binding, cluster.PhaseNarrowing)
		return nil
	}
	d.note("taken from %s, and left to its %s: %s", names, visible.Counted(len(left), "other subject"), taken)
	edit, err := withSubjects(left)
	if err == nil {
		plan.Edit(binding, cluster.PhaseNarrowing, edit)
	}
	return err
}
