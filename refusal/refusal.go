// Package refusal recognises what refused a request by the API server's message.
package refusal

import (
	"regexp"
	"strings"
)

// Kind is the kind of a refusal.
type Kind string

const (
	RBAC        Kind = "rbac"
	Escalation  Kind = "escalation" // RBAC's check for privilege escalation
	PodSecurity Kind = "pod-security"
	Guard       Kind = "guard"   // the policies helm-tenant-guard
	Frozen      Kind = "frozen"  // the one of them for frozen tenants
	Records     Kind = "records" // the policy helm-tenant-records
	Policy      Kind = "policy"  // any other ValidatingAdmissionPolicy
	Webhook     Kind = "webhook"
	Quota       Kind = "quota"
	ExternalIPs Kind = "external-ips" // the admission plugin DenyServiceExternalIPs
	// The pod names a service account or a priority class that does not exist.
	ServiceAccount Kind = "service-account"
	PriorityClass  Kind = "priority-class"
)

// Refusal is what refused a request.
type Refusal struct {
	Kind Kind
	// By is its readable name.
	By string
	// Policy is the name of the ValidatingAdmissionPolicy, empty if it was none.
	Policy string
}

// refusers are recognised by their messages; the first match counts, and its last group
// is the name. Messages of webhooks and policies continue with untrusted text: their
// patterns come first.
var refusers = []struct {
	words *regexp.Regexp
	by    func(name string) Refusal
}{
	{regexp.MustCompile(`^admission webhook "([^"]+)" denied the request`), func(name string) Refusal { return Refusal{Kind: Webhook, By: "webhook " + name} }},
	{regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request`), ofPolicy},
	{regexp.MustCompile(`is forbidden: violates PodSecurity "([^"]+)": `), func(level string) Refusal {
		return Refusal{Kind: PodSecurity, By: "PodSecurity " + strings.TrimSuffix(level, ":latest")}
	}},
	{regexp.MustCompile(`is attempting to grant RBAC permissions not currently held`), func(string) Refusal { return Refusal{Kind: Escalation, By: "RBAC's escalation check"} }},
	{regexp.MustCompile(`is forbidden: (?:exceeded|failed) quota: ([^,]+)`), func(name string) Refusal { return Refusal{Kind: Quota, By: "quota " + name} }},
	{regexp.MustCompile(`insufficient quota to match these scopes`), func(string) Refusal { return Refusal{Kind: Quota, By: "quota"} }},
	{regexp.MustCompile(`is forbidden: User "[^"]*" cannot \S+ resource "[^"]*"`), func(string) Refusal { return Refusal{Kind: RBAC, By: "RBAC"} }},
	{regexp.MustCompile(`is forbidden: error looking up service account `), func(string) Refusal { return Refusal{Kind: ServiceAccount, By: "the admission plugin ServiceAccount"} }},
	{regexp.MustCompile(`is forbidden: no PriorityClass with name `), func(string) Refusal { return Refusal{Kind: PriorityClass, By: "the admission plugin Priority"} }},
	{regexp.MustCompile(`[Uu]se of external IPs is denied by admission control`), func(string) Refusal { return Refusal{Kind: ExternalIPs, By: "DenyServiceExternalIPs"} }},
}

func ofPolicy(name string) Refusal {
	switch {
	case name == "helm-tenant-guard-frozen":
		return Refusal{Frozen, "guard (" + name + ")", name}
	case strings.HasPrefix(name, "helm-tenant-guard"):
		return Refusal{Guard, "guard (" + name + ")", name}
	case name == "helm-tenant-records":
		return Refusal{Records, "records policy (" + name + ")", name}
	}
	return Refusal{Policy, "admission policy " + name, name}
}

// Read returns what refused a request with that message, on one line. known is false if
// the message is not recognised.
func Read(message string) (r Refusal, known bool) {
	for _, refuser := range refusers {
		if match := refuser.words.FindStringSubmatch(message); match != nil {
			return refuser.by(match[len(match)-1]), true
		}
	}
	return Refusal{}, false
}

// impersonation are the words of the authorizer about the right to act as somebody else: the verb
// impersonate, and from Kubernetes 1.36 verbs such as impersonate:user-info, and
// impersonate-on:serviceaccount:create on what the request is about.
var impersonation = regexp.MustCompile(`is forbidden: User "[^"]*" cannot impersonate(-on)?(:[a-z:-]+)? resource "`)

// IsOfImpersonation reports whether the API server refused that the caller acts as somebody else,
// and so says nothing of whether that one would be refused.
func IsOfImpersonation(message string) bool { return impersonation.MatchString(message) }
