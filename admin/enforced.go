package admin

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"helm-tenant/cluster"
	"helm-tenant/rbac"
	"helm-tenant/refusal"
	"helm-tenant/tenant"
)

// The API server's authorizer and its admission plugins get roles, bindings, namespaces and
// policies by watches: what was written is enforced a moment later, on a busy API server after
// seconds. Verbs that say that something holds, or rely on it, wait for it.

// enforcePatience bounds a wait for the API server to enforce what was written.
const enforcePatience = 20 * time.Second

// errNotEnforced says that the wait was too short.
var errNotEnforced = errors.New("the API server does not enforce it yet")

// awaitEnforced calls look until it returns true or an error, for at most that time.
func awaitEnforced(ctx context.Context, patience time.Duration, look func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNotEnforced)
	defer cancel()
	err := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 1.5, Steps: math.MaxInt, Cap: 400 * time.Millisecond}.DelayFunc().Until(ctx, true, true, look)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// right is a permission of somebody else.
type right struct {
	user       string
	groups     []string
	permission cluster.Permission
}

// rightOf returns the right that tells a subject with the relation to a tenant from one without.
func rightOf(t tenant.Tenant, as tenant.Relation, subject tenant.Subject) right {
	r := right{user: subject.Username(), permission: cluster.Impersonation(t.Home(), tenant.HelmAccount)}
	switch {
	case as == tenant.RelationReader:
		r.permission.Name = tenant.ReaderAccount
	case as == tenant.RelationOwner:
		r.permission = cluster.Permission{Verb: "update", Group: rbacv1.GroupName, Resource: "rolebindings", Name: rbac.MemberName, Namespace: t.Home()}
	case !t.Engine.Has(tenant.EngineImpersonation):
		r.permission = cluster.Permission{Verb: "create", Resource: "pods/portforward", Namespace: t.Home()}
	}
	if subject.Kind == rbacv1.GroupKind {
		r.groups = []string{subject.Name}
	}
	return r
}

// awaitRights waits until the API server answers for each of the rights that it is held, or not.
// A caller who may not ask about others does not wait.
func awaitRights(ctx context.Context, c *cluster.Client, rights []right, held bool) error {
	next := 0
	err := awaitEnforced(ctx, enforcePatience, func(ctx context.Context) (bool, error) {
		for ; next < len(rights); next++ {
			r := rights[next]
			if allowed, err := c.AnotherMay(ctx, r.user, r.groups, r.permission); err != nil || allowed != held {
				return false, err
			}
		}
		return true, nil
	})
	if apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

// AwaitGranted waits until the API server enforces a grant.
func AwaitGranted(ctx context.Context, c *cluster.Client, m Membership) error {
	return awaitRights(ctx, c, m.rights(func(tenant.Subject) bool { return true }), true)
}

// AwaitRevoked waits until the API server enforces a revoke. It does not wait for subjects that
// have another way to the tenant.
func AwaitRevoked(ctx context.Context, c *cluster.Client, m Membership, hasAnother func(tenant.Subject) bool) error {
	return awaitRights(ctx, c, m.rights(func(s tenant.Subject) bool { return !hasAnother(s) }), false)
}

// rights returns the right of one subject for each relation that changed: the binding of a
// relation is one object, so that the others' rights change with it.
func (m Membership) rights(counts func(tenant.Subject) bool) []right {
	var rights []right
	for _, as := range tenant.Relations {
		for _, subject := range m.Changed[as] {
			if counts(subject) {
				rights = append(rights, rightOf(m.Tenant, as, subject))
				break
			}
		}
	}
	return rights
}

// awaitPowerless waits until the deployers of those engines have no rights to write the release
// records of a tenant: Tiller's are in its home, Helm 3's in the namespaces.
func awaitPowerless(ctx context.Context, c *cluster.Client, engine tenant.Engine, home string, namespaces []string) error {
	var rights []right
	add := func(account, resource, namespace string) {
		rights = append(rights, right{user: tenant.AccountUser(home, account), permission: cluster.Permission{Verb: "create", Resource: resource, Namespace: namespace}})
	}
	if engine.Has(tenant.EngineTiller) {
		add(tenant.TillerAccount, "secrets", home)
		add(tenant.TillerAccount, "configmaps", home)
	}
	if engine.Has(tenant.EngineImpersonation) {
		for _, namespace := range ends(namespaces) {
			add(tenant.HelmAccount, "secrets", namespace)
		}
	}
	return awaitRights(ctx, c, rights, false)
}

// AwaitInForce waits until the API server enforces the rights and the guard that an init wrote,
// as far as the caller can ask.
func AwaitInForce(ctx context.Context, c *cluster.Client, p *Prepared) error {
	t := p.Tenant
	if !p.Wrote || t.Frozen != nil {
		return nil
	}
	rights := Membership{Tenant: t, Changed: map[tenant.Relation]tenant.Members{tenant.RelationMember: t.Members}}.rights(func(tenant.Subject) bool { return true })
	deployer := tenant.AccountUser(t.Home(), t.Engine.DeployerAccounts()[0])
	if permission, known := p.grantedPermission(); known {
		for _, permission.Namespace = range ends(t.Namespaces) {
			rights = append(rights, right{user: deployer, permission: permission})
		}
	}
	if err := awaitRights(ctx, c, rights, true); err != nil {
		return err
	}
	if t.AllNamespaces { // whose home and namespaces no admission policy selects
		return nil
	}
	impersonator, err := c.NewImpersonator()
	if err != nil {
		return nil // the caller can't ask
	}
	if t.Engine.Has(tenant.EngineTiller) && servesPolicies(p.live) {
		if err := awaitRecords(ctx, impersonator, t); err != nil {
			return err
		}
	}
	if t.Guard != tenant.GuardEnforce {
		return nil
	}
	return awaitGuard(ctx, impersonator, t)
}

// awaitRecords waits until the admission policy of records refuses Tiller's account an object in
// the home that is no release record. If anything else refuses it, the answer does not show
// whether the policy would.
func awaitRecords(ctx context.Context, impersonator *cluster.Impersonator, t tenant.Tenant) error {
	resource, kind := "secrets", "Secret"
	if t.Tiller.Storage == tenant.StorageConfigMap {
		resource, kind = "configmaps", "ConfigMap"
	}
	return awaitRefused(ctx, impersonator, t, t.Home(), resource, `{"apiVersion":"v1","kind":"`+kind+`","metadata":{"generateName":"helm-tenant-records-"}}`)
}

// ends returns the first and the last: the bindings of all namespaces are written at once, and a
// watch delivers in order.
func ends(namespaces []string) []string {
	if len(namespaces) < 3 {
		return namespaces
	}
	return []string{namespaces[0], namespaces[len(namespaces)-1]}
}

// grantedPermission returns a permission that the deployer's role grants in each namespace; false
// if the role was not read.
func (p *Prepared) grantedPermission() (cluster.Permission, bool) {
	var role rbacv1.ClusterRole
	if found, err := p.live.Into(clusterRoleKey(p.Tenant.Role), &role); err != nil || !found {
		return cluster.Permission{}, false
	}
	for _, rule := range role.Rules {
		if len(rule.Verbs) > 0 && len(rule.APIGroups) > 0 && len(rule.Resources) > 0 && len(rule.ResourceNames) == 0 {
			return cluster.Permission{Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: rule.Resources[0]}, true
		}
	}
	return cluster.Permission{}, false
}

// awaitGuard waits until the guard's policies refuse a Service with an external address in the
// tenant's namespaces. If anything else refuses it, the answer does not show whether they
// would.
func awaitGuard(ctx context.Context, impersonator *cluster.Impersonator, t tenant.Tenant) error {
	for _, namespace := range ends(slices.DeleteFunc(slices.Clone(t.Namespaces), tenant.IsSystemNamespace)) {
		if err := awaitRefused(ctx, impersonator, t, namespace, "services", `{"apiVersion":"v1","kind":"Service","metadata":{"generateName":"helm-tenant-guard-"},"spec":{"ports":[{"port":80}],"externalIPs":["192.0.2.1"]}}`); err != nil {
			return err
		}
	}
	return nil
}

// awaitRefused waits until the API server refuses the tenant's deployer an object.
func awaitRefused(ctx context.Context, impersonator *cluster.Impersonator, t tenant.Tenant, namespace, resource, object string) error {
	return awaitEnforced(ctx, enforcePatience, func(ctx context.Context) (bool, error) {
		answer, err := tryDeployer(ctx, impersonator, t, namespace, resource, object)
		return answer.code != http.StatusCreated, err
	})
}

// deployerAnswer is the API server's answer to a write of a deployer, a Status if it is refused.
type deployerAnswer struct {
	code int
	metav1.Status
}

func (a deployerAnswer) by(policy string) bool {
	found, _ := refusal.Read(a.Message)
	return found.Policy == policy
}

// impersonation reports whether the API server refused that the caller acts as the deployer.
func (a deployerAnswer) impersonation() bool {
	return a.code == http.StatusForbidden && refusal.IsOfImpersonation(a.Message)
}

// tryDeployer tries, by a dry run, whether a tenant's deployer may create an object.
func tryDeployer(ctx context.Context, impersonator *cluster.Impersonator, t tenant.Tenant, namespace, resource, object string) (deployerAnswer, error) {
	user := tenant.AccountUser(t.Home(), t.Engine.DeployerAccounts()[0])
	path := "/api/v1/namespaces/" + namespace + "/" + resource
	code, text, err := impersonator.Do(ctx, user, nil, http.MethodPost, path, url.Values{"dryRun": {"All"}}, "application/json", []byte(object))
	answer := deployerAnswer{code: code}
	_ = json.Unmarshal(text, &answer.Status) // if the write was allowed, the answer is an object and no status
	return answer, err
}
