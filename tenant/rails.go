package tenant

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

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

// PodSecurities are all values, the loosest first.
var PodSecurities = []PodSecurity{PodSecurityUnmanaged, PodSecurityPrivileged, PodSecurityBaseline, PodSecurityRestricted}

// Guard says what the admission policies do with a request that they refuse.
type Guard string

const (
	GuardOff     Guard = "off"
	GuardAudit   Guard = "audit"   // the API server's audit log says so
	GuardWarn    Guard = "warn"    // the caller is warned
	GuardEnforce Guard = "enforce" // the request is denied
)

// Guards are all values, the loosest first.
var Guards = []Guard{GuardOff, GuardAudit, GuardWarn, GuardEnforce}

// Network says whether NetworkPolicies isolate the tenant's pods.
type Network string

const (
	NetworkOpen     Network = "open"
	NetworkIsolated Network = "isolated"
)

// Networks are all values, the loosest first.
var Networks = []Network{NetworkOpen, NetworkIsolated}

// Rails are the guard rails of a tenant: what keeps its workloads from hurting its
// neighbours. A field that is empty was not said: a new tenant gets the values of
// NewRails, another one keeps what it has.
type Rails struct {
	PodSecurity PodSecurity `yaml:"podSecurity,omitempty" json:"podSecurity,omitempty"`
	// Guard says what the policies helm-tenant-guard do in the tenant's namespaces.
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
	// Hosts are the host names that the tenant may serve; none means any.
	Hosts []string `yaml:"hosts,flow,omitempty" json:"hosts"`
	// PriorityClasses are those that pods may name, beside the cluster's default.
	PriorityClasses []string `yaml:"priorityClasses,flow,omitempty" json:"priorityClasses"`
	// Labels are put on the tenant's namespaces.
	Labels map[string]string `yaml:"labels,omitempty" json:"labels,omitempty"`
	// Contact is whom a member asks whose request was refused.
	Contact string `yaml:"contact,omitempty" json:"contact,omitempty"`
}

// Limits are the values of a LimitRange for containers.
type Limits struct {
	Default        map[string]string `yaml:"default,omitempty" json:"default,omitempty"`
	DefaultRequest map[string]string `yaml:"defaultRequest,omitempty" json:"defaultRequest,omitempty"`
	Max            map[string]string `yaml:"max,omitempty" json:"max,omitempty"`
}

// MetadataBlocks are the addresses at which clouds tell a machine its credentials:
// AWS, Azure, Google and others; AWS by IPv6; Alibaba. Not all of link-local:
// node-local DNS and pod identity agents live there.
func MetadataBlocks() []string {
	return []string{"169.254.169.254/32", "fd00:ec2::254/128", "100.100.100.200/32"}
}

// NewRails are those of a new tenant of which nothing is said. A tenant of all
// namespaces has none.
func NewRails(allNamespaces bool) Rails {
	if allNamespaces {
		return RailsOfBefore()
	}
	return Rails{PodSecurity: PodSecurityBaseline, Guard: GuardEnforce, Network: NetworkOpen}
}

// RailsOfBefore are those of a tenant whose record says nothing of them: one that
// was made before there were guard rails.
func RailsOfBefore() Rails {
	return Rails{PodSecurity: PodSecurityUnmanaged, Guard: GuardOff, Network: NetworkOpen}
}

// Or returns the rails with every field that says nothing taken from others. An
// empty list or map, unlike nil, says that there is none.
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

// withFileDefaults is Or for the defaults of a tenants file, of which those that need
// isolation count for isolated tenants only.
func (r Rails) withFileDefaults(defaults Rails) Rails {
	if r.modesOr(defaults).Network != NetworkIsolated {
		defaults.AllowFrom, defaults.NetworkExcept = nil, nil
	}
	return r.Or(defaults)
}

// modesOr is Or for the fields that every tenant has a value of.
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

// Exactly returns what a tenants file makes of a tenant that had other rails: a
// list or map that it leaves out is empty, while podSecurity and guard stay as they
// were, since silence must not loosen them.
func (r Rails) Exactly(was Rails) Rails {
	r = r.modesOr(Rails{PodSecurity: was.PodSecurity, Guard: was.Guard, Network: NetworkOpen})
	return r.compact()
}

// compact returns the rails with empty lists and maps left out.
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

// Compact returns the rails with empty lists and maps left out, as a tenant has
// them in the end. Without isolation there is nothing that could be let in or kept
// out.
func (r Rails) Compact() Rails {
	if r.Network == NetworkOpen {
		r.AllowFrom, r.NetworkExcept = nil, nil
	}
	return r.compact()
}

// recorded returns the rails as a record holds them: what a record of before means
// is left out, so that such a record stays as it is.
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

// validate returns everything that is wrong with the rails, one clear line each.
func (r Rails) validate() []error {
	var problems []error
	add := func(errs ...error) {
		for _, err := range errs {
			if err != nil {
				problems = append(problems, err)
			}
		}
	}
	add(at(oneOf("podSecurity", r.PodSecurity, PodSecurities), "podSecurity"))
	add(at(oneOf("guard", r.Guard, Guards), "guard"))
	add(at(oneOf("network", r.Network, Networks), "network"))
	add(checkQuota(r.Quota)...)
	if r.Limits != nil {
		add(r.Limits.validate()...)
	}
	add(checkBlocks("allowFrom", r.AllowFrom)...)
	add(checkBlocks("networkExcept", r.NetworkExcept)...)
	for i, block := range r.NetworkExcept {
		if prefix, err := netip.ParsePrefix(block); err == nil && prefix.Bits() == 0 {
			add(at(fmt.Errorf("networkExcept: %s is every address", block), "networkExcept", i))
		}
	}
	add(checkNames("hosts", r.Hosts, func(host string) error {
		name, _ := strings.CutPrefix(host, "*.")
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return fmt.Errorf("hosts: %q is not a host name in lower case, such as shop.example.com or *.example.com", host)
		}
		return nil
	})...)
	add(checkNames("priorityClasses", r.PriorityClasses, func(name string) error {
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return fmt.Errorf("priorityClasses: %q is not a PriorityClass's name", name)
		}
		return nil
	})...)
	add(checkNamespaceLabels(r.Labels)...)
	if len(r.Contact) > maxContact || strings.IndexFunc(r.Contact, func(c rune) bool { return !unicode.IsPrint(c) }) >= 0 {
		add(at(fmt.Errorf("contact: one line of at most %d characters is expected", maxContact), "contact"))
	}
	return problems
}

// maxContact keeps messages of policies readable.
const maxContact = 200

// validateRails is validate and what the rest of the tenant says of its rails.
func (t Tenant) validateRails() []error {
	problems := t.Rails.validate()
	if t.Network == NetworkOpen || t.Network == "" {
		for field, list := range map[string][]string{"allowFrom": t.AllowFrom, "networkExcept": t.NetworkExcept} {
			if len(list) > 0 {
				problems = append(problems, at(fmt.Errorf("%s: it needs network: %s", field, NetworkIsolated), field))
			}
		}
	}
	if t.AllNamespaces {
		problems = append(problems, t.checkNoRails()...)
	}
	slices.SortStableFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

// checkNoRails returns an error for each field that a tenant of all namespaces
// can't have: its deployer may change whatever would hold it.
func (t Tenant) checkNoRails() []error {
	var problems []error
	refuse := func(field string, said bool) {
		if said {
			problems = append(problems, at(fmt.Errorf("%s: a tenant of all namespaces has no guard rails", field), field))
		}
	}
	refuse("podSecurity", t.PodSecurity != "" && t.PodSecurity != PodSecurityUnmanaged)
	refuse("guard", t.Guard != "" && t.Guard != GuardOff)
	refuse("network", t.Network != "" && t.Network != NetworkOpen)
	refuse("quota", len(t.Quota) > 0)
	refuse("limits", t.Limits != nil && !t.Limits.isZero())
	refuse("hosts", len(t.Hosts) > 0)
	refuse("priorityClasses", len(t.PriorityClasses) > 0)
	refuse("labels", len(t.Labels) > 0)
	return problems
}

func oneOf[S ~string](field string, value S, values []S) error {
	if value == "" || slices.Contains(values, value) {
		return nil
	}
	var words []string
	for _, v := range values {
		words = append(words, string(v))
	}
	return fmt.Errorf("%s: %q is not one of %s", field, value, strings.Join(words, ", "))
}

// checkNames checks each item of a list, and that none is there twice.
func checkNames(field string, names []string, check func(string) error) []error {
	var problems []error
	for i, name := range names {
		err := check(name)
		if err == nil && slices.Contains(names[:i], name) {
			err = fmt.Errorf("%s: duplicate %q", field, name)
		}
		if err != nil {
			problems = append(problems, at(err, field, i))
		}
	}
	return problems
}

// checkBlocks finds address blocks that a NetworkPolicy can't have.
func checkBlocks(field string, blocks []string) []error {
	return checkNames(field, blocks, func(block string) error {
		prefix, err := netip.ParsePrefix(block)
		if err != nil {
			if address, err := netip.ParseAddr(block); err == nil && address.Zone() == "" {
				return fmt.Errorf("%s: %q is an address: write the block %s", field, block, netip.PrefixFrom(address, address.BitLen()))
			}
			return fmt.Errorf("%s: %q is not an address block such as 10.0.0.0/24", field, block)
		}
		if prefix.Addr().Is4In6() {
			return fmt.Errorf("%s: %q is an IPv4 address written as IPv6", field, block)
		}
		if whole := prefix.Masked(); whole.String() != block {
			return fmt.Errorf("%s: %q has more than the block's own bits: write %s", field, block, whole)
		}
		return nil
	})
}

// counted are the keys of a quota of which only whole numbers can be had
// (k8s.io/kubernetes/pkg/apis/core/helper, integerResources).
var counted = []string{
	"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
	"services.nodeports", "services.loadbalancers",
}

// isQuotaKey says whether a ResourceQuota takes the key
// (k8s.io/kubernetes/pkg/apis/core/validation, ValidateResourceQuotaResourceName).
func isQuotaKey(key string) bool {
	if strings.Contains(key, "/") {
		return len(validation.IsQualifiedName(key)) == 0
	}
	name := strings.TrimPrefix(strings.TrimPrefix(key, "requests."), "limits.")
	switch {
	case slices.Contains(counted, key), key == "requests.storage", slices.Contains(sharedResources, name):
		return true
	}
	size, huge := strings.CutPrefix(strings.TrimPrefix(key, "requests."), "hugepages-")
	return huge && size != ""
}

func checkQuota(quota map[string]string) []error {
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(quota)) {
		quantity, err := resource.ParseQuantity(quota[key])
		whole := slices.Contains(counted, key) || strings.Contains(key, "/") && !strings.HasSuffix(key, "/requests.storage")
		switch {
		case !isQuotaKey(key):
			err = fmt.Errorf("quota: %q is not a key of a ResourceQuota, such as requests.cpu, limits.memory, pods or count/deployments.apps", key)
		case err != nil:
			err = fmt.Errorf("quota: %s: %q is not a quantity such as 20, 500m or 64Gi", key, quota[key])
		case quantity.Sign() < 0:
			err = fmt.Errorf("quota: %s: %s is negative", key, quota[key])
		case whole && quantity.MilliValue()%1000 != 0:
			err = fmt.Errorf("quota: %s: %s is not a whole number", key, quota[key])
		}
		if err != nil {
			problems = append(problems, at(err, "quota", key))
		}
	}
	return problems
}

// validate finds what the API server would refuse of a LimitRange
// (k8s.io/kubernetes/pkg/apis/core/validation, ValidateLimitRange).
func (l *Limits) validate() []error {
	var problems []error
	read := map[string]map[string]resource.Quantity{}
	for _, part := range []struct {
		field  string
		values map[string]string
	}{{"default", l.Default}, {"defaultRequest", l.DefaultRequest}, {"max", l.Max}} {
		read[part.field] = map[string]resource.Quantity{}
		for _, key := range slices.Sorted(maps.Keys(part.values)) {
			value := part.values[key]
			quantity, err := resource.ParseQuantity(value)
			switch {
			case !isResource(key):
				err = fmt.Errorf("limits.%s: %q is not one of cpu, memory, ephemeral-storage, hugepages-SIZE, or a name such as example.com/gpu", part.field, key)
			case err != nil:
				err = fmt.Errorf("limits.%s: %s: %q is not a quantity such as 500m or 512Mi", part.field, key, value)
			case quantity.Sign() < 0:
				err = fmt.Errorf("limits.%s: %s: %s is negative", part.field, key, value)
			default:
				read[part.field][key] = quantity
			}
			if err != nil {
				problems = append(problems, at(err, "limits", part.field, key))
			}
		}
	}
	for _, pair := range []struct{ less, more string }{{"default", "max"}, {"defaultRequest", "default"}, {"defaultRequest", "max"}} {
		for _, key := range slices.Sorted(maps.Keys(read[pair.less])) {
			less := read[pair.less][key]
			if more, both := read[pair.more][key]; both && less.Cmp(more) > 0 {
				problems = append(problems, at(fmt.Errorf("limits.%s: %s: %s is more than limits.%s: %s", pair.less, key, less.String(), pair.more, more.String()), "limits", pair.less, key))
			}
		}
	}
	return problems
}

// reservedLabels are domains of labels that mean something to Kubernetes or to
// helm-tenant on a namespace.
var reservedLabels = []string{"helm-tenant", "kubernetes.io", "k8s.io"}

func checkNamespaceLabels(labels map[string]string) []error {
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		var err error
		domain, _, _ := strings.Cut(key, "/")
		if why := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(labels[key])...); len(why) > 0 {
			err = fmt.Errorf("labels: %s=%s is not a label: %s", key, labels[key], why[0])
		} else if strings.Contains(key, "/") && slices.ContainsFunc(reservedLabels, func(reserved string) bool {
			return domain == reserved || strings.HasSuffix(domain, "."+reserved)
		}) {
			err = errors.New("labels: " + key + " is Kubernetes' or helm-tenant's own label and can't be set here")
		}
		if err != nil {
			problems = append(problems, at(err, "labels", key))
		}
	}
	return problems
}
