package rails

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// Demand has the parts of an object that the guard's policies may refuse at its creation.
// Each field is empty if the object has nothing of the kind.
type Demand struct {
	// Subjects are a RoleBinding's.
	Subjects []rbacv1.Subject
	// ExternalIPs are a Service's.
	ExternalIPs []string
	// Class is the priority class of a pod or template; Priority is that of a pod, nil
	// for a template.
	Class    string
	Priority *int32
	// Volumes are the ones that claims and templates of claims name.
	Volumes []string
	// Storage are the volumes of a pod or template that are a disk or storage server.
	Storage []string
	// Drivers are the CSI drivers of a pod's or template's inline volumes, as InlineDrivers
	// returns them.
	Drivers []string
	// Hosts are the hosts in an Ingress' rules, empty for a rule without one; Certified
	// are those of its tls, empty for one without hosts.
	Hosts, Certified []string
	// DefaultBackend reports whether an Ingress has one.
	DefaultBackend bool
	// Annotations are those that may add hosts or configuration.
	Annotations map[string]string
	// Egress are a NetworkPolicy's rules.
	Egress []networkingv1.NetworkPolicyEgressRule
}

// Beyond returns the part of a pod's demand that its template does not have, nil for
// nothing. A pod has the priority that its class had when it was created.
func (d *Demand) Beyond(template *Demand) *Demand {
	rest := *d
	if d.Class == template.Class {
		rest.Class, rest.Priority = "", nil
	}
	rest.Volumes, rest.Storage, rest.Drivers = without(d.Volumes, template.Volumes), without(d.Storage, template.Storage), without(d.Drivers, template.Drivers)
	if rest.Class == "" && rest.Priority == nil && len(rest.Volumes) == 0 && len(rest.Storage) == 0 && len(rest.Drivers) == 0 {
		return nil
	}
	return &rest
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(some, one) })
}

// OfRoleBinding returns the demand of a RoleBinding; nil for nothing that is judged.
func OfRoleBinding(b *rbacv1.RoleBinding) *Demand {
	if len(b.Subjects) == 0 {
		return nil
	}
	return &Demand{Subjects: b.Subjects}
}

// OfService returns the demand of a Service; nil for nothing that is judged.
func OfService(s *corev1.Service) *Demand {
	d := &Demand{ExternalIPs: s.Spec.ExternalIPs, Annotations: annotationsOf(&s.ObjectMeta)}
	if len(d.ExternalIPs) == 0 && d.Annotations == nil {
		return nil
	}
	return d
}

// boundByController is the annotation of claims for which Kubernetes chose the volume
// (k8s.io/component-helpers/storage/volume).
const boundByController = "pv.kubernetes.io/bound-by-controller"

// OfClaim returns the demand of a PersistentVolumeClaim; nil for nothing that is judged.
func OfClaim(c *corev1.PersistentVolumeClaim) *Demand {
	if _, chosen := c.Annotations[boundByController]; chosen || c.Spec.VolumeName == "" {
		return nil
	}
	return &Demand{Volumes: []string{c.Spec.VolumeName}}
}

// OfTemplate returns the demand of a pod template and its claim templates; nil if nothing in
// them is judged.
func OfTemplate(spec *corev1.PodSpec, claims ...corev1.PersistentVolumeClaim) *Demand {
	d := &Demand{Class: spec.PriorityClassName, Storage: DirectStorage(spec), Drivers: InlineDrivers(spec)}
	for _, volume := range spec.Volumes {
		if volume.Ephemeral != nil && volume.Ephemeral.VolumeClaimTemplate != nil && volume.Ephemeral.VolumeClaimTemplate.Spec.VolumeName != "" {
			d.Volumes = append(d.Volumes, volume.Ephemeral.VolumeClaimTemplate.Spec.VolumeName)
		}
	}
	for _, claim := range claims {
		if claim.Spec.VolumeName != "" {
			d.Volumes = append(d.Volumes, claim.Spec.VolumeName)
		}
	}
	if d.Class == "" && len(d.Volumes) == 0 && len(d.Storage) == 0 && len(d.Drivers) == 0 {
		return nil
	}
	return d
}

// OfPod returns the demand of a pod with its priority; nil for nothing that is judged.
func OfPod(spec *corev1.PodSpec) *Demand {
	d := OfTemplate(spec)
	if d != nil && spec.Priority != nil {
		d.Priority = new(*spec.Priority)
	}
	return d
}

// OfIngress returns the demand of an Ingress.
func OfIngress(i *networkingv1.Ingress) *Demand {
	d := &Demand{DefaultBackend: i.Spec.DefaultBackend != nil, Annotations: annotationsOf(&i.ObjectMeta)}
	if d.Annotations[publishedHosts] == publishedOwn { // the hosts of its rules
		delete(d.Annotations, publishedHosts)
	}
	for _, rule := range i.Spec.Rules {
		d.Hosts = append(d.Hosts, rule.Host)
	}
	for _, tls := range i.Spec.TLS {
		if len(tls.Hosts) == 0 {
			d.Certified = append(d.Certified, "")
		}
		d.Certified = append(d.Certified, tls.Hosts...)
	}
	return d
}

// OfNetworkPolicy returns the demand of a NetworkPolicy; nil for nothing that is judged.
func OfNetworkPolicy(spec *networkingv1.NetworkPolicySpec) *Demand {
	if len(spec.Egress) == 0 {
		return nil
	}
	return &Demand{Egress: spec.Egress}
}

// Refusals returns what the guard would refuse of the demand in a namespace with these
// annotations, as clauses; none if it would accept it. It judges as the policies' CEL
// does, with which test/cel compares it. Routes, Gateways and groups of pods are not
// judged, nor classes whose priorities are not known.
func (d *Demand) Refusals(namespace string, notes map[string]string, p Priorities) []string {
	var refused clauses
	refuse := refused.add
	refuse("it lets in", d.outsiders(namespace, notes)...)
	refuse("it has the external IPs", d.ExternalIPs...)
	if !p.Unknown {
		refuse("it has the priority class", d.refusedClass(notes, p)...)
	}
	refuse("its claim names the volume", d.Volumes...)
	refuse("it mounts a disk or storage server by the volume", d.Storage...)
	refuse("it has inline volumes of the CSI driver", d.refusedDrivers(notes)...)
	if hosts, restricted := notes[annotationHosts]; restricted {
		refused = append(refused, d.RefusedHosts(strings.Split(hosts, ","))...)
	}
	if except, isolated := notes[annotationExcept]; isolated && d.opens(strings.Split(except, ",")) {
		refused = append(refused, "its egress opens addresses that the isolation keeps closed")
	}
	return refused
}

// outsiders returns the subjects that are not service accounts of the tenant's
// namespaces.
func (d *Demand) outsiders(namespace string, notes map[string]string) []string {
	own := []string{namespace}
	if namespaces, given := notes[annotationNamespaces]; given {
		own = strings.Split(namespaces, ",")
	}
	var out []string
	for _, s := range d.Subjects {
		if s.Kind == rbacv1.ServiceAccountKind && (s.Namespace == "" || slices.Contains(own, s.Namespace)) {
			continue
		}
		name := s.Name
		if s.Namespace != "" {
			name = s.Namespace + ":" + name
		}
		out = append(out, s.Kind+" "+name)
	}
	return out
}

func (d *Demand) refusedClass(notes map[string]string, p Priorities) []string {
	allowed := strings.Split(notes[annotationClasses], ",")
	if d.Class == "" || slices.Contains(allowed, d.Class) {
		return nil
	}
	if d.Priority != nil && *d.Priority <= p.Default || d.Priority == nil && slices.Contains(p.Harmless, d.Class) {
		return nil
	}
	return []string{d.Class}
}

func (d *Demand) refusedDrivers(notes map[string]string) []string {
	allowed := strings.Split(notes[AnnotationDrivers], ",")
	for i := range allowed {
		allowed[i] = strings.TrimSpace(allowed[i])
	}
	return slices.DeleteFunc(slices.Clone(d.Drivers), func(driver string) bool { return slices.Contains(allowed, driver) })
}

// named returns the names with a word in place of the empty one.
func named(names []string, empty string) []string {
	for i := range names {
		if names[i] == "" {
			names[i] = empty
		}
	}
	return names
}

// opens reports whether egress reaches one of the address blocks. IPv6 blocks are compared by
// their first 16 bits, as the policy does.
func (d *Demand) opens(except []string) bool {
	for _, rule := range d.Egress {
		if len(rule.To) == 0 {
			return true
		}
		for _, to := range rule.To {
			if to.IPBlock != nil && opensBlock(to.IPBlock, except) {
				return true
			}
		}
	}
	return false
}

func opensBlock(block *networkingv1.IPBlock, except []string) bool {
	open, err := netip.ParsePrefix(block.CIDR)
	if err != nil || open.Addr().Is6() && (strings.Contains(block.CIDR, ".") || open.Addr().Is4In6()) {
		return true
	}
	for _, text := range withNAT64(except) {
		closed, err := netip.ParsePrefix(text)
		if err != nil || closed.Addr().Is4() != open.Addr().Is4() {
			continue
		}
		if open.Addr().Is6() {
			if overlaps16(open, closed) && !slices.Contains(block.Except, text) {
				return true
			}
			continue
		}
		kept := slices.ContainsFunc(block.Except, func(text string) bool {
			out, err := netip.ParsePrefix(text)
			return err == nil && out.Addr().Is4() && out.Bits() <= closed.Bits() && out.Contains(closed.Addr())
		})
		if open.Overlaps(closed) && !kept {
			return true
		}
	}
	return false
}

// overlaps16 reports whether two IPv6 blocks overlap by their first 16 bits.
func overlaps16(a, b netip.Prefix) bool {
	short := func(p netip.Prefix) netip.Prefix { return netip.PrefixFrom(p.Addr(), min(p.Bits(), 16)).Masked() }
	return short(a).Overlaps(short(b))
}
