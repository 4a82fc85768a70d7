package cluster

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// Action is what is done to one object.
type Action string

const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	// Replace deletes and creates again: a field that can't be changed differs.
	Replace Action = "replace"
)

// Change is one write.
type Change struct {
	Action Action
	Key    Key
	// Object is what is written; nil for a Delete, and for what CreateSecret added.
	Object *unstructured.Unstructured
	// Live is what was there when the change was planned.
	Live   *unstructured.Unstructured
	Fields []Field

	secret *corev1.Secret
	phase  Phase
}

// Plan is the difference between what is wanted and what is there.
type Plan struct {
	Changes []Change
}

// NotOursError names objects that are there and were not made for this tenant.
type NotOursError struct {
	Keys []Key
	// Owner is the tenant that a key belongs to, where it belongs to one.
	Owner map[Key]string
}

func (e *NotOursError) Error() string {
	text := ""
	for i, key := range e.Keys {
		if i > 0 {
			text += "; "
		}
		text += key.String()
		if owner := e.Owner[key]; owner != "" {
			text += fmt.Sprintf(" belongs to tenant %q", owner)
		} else {
			text += " was not made by helm-tenant"
		}
	}
	return text
}

// Adoption says which live objects may be taken over that carry no tenant's
// label yet. One that carries another tenant's never is.
type Adoption func(Key) bool

// NewPlan compares the wanted objects of the tenant of that name with live ones.
// It is a pure function. An object that is there, is not the tenant's, and that
// may not be adopted makes it fail with a *NotOursError; nothing is planned then.
func NewPlan(name string, wanted []runtime.Object, live *Live, adopt Adoption) (Plan, error) {
	var plan Plan
	notOurs := &NotOursError{Owner: map[Key]string{}}
	for _, object := range wanted {
		want, err := toUnstructured(object)
		if err != nil {
			return Plan{}, err
		}
		key := keyOf(want)
		k, known := kinds[key.Kind]
		if !known {
			return Plan{}, fmt.Errorf("%s: helm-tenant does not write this kind", key)
		}
		have := live.Get(key)
		if have == nil {
			plan.Changes = append(plan.Changes, Change{Action: Create, Key: key, Object: want, phase: k.phase})
			continue
		}
		if rails.Newer(have) {
			continue // a newer helm-tenant wrote it
		}
		owner := have.GetLabels()[tenant.LabelTenant]
		// A namespace without the tenant's label is shared: it only gets what the
		// tenant claims of it.
		shares := key.Kind == "Namespace" && want.GetLabels()[tenant.LabelTenant] == ""
		ours := shares || owner == name || want.GetLabels()[tenant.LabelTenant] == "" && have.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
		if !ours && (owner != "" || !adopt(key)) {
			notOurs.Keys = append(notOurs.Keys, key)
			notOurs.Owner[key] = owner
			continue
		}
		fields := Differences(want, have)
		if len(fields) == 0 {
			continue
		}
		action := Update
		if k.immutable != "" && slices.ContainsFunc(fields, func(f Field) bool { return under(f.Path, k.immutable) }) {
			action = Replace
		}
		plan.Changes = append(plan.Changes, Change{Action: action, Key: key, Object: overlay(want, have), Live: have, Fields: fields, phase: k.phase})
	}
	if len(notOurs.Keys) > 0 {
		return Plan{}, notOurs
	}
	return plan, nil
}

func under(path, field string) bool {
	return path == field || len(path) > len(field) && path[:len(field)] == field && (path[len(field)] == '.' || path[len(field)] == '[')
}

// Create adds the creation of an object that does not exist.
func (p *Plan) Create(object runtime.Object) error {
	want, err := toUnstructured(object)
	if err == nil {
		p.Changes = append(p.Changes, Change{Action: Create, Key: keyOf(want), Object: want, phase: PhaseObjects})
	}
	return err
}

// CreateSecret adds the creation of a Secret that does not exist. It is written as protobuf:
// a release record would be copied several times on its way through JSON.
func (p *Plan) CreateSecret(secret *corev1.Secret) {
	p.Changes = append(p.Changes, Change{Action: Create, Key: Key{"Secret", secret.Namespace, secret.Name}, secret: secret, phase: PhaseObjects})
}

// Renew deletes a live object and creates it again as it is wanted. It replaces a change
// of the object that is planned already.
func (p *Plan) Renew(object runtime.Object, live *unstructured.Unstructured) error {
	want, err := toUnstructured(object)
	if err != nil {
		return err
	}
	key := keyOf(want)
	next := overlay(want, live)
	delete(next.Object, "secrets") // those of its tokens
	p.Changes = slices.DeleteFunc(p.Changes, func(change Change) bool { return change.Key == key })
	p.Changes = append(p.Changes, Change{Action: Replace, Key: key, Object: next, Live: live, phase: kinds[key.Kind].phase})
	return nil
}

// Delete adds the deletion of a live object in that phase.
func (p *Plan) Delete(live *unstructured.Unstructured, phase Phase) {
	p.Changes = append(p.Changes, Change{Action: Delete, Key: keyOf(live), Live: live, phase: phase})
}

// Edit adds a change of a live object in that phase: edit is given a copy. Nothing is
// added where the copy stays the same.
func (p *Plan) Edit(live *unstructured.Unstructured, phase Phase, edit func(next *unstructured.Unstructured)) {
	next := live.DeepCopy()
	edit(next)
	if fields := changedFields(next, live); len(fields) > 0 {
		p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live, Fields: fields, phase: phase})
	}
}

// sort brings the changes into the order in which they are written.
func (p *Plan) sort() {
	slices.SortStableFunc(p.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), compareKeys(a.Key, b.Key))
	})
}

// Ordered are the changes in the order in which they are written.
func (p *Plan) Ordered() []Change {
	p.sort()
	return p.Changes
}

// Objects are the objects that the plan creates and updates, in order, as they
// could be given to kubectl apply.
func (p *Plan) Objects() []*unstructured.Unstructured {
	p.sort()
	var objects []*unstructured.Unstructured
	for _, change := range p.Changes {
		if change.Object == nil {
			continue
		}
		objects = append(objects, Stripped(change.Object))
	}
	return objects
}

// Nested reports whether the rules of one of two roles grant all that the other's do.
// Then both may be bound for a moment without anybody having more than one of
// them gives.
func Nested(a, b []rbacv1.PolicyRule) bool {
	covers, _ := validation.Covers(a, b)
	covered, _ := validation.Covers(b, a)
	return covers || covered
}
