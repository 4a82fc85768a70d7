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

// check refuses what must not be, or not without a word that accepts it.
func (b *builder) check() error {
	t, accepted := b.tenant, b.request.Accepted
	if b.live.Get(cluster.Key{Kind: "ClusterRole", Name: t.Role}) == nil {
		return Invalid{fmt.Errorf("role: ClusterRole %q does not exist", t.Role)}
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

// notLeaving says whether a namespace is being deleted: nothing can be made in
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
