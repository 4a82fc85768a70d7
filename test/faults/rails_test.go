package faults

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func init() { scenarios = append(scenarios, railed...) }

// oneRailed is the tenant one with guard rails of every kind, and otherRails are other
// ones.
const (
	oneRailed  = one + allRails
	allRails   = "  podSecurity: restricted\n  guard: enforce\n  quota: {pods: \"20\", services.nodeports: \"0\"}\n  limits: {default: {cpu: 500m}, max: {memory: 1Gi}}\n  network: isolated\n  allowFrom: [192.0.2.0/24]\n  hosts: [\"*.NAME.example.com\"]\n  priorityClasses: [system-cluster-critical]\n  labels: {team: NAME}\n  contact: NAME@example.com\n"
	otherRails = "  podSecurity: baseline\n  guard: warn\n  quota: {pods: \"30\"}\n  limits: {default: {memory: 64Mi}}\n  network: isolated\n  networkExcept: [198.51.100.0/24]\n  hosts: [NAME.example.org]\n  labels: {cost: \"42\"}\n  contact: else@example.com\n"
	openRails  = "  podSecurity: unmanaged\n  guard: \"off\"\n  network: open\n"
	file       = "apiVersion: helm-tenant/v1\ntenants:"
)

// withoutAlice is oneRailed without one of its members.
const withoutAlice = "\n- name: NAME\n  namespaces: [NAME-a, NAME-b]\n  members: {users: [bob]}\n" + allRails

// railed are commands that write, change and remove guard rails, and those that end
// connections. No Tiller runs here, so ready makes the API server report one; test/attack tests
// the restart.
var railed = []*scenario{
	{
		name: "init with all guard rails", prefix: "na", about: []string{"NAME"},
		args: "init NAME --namespaces NAME-a,NAME-b --create-namespaces --user alice --wait=false --pod-security restricted --quota pods=20 --limits default.cpu=500m" +
			" --network isolated --allow-from 192.0.2.0/24 --network-except 198.51.100.0/24 --hosts *.NAME.example.com --priority-classes system-cluster-critical --labels team=NAME --contact NAME@example.com",
	},
	{
		name: "apply of guard rails to a tenant without", prefix: "nb", about: []string{"NAME"}, prepare: unrailed,
		args: "apply -f - --accept-risk=no-guard,node-access", input: file + oneRailed,
	},
	{
		name: "apply of other guard rails", prefix: "nc", about: []string{"NAME"}, tenants: oneRailed, prepare: warned,
		args: "apply -f -", input: file + one + otherRails,
	},
	{
		name: "apply that takes the guard rails away", prefix: "nd", about: []string{"NAME"}, tenants: oneRailed,
		args: "apply -f - --accept-risk=no-guard,node-access", input: file + one + openRails,
	},
	{
		name: "init that takes a namespace with guard rails away", prefix: "ne", about: []string{"NAME"}, tenants: oneRailed,
		args: "init NAME --namespaces NAME-b --prune --wait=false",
	},
	{
		name: "destroy with all guard rails", prefix: "nf", about: []string{"NAME"}, tenants: oneRailed + "  engine: impersonation\n  homeNamespace: NAME-tiller\n",
		args: "destroy NAME --yes",
	},
	{
		name: "revoke that disconnects", prefix: "ng", about: []string{"NAME"}, tenants: oneRailed, prepare: ready, every: true, renews: true,
		args: "revoke NAME --user alice --disconnect",
	},
	{
		name: "apply that disconnects", prefix: "nh", about: []string{"NAME"}, tenants: oneRailed, prepare: ready, every: true,
		args: "apply -f - --disconnect", input: file + withoutAlice,
	},
	{
		// The pod of the Tiller is to go though nobody asks for it a second time.
		name: "apply after a revoke that was to disconnect", prefix: "ni", about: []string{"NAME"}, tenants: oneRailed, prepare: unended, every: true,
		args: "apply -f -", input: file + withoutAlice,
	},
}

// ready makes the pods of the tenant's Tiller ready, since no kubelet does, and adds a pod
// that holds connections.
func ready(ctx context.Context, w *world, name string) error {
	pods := w.root.CoreV1().Pods(name + "-tiller")
	tiller, err := w.root.AppsV1().Deployments(name+"-tiller").Get(ctx, "tiller-deploy", metav1.GetOptions{})
	if err != nil {
		return err
	}
	old := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "tiller-old", Labels: tiller.Spec.Template.Labels}, Spec: tiller.Spec.Template.Spec}
	if _, err := pods.Create(ctx, old, metav1.CreateOptions{}); err != nil {
		return err
	}
	go func() {
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done(): // the scenario has ended
				return
			case <-tick.C:
			}
			all, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "app=helm,name=tiller"})
			if err != nil {
				continue
			}
			for i := range all.Items {
				pod := &all.Items[i]
				if pod.Status.Phase == corev1.PodRunning {
					continue
				}
				pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
				_, _ = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}) // it may be gone
			}
		}
	}()
	return nil
}

// unended is ready, and a revoke --disconnect that was stopped before it ended connections.
func unended(ctx context.Context, w *world, name string) error {
	if err := ready(ctx, w, name); err != nil {
		return err
	}
	patch := `{"metadata":{"annotations":{"helm-tenant/disconnect":"2026-01-31T12:00:00Z"}},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"bob"}]}`
	_, err := w.root.RbacV1().RoleBindings(name+"-tiller").Patch(ctx, "helm-tenant-member", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// unrailed makes the tenant one without guard rails.
func unrailed(_ context.Context, w *world, name string) error {
	return w.must(w.run(w.direct, w.folder(), "", "init", name, "--namespaces", name+"-a,"+name+"-b", "--create-namespaces", "--user", "alice,bob", "--wait=false",
		"--guard", "off", "--pod-security", "unmanaged", "--accept-risk", "no-guard,node-access"))
}

// warned makes a tenant whose guard warns: the bindings of that mode are shared, and each
// run is to make the same writes.
func warned(_ context.Context, w *world, _ string) error {
	return w.must(w.run(w.direct, w.folder(), "", "init", "warned", "--engine", "impersonation", "--namespaces", "warned-a", "--create-namespaces", "--guard", "warn"))
}
