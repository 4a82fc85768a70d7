package rails

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// Labels and annotations of a tenant's namespace. Members can't write a namespace, so
// the admission policies take from here what they can't know otherwise.
const (
	// LabelGuard has the guard's mode; the bindings of the policies select by it.
	LabelGuard = "helm-tenant/guard"
	// claimPrefix begins an annotation for each tenant of the namespace, with its name
	// and what it asks for: a namespace may be shared, and what one tenant asks for
	// goes with that tenant only.
	claimPrefix = "rails.helm-tenant/"
	// annotationBefore says which labels were set for the tenants, and what was there
	// before: they are put back when nobody asks for them any more.
	annotationBefore = "helm-tenant/labels-before"

	// guardPrefix begins the following, which hold what all claims together come to.
	guardPrefix          = "guard.helm-tenant/"
	annotationNamespaces = guardPrefix + "namespaces"
	annotationHosts      = guardPrefix + "hosts"
	annotationClasses    = guardPrefix + "priority-classes"
	annotationExcept     = guardPrefix + "egress-except"
	annotationContact    = guardPrefix + "contact"
)

// Label and annotations of a frozen tenant's namespaces, its home among them.
const (
	// LabelFrozen selects the namespaces for the policy of a freeze.
	LabelFrozen = "helm-tenant/frozen"
	// annotationFrozen says which tenants are frozen, and why.
	annotationFrozen = "guard.helm-tenant/frozen"
	// annotationFrozenAccounts names the service accounts that write nothing: NAMESPACE
	// for all of a namespace, or NAMESPACE:NAME.
	annotationFrozenAccounts = "guard.helm-tenant/frozen-accounts"
)

// podSecurityPrefix begins the labels of PodSecurity
// (https://kubernetes.io/docs/concepts/security/pod-security-admission/).
const podSecurityPrefix = "pod-security.kubernetes.io/"

// podSecurityModes are those of the labels that are set.
var podSecurityModes = []string{"enforce", "warn", "audit"}

// LabelEnforce is the label by which the API server refuses pods.
const LabelEnforce = podSecurityPrefix + "enforce"

// IsAnnotation reports whether an annotation of a namespace is one of the guard rails'.
func IsAnnotation(key string) bool {
	return key == annotationBefore || strings.HasPrefix(key, claimPrefix) || strings.HasPrefix(key, guardPrefix)
}

// Absent is the value of a wanted label or annotation that must not be there. No
// label or annotation of a cluster can have it.
const Absent = "\x00"

// Changed returns labels or annotations with the wanted ones put in, and those taken
// out that are Absent.
func Changed(have, wanted map[string]string) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, wanted)
	maps.DeleteFunc(out, func(_, value string) bool { return value == Absent })
	return out
}

// ConflictError is a label for which two tenants of a namespace ask different values.
type ConflictError struct {
	Namespace, Label string
	// Owner is the tenant that has Value there already.
	Owner, Value string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("namespace %q has the label %s=%s for tenant %q, with which it is shared", e.Namespace, e.Label, e.Value, e.Owner)
}

// NamespaceMeta returns the labels and annotations that a namespace must have for the
// tenant's guard rails, those of the tenants with which it is shared kept; Absent
// where one must go. live is nil for a namespace that is not there yet. Errors: a
// *ConflictError, and a claim that can't be read.
func NamespaceMeta(t tenant.Tenant, namespace string, live metav1.Object) (labels, annotations map[string]string, err error) {
	return meta(t.Name, claimOf(t), namespace, live)
}

// WithoutTenant returns what NamespaceMeta does for a namespace that is taken from the
// tenant of that name.
func WithoutTenant(name string, live metav1.Object) (labels, annotations map[string]string, err error) {
	return meta(name, nil, live.GetName(), live)
}

// Claimed reports whether a namespace carries a claim of the tenant of that name.
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

// dropAbsent leaves out what must not be there and is not.
func dropAbsent(wanted, live map[string]string) map[string]string {
	maps.DeleteFunc(wanted, func(key, value string) bool {
		_, found := live[key]
		return value == Absent && !found
	})
	return wanted
}

// labelsOf are the labels that all claims come to; name is the tenant that a conflict
// is told to.
func labelsOf(name, namespace string, claims map[string]*claim) (map[string]string, error) {
	labels, owner := map[string]string{}, map[string]string{}
	level := -1
	for _, other := range slices.Sorted(maps.Keys(claims)) {
		c := claims[other]
		level = max(level, slices.Index(tenant.PodSecurities, c.PodSecurity))
		for key, value := range c.Labels {
			if have, set := labels[key]; set && have != value {
				first := owner[key]
				if first == name {
					first, have = other, value
				}
				return nil, &ConflictError{namespace, key, first, have}
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

// was is a label that was set, and the value that it had before, nil for none.
type was struct {
	Set    string  `json:"set"`
	Before *string `json:"before,omitempty"`
}

// settle compares the labels that are wanted with those that are there. It returns
// the labels that must be changed, and the annotation that keeps what was there
// before.
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
			// Nobody wants it any more, or the admin's own label does it.
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

// stricter reports whether a PodSecurity label that an admin set holds more than the
// wanted one. One of an unknown level is no level.
func stricter(key, have, want string) bool {
	if !strings.HasPrefix(key, podSecurityPrefix) {
		return false
	}
	return slices.Index(tenant.PodSecurities, tenant.PodSecurity(have)) > slices.Index(tenant.PodSecurities, tenant.PodSecurity(want))
}
