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
	"helm-tenant/failure"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// DefaultKubeVersion is the default Kubernetes version of Render: the oldest with
// everything that the guard rails need.
const DefaultKubeVersion = "1.30"

// Manifests has the objects of a tenants file.
type Manifests struct {
	// Objects are ordered so that each follows the objects that it needs.
	Objects []*unstructured.Unstructured
	// Notes has the notes by tenant name.
	Notes map[string][]string
}

// Render returns the objects of the requests for an empty cluster of that Kubernetes
// version, without asking any cluster. What only a cluster knows is left out, with a
// note. What PrepareAll would refuse because of the requests alone is refused, with an error
// that names the tenant, or Refusals of several.
//
// A tenant's namespace is marked as created by helm-tenant, which lets helm-tenant delete
// it again, only if the request has CreateNamespaces: whoever applies the manifests may
// find it there already. now is the time from which grants for a time run.
func Render(requests []Request, kubeVersion string, now time.Time) (Manifests, error) {
	f, err := renderFacts(requests, kubeVersion)
	if err != nil {
		return Manifests{}, err
	}
	f.now = now
	m := Manifests{Notes: map[string][]string{}}
	var all cluster.Plan
	var refusals []error
	for _, r := range requests {
		r.offline = true
		if r.Tenant.NamespaceSelector != nil {
			refusals = append(refusals, failure.OfTenant(r.Tenant.Name).Wrap(errSelectorOffline))
			continue
		}
		prepared, err := decide(f, r)
		if err != nil {
			for _, reason := range ReasonsOf(err) {
				refusals = append(refusals, failure.OfTenant(r.Tenant.Name).Wrap(reason))
			}
			continue
		}
		m.Notes[r.Tenant.Name] = append(prepared.Warnings, prepared.Notes...)
		if prepared.Tenant.Guard != tenant.GuardOff && f.live.Serves(cluster.KindPolicy) {
			m.Notes[r.Tenant.Name] = append(m.Notes[r.Tenant.Name], notePriorities)
		}
		for _, change := range prepared.Plan.Changes {
			if isShared(change.Key) && slices.ContainsFunc(all.Changes, func(c cluster.Change) bool { return c.Key == change.Key }) {
				continue
			}
			all.Changes = append(all.Changes, change)
		}
	}
	if err := refuse(refusals...); err != nil {
		return Manifests{}, err
	}
	m.Objects = all.Objects()
	return m, nil
}

const notePriorities = "the guard of pod priorities is for a cluster without PriorityClasses of its own; on one that has some, an init or apply adapts it"

// renderFacts returns the facts of a cluster that has nothing but the ClusterRoles which
// the requests name. Of these only cluster-admin's rules are known.
func renderFacts(requests []Request, kubeVersion string) (*facts, error) {
	v, err := version.ParseGeneric(kubeVersion)
	if err != nil {
		return nil, fmt.Errorf("%q is not a version of Kubernetes, such as %s", kubeVersion, DefaultKubeVersion)
	}
	var unserved []string
	if v.LessThan(version.MajorMinor(1, 30)) {
		unserved = []string{cluster.KindPolicy, cluster.KindPolicyBinding}
	}
	roles := map[string]runtime.Object{}
	for _, r := range requests {
		name := r.Tenant.WithDefaults().Role
		if rbac.MadeOf(name) != nil {
			return nil, failure.OfTenant(r.Tenant.Name).Wrap(fmt.Errorf("ClusterRole %q is made of roles that only a cluster has: apply the file to one, or name another role", name))
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
