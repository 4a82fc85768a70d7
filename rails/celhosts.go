package rails

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// hostVariables returns the variables of policies that restrict host names: whether the
// tenant is restricted, and to which hosts.
func hostVariables() []admissionv1.Variable {
	return []admissionv1.Variable{
		{Name: "restricted", Expression: quoted(annotationHosts) + ` in variables.notes`},
		{Name: "hosts", Expression: `variables.restricted ? variables.notes[` + quoted(annotationHosts) + `].split(",") : []`},
		{Name: "annotations", Expression: ifHas(`object.metadata.annotations`, `{}`)},
		{Name: "wereAnnotations", Expression: `oldObject != null && has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}`},
	}
}

// allowed returns a CEL expression that reports whether the tenant may serve a host. A
// wildcard stands for one label in an Ingress, and for one or more in Gateway API
// (https://gateway-api.sigs.k8s.io/reference/spec/#hostname).
func allowed(host string, oneLabel bool) string {
	wild := `p.startsWith("*.") && ` + host + `.endsWith(p.substring(1)) && size(` + host + `) >= size(p)`
	if oneLabel {
		wild += ` && !` + host + `.substring(0, size(` + host + `) - size(p) + 1).contains(".")`
	}
	return `variables.hosts.exists(p, p == ` + host + ` || (` + wild + `))`
}

// These are annotations with which a controller of Ingresses, of DNS or of certificates
// serves more hosts than the rules have, as comma-separated lists of hosts, or takes
// configuration as text. Traefik compares the parts of a key without regard to case, and
// takes any word for the index of a list (github.com/traefik/paerser/parser).
const (
	hostAnnotations = `(?i)(/(server-alias|host-aliases|hostname|internal-hostname|hostname-extension|redirect-from|router\\.tls\\.domains\\.[^.]+\\.(main|sans)|http-managed-certificate-domains)` +
		`|^cert-manager\\.io/(alt-names|common-name)|^dns\\.alpha\\.kubernetes\\.io/(external|internal)|^zalando\\.org/dnsname` +
		`|^(dns|cert)\\.gardener\\.cloud/(dnsnames|commonname)|^(k8s\\.)?ngrok\\.com/(domain|(computed-)?url)|^cis\\.f5\\.com/host)$`
	textAnnotations = `(?i)(snippet|server-alias-regex|/config-[a-z-]+$|^getambassador\\.io/config$|^alb\\.ingress\\.kubernetes\\.io/conditions\\.|^zalando\\.org/skipper-routes$` +
		`|/redirect-from-regex$|/router\\.(pathmatcher|rulesyntax)$|/rule-type$|/route-acl$|/ingress\\.https?-rules$)`
	// urlAnnotations are those among hostAnnotations whose value is a URL with the host.
	urlAnnotations = `(?i)^(k8s\\.)?ngrok\\.com/(computed-)?url$`
	// assignedAnnotations are those in which ngrok's operator keeps an address of TCP that ngrok
	// assigned, and reads the address again; assignedURL matches one.
	assignedAnnotations = `^(k8s\\.)?ngrok\\.com/computed-url$`
	assignedURL         = `^tcp://[0-9]+\\.tcp\\.([a-z]+\\.)?ngrok\\.io:[0-9]+$`
	// hostURL matches a URL, or the host alone. It has no user, which could be taken for
	// the host. The value is in lower case.
	hostURL = `^([a-z][a-z0-9+.-]*://)?([a-z0-9*.-]+)(:[0-9]+)?(/.*)?$`
	// publishedHosts is the annotation by which Gardener publishes hosts; with the value
	// publishedOwn it publishes the hosts in the object's own spec, which other rules judge.
	publishedHosts = "dns.gardener.cloud/dnsnames"
	publishedOwn   = "*"
	allowedHosts   = `" + (variables.hosts == [""] ? "none" : variables.hosts.join(", "))`
)

// hostAnnotationRules restrict the hosts that an object's annotations add. publishes says
// that publishedHosts may be publishedOwn.
func hostAnnotationRules(publishes bool) []admissionv1.Validation {
	return annotationRules("variables.annotations", "variables.wereAnnotations", publishes)
}

// annotationRules judge the annotations in one CEL variable given those in another, from
// before the update.
func annotationRules(now, was string, publishes bool) []admissionv1.Validation {
	hosts := now + `[k].split(",").map(h, h.trim().lowerAscii())` +
		// CEL of Kubernetes 1.30 finds a match, and no part of one.
		`.map(h, k.matches("` + urlAnnotations + `") && h.matches("` + hostURL + `") ? h.find("^([a-z][a-z0-9+.-]*://)?[a-z0-9*.-]+").find("[a-z0-9*.-]+$") : h)`
	ownHosts := ""
	if publishes {
		ownHosts = ` || (k == ` + quoted(publishedHosts) + ` && ` + now + `[k] == ` + quoted(publishedOwn) + `)`
	}
	ownHosts += ` || (k.matches("` + assignedAnnotations + `") && ` + now + `[k].matches("` + assignedURL + `"))`
	unchanged := `(k in ` + was + ` && ` + was + `[k] == ` + now + `[k])`
	matching := func(pattern string) string {
		return now + `.filter(k, k.matches("` + pattern + `")).join(", ")`
	}
	return []admissionv1.Validation{
		rule(`!variables.restricted || `+now+`.all(k, !k.matches("`+hostAnnotations+`") || `+unchanged+ownHosts+
			` || `+now+`[k] == "" || `+hosts+`.all(h, h.matches("^[a-z0-9*.-]*$") && `+allowed("h", true)+`))`,
			"an annotation adds hosts that the tenant may not serve",
			`"an annotation (" + `+matching(hostAnnotations)+` + ") adds hosts other than those allowed: `+allowedHosts),
		rule(`!variables.restricted || `+now+`.all(k, !k.matches("`+textAnnotations+`") || `+unchanged+`)`,
			"an annotation adds configuration by which a tenant could serve any host",
			`"where hosts are restricted, annotations can't add configuration, as " + `+matching(textAnnotations)),
	}
}

// redirects returns a CEL expression that reports whether annotations redirect between a
// host with and without www. Controllers parse the value like strconv.ParseBool, which
// accepts more than "true".
func redirects(annotations string) string {
	return annotations + `.exists(k, k.endsWith("/from-to-www-redirect") && !(` + annotations + `[k].lowerAscii() in ["", "0", "f", "false"]))`
}

// ingresses restricts the hosts of Ingresses. An update of their status may change
// annotations.
func ingresses() policy {
	const old = `oldObject != null && `
	rules, tls := `(`+ifHas(`object.spec.rules`, `[]`)+`)`, `(`+ifHas(`object.spec.tls`, `[]`)+`)`
	return policy{
		kind: "ingresses", groups: []string{"networking.k8s.io", "extensions"}, resources: []string{"ingresses", "ingresses/status"}, operations: onWrite,
		variables: append(hostVariables(),
			admissionv1.Variable{Name: "ruled", Expression: rules + `.map(r, has(r.host) ? r.host : "")`},
			admissionv1.Variable{Name: "wereRuled", Expression: old + `has(oldObject.spec.rules) ? oldObject.spec.rules.map(r, has(r.host) ? r.host : "") : []`},
			admissionv1.Variable{Name: "redirects", Expression: redirects("variables.annotations")},
			admissionv1.Variable{Name: "redirected", Expression: redirects("variables.wereAnnotations")},
			admissionv1.Variable{Name: "refused", Expression: `variables.ruled.filter(h, !(h in variables.wereRuled) && (h == "" || !` + allowed("h", true) + `))`},
			admissionv1.Variable{Name: "open", Expression: tls + `.exists(t, (!has(t.hosts) || t.hosts.size() == 0) && !(` + old + `has(oldObject.spec.tls) && oldObject.spec.tls.exists(o, !has(o.hosts) || o.hosts.size() == 0)))`},
			admissionv1.Variable{Name: "certified", Expression: tls + `.all(t, !has(t.hosts) || t.hosts.all(h, ` + allowed("h", true) + ` || (` + old + `has(oldObject.spec.tls) && oldObject.spec.tls.exists(o, has(o.hosts) && h in o.hosts))))`},
		),
		rules: append([]admissionv1.Validation{
			rule(`!variables.restricted || variables.refused.size() == 0`, "an Ingress serves a host that the tenant may not serve",
				`"an Ingress here can't serve " + variables.refused.map(h, h == "" ? "every host (a rule without one)" : h).join(", ") + "; allowed: `+allowedHosts),
			rule(`!variables.restricted || (variables.certified && !variables.open)`, "tls of an Ingress names a host that the tenant may not serve, or none",
				`"tls of an Ingress here must name hosts, of those allowed: `+allowedHosts),
			rule(`!variables.restricted || !has(object.spec.defaultBackend) || (`+old+`has(oldObject.spec.defaultBackend))`, "an Ingress with a default backend serves every host",
				`"an Ingress here can't have a default backend, which serves every host; allowed: `+allowedHosts),
			// The controller then serves the host with and without www.
			rule(`!variables.restricted || !variables.redirects || variables.ruled.filter(h, !(variables.redirected && h in variables.wereRuled))`+
				`.map(h, h.startsWith("www.") ? h.substring(4) : "www." + h).all(h, `+allowed("h", true)+`)`,
				"from-to-www-redirect adds a host that the tenant may not serve", `"from-to-www-redirect adds a host other than those allowed: `+allowedHosts),
		}, hostAnnotationRules(true)...),
	}
}

// gateways restricts the hosts of Gateway API's listeners.
func gateways() []policy {
	// TCP and UDP have no hosts; other protocols of an implementation may have them.
	const web = `!(has(l.protocol) && l.protocol in ["TCP", "UDP"] && !(has(l.hostname) && l.hostname != ""))`
	const kept = `(oldObject != null && has(oldObject.spec.listeners) && oldObject.spec.listeners.exists(o, o.name == l.name && (has(o.hostname) ? o.hostname : "") == (has(l.hostname) ? l.hostname : "")` +
		// A listener for TCP was not judged before.
		` && (has(o.protocol) ? o.protocol : "") == (has(l.protocol) ? l.protocol : "")))`
	// A Gateway's controller copies them to the Services that it creates.
	infrastructure := func(object string) string {
		return `has(` + object + `.spec.infrastructure) && ` + ifHas(object+`.spec.infrastructure.annotations`, `{}`)
	}
	var all []policy
	for _, w := range []struct{ kind, group string }{
		{"gateways", "gateway.networking.k8s.io"}, {"listenersets", "gateway.networking.k8s.io"}, {"xlistenersets", "gateway.networking.x-k8s.io"},
	} {
		all = append(all, policy{
			kind: w.kind, groups: []string{w.group}, resources: []string{w.kind}, operations: onWrite,
			variables: append(hostVariables(),
				admissionv1.Variable{Name: "refused", Expression: `!has(object.spec.listeners) ? [] : object.spec.listeners.filter(l, ` + web + ` && !` + kept +
					` && !(has(l.hostname) && l.hostname != "" && ` + allowed("l.hostname", false) + `)).map(l, has(l.hostname) && l.hostname != "" ? l.hostname : "every host (a listener without one)")`},
				admissionv1.Variable{Name: "infrastructure", Expression: infrastructure("object")},
				admissionv1.Variable{Name: "wereInfrastructure", Expression: `oldObject == null ? {} : ` + infrastructure("oldObject")}),
			rules: slices.Concat([]admissionv1.Validation{rule(`!variables.restricted || variables.refused.size() == 0`, "a listener serves a host that the tenant may not serve",
				`"a listener here can't serve " + variables.refused.join(", ") + "; allowed: `+allowedHosts)}, hostAnnotationRules(w.kind == "gateways"),
				annotationRules("variables.infrastructure", "variables.wereInfrastructure", false)),
		})
	}
	return all
}

// routes restricts the hosts of Gateway API's routes. A route without hosts has those of
// the listener, which may be another tenant's. A route of a service mesh has none.
func routes() []policy {
	// The hosts of a mesh's route were not judged before.
	const kept = `(variables.judged && has(oldObject.spec.hostnames) && h in oldObject.spec.hostnames)`
	mesh := func(object string) string {
		return fmt.Sprintf(`has(%[1]s.spec.parentRefs) && %[1]s.spec.parentRefs.size() > 0 && %[1]s.spec.parentRefs.all(p, has(p.kind) && p.kind == "Service")`, object)
	}
	var all []policy
	for _, kind := range []string{"httproutes", "grpcroutes", "tlsroutes"} {
		all = append(all, policy{
			kind: kind, groups: []string{"gateway.networking.k8s.io"}, resources: []string{kind}, operations: onWrite,
			variables: append(hostVariables(),
				admissionv1.Variable{Name: "mesh", Expression: mesh("object")},
				admissionv1.Variable{Name: "judged", Expression: `oldObject != null && !(` + mesh("oldObject") + `)`},
				admissionv1.Variable{Name: "none", Expression: `!has(object.spec.hostnames) || object.spec.hostnames.size() == 0`},
				admissionv1.Variable{Name: "hadNone", Expression: `variables.judged && (!has(oldObject.spec.hostnames) || oldObject.spec.hostnames.size() == 0)`},
				admissionv1.Variable{Name: "refused", Expression: `variables.none ? (variables.hadNone ? [] : ["every host (no hostnames)"]) : object.spec.hostnames.filter(h, !` + kept + ` && !` + allowed("h", false) + `)`}),
			rules: append([]admissionv1.Validation{rule(`!variables.restricted || variables.mesh || variables.refused.size() == 0`, "a route serves a host that the tenant may not serve",
				`"a route here can't serve " + variables.refused.join(", ") + "; allowed: `+allowedHosts)}, hostAnnotationRules(false)...),
		})
	}
	return all
}
