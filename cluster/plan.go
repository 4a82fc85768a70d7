package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/difference"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// Action is the kind of a change.
type Action string

const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	// Replace deletes the object and creates it again, to change an immutable field.
	Replace Action = "replace"
)

// Change is one write.
type Change struct {
	Action Action
	Key    Key
	// Object is the object to write; nil for a Delete and for a Secret of CreateSecret.
	Object *unstructured.Unstructured
	// Live is the live object at the time of planning.
	Live   *unstructured.Unstructured
	Fields []Field
	// Removed are the finalizers of the live object that the write removed.
	Removed []string

	secret *corev1.Secret
	phase  Phase
}

// Plan has the changes that make the live objects the wanted ones.
type Plan struct {
	Changes []Change
	// BeforeOwners, if it is set, is called before the writes of PhaseOwners, which are not made if it
	// returns an error.
	BeforeOwners func(context.Context) error
}

// NotOursError reports objects that exist and were not made for this tenant.
type NotOursError struct {
	Keys []Key
	// Owner has the tenant to which an object belongs, if it belongs to one.
	Owner map[Key]string
	// Rest is the plan of all other objects, which is not to be written.
	Rest Plan
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

// Adoption reports whether a live object that carries no tenant's label may be taken
// over; nil takes over none. An object with another tenant's label never is.
type Adoption func(Key) bool

// NewPlan compares the wanted objects of the named tenant with the live ones. It is pure.
// If an object exists that is not the tenant's and may not be adopted, it returns a
// *NotOursError and no plan.
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
		existing := live.Get(key)
		if existing == nil {
			plan.Changes = append(plan.Changes, Change{Action: Create, Key: key, Object: want, phase: k.phaseOf(key)})
			continue
		}
		if rails.Newer(existing) {
			continue // written by a newer helm-tenant
		}
		owner := existing.GetLabels()[tenant.LabelTenant]
		// A wanted namespace without the tenant's label is shared: only the tenant's
		// claim is written.
		shares := key.Kind == "Namespace" && want.GetLabels()[tenant.LabelTenant] == ""
		ours := shares || owner == name || want.GetLabels()[tenant.LabelTenant] == "" && existing.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
		if !ours && (owner != "" || adopt == nil || !adopt(key)) {
			notOurs.Keys = append(notOurs.Keys, key)
			notOurs.Owner[key] = owner
			continue
		}
		fields := differences(want, existing)
		if len(fields) == 0 {
			continue
		}
		action := Update
		if k.immutable != "" && slices.ContainsFunc(fields, func(f Field) bool { return under(f.Path, k.immutable) }) {
			action = Replace
		}
		plan.Changes = append(plan.Changes, Change{Action: action, Key: key, Object: overlay(want, existing), Live: existing, Fields: fields, phase: k.phaseOf(key)})
	}
	if len(notOurs.Keys) > 0 {
		notOurs.Rest = plan
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

// CreateSecret adds the creation of a Secret that does not exist. It is written as
// protobuf, since JSON would copy a release record several times.
func (p *Plan) CreateSecret(secret *corev1.Secret) {
	p.Changes = append(p.Changes, Change{Action: Create, Key: Key{"Secret", secret.Namespace, secret.Name}, secret: secret, phase: PhaseObjects})
}

// Renew deletes a live object and creates the wanted one in its place. It replaces a
// change of the object that is planned already.
func (p *Plan) Renew(object runtime.Object, live *unstructured.Unstructured) error {
	want, err := toUnstructured(object)
	if err != nil {
		return err
	}
	key := keyOf(want)
	next := overlay(want, live)
	delete(next.Object, "secrets") // the names of its token Secrets, which are deleted with it
	delete(next.Object, "immutable")
	next.SetFinalizers(nil)
	next.SetOwnerReferences(nil) // by one, the garbage collector would delete it
	p.Changes = slices.DeleteFunc(p.Changes, func(change Change) bool { return change.Key == key })
	p.Changes = append(p.Changes, Change{Action: Replace, Key: key, Object: next, Live: live, phase: PhaseTaking})
	return nil
}

// TakeFirst moves the changes in a namespace that others made, except those of workloads, before
// all others: in it nothing of theirs is left when a claim leads to it. Of a binding of owners only
// its deletion is: what owners write is not limited yet.
func (p *Plan) TakeFirst(namespace string) {
	for i := range p.Changes {
		change := &p.Changes[i]
		switch {
		case change.Key.Namespace != namespace:
		case change.phase == PhaseOwners && change.Action == Create:
		case change.phase == PhaseOwners && change.Action != Delete:
			live, anew := change.Live, Stripped(change.Object)
			anew.SetFinalizers(nil)
			anew.SetOwnerReferences(nil)
			*change = Change{Action: Create, Key: change.Key, Object: anew, phase: PhaseOwners}
			p.Delete(live, PhaseTaking)
		case change.phase == PhaseBindings:
			change.phase = PhaseTakingBindings
		case change.phase == PhaseObjects, change.Action == Delete:
			change.phase = PhaseTaking
		}
	}
}

// Delete adds the deletion of a live object to a phase.
func (p *Plan) Delete(live *unstructured.Unstructured, phase Phase) {
	p.Changes = append(p.Changes, Change{Action: Delete, Key: keyOf(live), Live: live, phase: phase})
}

// Edit adds an update of a live object to a phase. edit changes a copy; if the copy stays
// equal, nothing is added.
func (p *Plan) Edit(live *unstructured.Unstructured, phase Phase, edit func(next *unstructured.Unstructured)) {
	next := live.DeepCopy()
	edit(next)
	if fields := changedFields(next, live); len(fields) > 0 {
		p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live, Fields: fields, phase: phase})
	}
}

func (p *Plan) sort() {
	slices.SortStableFunc(p.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), compareKeys(a.Key, b.Key))
	})
}

// Ordered returns the changes in the order in which they are written.
func (p *Plan) Ordered() []Change {
	p.sort()
	return p.Changes
}

// Objects returns the objects that the plan creates and updates, in order, as input for
// kubectl apply.
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

// Nested reports whether one of two roles grants everything that the other does. Then
// both may be bound for a moment without giving anybody more than one of the two.
func Nested(a, b []rbacv1.PolicyRule) bool {
	covers, _ := validation.Covers(a, b)
	covered, _ := validation.Covers(b, a)
	return covers || covered
}

// Field is one field in which a live object differs from the wanted one.
type Field = difference.Field

// differences compares a wanted object with the live one. Of labels and annotations only
// the wanted ones are compared, since others may add theirs; one with the value
// rails.Absent must not exist. The other fields that helm-tenant writes are compared
// entirely, so that an added subject, rule or container is a difference.
func differences(wanted, live *unstructured.Unstructured) []Field {
	var fields []Field
	fields = append(fields, difference.Entries("metadata.labels", wanted.GetLabels(), live.GetLabels())...)
	fields = append(fields, difference.Entries("metadata.annotations", wanted.GetAnnotations(), live.GetAnnotations())...)
	for _, name := range kinds[wanted.GetKind()].fields {
		fields = append(fields, difference.Values(name, wanted.Object[name], live.Object[name])...)
	}
	return fields
}

// changedFields returns the fields in which an edited object differs from the live one.
func changedFields(next, live *unstructured.Unstructured) []Field {
	fields := slices.Concat(
		changedEntries("metadata.labels", next.GetLabels(), live.GetLabels()),
		changedEntries("metadata.annotations", next.GetAnnotations(), live.GetAnnotations()))
	names := maps.Clone(next.Object)
	maps.Copy(names, live.Object)
	delete(names, "metadata")
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fields = append(fields, difference.Values(name, next.Object[name], live.Object[name])...)
	}
	return fields
}

// changedEntries returns the differences of difference.Entries, and the removed entries.
func changedEntries(path string, next, live map[string]string) []Field {
	fields := difference.Entries(path, next, live)
	for _, key := range slices.Sorted(maps.Keys(live)) {
		if _, stays := next[key]; !stays {
			fields = append(fields, Field{Path: path + "[" + key + "]", Live: live[key]})
		}
	}
	return fields
}

// overlay returns the live object with the wanted fields put into it. All other fields
// stay.
func overlay(wanted, live *unstructured.Unstructured) *unstructured.Unstructured {
	merged := live.DeepCopy()
	if labels := wanted.GetLabels(); len(labels) > 0 {
		merged.SetLabels(rails.Changed(merged.GetLabels(), labels))
	}
	if annotations := wanted.GetAnnotations(); len(annotations) > 0 {
		merged.SetAnnotations(rails.Changed(merged.GetAnnotations(), annotations))
	}
	for _, name := range kinds[wanted.GetKind()].fields {
		if value, found := wanted.Object[name]; found {
			merged.Object[name] = runtime.DeepCopyJSONValue(value)
		} else {
			delete(merged.Object, name)
		}
	}
	return merged
}
