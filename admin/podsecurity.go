package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// tightening is a namespace that gets a stricter level of PodSecurity than it has.
type tightening struct {
	namespace string
	level     tenant.PodSecurity
}

// fewNamespaces is the most namespaces whose pods are listed one by one; for more
// namespaces, the pods of the whole cluster are listed.
const fewNamespaces = 8

// tightenings returns the tightenings among the tenant's namespaces.
func (d *decision) tightenings() []tightening {
	if !protectsNode(d.tenant.PodSecurity) {
		return nil
	}
	var found []tightening
	for _, ns := range d.railed() {
		if live := d.facts.live.Get(namespaceKey(ns)); live != nil && rails.Tightens(d.tenant, live) {
			found = append(found, tightening{ns, d.tenant.PodSecurity})
		}
	}
	return found
}

// violations are the violations of a level of PodSecurity in one namespace.
type violations struct {
	// found has a line for each pod and template. warned are the API server's other
	// warnings at a dry run of the label.
	found, warned []string
}

// readViolations finds the pods and templates that violate the level that their namespace
// is to get. It also counts PodSecurity's own warnings at a dry run of the label. The
// error concerns all namespaces.
func readViolations(ctx context.Context, c *cluster.Client, live *cluster.Live, wanted []tightening) (map[tightening]answer[violations], error) {
	levels := map[string][]tenant.PodSecurity{}
	for _, w := range wanted {
		if !slices.Contains(levels[w.namespace], w.level) {
			levels[w.namespace] = append(levels[w.namespace], w.level)
		}
	}
	found := map[tightening]answer[violations]{}
	type judged struct {
		level     tenant.PodSecurity
		key       cluster.Key
		violation string
	}
	// violates has the objects that violate a level, and how; named has objects of a controller
	// that does not violate it, of which one is named for all.
	violates, named := map[judged]bool{}, map[judged]bool{}
	judge := func(t cluster.Template) {
		for _, level := range levels[t.Key.Namespace] {
			tighter := tightening{t.Key.Namespace, level}
			a := found[tighter]
			violation, err := rails.Violation(level, &t.Spec.ObjectMeta, &t.Spec.Spec)
			byMaker := judged{level, t.Maker, violation}
			switch {
			case err != nil:
				a.err = err
			case violation != "":
				violates[judged{level, t.Key, violation}] = true
				// An object's controller is named instead of it, if it violates the level in
				// the same way.
				if !violates[byMaker] && !named[byMaker] {
					a.value.found = append(a.value.found, fmt.Sprintf("%s %s: %s", t.Key.Kind, t.Key.Name, violation))
				}
				named[byMaker] = t.Maker != cluster.Key{}
			}
			found[tighter] = a
		}
	}
	var unseen error
	if len(levels) > fewNamespaces {
		wanted := func(namespace string) bool { return levels[namespace] != nil }
		if unseen = c.EachTemplateIn(ctx, wanted, judge); unseen != nil && !apierrors.IsForbidden(unseen) {
			return nil, unseen
		}
	}
	for namespace, wantedLevels := range levels {
		if len(levels) <= fewNamespaces {
			err := c.EachTemplate(ctx, namespace, judge)
			if err != nil && !apierrors.IsForbidden(err) {
				return nil, err
			}
		}
		for _, level := range wantedLevels {
			tighter := tightening{namespace, level}
			a := found[tighter]
			a.err = cmp.Or(a.err, unseen)
			if len(a.value.found) == 0 && a.err == nil && len(levels) <= fewNamespaces {
				var tried cluster.LabelAnswer
				tried, a.err = c.TryLabel(ctx, live.Get(namespaceKey(namespace)), rails.LabelEnforce, string(level))
				a.value = violations{tried.Violations, tried.Others}
			}
			slices.Sort(a.value.found)
			found[tighter] = a
		}
	}
	return found, ctx.Err()
}

// ViolationsError refuses a level of PodSecurity that pods or templates violate.
type ViolationsError struct {
	RiskError
	// Violations has a line for each pod and template.
	Violations []string
}

func (e *ViolationsError) Unwrap() error { return &e.RiskError }

// Details returns the violations.
func (e *ViolationsError) Details() []string { return e.Violations }

// checkViolations refuses a level that pods or templates in the tenant's namespaces
// violate, unless the risk is accepted.
func (d *decision) checkViolations() error {
	var all []string
	for _, tighter := range d.tightenings() {
		if d.checkClaim(tighter.namespace) != nil {
			continue // its pods are not the tenant's
		}
		a, found := d.facts.violations[tighter]
		switch {
		case !found:
			return &unreadError{"the pods", tighter.namespace}
		case apierrors.IsForbidden(a.err):
			d.note("you may not try labels of namespace %q: it is not known whether pods there violate podSecurity: %s", tighter.namespace, tighter.level)
		case a.err != nil:
			return a.err
		}
		for _, violation := range a.value.found {
			all = append(all, fmt.Sprintf("namespace %s: %s", tighter.namespace, violation))
		}
		d.noteWarned(tighter, a.value.warned)
	}
	if len(all) == 0 {
		return nil
	}
	if d.request.Accepted.has(RiskViolatingPods) {
		for _, violation := range all {
			d.note("violates podSecurity: %s: %s", d.tenant.PodSecurity, violation)
		}
		return nil
	}
	why := fmt.Sprintf("with podSecurity: %s %d pods or templates could not be created again", d.tenant.PodSecurity, len(all))
	if len(all) == 1 {
		why = fmt.Sprintf("with podSecurity: %s a pod or template could not be created again", d.tenant.PodSecurity)
	}
	return &ViolationsError{RiskError{RiskViolatingPods, why}, all}
}

// noteWarned notes the API server's warnings that are no violations: an admission webhook or
// policy may warn about any change of a namespace.
func (d *decision) noteWarned(tighter tightening, warned []string) {
	const limit = 5
	for _, warning := range warned[:min(len(warned), limit)] {
		d.note("the API server warned of podSecurity: %s of namespace %q: %s", tighter.level, tighter.namespace, warning)
	}
	if more := len(warned) - limit; more > 0 {
		d.note("the API server warned %s of podSecurity: %s of namespace %q", visible.Counted(more, "more time"), tighter.level, tighter.namespace)
	}
}

// PodSecurityUnheld returns the reason why the PodSecurity labels of the tenant's
// namespaces are not enforced, or why that is not known; empty if they are, or if there
// are none. The version of the API server does not decide it: the admission plugin can be
// disabled, and replaced by webhooks. One namespace is enough to find out.
func PodSecurityUnheld(ctx context.Context, c *cluster.Client, t tenant.Tenant) string {
	if !HasPodSecurity(t) {
		return ""
	}
	i := slices.IndexFunc(t.Namespaces, isRailed)
	refused, err := c.RefusesPrivileged(ctx, t.Namespaces[i])
	switch {
	case err != nil:
		return fmt.Sprintf("it is not known whether PodSecurity is enforced: %v", err)
	case !refused:
		return fmt.Sprintf("this API server does not enforce PodSecurity: it takes a privileged pod in namespace %q, by which a chart takes over the node", t.Namespaces[i])
	}
	return ""
}

// HasPodSecurity reports whether at least one of the tenant's namespaces has a level of
// PodSecurity that refuses pods.
func HasPodSecurity(t tenant.Tenant) bool {
	return !t.AllNamespaces && protectsNode(t.PodSecurity) && slices.ContainsFunc(t.Namespaces, isRailed)
}

// isRailed reports whether a namespace gets guard rails: all but Kubernetes' own.
func isRailed(namespace string) bool { return !tenant.IsSystemNamespace(namespace) }
