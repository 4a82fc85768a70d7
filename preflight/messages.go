package preflight

import (
	"strings"

	"helm-tenant/visible"
)

// excess returns the rules that the API server names in an escalation error, shortened.
func excess(message string) string {
	_, rules, found := strings.Cut(message, "not currently held:")
	if !found {
		return message
	}
	return visible.Excerpt(strings.ReplaceAll(strings.TrimSpace(rules), "\n", " "))
}

// afterLevel returns the violations in a message of PodSecurity.
func afterLevel(message string) string {
	_, violations, found := strings.Cut(message, "violates PodSecurity ")
	if !found {
		return message
	}
	return "PodSecurity " + strings.ReplaceAll(violations, `:latest"`, `"`)
}

// reason returns why an admission plugin, policy or webhook refuses an object, without the words
// that name the object, which a finding names beside it.
func reason(message string) string {
	for _, before := range []string{" denied request: ", " denied the request: ", " is forbidden: "} {
		if _, words, found := strings.Cut(message, before); found && words != "" {
			return words
		}
	}
	return message
}

// afterPolicy returns the message of an admission policy without its prefix.
func afterPolicy(message string) string {
	_, words, found := strings.Cut(message, " denied request: ")
	if !found {
		return message
	}
	return words
}
