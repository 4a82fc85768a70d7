package admin

import (
	"slices"
	"strings"
	"sync"

	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// guardFacts are the guard's policies to write, by mode. They are the same for all
// tenants of a run, and compared once.
type guardFacts struct {
	mutex  sync.Mutex
	byMode map[tenant.Guard]answer[[]runtime.Object]
	// reserving are those that reserve helm-tenant's labels, which no mode concerns.
	reserving *answer[[]runtime.Object]
	// changes has the changes of shared objects that a tenant's plan contains already.
	changes map[cluster.Key]cluster.Change
}

// reuse replaces each change of a shared object by the equal one of another tenant's
// plan, so that a thousand plans do not hold each policy of the guard a thousand times.
func (g *guardFacts) reuse(changes []cluster.Change) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for i, change := range changes {
		if !isShared(change.Key) {
			continue
		}
		if known, found := g.changes[change.Key]; found && known.Action == change.Action {
			changes[i] = known
			continue
		}
		if g.changes == nil {
			g.changes = map[cluster.Key]cluster.Change{}
		}
		g.changes[change.Key] = change
	}
}

// guardObjects returns the policies and bindings of the guard in that mode that differ
// from the live ones.
func (f *facts) guardObjects(mode tenant.Guard) ([]runtime.Object, error) {
	f.guard.mutex.Lock()
	defer f.guard.mutex.Unlock()
	if known, found := f.guard.byMode[mode]; found {
		return known.value, known.err
	}
	stale := f.stale(wantedGuard(f.live, mode))
	if f.guard.byMode == nil {
		f.guard.byMode = map[tenant.Guard]answer[[]runtime.Object]{}
	}
	f.guard.byMode[mode] = stale
	return stale.value, stale.err
}

// reservingObjects returns the policies that reserve helm-tenant's labels, and their bindings,
// that differ from the live ones.
func (f *facts) reservingObjects() ([]runtime.Object, error) {
	f.guard.mutex.Lock()
	defer f.guard.mutex.Unlock()
	if f.guard.reserving == nil {
		f.guard.reserving = new(f.stale(rails.Reserving()))
	}
	return f.guard.reserving.value, f.guard.reserving.err
}

// stale returns the objects that differ from the live ones.
func (f *facts) stale(wanted []runtime.Object) (stale answer[[]runtime.Object]) {
	plan, err := cluster.NewPlan("", wanted, f.live, nil)
	stale.err = err
	for _, object := range wanted {
		if slices.ContainsFunc(plan.Changes, func(change cluster.Change) bool { return change.Key == cluster.KeyOf(object) }) {
			stale.value = append(stale.value, object)
		}
	}
	return stale
}

// priorities returns the PriorityClasses that everybody may have. Of several default
// classes Kubernetes takes the lowest (k8s.io/kubernetes/plugin/pkg/admission/priority).
func priorities(live *cluster.Live) rails.Priorities {
	p := rails.Priorities{Unknown: !live.Sees("PriorityClass")}
	var classes []schedulingv1.PriorityClass
	isSet := false
	for _, object := range live.All("PriorityClass") {
		var class schedulingv1.PriorityClass
		if cluster.Typed(object, &class) != nil {
			continue // no pod can have its priority
		}
		classes = append(classes, class)
		if class.GlobalDefault && (!isSet || class.Value < p.Default) {
			p.Default, isSet = class.Value, true
		}
	}
	for _, class := range classes {
		if class.Value <= p.Default {
			p.Harmless = append(p.Harmless, class.Name)
		}
	}
	return p
}

// wantedGuard returns the guard's policies, and its bindings for these modes. If the caller may
// not list PriorityClasses, an existing policy that depends on them is left out: whoever wrote
// it may have listed them.
func wantedGuard(live *cluster.Live, modes ...tenant.Guard) []runtime.Object {
	p := priorities(live)
	wanted := rails.Policies(p, modes...)
	if !p.Unknown {
		return wanted
	}
	return slices.DeleteFunc(wanted, func(object runtime.Object) bool {
		key := cluster.KeyOf(object)
		return key.Kind == cluster.KindPolicy && rails.DependsOnPriorities(key.Name) && live.Get(key) != nil
	})
}

// priorityNote returns a note on the policies for pods and groups of pods, for a caller who may
// not list PriorityClasses. Where only some of them are missing, as after an older
// helm-tenant, it names those.
func priorityNote(live *cluster.Live) string {
	const stay = "the guard's policies for pods stay as they are"
	var missing []string
	some := false
	for _, object := range rails.Policies(rails.Priorities{Unknown: true}) {
		key := cluster.KeyOf(object)
		if !rails.DependsOnPriorities(key.Name) {
			continue
		}
		if live.Get(key) != nil {
			some = true
			continue
		}
		missing = append(missing, strings.TrimPrefix(key.Name, rails.PolicyPrefix))
	}
	if len(missing) == 0 {
		return "you may not list priorityclasses: " + stay
	}
	which := "the guard's policies for pods are written"
	if some {
		which = stay + "; those for " + strings.Join(missing, ", ") + " are missing and are written"
	}
	return "you may not list priorityclasses: " + which + " as for a cluster without any, so that they refuse pods and templates with a class that is not in priorityClasses," +
		" and pods to which a default class gives a priority above 0; an init or apply by somebody who may list them adapts the policies"
}
