package cli

import (
	"regexp"
	"slices"
	"strings"
)

// goTexts are clauses of Go's own errors, with what they mean to people. Errors of requests to the
// API server are described where they are made; these also come from files, and from helm.
var goTexts = map[string]string{
	"context canceled":             "interrupted",
	"context deadline exceeded":    "it took too long",
	"unexpected end of JSON input": "it ends too early to be JSON",
	"unexpected EOF":               "it ends too early",
	"i/o timeout":                  "no answer in time",
}

// killed ends the error of a process that was killed (os.ProcessState).
const killed = "signal: killed"

var (
	whereNamed  = regexp.MustCompile(`context "(?:[^"\\]|\\.)*"|the cluster of this pod`)
	quoted      = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	tenantNamed = regexp.MustCompile(`^(?:\S+ (?:of|for) )?(tenant "(?:[^"\\]|\\.)*")`)
)

// plainText returns the text of an error, or of a note, in which nothing is named twice: an error
// names what it is about, and so do the errors that it wraps. What is in quotes stays as it is.
func plainText(text string) string {
	if before, ends := strings.CutSuffix(text, killed); ends {
		text = before + "it was killed"
	}
	parts := clauses(text)
	for i, part := range parts {
		plain, meant := goTexts[part]
		if meant {
			parts[i] = plain
		}
	}
	for i := len(parts) - 2; i >= 0; i-- {
		if rest, repeated := strings.CutPrefix(parts[i+1], parts[i]); repeated && (rest == "" || rest[0] == ' ' || rest[0] == ',') && strings.ContainsAny(parts[i], ` "`) {
			parts = slices.Delete(parts, i, i+1)
		}
	}
	return onceTenant(onceWhere(strings.Join(parts, ": ")))
}

// clauses splits a text at its colons, except at those in quotes.
func clauses(text string) []string {
	outside := quoted.ReplaceAllStringFunc(text, func(value string) string { return strings.Repeat("_", len(value)) })
	var parts []string
	for {
		clause, rest, more := strings.Cut(outside, ": ")
		parts = append(parts, text[:len(clause)])
		if !more {
			return parts
		}
		outside, text = rest, text[len(clause)+len(": "):]
	}
}

// cutClause returns the first clause of a text, and the rest after the colon.
func cutClause(text string) (first, rest string, more bool) {
	first = clauses(text)[0]
	rest, more = strings.CutPrefix(text[len(first):], ": ")
	return first, rest, more
}

// onceWhere leaves out the context that is named by the first clause and by a later one: of the
// first one, if the later one is about what the context has, as in "the API server of context".
func onceWhere(text string) string {
	where := whereNamed.FindString(text)
	head, rest, more := cutClause(text)
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
	head, rest, more := cutClause(text)
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
