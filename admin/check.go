package admin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// MissingNamespacesError reports namespaces that do not exist.
type MissingNamespacesError struct{ Names []string }

func (e *MissingNamespacesError) Error() string {
	if len(e.Names) == 1 {
		return fmt.Sprintf("namespace %q does not exist", e.Names[0])
	}
	return fmt.Sprintf("namespaces %s do not exist", strings.Join(e.Names, ", "))
}

// ClaimedError reports a namespace that belongs to another tenant.
type ClaimedError struct {
	Namespace, Owner string
	// Between is nil unless the owner is to lose all of its namespaces, and tenants that are to get
	// namespaces only from each other have to lose theirs for that.
	Between *Between
}

// Between is a step that lets tenants exchange all of their namespaces: for a while, a tenant has
// what it is to lose and, together with another tenant, what it is to get.
type Between struct {
	Name       string
	Namespaces []string
}

func (e *ClaimedError) Error() string {
	text := fmt.Sprintf("namespace %q belongs to tenant %q", e.Namespace, e.Owner)
	if e.Between != nil {
		text += ", which would have no namespace left before it gets another one"
	}
	return text
}

// Setting is a setting of a tenant, as the path of its field in a tenants file.
type Setting string

const (
	SettingHome       Setting = "homeNamespace"
	SettingNamespaces Setting = "namespaces"
	SettingRole       Setting = "role"
	SettingStorage    Setting = "tiller.storage"
	SettingImage      Setting = "tiller.image"
	SettingVersion    Setting = "tiller.version"
	SettingContact    Setting = "contact"
	SettingHistoryMax Setting = "tiller.historyMax"

	SettingFluxAccount Setting = "fluxAccount"
)

// RefusedError refuses a request because of the state of the cluster.
type RefusedError struct {
	// Why is the reason, as a clause.
	Why string
	// Setting is the setting that would have to change.
	Setting Setting
	// Value is the only value that Setting can have; empty if there are several.
	Value string
}

func (e *RefusedError) Error() string { return e.Why }

// EngineError refuses a change of engine that takes more than one step.
type EngineError struct {
	Name     string
	From, To tenant.Engine
}

func (e *EngineError) Error() string {
	return fmt.Sprintf("tenant %q has the engine %s, which can't become %s at once", e.Name, e.From, e.To)
}

// Names implements failure.Namer.
func (e *EngineError) Names() []string { return []string{failure.Tenant(e.Name)} }

// LeftReleasesError reports releases that no deployer of the tenant could manage after
// the change.
type LeftReleasesError struct {
	Name     string
	Engine   tenant.Engine
	Releases []string
}

func (e *LeftReleasesError) Error() string {
	return fmt.Sprintf("tenant %q has releases that the engine %s can't manage: %s", e.Name, e.Engine, briefList(e.Releases))
}

// Names implements failure.Namer.
func (e *LeftReleasesError) Names() []string { return []string{failure.Tenant(e.Name)} }

// check refuses what the cluster does not allow, and risks that were not accepted.
func (d *decision) check() error {
	return refuse(d.checkRole(), d.checkClusterWide(), d.checkNamespaces(), d.checkRecordStorage(), d.checkHome(), d.checkRails())
}

// takeBack refuses changes that are not possible for an existing tenant, and takes them back
// in the wanted tenant: what else was requested can then be judged.
func (d *decision) takeBack() error {
	was, next := d.was, &d.tenant
	var refusals []error
	if next.Home() != was.Home() {
		refused := &RefusedError{fmt.Sprintf("tenant %q has its home in namespace %q and can't move to another", was.Name, was.Home()), SettingHome, was.Home()}
		refusals = append(refusals, failure.Naming(refused, failure.Tenant(was.Name)))
		next.HomeNamespace = was.Home()
	}
	if was.ExchangesEngine(*next) {
		refusals = append(refusals, &EngineError{was.Name, was.Engine, next.Engine})
		next.HomeNamespace = was.Home() // which may be a convention of that engine
		next.Engine, next.Tiller = was.Engine, was.Tiller
	}
	if was.MovesRecords(*next) && next.Tiller.Storage != d.otherStorage() {
		refused := &RefusedError{fmt.Sprintf("tenant %q stores its releases as %ss; Tiller would not find them if that changed", was.Name, was.Tiller.Storage), SettingStorage, string(was.Tiller.Storage)}
		refusals = append(refusals, failure.Naming(refused, failure.Tenant(was.Name)))
		next.Tiller.Storage = was.Tiller.Storage
	}
	return refuse(refusals...)
}

// checkReleasesOfEngine refuses to remove a deployer that has releases: no helm could
// manage them.
func (d *decision) checkReleasesOfEngine() error {
	leaving := d.leavingEngine()
	if leaving == "" {
		return nil
	}
	releases, err := d.facts.releasesOf(d.was, leaving)
	if err != nil {
		return err
	}
	var names []string
	for _, r := range releases {
		if !r.Gone() {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &LeftReleasesError{d.tenant.Name, d.tenant.Engine, names}
}

func (d *decision) checkClusterWide() error {
	if !d.tenant.AllNamespaces {
		return nil
	}
	deployer := "a service account"
	if d.tenant.Engine.Has(tenant.EngineTiller) {
		deployer = "a Tiller"
	}
	return d.request.Accepted.unless(RiskClusterWide, "%s for all namespaces, with the role %s, makes everybody who may use tenant %q an admin of the cluster", deployer, d.tenant.Role, d.tenant.Name)
}

func (d *decision) checkNamespaces() error {
	var missing []string
	var refusals []error
	for _, ns := range d.claimed() {
		if d.leftOut(ns) {
			continue
		}
		if d.facts.live.Get(namespaceKey(ns)) == nil {
			missing = append(missing, ns)
		}
		refusals = append(refusals, d.checkClaim(ns), d.checkSystemNamespace(ns))
	}
	if len(missing) > 0 && !d.request.CreateNamespaces && !d.request.freezes() && !d.request.offline {
		refusals = append(refusals, &MissingNamespacesError{missing})
	}
	return refuse(refusals...)
}

// checkClaim refuses a namespace that is being deleted, or that is another tenant's.
func (d *decision) checkClaim(name string) error {
	live := d.facts.live.Get(namespaceKey(name))
	if live == nil {
		return nil
	}
	if err := checkNotTerminating(live); err != nil {
		return err
	}
	if owner := d.tenantOfHome(name); owner != "" {
		return &RefusedError{fmt.Sprintf("namespace %q is the home namespace of tenant %q and can't be one of a tenant's namespaces", name, owner), SettingNamespaces, ""}
	}
	if owner := live.GetLabels()[tenant.LabelTenant]; owner != "" && owner != d.tenant.Name && !d.request.Share {
		return &ClaimedError{Namespace: name, Owner: owner}
	}
	return nil
}

func (d *decision) checkSystemNamespace(name string) error {
	if !tenant.IsSystemNamespace(name) {
		return nil
	}
	return d.request.Accepted.unless(RiskSystemNamespace, "namespace %q is Kubernetes' own: who may act there can take over the cluster", name)
}

// checkNotTerminating refuses a namespace that is being deleted: nothing can be
// created in it any more.
func checkNotTerminating(namespace *unstructured.Unstructured) error {
	if namespace.GetDeletionTimestamp() == nil {
		return nil
	}
	return fmt.Errorf("namespace %q is being deleted; try again when it is gone", namespace.GetName())
}

// checkRecordStorage refuses a Tiller that could change the tenant's own record.
func (d *decision) checkRecordStorage() error {
	t := d.tenant
	if !t.Engine.Has(tenant.EngineTiller) || t.Tiller.Storage != tenant.StorageConfigMap || d.facts.live.Serves(cluster.KindPolicy) {
		return nil
	}
	return d.request.Accepted.unless(RiskOpenRecords, "with ConfigMap storage a chart could write the tenant's own record, and this API server is too old for the admission policy that prevents it")
}

// tenantOfHome returns the tenant of a home namespace, empty if the namespace is no home.
func (d *decision) tenantOfHome(namespace string) string {
	for _, name := range slices.Sorted(maps.Keys(d.facts.homes)) {
		if slices.Contains(d.facts.homes[name], namespace) {
			return name
		}
	}
	return ""
}

// homeOfOther refuses a home namespace that belongs to another tenant.
func (d *decision) homeOfOther() error {
	home, name := d.tenant.Home(), d.tenant.Name
	live := d.facts.live.Get(namespaceKey(home))
	if live == nil {
		return nil
	}
	if owner := live.GetLabels()[tenant.LabelTenant]; owner != "" && owner != name {
		return &RefusedError{fmt.Sprintf("home namespace %q belongs to tenant %q", home, owner), SettingHome, ""}
	}
	if other := d.tenantOfHome(home); other != "" && other != name {
		return &RefusedError{fmt.Sprintf("namespace %q is the home of tenant %q already", home, other), SettingHome, ""}
	}
	return nil
}

// checkHome refuses a home namespace that belongs to another tenant, that was not
// requested, or in which others have objects.
func (d *decision) checkHome() error {
	t := d.tenant
	live := d.facts.live.Get(namespaceKey(t.Home()))
	if live == nil {
		return nil
	}
	if err := checkNotTerminating(live); err != nil {
		return err
	}
	if err := d.homeOfOther(); err != nil {
		return err
	}
	if live.GetLabels()[tenant.LabelTenant] == "" && d.request.Tenant.HomeNamespace == "" && !d.request.Adopt {
		return &cluster.NotOursError{Keys: []cluster.Key{namespaceKey(t.Home())}}
	}
	if !d.homeShared || t.AllNamespaces { // checkClusterWide asks for the larger risk
		return nil
	}
	if !t.Engine.Has(tenant.EngineTiller) {
		return d.request.Accepted.unless(RiskSharedHome, "namespace %q holds other things: whoever may create pods or tokens there can act as tenant %q", t.Home(), t.Name)
	}
	return d.request.Accepted.unless(RiskSharedHome, "namespace %q holds other things: members of tenant %q could reach every pod there, and its Tiller every %s", t.Home(), t.Name, t.Tiller.Storage)
}

// Refusals are several reasons for which a request is refused, in a stable order.
type Refusals []error

// Error returns all of it on one line.
func (r Refusals) Error() string { return joined(r) }

func (r Refusals) Unwrap() []error { return r }

// ReasonsOf returns each reason of a refusal, without the text around it; none for nil, and the
// error itself if it is the only one.
func ReasonsOf(err error) []error {
	if err == nil {
		return nil
	}
	if several, ok := errors.AsType[Refusals](err); ok {
		return several
	}
	return []error{err}
}

// refuse returns the reasons of all these errors as one error, each once; nil if there are none.
func refuse(errs ...error) error {
	var reasons Refusals
	for _, err := range errs {
		for _, reason := range ReasonsOf(err) {
			if !slices.ContainsFunc(reasons, func(known error) bool { return known.Error() == reason.Error() }) {
				reasons = append(reasons, reason)
			}
		}
	}
	switch len(reasons) {
	case 0:
		return nil
	case 1:
		return reasons[0]
	}
	return reasons
}

func joined(errs []error) string {
	return strings.Join(lists.Map(errs, error.Error), "; ")
}
