package tenant

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func term(s Subject, as Relation, hours int, reason string) Term {
	return Term{Subject: s, As: as, Until: noon.Add(time.Duration(hours) * time.Hour), Reason: reason}
}

// TestParseTerms: the annotation is anybody's who may write the binding.
func TestParseTerms(t *testing.T) {
	subjects := Members{User("alice"), User("bob"), Group("devs"), Account("ci", "bot")}
	for _, test := range []struct{ name, text, want, err string }{
		{name: "none"},
		{name: "one of each kind", text: `[{"user":"alice","until":"2026-01-31T20:00:00Z","reason":"INC-12"},{"group":"devs","until":"2026-01-31T20:00:00+01:00"},{"serviceAccount":"ci:bot","until":"2026-01-31T20:00:00Z"}]`,
			want: `user alice reader until 2026-01-31T20:00:00Z, "INC-12"; group devs reader until 2026-01-31T19:00:00Z; service account ci:bot reader until 2026-01-31T20:00:00Z`},
		{name: "somebody whom the binding does not name", text: `[{"user":"carol","until":"2026-01-31T20:00:00Z"}]`},
		{name: "a relation of its own", text: `[{"user":"alice","as":"owner","until":"2026-01-31T20:00:00Z"}]`, want: `user alice reader until 2026-01-31T20:00:00Z`},
		{name: "no JSON", text: `tomorrow`, err: "invalid character"},
		{name: "no list", text: `{"user":"alice"}`, err: "a map of fields where a list is wanted"},
		{name: "an unknown field", text: `[{"user":"alice","until":"2026-01-31T20:00:00Z","since":"x"}]`, err: `unknown field "since"`},
		{name: "no time", text: `[{"user":"alice","until":"8h"}]`, err: `until: "8h" is not a time such as`},
		{name: "no year", text: `[{"user":"alice","until":"0001-01-01T00:00:00Z"}]`, err: "millennium"},
		{name: "nobody", text: `[{"until":"2026-01-31T20:00:00Z"}]`, err: "exactly one of"},
		{name: "two", text: `[{"user":"alice","group":"devs","until":"2026-01-31T20:00:00Z"}]`, err: "exactly one of"},
		{name: "twice", text: `[{"user":"alice","until":"2026-01-31T20:00:00Z"},{"user":"alice","until":"2027-01-31T20:00:00Z"}]`, err: "duplicate entry for user alice"},
		{name: "an escape sequence", text: `[{"user":"alice","until":"2026-01-31T20:00:00Z","reason":"\u001b[2J"}]`, err: "can't be shown"},
		{name: "a long reason", text: `[{"user":"alice","until":"2026-01-31T20:00:00Z","reason":"` + strings.Repeat("a", maxReason+1) + `"}]`, err: "257 bytes; at most 256 fit"},
		{name: "too much", text: "[" + strings.Repeat(" ", maxTerms) + "]", err: "more than 131072 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			terms, err := ParseTerms(test.text, RelationReader, subjects)
			var got []string
			for _, term := range terms {
				got = append(got, fmt.Sprintf("%s %s %s", term.Subject, term.As, term))
			}
			if text := strings.Join(got, "; "); text != test.want {
				t.Errorf("got %s", text)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestTermsAnnotation: what is written is read again, and each binding has its own.
func TestTermsAnnotation(t *testing.T) {
	terms := Terms{term(User("bob"), RelationMember, 1, "x \"y\""), term(User("bob"), RelationReader, 2, ""), term(Account("ci", "bot"), RelationMember, 3, "é")}
	for _, as := range Relations {
		second, err := ParseTerms(terms.Annotation(as), as, Members{User("bob"), Account("ci", "bot")})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(terms.As(as), second, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Term{}), cmpopts.SortSlices(func(a, b Term) bool { return a.Until.Before(b.Until) })); diff != "" {
			t.Errorf("as %s -want +got:\n%s", as, diff)
		}
	}
	var many Terms
	for i := range 1000 {
		many = append(many, term(User(fmt.Sprintf("user-%d", i)), RelationMember, i, strings.Repeat("r", 200)))
	}
	if got := lines(many.Validate()); len(got) != 1 || !strings.Contains(got[0], "at most 131072 are read") {
		t.Errorf("an annotation that can't be read again is taken: %q", got)
	}
}

// TestCurrent: a file names who is in for a time in one place, and apply takes out whose
// time is over.
func TestCurrent(t *testing.T) {
	file := Tenant{Name: "t", Members: Members{User("alice")}, Temporary: Terms{term(User("bob"), RelationMember, 1, ""), term(User("carol"), RelationMember, 0, ""), term(User("dan"), RelationMember, -1, "")}}
	current, over := file.Current(noon)
	if diff := cmp.Diff([]string{"user alice", "user bob"}, current.Members.Names()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"user carol", "user dan"}, over.Subjects().Names()); diff != "" {
		t.Error(diff)
	}
	if second := current.inFile(); len(second.Temporary) != 1 || second.Temporary[0].Subject != User("bob") || len(second.Members) != 1 {
		t.Errorf("the file has members %v, and for a time %v", second.Members.Names(), second.Temporary)
	}
	if len(file.Temporary) != 3 || len(file.Members) != 1 {
		t.Error("the file's own tenant was changed")
	}
}

func TestTemporaryInFile(t *testing.T) {
	const head = "apiVersion: helm-tenant/v1\ntenants:\n- name: t\n  namespaces: [a]\n  members: {users: [alice]}\n  temporary:\n"
	for _, test := range []struct{ name, text, want string }{
		{"one", "  - {user: bob, until: 2026-01-31T20:00:00Z}\n", ""},
		{"named for good, too", "  - {user: bob, until: 2026-01-31T20:00:00Z}\n  - {user: alice, until: 2026-01-31T20:00:00Z}\n", `f:8: tenant "t": temporary: user alice is named among the members, too, which is for good: leave one out`},
		{"twice", "  - {user: bob, until: 2026-01-31T20:00:00Z}\n  - {user: bob, as: member, until: 2026-01-31T21:00:00Z}\n", `f:8: tenant "t": temporary: duplicate entry for user bob as member`},
		{"no time", "  - {user: bob, until: soon}\n", `f:7: tenant "t": temporary: until: "soon" is not a time such as 2026-01-31T18:00:00Z`},
		{"an account as a user", "  - {user: 'system:serviceaccount:a:b', until: 2026-01-31T20:00:00Z}\n", `f:7: tenant "t": temporary: user: "system:serviceaccount:a:b" is a service account: give it as --service-account a:b`},
		{"an unknown field", "  - {user: bob, til: 2026-01-31T20:00:00Z}\n", `f:7: unknown field "til"`},
	} {
		_, problems := ParseFile("f", []byte(head+test.text))
		if got := strings.Join(lines(problems), "\n"); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: got %s", test.name, got)
		}
	}
}
