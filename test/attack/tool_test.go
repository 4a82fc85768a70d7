package attack

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/harness"
)

// tooling are attacks by helm-tenant itself: its administrator's verbs in the
// hands of others, and objects that are to deceive an administrator who uses it.
var tooling = []attack{
	{name: "helm-tenant grant oneself", as: onOther, spoils: true, run: grantOneself},
	{name: "helm-tenant grant a friend", as: onOwn, spoils: true, run: grantFriend},
	{name: "helm-tenant revoke a member", as: onBoth, spoils: true, run: revokeMember},
	{name: "helm-tenant init of the tenant, with oneself", as: onOther, spoils: true, run: initWithOneself},
	{name: "helm-tenant init of a new tenant", as: onOwn, spoils: true, run: initNewTenant},
	{name: "helm-tenant init over the other's namespaces", as: onOther, spoils: true, run: initOverOthers},
	{name: "helm-tenant apply of a file with oneself in it", as: onOther, spoils: true, run: applyWithOneself},
	{name: "helm-tenant destroy", as: onBoth, spoils: true, run: destroyTenant},
	{name: "helm-tenant describe", as: onOther, spoils: true, run: tells("describe", "$VICTIM")},
	{name: "helm-tenant export", as: onOther, spoils: true, run: tells("export", "$VICTIM")},
	{name: "helm-tenant tenants", as: onOther, spoils: true, run: tells("tenants")},
	{name: "forged record: a revoke that misses", as: onBoth, spoils: true, run: forgedRecordAtRevoke},
	{name: "forged record: a grant that misses", as: onBoth, spoils: true, run: forgedRecordAtGrant},
	{name: "forged record: an init that fails", as: onBoth, spoils: true, run: forgedRecordAtInit},
	{name: "forged record of a tenant to come", as: onOwn, run: forgedRecordOfNew},
	{name: "forged record: an export that lists it", as: onBoth, spoils: true, run: forgedRecordAtExport},
	{name: "chart: escape sequences for an admin's terminal", as: onMember, run: escapeSequences},
	{name: "forged record: a destroy that misses", as: onOwn, run: forgedRecordAtDestroy},
}

// isMember sees whether the API server would let a user port-forward to the
// victim's Tiller, or impersonate its deployer.
func (s *attackRun) isMember(ctx context.Context, user string) (bool, error) {
	right := &authorizationv1.ResourceAttributes{Namespace: s.victim.home, Verb: "create", Resource: "pods", Subresource: "portforward"}
	if s.account == "helm" {
		right = &authorizationv1.ResourceAttributes{Namespace: s.victim.home, Verb: "impersonate", Resource: "serviceaccounts", Name: "helm"}
	}
	review, err := s.root.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: []string{"system:authenticated"},
			ResourceAttributes: right},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// becomesMember is isMember as soon as the API server's authorizer has seen all
// that was written: it is a little behind.
func (s *attackRun) becomesMember(ctx context.Context, user string) (bool, error) {
	if err := harness.Settle(ctx, s.root.client, markers); err != nil {
		return false, err
	}
	return s.isMember(ctx, user)
}

// settleMember decides an attack that is to make a user a member, or no member.
func (s *attackRun) settleMember(ctx context.Context, answer error, user string, want bool) outcome {
	ok, err := s.isMember(ctx, user)
	if answer == nil {
		ok, err = s.becomesMember(ctx, user)
	}
	effect := ""
	// Where anybody may act as any account, that somebody can says nothing.
	if ok == want && !(s.bare && want && s.account == "helm") {
		effect = fmt.Sprintf("that %s can use the tenant is now %t", user, ok)
	}
	return s.settle(answer, effect, err)
}

// oneself is whom the attacker wants in. An administrator is in anyway.
func (s *attackRun) oneself() string {
	if s.world.attacker != nil {
		return "nobody-yet"
	}
	return s.actor.name
}

func grantOneself(ctx context.Context, s *attackRun) outcome { return s.grants(ctx, s.oneself()) }

func grantFriend(ctx context.Context, s *attackRun) outcome { return s.grants(ctx, "friend-"+s.id) }

func (s *attackRun) grants(ctx context.Context, who string) outcome {
	_, answer := s.runTenant(ctx, s.actor, "grant", s.victim.name, "--user", who)
	return s.settleMember(ctx, answer, who, true)
}

func revokeMember(ctx context.Context, s *attackRun) outcome {
	_, answer := s.runTenant(ctx, s.actor, "revoke", s.victim.name, "--user", s.victim.member)
	return s.settleMember(ctx, answer, s.victim.member, false)
}

func initWithOneself(ctx context.Context, s *attackRun) outcome {
	_, answer := s.runTenant(ctx, s.actor, "init", s.victim.name, "--namespaces", s.victim.namespaces[0], "--user", s.oneself(), "--wait=false")
	return s.settleMember(ctx, answer, s.oneself(), true)
}

func initNewTenant(ctx context.Context, s *attackRun) outcome {
	namespace := s.own
	if s.world.dummy != nil {
		namespace = s.victim.namespaces[0]
	}
	_, answer := s.runTenant(ctx, s.actor, "init", s.id, "--namespaces", namespace, "--user", s.actor.name, "--share", "--adopt", "--wait=false")
	effect, err := s.seesObject(ctx, "Namespace", "", s.homeOf(s.id))
	return s.settle(answer, effect, err)
}

func initOverOthers(ctx context.Context, s *attackRun) outcome {
	_, answer := s.runTenant(ctx, s.actor, "init", s.id, "--namespaces", s.victim.namespaces[0], "--user", s.actor.name, "--share", "--adopt", "--wait=false")
	effect, err := s.seesObject(ctx, "RoleBinding", s.victim.namespaces[0], "helm-tenant."+s.id+".admin")
	return s.settle(answer, effect, err)
}

func applyWithOneself(ctx context.Context, s *attackRun) outcome {
	file := s.fill("apiVersion: helm-tenant/v1\ntenants:\n- name: $VICTIM\n  namespaces: [$NS]\n  engine: $ENGINE\n  members: {users: [" + s.oneself() + "]}\n")
	_, answer := s.run(ctx, call{actor: s.actor, program: s.tenantTool, args: []string{"apply", "-f", "-", "--wait=false"}, stdin: file})
	return s.settleMember(ctx, answer, s.oneself(), true)
}

func destroyTenant(ctx context.Context, s *attackRun) outcome {
	_, answer := s.runTenant(ctx, s.actor, "destroy", s.victim.name, "--keep-releases", "--yes", "--wait=false", "--backup", filepath.Join(s.dir, "backup-"+s.id))
	effect, err := s.seesNone(ctx, "ServiceAccount", s.victim.home, s.account)
	if err == nil && effect == "" {
		effect, err = s.seesNone(ctx, "Namespace", "", s.victim.home)
	}
	return s.settle(answer, effect, err)
}

// tells returns an attack by a verb that shows what a tenant is.
func tells(args ...string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		var filled []string
		for _, arg := range args {
			filled = append(filled, s.fill(arg))
		}
		out, answer := s.runTenant(ctx, s.actor, filled...)
		effect := ""
		if answer == nil && strings.Contains(out, s.victim.namespaces[0]) {
			effect = "it told the tenant's namespaces"
		}
		return s.settle(answer, effect, nil)
	}
}

// forgery is a record, and a binding of members, as a home namespace has them,
// in a namespace of the attacker's: an administrator's helm-tenant is to take
// them for the victim's.
const forgery = `
apiVersion: v1
kind: ConfigMap
metadata: {name: helm-tenant, namespace: $OWN, labels: {helm-tenant/tenant: $VICTIM, app.kubernetes.io/managed-by: helm-tenant}}
data: {tenant.yaml: "name: $VICTIM\nnamespaces: [$NS]\nhomeNamespace: $OWN\nrole: admin\nengine: $ENGINE\n"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helm-tenant-member, namespace: $OWN, labels: {helm-tenant/tenant: $VICTIM, app.kubernetes.io/managed-by: helm-tenant}}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helm-tenant-member, namespace: $OWN, labels: {helm-tenant/tenant: $VICTIM, app.kubernetes.io/managed-by: helm-tenant}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helm-tenant-member}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: victim-$ID}]
`

// held means that an administrator's command did the right thing despite a forgery: no message
// shows that, only the result.
func held(format string, args ...any) outcome {
	return outcome{refused, "not deceived", fmt.Sprintf(format, args...)}
}

// deceive plants a forgery, has the administrator act, and removes it again. The
// attacker also labels the namespace as a home, where it may.
func (s *attackRun) deceive(ctx context.Context, manifest string, act func(ctx context.Context) outcome) (o outcome) {
	lane := s.lane(s.own)
	lane.Lock()
	defer lane.Unlock()
	manifest = s.fill(manifest)
	defer func() {
		if err := s.unplant(context.WithoutCancel(ctx), manifest); err != nil {
			o = failure("cleaning up: %v", err)
		}
	}()
	if err := s.plant(ctx, manifest); err != nil {
		// Who can not even make these objects can't deceive by them.
		return s.settle(err, "", nil)
	}
	label := s.fill(`{"metadata":{"labels":{"helm-tenant/tenant":"$VICTIM","helm-tenant/home":"$ENGINE"},"annotations":{"helm-tenant/home-namespace":null}}}`)
	if err := s.patch(ctx, "Namespace", "", s.own, label, ""); err != nil && s.refusedBy(err).verdict != refused {
		return failure("%v", err)
	}
	return act(ctx)
}

// leadingNamespace is a namespace of the victim's that leads to the attacker's.
const leadingNamespace = `
apiVersion: v1
kind: Namespace
metadata: {name: leads-$ID, labels: {helm-tenant/tenant: $VICTIM}, annotations: {helm-tenant/home-namespace: $OWN}}
`

// mislead forges objects of an existing tenant. helm-tenant trusts only homes to which a
// namespace of the tenant refers; the attack creates such a namespace if the attacker may. Only
// an administrator may, as in the control, where the forgery would mislead nobody without it.
func (s *attackRun) mislead(ctx context.Context, act func(ctx context.Context) outcome) outcome {
	return s.deceive(ctx, forgery, func(ctx context.Context) outcome {
		_, err := s.run(ctx, call{actor: s.actor, program: s.kubectl, args: []string{"create", "--validate=false", "-f", "-"}, stdin: s.fill(leadingNamespace)})
		if err != nil && s.refusedBy(err).verdict != refused {
			return failure("%v", err)
		}
		return act(ctx)
	})
}

// unplant removes as root what was planted.
func (s *attackRun) unplant(ctx context.Context, manifest string) error {
	for document := range strings.SplitSeq(manifest, "---\n") {
		object, err := parse(document)
		if err != nil {
			return err
		}
		err = s.root.dynamic.Resource(resources[object.GetKind()]).Namespace(object.GetNamespace()).Delete(ctx, object.GetName(), metav1.DeleteOptions{})
		if err != nil && !strings.Contains(err.Error(), "not found") {
			return err
		}
	}
	if s.world.attacker == nil {
		return nil
	}
	if _, err := s.runKubectl(ctx, s.root, "delete", "namespace", "leads-"+s.id, "--ignore-not-found", "--wait=false"); err != nil {
		return err
	}
	_, err := s.runKubectl(ctx, s.root, "label", "namespace", s.own, "helm-tenant/tenant-", "helm-tenant/home-")
	return err
}

func forgedRecordAtRevoke(ctx context.Context, s *attackRun) outcome {
	user := "victim-" + s.id
	if err := s.world.grant(ctx, s.victim, user); err != nil {
		return failure("%v", err)
	}
	if ok, err := s.becomesMember(ctx, user); err != nil || !ok {
		return failure("granting does not work to begin with: %v", err)
	}
	o := s.mislead(ctx, func(ctx context.Context) outcome {
		answer := s.world.revoke(ctx, s.victim, user)
		remaining, err := s.becomesMember(ctx, user)
		switch {
		case err != nil:
			return failure("%v", err)
		case remaining && answer == nil:
			return success("the administrator was told that %s is out, who is still in", user)
		case remaining:
			return success("the administrator can't revoke: %v", answer)
		}
		return held("%s is out", user)
	})
	// No one-time member may stay, for what comes later.
	if remaining, err := s.isMember(ctx, user); err != nil || remaining {
		if err := s.world.revoke(ctx, s.victim, user); err != nil {
			return failure("cleaning up: %v", err)
		}
	}
	return o
}

func forgedRecordAtGrant(ctx context.Context, s *attackRun) outcome {
	user := "granted-" + s.id
	o := s.mislead(ctx, func(ctx context.Context) outcome {
		answer := s.world.grant(ctx, s.victim, user)
		ok, err := s.becomesMember(ctx, user)
		switch {
		case err != nil:
			return failure("%v", err)
		case ok:
			return held("%s is in", user)
		}
		return success("the administrator granted, and %s is not in: %v", user, answer)
	})
	if ok, err := s.isMember(ctx, user); err != nil || ok {
		if err := s.world.revoke(ctx, s.victim, user); err != nil {
			return failure("cleaning up: %v", err)
		}
	}
	return o
}

// atNew returns the run with a victim of its own, which does not exist yet.
func (s *attackRun) atNew() *attackRun {
	sub := *s
	name := "new-" + s.id
	sub.victim = &tenant{name: name, home: s.homeOf(name), namespaces: []string{name + "-1"}}
	return &sub
}

func forgedRecordAtInit(ctx context.Context, s *attackRun) outcome {
	return s.mislead(ctx, func(ctx context.Context) outcome {
		if err := s.world.initAgain(ctx, s.victim); err != nil {
			return success("the administrator can't init: %v", err)
		}
		return held("init went through")
	})
}

// forgedRecordOfNew waits for an administrator who makes a tenant of that name:
// its role, its home and more namespaces than asked for are to be the forger's.
func forgedRecordOfNew(ctx context.Context, s *attackRun) outcome {
	sub := s.atNew()
	manifest := strings.Replace(forgery, "namespaces: [$NS]", "namespaces: [default]", 1)
	manifest = strings.Replace(manifest, "role: admin", "role: cluster-admin", 1)
	return sub.deceive(ctx, manifest, func(ctx context.Context) outcome {
		if err := sub.world.initNew(ctx, sub.victim.name); err != nil {
			return success("the administrator can't make the tenant: %v", err)
		}
		bindings, err := s.root.client.RbacV1().RoleBindings("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return failure("%v", err)
		}
		for _, b := range bindings.Items {
			more := b.RoleRef.Name == "cluster-admin" || b.Namespace == "default"
			if more && strings.Contains(b.Name, sub.victim.name) {
				return success("RoleBinding %s in %s gives %s", b.Name, b.Namespace, b.RoleRef.Name)
			}
		}
		return held("the tenant is what was asked")
	})
}

// forgedRecordAtExport: what export writes, an administrator may apply.
func forgedRecordAtExport(ctx context.Context, s *attackRun) outcome {
	return s.mislead(ctx, func(ctx context.Context) outcome {
		out, err := s.world.export(ctx, s.victim)
		switch {
		case err != nil:
			return success("the administrator can't export: %v", err)
		case strings.Contains(out, "homeNamespace: "+s.own):
			return success("the export holds what was forged:\n%s", out)
		}
		return held("the export does not hold it")
	})
}

// forgedRecordAtDestroy: the wrong namespace is to go, and the right one to stay.
func forgedRecordAtDestroy(ctx context.Context, s *attackRun) outcome {
	sub := s.atNew()
	if err := sub.world.initNew(ctx, sub.victim.name); err != nil {
		return failure("%v", err)
	}
	return sub.mislead(ctx, func(ctx context.Context) outcome {
		answer := sub.world.destroy(ctx, sub.victim.name)
		hit, err := sub.seesNone(ctx, "Namespace", "", sub.own)
		if err != nil || hit != "" {
			return sub.settle(answer, hit, err)
		}
		removed, err := sub.seesNone(ctx, "Namespace", "", sub.victim.home)
		switch {
		case err != nil:
			return failure("%v", err)
		case removed == "":
			return success("the administrator destroyed the tenant, and its home is still there: %v", answer)
		}
		return held("the tenant is gone, and nothing else")
	})
}

// escapeSequences gives a binding a subject that a terminal obeys: the line that
// shows it to an administrator could say anything.
func escapeSequences(ctx context.Context, s *attackRun) outcome {
	manifest := strings.Replace(bindingToOutsider, "name: $ME", `name: "sub-$ID-\e[2K\e[1A"`, 1)
	if err := s.install(ctx, s.entry.namespaces[0], manifest); err != nil {
		return s.settle(err, "", nil)
	}
	out, err := s.world.show(ctx, s.entry)
	switch {
	case err != nil:
		return failure("%v", err)
	case strings.Contains(out, "\x1b"):
		return success("an administrator's terminal would obey %q", out)
	case !strings.Contains(out, "sub-"+s.id):
		return failure("it is not shown: %s", out)
	}
	return held("it is shown as text")
}
