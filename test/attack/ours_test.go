package attack

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// byAdmin is an object of the cluster's administrator in a team's namespace, which the team
// must not change.
const byAdmin = `
apiVersion: v1
kind: ResourceQuota
metadata: {name: by-admin, namespace: %s}
spec: {hard: {pods: "500"}}
`

// elsewhere is an ordinary namespace, no tenant's, of which somebody is admin, as
// users of a shared cluster are somewhere.
const elsewhere = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: its-admin, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[2]s}]
`

func (w *world) elsewhere(p *person) string { return "elsewhere-" + w.name + "-" + p.name }

const settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {owner: {{ .Values.owner }}}
`

// goods is what a team has to lose: settings, a Secret, and something that runs.
const goods = settings + `
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}}
stringData: {password: {{ .Values.password }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65534, seccompProfile: {type: RuntimeDefault}}
      containers:
      - {name: main, image: "registry.k8s.io/pause:3.10", securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}
`

// password is a value of every release, and its Secret's content.
const password = "a-password-of-the-team"

// installGoods has a member of a team install what it has to lose.
func (w *world) installGoods(ctx context.Context, actor *person, t *tenant, release string) error {
	return w.installRelease(ctx, actor, t, release, goods)
}

func (w *world) installRelease(ctx context.Context, actor *person, t *tenant, release, manifest string) error {
	s := &attackRun{world: w, id: w.name + "-" + release, actor: actor, entry: t, victim: t, own: t.namespaces[0]}
	dir, err := s.writeChart(manifest)
	if err != nil {
		return err
	}
	return w.installs(ctx, actor, t, dir, release, t.namespaces[0], "--set", "owner="+actor.name+",password="+password)
}

// newOurs makes tenants as an administrator does, with helm-tenant.
func newOurs(ctx context.Context, st *environment) (*world, error) {
	w := &world{environment: st, name: "ours", account: "tiller", records: "Secret", policyBinding: "helm-tenant-records", guarded: true,
		a:       &tenant{name: "team-a", home: "team-a-tiller", namespaces: []string{"a1", "a2"}, release: "desk", member: "alice"},
		b:       &tenant{name: "team-b", home: "team-b-tiller", namespaces: []string{"b1"}, release: "shop", member: "bob"},
		careful: &tenant{name: "team-c", home: "team-c-tiller", namespaces: []string{"c1"}, release: "desk", member: "alice"},
	}
	admin := w.administerByTool()

	// What the documentation tells the careful: PodSecurity and a quota on the
	// tenant's own namespaces, and a role under which charts make no bindings.
	careful := "apiVersion: v1\nkind: Namespace\nmetadata: {name: c1, labels: {pod-security.kubernetes.io/enforce: restricted}}\n"
	if err := st.apply(ctx, careful); err != nil {
		return nil, err
	}
	// The first alone: it makes what the cluster has once.
	if err := admin(ctx, "init", "team-a", "--namespaces", "a1,a2", "--create-namespaces", "--user", "alice,carol"); err != nil {
		return nil, err
	}
	var group errgroup.Group
	group.Go(func() error {
		return admin(ctx, "init", "team-b", "--namespaces", "b1", "--create-namespaces", "--user", "bob")
	})
	group.Go(func() error {
		return admin(ctx, "init", "team-c", "--namespaces", "c1", "--role", "edit", "--storage", "configmap", "--user", "alice")
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := w.settleIn(ctx); err != nil {
		return nil, err
	}
	if err := st.apply(ctx, strings.Replace(fmt.Sprintf(byAdmin, "c1"), "{pods:", `{services.nodeports: "0", pods:`, 1)); err != nil {
		return nil, err
	}
	return w, w.installGoods(ctx, st.alice, w.careful, w.careful.release)
}

// administerByTool has the world's administrator use helm-tenant.
func (w *world) administerByTool() (admin func(ctx context.Context, args ...string) error) {
	admin = func(ctx context.Context, args ...string) error {
		_, err := w.runTenant(ctx, w.root, args...)
		return err
	}
	w.grant = func(ctx context.Context, t *tenant, user string) error {
		return admin(ctx, "grant", t.name, "--user", user)
	}
	w.revoke = func(ctx context.Context, t *tenant, user string) error {
		return admin(ctx, "revoke", t.name, "--user", user)
	}
	w.initAgain = func(ctx context.Context, t *tenant) error {
		return admin(ctx, "init", t.name, "--namespaces", strings.Join(t.namespaces, ","), "--wait=false")
	}
	w.initNew = func(ctx context.Context, name string) error {
		return admin(ctx, "init", name, "--namespaces", name+"-1", "--create-namespaces", "--wait=false")
	}
	w.destroy = func(ctx context.Context, name string) error {
		return admin(ctx, "destroy", name, "--keep-releases", "--yes", "--wait=false", "--backup", filepath.Join(w.dir, "backup-"+name))
	}
	w.export = func(ctx context.Context, t *tenant) (string, error) {
		return w.runTenant(ctx, w.root, "export", t.name)
	}
	w.show = func(ctx context.Context, t *tenant) (string, error) {
		return w.runTenant(ctx, w.root, "describe", t.name)
	}
	return admin
}

// settleIn has the teams install what they have to lose, and the one who will
// be revoked leave behind what will be tried later.
func (w *world) settleIn(ctx context.Context) error {
	for _, t := range []*tenant{w.a, w.b, w.careful} {
		for _, namespace := range t.namespaces {
			if err := w.apply(ctx, fmt.Sprintf(byAdmin, namespace)); err != nil {
				return err
			}
		}
	}
	for _, p := range []*person{w.carol, w.mallory} {
		if err := w.apply(ctx, fmt.Sprintf(elsewhere, w.elsewhere(p), p.name)); err != nil {
			return err
		}
	}
	alice, bob, carol := w.alice, w.bob, w.carol
	if w.attacker != nil {
		alice, bob, carol = w.attacker, w.attacker, w.attacker
	}
	var group errgroup.Group
	group.Go(func() error { return w.installGoods(ctx, alice, w.a, w.a.release) })
	group.Go(func() error { return w.installGoods(ctx, bob, w.b, w.b.release) })
	group.Go(func() error {
		s := &attackRun{world: w, id: "left-behind-" + w.name, actor: carol, entry: w.a, victim: w.a, own: w.a.last()}
		return w.leaves(s.install(ctx, s.own, bindingToOutsider), s)
	})
	group.Go(func() (err error) {
		if w.account == "tiller" {
			w.tunnel, err = w.openTunnel(ctx, carol, w.a)
		} else {
			w.token, err = w.takeToken(ctx, carol, w.a)
		}
		if err == nil && w.account != "tiller" {
			w.overheard, err = w.openWatch(carol, w.a)
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if w.attacker != nil {
		return nil
	}
	return w.revoke(ctx, w.a, carol.name)
}

// leaves judges an attempt to leave a binding behind: if guard rails forbid it, it must have
// been refused.
func (w *world) leaves(answer error, s *attackRun) error {
	if !w.guarded {
		return answer
	}
	if answer == nil {
		return fmt.Errorf("%s could leave a binding behind, past the guard", s.actor.name)
	}
	if o := s.refusedBy(answer); o.by != "guard" {
		return fmt.Errorf("leaving a binding behind was not refused by the guard: %w", answer)
	}
	return nil
}

// members reads who the binding of a tenant's members names.
func (w *world) members(ctx context.Context, t *tenant) (string, error) {
	bindings, err := w.root.client.RbacV1().RoleBindings(t.home).List(ctx, metav1.ListOptions{LabelSelector: labels.Set{"helm-tenant/tenant": t.name}.String()})
	if err != nil {
		return "", err
	}
	var names []string
	for _, b := range bindings.Items {
		if b.Name == "helm-tenant-member" {
			for _, subject := range b.Subjects {
				names = append(names, subject.Name)
			}
		}
	}
	return strings.Join(names, " "), nil
}

// unhurt checks that everything in ours is as it was made: an administrator has nothing to
// repair, and B has what it had.
func (w *world) unhurt(ctx context.Context) []string {
	var hurt []string
	for _, t := range []*tenant{w.a, w.b, w.careful} {
		out, err := w.runTenant(ctx, w.root, "init", t.name, "--namespaces", strings.Join(t.namespaces, ","), "--dry-run", "-o", "name")
		if err != nil || !strings.Contains(out, "nothing to write") {
			hurt = append(hurt, fmt.Sprintf("tenant %s is not as it was made: %s %v", t.name, out, err))
		}
		members, err := w.members(ctx, t)
		if err != nil || members != t.member {
			hurt = append(hurt, fmt.Sprintf("tenant %s has the members %q, %v", t.name, members, err))
		}
	}
	out, err := w.through(ctx, w.bob, w.b, w.at(w.b, "get", "values", w.b.release)...)
	if err != nil || !strings.Contains(out, "owner: bob") {
		hurt = append(hurt, fmt.Sprintf("B's release is not as it was: %s %v", out, err))
	}
	list := []string{"list", "--short"}
	if w.major < 4 { // Helm 4's list has all of them
		list = append(list, "--all")
	}
	out, err = w.through(ctx, w.bob, w.b, w.at(w.b, list...)...)
	if err != nil || out != w.b.release {
		hurt = append(hurt, fmt.Sprintf("B has other releases than its own: %q %v", out, err))
	}
	return hurt
}
