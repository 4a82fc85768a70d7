package command

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"helm-tenant/command/shelltest"
	"helm-tenant/visible"
)

func TestQuote(t *testing.T) {
	for _, test := range []struct {
		word, common, powerShell string
	}{
		{"", "''", "''"},
		{"team-a", "team-a", "team-a"},
		{"--namespace=a", "--namespace=a", "'--namespace=a'"},
		{"--finish", "--finish", "--finish"},
		{"=ls", "'=ls'", "'=ls'"},
		{"a b", "'a b'", "'a b'"},
		{"it's", `'it'\''s'`, "'it''s'"},
		{`a\b`, `'a'\\'b'`, `'a\b'`},
		{`'\`, `\'\\`, `'''\'`},
		{"\u2018a\u2019\u201a\u201b", "'\u2018a\u2019\u201a\u201b'", "'\u2018\u2018a\u2019\u2019\u201a\u201a\u201b\u201b'"},
		{"a,b", "a,b", "'a,b'"},
		{"@x", "@x", "'@x'"},
		{"%self", "'%self'", "'%self'"},
		{"##vso[a]b", `'#'\#'vso[a]b'`, "'##vso[a]b'"},
		{"a###", `'a#'\#\#`, "'a###'"},
		{"#'##", `'#'\''#'\#`, "'#''##'"},
	} {
		if got := Common.Quote(test.word); got != test.common {
			t.Errorf("%q is quoted as %s, not %s", test.word, got, test.common)
		}
		if got := PowerShell.Quote(test.word); got != test.powerShell {
			t.Errorf("%q is quoted for PowerShell as %s, not %s", test.word, got, test.powerShell)
		}
	}
	for _, word := range []string{`a"b`, `a\`, "##vso[a]b"} {
		if line, ok := PowerShell.Line(Command{"kubectl", word}); ok {
			t.Errorf("PowerShell would not hand %s on: %s", word, line)
		}
	}
}

// No command contains a word with hidden characters, or a name that no tenant or release can
// have.
func TestCommandsOfHostileWords(t *testing.T) {
	for _, word := range shelltest.Words {
		if fix := Run(Kubectl("delete", "a", "rolebinding", word)); (len(fix.Commands) > 0) != (word != "" && visible.Plain(word)) {
			t.Errorf("of %q is made %v", word, fix)
		} else if len(fix.Commands) == 0 && !fix.Equal(Advice(Unnamed)) {
			t.Errorf("of %q is said %v", word, fix)
		}
		if word == "ls" {
			continue
		}
		fix := Run(Tenant("init", word))
		valid := slices.Contains([]string{"if", "then", "end", "null", "true", "0x10", "1e3"}, word)
		if (len(fix.Commands) > 0) != valid {
			t.Errorf("of a tenant %q is made %v", word, fix)
		}
		// Helm takes "TENANT" and "NS" for names of releases.
		if fix := Run(Release("a", word, []string{"delete", "--purge"})); (len(fix.Commands) > 0) != (valid || word == "TENANT" || word == "NS") {
			t.Errorf("of a release %q is made %v", word, fix)
		}
	}
	// A value that takes a setting away is meant to be empty.
	if got, want := Run(Tenant("init", "a", "--flux-account=")).String(), "helm tenant init a "+Native().Quote("--flux-account="); got != want {
		t.Errorf("the account for Flux is taken away by %s, not %s", got, want)
	}
	if fix := Run(Tenant("revoke", "a", "--user=")); len(fix.Commands) > 0 {
		t.Errorf("of an empty name is made %v", fix)
	}
	// If one command can't be shown, none is.
	if fix := Run(Tenant("destroy", "a"), Tenant("init", "x; y")); !fix.Equal(Advice(Unnamed)) {
		t.Errorf("half of a fix is shown: %v", fix)
	}
}

func TestFixes(t *testing.T) {
	one, two := Run(Tenant("init", "a")).With("first"), Run(Tenant("init", "a"), Kubectl("delete", "", "clusterrolebinding", "x; y")).With("second")
	both := one.Then(two).Then(one)
	if got, want := both.String(), "helm tenant init a; kubectl delete clusterrolebinding -- 'x; y'"; got != want {
		t.Errorf("together they are %s, not %s", got, want)
	}
	if !slices.Equal(both.Notes, []string{"first", "second"}) {
		t.Errorf("their notes are %q", both.Notes)
	}
	got, err := json.Marshal([]Fix{both, Advice("upgrade")})
	const want = `[{"commands":[["helm","tenant","init","a"],["kubectl","delete","clusterrolebinding","--","x; y"]],` +
		`"lines":["helm tenant init a","kubectl delete clusterrolebinding -- 'x; y'"],"note":"first; second"},{"commands":[],"lines":[],"note":"upgrade"}]`
	if err != nil || string(got) != want {
		t.Errorf("as JSON they are %s, %v", got, err)
	}
	if got := List("--user", `a "b", c`); got != `--user="a ""b"", c"` {
		t.Errorf("a list's value is typed as %s", got)
	}
}

// TestTillerRelease: commands for the Tiller in a namespace, with names that Helm takes.
func TestTillerRelease(t *testing.T) {
	for _, test := range []struct{ namespace, release, want string }{
		{"kube-system", "web", "helm --tiller-namespace=kube-system rollback web 1"},
		{"", "web", Unnamed},
		{"a;id", "web", Unnamed},
		{"a b", "web", Unnamed},
		{"kube-system", "-web", Unnamed},
		{"kube-system", "web$(id)", Unnamed},
		{"kube-system", "", Unnamed},
	} {
		got := Run(TillerRelease(test.namespace, test.release, []string{"rollback"}, "1")).String()
		if got = strings.ReplaceAll(got, "'", ""); got != test.want { // PowerShell wants quotes around an option
			t.Errorf("%q %q: got %q, not %q", test.namespace, test.release, got, test.want)
		}
	}
}
func TestTypeable(t *testing.T) {
	for word, want := range map[string]bool{
		"jane": true, "jane@example.com": true, "system:serviceaccount:a:b": true, "a=b": true, "a+b": true,
		"": false, "-x": false, "=ls": false, "@list": false, "a,b": false, "a b": false, "$(x)": false, "a'b": false, "a\u200bb": false, "~": false,
	} {
		if got := Typeable(word); got != want {
			t.Errorf("%q: %v", word, got)
		}
	}
}
