// Package admin has the changes that an admin makes to tenants. It reads the state of the
// cluster (gather), decides which objects are wanted and what is refused (decide, which
// is pure), and writes the difference (Write). A dry run ends after the second step.
package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// Risk is a danger that an admin must accept by name.
type Risk string

const (
	// RiskClusterWide lets a tenant act in all namespaces.
	RiskClusterWide Risk = "cluster-wide"
	// RiskSharedHome puts a Tiller into a namespace with objects of others.
	RiskSharedHome Risk = "shared-home"
	// RiskEveryone makes a group of everybody a member, reader or owner.
	RiskEveryone Risk = "everyone"
	// RiskSystemNamespace gives a tenant a namespace of Kubernetes.
	RiskSystemNamespace Risk = "system-namespace"
	// RiskOpenRecords lets a chart write the tenant's own record.
	RiskOpenRecords Risk = "open-records"
	// RiskNodeAccess lets a tenant's pods take over the node, and everything on it.
	RiskNodeAccess Risk = "node-access"
	// RiskNoGuard leaves a tenant without the admission policies.
	RiskNoGuard Risk = "no-guard"
	// RiskReadsSecrets lets readers read every Secret of the tenant's namespaces.
	RiskReadsSecrets Risk = "reads-secrets"
	// RiskOwnerOfCluster gives owners to a tenant that can take over more than itself.
	RiskOwnerOfCluster Risk = "owner-of-cluster"
	// RiskUnheldOwners gives owners to a tenant where no admission policy limits them.
	RiskUnheldOwners Risk = "unheld-owners"
	// RiskViolatingPods sets a PodSecurity level that pods violate.
	RiskViolatingPods Risk = "violating-pods"
)

// Risks are all risks that can be accepted.
var Risks = []Risk{RiskClusterWide, RiskSharedHome, RiskEveryone, RiskSystemNamespace, RiskOpenRecords, RiskNodeAccess, RiskNoGuard, RiskViolatingPods, RiskReadsSecrets, RiskOwnerOfCluster, RiskUnheldOwners, RiskOutsideReleases, RiskClusterObjects, RiskOtherContainers, RiskMissingReleases, RiskNamespaceWriter, RiskUnmatchedRecords}

// Accepted has the risks that an admin accepted.
type Accepted []Risk

// ParseAccepted parses the names of risks.
func ParseAccepted(names []string) (Accepted, error) {
	var accepted Accepted
	for _, name := range names {
		if !slices.Contains(Risks, Risk(name)) {
			return nil, fmt.Errorf("--accept-risk: %q is not one of %s", name, strings.Join(lists.Strings(Risks), ", "))
		}
		accepted = append(accepted, Risk(name))
	}
	return accepted, nil
}

func (a Accepted) has(r Risk) bool { return slices.Contains(a, r) }

// unless returns nil if the risk is accepted, otherwise a *RiskError with the reason why.
func (a Accepted) unless(r Risk, why string, args ...any) error {
	if a.has(r) {
		return nil
	}
	return &RiskError{r, fmt.Sprintf(why, args...)}
}

// RiskError refuses a danger that was asked for and not accepted.
type RiskError struct {
	Risk Risk
	// Why is the consequence, as a clause.
	Why string
}

func (e *RiskError) Error() string { return e.Why }

// Request is an admin's request for a tenant.
type Request struct {
	// Tenant has the requested settings. Zero fields were not requested: they keep their
	// value, or get their default.
	Tenant tenant.Tenant
	// DefaultNamespace becomes the first of the tenant's namespaces.
	DefaultNamespace string
	// Unset has the settings that return to their defaults. So do lists and maps that are
	// empty and not nil.
	Unset []Setting
	// ClientVersion is the version of the admin's Helm 2, which Tiller gets by default;
	// empty if there is no Helm 2.
	ClientVersion string
	// CreateNamespaces creates missing namespaces.
	CreateNamespaces bool
	// Share lets the tenant have a namespace that belongs to another tenant.
	Share bool
	// Adopt takes over objects that exist and were not made by helm-tenant.
	Adopt bool
	// Leaving has the releases that leave the Tiller before it is adopted: their objects
	// do not count.
	Leaving map[string]bool
	// Prune takes away namespaces that are not requested.
	Prune bool
	// Exact makes the tenant exactly what is requested, as a tenants file does: settings,
	// namespaces and members that are not named are removed.
	Exact bool
	// DefaultEngine is the engine of a new tenant for which none is requested.
	DefaultEngine tenant.Engine
	// Freeze asks for a freeze, Thaw for its end; the request then changes nothing else.
	// Now is the time at which a freeze begins.
	Freeze *tenant.Freeze
	Thaw   bool
	Now    time.Time
	// File has all tenants of the tenants file that this one comes from: a selector does
	// not choose namespaces that another tenant of the file names. It is nil without a
	// file.
	File []tenant.Tenant
	// engineFrom is the Tiller that DefaultEngine comes from, if it is not that of the
	// admin's helm; see withAdoptedEngines.
	engineFrom string
	// leftOut has the reasons why the tenant can't have namespaces that match its
	// selector.
	leftOut []string
	// offline reports whether there is no cluster to read; see Render.
	offline bool
	// LeaveReleases allows one of a tenant's two engines to be removed although there are
	// release records that only it can read.
	LeaveReleases bool
	// Migrating allows a tenant to be written that is being migrated. What has been
	// deleted in the meantime does not block it: a missing or terminating namespace is
	// left out, unless CreateNamespaces creates it, and so is a missing role.
	Migrating bool
	// StartTiller creates the Deployment of a tenant that is being migrated, or that
	// receives releases.
	StartTiller bool
	// Receiving is the state of a tenant to which releases of another Tiller are copied.
	// It is written to the tenant's record, and the tenant's Tiller is not created before
	// it ends. A tenant that is in another migration is refused.
	Receiving *tenant.Migration
	// Resumed reports whether an earlier run of the same split made the tenant: then its
	// home is its own, although the namespaces that referred to it were deleted.
	Resumed bool
	// NoteRefused notes the live objects that the guard would refuse from now on.
	NoteRefused bool
	// Disconnect asks to end the open connections of members that the tenant loses.
	Disconnect bool
	Accepted   Accepted
}

// Check finds what is wrong with a request without reading the cluster; the error is Invalid.
// An invalid tenant's name is returned with all else that is wrong with the tenant, since no
// record could complete it.
func (r Request) Check() error {
	var problems Invalid
	if tenant.CheckName(r.Tenant.Name) != nil {
		problems = append(r.merged(tenant.Tenant{}).Validate(), r.misnamed()...)
	}
	if r.Freeze != nil {
		if err := tenant.CheckFreezeReason(r.Freeze.Reason); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return problems
}

// people returns whom the request lets in as that relation, for good or for a time.
func (r Request) people(as tenant.Relation) tenant.Members {
	return r.Tenant.Temporary.As(as).Subjects().With(r.Tenant.People(as))
}

// misnamed finds people of the request that no tenant can have.
func (r Request) misnamed() []error {
	var problems []error
	for _, as := range tenant.Relations {
		problems = append(problems, misnamedSubjects(as, r.people(as))...)
	}
	return problems
}

// checkOpen refuses people that stand for everybody, every pod or nodes, unless the risk is
// accepted.
func (d *decision) checkOpen() error {
	refusals := lists.Map(tenant.Relations, func(as tenant.Relation) error {
		return checkOpenSubjects(as, d.request.people(as), d.request.Accepted)
	})
	return refuse(refusals...)
}

// checkNamed refuses members, readers or owners that are nobody, that have all rights already,
// or that are Kubernetes' own programs. Unless the risk is accepted it also refuses subjects
// that stand for everybody, every pod or nodes. The errors are Invalid and *RiskError.
func checkNamed(as tenant.Relation, subjects tenant.Members, accepted Accepted) error {
	if problems := misnamedSubjects(as, subjects); len(problems) > 0 {
		return Invalid(problems)
	}
	return checkOpenSubjects(as, subjects, accepted)
}

// misnamedSubjects finds members, readers or owners that stand for nobody, or may do everything
// already.
func misnamedSubjects(as tenant.Relation, subjects tenant.Members) []error {
	var problems []error
	for _, s := range subjects {
		switch {
		case s == tenant.Group(tenant.GroupMasters), s == tenant.Group(tenant.GroupClusterAdmins):
			problems = append(problems, fmt.Errorf("%s: everybody in it can do everything in the cluster already, and no %s of a tenant can do more", s, as))
		case s.IsComponent():
			problems = append(problems, fmt.Errorf("%s: one of Kubernetes' own programs or nodes, which runs no helm: as %s it would let in whoever takes its credentials", s, as.Noun()))
		case s.Kind == rbacv1.GroupKind && strings.HasPrefix(s.Name, tenant.GroupAccounts+":") && len(validation.IsDNS1123Label(s.AccountsOf())) > 0:
			problems = append(problems, fmt.Errorf("%s: all service accounts of a namespace are %s:NAMESPACE", s, tenant.GroupAccounts))
		}
	}
	return problems
}

// checkOpenSubjects refuses members, readers or owners who are everybody, every pod or every node,
// unless that is accepted. The error is a *RiskError.
func checkOpenSubjects(as tenant.Relation, subjects tenant.Members, accepted Accepted) error {
	open := lists.Map(subjects.Open(), func(s tenant.Subject) string { return s.Name })
	if len(open) == 0 {
		return nil
	}
	return accepted.unless(RiskEveryone, "%s as %s opens the tenant to everybody, every pod or every node that it stands for", strings.Join(open, ", "), as.Noun())
}

// merged returns the recorded tenant with the requested changes.
func (r Request) merged(was tenant.Tenant) tenant.Tenant {
	t, asked := was, r.Tenant
	t.Frozen, asked.Frozen = r.frozen(was), r.frozen(was)
	if r.Exact {
		asked.Rails = r.rails(was, asked.AllNamespaces)
		return asked.WithDefaults()
	}
	t.Name = asked.Name
	t.Namespaces = slices.Clone(was.Namespaces)
	if r.Prune && len(asked.Namespaces) > 0 {
		t.Namespaces = nil
	}
	for _, ns := range asked.Namespaces {
		// Duplicates in the request stay, for Validate to find.
		if !slices.Contains(was.Namespaces, ns) || r.Prune {
			t.Namespaces = append(t.Namespaces, ns)
		}
	}
	if first := r.DefaultNamespace; first != "" {
		if index := slices.Index(t.Namespaces, first); index >= 0 {
			t.Namespaces = slices.Insert(slices.Delete(t.Namespaces, index, index+1), 0, first)
		}
	}
	// Namespaces that the request names stay when they lose the selector's label.
	t.Selected = slices.DeleteFunc(slices.Clone(was.Selected), func(ns string) bool {
		return !slices.Contains(t.Namespaces, ns) || slices.Contains(asked.Namespaces, ns) || ns == r.DefaultNamespace
	})
	if asked.AllNamespaces {
		t.AllNamespaces = true
	}
	setIfGiven(&t.HomeNamespace, asked.HomeNamespace)
	setIfGiven(&t.Role, asked.Role)
	setIfGiven(&t.FluxAccount, asked.FluxAccount)
	setIfGiven(&t.Engine, asked.Engine)
	if t.Engine == "" {
		t.Engine = r.DefaultEngine
	}
	if t.Engine == tenant.EngineImpersonation && was.Engine.Has(tenant.EngineTiller) {
		t.Tiller = tenant.Tiller{} // it is removed
	}
	setIfGiven(&t.Tiller.Image, asked.Tiller.Image)
	setIfGiven(&t.Tiller.Version, asked.Tiller.Version)
	setIfGiven(&t.Tiller.Storage, asked.Tiller.Storage)
	setIfGiven(&t.Tiller.HistoryMax, asked.Tiller.HistoryMax)
	setIfGiven(&t.Tiller.Replicas, asked.Tiller.Replicas)
	if asked.Tiller.Resources != nil {
		t.Tiller.Resources = asked.Tiller.Resources
	}
	if asked.Tiller.NodeSelector != nil {
		t.Tiller.NodeSelector = asked.Tiller.NodeSelector
	}
	if asked.Tiller.ImagePullSecrets != nil {
		t.Tiller.ImagePullSecrets = asked.Tiller.ImagePullSecrets
	}
	t.Rails = r.rails(was, t.AllNamespaces)
	for setting, value := range map[Setting]*string{SettingImage: &t.Tiller.Image, SettingVersion: &t.Tiller.Version, SettingContact: &t.Contact, SettingFluxAccount: &t.FluxAccount} {
		if slices.Contains(r.Unset, setting) {
			*value = ""
		}
	}
	return t.WithDefaults()
}

func setIfGiven[T comparable](into *T, value T) {
	var zero T
	if value != zero {
		*into = value
	}
}
