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
	// accounts are the deployers' service accounts that helm-tenant did not make.
	accounts []string
	// tiller says that their Tiller was made by hand, too.
	tiller bool
	// service is Tiller's Service, which helm itself does not use.
	service *unstructured.Unstructured
	// bindings are those of others that give the tenant's deployers rights, whoever
	// made the accounts: a run that was killed may have labelled these, and no more.
	bindings []*unstructured.Unstructured
}

// foreign are the bindings that helm-tenant did not make, as far as they name an
// account that can be a deployer or a group of such accounts: by the user name of the
// account, and by the group.
type foreign map[string][]grant

// grant is a binding in short.
type grant struct {
	key cluster.Key
	// role is its kind and name.
	role string
}

func (g grant) String() string { return fmt.Sprintf("%s -> %s", g.key, g.role) }

// readForeign reads them, with two lists for all tenants.
func readForeign(ctx context.Context, c *cluster.Client) (foreign, error) {
	found := foreign{}
	add := func(kind string, meta *metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		g := grant{cluster.Key{Kind: kind, Namespace: meta.Namespace, Name: meta.Name}, ref.Kind + " " + ref.Name}
		for _, s := range subjects {
			name := subjectName(s)
			// What Kubernetes itself gives to everybody is left out.
			if name == "" || s.Kind == rbacv1.GroupKind && meta.Labels["kubernetes.io/bootstrapping"] == "rbac-defaults" {
				continue
			}
			// One may stand in it twice, as account and as user.
			if have := found[name]; len(have) == 0 || have[len(have)-1] != g {
				found[name] = append(have, g)
			}
		}
	}
	not := metav1.ListOptions{LabelSelector: "!" + tenant.LabelTenant}
	err := cluster.Each(ctx, c, "ClusterRoleBinding", "", not, func(b *rbacv1.ClusterRoleBinding) {
		add("ClusterRoleBinding", &b.ObjectMeta, b.RoleRef, b.Subjects)
	})
	if err != nil {
		return nil, err
	}
	err = cluster.Each(ctx, c, "RoleBinding", "", not, func(b *rbacv1.RoleBinding) {
		add("RoleBinding", &b.ObjectMeta, b.RoleRef, b.Subjects)
	})
	return found, err
}

// subjectName is the user name of an account that can be a deployer, or a group that
// such accounts are in; empty for any other subject.
func subjectName(s rbacv1.Subject) string {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Name == tenant.TillerAccount || s.Name == tenant.HelmAccount {
			return tenant.AccountUser(s.Namespace, s.Name)
		}
	case rbacv1.UserKind:
		if of, is := strings.CutPrefix(s.Name, tenant.AccountPrefix); is {
			namespace, name, _ := strings.Cut(of, ":")
			return subjectName(rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name})
		}
	case rbacv1.GroupKind:
		if s.Name == "system:serviceaccounts" || s.Name == "system:authenticated" || strings.HasPrefix(s.Name, "system:serviceaccounts:") {
			return s.Name
		}
	}
	return ""
}

func tillerKey(home string) cluster.Key {
	return cluster.Key{Kind: "Deployment", Namespace: home, Name: install.DeploymentName}
}

func serviceKey(home string) cluster.Key {
	return cluster.Key{Kind: "Service", Namespace: home, Name: install.DeploymentName}
}

func accountKey(home, account string) cluster.Key {
	return cluster.Key{Kind: "ServiceAccount", Namespace: home, Name: account}
}

// toAdopt are the objects that adoption needs to know.
func (b *builder) toAdopt() []cluster.Key {
	home := b.tenant.Home()
	if !b.request.Adopt {
		return nil
	}
	var keys []cluster.Key
	for _, account := range b.tenant.Engine.DeployerAccounts() {
		keys = append(keys, accountKey(home, account))
		for _, g := range b.foreign[tenant.AccountUser(home, account)] {
			keys = append(keys, g.key)
		}
	}
	if b.tenant.Engine.Has(tenant.EngineTiller) {
		keys = append(keys, tillerKey(home), serviceKey(home))
	}
	return keys
}

// lookToAdopt finds out what deployers made by hand have: where a Tiller stores
// its releases, which of them live outside the tenant's namespaces, and through
// which bindings they have more rights than the tenant should.
func (b *builder) lookToAdopt(ctx context.Context, c *cluster.Client) error {
	if !b.request.Adopt {
		return nil
	}
	b.adopted = &adoption{}
	if b.tenant.Engine.Has(tenant.EngineTiller) {
		if err := b.lookToAdoptTiller(ctx, c); err != nil {
			return err
		}
	}
	home := b.tenant.Home()
	for _, account := range b.tenant.Engine.DeployerAccounts() {
		live := b.live.Get(accountKey(home, account))
		if live != nil && live.GetLabels()[tenant.LabelTenant] == "" || account == tenant.TillerAccount && b.adopted.tiller {
			b.adopted.accounts = append(b.adopted.accounts, account)
		}
	}
	b.noteGroups()
	return b.findForeignRights()
}

func (b *builder) lookToAdoptTiller(ctx context.Context, c *cluster.Client) error {
	t := &b.tenant
	home := t.Home()
	var d appsv1.Deployment
	found, err := b.live.Into(tillerKey(home), &d)
	if err != nil || !found || d.Labels[tenant.LabelTenant] != "" {
		return err
	}
	b.adopted.tiller = true
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
	if err := b.carrySettings(d.Spec, tiller.Image); err != nil {
		return err
	}
	if service := b.live.Get(serviceKey(home)); service != nil && install.HasTillerLabels(service.GetLabels()) {
		b.adopted.service = service
	}
	return b.findOutsideReleases(ctx, c)
}

// carrySettings takes the settings of a Tiller made by hand over into the tenant's,
// but for those that were asked for, and says what of it is lost. A tenants file asks
// for all of them: what stands in none of its fields has its default.
func (b *builder) carrySettings(spec appsv1.DeploymentSpec, image string) error {
	t, asked := &b.tenant.Tiller, b.request.Tenant.Tiller
	have := install.SettingsOf(spec)
	if !b.request.Exact {
		if asked.Image == "" && have.Image != "" {
			t.Image = have.Image
			if asked.Version == "" {
				t.Version = have.Version
			}
		}
		carry(&t.Replicas, have.Replicas, asked.Replicas == nil)
		carry(&t.HistoryMax, have.HistoryMax, asked.HistoryMax == nil)
		if asked.Resources == nil && have.Resources != nil {
			t.Resources = have.Resources
		}
		if asked.NodeSelector == nil && have.NodeSelector != nil {
			t.NodeSelector = have.NodeSelector
		}
		if asked.ImagePullSecrets == nil && have.ImagePullSecrets != nil {
			t.ImagePullSecrets = have.ImagePullSecrets
		}
		if problems := b.tenant.Validate(); len(problems) > 0 {
			return Invalid(problems)
		}
	}
	changed := func(what string, from, to any) {
		if from, to := said(from), said(to); from != to {
			b.notes = append(b.notes, fmt.Sprintf("Tiller's %s: %s becomes %s", what, from, to))
		}
	}
	changed("image", image, install.Image(b.versioned()))
	if have.Replicas == nil && spec.Replicas != nil {
		changed("replicas", int(*spec.Replicas), *t.Replicas)
	} else {
		changed("replicas", orDefault(have.Replicas, tenant.DefaultReplicas), *t.Replicas)
	}
	changed("history-max", orDefault(have.HistoryMax, 0), *t.HistoryMax)
	if have.Resources != nil {
		changed("resources", have.Resources, t.Resources)
	}
	changed("node-selector", have.NodeSelector, t.NodeSelector)
	changed("image-pull-secret", have.ImagePullSecrets, t.ImagePullSecrets)
	lost, tls := install.LostOf(spec)
	if tls {
		b.notes = append(b.notes, "Tiller no longer speaks TLS: only a port-forward comes to it; leave --tls out of helm's commands")
	}
	if len(lost) > 0 {
		b.notes = append(b.notes, "Tiller loses what a tenant's Tiller has not: "+strings.Join(lost, ", "))
	}
	return nil
}

func carry(into **int, value *int, unasked bool) {
	if unasked && value != nil {
		*into = value
	}
}

func orDefault(value *int, other int) int {
	if value == nil {
		return other
	}
	return *value
}

// said is a setting on one line.
func said(setting any) string {
	if text := strings.TrimPrefix(fmt.Sprint(setting), "map"); text != "[]" {
		return text
	}
	return "none"
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

// findForeignRights finds the bindings that name a deployer and were not made by
// helm-tenant: with them it would not be narrowed.
func (b *builder) findForeignRights() error {
	for _, account := range b.tenant.Engine.DeployerAccounts() {
		for _, g := range b.foreign[tenant.AccountUser(b.tenant.Home(), account)] {
			binding := b.live.Get(g.key)
			if binding == nil || binding.GetLabels()[tenant.LabelTenant] != "" || slices.Contains(b.adopted.bindings, binding) {
				continue
			}
			typed, err := typedBinding(binding)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(typed.Subjects, b.isDeployer) {
				b.adopted.bindings = append(b.adopted.bindings, binding)
			}
		}
	}
	return nil
}

// typedBinding reads a RoleBinding, or a ClusterRoleBinding: the fields that count
// are the same.
func typedBinding(binding *unstructured.Unstructured) (rbacv1.RoleBinding, error) {
	var typed rbacv1.RoleBinding
	err := cluster.Typed(binding, &typed)
	return typed, err
}

// noteForeignRights says what a deployer has, or will have as soon as it is there,
// beside what the tenant gives it. Whoever made it knew what for; or did not.
func (b *builder) noteForeignRights(wanted []cluster.Key) {
	if b.request.Adopt {
		return // they go
	}
	home := b.tenant.Home()
	for _, account := range b.tenant.Engine.DeployerAccounts() {
		var rights []string
		for _, g := range b.foreign[tenant.AccountUser(home, account)] {
			if !slices.Contains(wanted, g.key) {
				rights = append(rights, g.String())
			}
		}
		if len(rights) > 0 {
			b.notes = append(b.notes, fmt.Sprintf("service account %s in namespace %q has rights that helm-tenant did not give it, which --adopt takes away: %s", account, home, brief(rights)))
		}
	}
}

// noteGroups says what an adopted account has as one of many: that is not ours to
// take away.
func (b *builder) noteGroups() {
	if len(b.adopted.accounts) == 0 {
		return
	}
	var who []string
	for _, account := range b.adopted.accounts {
		who = append(who, b.adopted.nameOf(account))
	}
	for _, group := range []string{"system:serviceaccounts:" + b.tenant.Home(), "system:serviceaccounts", "system:authenticated"} {
		for _, g := range b.foreign[group] {
			if !slices.Contains(b.tenant.Namespaces, g.key.Namespace) {
				b.notes = append(b.notes, fmt.Sprintf("%s keeps, with all of group %s: %s", strings.Join(who, " and "), group, g))
			}
		}
	}
}

// nameOf is what an account is called that is taken over: after what runs as it.
func (a *adoption) nameOf(account string) string {
	if account == tenant.TillerAccount && a.tiller {
		return "Tiller"
	}
	return "service account " + account
}

func (b *builder) isDeployer(s rbacv1.Subject) bool { return b.deployerOf(s) != "" }

// deployerOf is the account among the tenant's deployers that a subject is; empty
// where it is none of them.
func (b *builder) deployerOf(s rbacv1.Subject) string {
	name := subjectName(s)
	for _, account := range b.tenant.Engine.DeployerAccounts() {
		if name == tenant.AccountUser(b.tenant.Home(), account) {
			return account
		}
	}
	return ""
}

// planAdoption takes away what adopted deployers had and should not have.
func (b *builder) planAdoption(plan *cluster.Plan, wanted []cluster.Key) error {
	if b.adopted == nil {
		return nil
	}
	if b.adopted.service != nil {
		plan.Narrow(b.adopted.service)
	}
	for _, binding := range b.adopted.bindings {
		key := cluster.KeyOf(binding)
		if slices.Contains(wanted, key) {
			continue // it is made what it should be
		}
		typed, err := typedBinding(binding)
		if err != nil {
			return err
		}
		var from []string
		for _, s := range typed.Subjects {
			if account := b.deployerOf(s); account != "" && !slices.Contains(from, b.adopted.nameOf(account)) {
				from = append(from, b.adopted.nameOf(account))
			}
		}
		who := strings.Join(from, " and ")
		what := grant{key, typed.RoleRef.Kind + " " + typed.RoleRef.Name}
		left := slices.DeleteFunc(slices.Clone(typed.Subjects), b.isDeployer)
		if len(left) == 0 {
			b.notes = append(b.notes, fmt.Sprintf("taken from %s: %s", who, what))
			plan.Narrow(binding)
			continue
		}
		b.notes = append(b.notes, fmt.Sprintf("taken from %s, and left to its %d other subjects: %s", who, len(left), what))
		if err := plan.SetSubjects(binding, left); err != nil {
			return err
		}
	}
	return nil
}
