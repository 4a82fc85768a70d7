package admin

import (
	"context"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// mark puts tenant.AnnotationDisconnect on the wanted binding of members. It is part of the
// write that takes members out: if the run is stopped after that write, the next init,
// apply or revoke of the tenant finds the annotation and ends the connections.
func mark(wanted []runtime.Object, now time.Time) {
	for _, object := range wanted {
		if binding, ok := object.(*rbacv1.RoleBinding); ok && binding.Name == rbac.MemberName {
			metav1.SetMetaDataAnnotation(&binding.ObjectMeta, tenant.AnnotationDisconnect, now.UTC().Format(time.RFC3339Nano))
		}
	}
}

// markOf returns the value of the annotation on the live binding of members; empty if it is
// missing.
func markOf(live *cluster.Live, home string) string {
	binding := live.Get(memberKey(home))
	if binding == nil {
		return ""
	}
	return binding.GetAnnotations()[tenant.AnnotationDisconnect]
}

// missingForMark returns the permissions that the caller lacks to write and to delete
// tenant.AnnotationDisconnect. The admission policy of owners refuses both to whoever may not
// update the home namespace; a policy that the caller may not read counts as an existing one.
func missingForMark(ctx context.Context, c *cluster.Client, home string) ([]cluster.Permission, error) {
	updateHome := cluster.Permission{Verb: "update", Resource: "namespaces", Name: home, Namespace: home}
	missing, err := lacking(ctx, c, []cluster.Permission{
		{Verb: "update", Group: rbacv1.GroupName, Resource: "rolebindings", Name: rbac.MemberName, Namespace: home},
		updateHome,
	})
	if err != nil || !slices.Contains(missing, updateHome) {
		return missing, err
	}
	live := cluster.NewLive()
	policy := cluster.Key{Kind: cluster.KindPolicy, Name: install.OwnersName}
	err = c.Lookup(ctx, live, []cluster.Key{policy})
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	if err == nil && live.Get(policy) == nil && live.Sees(policy.Kind) {
		missing = slices.DeleteFunc(missing, func(p cluster.Permission) bool { return p == updateHome })
	}
	return missing, nil
}

// isMarked reports whether an earlier run was to end open connections to the tenant's
// Tiller, and did not.
func isMarked(live *cluster.Live, t tenant.Tenant) bool {
	return t.Engine.Has(tenant.EngineTiller) && markOf(live, t.Home()) != ""
}

// setsMark reports whether the plan takes members out whose open connections must be ended, and
// the caller may write the annotation. A caller who may not ends the connections without it.
func (d *decision) setsMark() bool {
	if !d.request.Disconnect || len(d.revoked) == 0 || !d.tenant.Engine.Has(tenant.EngineTiller) {
		return false
	}
	missing, err := answerAbout(d.facts.unmarkable, "the permissions to mark the binding of members", d.tenant.Home())
	return err == nil && len(missing) == 0
}

// hasMark is isMarked for the tenant that is decided about.
func (d *decision) hasMark() bool { return isMarked(d.facts.live, d.tenant) }

// settleMark completes the annotation on the wanted binding of members. The annotation of a
// tenant that has no Tiller any more is removed: no connection to one is left.
func (d *decision) settleMark(objects []runtime.Object) {
	if d.setsMark() {
		mark(objects, d.facts.now)
		return
	}
	if d.tenant.Engine.Has(tenant.EngineTiller) || markOf(d.facts.live, d.tenant.Home()) == "" {
		return
	}
	for _, object := range objects {
		if binding, ok := object.(*rbacv1.RoleBinding); ok && binding.Name == rbac.MemberName {
			metav1.SetMetaDataAnnotation(&binding.ObjectMeta, tenant.AnnotationDisconnect, rails.Absent)
		}
	}
}

// noteMarked notes that connections must still be ended because an earlier run was stopped.
func (d *decision) noteMarked() error {
	if d.hasMark() && !d.request.freezes() {
		d.note("%s", Unended)
	}
	return nil
}

// Unended is the warning about a tenant of which Disconnect is true because of an earlier run.
const Unended = "an earlier run with --disconnect was stopped before it ended the open connections to Tiller; Tiller must still be restarted"

// readMark reads the annotation of the tenant's live binding of members.
func (d *Disconnect) readMark(ctx context.Context) (string, error) {
	live := cluster.NewLive()
	err := d.Client.Lookup(ctx, live, []cluster.Key{memberKey(d.Tenant.Home())})
	return markOf(live, d.Tenant.Home()), err
}

// unmark deletes the annotation, if the caller may. It leaves one with another value: somebody
// else has taken members out meanwhile, whose connections may be open.
func (d *Disconnect) unmark(ctx context.Context, value string) error {
	if value == "" {
		return nil
	}
	home := d.Tenant.Home()
	missing, err := missingForMark(ctx, d.Client, home)
	if err != nil || len(missing) > 0 {
		return err
	}
	_, err = Write(ctx, d.Client, func(ctx context.Context) (*Prepared, error) {
		prepared := &Prepared{Tenant: d.Tenant, live: cluster.NewLive()}
		if err := d.Client.Lookup(ctx, prepared.live, []cluster.Key{memberKey(home)}); err != nil {
			return nil, err
		}
		if markOf(prepared.live, home) == value {
			prepared.Plan.Edit(prepared.live.Get(memberKey(home)), cluster.PhaseRemoval, func(next *unstructured.Unstructured) {
				unstructured.RemoveNestedField(next.Object, "metadata", "annotations", tenant.AnnotationDisconnect)
			})
		}
		return prepared, nil
	}, func(cluster.Change) {})
	return err
}
