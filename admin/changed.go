package admin

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// noteChanges warns of changes made by hand that are dangerous: a binding that was opened
// to everybody, and another image of the tenant's Tiller.
func (d *decision) noteChanges(plan cluster.Plan) {
	for _, note := range finalizerNotes(plan) {
		d.note("%s", note)
	}
	if !d.existed || d.adopted != nil {
		return
	}
	if current, _, err := livePeople(d.facts.live, d.tenant); err == nil {
		for _, open := range current.byRelation[tenant.RelationMember].Open().Without(d.request.Tenant.Members) {
			if slices.Contains(d.tenant.Members, open) {
				d.note("%s is a member of the tenant, and with it everybody, every pod or every node that it stands for", open)
			}
		}
	}
	for _, change := range plan.Changes {
		if change.Action != cluster.Update && change.Action != cluster.Replace {
			continue
		}
		switch change.Key.Kind {
		case "RoleBinding", "ClusterRoleBinding":
			d.noteClosed(change)
		case "Deployment":
			oldImage, newImage := imageIn(change.Live), imageIn(change.Object)
			if withoutTag(oldImage) != withoutTag(newImage) && withoutTag(install.Image(d.was)) == withoutTag(newImage) {
				d.note("Tiller ran the image %s, which is not the tenant's; it is %s again", oldImage, newImage)
			}
		}
	}
}

// finalizerNotes names the finalizers that others set on objects that the plan deletes.
func finalizerNotes(plan cluster.Plan) []string {
	var notes []string
	for _, change := range plan.Changes {
		if finalizers := change.Finalizers(); len(finalizers) > 0 {
			notes = append(notes, fmt.Sprintf("%s is deleted in spite of its finalizers, which are removed: %s", change.Key, visible.List(finalizers)))
		}
	}
	return notes
}

// noteClosed names the open groups that a change removes from a deployer's binding.
func (d *decision) noteClosed(change cluster.Change) {
	if change.Key.Name == rbac.MemberName {
		return // settleMembers names the former members
	}
	was, err := typedBinding(change.Live)
	if err != nil {
		return
	}
	next, err := typedBinding(change.Object)
	if err != nil {
		return
	}
	removed := tenant.MembersOf(was.Subjects, was.Namespace).Without(tenant.MembersOf(next.Subjects, next.Namespace)).Open()
	for _, open := range removed {
		d.note("%s was opened to %s, which is taken out of it", change.Key, open)
	}
}

func imageIn(deployment *unstructured.Unstructured) string {
	containers, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if len(containers) == 0 {
		return ""
	}
	first, _ := containers[0].(map[string]any)
	image, _ := first["image"].(string)
	return image
}

func withoutTag(image string) string {
	return strings.TrimSuffix(image, ":"+recognise.ImageVersion(image))
}
