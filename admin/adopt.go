package admin

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/lists"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// RiskOutsideReleases accepts that the narrowed Tiller can't manage some releases any
// more.
const RiskOutsideReleases Risk = "outside-releases"

// RiskOtherContainers accepts that the containers stop that run beside Tiller in its pods.
const RiskOtherContainers Risk = "other-containers"

// adoption is what was found of deployers made by hand, and what is deleted when they are
// adopted.
type adoption struct {
	// accounts are the deployers' service accounts that helm-tenant did not make.
	accounts []string
	// tiller reports whether the Tiller was made by hand as well.
	tiller bool
	// services select Tillers made by hand; helm does not use them.
	services []*unstructured.Unstructured
	// strays are Tillers with other names, which Tiller's own Deployment replaces.
	strays []handTiller
	// bindings made by others grant rights to the tenant's deployers. They are deleted
	// whoever made the accounts: an interrupted run may have labelled the accounts
	// already.
	bindings []*unstructured.Unstructured
}

func tillerKey(home string) cluster.Key {
	return cluster.Key{Kind: "Deployment", Namespace: home, Name: install.DeploymentName}
}

func accountKey(home, account string) cluster.Key {
	return cluster.Key{Kind: "ServiceAccount", Namespace: home, Name: account}
}

// keysToAdopt returns the keys of the objects that the adoption looks at.
func (d *decision) keysToAdopt() []cluster.Key {
	home := d.tenant.Home()
	if !d.request.Adopt {
		return nil
	}
	var keys []cluster.Key
	for _, account := range d.tenant.Engine.DeployerAccounts() {
		keys = append(keys, accountKey(home, account))
		for _, g := range d.facts.foreign[tenant.Account(home, account)] {
			keys = append(keys, g.key)
		}
	}
	if d.tenant.Engine.Has(tenant.EngineTiller) {
		keys = append(keys, tillerKey(home))
	}
	return keys
}

// looksByHand reports whether the home may have Tillers made by hand that are to be adopted.
// Tiller's Deployment gets the tenant's label last, so the adoption is complete if it has the
// label.
func (d *decision) looksByHand() bool {
	if !d.request.Adopt || !d.tenant.Engine.Has(tenant.EngineTiller) || d.facts.live.Get(namespaceKey(d.tenant.Home())) == nil {
		return false
	}
	deployment := d.facts.live.Get(tillerKey(d.tenant.Home()))
	return deployment == nil || deployment.GetLabels()[tenant.LabelTenant] == ""
}

func (d *decision) byHand() (byHand, error) {
	return answerAbout(d.facts.byHand, "the Tillers", d.tenant.Home())
}

// adopt finds out what deployers made by hand have: where a Tiller stores its releases,
// which of these are outside the tenant's namespaces, and which bindings grant more than
// the tenant should have.
func (d *decision) adopt() error {
	if !d.request.Adopt {
		return nil
	}
	d.adopted = &adoption{}
	if d.looksByHand() {
		found, err := d.byHand()
		if err == nil && len(found.tillers) > 0 {
			err = d.adoptTiller(found)
		}
		if err != nil {
			return err
		}
	}
	home := d.tenant.Home()
	for _, account := range d.tenant.Engine.DeployerAccounts() {
		live := d.facts.live.Get(accountKey(home, account))
		if live != nil && live.GetLabels()[tenant.LabelTenant] == "" || account == tenant.TillerAccount && d.adopted.tiller {
			d.adopted.accounts = append(d.adopted.accounts, account)
		}
	}
	d.noteGroups()
	return d.findForeignBindings()
}

// adoptTiller adopts the settings of a Tiller made by hand, as far as a tenant's Tiller
// can have them. Tillers with another name or kind than the Deployment tiller-deploy are
// deleted: it takes their place.
func (d *decision) adoptTiller(found byHand) error {
	t := &d.tenant
	home := t.Home()
	first := found.tillers[0]
	d.adopted.tiller, d.adopted.services = true, found.services
	for _, other := range found.tillers {
		if other.String() != "Deployment "+install.DeploymentName {
			d.adopted.strays = append(d.adopted.strays, other)
			d.note("%s in namespace %q goes: Deployment %s takes its place", other, home, install.DeploymentName)
		}
		d.noteAccount(other.spec.Template.Spec.ServiceAccountName)
	}
	container := recognise.Container(first.spec.Template.Spec)
	if container == nil {
		return fmt.Errorf("%s in namespace %q has no container", first, home)
	}
	storage, elsewhere := recognise.NamespaceOf(container, home)
	switch {
	case elsewhere != "":
		return fmt.Errorf("%s in namespace %q takes the namespace in which it stores its releases from %s, and a tenant's Tiller stores them in its own: write the value into variable TILLER_NAMESPACE of the %s itself", first, home, elsewhere, first.object.GetKind())
	case storage != home:
		return fmt.Errorf("%s in namespace %q stores its releases in namespace %q, and a tenant's Tiller stores them in its own: make %q the home with --home-namespace, or move the records", first, home, storage, storage)
	}
	asked := d.request.Tenant.Tiller.Storage
	stores, err := found.storage(home, asked)
	if stores == "" {
		stores = t.Tiller.Storage
	}
	switch {
	case err != nil:
		return err
	case stores != t.Tiller.Storage && asked != "":
		return &RefusedError{fmt.Sprintf("the Tiller in namespace %q stores its releases as %ss and would not find them as %ss", home, stores, t.Tiller.Storage), SettingStorage, string(stores)}
	}
	t.Tiller.Storage = stores
	return refuse(d.carrySettings(first, container), d.checkOtherContainers(found.tillers), d.checkOutsideReleases(), d.checkOutsideObjects(found.outside))
}

// checkOtherContainers refuses to stop containers that run beside the Tillers, unless the risk
// is accepted. A tenant's Tiller has none: they would have its token.
func (d *decision) checkOtherContainers(tillers []handTiller) error {
	others := otherContainers(tillers)
	if len(others) == 0 {
		return nil
	}
	names := strings.Join(others, ", ")
	if err := d.request.Accepted.unless(RiskOtherContainers, "containers run beside Tiller with its service account and would stop, since a tenant's Tiller runs alone: %s; run them in a workload of their own first", names); err != nil {
		return err
	}
	d.note("containers beside Tiller stop: %s", names)
	return nil
}

// otherContainers returns the containers that run beside Tillers in their pods, each with the workload.
func otherContainers(tillers []handTiller) []string {
	var others []string
	for _, t := range tillers {
		for _, name := range recognise.Others(t.spec.Template.Spec) {
			others = append(others, fmt.Sprintf("%s of %s", name, t))
		}
	}
	return others
}

// noteAccount notes what becomes of the service account of an adopted Tiller, if it is
// not the one that the Tiller will use.
func (d *decision) noteAccount(account string) {
	if account == tenant.TillerAccount {
		return
	}
	if account == "" {
		account = "default"
	}
	home, rights := d.tenant.Home(), ""
	grants := lists.Map(d.facts.foreign[tenant.Account(home, account)], grant.String)
	if len(grants) > 0 {
		rights = ": " + briefList(grants)
	}
	d.note("Tiller no longer runs as service account %q of namespace %q, which keeps the rights that it has%s", account, home, rights)
}

// carrySettings copies the settings of a Tiller made by hand into the tenant, except
// those that were asked for, and notes what changes and what is lost. A tenants file
// asks for all settings: those that it leaves out have their defaults.
func (d *decision) carrySettings(first handTiller, container *corev1.Container) error {
	t, asked, spec, image := &d.tenant.Tiller, d.request.Tenant.Tiller, first.spec, container.Image
	settings := recognise.SettingsOf(spec)
	elsewhere := recognise.HistoryElsewhere(container)
	if elsewhere != "" && asked.HistoryMax == nil && !d.request.Exact {
		return &RefusedError{fmt.Sprintf("%s in namespace %q takes the number of revisions that it keeps from %s, and a tenant's Tiller has it in its own settings", first, d.tenant.Home(), elsewhere), SettingHistoryMax, ""}
	}
	if !d.request.Exact {
		unset := d.request.Unset
		if asked.Image == "" && settings.Image != "" && !slices.Contains(unset, SettingImage) {
			t.Image = settings.Image
			if asked.Version == "" && !slices.Contains(unset, SettingVersion) {
				t.Version = settings.Version
			}
		}
		carry(&t.Replicas, settings.Replicas, asked.Replicas == nil)
		carry(&t.HistoryMax, settings.HistoryMax, asked.HistoryMax == nil)
		if asked.Resources == nil && settings.Resources != nil {
			t.Resources = settings.Resources
		}
		if asked.NodeSelector == nil && settings.NodeSelector != nil {
			t.NodeSelector = settings.NodeSelector
		}
		if asked.ImagePullSecrets == nil && settings.ImagePullSecrets != nil {
			t.ImagePullSecrets = settings.ImagePullSecrets
		}
		if problems := d.tenant.Validate(); len(problems) > 0 {
			return Invalid(problems)
		}
	}
	changed := func(setting string, from, to any) {
		if from, to := settingText(from), settingText(to); from != to {
			d.note("Tiller's %s: %s becomes %s", setting, from, to)
		}
	}
	next := install.Image(d.versioned())
	changed("image", image, next)
	// Helm's own image has the program at that path, other images need not.
	if program := recognise.Program(container); program != "" && program != install.Program && next == image {
		d.warn("Tiller was started as %s in image %s, and a tenant's Tiller is started as %s: where that image has none, name one that has with --tiller-image", program, image, install.Program)
	}
	if settings.Replicas == nil && spec.Replicas != nil {
		changed("replicas", int(*spec.Replicas), *t.Replicas)
	} else {
		changed("replicas", orDefault(settings.Replicas, tenant.DefaultReplicas), *t.Replicas)
	}
	if elsewhere != "" {
		changed("history-max", "what "+elsewhere+" says", *t.HistoryMax)
	} else {
		changed("history-max", orDefault(settings.HistoryMax, 0), *t.HistoryMax)
	}
	if settings.Resources != nil {
		changed("resources", settings.Resources, t.Resources)
	}
	changed("node-selector", settings.NodeSelector, t.NodeSelector)
	changed("image-pull-secret", settings.ImagePullSecrets, t.ImagePullSecrets)
	lost, tls := recognise.LostOf(spec)
	if tls {
		d.note("Tiller no longer uses TLS: only a port-forward reaches it; leave --tls out of helm's commands")
	}
	if len(lost) > 0 {
		d.note("Tiller loses settings that a tenant's Tiller can't have: %s", strings.Join(lost, ", "))
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

func settingText(setting any) string {
	if text := strings.TrimPrefix(fmt.Sprint(setting), "map"); text != "[]" {
		return text
	}
	return "none"
}

// checkOutsideReleases refuses to narrow a Tiller that has releases outside the tenant's
// namespaces, unless the risk is accepted.
func (d *decision) checkOutsideReleases() error {
	if d.tenant.AllNamespaces {
		return nil
	}
	releases, err := d.facts.releasesOf(d.tenant, tenant.EngineTiller)
	if err != nil {
		return err
	}
	var outside []string
	for _, r := range releases {
		if !r.Gone() && !d.request.Leaving[r.Name] && r.Problem == "" && !slices.Contains(d.tenant.Namespaces, r.Namespace) {
			outside = append(outside, fmt.Sprintf("%s in namespace %s", r.Name, r.Namespace))
		}
	}
	if len(outside) == 0 {
		return nil
	}
	names := strings.Join(outside, ", ")
	if err := d.request.Accepted.unless(RiskOutsideReleases, "releases live outside the tenant's namespaces, and its Tiller could no longer manage them: %s", names); err != nil {
		return err
	}
	d.note("its Tiller can no longer manage these releases: %s", names)
	return nil
}
