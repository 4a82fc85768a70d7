package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/tenant"
)

// ReadDeniedError has the permissions to read that a request needs and the caller lacks.
type ReadDeniedError struct {
	Missing []cluster.Permission
	// Needed reports whether there is no way without them: neither a restriction to the
	// tenant's namespaces, nor a ClusterRole that helm-tenant prints.
	Needed bool
	// Lists reports whether the verb lists tenants, and writes nothing.
	Lists bool
}

func (e *ReadDeniedError) Error() string {
	text := "you may not read what this needs"
	if !e.Lists {
		text += ", and nothing was written"
	}
	if len(e.Missing) == 1 {
		return text + ": " + e.Missing[0].String()
	}
	return fmt.Sprintf("%s; %d permissions are missing:", text, len(e.Missing))
}

// Details returns the permissions, unless the error itself is the only one.
func (e *ReadDeniedError) Details() []string { return permissionLines(e.Missing) }

// readSet collects the permissions that reads need. scope has the namespaces to which a
// client is restricted; nil for the whole cluster.
type readSet struct {
	scope  []string
	needed []cluster.Permission
}

// list adds lists of resources over all namespaces. A resource of an API group other than
// the core's is written RESOURCE.GROUP.
func (s *readSet) list(resources ...string) {
	for _, resource := range resources {
		if s.scope == nil {
			s.add("list", resource, "", "")
			continue
		}
		for _, ns := range s.scope {
			s.add("list", resource, ns, "")
		}
	}
}

func (s *readSet) add(verb, resource, namespace, name string) {
	resource, group, _ := strings.Cut(resource, ".")
	s.needed = append(s.needed, cluster.Permission{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name})
}

const (
	rolesResource        = "roles." + rbacv1.GroupName
	roleBindingsResource = "rolebindings." + rbacv1.GroupName
	deploymentsResource  = "deployments.apps"
	policiesResource     = "networkpolicies.networking.k8s.io"
)

// tenants adds what an init and a destroy read of every tenant. A tenant without a Tiller
// and without network isolation has neither a Deployment nor a NetworkPolicy.
func (s *readSet) tenants(engine tenant.Engine, isolated bool) {
	if s.scope == nil {
		s.list("namespaces", "clusterrolebindings."+rbacv1.GroupName)
	}
	for _, ns := range s.scope {
		s.add("get", "namespaces", ns, ns)
	}
	s.list("serviceaccounts", "configmaps", rolesResource, roleBindingsResource)
	if engine.Has(tenant.EngineTiller) {
		s.list(deploymentsResource)
	}
	if engine.Has(tenant.EngineTiller) || isolated {
		s.list(policiesResource)
	}
}

// home adds what is read of a home namespace that helm-tenant did not create.
func (s *readSet) home(home string) {
	for _, resource := range []string{"secrets", "pods", "configmaps", "serviceaccounts", "services"} {
		s.add("list", resource, home, "")
	}
}

// migration adds what a migration reads: of a tenant that can't be found, what all need.
func (s *readSet) migration(ctx context.Context, c *cluster.Client, name string) {
	s.tenants(tenant.EngineBoth, false)
	s.add("get", "namespaces", "", "")
	s.add("get", "clusterroles."+rbacv1.GroupName, "", "")
	t, err := Find(ctx, c, name, "")
	if err != nil {
		return
	}
	for _, ns := range append([]string{t.Home()}, t.Namespaces...) {
		s.add("list", "secrets", ns, "")
		s.add("get", "secrets", ns, "")
	}
}

// inventory adds what a list of all tenants reads, with their people, Tillers and releases.
func (s *readSet) inventory() {
	s.list("namespaces", "configmaps", roleBindingsResource, deploymentsResource, "statefulsets.apps", "daemonsets.apps", "pods", "secrets")
}

func (s *readSet) proof() { s.list("namespaces", "configmaps", roleBindingsResource) }

// requested adds what an init of the request reads. live is what was read so far, nil for
// nothing.
func (s *readSet) requested(r Request, live *cluster.Live) {
	t := r.Tenant
	if t.Engine == "" {
		t.Engine = r.DefaultEngine
	}
	t = t.WithDefaults()
	s.tenants(t.Engine, t.Network == tenant.NetworkIsolated)
	if s.scope == nil {
		s.add("get", "namespaces", "", "")
		s.add("get", "clusterroles."+rbacv1.GroupName, "", "")
	}
	for _, ns := range t.Namespaces {
		s.add("get", roleBindingsResource, ns, "")
		if len(t.Quota) > 0 {
			s.add("get", "resourcequotas", ns, "")
		}
		if t.Limits != nil {
			s.add("get", "limitranges", ns, "")
		}
		if t.Network == tenant.NetworkIsolated {
			s.add("get", policiesResource, ns, "")
		}
	}
	if live == nil {
		return
	}
	home := live.Get(namespaceKey(t.Home()))
	if home == nil {
		return
	}
	for _, resource := range []string{"serviceaccounts", "configmaps", rolesResource, roleBindingsResource} {
		s.add("get", resource, t.Home(), "")
	}
	if t.Engine.Has(tenant.EngineTiller) {
		s.add("get", deploymentsResource, t.Home(), "")
		s.add("get", policiesResource, t.Home(), "")
	}
	if home.GetLabels()[tenant.LabelManagedBy] != tenant.ManagedBy {
		s.home(t.Home())
	}
}

// explainReads returns err; if err reports a missing permission to read, it returns a
// *ReadDeniedError with all missing permissions of the set.
func explainReads(ctx context.Context, c *cluster.Client, err error, fill func(*readSet)) error {
	denied, some := errors.AsType[*ReadDeniedError](err)
	if !some && !apierrors.IsForbidden(err) {
		return err
	}
	s := &readSet{scope: c.Scope()}
	if some {
		s.needed = slices.Clone(denied.Missing)
	}
	fill(s)
	missing, asking := c.Missing(ctx, s.needed)
	if asking != nil || len(missing) == 0 {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(ReasonsOf(err)), func(reason error) bool {
		_, read := errors.AsType[*ReadDeniedError](reason)
		return read || apierrors.IsForbidden(reason)
	})
	return refuse(append([]error{&ReadDeniedError{Missing: missing}}, others...)...)
}

func explainNeeded(ctx context.Context, c *cluster.Client, err error, fill func(*readSet)) error {
	err = explainReads(ctx, c, err, fill)
	if denied, ok := errors.AsType[*ReadDeniedError](err); ok {
		denied.Needed = true
	}
	return err
}

// ExplainLists is explainReads for a verb that lists tenants.
func ExplainLists(ctx context.Context, c *cluster.Client, err error) error {
	err = explainReads(ctx, c, err, (*readSet).inventory)
	if denied, ok := errors.AsType[*ReadDeniedError](err); ok {
		denied.Lists = true
	}
	return err
}

// explainUnseen returns the errors of lists without which a verb goes on, those for missing
// permissions as one *ReadDeniedError: who was told of the first only would meet the next.
func explainUnseen(ctx context.Context, c *cluster.Client, unseen []error) []error {
	index := slices.IndexFunc(unseen, apierrors.IsForbidden)
	if index < 0 {
		return unseen
	}
	denied, ok := errors.AsType[*ReadDeniedError](ExplainLists(ctx, c, unseen[index]))
	if !ok {
		return unseen
	}
	return append([]error{denied}, slices.DeleteFunc(unseen, apierrors.IsForbidden)...)
}

// checkSeen returns an error if a kind could not be listed of which one of the tenants, or of
// the states of one, has objects.
func checkSeen(live *cluster.Live, tenants ...tenant.Tenant) error {
	s := &readSet{}
	tiller := slices.ContainsFunc(tenants, func(t tenant.Tenant) bool { return t.Engine.Has(tenant.EngineTiller) })
	isolated := slices.ContainsFunc(tenants, func(t tenant.Tenant) bool { return t.Network == tenant.NetworkIsolated })
	if tiller && !live.Sees("Deployment") {
		s.list(deploymentsResource)
	}
	if (tiller || isolated) && !live.Sees("NetworkPolicy") {
		s.list(policiesResource)
	}
	if len(s.needed) == 0 {
		return nil
	}
	return &ReadDeniedError{Missing: s.needed}
}

// Scope returns a client that lists nothing over the whole cluster, only in the homes and
// namespaces of the requested tenants and of their records.
func Scope(ctx context.Context, c *cluster.Client, requests []Request) (*cluster.Client, error) {
	requests, err := withAdoptedEngines(ctx, c, requests)
	if err != nil {
		return nil, err
	}
	var scope []string
	for _, r := range requests {
		if err := r.Check(); err != nil {
			return nil, err
		}
		t := r.Tenant
		if t.AllNamespaces {
			return nil, failure.Naming(fmt.Errorf("tenant %q is of all namespaces: it can't be looked at without reading the whole cluster", t.Name), failure.Tenant(t.Name))
		}
		if t.NamespaceSelector != nil {
			return nil, failure.Naming(fmt.Errorf("tenant %q has a namespaceSelector, which can't be resolved without listing the cluster's namespaces: name its namespaces", t.Name), failure.Tenant(t.Name))
		}
		if t.Engine == "" {
			t.Engine = r.DefaultEngine
		}
		scope = append(scope, t.Namespaces...)
		found := false
		homes := []string{t.HomeNamespace}
		if t.HomeNamespace == "" {
			homes = []string{tenant.EngineTiller.ConventionalHome(t.Name), tenant.EngineImpersonation.ConventionalHome(t.Name)}
		}
		for _, home := range homes {
			record, err := c.Record(ctx, home)
			_, unreadable := errors.AsType[*cluster.RecordError](err)
			switch {
			case err == nil && record.Name == t.Name:
				found = true
				scope = append(scope, record.Home())
				scope = append(scope, record.Namespaces...)
			case err == nil, unreadable, apierrors.IsNotFound(err), apierrors.IsForbidden(err):
			default:
				return nil, err
			}
		}
		if !found {
			scope = append(scope, t.WithDefaults().Home())
		}
	}
	slices.Sort(scope)
	return c.Within(slices.Compact(scope)), nil
}

// noteScope notes what is not known of a tenant if only its own namespaces were read.
func (d *decision) noteScope() error {
	live := d.facts.live
	if !live.Scoped() {
		return nil
	}
	unchecked := []string{"whether other tenants have the same home or namespaces by their records", "which ClusterRoleBindings, and which RoleBindings in other namespaces, give its deployer more rights",
		"what other namespaces hold of it"}
	if !live.Sees("ClusterRole") {
		unchecked = append(unchecked, fmt.Sprintf("whether ClusterRole %q exists, and what it grants", d.tenant.Role))
	}
	if d.tenant.Engine.Has(tenant.EngineTiller) {
		unchecked = append(unchecked, "whether the admission policy keeps its Tiller to its own records")
	}
	d.warn("only the tenant's own namespaces were read; not checked: %s", strings.Join(unchecked, "; "))
	return nil
}
