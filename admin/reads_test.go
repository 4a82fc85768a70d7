package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// deny refuses the lists of some resources over all namespaces, and says so when asked.
func deny(server *clustertest.Server, resources ...string) {
	byKind := map[string]string{}
	for gvr, resource := range cluster.Resources() {
		byKind[resource.Kind] = gvr.Resource
	}
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if resource := byKind[r.Kind]; r.Verb == "list" && r.Namespace == "" && slices.Contains(resources, resource) {
			return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
		}
		return nil
	}
	server.Allowed = func(permission string) bool {
		verb, resource, _ := strings.Cut(permission, " ")
		return verb != "list" || !slices.Contains(resources, resource)
	}
}

// TestDeniedReads: all missing reads are named at once, in one order, and only those that
// the engine and the request need.
func TestDeniedReads(t *testing.T) {
	const all = "clusterrolebindings configmaps deployments namespaces networkpolicies rolebindings roles serviceaccounts"
	missing := func(err error) string {
		denied, ok := errors.AsType[*ReadDeniedError](err)
		if !ok {
			return fmt.Sprint(err)
		}
		var resources []string
		for _, p := range denied.Missing {
			if p.Verb != "list" || p.Namespace != "" {
				t.Errorf("%s is missing", p)
			}
			resources = append(resources, p.Resource)
		}
		return strings.Join(resources, " ")
	}
	isolated := func(r *Request) { r.Tenant.Network = tenant.NetworkIsolated }
	for _, test := range []struct {
		name    string
		request Request
		denied  []string
		want    string
	}{
		{"everything, with a Tiller", asked(), strings.Fields(all), all},
		{"everything, by impersonation", asked(engine(tenant.EngineImpersonation)), strings.Fields(all), "clusterrolebindings configmaps namespaces rolebindings roles serviceaccounts"},
		{"everything, isolated", asked(engine(tenant.EngineImpersonation), isolated), strings.Fields(all), "clusterrolebindings configmaps namespaces networkpolicies rolebindings roles serviceaccounts"},
		{"what a Tiller needs", asked(), []string{"deployments", "networkpolicies"}, "deployments networkpolicies"},
		{"what only a Tiller needs", asked(engine(tenant.EngineImpersonation)), []string{"deployments", "networkpolicies", "resourcequotas", "limitranges"}, "<nil>"},
		{"one", asked(), []string{"roles"}, "roles"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, c := empty().start(t)
			deny(server, test.denied...)
			for range 3 { // in the same order each time
				_, err := Prepare(t.Context(), c, test.request)
				if got := missing(err); got != test.want {
					t.Errorf("init: got %s, want %s", got, test.want)
				}
			}
		})
	}
	t.Run("destroy", func(t *testing.T) {
		for kind, want := range map[tenant.Engine]string{tenant.EngineTiller: all, tenant.EngineImpersonation: "clusterrolebindings configmaps namespaces rolebindings roles serviceaccounts"} {
			server, c := empty().start(t)
			write(t, c, asked(engine(kind)))
			deny(server, strings.Fields(all)...)
			_, err := prepareRemoval(t.Context(), c, "t", false)
			if got := missing(err); got != want {
				t.Errorf("%s: got %s, want %s", kind, got, want)
			}
		}
	})
}

// TestDeniedReadsOfMoves: migrate and prove name all missing reads at once, too, and nothing that
// would do without them.
func TestDeniedReadsOfMoves(t *testing.T) {
	missing := func(err error) string {
		denied, ok := errors.AsType[*ReadDeniedError](err)
		if !ok || !denied.Needed {
			return fmt.Sprint(err)
		}
		var all []string
		for _, p := range denied.Missing {
			all = append(all, p.String())
		}
		return strings.Join(all, "\n")
	}
	server, c := empty().start(t)
	write(t, c, asked(engine(tenant.EngineTiller)))
	for _, test := range []struct {
		denied         []string
		migrate, prove string
	}{
		{[]string{"namespaces", "configmaps", "rolebindings"},
			"list configmaps in the cluster\nlist namespaces in the cluster\nlist rolebindings.rbac.authorization.k8s.io in the cluster",
			"list configmaps in the cluster\nlist namespaces in the cluster\nlist rolebindings.rbac.authorization.k8s.io in the cluster"},
		{[]string{"rolebindings"}, "list rolebindings.rbac.authorization.k8s.io in the cluster", "list rolebindings.rbac.authorization.k8s.io in the cluster"},
		{[]string{"deployments"}, "list deployments.apps in the cluster", "<nil>"},
	} {
		deny(server, test.denied...)
		_, err := readMigration(t.Context(), c, "t", 0, nil, nil)
		if diff := cmp.Diff(test.migrate, missing(err)); diff != "" {
			t.Errorf("migrate without %q: -want +got:\n%s", test.denied, diff)
		}
		_, err = readProofs(t.Context(), c, Proof{})
		if diff := cmp.Diff(test.prove, missing(err)); diff != "" {
			t.Errorf("prove without %q: -want +got:\n%s", test.denied, diff)
		}
	}
}

// TestAdministratorRole: the role that is printed holds every read that init needs, and
// every right that the administrator gives away.
func TestAdministratorRole(t *testing.T) {
	for _, kind := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation, tenant.EngineBoth} {
		rules := AdministratorRole(kind, "edit").Rules
		request := asked(engine(kind), func(r *Request) {
			r.Tenant.Network, r.Tenant.Quota, r.Tenant.Limits = tenant.NetworkIsolated, map[string]string{"pods": "1"}, &tenant.Limits{}
		})
		live, err := cluster.LiveOf([]runtime.Object{namespace(request.Tenant.WithDefaults().Home())})
		if err != nil {
			t.Fatal(err)
		}
		s := &readSet{}
		s.requested(request, live)
		for _, p := range s.needed {
			needed := rbacv1.PolicyRule{APIGroups: []string{p.Group}, Resources: []string{p.Resource}, Verbs: []string{p.Verb}}
			if covered, _ := validation.Covers(rules, []rbacv1.PolicyRule{needed}); !covered {
				t.Errorf("%s: %s is missing", kind, p)
			}
		}
		for _, name := range []string{"helm-tenant-records", "helm-tenant-owners", "helm-tenant-guard-frozen", "helm-tenant-guard-frozen-warn", "helm-tenant-guard-pods"} {
			update := rbacv1.PolicyRule{APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingadmissionpolicybindings"}, ResourceNames: []string{name}, Verbs: []string{"update"}}
			if covered, _ := validation.Covers(rules, []rbacv1.PolicyRule{update}); !covered {
				t.Errorf("%s: the update of binding %s is missing", kind, name)
			}
		}
		for _, object := range rbac.Home(tenant.Tenant{Name: "t", Engine: kind}.WithDefaults()) {
			if role, ok := object.(*rbacv1.Role); ok {
				if covered, missing := validation.Covers(rules, role.Rules); !covered {
					t.Errorf("%s: Role %s: %v is missing", kind, role.Name, missing)
				}
			}
		}
		for _, rule := range rules {
			if slices.Contains(rule.Verbs, "escalate") || slices.Contains(rule.Verbs, "*") {
				t.Errorf("%s: %v", kind, rule)
			}
			if slices.Contains(rule.Verbs, "bind") || slices.Contains(rule.Verbs, "impersonate") {
				if len(rule.ResourceNames) == 0 {
					t.Errorf("%s: %v names nothing", kind, rule)
				}
			}
		}
	}
}

// TestScope: an administrator of a home and its namespaces lists nothing of the cluster,
// and is told what that leaves unknown.
func TestScope(t *testing.T) {
	for _, kind := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation} {
		server, c := empty().start(t)
		server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
			known := map[string]bool{"a": true, "b": true, kind.ConventionalHome("t"): true}
			if r.Kind == "Namespace" && r.Verb != "list" && known[r.Name] || known[r.Namespace] {
				return nil
			}
			return apierrors.NewForbidden(schema.GroupResource{Resource: r.Kind}, r.Name, errors.New("no"))
		}
		request := asked(engine(kind))
		request.CreateNamespaces = true
		if _, err := Prepare(t.Context(), c, request); err == nil {
			t.Fatal("the whole cluster may be read")
		}
		scoped, err := Scope(t.Context(), c, []Request{request})
		if err != nil {
			t.Fatal(err)
		}
		existing := write(t, scoped, request)
		if len(existing.Warnings) != 1 || !strings.Contains(existing.Warnings[0], "not checked: ") || !strings.Contains(existing.Warnings[0], `whether ClusterRole "admin" exists`) {
			t.Errorf("%s: warnings %q", kind, existing.Warnings)
		}
		// The record says which namespaces are read.
		again := Request{Tenant: tenant.Tenant{Name: "t", Engine: kind}}
		scoped, err = Scope(t.Context(), c, []Request{again})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a", "b", kind.ConventionalHome("t")}, scoped.Scope()); diff != "" {
			t.Errorf("%s: scope: %s", kind, diff)
		}
		if second := write(t, scoped, again); len(second.Plan.Changes) > 0 {
			t.Errorf("%s: a second run does %q", kind, stepsOf(second.Plan))
		}
	}
	_, c := empty().start(t)
	if _, err := Scope(t.Context(), c, []Request{asked(everywhere)}); err == nil {
		t.Error("a tenant of all namespaces is looked at within some")
	}
}
