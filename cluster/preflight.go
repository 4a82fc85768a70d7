package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/rails"
)

// Permission is a verb on a resource that the caller must be allowed to use.
type Permission struct {
	Verb, Group, Resource, Name, Namespace string
}

// Impersonation returns the permission to act as a service account.
func Impersonation(namespace, account string) Permission {
	return Permission{Verb: "impersonate", Resource: "serviceaccounts", Name: account, Namespace: namespace}
}

func (p Permission) String() string {
	resource := p.Resource
	if p.Group != "" {
		resource += "." + p.Group
	}
	if p.Name != "" {
		resource += "/" + p.Name
	}
	if p.Namespace == "" {
		return fmt.Sprintf("%s %s in the cluster", p.Verb, resource)
	}
	return fmt.Sprintf("%s %s in namespace %s", p.Verb, resource, p.Namespace)
}

// Preflight asks the API server what the caller may do. Plans share its answers: where
// they are the same for all namespaces, a thousand tenants need no more requests than
// one.
type Preflight struct {
	client *Client
	live   *Live
	mutex  sync.Mutex
	asked  map[Permission]bool
}

// NewPreflight makes a Preflight without requests. live is what the plans are based on.
func (c *Client) NewPreflight(live *Live) *Preflight {
	return &Preflight{client: c, live: live, asked: map[Permission]bool{}}
}

// Missing returns the permissions that the caller lacks to make every change of the plan,
// by SelfSubjectAccessReviews. They include what RBAC requires of those who write roles
// and bindings: to hold the rights that they give away, or the verbs bind or escalate
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping).
func (p *Preflight) Missing(ctx context.Context, plan *Plan) ([]Permission, error) {
	var needed []Permission
	for _, change := range plan.Changes {
		needed = append(needed, permissions(change)...)
	}
	missing, err := p.missing(ctx, needed)
	if err != nil {
		return nil, err
	}
	if len(missing) == 0 {
		if missing, err = p.unclaimable(ctx, plan); err != nil {
			return nil, err
		}
	}
	for _, change := range plan.Changes {
		if change.Object == nil || change.Action == Update && !grantsMore(change) {
			continue
		}
		escalation, err := p.escalation(ctx, plan, change)
		if err != nil {
			return nil, err
		}
		missing = append(missing, escalation...)
	}
	return sorted(missing), nil
}

// unclaimable returns the permissions that the caller lacks by the admission policy that
// reserves helm-tenant's labels on namespaces (rails.Reserving). Callers without cluster-wide
// rights may not see whether the API server has the policy: a dry run shows that.
func (p *Preflight) unclaimable(ctx context.Context, plan *Plan) ([]Permission, error) {
	wide := Permission{Verb: "create", Group: rbacv1.GroupName, Resource: "rolebindings"}
	var missing []Permission
	for _, change := range plan.Changes {
		if change.Key.Kind != "Namespace" || !p.live.Serves(KindPolicy) {
			continue
		}
		claim := Permission{Verb: rails.VerbClaim, Group: rails.GroupClaim, Resource: rails.ResourceClaim, Name: change.Key.Name}
		for _, enough := range []Permission{wide, claim} {
			if err := p.ask(ctx, []Permission{enough}); err != nil {
				return nil, err
			}
			if p.knows(enough) {
				break
			}
		}
		if p.knows(wide) || p.knows(claim) {
			continue
		}
		// Any other error of the dry run is one of the write itself.
		if err := p.client.tryWrite(ctx, change); err != nil && rails.IsReservation(err.Error()) {
			missing = append(missing, claim)
		}
	}
	return missing, nil
}

// sorted returns each of the permissions once, in a stable order.
func sorted(permissions []Permission) []Permission {
	slices.SortFunc(permissions, func(a, b Permission) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(permissions)
}

// Missing returns the permissions that the caller lacks, sorted. A permission in a
// namespace is left out if the same one is missing, or allowed, for the whole cluster.
func (c *Client) Missing(ctx context.Context, needed []Permission) ([]Permission, error) {
	missing, err := c.NewPreflight(NewLive()).missing(ctx, sorted(slices.Clone(needed)))
	return slices.DeleteFunc(sorted(missing), func(p Permission) bool {
		wide := Permission{Verb: p.Verb, Group: p.Group, Resource: p.Resource}
		return p != wide && slices.Contains(missing, wide)
	}), err
}

func permissions(change Change) []Permission {
	k := kinds[change.Key.Kind]
	p := Permission{Group: k.resource.Group, Resource: k.resource.Resource, Namespace: change.Key.Namespace, Name: change.Key.Name}
	if change.Key.Kind == "Namespace" {
		// The authorizer takes a namespace to be inside itself
		// (k8s.io/apiserver/pkg/endpoints/request, RequestInfo).
		p.Namespace = change.Key.Name
	}
	switch change.Action {
	case Create:
		p.Name = "" // the authorizer does not get the name of a created object
		p.Verb = "create"
		if change.Key.Kind == "Namespace" {
			p.Namespace = ""
		}
		return []Permission{p}
	case Update:
		p.Verb = "update"
		return []Permission{p}
	}
	needed := []Permission{p}
	needed[0].Verb = "delete"
	if len(change.Finalizers()) > 0 {
		p.Verb = "update"
		needed = append(needed, p)
	}
	if change.Action == Replace {
		p.Verb, p.Name = "create", ""
		needed = append(needed, p)
	}
	return needed
}

// grantsMore reports whether a change of a role or binding is one for which the API
// server checks for privilege escalation.
func grantsMore(change Change) bool {
	return slices.ContainsFunc(change.Fields, func(f Field) bool {
		return under(f.Path, "rules") || under(f.Path, "subjects") || under(f.Path, "roleRef")
	})
}

// missing returns the permissions that the caller lacks. Each is first asked for the
// whole cluster, which answers for every namespace.
func (p *Preflight) missing(ctx context.Context, needed []Permission) ([]Permission, error) {
	wide := map[Permission]bool{}
	var order []Permission
	for _, permission := range needed {
		permission.Namespace, permission.Name = "", ""
		if !wide[permission] {
			wide[permission] = true
			order = append(order, permission)
		}
	}
	if err := p.ask(ctx, order); err != nil {
		return nil, err
	}
	var narrow []Permission
	for _, permission := range needed {
		inCluster := permission
		inCluster.Namespace, inCluster.Name = "", ""
		if !p.knows(inCluster) {
			narrow = append(narrow, permission)
		}
	}
	if err := p.ask(ctx, narrow); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(narrow, p.knows), nil
}

func (p *Preflight) knows(permission Permission) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.asked[permission]
}

func (p *Preflight) ask(ctx context.Context, permissions []Permission) error {
	p.mutex.Lock()
	permissions = slices.DeleteFunc(slices.Clone(permissions), func(permission Permission) bool {
		_, known := p.asked[permission]
		return known
	})
	p.mutex.Unlock()
	return concurrently(len(permissions), Width, func(i int) error {
		permission := permissions[i]
		review := authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: permission.attributes()}}
		review.APIVersion, review.Kind = authorizationv1.SchemeGroupVersion.String(), "SelfSubjectAccessReview"
		if err := p.client.ask(ctx, "selfsubjectaccessreviews", &review); err != nil {
			return err
		}
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.asked[permission] = review.Status.Allowed
		return nil
	})
}

// escalation returns the permissions that the caller lacks to give away the rights in a
// role or binding that is written.
func (p *Preflight) escalation(ctx context.Context, plan *Plan, change Change) ([]Permission, error) {
	group := rbacv1.GroupName
	switch change.Key.Kind {
	case "Role", "ClusterRole":
		var role rbacv1.Role // the fields in use are those of a ClusterRole
		if err := Typed(change.Object, &role); err != nil {
			return nil, err
		}
		needed := Permission{Verb: "escalate", Group: group, Resource: kinds[change.Key.Kind].resource.Resource, Name: role.Name, Namespace: role.Namespace}
		return p.unlessHeld(ctx, needed, role.Rules)
	case "RoleBinding", "ClusterRoleBinding":
		var binding rbacv1.RoleBinding // the fields in use are those of a ClusterRoleBinding
		if err := Typed(change.Object, &binding); err != nil {
			return nil, err
		}
		resource := "clusterroles"
		if binding.RoleRef.Kind == "Role" {
			resource = "roles"
		}
		needed := Permission{Verb: "bind", Group: group, Resource: resource, Name: binding.RoleRef.Name, Namespace: binding.Namespace}
		rules, err := p.rules(plan, binding)
		if err != nil {
			return nil, err
		}
		return p.unlessHeld(ctx, needed, rules)
	}
	return nil, nil
}

// rules returns the rules of the role to which a binding refers, wanted or live.
func (p *Preflight) rules(plan *Plan, binding rbacv1.RoleBinding) ([]rbacv1.PolicyRule, error) {
	key := Key{Kind: binding.RoleRef.Kind, Name: binding.RoleRef.Name}
	if key.Kind == "Role" {
		key.Namespace = binding.Namespace
	}
	object := p.live.Get(key)
	for _, change := range plan.Changes {
		if change.Key == key && change.Object != nil {
			object = change.Object
		}
	}
	if object == nil {
		// The role is not known, so that only the verb bind helps.
		object = &unstructured.Unstructured{Object: map[string]any{"rules": []any{map[string]any{
			"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}}}
	}
	var role rbacv1.Role
	err := Typed(object, &role)
	return role.Rules, err
}

// Rules asks the API server which rules the caller holds in a namespace, including those
// of the whole cluster. complete is false if an authorizer could not list all of them, as
// webhooks can't.
func (c *Client) Rules(ctx context.Context, namespace string) (held []rbacv1.PolicyRule, complete bool, err error) {
	review := authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
	review.APIVersion, review.Kind = authorizationv1.SchemeGroupVersion.String(), "SelfSubjectRulesReview"
	if err := c.ask(ctx, "selfsubjectrulesreviews", &review); err != nil {
		return nil, false, err
	}
	for _, rule := range review.Status.ResourceRules {
		held = append(held, rbacv1.PolicyRule{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames})
	}
	for _, rule := range review.Status.NonResourceRules {
		held = append(held, rbacv1.PolicyRule{Verbs: rule.Verbs, NonResourceURLs: rule.NonResourceURLs})
	}
	return held, !review.Status.Incomplete, nil
}

// unlessHeld returns the permission if the caller neither has it nor holds all of the
// rules in its namespace.
func (p *Preflight) unlessHeld(ctx context.Context, needed Permission, rules []rbacv1.PolicyRule) ([]Permission, error) {
	missing, err := p.missing(ctx, []Permission{needed})
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	if needed.Namespace == "" {
		// A SelfSubjectRulesReview answers for one namespace only; for the cluster, the
		// single question for everything remains.
		everything, err := p.missing(ctx, []Permission{{Verb: "*", Group: "*", Resource: "*"}})
		if err != nil || len(everything) == 0 {
			return nil, err
		}
		return missing, nil
	}
	held, _, err := p.client.Rules(ctx, needed.Namespace)
	if err != nil {
		return nil, err
	}
	// The API server checks with the same function.
	if covers, _ := validation.Covers(held, rules); covers {
		return nil, nil
	}
	return missing, nil
}
