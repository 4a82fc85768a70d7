package admin

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// guardKinds are the names in Unseen of the guard's kinds of objects.
var guardKinds = map[string]string{
	cluster.KindPolicy: "validatingadmissionpolicies", cluster.KindPolicyBinding: "validatingadmissionpolicybindings",
	"PriorityClass": "priorityclasses",
}

// guardState compares the live policies of the guard with those that the recorded tenants'
// modes need; those that reserve helm-tenant's labels, if there are any tenants; and, if a
// tenant is frozen, the policies of freezes. What could not be compared is returned as unseen.
func guardState(live *cluster.Live, records []audit.Record) (audit.GuardState, []audit.Unseen, error) {
	var state audit.GuardState
	if len(records) == 0 {
		return state, nil, nil
	}
	modes, frozen := audit.GuardModes(records), audit.AnyFrozen(records)
	const matters = "whether the guard's admission policies are in force"
	if !live.Serves(cluster.KindPolicy) {
		state.Unserved = true
		return state, nil, nil
	}
	var unseen []audit.Unseen
	for kind, resource := range guardKinds {
		if !live.Sees(kind) && (len(modes) > 0 || frozen) {
			listed := resource
			if kind != "PriorityClass" {
				listed += " " + rails.PolicyPrefix + "*"
			}
			unseen = append(unseen, audit.Unseen{Resource: resource, What: listed, Why: "listing them is forbidden", Matters: matters})
		}
	}
	if !seesPolicies(live) {
		return state, unseen, nil
	}
	compare := func(objects []runtime.Object) (problems []audit.GuardProblem, err error) {
		for _, object := range objects {
			key := cluster.KeyOf(object)
			existing := live.Get(key)
			if existing != nil && rails.Newer(existing) {
				unseen = append(unseen, audit.Unseen{Resource: guardKinds[key.Kind], What: key.String(), Why: "it says that a newer helm-tenant wrote it", Matters: matters})
				continue
			}
			plan, err := cluster.NewPlan("", []runtime.Object{object}, live, nil)
			if err != nil {
				return nil, fmt.Errorf("comparing %s: %w", key, err)
			}
			if len(plan.Changes) == 0 {
				continue
			}
			problem := audit.GuardProblem{Object: audit.ObjectRef(key), Missing: existing == nil}
			if binding, isBinding := object.(*admissionv1.ValidatingAdmissionPolicyBinding); isBinding {
				problem.Mode = rails.ModeOf(binding)
			}
			problems = append(problems, problem)
		}
		return problems, nil
	}
	reserving, err := compare(rails.Reserving())
	if err != nil {
		return state, nil, err
	}
	state.Reserved = len(reserving) == 0
	if len(modes) > 0 {
		if state.Problems, err = compare(wantedGuard(live, modes...)); err != nil {
			return state, nil, err
		}
		state.Problems = append(state.Problems, reserving...)
	}
	if frozen {
		state.Freeze, err = compare(rails.Freezing())
		// A policy that only warns holds nothing.
		state.Freeze = slices.DeleteFunc(state.Freeze, func(p audit.GuardProblem) bool { return p.Mode == tenant.GuardWarn })
	}
	return state, unseen, err
}

func (t *snapshotReader) readGuard(ctx context.Context) error {
	return t.client.ReadShared(ctx, t.guard)
}

// addGuard sets the state of the guard, after the records were read.
func (t *snapshotReader) addGuard() error {
	s := &t.snapshot
	var unseen []audit.Unseen
	var err error
	s.Priorities = priorities(t.guard)
	for _, class := range t.guard.All("PriorityClass") {
		s.PriorityClasses = append(s.PriorityClasses, class.GetName())
	}
	s.Guard, unseen, err = guardState(t.guard, s.Records)
	for _, u := range unseen {
		if !slices.ContainsFunc(s.Unseen, func(other audit.Unseen) bool { return other.Resource == u.Resource && other.Matters == u.Matters }) {
			s.Unseen = append(s.Unseen, u)
		}
	}
	return err
}

// readVolumes reads the PersistentVolumes that any claim can bind.
func (t *snapshotReader) readVolumes(ctx context.Context) error {
	return cluster.Each(ctx, t.client, "PersistentVolume", "", metav1.ListOptions{}, func(v *corev1.PersistentVolume) {
		if v.Status.Phase == corev1.VolumeAvailable && v.Spec.ClaimRef == nil && v.DeletionTimestamp == nil {
			t.locked(func() {
				t.snapshot.Volumes = append(t.snapshot.Volumes, audit.Volume{Name: v.Name, Class: v.Spec.StorageClassName})
			})
		}
	})
}
