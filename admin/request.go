// Package admin is what an admin does to tenants. It reads what the cluster holds
// (gather), decides which objects are wanted and what is refused (decide, which is
// pure), and has the difference written (Write). A dry run ends after the second step.
package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"helm-tenant/tenant"
)

// Risk is something dangerous that must be accepted by its name.
type Risk string

const (
	// RiskClusterWide lets a tenant act in all namespaces.
	RiskClusterWide Risk = "cluster-wide"
	// RiskSharedHome puts a Tiller where other things live.
	RiskSharedHome Risk = "shared-home"
	// RiskEveryone lets in more than named people and accounts.
	RiskEveryone Risk = "everyone"
	// RiskSystemNamespace gives a tenant a namespace of Kubernetes' own.
	RiskSystemNamespace Risk = "system-namespace"
	// RiskOpenRecords lets a chart write the tenant's own record.
	RiskOpenRecords Risk = "open-records"
	// RiskNodeAccess lets a tenant's pods take the node, and everything on it.
	RiskNodeAccess Risk = "node-access"
	// RiskNoGuard leaves a tenant without the admission policies.
	RiskNoGuard Risk = "no-guard"
	// RiskReadsSecrets lets readers read every Secret of the tenant's namespaces.
	RiskReadsSecrets Risk = "reads-secrets"
	// RiskOwnerOfCluster gives owners to a tenant that can take over more than itself.
	RiskOwnerOfCluster Risk = "owner-of-cluster"
	// RiskUnheldOwners gives owners to a tenant where no admission policy holds them.
	RiskUnheldOwners Risk = "unheld-owners"
	// RiskViolatingPods lets a PodSecurity level be set that pods violate.
	RiskViolatingPods Risk = "violating-pods"
)

// Risks are all that can be accepted.
var Risks = []Risk{RiskClusterWide, RiskSharedHome, RiskEveryone, RiskSystemNamespace, RiskOpenRecords, RiskNodeAccess, RiskNoGuard, RiskViolatingPods, RiskReadsSecrets, RiskOwnerOfCluster, RiskUnheldOwners, RiskOutsideReleases, RiskClusterObjects, RiskMissingReleases, RiskNamespaceWriter, RiskUnmatchedRecords}

// Accepted are the risks that an admin accepted.
type Accepted []Risk

// ParseAccepted reads risks by name.
func ParseAccepted(names []string) (Accepted, error) {
	var accepted Accepted
	for _, name := range names {
		if !slices.Contains(Risks, Risk(name)) {
			return nil, fmt.Errorf("--accept-risk: %q is not one of %s", name, list(Risks))
		}
		accepted = append(accepted, Risk(name))
	}
	return accepted, nil
}

func (a Accepted) has(r Risk) bool { return slices.Contains(a, r) }

// unless returns a *RiskError that says why, unless the risk is accepted.
func (a Accepted) unless(r Risk, why string, args ...any) error {
	if a.has(r) {
		return nil
	}
	return &RiskError{r, fmt.Sprintf(why, args...)}
}

func list[S ~string](names []S) string {
	var out []string
	for _, name := range names {
		out = append(out, string(name))
	}
	return strings.Join(out, ", ")
}

// RiskError refuses something dangerous that was asked for and not accepted.
type RiskError struct {
	Risk Risk
	// Why says what would happen, as a clause.
	Why string
}

func (e *RiskError) Error() string { return e.Why }

// Request is what an admin asks a tenant to be.
type Request struct {
	// Tenant holds what was said; zero fields were not, and stay as they are or
	// get their defaults.
	Tenant tenant.Tenant
	// DefaultNamespace is put first among the tenant's namespaces.
	DefaultNamespace string
	// Unset are the settings that go back to their defaults; a list or map that is empty
	// and not nil does, too.
	Unset []Setting
	// ClientVersion is that of the admin's Helm 2, which the Tiller follows
	// where nobody asked for a version; empty where there is none.
	ClientVersion string
	// CreateNamespaces makes namespaces that are missing.
	CreateNamespaces bool
	// Share lets the tenant have a namespace that belongs to another.
	Share bool
	// Adopt takes over objects that are there and were not made by helm-tenant.
	Adopt bool
	// Leaving are releases that leave the Tiller before it is adopted: what they hold does not
	// count.
	Leaving map[string]bool
	// Prune takes namespaces away that are not asked for.
	Prune bool
	// Exact makes the tenant just what is asked: settings, namespaces and
	// members that are not named go, as a tenants file says.
	Exact bool
	// DefaultEngine is that of a tenant which is new and of which nobody said it.
	DefaultEngine tenant.Engine
	// Freeze asks for a freeze and Thaw for its end, and for nothing else; Now is the time
	// at which one begins.
	Freeze *tenant.Freeze
	Thaw   bool
	Now    time.Time
	// File are all tenants of the tenants file of which this is one: a selector does not
	// choose what another tenant of the file names. It is nil for a request of its own.
	File []tenant.Tenant
	// leftOut says of namespaces that match the tenant's selector why it can't have them.
	leftOut []string
	// offline says that there is no cluster to look at; see Render.
	offline bool
	// LeaveReleases lets one of a tenant's two engines go though there are release
	// records that only it can read.
	LeaveReleases bool
	// Migrating lets a tenant be written that is being migrated. Whatever disappeared
	// meanwhile does not hold it up: a namespace that is gone or being deleted is left out,
	// unless CreateNamespaces makes it, and so is a role that does not exist.
	Migrating bool
	// StartTiller makes the Deployment of a tenant that is being migrated, or that receives
	// releases, too.
	StartTiller bool
	// Receiving is the state of a tenant to which releases of another Tiller are copied: it
	// is put on the tenant's record, and the tenant's Tiller is not made before it ends. A
	// tenant that is in another migration is refused.
	Receiving *tenant.Migration
	// Resumed says that an earlier run of the same split made the tenant: its home is its own,
	// though the namespaces that led to it are gone.
	Resumed bool
	// Preview has the live objects named that the guard would refuse.
	Preview  bool
	Accepted Accepted
}

// check refuses what can be refused without looking at the cluster.
func (r Request) check() error {
	if err := tenant.CheckName(r.Tenant.Name); err != nil {
		return Invalid{err}
	}
	if r.Freeze != nil {
		if err := tenant.CheckFreezeReason(r.Freeze.Reason); err != nil {
			return Invalid{err}
		}
	}
	for _, as := range tenant.Relations {
		if err := checkNamed(as, r.Tenant.Temporary.As(as).Subjects().With(r.Tenant.People(as)), r.Accepted); err != nil {
			return err
		}
	}
	return nil
}

// checkNamed refuses members, readers or owners that stand for nobody, or may do everything
// already, and, unless that is accepted, those that are everybody, every pod or every node. The
// errors are Invalid and *RiskError.
func checkNamed(as tenant.Relation, who tenant.Members, accepted Accepted) error {
	var open []string
	for _, s := range who {
		switch {
		case s == tenant.Group(tenant.GroupMasters):
			return Invalid{fmt.Errorf("%s: everybody in it can do everything in the cluster already, and no %s of a tenant can do more", s, as)}
		case s.Kind == rbacv1.GroupKind && strings.HasPrefix(s.Name, tenant.GroupAccounts+":") && len(validation.IsDNS1123Label(s.AccountsOf())) > 0:
			return Invalid{fmt.Errorf("%s: all service accounts of a namespace are %s:NAMESPACE", s, tenant.GroupAccounts)}
		}
	}
	for _, s := range who.Open() {
		open = append(open, s.Name)
	}
	if len(open) == 0 {
		return nil
	}
	article := "a"
	if as == tenant.RelationOwner {
		article = "an"
	}
	return accepted.unless(RiskEveryone, "%s as %s %s opens the tenant to everybody, every pod or every node that it stands for", strings.Join(open, ", "), article, as)
}

// merged returns the tenant that is recorded, changed to what is asked.
func (r Request) merged(was tenant.Tenant) tenant.Tenant {
	t, asked := was, r.Tenant
	t.Frozen, asked.Frozen = r.frozen(was), r.frozen(was)
	isNew := was.Name == ""
	if r.Exact {
		asked.Rails = r.rails(was, isNew, asked.AllNamespaces)
		return asked.WithDefaults()
	}
	t.Name = asked.Name
	t.Namespaces = slices.Clone(was.Namespaces)
	if r.Prune && len(asked.Namespaces) > 0 {
		t.Namespaces = nil
	}
	for _, ns := range asked.Namespaces {
		// Doubles within what was asked stay, to be found by Validate.
		if !slices.Contains(was.Namespaces, ns) || r.Prune {
			t.Namespaces = append(t.Namespaces, ns)
		}
	}
	if first := r.DefaultNamespace; first != "" {
		if index := slices.Index(t.Namespaces, first); index >= 0 {
			t.Namespaces = slices.Insert(slices.Delete(t.Namespaces, index, index+1), 0, first)
		}
	}
	// What somebody names stays when its label goes.
	t.Selected = slices.DeleteFunc(slices.Clone(was.Selected), func(ns string) bool {
		return !slices.Contains(t.Namespaces, ns) || slices.Contains(asked.Namespaces, ns) || ns == r.DefaultNamespace
	})
	if asked.AllNamespaces {
		t.AllNamespaces = true
	}
	set(&t.HomeNamespace, asked.HomeNamespace)
	set(&t.Role, asked.Role)
	set(&t.FluxAccount, asked.FluxAccount)
	set(&t.Engine, asked.Engine)
	if t.Engine == "" {
		t.Engine = r.DefaultEngine
	}
	if t.Engine == tenant.EngineImpersonation && was.Engine.Has(tenant.EngineTiller) {
		t.Tiller = tenant.Tiller{} // it goes
	}
	set(&t.Tiller.Image, asked.Tiller.Image)
	set(&t.Tiller.Version, asked.Tiller.Version)
	set(&t.Tiller.Storage, asked.Tiller.Storage)
	set(&t.Tiller.HistoryMax, asked.Tiller.HistoryMax)
	set(&t.Tiller.Replicas, asked.Tiller.Replicas)
	if asked.Tiller.Resources != nil {
		t.Tiller.Resources = asked.Tiller.Resources
	}
	if asked.Tiller.NodeSelector != nil {
		t.Tiller.NodeSelector = asked.Tiller.NodeSelector
	}
	if asked.Tiller.ImagePullSecrets != nil {
		t.Tiller.ImagePullSecrets = asked.Tiller.ImagePullSecrets
	}
	t.Rails = r.rails(was, isNew, t.AllNamespaces)
	for setting, value := range map[Setting]*string{SettingImage: &t.Tiller.Image, SettingVersion: &t.Tiller.Version, SettingContact: &t.Contact, SettingFluxAccount: &t.FluxAccount} {
		if slices.Contains(r.Unset, setting) {
			*value = ""
		}
	}
	return t.WithDefaults()
}

func set[T comparable](into *T, value T) {
	var zero T
	if value != zero {
		*into = value
	}
}
