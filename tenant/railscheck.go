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

	"helm-tenant/lists"
)

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
	add(inField(oneOf("podSecurity", r.PodSecurity, PodSecurities), "podSecurity"))
	add(inField(oneOf("guard", r.Guard, Guards), "guard"))
	add(inField(oneOf("network", r.Network, Networks), "network"))
	add(checkQuota(r.Quota)...)
	if r.Limits != nil {
		add(r.Limits.validate()...)
	}
	add(checkBlocks("allowFrom", r.AllowFrom)...)
	add(checkBlocks("networkExcept", r.NetworkExcept)...)
	for i, block := range r.NetworkExcept {
		if prefix, err := netip.ParsePrefix(block); err == nil && prefix.Bits() == 0 {
			add(inField(fmt.Errorf("networkExcept: %s is every address", block), "networkExcept", i))
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
		add(inField(fmt.Errorf("contact: one line of at most %d characters is expected", maxContact), "contact"))
	}
	return problems
}

// maxContact keeps messages of policies readable.
const maxContact = 200

// validateRails is validate together with the checks that involve the rest of the tenant.
func (t Tenant) validateRails() []error {
	problems := t.Rails.validate()
	if t.Network == NetworkOpen || t.Network == "" {
		for field, list := range map[string][]string{"allowFrom": t.AllowFrom, "networkExcept": t.NetworkExcept} {
			if len(list) > 0 {
				problems = append(problems, inField(fmt.Errorf("%s: it needs network: %s", field, NetworkIsolated), field))
			}
		}
	}
	if t.AllNamespaces {
		problems = append(problems, t.checkNoRails()...)
	}
	slices.SortStableFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

// checkNoRails returns an error for each field that a tenant of all namespaces can't
// have: its deployer can change whatever would enforce it.
func (t Tenant) checkNoRails() []error {
	var problems []error
	refuse := func(field string, given bool) {
		if given {
			problems = append(problems, inField(fmt.Errorf("%s: a tenant of all namespaces has no guard rails", field), field))
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
	return fmt.Errorf("%s: %q is not one of %s", field, value, strings.Join(lists.Strings(values), ", "))
}

// checkNames checks each item of a list, and that there are no duplicates.
func checkNames(field string, names []string, check func(string) error) []error {
	var problems []error
	for i, name := range names {
		err := check(name)
		if err == nil && slices.Contains(names[:i], name) {
			err = fmt.Errorf("%s: duplicate %q", field, name)
		}
		if err != nil {
			problems = append(problems, inField(err, field, i))
		}
	}
	return problems
}

// checkBlocks returns errors for address blocks that a NetworkPolicy can't have.
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

// counted are the keys of a quota whose values are whole numbers
// (k8s.io/kubernetes/pkg/apis/core/helper, integerResources).
var counted = []string{
	"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
	"services.nodeports", "services.loadbalancers",
}

// isQuotaKey reports whether a ResourceQuota takes the key
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
			problems = append(problems, inField(err, "quota", key))
		}
	}
	return problems
}

// validate returns what the API server would refuse in a LimitRange
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
				problems = append(problems, inField(err, "limits", part.field, key))
			}
		}
	}
	for _, pair := range []struct{ less, more string }{{"default", "max"}, {"defaultRequest", "default"}, {"defaultRequest", "max"}} {
		for _, key := range slices.Sorted(maps.Keys(read[pair.less])) {
			less := read[pair.less][key]
			if more, both := read[pair.more][key]; both && less.Cmp(more) > 0 {
				problems = append(problems, inField(fmt.Errorf("limits.%s: %s: %s is more than limits.%s: %s", pair.less, key, less.String(), pair.more, more.String()), "limits", pair.less, key))
			}
		}
	}
	return problems
}

// reservedLabels are the domains of labels with a meaning for Kubernetes or helm-tenant
// on a namespace.
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
			problems = append(problems, inField(err, "labels", key))
		}
	}
	return problems
}
