package rails

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm-tenant/tenant"
)

// claim is what one tenant requests for a namespace.
type claim struct {
	PodSecurity     tenant.PodSecurity `json:"podSecurity,omitempty"`
	Guard           tenant.Guard       `json:"guard,omitempty"`
	Namespaces      []string           `json:"namespaces,omitempty"`
	Hosts           []string           `json:"hosts,omitempty"`
	PriorityClasses []string           `json:"priorityClasses,omitempty"`
	EgressExcept    []string           `json:"egressExcept,omitempty"`
	Contact         string             `json:"contact,omitempty"`
	Labels          map[string]string  `json:"labels,omitempty"`
	Frozen          *freeze            `json:"frozen,omitempty"`
}

// claimOf returns what the tenant requests for each of its namespaces; nil for nothing.
func claimOf(t tenant.Tenant) *claim {
	var c claim
	if t.PodSecurity != tenant.PodSecurityUnmanaged {
		c.PodSecurity = t.PodSecurity
	}
	if t.Guard != tenant.GuardOff && t.Guard != "" {
		c.Guard, c.Hosts, c.PriorityClasses, c.Contact = t.Guard, t.Hosts, t.PriorityClasses, t.Contact
		c.Namespaces = slices.Sorted(slices.Values(t.Namespaces))
		if t.Network == tenant.NetworkIsolated {
			c.EgressExcept = egressExcept(t.Rails)
		}
	}
	if len(t.Labels) > 0 {
		c.Labels = t.Labels
	}
	c.Frozen = freezeOf(t)
	if c.PodSecurity == "" && c.Guard == "" && c.Labels == nil && c.Frozen == nil {
		return nil
	}
	return &c
}

// readClaims parses the claims of all tenants on a namespace. Fields of a newer
// helm-tenant are ignored; they stay in the annotation of that tenant.
func readClaims(namespace string, annotations map[string]string) (map[string]*claim, error) {
	claims := map[string]*claim{}
	for key, text := range annotations {
		name, isClaim := strings.CutPrefix(key, claimPrefix)
		if !isClaim {
			continue
		}
		var c claim
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return nil, fmt.Errorf("namespace %q: annotation %s can't be read: %w", namespace, key, err)
		}
		claims[name] = &c
	}
	return claims, nil
}

// strictestGuard returns the strictest mode of all claims; empty if none has one.
func strictestGuard(claims map[string]*claim) tenant.Guard {
	strictest := tenant.Guard("")
	for _, c := range claims {
		if slices.Index(tenant.Guards, c.Guard) > slices.Index(tenant.Guards, strictest) {
			strictest = c.Guard
		}
	}
	return strictest
}

// guardAnnotations returns the annotations for the policies, from all claims with a
// guard: the union of what the tenants have of their own, and the intersection of what
// they allow.
func guardAnnotations(claims map[string]*claim) map[string]string {
	var namespaces, hosts, classes, except, contacts []string
	restricted, isolated, guarded := false, false, false
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		c := claims[name]
		if c.Guard == "" {
			continue
		}
		namespaces = append(namespaces, c.Namespaces...)
		if len(c.Hosts) > 0 {
			hosts = common(restricted, hosts, c.Hosts, commonHosts)
			restricted = true
		}
		classes = common(guarded, classes, c.PriorityClasses, func(a, b []string) []string {
			return slices.DeleteFunc(slices.Clone(a), func(class string) bool { return !slices.Contains(b, class) })
		})
		if len(c.EgressExcept) > 0 {
			except, isolated = append(except, c.EgressExcept...), true
		}
		if c.Contact != "" && !slices.Contains(contacts, c.Contact) {
			contacts = append(contacts, c.Contact)
		}
		guarded = true
	}
	annotations := map[string]string{}
	put := func(key string, ok bool, values []string) {
		annotations[key] = Absent
		if ok {
			slices.Sort(values)
			annotations[key] = strings.Join(slices.Compact(values), ",")
		}
	}
	put(annotationNamespaces, guarded, namespaces)
	put(annotationHosts, restricted, hosts)
	put(annotationClasses, len(classes) > 0, slices.Clone(classes))
	put(annotationExcept, isolated, except)
	annotations[annotationContact] = Absent
	if len(contacts) > 0 {
		annotations[annotationContact] = strings.Join(contacts, " or ")
	}
	return annotations
}

// common returns the intersection of two lists by both, or the second list if there is no
// first.
func common(hasFirst bool, first, second []string, both func(a, b []string) []string) []string {
	if !hasFirst {
		return slices.Clone(second)
	}
	return both(first, second)
}
