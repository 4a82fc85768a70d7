package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/tenant"
)

var (
	newNamespaces = []string{
		"update Namespace a: metadata.labels[helm-tenant/tenant], metadata.annotations[helm-tenant/home-namespace]",
		"update Namespace b: metadata.labels[helm-tenant/tenant], metadata.annotations[helm-tenant/home-namespace]",
	}
	newPolicy = []string{
		"create ValidatingAdmissionPolicy helm-tenant-records",
		"create ValidatingAdmissionPolicyBinding helm-tenant-records",
	}
	newBindings = []string{
		"create RoleBinding helm-tenant.t.admin in namespace a",
		"create RoleBinding helm-tenant.t.admin in namespace b",
	}
)

// inHome are the steps that make a Tiller's home, in that namespace.
func newHome(home string, after ...string) []string {
	in := " in namespace " + home
	return slices.Concat([]string{
		"create ConfigMap helm-tenant" + in, "create NetworkPolicy helm-tenant" + in, "create Role helm-tenant-member" + in,
		"create Role helm-tenant-records" + in, "create ServiceAccount tiller" + in,
	}, after, []string{
		"create RoleBinding helm-tenant-member" + in, "create RoleBinding helm-tenant-records" + in, "create Deployment tiller-deploy" + in,
	})
}

const allRailless = "a tenant of all namespaces has no guard rails"

const oldServer = "this API server has no ValidatingAdmissionPolicy (Kubernetes 1.30): a chart can write Secrets into the home namespace"

// TestNewTenant: the objects of a tenant, in the order of writing.
func TestNewTenant(t *testing.T) {
	old := empty()
	old.unserved = []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
	for _, test := range []struct {
		name    string
		world   world
		request Request
		want    decided
	}{
		{"a Tiller", empty(), asked(), decided{Steps: slices.Concat(newNamespaces, []string{"create Namespace t-tiller"}, newPolicy, newHome("t-tiller", newBindings...))}},
		{"a Tiller, on an old API server", old, asked(), decided{Steps: slices.Concat(newNamespaces, []string{"create Namespace t-tiller"}, newHome("t-tiller", newBindings...)), Notes: []string{oldServer, NoGuardHere}}},
		{"ConfigMaps on an old API server", old, asked(storage(tenant.StorageConfigMap)),
			decided{Err: "open-records: with ConfigMap storage a chart could write the tenant's own record, and this API server is too old for the admission policy that prevents it"}},
		{"ConfigMaps on an old API server, accepted", old, asked(storage(tenant.StorageConfigMap), accept(RiskOpenRecords)),
			decided{Steps: slices.Concat(newNamespaces, []string{"create Namespace t-tiller"}, newHome("t-tiller", newBindings...)), Notes: []string{oldServer, NoGuardHere}}},
		{"impersonation", empty(), asked(engine(tenant.EngineImpersonation)), decided{Steps: slices.Concat(newNamespaces, []string{
			"create Namespace t-helm", "create ConfigMap helm-tenant in namespace t-helm", "create Role helm-tenant-member in namespace t-helm",
			"create ServiceAccount helm in namespace t-helm"}, newBindings, []string{"create RoleBinding helm-tenant-member in namespace t-helm"})}},
		{"all namespaces", empty(), asked(everywhere),
			decided{Err: `cluster-wide: a Tiller for all namespaces, with the role cluster-admin, makes everybody who may use tenant "t" an admin of the cluster`}},
		{"all namespaces by impersonation", empty(), asked(everywhere, engine(tenant.EngineImpersonation)),
			decided{Err: `cluster-wide: a service account for all namespaces, with the role cluster-admin, makes everybody who may use tenant "t" an admin of the cluster`}},
		{"all namespaces, accepted", empty(), asked(everywhere, accept(RiskClusterWide)), decided{Steps: slices.Concat(
			[]string{"create Namespace t-tiller"}, newPolicy,
			newHome("t-tiller", "create ClusterRoleBinding helm-tenant.t.cluster-admin")), Notes: []string{allRailless}}},
		{"namespaces that are created", empty(), asked(namespaces("x"), func(r *Request) { r.CreateNamespaces = true }), decided{Steps: slices.Concat(
			[]string{"create Namespace t-tiller", "create Namespace x"}, newPolicy, newHome("t-tiller")[:5], newHome("t-tiller")[5:7],
			[]string{"create RoleBinding helm-tenant.t.admin in namespace x", "create Deployment tiller-deploy in namespace t-tiller"})}},
		{"a home that is there and empty", empty().with(namespace("h")), asked(home("h")), decided{Steps: slices.Concat(newNamespaces,
			[]string{"update Namespace h: metadata.labels[helm-tenant/home], metadata.labels[helm-tenant/tenant], metadata.labels[pod-security.kubernetes.io/enforce], metadata.labels[pod-security.kubernetes.io/enforce-version]"},
			newPolicy, newHome("h", newBindings...))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.world.decide(t, test.request)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestRefusals: what a request that can't be met is refused for.
func TestRefusals(t *testing.T) {
	existing := empty().after(t, asked())
	ofOther := empty().after(t, Request{Tenant: tenant.Tenant{Name: "o", Namespaces: []string{"a"}}})
	migrating := edited(existing, recordKey("t-tiller"), func(m *corev1.ConfigMap) {
		m.Annotations = map[string]string{tenant.AnnotationMigration: `{"phase":"frozen","storage":"secret","replicas":1}`}
	})
	both := empty().after(t, asked(engine(tenant.EngineBoth)))
	both.tiller = map[string][]Release{"t-tiller": {{Name: "web", Namespace: "a", Status: "DEPLOYED"}, {Name: "old", Status: "DELETED"}}}
	both.helm = map[string][]Release{"a": {{Name: "db", Namespace: "a", Status: "DEPLOYED"}}}
	shared := empty().with(namespace("h"))
	shared.neighbours = map[string][]string{"h": {"Pod x"}}
	for _, test := range []struct {
		name    string
		world   world
		request Request
		want    string
	}{
		{"no name", empty(), Request{}, "a tenant's name is missing; namespaces: at least one is needed"},
		{"all that is wrong with it", empty(), asked(namespaces("A", "b"), func(r *Request) {
			r.Tenant.Members, r.DefaultNamespace = tenant.Members{tenant.Group("system:masters")}, "x"
		}), `namespaces: "A" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them; ` +
			`group system:masters: everybody in it can do everything in the cluster already, and no member of a tenant can do more; default namespace "x" is not one of the tenant's namespaces A, b`},
		{"all that stands against it", ofOther, asked(namespaces("a", "zz", "kube-system", "zy"), role("none"), func(r *Request) {
			r.Tenant.Members, r.Tenant.Guard = tenant.Members{tenant.Group("system:authenticated")}, tenant.GuardOff
		}), `system-namespace: ClusterRole "none" does not exist; namespace "a" belongs to tenant "o"; namespace "kube-system" is Kubernetes' own: who may act there can take over the cluster; ` +
			`namespaces zz, zy do not exist; with guard: off a chart of tenant "t" can let outsiders in, take over addresses and host names of others, and evict their pods; ` +
			`system:authenticated as a member opens the tenant to everybody, every pod or every node that it stands for`},
		{"the larger risk of two", shared, asked(home("h"), everywhere), `cluster-wide: a Tiller for all namespaces, with the role cluster-admin, makes everybody who may use tenant "t" an admin of the cluster`},
		{"everybody", empty(), asked(func(r *Request) {
			r.Tenant.Members = tenant.Members{tenant.Group("system:authenticated")}
		}),
			"everyone: system:authenticated as a member opens the tenant to everybody, every pod or every node that it stands for"},
		{"no namespaces", empty(), asked(namespaces()), "namespaces: at least one is needed"},
		{"a default namespace of others", empty(), asked(func(r *Request) { r.DefaultNamespace = "x" }), `default namespace "x" is not one of the tenant's namespaces a, b`},
		{"no such role", empty(), asked(role("none")), `ClusterRole "none" does not exist`},
		{"no such namespace", empty(), asked(namespaces("a", "x")), `namespace "x" does not exist`},
		{"no such namespaces", empty(), asked(namespaces("x", "y")), `namespaces x, y do not exist`},
		{"another's namespace", ofOther, asked(), `namespace "a" belongs to tenant "o"`},
		{"another's home as namespace", ofOther, asked(namespaces("b", "o-tiller")), `namespace "o-tiller" is the home namespace of tenant "o" and can't be one of a tenant's namespaces`},
		{"another's home as home", ofOther, asked(namespaces("b"), home("o-tiller")), `home namespace "o-tiller" belongs to tenant "o"`},
		{"another's namespace as home", ofOther, asked(namespaces("b"), home("a")), `home namespace "a" belongs to tenant "o"`},
		{"a home that only another's record names", ofOther.with(recordIn("h", "name: p\nnamespaces: [b]\nhomeNamespace: h\n", "p"), namespace("h")),
			asked(namespaces("b"), home("h")), `namespace "h" is the home of tenant "p" already`},
		{"Kubernetes' own namespace", empty(), asked(namespaces("kube-system")), `system-namespace: namespace "kube-system" is Kubernetes' own: who may act there can take over the cluster`},
		{"a namespace that is being deleted", empty().with(terminating(namespace("x"))), asked(namespaces("x")), `namespace "x" is being deleted; try again when it is gone`},
		{"a home that is being deleted", empty().with(terminating(namespace("t-tiller"))), asked(), `namespace "t-tiller" is being deleted; try again when it is gone`},
		{"a home that nobody asked for", empty().with(namespace("t-tiller")), asked(), "Namespace t-tiller was not made by helm-tenant"},
		{"a shared home", shared, asked(home("h")), `shared-home: namespace "h" holds other things: members of tenant "t" could reach every pod there, and its Tiller every secret`},
		{"a shared home without a Tiller", shared, asked(home("h"), engine(tenant.EngineImpersonation)), `shared-home: namespace "h" holds other things: whoever may create pods or tokens there can act as tenant "t"`},
		{"a home that can't be read", world{objects: shared.objects, fail: map[string]error{"h": errors.New("no answer")}}, asked(home("h")), "no answer"},
		{"an object that is not ours", empty().with(bindingOf("a", "helm-tenant.t.admin", "admin")), asked(), "RoleBinding helm-tenant.t.admin in namespace a was not made by helm-tenant"},

		{"another home, engine and storage", existing, asked(home("h"), engine(tenant.EngineImpersonation), storage(tenant.StorageConfigMap)),
			`tiller: a tenant with the engine impersonation has no Tiller to set up; tenant "t" has its home in namespace "t-tiller" and can't move to another; tenant "t" has the engine tiller, which can't become impersonation at once`},
		{"another home and storage, and a wrong name", existing, asked(home("h"), storage(tenant.StorageConfigMap), namespaces("a", "B")),
			`namespaces: "B" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them; tenant "t" has its home in namespace "t-tiller" and can't move to another; ` +
				`tenant "t" stores its releases as secrets; Tiller would not find them if that changed`},
		{"another home, and what the cluster lacks", existing, asked(home("h"), storage(tenant.StorageConfigMap), namespaces("a", "x"), role("none")),
			`tenant "t" has its home in namespace "t-tiller" and can't move to another; tenant "t" stores its releases as secrets; Tiller would not find them if that changed; ` +
				`ClusterRole "none" does not exist; namespace "x" does not exist`},
		{"the other engine at once, and namespaces", ofOther.after(t, asked(namespaces("b"))), asked(namespaces("a", "b"), engine(tenant.EngineImpersonation)),
			`tenant "t" has the engine tiller, which can't become impersonation at once; namespace "a" belongs to tenant "o"`},
		{"the other engine at once by a file", existing, asked(engine(tenant.EngineImpersonation), exactly, namespaces("a", "x")),
			`tenant "t" has the engine tiller, which can't become impersonation at once; namespace "x" does not exist`},
		{"the Tiller of a tenant without one", empty().after(t, asked(engine(tenant.EngineImpersonation))), asked(engine(tenant.EngineTiller), storage(tenant.StorageConfigMap), namespaces("x")),
			`tenant "t" has the engine impersonation, which can't become tiller at once; namespace "x" does not exist`},
		{"objects that are not ours, and namespaces", ofOther.with(bindingOf("b", "helm-tenant.t.admin", "admin"), ownedAccount("t-tiller", "tiller", "")), asked(namespaces("b", "x")),
			`namespace "x" does not exist; ServiceAccount tiller in namespace t-tiller was not made by helm-tenant; RoleBinding helm-tenant.t.admin in namespace b was not made by helm-tenant`},
		{"a home that nobody asked for, and what is in it", empty().with(namespace("t-tiller"), ownedAccount("t-tiller", "tiller", "")), asked(),
			`Namespace t-tiller was not made by helm-tenant; ServiceAccount tiller in namespace t-tiller was not made by helm-tenant`},
		{"a home that is another's, with all that is in it", ofOther, asked(namespaces("b", "x"), home("o-tiller")), `namespace "x" does not exist; home namespace "o-tiller" belongs to tenant "o"`},
		{"a stranger's home, and namespaces", empty().with(namespace("t-helm", tenant.LabelTenant, "t"), recordIn("t-helm", "name: t\nnamespaces: [x]\nhomeNamespace: t-helm\nengine: impersonation\n", "t")),
			asked(engine(tenant.EngineImpersonation), namespaces("a", "x"), role("none")),
			`namespace "t-helm" is labelled as the home of tenant "t", but no namespace of the tenant leads to it: whoever made it may hold tokens of its service accounts; in it: ConfigMap helm-tenant; ` +
				`ClusterRole "none" does not exist; namespace "x" does not exist`},

		{"another home", existing, asked(home("h")), `tenant "t" has its home in namespace "t-tiller" and can't move to another`},
		{"another storage", existing, asked(storage(tenant.StorageConfigMap)), `tenant "t" stores its releases as secrets; Tiller would not find them if that changed`},
		{"the other engine at once", existing, asked(engine(tenant.EngineImpersonation)), `tenant "t" has the engine tiller, which can't become impersonation at once`},
		{"an engine with releases", both, asked(engine(tenant.EngineImpersonation)), `tenant "t" has releases that the engine impersonation can't manage: web`},
		{"the other engine with releases", both, asked(engine(tenant.EngineTiller)), `tenant "t" has releases that the engine tiller can't manage: db`},
		{"an engine whose releases can't be read", world{objects: both.objects, fail: map[string]error{"a": errors.New("no answer")}}, asked(engine(tenant.EngineTiller)), "no answer"},
		{"a migration", migrating, asked(), `tenant "t" is being migrated to Helm 3 and 4 since 0001-01-01 00:00 UTC; its Tiller is stopped`},
		{"a migration of which nothing is known", edited(existing, recordKey("t-tiller"), func(m *corev1.ConfigMap) { m.Annotations = map[string]string{tenant.AnnotationMigration: "x"} }), asked(),
			`ConfigMap helm-tenant in namespace "t-tiller": `},

		{"a record that is none", empty().with(namespace("h", tenant.LabelTenant, "t"), leadingTo("h", namespace("a", tenant.LabelTenant, "t")), recordIn("h", "x", "t")), asked(), `ConfigMap helm-tenant in namespace "h": tenant.yaml: `},
		{"a record of another", empty().with(namespace("h", tenant.LabelTenant, "t"), leadingTo("h", namespace("a", tenant.LabelTenant, "t")), recordIn("h", "name: u\nnamespaces: [a]\n", "t")), asked(),
			`ConfigMap helm-tenant in namespace h is labelled as tenant "t" but records tenant "u" with the home namespace "u-tiller"`},
		{"two records", existing.with(namespace("h", tenant.LabelTenant, "t"), leadingTo("h", namespace("b", tenant.LabelTenant, "t")), recordIn("h", "name: t\nnamespaces: [a]\nhomeNamespace: h\n", "t")), asked(),
			`tenant "t" has two records, in namespaces "h" and "t-tiller": remove the ConfigMap helm-tenant that is not the tenant's`},
		// A stranger's, or one that another admin made between two reads: see changedWhileRead.
		{"a record in a home to which nothing leads", empty().with(namespace("t-tiller", tenant.LabelManagedBy, tenant.ManagedBy), recordIn("t-tiller", "name: t\n", "t")), asked(home("t-tiller")),
			`namespace "t-tiller" is labelled as the home of tenant "t", but no namespace of the tenant leads to it: `},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.world.decide(t, test.request).Err
			if got == "" || !strings.HasPrefix(got, test.want) || !strings.HasSuffix(test.want, ": ") && got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
