package tenant

// PodSecurity is a level of the Pod Security Standards
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/), or
// PodSecurityUnmanaged.
type PodSecurity string

const (
	// PodSecurityUnmanaged leaves the labels of the tenant's namespaces alone.
	PodSecurityUnmanaged  PodSecurity = "unmanaged"
	PodSecurityPrivileged PodSecurity = "privileged"
	PodSecurityBaseline   PodSecurity = "baseline"
	PodSecurityRestricted PodSecurity = "restricted"
)

// PodSecurities are all values, the least restrictive first.
var PodSecurities = []PodSecurity{PodSecurityUnmanaged, PodSecurityPrivileged, PodSecurityBaseline, PodSecurityRestricted}

// Guard is what the admission policies do with a request that violates them.
type Guard string

const (
	GuardOff     Guard = "off"
	GuardAudit   Guard = "audit"   // the request is recorded in the API server's audit log
	GuardWarn    Guard = "warn"    // the caller is warned
	GuardEnforce Guard = "enforce" // the request is denied
)

// Guards are all values, the least restrictive first.
var Guards = []Guard{GuardOff, GuardAudit, GuardWarn, GuardEnforce}

// Network reports whether NetworkPolicies isolate the tenant's pods.
type Network string

const (
	NetworkOpen     Network = "open"
	NetworkIsolated Network = "isolated"
)

// Networks are all values, the least restrictive first.
var Networks = []Network{NetworkOpen, NetworkIsolated}

// Rails are the guard rails of a tenant: what keeps its workloads from hurting its
// neighbours. An empty field is not set: a new tenant gets the values of NewRails,
// another one keeps what it has.
type Rails struct {
	PodSecurity PodSecurity `yaml:"podSecurity,omitempty" json:"podSecurity,omitempty"`
	// Guard is what the policies helm-tenant-guard do in the tenant's namespaces.
	Guard Guard `yaml:"guard,omitempty" json:"guard,omitempty"`
	// Quota are the hard limits of a ResourceQuota in each of the namespaces.
	Quota map[string]string `yaml:"quota,omitempty" json:"quota,omitempty"`
	// Limits are those of a LimitRange for containers in each of the namespaces.
	Limits  *Limits `yaml:"limits,omitempty" json:"limits,omitempty"`
	Network Network `yaml:"network,omitempty" json:"network,omitempty"`
	// AllowFrom are address blocks that may reach the pods of an isolated tenant.
	AllowFrom []string `yaml:"allowFrom,flow,omitempty" json:"allowFrom"`
	// NetworkExcept are address blocks that the pods of an isolated tenant can't
	// reach, beside MetadataBlocks.
	NetworkExcept []string `yaml:"networkExcept,flow,omitempty" json:"networkExcept"`
	// Hosts are the host names that the tenant may serve; empty means any.
	Hosts []string `yaml:"hosts,flow,omitempty" json:"hosts"`
	// PriorityClasses are the classes that pods may name, beside the cluster's default.
	PriorityClasses []string `yaml:"priorityClasses,flow,omitempty" json:"priorityClasses"`
	// Labels are set on the tenant's namespaces.
	Labels map[string]string `yaml:"labels,omitempty" json:"labels,omitempty"`
	// Contact is whom a member can ask about a refused request.
	Contact string `yaml:"contact,omitempty" json:"contact,omitempty"`
}

// Limits are the values of a LimitRange for containers.
type Limits struct {
	Default        map[string]string `yaml:"default,omitempty" json:"default,omitempty"`
	DefaultRequest map[string]string `yaml:"defaultRequest,omitempty" json:"defaultRequest,omitempty"`
	Max            map[string]string `yaml:"max,omitempty" json:"max,omitempty"`
}

// MetadataBlocks returns the addresses at which clouds serve a machine's credentials:
// AWS, Azure, Google and others; AWS by IPv6; Alibaba. Not all of link-local is blocked,
// since node-local DNS and pod identity agents are there.
func MetadataBlocks() []string {
	return []string{"169.254.169.254/32", "fd00:ec2::254/128", "100.100.100.200/32"}
}

// NewRails returns the default rails of a new tenant. A tenant of all namespaces has
// none.
func NewRails(allNamespaces bool) Rails {
	if allNamespaces {
		return RailsOfBefore()
	}
	return Rails{PodSecurity: PodSecurityBaseline, Guard: GuardEnforce, Network: NetworkOpen}
}

// RailsOfBefore returns the rails of a tenant whose record has none: it was made before
// there were guard rails.
func RailsOfBefore() Rails {
	return Rails{PodSecurity: PodSecurityUnmanaged, Guard: GuardOff, Network: NetworkOpen}
}

// Or returns the rails with every unset field taken from others. An empty list or map,
// unlike nil, is set.
func (r Rails) Or(others Rails) Rails {
	r = r.modesOr(others)
	if r.Quota == nil {
		r.Quota = others.Quota
	}
	if r.Limits == nil {
		r.Limits = others.Limits
	}
	if r.AllowFrom == nil {
		r.AllowFrom = others.AllowFrom
	}
	if r.NetworkExcept == nil {
		r.NetworkExcept = others.NetworkExcept
	}
	if r.Hosts == nil {
		r.Hosts = others.Hosts
	}
	if r.PriorityClasses == nil {
		r.PriorityClasses = others.PriorityClasses
	}
	if r.Labels == nil {
		r.Labels = others.Labels
	}
	if r.Contact == "" {
		r.Contact = others.Contact
	}
	return r
}

// withFileDefaults is Or for the defaults of a tenants file. Those that need isolation
// apply to isolated tenants only.
func (r Rails) withFileDefaults(defaults Rails) Rails {
	if r.modesOr(defaults).Network != NetworkIsolated {
		defaults.AllowFrom, defaults.NetworkExcept = nil, nil
	}
	return r.Or(defaults)
}

func (r Rails) modesOr(others Rails) Rails {
	if r.PodSecurity == "" {
		r.PodSecurity = others.PodSecurity
	}
	if r.Guard == "" {
		r.Guard = others.Guard
	}
	if r.Network == "" {
		r.Network = others.Network
	}
	return r
}

// Exactly returns the rails from a tenants file for a tenant that had others: lists and
// maps that it leaves out are empty, while podSecurity and guard stay as they were, since
// an omission must not loosen them.
func (r Rails) Exactly(was Rails) Rails {
	r = r.modesOr(Rails{PodSecurity: was.PodSecurity, Guard: was.Guard, Network: NetworkOpen})
	return r.compact()
}

// compact returns the rails with nil for empty lists and maps.
func (r Rails) compact() Rails {
	if len(r.Quota) == 0 {
		r.Quota = nil
	}
	if r.Limits != nil && r.Limits.isZero() {
		r.Limits = nil
	}
	for _, list := range []*[]string{&r.AllowFrom, &r.NetworkExcept, &r.Hosts, &r.PriorityClasses} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if len(r.Labels) == 0 {
		r.Labels = nil
	}
	return r
}

// Compact returns the rails in their final form, with nil for empty lists and maps.
// Without isolation, the lists of address blocks have no meaning and are removed.
func (r Rails) Compact() Rails {
	if r.Network == NetworkOpen {
		r.AllowFrom, r.NetworkExcept = nil, nil
	}
	return r.compact()
}

// recorded returns the rails for a record. The values of RailsOfBefore are left out, so
// that the record of such a tenant stays as it is.
func (r Rails) recorded() Rails {
	r = r.compact()
	if r.PodSecurity == PodSecurityUnmanaged {
		r.PodSecurity = ""
	}
	if r.Guard == GuardOff {
		r.Guard = ""
	}
	if r.Network == NetworkOpen {
		r.Network = ""
	}
	return r
}

func (l *Limits) isZero() bool { return len(l.Default)+len(l.DefaultRequest)+len(l.Max) == 0 }
