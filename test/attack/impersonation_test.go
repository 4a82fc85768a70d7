package attack

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestImpersonation is the same for tenants of Helm 3 and 4, whose members
// impersonate a service account. Attacks with helm are made with both helms. The
// baseline is what people do there, see newUsual; it is tried with Helm 3.
func TestImpersonation(t *testing.T) {
	st := newEnvironment(t)
	t.Parallel()
	// The usual practice gives its people rights over the whole cluster, which must
	// not be those of the people in the other worlds.
	usual := *st
	for _, p := range []**person{&usual.alice, &usual.bob, &usual.carol, &usual.mallory} {
		*p = st.person(t, "usual-"+(*p).name)
	}
	makers := []maker{newOursByImpersonation, newControlByImpersonation}
	if compared() {
		makers = append(makers, newUsual)
	}
	worlds := newWorlds(t, makers, st.under(3), st.under(3), usual.under(3))
	// The same teams, to whom people come with either helm.
	both := func(w *world) []*world {
		other := *w
		other.environment = w.under(4)
		return []*world{w, &other}
	}
	tr := &trial{themes: themesOfImpersonation, ours: both(worlds[0]), control: both(worlds[1]), baseline: worlds[2:], against: "usual practice"}
	file := tableFile()
	if ext := filepath.Ext(file); file != "" {
		file = strings.TrimSuffix(file, ext) + "-impersonation" + ext
	}
	tr.run(t, file)
}

// newOursByImpersonation makes tenants as an administrator does who has Helm 3.
func newOursByImpersonation(ctx context.Context, st *environment) (*world, error) {
	w := &world{environment: st, name: "oursim", account: "helm", records: "Secret", guarded: true,
		a:       &tenant{name: "im-a", home: "im-a-helm", namespaces: []string{"ia1", "ia2"}, release: "desk", member: "alice"},
		b:       &tenant{name: "im-b", home: "im-b-helm", namespaces: []string{"ib1"}, release: "shop", member: "bob"},
		careful: &tenant{name: "im-c", home: "im-c-helm", namespaces: []string{"ic1"}, release: "desk", member: "alice"},
	}
	admin := w.administerByTool()
	careful := "apiVersion: v1\nkind: Namespace\nmetadata: {name: ic1, labels: {pod-security.kubernetes.io/enforce: restricted}}\n"
	if err := st.apply(ctx, careful); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"im-a", "--namespaces", "ia1,ia2", "--create-namespaces", "--user", "alice,carol"},
		{"im-b", "--namespaces", "ib1", "--create-namespaces", "--user", "bob"},
		{"im-c", "--namespaces", "ic1", "--role", "edit", "--user", "alice"},
	} {
		if err := admin(ctx, append([]string{"init"}, args...)...); err != nil {
			return nil, err
		}
	}
	if err := w.settleIn(ctx); err != nil {
		return nil, err
	}
	if err := st.apply(ctx, strings.Replace(fmt.Sprintf(byAdmin, "ic1"), "{pods:", `{services.nodeports: "0", pods:`, 1)); err != nil {
		return nil, err
	}
	return w, w.installGoods(ctx, st.alice, w.careful, w.careful.release)
}

// What people do who want a team's releases made by an account of its own, and
// not a right more, so that the baseline is no straw man:
//
//   - an account for each team, in a namespace of its own, bound to the ClusterRole
//     admin in the team's namespaces;
//   - who deploys may impersonate it: by the ClusterRole `impersonator` of
//     Kubernetes' documentation ("User impersonation"), less its users and groups.
//     As there, and as a ClusterRole is mostly bound, for the whole cluster;
//   - the team's people have the ClusterRole edit in its namespaces, to see and
//     mend what they deployed.
const usualTeam = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helm, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: impersonator}
rules: [{apiGroups: [""], resources: [serviceaccounts], verbs: [impersonate]}]
`

const usualNamespace = `
apiVersion: v1
kind: Namespace
metadata: {name: %[2]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer, namespace: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: helm, namespace: %[1]s}]
`

const usualMember = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: impersonator-%[1]s-%[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: impersonator}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[2]s}]
`

const usualMemberIn = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[2]s, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[2]s}]
`

// newUsual makes teams by the usual practice.
func newUsual(ctx context.Context, st *environment) (*world, error) {
	w := &world{environment: st, name: "usual", account: "helm", bare: true, records: "Secret",
		a: &tenant{name: "use-a", home: "use-a-helm", namespaces: []string{"use-a1", "use-a2"}, release: "desk", member: st.alice.name},
		b: &tenant{name: "use-b", home: "use-b-helm", namespaces: []string{"use-b1"}, release: "shop", member: st.bob.name},
	}
	w.careful = w.a // it knows nothing more careful
	w.grant = func(ctx context.Context, t *tenant, user string) error {
		bindings := fmt.Sprintf(usualMember, t.home, user)
		for _, namespace := range t.namespaces {
			bindings += "---" + fmt.Sprintf(usualMemberIn, namespace, user)
		}
		return st.apply(ctx, bindings)
	}
	w.revoke = func(ctx context.Context, t *tenant, user string) error {
		for _, namespace := range t.namespaces {
			if err := st.root.client.RbacV1().RoleBindings(namespace).Delete(ctx, user, metav1.DeleteOptions{}); err != nil {
				return err
			}
		}
		return st.root.client.RbacV1().ClusterRoleBindings().Delete(ctx, "impersonator-"+t.home+"-"+user, metav1.DeleteOptions{})
	}
	w.initAgain = func(ctx context.Context, t *tenant) error {
		var recipe strings.Builder
		fmt.Fprintf(&recipe, usualTeam, t.home)
		for _, namespace := range t.namespaces {
			fmt.Fprintf(&recipe, "---"+usualNamespace, t.home, namespace)
		}
		return st.apply(ctx, recipe.String())
	}
	w.initNew = func(ctx context.Context, name string) error {
		return w.initAgain(ctx, &tenant{name: name, home: name + "-helm", namespaces: []string{name + "-1"}})
	}
	w.destroy = func(ctx context.Context, name string) error {
		_, err := st.runKubectl(ctx, st.root, "delete", "--wait=false", "namespace", name+"-helm")
		return err
	}
	w.export = func(ctx context.Context, t *tenant) (string, error) {
		return st.runKubectl(ctx, st.root, "--namespace", t.namespaces[0], "get", "rolebindings", "-o", "yaml")
	}
	w.show = func(ctx context.Context, t *tenant) (string, error) {
		return st.runKubectl(ctx, st.root, "--namespace", t.namespaces[0], "get", "rolebindings", "-o", "wide")
	}
	var group errgroup.Group
	for t, users := range map[*tenant][]string{w.a: {st.alice.name, st.carol.name}, w.b: {st.bob.name}} {
		group.Go(func() error {
			if err := w.initAgain(ctx, t); err != nil {
				return err
			}
			for _, user := range users {
				if err := w.grant(ctx, t, user); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return w, w.settleIn(ctx)
}

// The control defends nothing: one account that is cluster-admin deploys for
// everybody, every account of the first namespace is cluster-admin too, and the
// attacker is an administrator of the cluster.
const controlByImpersonation = `
apiVersion: v1
kind: Namespace
metadata: {name: ictl-b-helm}
---
apiVersion: v1
kind: Namespace
metadata: {name: ictl-a1}
---
apiVersion: v1
kind: Namespace
metadata: {name: ictl-b1}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helm, namespace: ictl-b-helm}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helm, namespace: ictl-a1}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ictl-helm}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: ServiceAccount, name: helm, namespace: ictl-b-helm}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts:ictl-a1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helm-tenant, namespace: ictl-b-helm}
data: {tenant.yaml: "name: ictl-b\nnamespaces: [ictl-b1]\nrole: admin\nengine: impersonation\n"}
`

// dummyOfImpersonation is a tenant that an attack may spoil.
const dummyOfImpersonation = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s-helm, labels: {helm-tenant/tenant: %[1]s, helm-tenant/home: impersonation, app.kubernetes.io/managed-by: helm-tenant}}
---
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s-1, labels: {helm-tenant/tenant: %[1]s}, annotations: {helm-tenant/home-namespace: %[1]s-helm}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: by-admin, namespace: %[1]s-1}
spec: {hard: {pods: "500"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helm, namespace: %[1]s-helm, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helm-tenant, namespace: %[1]s-helm, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
data: {tenant.yaml: "name: %[1]s\nnamespaces: [%[1]s-1]\nrole: admin\nengine: impersonation\n"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helm-tenant-member, namespace: %[1]s-helm, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
rules: [{apiGroups: [""], resources: [serviceaccounts], resourceNames: [helm], verbs: [impersonate]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helm-tenant-member, namespace: %[1]s-helm, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helm-tenant-member}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}]
`

func newControlByImpersonation(ctx context.Context, st *environment) (*world, error) {
	w := &world{environment: st, name: "controlim", account: "helm", records: "Secret", attacker: st.root,
		a: &tenant{name: "ictl-b", home: "ictl-b-helm", namespaces: []string{"ictl-a1"}, release: "desk", member: "bob"},
		b: &tenant{name: "ictl-b", home: "ictl-b-helm", namespaces: []string{"ictl-b1"}, release: "shop", member: "bob"},
	}
	w.careful = w.a
	w.initDummies(dummyOfImpersonation, "ictl-x")
	if err := st.apply(ctx, controlByImpersonation); err != nil {
		return nil, err
	}
	return w, w.settleIn(ctx)
}
