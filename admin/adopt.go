package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/tenant"
)

// RiskOutsideReleases leaves releases behind that the narrowed Tiller can't
// manage any more.
const RiskOutsideReleases Risk = "outside-releases"

// adoption is what must be known of deployers made by hand before they are taken
// over, and what goes when they are.
type adoption struct {
	// accounts are the service accounts that were not made by helm-tenant.
	accounts []string
	// service is Tiller's Service, which helm itself does not use.
	service *unstructured.Unstructured
	// bindings are those of others that give these accounts rights.
	bindings []*unstructured.Unstructured
}

// String names what is adopted.
func (a *adoption) String() string {
	if slices.Contains(a.accounts, tenant.TillerAccount) {
		return "Tiller"
	}
	return "service account " + strings.Join(a.accounts, ", ")
}

func tillerKey(home string) cluster.Key {
	return cluster.Key{Kind: "Deployment", Namespace: home, Name: install.DeploymentName}
}

// lookToAdopt finds out what deployers made by hand have: where a Tiller stores
// its releases, which of them live outside the tenant's namespaces, and through
// which bindings they have more rights than the tenant should.
func (b *builder) lookToAdopt(ctx context.Context, c *cluster.Client) error {
	if !b.request.Adopt {
		return nil
	}
	if b.tenant.Engine.Has(tenant.EngineTiller) {
		if err := b.lookToAdoptTiller(ctx, c); err != nil {
			return err
		}
	}
	if b.tenant.Engine.Has(tenant.EngineImpersonation) {
		key := cluster.Key{Kind: "ServiceAccount", Namespace: b.tenant.Home(), Name: tenant.HelmAccount}
		if err := c.Lookup(ctx, b.live, []cluster.Key{key}); err != nil {
			return err
		}
		if account := b.live.Get(key); account != nil && account.GetLabels()[tenant.LabelTenant] == "" {
			if b.adopted == nil {
				b.adopted = &adoption{}
			}
			b.adopted.accounts = append(b.adopted.accounts, tenant.HelmAccount)
		}
	}
	if b.adopted == nil {
		return nil
	}
	return b.findForeignRights(ctx, c)
}

func (b *builder) lookToAdoptTiller(ctx context.Context, c *cluster.Client) error {
	t := &b.tenant
	home := t.Home()
	serviceKey := cluster.Key{Kind: "Service", Namespace: home, Name: install.DeploymentName}
	if err := c.Lookup(ctx, b.live, []cluster.Key{tillerKey(home), serviceKey}); err != nil {
		return err
	}
	var d appsv1.Deployment
	found, err := b.live.Into(tillerKey(home), &d)
	if err != nil || !found || d.Labels[tenant.LabelTenant] != "" {
		return err
	}
	b.adopted = &adoption{accounts: []string{tenant.TillerAccount}}
	tiller := tillerOf(d)
	stores := tiller.storage
	if stores != tenant.StorageSecret && stores != tenant.StorageConfigMap {
		return fmt.Errorf("the Tiller in namespace %q stores its releases as %q, and a tenant's Tiller stores them as %s or %s", home, stores, tenant.StorageSecret, tenant.StorageConfigMap)
	}
	if stores != t.Tiller.Storage {
		if b.request.Tenant.Tiller.Storage != "" {
			return &RefusedError{fmt.Sprintf("the Tiller in namespace %q stores its releases as %ss and would not find them as %ss", home, stores, t.Tiller.Storage), SettingStorage, string(stores)}
		}
		t.Tiller.Storage = stores
	}
	if tiller.Account != tenant.TillerAccount {
		account := tiller.Account
		if account == "" {
			account = "default"
		}
		b.notes = append(b.notes, fmt.Sprintf("Tiller no longer runs as service account %q of namespace %q, which keeps the rights that it has", account, home))
	}
	if service := b.live.Get(serviceKey); service != nil && install.HasTillerLabels(service.GetLabels()) {
		b.adopted.service = service
	}
	return b.findOutsideReleases(ctx, c)
}

// findOutsideReleases refuses to narrow a Tiller that has releases elsewhere,
// unless that is accepted.
func (b *builder) findOutsideReleases(ctx context.Context, c *cluster.Client) error {
	t := b.tenant
	if t.AllNamespaces {
		return nil
	}
	records, err := c.Records(ctx, t.Home())
	if err != nil {
		return err
	}
	var outside []string
	for _, r := range releasesOf(records) {
		if !r.Gone() && r.Problem == "" && !slices.Contains(t.Namespaces, r.Namespace) {
			outside = append(outside, fmt.Sprintf("%s in namespace %s", r.Name, r.Namespace))
		}
	}
	if len(outside) == 0 {
		return nil
	}
	if !b.request.Accepted.has(RiskOutsideReleases) {
		return &RiskError{RiskOutsideReleases, "releases live outside the tenant's namespaces, and its Tiller could no longer manage them: " + strings.Join(outside, ", ")}
	}
	b.notes = append(b.notes, "its Tiller can no longer manage these releases: "+strings.Join(outside, ", "))
	return nil
}

// findForeignRights finds the bindings that name an adopted account and were not
// made by helm-tenant: with them it would not be narrowed.
func (b *builder) findForeignRights(ctx context.Context, c *cluster.Client) error {
	for _, kind := range []string{"ClusterRoleBinding", "RoleBinding"} {
		bindings, err := c.List(ctx, kind, "", metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, binding := range bindings {
			if binding.GetLabels()[tenant.LabelTenant] != "" {
				continue
			}
			var typed rbacv1.RoleBinding // the fields that count are the same
			if err := cluster.Typed(binding, &typed); err != nil {
				return err
			}
			if slices.ContainsFunc(typed.Subjects, b.isDeployer) {
				b.adopted.bindings = append(b.adopted.bindings, binding)
			}
			b.noteGroups(binding, typed)
		}
	}
	return nil
}

// noteGroups says what an adopted account has as one of many: that is not ours to
// take away. What Kubernetes itself gives to everybody is left out.
func (b *builder) noteGroups(binding *unstructured.Unstructured, typed rbacv1.RoleBinding) {
	if typed.Labels["kubernetes.io/bootstrapping"] == "rbac-defaults" || slices.Contains(b.tenant.Namespaces, typed.Namespace) {
		return
	}
	groups := []string{"system:serviceaccounts:" + b.tenant.Home(), "system:serviceaccounts", "system:authenticated"}
	for _, s := range typed.Subjects {
		if s.Kind == rbacv1.GroupKind && slices.Contains(groups, s.Name) {
			b.notes = append(b.notes, fmt.Sprintf("%s keeps, with all of group %s: %s -> %s %s", b.adopted, s.Name, cluster.KeyOf(binding), typed.RoleRef.Kind, typed.RoleRef.Name))
		}
	}
}

func (b *builder) isDeployer(s rbacv1.Subject) bool {
	return slices.ContainsFunc(b.adopted.accounts, func(account string) bool {
		return s.Kind == rbacv1.ServiceAccountKind && s.Name == account && s.Namespace == b.tenant.Home() ||
			s.Kind == rbacv1.UserKind && s.Name == tenant.AccountUser(b.tenant.Home(), account)
	})
}

// planAdoption takes away what adopted deployers had and should not have.
func (b *builder) planAdoption(plan *cluster.Plan) error {
	if b.adopted == nil {
		return nil
	}
	if b.adopted.service != nil {
		plan.Narrow(b.adopted.service)
	}
	for _, binding := range b.adopted.bindings {
		var typed rbacv1.RoleBinding
		if err := cluster.Typed(binding, &typed); err != nil {
			return err
		}
		what := fmt.Sprintf("%s -> %s %s", cluster.KeyOf(binding), typed.RoleRef.Kind, typed.RoleRef.Name)
		left := slices.DeleteFunc(slices.Clone(typed.Subjects), b.isDeployer)
		if len(left) == 0 {
			b.notes = append(b.notes, fmt.Sprintf("taken from %s: %s", b.adopted, what))
			plan.Narrow(binding)
			continue
		}
		b.notes = append(b.notes, fmt.Sprintf("taken from %s, and left to its %d other subjects: %s", b.adopted, len(left), what))
		if err := plan.SetSubjects(binding, left); err != nil {
			return err
		}
	}
	return nil
}
