package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// Prepared is a tenant and what must be written to make it so.
type Prepared struct {
	Tenant tenant.Tenant
	// Existed says whether the tenant was there before.
	Existed bool
	Plan    cluster.Plan
	// Notes are things that the admin should know, a line each.
	Notes []string

	live *cluster.Live
}

// Invalid is everything that is wrong with what was asked.
type Invalid []error

func (e Invalid) Error() string   { return errors.Join(e...).Error() }
func (e Invalid) Unwrap() []error { return e }

// Prepare finds out what must be written for the tenant to be what is asked.
// It writes nothing. Errors: Invalid, *RiskError, *cluster.NotOursError,
// *MissingNamespacesError, *ClaimedError, and those of the API.
func Prepare(ctx context.Context, c *cluster.Client, r Request) (*Prepared, error) {
	// What can be told without the cluster comes first.
	if err := tenant.CheckName(r.Tenant.Name); err != nil {
		return nil, Invalid{err}
	}
	if open := r.Tenant.Members.OpenGroups(); len(open) > 0 && !r.Accepted.has(RiskEveryone) {
		return nil, &RiskError{RiskEveryone, openWhy(open)}
	}
	live, err := c.Read(ctx, r.Tenant.Name)
	if err != nil {
		return nil, err
	}
	was, existed, err := recorded(live, r.Tenant.Name)
	if err != nil {
		return nil, err
	}
	if asked := r.Tenant.HomeNamespace; existed && asked != "" && asked != was.Home() {
		return nil, Invalid{fmt.Errorf("tenant %q has its home in namespace %q; a tenant can't move to another home", was.Name, was.Home())}
	}
	if asked := r.Tenant.Engine; existed && asked != "" && asked != was.Engine {
		return nil, Invalid{fmt.Errorf("tenant %q has the engine %s; init can't change it to %s", was.Name, was.Engine, asked)}
	}
	if asked := r.Tenant.Tiller.Storage; existed && asked != "" && asked != was.WithDefaults().Tiller.Storage {
		return nil, Invalid{fmt.Errorf("tenant %q stores its releases as %ss; Tiller would not find them if that changed", was.Name, was.WithDefaults().Tiller.Storage)}
	}
	t := r.merged(was)
	if problems := t.Validate(); len(problems) > 0 {
		return nil, Invalid(problems)
	}
	if first := r.DefaultNamespace; first != "" && !slices.Contains(t.Namespaces, first) {
		return nil, Invalid{fmt.Errorf("default namespace %q is not one of the tenant's namespaces %s", first, strings.Join(t.Namespaces, ", "))}
	}
	b := builder{ctx: ctx, client: c, request: r, tenant: t, live: live, existed: existed}
	if err := b.look(); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b.plan()
}

func openWhy(open []string) string {
	return fmt.Sprintf("%s as a member opens the tenant to everybody, or to every pod, that it stands for", strings.Join(open, ", "))
}

// recorded is the tenant as its record has it.
func recorded(live *cluster.Live, name string) (tenant.Tenant, bool, error) {
	var found []tenant.Tenant
	for _, key := range live.OfTenant(name) {
		if key.Kind != "ConfigMap" || key.Name != tenant.RecordName {
			continue
		}
		t, err := cluster.RecordOf(live.Get(key))
		if err != nil {
			return tenant.Tenant{}, false, err
		}
		if t.Name != name || t.Home() != key.Namespace {
			return tenant.Tenant{}, false, fmt.Errorf("%s is labelled as tenant %q but records tenant %q with the home namespace %q", key, name, t.Name, t.Home())
		}
		found = append(found, t)
	}
	switch len(found) {
	case 0:
		return tenant.Tenant{}, false, nil
	case 1:
		return found[0], true, nil
	}
	return tenant.Tenant{}, false, fmt.Errorf("tenant %q has two records, in namespaces %q and %q: remove the ConfigMap %s that is not the tenant's", name, found[0].Home(), found[1].Home(), tenant.RecordName)
}

// builder holds what Prepare knows while it works.
type builder struct {
	ctx     context.Context
	client  *cluster.Client
	request Request
	tenant  tenant.Tenant
	live    *cluster.Live
	existed bool

	homes       map[string][]string
	homeCreated bool // by helm-tenant, now or before
	shared      bool
	wanted      []runtime.Object
	notes       []string
}

func namespaceKey(name string) cluster.Key { return cluster.Key{Kind: "Namespace", Name: name} }

// claimed are the namespaces that get the tenant's label. A tenant of all
// namespaces claims none: the others' must stay theirs.
func (b *builder) claimed() []string {
	if b.tenant.AllNamespaces {
		return nil
	}
	return b.tenant.Namespaces
}

// look reads all that the decision needs.
func (b *builder) look() error {
	keys := []cluster.Key{namespaceKey(b.tenant.Home()), {Kind: "ClusterRole", Name: b.tenant.Role}}
	for _, ns := range b.claimed() {
		keys = append(keys, namespaceKey(ns))
	}
	// The roles that are bound now, to know whether they and the new one nest.
	for _, key := range b.live.OfTenant(b.tenant.Name) {
		var binding rbacv1.RoleBinding
		if key.Kind == "RoleBinding" || key.Kind == "ClusterRoleBinding" {
			if _, err := b.live.Into(key, &binding); err != nil {
				return err
			}
			if binding.RoleRef.Kind == "ClusterRole" && !slices.Contains(keys, cluster.Key{Kind: "ClusterRole", Name: binding.RoleRef.Name}) {
				keys = append(keys, cluster.Key{Kind: "ClusterRole", Name: binding.RoleRef.Name})
			}
		}
	}
	for _, kind := range []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} {
		keys = append(keys, cluster.Key{Kind: kind, Name: install.AdmissionName})
	}
	if err := b.client.Lookup(b.ctx, b.live, keys); err != nil {
		return err
	}
	homes, err := b.client.Homes(b.ctx)
	b.homes = homes
	if err != nil {
		return err
	}
	home := b.live.Get(namespaceKey(b.tenant.Home()))
	b.homeCreated = home == nil || home.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
	if b.homeCreated {
		return nil
	}
	neighbours, err := b.client.Neighbours(b.ctx, b.tenant.Home())
	b.shared = len(neighbours) > 0
	return err
}

// MissingNamespacesError names namespaces that are not there.
type MissingNamespacesError struct{ Names []string }

func (e *MissingNamespacesError) Error() string {
	if len(e.Names) == 1 {
		return fmt.Sprintf("namespace %q does not exist", e.Names[0])
	}
	return fmt.Sprintf("namespaces %s do not exist", strings.Join(e.Names, ", "))
}

// ClaimedError names a namespace that is another tenant's.
type ClaimedError struct{ Namespace, Owner string }

func (e *ClaimedError) Error() string {
	return fmt.Sprintf("namespace %q belongs to tenant %q", e.Namespace, e.Owner)
}

// check refuses what must not be, or not without a word that accepts it.
func (b *builder) check() error {
	t, accepted := b.tenant, b.request.Accepted
	if b.live.Get(cluster.Key{Kind: "ClusterRole", Name: t.Role}) == nil {
		return Invalid{fmt.Errorf("role: ClusterRole %q does not exist", t.Role)}
	}
	if t.AllNamespaces && !accepted.has(RiskClusterWide) {
		return &RiskError{RiskClusterWide, fmt.Sprintf("a Tiller for all namespaces, with the role %s, makes everybody who may use tenant %q an admin of the cluster", t.Role, t.Name)}
	}
	var missing []string
	for _, ns := range b.claimed() {
		live := b.live.Get(namespaceKey(ns))
		if live == nil {
			missing = append(missing, ns)
			continue
		}
		for owner, homes := range b.homes {
			if slices.Contains(homes, ns) {
				return Invalid{fmt.Errorf("namespace %q is the home namespace of tenant %q and can't be one of a tenant's namespaces", ns, owner)}
			}
		}
		if owner := live.GetLabels()[tenant.LabelTenant]; owner != "" && owner != t.Name && !b.request.Share {
			return &ClaimedError{ns, owner}
		}
		if isSystem(ns) && !accepted.has(RiskSystemNamespace) {
			return &RiskError{RiskSystemNamespace, fmt.Sprintf("namespace %q is Kubernetes' own: who may act there can take over the cluster", ns)}
		}
	}
	if len(missing) > 0 && !b.request.CreateNamespaces {
		return &MissingNamespacesError{missing}
	}
	if t.Engine == tenant.EngineTiller && t.Tiller.Storage == tenant.StorageConfigMap && !b.live.Serves("ValidatingAdmissionPolicy") && !accepted.has(RiskOpenRecords) {
		return &RiskError{RiskOpenRecords, "with ConfigMap storage a chart could write the tenant's own record, and this API server is too old for the admission policy that prevents it"}
	}
	return b.checkHome()
}

// isSystem says whether a namespace is one that Kubernetes itself makes
// (k8s.io/kubernetes/pkg/controlplane/controller/systemnamespaces).
func isSystem(ns string) bool {
	return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease"
}

func (b *builder) checkHome() error {
	t := b.tenant
	live := b.live.Get(namespaceKey(t.Home()))
	if live == nil {
		return nil
	}
	if owner := live.GetLabels()[tenant.LabelTenant]; owner != "" && owner != t.Name {
		return Invalid{fmt.Errorf("home namespace %q belongs to tenant %q; choose another with --home-namespace", t.Home(), owner)}
	}
	for owner, homes := range b.homes {
		if owner != t.Name && slices.Contains(homes, t.Home()) {
			return Invalid{fmt.Errorf("namespace %q is the home of tenant %q already; choose another with --home-namespace", t.Home(), owner)}
		}
	}
	labelled := live.GetLabels()[tenant.LabelTenant] == t.Name
	if !labelled && b.request.Tenant.HomeNamespace == "" && !b.request.Adopt {
		return &cluster.NotOursError{Keys: []cluster.Key{namespaceKey(t.Home())}}
	}
	if b.shared && !b.request.Accepted.has(RiskSharedHome) && !b.request.Accepted.has(RiskClusterWide) {
		return &RiskError{RiskSharedHome, fmt.Sprintf("namespace %q holds other things: members of tenant %q could reach every pod there, and its Tiller every %s", t.Home(), t.Name, t.Tiller.Storage)}
	}
	return nil
}

// build makes all wanted objects.
func (b *builder) build() error {
	t := b.tenant
	members, err := liveMembers(b.live, t)
	if err != nil {
		return err
	}
	t.Members = members.With(b.request.Tenant.Members)
	b.tenant = t
	record, err := install.Record(t)
	if err != nil {
		return err
	}
	b.wanted = append(b.wanted, install.Home(t, b.shared, b.homeCreated), record, rbac.ServiceAccount(t))
	b.wanted = append(b.wanted, rbac.Home(t)...)
	b.wanted = append(b.wanted, install.NetworkPolicy(t, b.shared))
	if b.live.Serves("ValidatingAdmissionPolicy") {
		b.wanted = append(b.wanted, install.Admission()...)
	} else {
		b.notes = append(b.notes, "this API server has no ValidatingAdmissionPolicy (Kubernetes 1.30): a chart can write Secrets into the home namespace")
	}
	if t.Engine == tenant.EngineTiller {
		versioned := t
		if versioned.Tiller.Version == "" {
			versioned.Tiller.Version = b.request.ClientVersion
		}
		b.wanted = append(b.wanted, install.Deployment(versioned))
	}
	if t.AllNamespaces {
		b.wanted = append(b.wanted, rbac.ClusterWide(t))
	}
	for _, ns := range b.claimed() {
		live := b.live.Get(namespaceKey(ns))
		if live == nil || live.GetLabels()[tenant.LabelTenant] == t.Name || live.GetLabels()[tenant.LabelTenant] == "" {
			created := live == nil || live.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
			b.wanted = append(b.wanted, install.Namespace(t, ns, created))
		}
		b.wanted = append(b.wanted, rbac.InNamespace(t, ns))
	}
	return nil
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

func (b *builder) plan() (*Prepared, error) {
	if err := b.build(); err != nil {
		return nil, err
	}
	var keys []cluster.Key
	for _, object := range b.wanted {
		keys = append(keys, cluster.KeyOf(object))
	}
	if err := b.client.Lookup(b.ctx, b.live, keys); err != nil {
		return nil, err
	}
	plan, err := cluster.NewPlan(b.tenant.Name, b.wanted, b.live, func(key cluster.Key) bool {
		// Its own namespaces were checked one by one; the rest needs a word.
		return key.Kind == "Namespace" || b.request.Adopt
	})
	if err != nil {
		return nil, err
	}
	if err := b.planRemovals(&plan, keys); err != nil {
		return nil, err
	}
	return &Prepared{Tenant: b.tenant, Existed: b.existed, Plan: plan, Notes: b.notes, live: b.live}, nil
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
			if b.request.Prune {
				b.notes = append(b.notes, fmt.Sprintf("namespace %q is taken from the tenant; what runs in it stays", key.Name))
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
		}
	}
	return nil
}
