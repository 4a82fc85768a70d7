package attack

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The seed's recipe, by the letter and not a right more, so that the baseline is
// no straw man:
//
//   - "tiller given admin access to a specific list of namespaces": the
//     ClusterRole admin, bound in each.
//   - Tiller stores its releases as ConfigMaps in its own namespace, for which
//     the recipe points to Helm's documentation; that gives it ConfigMaps there
//     and nothing else (docs/rbac.md, "Deploy Tiller in a namespace, restricted
//     to deploying resources in another namespace").
//   - "user 1 ensured access to creating pods in user-1-tiller namespace": to
//     make, see and delete pods, and the port-forward without which helm does
//     not reach Tiller. People did this with the ClusterRole edit, which holds
//     exec, Secrets and tokens besides; that would only add to what succeeds.
//   - helm init --service-account tiller --tiller-namespace user-1-tiller.
const seedTenant = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: tiller, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tiller-manager, namespace: %[1]s}
rules: [{apiGroups: [""], resources: [configmaps], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tiller-binding, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tiller-manager}
subjects: [{kind: ServiceAccount, name: tiller, namespace: %[1]s}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: creates-pods, namespace: %[1]s}
rules:
- {apiGroups: [""], resources: [pods], verbs: [create, get, list, watch, delete]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [create]}
`

const seedNamespace = `
apiVersion: v1
kind: Namespace
metadata: {name: %[2]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tiller, namespace: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: tiller, namespace: %[1]s}]
`

const seedMember = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[2]s, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: creates-pods}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[2]s}]
`

// newSeed makes teams by the seed's recipe.
func newSeed(ctx context.Context, st *environment) (*world, error) {
	w := &world{environment: st, name: "seed", account: "tiller", bare: true, records: "ConfigMap",
		a: &tenant{name: "seed-a", home: "seed-a-tiller", namespaces: []string{"seed-a1", "seed-a2"}, release: "desk", member: "alice"},
		b: &tenant{name: "seed-b", home: "seed-b-tiller", namespaces: []string{"seed-b1"}, release: "shop", member: "bob"},
	}
	w.careful = w.a // the recipe knows nothing more careful
	w.grant = func(ctx context.Context, t *tenant, user string) error {
		return st.apply(ctx, fmt.Sprintf(seedMember, t.home, user))
	}
	w.revoke = func(ctx context.Context, t *tenant, user string) error {
		return st.root.client.RbacV1().RoleBindings(t.home).Delete(ctx, user, metav1.DeleteOptions{})
	}
	w.initAgain = func(ctx context.Context, t *tenant) error {
		var recipe strings.Builder
		fmt.Fprintf(&recipe, seedTenant, t.home)
		for _, namespace := range t.namespaces {
			fmt.Fprintf(&recipe, "---"+seedNamespace, t.home, namespace)
		}
		if err := st.apply(ctx, recipe.String()); err != nil {
			return err
		}
		return w.helmInit(ctx, t.home)
	}
	w.initNew = func(ctx context.Context, name string) error {
		return w.initAgain(ctx, &tenant{name: name, home: name + "-tiller", namespaces: []string{name + "-1"}})
	}
	w.destroy = func(ctx context.Context, name string) error {
		_, err := st.runKubectl(ctx, st.root, "delete", "--wait=false", "namespace", name+"-tiller")
		return err
	}
	w.export = func(ctx context.Context, t *tenant) (string, error) {
		// The recipe keeps no list of teams; an administrator can read this.
		return st.runKubectl(ctx, st.root, "--namespace", t.home, "get", "rolebindings", "-o", "yaml")
	}
	w.show = func(ctx context.Context, t *tenant) (string, error) {
		return st.runKubectl(ctx, st.root, "--namespace", t.namespaces[0], "get", "rolebindings", "-o", "wide")
	}
	var group errgroup.Group
	for t, users := range map[*tenant][]string{w.a: {"alice", "carol"}, w.b: {"bob"}} {
		group.Go(func() error {
			if err := w.initAgain(ctx, t); err != nil {
				return err
			}
			for _, user := range users {
				if err := w.grant(ctx, t, user); err != nil {
					return err
				}
			}
			return w.ready(ctx, t.home)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return w, w.settleIn(ctx)
}

// helmInit is `helm init` as the seed has it; again, it changes nothing.
func (st *environment) helmInit(ctx context.Context, home string) error {
	_, err := st.runHelm(ctx, st.root, "init", "--skip-refresh", "--service-account=tiller", "--tiller-namespace="+home)
	return err
}

// ready waits for a Tiller that helm init made.
func (st *environment) ready(ctx context.Context, home string) error {
	seen, err := eventually(ctx, func(ctx context.Context) (string, error) {
		d, err := st.root.client.AppsV1().Deployments(home).Get(ctx, "tiller-deploy", metav1.GetOptions{})
		if err != nil || d.Status.AvailableReplicas == 0 {
			return "", err
		}
		return "ready", nil
	})
	if err == nil && seen == "" {
		err = fmt.Errorf("the Tiller in %s was not ready in time", home)
	}
	return err
}
