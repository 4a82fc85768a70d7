package rails

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

var (
	hostAnnotation = regexp.MustCompile(strings.ReplaceAll(hostAnnotations, `\\`, `\`))
	textAnnotation = regexp.MustCompile(strings.ReplaceAll(textAnnotations, `\\`, `\`))
	urlAnnotation  = regexp.MustCompile(strings.ReplaceAll(urlAnnotations, `\\`, `\`))
	assigned       = regexp.MustCompile(strings.ReplaceAll(assignedAnnotations, `\\`, `\`))
	assignedTo     = regexp.MustCompile(strings.ReplaceAll(assignedURL, `\\`, `\`))
	urlWithHost    = regexp.MustCompile(hostURL)
	plainHosts     = regexp.MustCompile(`^[a-z0-9*.-]*$`)
)

const redirectAnnotation = "/from-to-www-redirect"

// annotationsOf returns the annotations that policies judge; nil if there are none.
func annotationsOf(meta *metav1.ObjectMeta) map[string]string {
	var judged map[string]string
	for key, value := range meta.Annotations {
		if hostAnnotation.MatchString(key) || textAnnotation.MatchString(key) || strings.HasSuffix(key, redirectAnnotation) {
			if judged == nil {
				judged = map[string]string{}
			}
			judged[key] = value
		}
	}
	return judged
}

func (d *Demand) refusedAnnotations(allowed patterns) []string {
	var refused []string
	for key, value := range d.Annotations {
		ok := !textAnnotation.MatchString(key)
		if hostAnnotation.MatchString(key) && value != "" && !(assigned.MatchString(key) && assignedTo.MatchString(value)) {
			for _, host := range strings.Split(value, ",") {
				host = strings.ToLower(strings.TrimSpace(host))
				if parts := urlWithHost.FindStringSubmatch(host); parts != nil && urlAnnotation.MatchString(key) {
					host = parts[2]
				}
				ok = ok && plainHosts.MatchString(host) && allowed.allow(host)
			}
		}
		if strings.HasSuffix(key, redirectAnnotation) && !slices.Contains([]string{"", "0", "f", "false"}, strings.ToLower(value)) {
			for _, host := range d.Hosts {
				other, found := strings.CutPrefix(host, "www.")
				if !found {
					other = "www." + host
				}
				ok = ok && allowed.allow(other)
			}
		}
		if !ok {
			refused = append(refused, key)
		}
	}
	slices.Sort(refused)
	return refused
}

// RefusedHosts returns what the guard would refuse of a new Ingress where only these hosts are
// allowed, as clauses.
func (d *Demand) RefusedHosts(hosts []string) []string {
	allowed := patterns(hosts)
	var refused clauses
	refused.add("it serves", named(allowed.refused(d.Hosts), "every host")...)
	refused.add("its tls names", named(allowed.refused(d.Certified), "no host")...)
	if d.DefaultBackend {
		refused.add("it serves", "every host by its default backend")
	}
	refused.add("it has the annotation", d.refusedAnnotations(allowed)...)
	return refused
}

// clauses say what is refused.
type clauses []string

// add adds a clause about these names; none if there are no names.
func (c *clauses) add(text string, names ...string) {
	if len(names) > 0 {
		*c = append(*c, text+" "+strings.Join(names, ", "))
	}
}

// patterns are the hosts that a tenant may serve.
type patterns []string

// allow reports whether a pattern allows a host of an Ingress, in which a wildcard stands
// for one label.
func (p patterns) allow(host string) bool {
	return slices.ContainsFunc(p, func(pattern string) bool {
		if pattern == host {
			return true
		}
		suffix, wild := strings.CutPrefix(pattern, "*.")
		label, ends := strings.CutSuffix(host, "."+suffix)
		return wild && ends && label != "" && !strings.Contains(label, ".")
	})
}

func (p patterns) refused(hosts []string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return host != "" && p.allow(host) })
}
