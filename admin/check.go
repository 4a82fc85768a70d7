package admin

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

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

// Setting is what a tenant has, by the path of its field in a tenants file.
type Setting string

const (
	SettingHome       Setting = "homeNamespace"
	SettingNamespaces Setting = "namespaces"
	SettingRole       Setting = "role"
	SettingStorage    Setting = "tiller.storage"
)

// RefusedError is a request that what the cluster holds does not allow.
type RefusedError struct {
	// Why is a clause.
	Why string
	// Setting is what would have to be asked otherwise.
	Setting Setting
	// Value is the only one that is possible, empty where there are others.
	Value string
}

func (e *RefusedError) Error() string { return e.Why }

// EngineError is a change of engines that a tenant can't make in one step.
type EngineError struct {
	Name     string
	From, To tenant.Engine
}

func (e *EngineError) Error() string {
	return fmt.Sprintf("tenant %q has the engine %s, which can't become %s at once", e.Name, e.From, e.To)
}

// LeftReleasesError names releases that no deployer of the tenant could manage.
type LeftReleasesError struct {
	Name     string
	Engine   tenant.Engine
	Releases []string
}

func (e *LeftReleasesError) Error() string {
	return fmt.Sprintf("tenant %q has releases that the engine %s can't manage: %s", e.Name, e.Engine, brief(e.Releases))
}

// check refuses what must not be, or not without a word that accepts it.
func (b *builder) check() error {
	t, accepted := b.tenant, b.request.Accepted
	if b.live.Get(cluster.Key{Kind: "ClusterRole", Name: t.Role}) == nil {
		return &RefusedError{fmt.Sprintf("ClusterRole %q does not exist", t.Role), SettingRole, ""}
	}
	if t.AllNamespaces && !accepted.has(RiskClusterWide) {
		return &RiskError{RiskClusterWide, fmt.Sprintf("%s for all namespaces, with the role %s, makes everybody who may use tenant %q an admin of the cluster", b.deployer(), t.Role, t.Name)}
	}
	var missing []string
	for _, ns := range b.claimed() {
		live := b.live.Get(namespaceKey(ns))
		if live == nil {
			missing = append(missing, ns)
			continue
		}
		if err := notLeaving(live); err != nil {
			return err
		}
		for owner, homes := range b.homes {
			if slices.Contains(homes, ns) {
				return &RefusedError{fmt.Sprintf("namespace %q is the home namespace of tenant %q and can't be one of a tenant's namespaces", ns, owner), SettingNamespaces, ""}
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
	if t.Engine.Has(tenant.EngineTiller) && t.Tiller.Storage == tenant.StorageConfigMap && !b.live.Serves("ValidatingAdmissionPolicy") && !accepted.has(RiskOpenRecords) {
		return &RiskError{RiskOpenRecords, "with ConfigMap storage a chart could write the tenant's own record, and this API server is too old for the admission policy that prevents it"}
	}
	return b.checkHome()
}

// isSystem says whether a namespace is one that Kubernetes itself makes
// (k8s.io/kubernetes/pkg/controlplane/controller/systemnamespaces).
func isSystem(ns string) bool {
	return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease"
}

// notLeaving is an error where a namespace is being deleted: nothing can be made in
// it any more.
func notLeaving(namespace *unstructured.Unstructured) error {
	if namespace.GetDeletionTimestamp() == nil {
		return nil
	}
	return fmt.Errorf("namespace %q is being deleted; try again when it is gone", namespace.GetName())
}

func (b *builder) checkHome() error {
	t := b.tenant
	live := b.live.Get(namespaceKey(t.Home()))
	if live == nil {
		return nil
	}
	if err := notLeaving(live); err != nil {
		return err
	}
	if owner := live.GetLabels()[tenant.LabelTenant]; owner != "" && owner != t.Name {
		return &RefusedError{fmt.Sprintf("home namespace %q belongs to tenant %q", t.Home(), owner), SettingHome, ""}
	}
	for owner, homes := range b.homes {
		if owner != t.Name && slices.Contains(homes, t.Home()) {
			return &RefusedError{fmt.Sprintf("namespace %q is the home of tenant %q already", t.Home(), owner), SettingHome, ""}
		}
	}
	labelled := live.GetLabels()[tenant.LabelTenant] == t.Name
	if !labelled && b.request.Tenant.HomeNamespace == "" && !b.request.Adopt {
		return &cluster.NotOursError{Keys: []cluster.Key{namespaceKey(t.Home())}}
	}
	accepted := b.request.Accepted.has(RiskSharedHome) || t.AllNamespaces && b.request.Accepted.has(RiskClusterWide)
	if b.shared && !accepted {
		why := fmt.Sprintf("members of tenant %q could reach every pod there, and its Tiller every %s", t.Name, t.Tiller.Storage)
		if !t.Engine.Has(tenant.EngineTiller) {
			why = fmt.Sprintf("whoever may create pods or tokens there can act as tenant %q", t.Name)
		}
		return &RiskError{RiskSharedHome, fmt.Sprintf("namespace %q holds other things: %s", t.Home(), why)}
	}
	return nil
}

// deployer is what acts for the tenant, in words.
func (b *builder) deployer() string {
	if b.tenant.Engine.Has(tenant.EngineTiller) {
		return "a Tiller"
	}
	return "a service account"
}
