package admin

import (
	"fmt"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"

	"helm-tenant/cluster"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// DefaultKubeVersion is the version of Kubernetes for which Render writes manifests where
// nobody says one: the oldest with all that the guard rails need.
const DefaultKubeVersion = "1.30"

// Manifests are the objects of a tenants file.
type Manifests struct {
	// Objects are in an order in which each finds what it needs.
	Objects []*unstructured.Unstructured
	// Notes are said of the tenant of that name.
	Notes map[string][]string
}

// Render returns the objects that the requests come to in an empty cluster of that
// version of Kubernetes, asking none. What only a cluster knows is not in them, and said
// in a note; what PrepareAll would refuse because of the requests alone is refused.
//
// A namespace of a tenant says that helm-tenant created it, and so may delete it again,
// only where the request has CreateNamespaces: whoever applies the manifests may find it
// there. now ends grants for a time.
func Render(requests []Request, kubeVersion string, now time.Time) (Manifests, error) {
	f, err := renderFacts(requests, kubeVersion)
	if err != nil {
		return Manifests{}, err
	}
	f.now = now
	m := Manifests{Notes: map[string][]string{}}
	var all cluster.Plan
	for _, r := range requests {
		r.offline = true
		if r.Tenant.NamespaceSelector != nil {
			return Manifests{}, &TenantError{r.Tenant.Name, errSelectorOffline}
		}
		prepared, err := decide(f, r)
		if err != nil {
			return Manifests{}, &TenantError{r.Tenant.Name, err}
		}
		m.Notes[r.Tenant.Name] = append(prepared.Warnings, prepared.Notes...)
		if prepared.Tenant.Guard != tenant.GuardOff && f.live.Serves("ValidatingAdmissionPolicy") {
			m.Notes[r.Tenant.Name] = append(m.Notes[r.Tenant.Name], notePriorities)
		}
		for _, change := range prepared.Plan.Changes {
			if isShared(change.Key) && slices.ContainsFunc(all.Changes, func(c cluster.Change) bool { return c.Key == change.Key }) {
				continue
			}
			all.Changes = append(all.Changes, change)
		}
	}
	m.Objects = all.Objects()
	return m, nil
}

// notePriorities is what Render takes a cluster to be like.
const notePriorities = "the guard of pod priorities is for a cluster without PriorityClasses of its own; on one that has some, an init or apply adapts it"

// TenantError is what is wrong with one tenant of several.
type TenantError struct {
	Name string
	Err  error
}

func (e *TenantError) Error() string { return fmt.Sprintf("tenant %q: %v", e.Name, e.Err) }
func (e *TenantError) Unwrap() error { return e.Err }

// renderFacts are those of a cluster that holds nothing but the ClusterRoles which the
// requests name: what they grant is only known of cluster-admin.
func renderFacts(requests []Request, kubeVersion string) (*facts, error) {
	v, err := version.ParseGeneric(kubeVersion)
	if err != nil {
		return nil, fmt.Errorf("%q is not a version of Kubernetes, such as %s", kubeVersion, DefaultKubeVersion)
	}
	var unserved []string
	if v.LessThan(version.MajorMinor(1, 30)) {
		unserved = []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
	}
	roles := map[string]runtime.Object{}
	for _, r := range requests {
		name := r.Tenant.WithDefaults().Role
		if rbac.MadeOf(name) != nil {
			return nil, &TenantError{r.Tenant.Name, fmt.Errorf("ClusterRole %q is made of roles that only a cluster has: apply the file to one, or name another role", name)}
		}
		role := &rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: name}}
		if name == tenant.DefaultClusterRole {
			role.Rules = []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}
		}
		roles[name] = role
	}
	var objects []runtime.Object
	for _, role := range roles {
		objects = append(objects, role)
	}
	live, err := cluster.LiveOf(objects, unserved...)
	if err != nil {
		return nil, err
	}
	return &facts{live: live, homes: map[string][]string{}, foreign: foreignGrants{}}, nil
}
