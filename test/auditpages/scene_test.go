package auditpages

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"

	"helm-tenant/audit"
	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// scene is a cluster as an audit reads it, without a cluster.
type scene struct{ audit.Snapshot }

// newScene returns a cluster of Kubernetes' own objects and so many tenants, as they
// are made: nothing is wrong in it.
func newScene(tenants int) *scene {
	s := &scene{audit.Snapshot{Version: "v1.37.2", Server: audit.ServerOf(version.Info{Major: "1", Minor: "37"}), Admission: audit.AdmissionInForce}}
	s.clusterRole("cluster-admin", rule("*", "*", "*"))
	s.clusterRole("admin", rule("", "persistentvolumeclaims", "create"), rule("apps", "deployments", "get", "list", "create", "update", "patch", "delete"),
		rule("", "secrets", "get", "list", "create", "update", "delete"), rule("", "pods", "get", "list", "watch"), rule("", "namespaces", "get"))
	s.clusterRole(rbac.ViewRole, rule("", "pods", "get", "list"))
	s.clusterRole(rbac.SecretsRole, rbac.SecretsClusterRole().Rules...)
	s.bind("", "cluster-admin", "ClusterRole cluster-admin", audit.Group("system:masters"))
	s.namespace("kube-system")
	for i := range tenants {
		name := fmt.Sprintf("team-%04d", i)
		engine := tenant.EngineTiller
		if i%2 == 1 {
			engine = tenant.EngineImpersonation
		}
		var spaces []string
		for n := range 5 {
			spaces = append(spaces, fmt.Sprintf("%s-%d", name, n))
		}
		s.tenant(tenant.Tenant{Name: name, Namespaces: spaces, Engine: engine,
			Members: tenant.Members{tenant.User(fmt.Sprintf("user%04d", i)), tenant.Group(name + "-devs")}})
	}
	return s
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func (s *scene) namespace(name string) *audit.Namespace {
	s.Namespaces = append(s.Namespaces, audit.Namespace{Name: name, Labels: map[string]string{}})
	return &s.Namespaces[len(s.Namespaces)-1]
}

func (s *scene) clusterRole(name string, rules ...rbacv1.PolicyRule) {
	s.Roles = append(s.Roles, audit.Role{Name: name, Rules: rules})
}

// bind binds "ClusterRole view" to subjects.
func (s *scene) bind(namespace, name, role string, subjects ...audit.Subject) {
	kind, owner, _ := strings.Cut(role, " ")
	s.Bindings = append(s.Bindings, audit.Binding{Namespace: namespace, Name: name, RoleKind: kind, RoleName: owner, Subjects: subjects})
}

// give gives somebody these rights by a role and a binding of that name.
func (s *scene) give(namespace, name string, who audit.Subject, rules ...rbacv1.PolicyRule) {
	kind := "Role "
	if namespace == "" {
		kind = "ClusterRole "
	}
	s.Roles = append(s.Roles, audit.Role{Namespace: namespace, Name: name, Rules: rules})
	s.bind(namespace, name, kind+name, who)
}

// tenant makes one as an init does.
func (s *scene) tenant(t tenant.Tenant) {
	t = t.WithDefaults()
	record := t
	record.Members, record.Readers = tenant.Members{}, tenant.Members{}
	s.Records = append(s.Records, audit.Record{Namespace: t.Home(), Tenant: record})
	for _, object := range rbac.Home(t) {
		s.rbac(object)
	}
	home := install.Home(t, false, true)
	s.Namespaces = append(s.Namespaces, audit.Namespace{Name: home.Name, Labels: home.Labels})
	for _, object := range rbac.ServiceAccounts(t) {
		account := object.(*corev1.ServiceAccount)
		mounts := account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken
		s.Accounts = append(s.Accounts, audit.ServiceAccount{Namespace: account.Namespace, Name: account.Name, Mounts: mounts})
	}
	for _, name := range t.Namespaces {
		ns := install.Namespace(t, name, true)
		s.Namespaces = append(s.Namespaces, audit.Namespace{Name: name, Labels: ns.Labels, Annotations: ns.Annotations})
		for _, b := range append(rbac.DeployerBindings(t, name), rbac.ReaderBindings(t, name)...) {
			s.rbac(b)
		}
		if account := rbac.FluxAccount(t, name); account != nil {
			s.Accounts = append(s.Accounts, audit.ServiceAccount{Namespace: name, Name: account.Name})
		}
	}
	if t.Engine.Has(tenant.EngineTiller) {
		d := install.Deployment(t)
		s.Workloads = append(s.Workloads, audit.Workload{Kind: "Deployment", Namespace: d.Namespace, Name: d.Name, Tenant: t.Name, Template: &d.Spec.Template, Deployment: &d.Spec})
		policy := install.NetworkPolicy(t, false)
		s.Policies = append(s.Policies, audit.NetworkPolicy{Namespace: policy.Namespace, Name: policy.Name, Spec: policy.Spec})
	}
}

func (s *scene) rbac(object runtime.Object) {
	switch o := object.(type) {
	case *rbacv1.Role:
		s.Roles = append(s.Roles, audit.Role{Namespace: o.Namespace, Name: o.Name, Rules: o.Rules})
	case *rbacv1.RoleBinding:
		s.bind(o.Namespace, o.Name, o.RoleRef.Kind+" "+o.RoleRef.Name, tenant.SubjectsOf(o.Subjects, o.Namespace)...)
	}
}

// tillerOf returns the pod template of a tenant's Tiller, to be changed.
func (s *scene) tillerOf(name string) *corev1.PodTemplateSpec {
	i := slices.IndexFunc(s.Workloads, func(w audit.Workload) bool { return w.Tenant == name })
	return s.Workloads[i].Template
}

const (
	hostile     = `<script>document.title='owned'</script><img src=x onerror=alert(1)>"'&amp;</script>`
	hostileLong = "long-"
)

// everythingWrong returns a cluster in which there is a finding of every kind.
func everythingWrong() *scene {
	s := newScene(0)
	plain := func(name string, change func(*tenant.Tenant)) {
		t := tenant.Tenant{Name: name, Namespaces: []string{name + "-1", name + "-2"}, Engine: tenant.EngineTiller,
			Members: tenant.Members{tenant.User("anna"), tenant.Group(name + "-devs")}}
		if change != nil {
			change(&t)
		}
		s.tenant(t)
	}
	plain("blue", nil)
	plain("green", func(t *tenant.Tenant) { t.Members = tenant.Members{tenant.User("anna"), tenant.User(hostile)} })
	plain("red", func(t *tenant.Tenant) {
		t.Engine, t.Members = tenant.EngineImpersonation, tenant.Members{tenant.Group("system:authenticated"), tenant.Account("ci", "deployer"), tenant.Account("ci", "gone")}
	})
	plain("old", func(t *tenant.Tenant) {
		t.Tiller.Storage, t.Rails = tenant.StorageConfigMap, tenant.RailsOfBefore()
	})
	plain("loose", func(t *tenant.Tenant) { t.Rails, t.Role = tenant.NewRails(false), "widget-users" })
	plain("twice", nil)
	// Frozen by its record, and neither in its namespaces nor by a policy.
	plain("flux", func(t *tenant.Tenant) {
		t.Role, t.FluxAccount = "flux-users", "flux"
		t.Frozen = &tenant.Freeze{Reason: "INC-12: " + hostile[:40], Since: "2026-11-26T08:00:00Z", Means: tenant.FreezeByPolicy}
	})
	plain("read", func(t *tenant.Tenant) {
		t.Engine, t.Readers = tenant.EngineImpersonation, tenant.Members{tenant.User("rita")}
	})
	plain("shared", func(t *tenant.Tenant) { t.Namespaces = []string{"shared-1", "blue-2"} })
	plain("lost", func(t *tenant.Tenant) { t.Engine = tenant.EngineImpersonation })
	s.Records = s.Records[:len(s.Records)-1]
	s.File = []tenant.Located{
		{Tenant: tenant.Tenant{Name: "blue", Namespaces: []string{"blue-1", "blue-2"}, Members: tenant.Members{tenant.User("anna"), tenant.Group("blue-devs")}}.WithDefaults(), File: "tenants/a b.yaml", Line: 3},
		{Tenant: tenant.Tenant{Name: "green", Namespaces: []string{"green-1"}, Members: tenant.Members{tenant.User("anna")}}.WithDefaults(), File: "tenants/b.yaml", Line: 7},
	}
	s.Accounts = append(s.Accounts, audit.ServiceAccount{Namespace: "ci", Name: "deployer"}, audit.ServiceAccount{Namespace: "kube-system", Name: "tiller", Mounts: true})
	s.namespace("ci")
	s.namespace("elsewhere")

	// The usual Tiller of Helm 2.
	s.Workloads = append(s.Workloads, audit.Workload{Kind: "Deployment", Namespace: "kube-system", Name: "tiller-deploy", Template: &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		ServiceAccountName: "tiller", Containers: []corev1.Container{{Name: "tiller", Image: "gcr.io/kubernetes-helm/tiller:v2.14.1", Command: []string{"/tiller"}}}}}})
	s.bind("", "tiller", "ClusterRole cluster-admin", audit.Account("kube-system", "tiller"))

	// Outsiders of blue, by each of the ways.
	home := "blue-tiller"
	named := func(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
		r.ResourceNames = names
		return r
	}
	for name, r := range map[string]rbacv1.PolicyRule{
		"forward": rule("", "pods/portforward", "create"), "make-pods": rule("", "pods", "create"), "exec": rule("", "pods/exec", "create"),
		"secrets": rule("", "secrets", "get", "list"), "token": rule("", "serviceaccounts/token", "create"),
		"impersonate": rule("", "serviceaccounts", "impersonate"), "change-tiller": named(rule("apps", "deployments", "patch"), "tiller-deploy"),
		"home": rule("", "configmaps", "patch"),
	} {
		s.give(home, "oops-"+name, audit.User("mallory-"+name), r)
	}
	s.give(home, "oops-rights", audit.User("mallory-rights"), rule(rbacv1.GroupName, "rolebindings", "create"), rule(rbacv1.GroupName, "roles", "bind"))
	s.give(home, "oops-"+hostileLong, audit.User(hostileLong+strings.Repeat("x", 300)), rule("", "pods/portforward", "create"))
	s.give(home, "oops-hostile", audit.User(hostile), rule("", "pods/portforward", "create"))
	s.give("", "be-devs", audit.User("mallory-devs"), named(rule("", "groups", "impersonate"), "blue-devs"))
	s.give(home, "be-nobody", audit.User("mallory-devs"), named(rule("", "serviceaccounts", "impersonate"), "nobody"))
	s.give("", "nodes", audit.User("mallory-nodes"), named(rule("", "nodes/proxy", "get")))
	s.give(home, "nodes-too", audit.User("mallory-nodes"), rule("", "nodes/proxy", "get"))
	s.bind(home, "still", "Role "+rbac.MemberName, audit.User("gone"))
	s.give(home, "more", audit.User("anna"), rule("", "pods/exec", "create"))
	// Somebody with rights over the whole cluster, and somebody who can be them.
	s.give("", "ops", audit.Account("ops", "robot"), rule("*", "*", "*"))
	s.give("ops", "pods", audit.User("mallory-ops"), rule("", "pods", "create"))
	// The account of a tenant's readers can write, and somebody who is no reader can be it.
	s.give("read-1", "writes", audit.Account("read-helm", tenant.ReaderAccount), rule("apps", "deployments", "patch"))
	s.give("read-helm", "reads", audit.User("mallory-reads"), named(rule("", "serviceaccounts", "impersonate"), tenant.ReaderAccount))
	// The account of a member.
	s.give("ci", "pods", audit.User("mallory-ci"), rule("", "pods", "create"))
	// green's deployer reaches further than it should.
	green := audit.Account("green-tiller", "tiller")
	s.bind("elsewhere", "extra", "ClusterRole admin", green)
	s.give("green-tiller", "own-home", green, rule("", "pods", "create"))
	s.bind("green-1", "wild", "ClusterRole cluster-admin", green)
	s.bind("blue-1", "foreign", "ClusterRole admin", audit.User("mallory"))
	for i, b := range s.Bindings {
		if b.Namespace == "green-2" {
			s.Bindings = slices.Delete(s.Bindings, i, i+1) // so the record is not true
			break
		}
	}
	s.Releases = append(s.Releases, audit.Release{Home: home, Name: "wide", Namespace: "elsewhere", ClusterObjects: []string{"ClusterRole reader"}, Record: audit.ObjectRef{Kind: "Secret", Namespace: home, Name: "wide.v1"}})
	for i := range s.Records {
		if r := &s.Records[i]; r.Tenant.Engine == tenant.EngineImpersonation {
			r.Moved = []audit.ObjectRef{{Kind: "release", Namespace: r.Tenant.Namespaces[0], Name: "moved"}}
		}
	}
	s.Releases = append(s.Releases, audit.Release{Home: home, Name: "stray", Namespace: "elsewhere", Record: audit.ObjectRef{Kind: "Secret", Namespace: home, Name: "stray.v1"}})
	s.Pods = append(s.Pods, audit.Pod{Namespace: home, Name: "impostor", Account: "tiller", Labels: map[string]string{"app": "helm", "name": "tiller"},
		Spec: &corev1.PodSpec{ServiceAccountName: "tiller", Containers: []corev1.Container{{Name: "tiller", Image: "example.com/evil/tiller"}}}})
	s.Tokens = append(s.Tokens, audit.Token{Namespace: home, Name: "tiller-token", Account: "tiller"})
	for i := range s.Accounts {
		if s.Accounts[i].Namespace == home {
			s.Accounts[i].Mounts = true
		}
	}
	for i := range s.Namespaces {
		if s.Namespaces[i].Name == home {
			delete(s.Namespaces[i].Labels, "pod-security.kubernetes.io/enforce")
		}
	}
	s.Workloads = append(s.Workloads, audit.Workload{Kind: "Deployment", Namespace: "green-tiller", Name: "neighbour"})
	s.Policies = slices.DeleteFunc(s.Policies, func(p audit.NetworkPolicy) bool { return p.Namespace == home })
	s.Policies = append(s.Policies, audit.NetworkPolicy{Namespace: "kube-system", Name: "other", Spec: networkingv1.NetworkPolicySpec{}})
	pod := &s.tillerOf("old").Spec
	pod.HostNetwork = true
	pod.Containers[0].SecurityContext, pod.Containers[0].Resources, pod.Containers[0].Env = nil, corev1.ResourceRequirements{}, nil
	s.bind("flux-1", "restorer", "ClusterRole admin", audit.User("restorer"))
	s.Guard.Freeze = []audit.GuardProblem{{Object: audit.ObjectRef{Kind: "ValidatingAdmissionPolicy", Name: rails.PolicyPrefix + "frozen"}, Missing: true}}
	s.Admission, s.OwnersAdmission = audit.AdmissionMissing, audit.AdmissionMissing
	s.bind(home, rbac.OwnerName, "Role "+rbac.OwnerName, audit.User("olga"))
	s.clusterFindings()
	return s
}

// clusterFindings plants what is wrong with tenants' roles, records and guard rails, and
// with objects of the whole cluster.
func (s *scene) clusterFindings() {
	// The guard rails of old are loose by its record, those of loose by a namespace's labels.
	for i := range s.Namespaces {
		if s.Namespaces[i].Name == "loose-1" {
			delete(s.Namespaces[i].Labels, rails.LabelEnforce)
		}
	}
	s.Records = append(s.Records, audit.Record{Namespace: "twice-again", Tenant: tenant.Tenant{Name: "twice", HomeNamespace: "twice-again", Namespaces: []string{"elsewhere"}}.WithDefaults()})

	for i, b := range s.Bindings {
		if b.Namespace == "blue-tiller" && b.Name == rbac.MemberName {
			s.Bindings[i].TermsProblem, s.Bindings[i].Unended = "it is no JSON", true
		}
	}
	s.Guard.Problems = []audit.GuardProblem{{Object: audit.ObjectRef{Kind: "ValidatingAdmissionPolicy", Name: rails.PolicyPrefix + "services"}, Missing: true}}
	s.Demands = []audit.Demand{{Object: audit.ObjectRef{Kind: "Service", Namespace: "loose-2", Name: "takes-addresses"}, Asks: &rails.Demand{ExternalIPs: []string{"10.0.0.1"}}}}
	s.Volumes = []audit.Volume{{Name: "disk-of-somebody"}}

	s.clusterRole("flux-users", rule("helm.toolkit.fluxcd.io", "helmreleases", "create"), rule("", "namespaces", "patch"))
	label := map[string]string{"rbac.example.com/aggregate-to-widget-users": "true"}
	widgets := rule("example.com", "widgets", "create")
	s.Roles = append(s.Roles,
		audit.Role{Name: "widget-users", Rules: []rbacv1.PolicyRule{widgets}, Aggregates: []metav1.LabelSelector{{MatchLabels: label}}},
		audit.Role{Name: "widget-operator", Rules: []rbacv1.PolicyRule{widgets}, Labels: label})

	s.Identities = audit.IdentityMap{Used: true, Exists: true}
	identities := rule("", "configmaps", "update")
	identities.ResourceNames = []string{audit.IdentityMapName}
	s.give(audit.IdentityMapNamespace, "identities", audit.User("mallory-identities"), identities)
	s.give("", "namespaces", audit.User("mallory-namespaces"), rule("", "namespaces", "create"))
	labels := rule("", "namespaces", "patch")
	labels.ResourceNames = []string{"blue-1"}
	s.give("", "labels", audit.User("mallory-labels"), labels)
	s.give("", "kubelets", audit.User("mallory-kubelets"), rule("", "nodes/status", "patch"))
	s.give("", "flux", audit.User("mallory-flux"), rule("kustomize.toolkit.fluxcd.io", "kustomizations", "create"))
	s.give("", "nightly", audit.Account("nightly", "apply"), rule("*", "*", "*"))
	s.Workloads = append(s.Workloads, audit.Workload{Kind: "CronJob", Namespace: "nightly", Name: "apply", Account: "apply", AppliesFrom: []audit.ObjectRef{{Kind: "ConfigMap", Namespace: "nightly", Name: "tenants"}}})
	s.give("nightly", "file", audit.User("mallory-file"), rule("", "configmaps", "patch"))
	s.Webhooks = append(s.Webhooks, audit.Webhook{Kind: "ValidatingWebhookConfiguration", Configuration: "scanner", Server: "service scanner in namespace elsewhere",
		Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}}}}},
		audit.Webhook{Kind: "MutatingWebhookConfiguration", Configuration: "meshes", Server: "service mesh in namespace mesh", Service: audit.ObjectRef{Kind: "Service", Namespace: "mesh", Name: "mesh"},
			Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}}})
	s.give("mesh", "pods", audit.User("mallory-mesh"), rule("", "pods", "create"))
}

// The tests of the pages show every kind of finding only if there is one.
func TestSceneHasFindingsOfEveryKind(t *testing.T) {
	report := audit.Audit(&everythingWrong().Snapshot, audit.Options{})
	for _, rule := range audit.Rules() {
		if !slices.ContainsFunc(report.Findings, func(f audit.Finding) bool { return f.ID == rule.ID }) {
			t.Errorf("no finding is %s (%s)", rule.ID, rule.Name)
		}
	}
}

func TestSceneOfTenantsHasNoFindings(t *testing.T) {
	for _, f := range audit.Audit(&newScene(4).Snapshot, audit.Options{}).Findings {
		t.Errorf("%s %s: %s", f.ID, f.Title(), f.Text)
	}
}
