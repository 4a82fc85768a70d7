package rails

import (
	"net/netip"
	"slices"
	"strings"
)

// splitFamilies splits address blocks into IPv4 and IPv6.
func splitFamilies(blocks []string) (v4, v6 []string) {
	for _, block := range blocks {
		if prefix, err := netip.ParsePrefix(block); err == nil && prefix.Addr().Is4() {
			v4 = append(v4, block)
		} else {
			v6 = append(v6, block)
		}
	}
	return v4, v6
}

// covers reports whether a pattern of hosts allows everything that another one does. A
// wildcard stands for one or more labels here: the policies decide its depth for each
// API.
func covers(pattern, other string) bool {
	suffix, wild := strings.CutPrefix(pattern, "*")
	return pattern == other || wild && strings.HasSuffix(other, suffix)
}

// commonHosts returns the hosts that two lists of patterns both allow.
func commonHosts(a, b []string) []string {
	var common []string
	add := func(from, other []string) {
		for _, host := range from {
			if slices.ContainsFunc(other, func(pattern string) bool { return covers(pattern, host) }) && !slices.Contains(common, host) {
				common = append(common, host)
			}
		}
	}
	add(a, b)
	add(b, a)
	slices.Sort(common)
	return common
}
