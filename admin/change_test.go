package admin

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/install"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// TestChanges: what is written for a tenant that exists.
func TestChanges(t *testing.T) {
	withMembers := func(names ...string) func(*Request) {
		return func(r *Request) {
			for _, name := range names {
				r.Tenant.Members = append(r.Tenant.Members, tenant.User(name))
			}
		}
	}
	existing := empty().after(t, asked(withMembers("alice")))
	both := empty().after(t, asked(engine(tenant.EngineBoth)))
	wide := empty().after(t, asked(everywhere, accept(RiskClusterWide)))
	migrating := edited(existing, recordKey("t-tiller"), func(m *corev1.ConfigMap) {
		m.Annotations = map[string]string{tenant.AnnotationMigration: `{"phase":"frozen"}`}
	})
	withReleases := existing
	withReleases.tiller = map[string][]Release{"t-tiller": {{Name: "web", Namespace: "b", Status: "FAILED"}, {Name: "old", Namespace: "b", Status: "DELETED"}}}
	forbidden := existing
	forbidden.fail = map[string]error{"t-tiller": apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", nil)}
	shared := empty().after(t, Request{Tenant: tenant.Tenant{Name: "o", Namespaces: []string{"a"}}})
	memberships := "update RoleBinding helm-tenant-member in namespace t-tiller: subjects"
	recordChange := "update ConfigMap helm-tenant in namespace t-tiller: data.tenant.yaml"
	unclaim := "update Namespace b: metadata.labels[helm-tenant/tenant], metadata.annotations[helm-tenant/home-namespace]"
	unbind := "delete RoleBinding helm-tenant.t.admin in namespace b"
	for _, test := range []struct {
		name    string
		world   world
		request Request
		want    decided
	}{
		{"nothing", existing, asked(), decided{}},
		{"a risk that was taken before", wide, asked(everywhere), decided{Notes: []string{"a tenant of all namespaces has no guard rails"}}},
		{"a risk that was taken before, by a file", wide, asked(everywhere, exactly), decided{Notes: []string{"a tenant of all namespaces has no guard rails"}}},
		{"a risk that was taken before, with a change", wide, asked(everywhere, withMembers("bob")),
			decided{Err: `cluster-wide: a Tiller for all namespaces, with the role cluster-admin, makes everybody who may use tenant "t" an admin of the cluster`}},
		{"nothing is asked but the name", existing, Request{Tenant: tenant.Tenant{Name: "t"}}, decided{}},
		{"another member", existing, asked(withMembers("bob")), decided{Steps: []string{memberships}}},
		{"just other members", existing, asked(withMembers("bob"), exactly), decided{Steps: []string{memberships}, Notes: []string{"no longer members: user alice"}}},
		{"another default namespace", existing, asked(func(r *Request) { r.DefaultNamespace = "b" }), decided{Steps: []string{recordChange}}},
		{"a setting of Tiller", existing, asked(func(r *Request) { r.Tenant.Tiller.Replicas = new(3) }),
			decided{Steps: []string{recordChange, "update Deployment tiller-deploy in namespace t-tiller: spec.replicas"}}},

		{"a namespace less is no order to take it away", existing, asked(namespaces("a")), decided{}},
		{"a namespace is pruned", existing, asked(namespaces("a"), pruning), decided{Steps: []string{recordChange, unclaim, unbind},
			Notes: []string{`namespace "b" is taken from the tenant; what runs in it stays`}}},
		{"a namespace with releases is pruned", withReleases, asked(namespaces("a"), pruning), decided{Steps: []string{recordChange, unclaim, unbind},
			Notes: []string{`namespace "b" is taken from the tenant; what runs in it stays, and the tenant can no longer manage its releases there: web`}}},
		{"a namespace is pruned by who may not read releases", forbidden, asked(namespaces("a"), exactly, withMembers("alice")), decided{Steps: []string{recordChange, unclaim, unbind},
			Notes: []string{`namespace "b" is taken from the tenant; what runs in it stays`}}},
		{"a namespace is pruned, and releases fail to be read", world{objects: existing.objects, fail: map[string]error{"t-tiller": errors.New("no answer")}}, asked(namespaces("a"), pruning), decided{Err: "no answer"}},
		{"a namespace that only carries the label", existing.with(namespace("c", tenant.LabelTenant, "t")), asked(),
			decided{Err: "", Notes: []string{`namespace "c" carries the tenant's label but is not one of its namespaces; --prune takes the label away`}}},
		{"a shared namespace keeps the other's label", shared, asked(func(r *Request) { r.Share = true }), decided{Steps: slices.Concat(
			newNamespaces[1:], []string{"create Namespace t-tiller"}, newHome("t-tiller", newBindings...))}},

		{"a wider role", empty().after(t, asked(role("edit"))), asked(role("admin")), decided{Steps: []string{recordChange,
			"create RoleBinding helm-tenant.t.admin in namespace a", "create RoleBinding helm-tenant.t.admin in namespace b",
			"delete RoleBinding helm-tenant.t.edit in namespace a", "delete RoleBinding helm-tenant.t.edit in namespace b"}}},
		{"a role that holds something else", existing, asked(role("own")), decided{Steps: []string{
			"delete RoleBinding helm-tenant.t.admin in namespace a", unbind, recordChange,
			"create RoleBinding helm-tenant.t.own in namespace a", "create RoleBinding helm-tenant.t.own in namespace b"}}},
		{"no longer all namespaces", wide, asked(exactly), decided{Steps: slices.Concat(newNamespaces, []string{
			"update Namespace t-tiller: metadata.labels[helm-tenant/home]",
			"delete ClusterRoleBinding helm-tenant.t.cluster-admin", recordChange}, newBindings)}},

		{"both engines", existing, asked(engine(tenant.EngineBoth)), decided{Steps: []string{
			"update Namespace t-tiller: metadata.labels[helm-tenant/home]", recordChange,
			"update Role helm-tenant-member in namespace t-tiller: rules", "create ServiceAccount helm in namespace t-tiller",
			"update RoleBinding helm-tenant.t.admin in namespace a: subjects", "update RoleBinding helm-tenant.t.admin in namespace b: subjects"}}},
		{"the Tiller goes", both, asked(engine(tenant.EngineImpersonation)), decided{Steps: []string{
			"update Namespace t-tiller: metadata.labels[helm-tenant/home]", recordChange,
			"update Role helm-tenant-member in namespace t-tiller: rules",
			"update RoleBinding helm-tenant.t.admin in namespace a: subjects", "update RoleBinding helm-tenant.t.admin in namespace b: subjects",
			"delete Deployment tiller-deploy in namespace t-tiller", "delete NetworkPolicy helm-tenant in namespace t-tiller",
			"delete Role helm-tenant-records in namespace t-tiller", "delete RoleBinding helm-tenant-records in namespace t-tiller",
			"delete ServiceAccount tiller in namespace t-tiller"}}},
		{"the account of Helm 3 goes", both, asked(engine(tenant.EngineTiller)), decided{Steps: []string{
			"update Namespace t-tiller: metadata.labels[helm-tenant/home]", recordChange,
			"update Role helm-tenant-member in namespace t-tiller: rules",
			"update RoleBinding helm-tenant.t.admin in namespace a: subjects", "update RoleBinding helm-tenant.t.admin in namespace b: subjects",
			"delete ServiceAccount helm in namespace t-tiller"}}},
		{"the Deployment of a migration stays as it is", edited(migrating, tillerKey("t-tiller"), func(*appsv1.Deployment) {}),
			asked(func(r *Request) { r.Migrating, r.Tenant.Tiller.Replicas = true, new(3) }), decided{Steps: []string{recordChange}}},

		{"rights that others gave to the deployer", existing.with(bindingOf("", "all", "cluster-admin", account("t-tiller", "tiller"))), asked(),
			decided{Notes: []string{`service account tiller in namespace "t-tiller" has rights that helm-tenant did not grant, which --adopt removes: ClusterRoleBinding all -> ClusterRole cluster-admin`}}},
		{"rights given to an account of the binding's own namespace", existing.with(bindingOf("t-tiller", "more", "edit", account("", "tiller"))), asked(),
			decided{Notes: []string{`service account tiller in namespace "t-tiller" has rights that helm-tenant did not grant, which --adopt removes: RoleBinding more in namespace t-tiller -> ClusterRole edit`}}},
		{"rights given to another account", existing.with(bindingOf("a", "more", "edit", account("", "tiller"))), asked(), decided{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.world.decide(t, test.request)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// tillerByHand returns a Tiller as `helm init` makes it, with the pod spec that change makes.
func tillerByHand(home string, change func(*appsv1.Deployment)) []runtime.Object {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: install.DeploymentName, Namespace: home, Labels: recognise.Labels()},
		Spec: appsv1.DeploymentSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: recognise.Labels()},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: recognise.Labels()}, Spec: corev1.PodSpec{ServiceAccountName: "tiller",
				Containers: []corev1.Container{{Name: "tiller", Image: "ghcr.io/helm/tiller:v2.17.0", Env: []corev1.EnvVar{{Name: "TILLER_HISTORY_MAX", Value: "0"}}}}}}},
	}
	change(d)
	service := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Name: install.DeploymentName, Namespace: home, Labels: recognise.Labels()}}
	sa := &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Name: "tiller", Namespace: home}}
	return []runtime.Object{namespace(home), d, service, sa}
}

// TestAdoption: what becomes of deployers made by hand, and of their rights.
func TestAdoption(t *testing.T) {
	tillerWith := func(change func(*appsv1.Deployment)) world { return empty().with(tillerByHand("t-tiller", change)...) }
	asMade := tillerWith(func(*appsv1.Deployment) {})
	storing := func(flag string) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Command = []string{"/tiller", "--storage=" + flag}
		}
	}
	inMemory := `the Tiller in namespace "t-tiller" stores its releases as "memory", and a tenant's Tiller stores them as secret or configmap`
	for _, test := range []struct {
		name    string
		world   world
		request Request
		// err is the whole error; step and note must be among those of the decision
		err, step, note string
	}{
		{"a Tiller becomes the tenant's", asMade, asked(adopting), "", "delete Service tiller-deploy in namespace t-tiller", ""},
		{"its storage stays", asMade, asked(adopting), "", "create Role helm-tenant-records in namespace t-tiller", ""},
		{"another storage was asked for", asMade, asked(adopting, storage(tenant.StorageSecret)), `the Tiller in namespace "t-tiller" stores its releases as configmaps and would not find them as secrets`, "", ""},
		{"a storage that no tenant has", tillerWith(storing("memory")), asked(adopting), inMemory, "", ""},
		{"another account", tillerWith(func(d *appsv1.Deployment) { d.Spec.Template.Spec.ServiceAccountName = "" }), asked(adopting), "", "",
			`Tiller no longer runs as service account "default" of namespace "t-tiller", which keeps the rights that it has`},
		{"TLS", tillerWith(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Env = append(d.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "TILLER_TLS_ENABLE", Value: "1"})
		}), asked(adopting), "", "", "Tiller no longer uses TLS: only a port-forward reaches it; leave --tls out of helm's commands"},
		{"settings that are asked for", asMade, asked(adopting, func(r *Request) { r.Tenant.Tiller.HistoryMax = new(7) }), "", "", "Tiller's history-max: 0 becomes 7"},
		{"more replicas are kept", tillerWith(func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }), asked(adopting), "", "create ConfigMap helm-tenant in namespace t-tiller", ""},
		{"of a file, the default", tillerWith(func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }), asked(adopting, exactly, storage(tenant.StorageConfigMap)), "", "", "Tiller's replicas: 2 becomes 1"},
		{"what a tenant's Tiller has not", tillerWith(func(d *appsv1.Deployment) { d.Spec.Template.Spec.PriorityClassName = "high" }), asked(adopting), "", "", "Tiller loses settings that a tenant's Tiller can't have: priority class high"},

		{"releases outside", withTiller(asMade, Release{Name: "far", Namespace: "z", Status: "DEPLOYED"}), asked(adopting),
			"outside-releases: releases live outside the tenant's namespaces, and its Tiller could no longer manage them: far in namespace z", "", ""},
		{"releases outside, accepted", withTiller(asMade, Release{Name: "far", Namespace: "z", Status: "DEPLOYED"}), asked(adopting, accept(RiskOutsideReleases)), "", "",
			"its Tiller can no longer manage these releases: far in namespace z"},
		{"releases that can't be read", world{objects: asMade.objects, fail: map[string]error{"t-tiller": errors.New("no answer")}}, asked(adopting), "no answer", "", ""},

		{"a cluster-admin", asMade.with(bindingOf("", "tiller", "cluster-admin", account("t-tiller", "tiller"))), asked(adopting), "", "delete ClusterRoleBinding tiller",
			"taken from Tiller: ClusterRoleBinding tiller -> ClusterRole cluster-admin"},
		{"as a user", asMade.with(bindingOf("", "tiller", "cluster-admin", user("system:serviceaccount:t-tiller:tiller"))), asked(adopting), "", "delete ClusterRoleBinding tiller", ""},
		{"with others", asMade.with(bindingOf("", "tiller", "cluster-admin", user("eve"), account("t-tiller", "tiller"))), asked(adopting), "", "update ClusterRoleBinding tiller: subjects",
			"taken from Tiller, and left to its 1 other subject: ClusterRoleBinding tiller -> ClusterRole cluster-admin"},
		{"by the binding's own namespace", asMade.with(bindingOf("t-tiller", "more", "admin", account("", "tiller"))), asked(adopting), "", "delete RoleBinding more in namespace t-tiller",
			"taken from Tiller: RoleBinding more in namespace t-tiller -> ClusterRole admin"},
		{"by its own namespace, with others", asMade.with(bindingOf("t-tiller", "more", "admin", account("", "tiller"), account("", "ci"))), asked(adopting), "", "update RoleBinding more in namespace t-tiller: subjects", ""},
		{"as one of a group", asMade.with(bindingOf("", "all", "edit", rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:t-tiller"})), asked(adopting), "", "",
			"Tiller keeps, with all of group system:serviceaccounts:t-tiller: ClusterRoleBinding all -> ClusterRole edit"},
		{"an account without a Tiller", empty().with(namespace("t-helm"), accountIn("t-helm", "helm"), bindingOf("b", "x", "edit", account("t-helm", "helm"))), asked(adopting, engine(tenant.EngineImpersonation)), "",
			"delete RoleBinding x in namespace b", "taken from service account helm: RoleBinding x in namespace b -> ClusterRole edit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.world.decide(t, test.request)
			if got.Err != test.err {
				t.Fatalf("got error %q, not %q", got.Err, test.err)
			}
			if test.step != "" && !slices.Contains(got.Steps, test.step) {
				t.Errorf("no step %q among %q", test.step, got.Steps)
			}
			if test.note != "" && !slices.Contains(got.Notes, test.note) {
				t.Errorf("no note %q among %q", test.note, got.Notes)
			}
		})
	}
}

// TestAdoptedTwice: after an adoption the same request finds nothing to do.
func TestAdoptedTwice(t *testing.T) {
	w := empty().with(tillerByHand("t-tiller", func(*appsv1.Deployment) {})...).with(
		bindingOf("", "tiller", "cluster-admin", account("t-tiller", "tiller"), user("eve")), bindingOf("t-tiller", "more", "admin", account("", "tiller")))
	if got := w.after(t, asked(adopting)).decide(t, asked(adopting)); len(got.Steps) > 0 {
		t.Errorf("a second run does %q", got.Steps)
	}
}

func accountIn(ns, name string) runtime.Object {
	return &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
}

func withTiller(w world, releases ...Release) world {
	w.tiller = map[string][]Release{"t-tiller": releases}
	return w
}
