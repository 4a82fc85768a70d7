package rails

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"

	"helm-tenant/tenant"
)

// These are labels and annotations of a tenant's namespace. Members can't write
// namespaces, so the admission policies read from here what they can't know otherwise.
const (
	// LabelGuard has the guard's mode; the bindings of the policies select by it.
	LabelGuard = "helm-tenant/guard"
	// claimPrefix begins an annotation for each tenant of the namespace, with its name
	// and its claim: a namespace may be shared, and the claim is removed with its tenant.
	claimPrefix = "rails.helm-tenant/"
	// annotationBefore has the labels that were set for the tenants, with their former
	// values, which are restored when no tenant needs them any more.
	annotationBefore = "helm-tenant/labels-before"

	// guardPrefix begins the following annotations, which are derived from all claims.
	guardPrefix          = "guard.helm-tenant/"
	annotationNamespaces = guardPrefix + "namespaces"
	annotationHosts      = guardPrefix + "hosts"
	annotationClasses    = guardPrefix + "priority-classes"
	annotationExcept     = guardPrefix + "egress-except"
	annotationContact    = guardPrefix + "contact"
)

// These are the label and annotations of a frozen tenant's namespaces, including its
// home.
const (
	// LabelFrozen selects the namespaces for the policy of a freeze.
	LabelFrozen = "helm-tenant/frozen"
	// annotationFrozen has the frozen tenants with their reasons.
	annotationFrozen = "guard.helm-tenant/frozen"
	// annotationFrozenAccounts has the service accounts that must not write: NAMESPACE
	// for all of a namespace, or NAMESPACE:NAME.
	annotationFrozenAccounts = "guard.helm-tenant/frozen-accounts"
)

// podSecurityPrefix begins the labels of PodSecurity
// (https://kubernetes.io/docs/concepts/security/pod-security-admission/).
const podSecurityPrefix = "pod-security.kubernetes.io/"

// podSecurityModes are the modes of the labels that are set.
var podSecurityModes = []string{"enforce", "warn", "audit"}

// LabelEnforce is the label by which the API server refuses pods.
const LabelEnforce = podSecurityPrefix + "enforce"

// IsAnnotation reports whether an annotation of a namespace belongs to the guard rails.
func IsAnnotation(key string) bool {
	return key == annotationBefore || strings.HasPrefix(key, claimPrefix) || strings.HasPrefix(key, guardPrefix)
}

// Absent is the value of a wanted label or annotation that must not exist. No label or
// annotation of a cluster can have it.
const Absent = "\x00"

// Changed returns labels or annotations with the wanted ones set, and those that are
// Absent removed.
func Changed(current, wanted map[string]string) map[string]string {
	out := maps.Clone(current)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, wanted)
	maps.DeleteFunc(out, func(_, value string) bool { return value == Absent })
	return out
}

// ConflictError reports a label for which two tenants of a namespace request different
// values.
type ConflictError struct {
	Namespace, Label string
	// Owner is the tenant that has Value there already.
	Owner, Value string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("namespace %q has the label %s=%s for tenant %q, with which it is shared", e.Namespace, e.Label, e.Value, e.Owner)
}

// NamespaceMeta returns the labels and annotations that a namespace needs for the
// tenant's guard rails, with those of other tenants that share it; Absent for those to
// remove. live is nil for a namespace that does not exist. Errors: a *ConflictError, and
// a claim that can't be read.
func NamespaceMeta(t tenant.Tenant, namespace string, live metav1.Object) (labels, annotations map[string]string, err error) {
	return meta(t.Name, claimOf(t), namespace, live)
}

// WithoutTenant returns the labels and annotations for a namespace that is removed from the
// named tenant.
func WithoutTenant(name string, live metav1.Object) (labels, annotations map[string]string, err error) {
	return meta(name, nil, live.GetName(), live)
}

// Claimed reports whether a namespace has a claim of the named tenant.
func Claimed(name string, live metav1.Object) bool {
	_, found := live.GetAnnotations()[claimPrefix+name]
	return found
}

func meta(name string, mine *claim, namespace string, live metav1.Object) (labels, annotations map[string]string, err error) {
	var liveLabels, liveAnnotations map[string]string
	if live != nil {
		liveLabels, liveAnnotations = live.GetLabels(), live.GetAnnotations()
	}
	claims, err := readClaims(namespace, liveAnnotations)
	if err != nil {
		return nil, nil, err
	}
	if mine == nil {
		delete(claims, name)
	} else {
		claims[name] = mine
	}
	wantedLabels, err := labelsOf(name, namespace, claims)
	if err != nil {
		return nil, nil, err
	}
	labels, before, err := settle(namespace, wantedLabels, liveLabels, liveAnnotations[annotationBefore])
	if err != nil {
		return nil, nil, err
	}
	annotations = guardAnnotations(claims)
	annotations[annotationBefore] = before
	annotations[claimPrefix+name] = Absent
	if mine != nil {
		text, err := json.Marshal(mine)
		if err != nil {
			return nil, nil, err
		}
		annotations[claimPrefix+name] = string(text)
	}
	maps.Copy(annotations, freezeAnnotations(claims))
	labels[LabelGuard], labels[LabelFrozen] = Absent, Absent
	if annotations[annotationFrozen] != Absent {
		labels[LabelFrozen] = "true"
	}
	if mode := strictestGuard(claims); mode != "" {
		labels[LabelGuard] = string(mode)
	}
	return dropAbsent(labels, liveLabels), dropAbsent(annotations, liveAnnotations), nil
}

// dropAbsent removes Absent entries for labels or annotations that do not exist.
func dropAbsent(wanted, live map[string]string) map[string]string {
	maps.DeleteFunc(wanted, func(key, value string) bool {
		_, found := live[key]
		return value == Absent && !found
	})
	return wanted
}

// labelsOf returns the labels that all claims request; name is the tenant to whom a
// conflict is reported.
func labelsOf(name, namespace string, claims map[string]*claim) (map[string]string, error) {
	labels, owner := map[string]string{}, map[string]string{}
	level := -1
	for _, other := range slices.Sorted(maps.Keys(claims)) {
		c := claims[other]
		level = max(level, slices.Index(tenant.PodSecurities, c.PodSecurity))
		for key, value := range c.Labels {
			if earlier, set := labels[key]; set && earlier != value {
				first := owner[key]
				if first == name {
					first, earlier = other, value
				}
				return nil, &ConflictError{namespace, key, first, earlier}
			}
			labels[key], owner[key] = value, other
		}
	}
	if level > 0 {
		for _, mode := range podSecurityModes {
			labels[podSecurityPrefix+mode] = string(tenant.PodSecurities[level])
		}
	}
	return labels, nil
}

// was is a label that was set, with its former value, nil for none.
type was struct {
	Set    string  `json:"set"`
	Before *string `json:"before,omitempty"`
}

// settle compares the wanted labels with the live ones. It returns the labels to change,
// and the annotation that keeps the former values.
func settle(namespace string, wanted, live map[string]string, beforeText string) (labels map[string]string, before string, err error) {
	set := map[string]was{}
	if beforeText != "" {
		if err := json.Unmarshal([]byte(beforeText), &set); err != nil {
			return nil, "", fmt.Errorf("namespace %q: annotation %s can't be read: %w", namespace, annotationBefore, err)
		}
	}
	labels = map[string]string{}
	next := map[string]was{}
	keys := maps.Clone(wanted)
	for key := range set {
		keys[key] = wanted[key]
	}
	for key := range keys {
		var original *string
		if value, found := live[key]; found {
			original = &value
		}
		if ours, isSet := set[key]; isSet && original != nil && *original == ours.Set {
			original = ours.Before
		}
		want, isWanted := wanted[key]
		if !isWanted || original != nil && (*original == want || stricter(key, *original, want)) {
			// No tenant needs it any more, or the admin's own label is enough.
			labels[key] = Absent
			if original != nil {
				labels[key] = *original
			}
			continue
		}
		labels[key] = want
		next[key] = was{want, original}
	}
	if len(next) == 0 {
		return labels, Absent, nil
	}
	text, err := json.Marshal(next)
	return labels, string(text), err
}

// stricter reports whether a PodSecurity label that an admin set is stricter than the
// wanted one. An unknown level does not count.
func stricter(key, current, want string) bool {
	if !strings.HasPrefix(key, podSecurityPrefix) {
		return false
	}
	return slices.Index(tenant.PodSecurities, tenant.PodSecurity(current)) > slices.Index(tenant.PodSecurities, tenant.PodSecurity(want))
}

// evaluator is the API server's own evaluator (k8s.io/pod-security-admission).
var evaluator = sync.OnceValues(func() (podsecurity.Evaluator, error) {
	return podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
})

// Violation returns how a pod violates the latest version of a level, in the API server's
// words; empty if it does not.
func Violation(level tenant.PodSecurity, meta *metav1.ObjectMeta, spec *corev1.PodSpec) (string, error) {
	judge, err := evaluator()
	if err != nil || level == tenant.PodSecurityUnmanaged {
		return "", err
	}
	result := podsecurity.AggregateCheckResults(judge.EvaluatePod(api.LevelVersion{Level: api.Level(level), Version: api.LatestVersion()}, meta, spec))
	if result.Allowed {
		return "", nil
	}
	return result.ForbiddenDetail(), nil
}

// Tightens reports whether the tenant's enforce label is stricter than the namespace's
// present one; live is not nil.
func Tightens(t tenant.Tenant, live metav1.Object) bool {
	labels, _, err := NamespaceMeta(t, live.GetName(), live)
	return err == nil && stricter(LabelEnforce, labels[LabelEnforce], live.GetLabels()[LabelEnforce])
}
