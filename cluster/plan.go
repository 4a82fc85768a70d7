package cluster

import (
	"cmp"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/tenant"
)

// Action is what is done to one object.
type Action string

const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	// Replace deletes and creates anew: a field that can't be changed differs.
	Replace Action = "replace"
)

// Change is one write.
type Change struct {
	Action Action
	Key    Key
	// Object is what is written; nil for a Delete.
	Object *unstructured.Unstructured
	// Live is what was there when the change was planned.
	Live   *unstructured.Unstructured
	Fields []Field

	phase int
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
		owner := have.GetLabels()[tenant.LabelTenant]
		ours := owner == name || want.GetLabels()[tenant.LabelTenant] == "" && have.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
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
		if key.Kind == "Deployment" && slices.ContainsFunc(fields, func(f Field) bool { return under(f.Path, "spec.selector") }) {
			return Plan{}, fmt.Errorf("%s has another selector than Tiller's, which can't be changed: remove it first", key)
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

// Remove adds the deletion of a live object, after all other writes.
func (p *Plan) Remove(live *unstructured.Unstructured) {
	p.Changes = append(p.Changes, Change{Action: Delete, Key: keyOf(live), Live: live, phase: phaseRemoval})
}

// Narrow adds the deletion of what gives an adopted Tiller more than it should
// have: after it got all that it needs, and before its Deployment carries a
// tenant's label, by which a later run would take it for adopted.
func (p *Plan) Narrow(live *unstructured.Unstructured) {
	p.Changes = append(p.Changes, Change{Action: Delete, Key: keyOf(live), Live: live, phase: phaseNarrowing})
}

// RemoveEarly adds the deletion of a live object, before anything is added to
// what a tenant may do.
func (p *Plan) RemoveEarly(live *unstructured.Unstructured) {
	p.Changes = append(p.Changes, Change{Action: Delete, Key: keyOf(live), Live: live, phase: phaseEarlyRemoval})
}

// RemoveLast adds the deletion of a live object, after everything else is gone:
// what a later run needs to find the rest.
func (p *Plan) RemoveLast(live *unstructured.Unstructured) {
	p.Changes = append(p.Changes, Change{Action: Delete, Key: keyOf(live), Live: live, phase: phaseLast})
}

// SetSubjects adds a change of the subjects of somebody else's binding, with
// Narrow.
func (p *Plan) SetSubjects(live *unstructured.Unstructured, subjects []rbacv1.Subject) error {
	next := live.DeepCopy()
	list := make([]any, len(subjects))
	for i := range subjects {
		item, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&subjects[i])
		if err != nil {
			return err
		}
		list[i] = item
	}
	next.Object["subjects"] = list
	p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live,
		Fields: compareValues("subjects", next.Object["subjects"], live.Object["subjects"]), phase: phaseNarrowing})
	return nil
}

// Annotate adds a change of one annotation of a live object; an empty value takes
// it away.
func (p *Plan) Annotate(live *unstructured.Unstructured, name, value string) {
	have, found := live.GetAnnotations()[name]
	if have == value && found == (value != "") {
		return
	}
	field := Field{Path: "metadata.annotations[" + name + "]", Wanted: value}
	if found {
		field.Live = have
	}
	next := live.DeepCopy()
	annotations := next.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[name] = value
	if value == "" {
		delete(annotations, name)
		field.Wanted = nil
	}
	next.SetAnnotations(annotations)
	p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live, Fields: []Field{field}, phase: phaseNamespaces})
}

// Scale adds a change of how many pods a live Deployment has.
func (p *Plan) Scale(live *unstructured.Unstructured, replicas int32) error {
	have, _, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if err != nil || have == int64(replicas) {
		return err
	}
	next := live.DeepCopy()
	if err := unstructured.SetNestedField(next.Object, int64(replicas), "spec", "replicas"); err != nil {
		return err
	}
	p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live,
		Fields: []Field{{Path: "spec.replicas", Live: have, Wanted: int64(replicas)}}, phase: phaseWorkload})
	return nil
}

// Create adds the creation of an object that is not there.
func (p *Plan) Create(object runtime.Object) error {
	want, err := toUnstructured(object)
	if err == nil {
		p.Changes = append(p.Changes, Change{Action: Create, Key: keyOf(want), Object: want, phase: phaseObjects})
	}
	return err
}

// Relabel adds the removal of labels and annotations from a live object that
// stays.
func (p *Plan) Relabel(live *unstructured.Unstructured, labels, annotations []string) {
	next := live.DeepCopy()
	kept, notes := next.GetLabels(), next.GetAnnotations()
	var fields []Field
	for _, name := range labels {
		if value, found := kept[name]; found {
			fields = append(fields, Field{Path: "metadata.labels[" + name + "]", Live: value})
			delete(kept, name)
		}
	}
	for _, name := range annotations {
		if value, found := notes[name]; found {
			fields = append(fields, Field{Path: "metadata.annotations[" + name + "]", Live: value})
			delete(notes, name)
		}
	}
	next.SetLabels(kept)
	next.SetAnnotations(notes)
	p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live, Fields: fields, phase: phaseRemoval})
}

// HandOver adds that a namespace gets the label of another tenant, of which the home
// is named.
func (p *Plan) HandOver(live *unstructured.Unstructured, name, home string) {
	next := live.DeepCopy()
	kept, notes := next.GetLabels(), next.GetAnnotations()
	if kept == nil {
		kept = map[string]string{}
	}
	if notes == nil {
		notes = map[string]string{}
	}
	fields := []Field{
		{Path: "metadata.labels[" + tenant.LabelTenant + "]", Live: kept[tenant.LabelTenant], Wanted: name},
		{Path: "metadata.annotations[" + tenant.AnnotationHome + "]", Live: notes[tenant.AnnotationHome], Wanted: home},
	}
	kept[tenant.LabelTenant], notes[tenant.AnnotationHome] = name, home
	next.SetLabels(kept)
	next.SetAnnotations(notes)
	p.Changes = append(p.Changes, Change{Action: Update, Key: keyOf(live), Object: next, Live: live, Fields: fields, phase: phaseRemoval})
}

// RelabelLast is Relabel, after every removal: of a home that stays, whose label
// is what a later run believes the rest by.
func (p *Plan) RelabelLast(live *unstructured.Unstructured, labels, annotations []string) {
	p.Relabel(live, labels, annotations)
	p.Changes[len(p.Changes)-1].phase = phaseUnclaim
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

// Nested says whether one of two ClusterRoles grants all that the other does.
// Then both may be bound for a moment without anybody having more than one of
// them gives.
func Nested(live *Live, a, b string) (bool, error) {
	var roles [2]rbacv1.ClusterRole
	for i, name := range []string{a, b} {
		found, err := live.Into(Key{Kind: "ClusterRole", Name: name}, &roles[i])
		if err != nil {
			return false, err
		}
		if !found {
			return false, nil
		}
	}
	covers, _ := validation.Covers(roles[0].Rules, roles[1].Rules)
	covered, _ := validation.Covers(roles[1].Rules, roles[0].Rules)
	return covers || covered, nil
}
