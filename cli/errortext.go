package cli

import (
	"regexp"
	"slices"
	"strings"
)

// goTexts are texts of Go's own errors, with what they mean to people. Errors of requests to the
// API server are described where they are made; these also come from files, and from helm.
var goTexts = strings.NewReplacer(
	"context canceled", "interrupted",
	"context deadline exceeded", "it took too long",
	"unexpected end of JSON input", "it ends too early to be JSON",
	"unexpected EOF", "it ends too early",
	"i/o timeout", "no answer in time",
	"signal: killed", "it was killed",
)

var (
	whereNamed  = regexp.MustCompile(`context "(?:[^"\\]|\\.)*"|the cluster of this pod`)
	tenantNamed = regexp.MustCompile(`^(?:\S+ (?:of|for) )?(tenant "(?:[^"\\]|\\.)*")`)
)

// plainText returns the text of an error, or of a note, in which nothing is named twice: an error
// names what it is about, and so do the errors that it wraps.
func plainText(text string) string {
	text = goTexts.Replace(text)
	parts := strings.Split(text, ": ")
	for i := len(parts) - 2; i >= 0; i-- {
		if rest, repeated := strings.CutPrefix(parts[i+1], parts[i]); repeated && (rest == "" || rest[0] == ' ' || rest[0] == ',') && strings.ContainsAny(parts[i], ` "`) {
			parts = slices.Delete(parts, i, i+1)
		}
	}
	return onceTenant(onceWhere(strings.Join(parts, ": ")))
}

// onceWhere leaves out the context that is named by the first clause and by a later one: of the
// first one, if the later one is about what the context has, as in "the API server of context".
func onceWhere(text string) string {
	where := whereNamed.FindString(text)
	head, rest, more := strings.Cut(text, ": ")
	switch {
	case !more || where == "" || !strings.Contains(head, where) || !strings.Contains(rest, where):
		return text
	case strings.Contains(rest, " of "+where):
		return without(head, where) + rest
	}
	for _, word := range []string{" in ", " from "} {
		rest = strings.ReplaceAll(rest, word+where, "")
	}
	return head + ": " + strings.TrimPrefix(rest, where+": ")
}

// onceTenant leaves the tenant out of the first clause, if the second one says it again.
func onceTenant(text string) string {
	head, rest, more := strings.Cut(text, ": ")
	m := tenantNamed.FindStringSubmatch(head)
	if !more || m == nil || !strings.HasPrefix(rest, m[1]+" ") && !strings.HasPrefix(rest, "there is no "+m[1]) && !aboutHome(rest, m[1]) {
		return text
	}
	where := whereNamed.FindString(head)
	head = without(head, m[1])
	if where != "" && strings.HasPrefix(rest, "there is no ") && !strings.Contains(rest, where) {
		return without(strings.TrimSuffix(head, ": "), where) + rest + " in " + where
	}
	return head + rest
}

// aboutHome reports whether a text is that of an admin.NoTenantError with a home.
func aboutHome(text, name string) bool {
	return strings.HasPrefix(text, "namespace ") && strings.Contains(text, " is not the home of "+name)
}

// without returns the head of a text, and the colon after it, without what it names; nothing if
// it only names that.
func without(head, name string) string {
	for _, word := range []string{" in ", " of ", " from ", " for "} {
		head = strings.Replace(head, word+name, "", 1)
	}
	if head == name {
		return ""
	}
	return head + ": "
}
