package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNameList(t *testing.T) {
	const quoted = "put a name with a comma or a quote in double quotes, and double a quote in it"
	const lines = "it has several lines, or a control character: give each name a flag of its own"
	for _, test := range []struct {
		typed   string
		want    []string
		refused string
	}{
		{"alice", []string{"alice"}, ""},
		{"alice,bob", []string{"alice", "bob"}, ""},
		{"ci:a,ci:b", []string{"ci:a", "ci:b"}, ""},
		{"frank@example.com,https://issuer.example.com#7", []string{"frank@example.com", "https://issuer.example.com#7"}, ""},
		{"Jane Doe", []string{"Jane Doe"}, ""},
		{"CN=alice", []string{"CN=alice"}, ""},
		{"CN=devs,OU=eng,DC=example", []string{"CN=devs,OU=eng,DC=example"}, ""},
		{"CN=devs, OU=eng", []string{"CN=devs, OU=eng"}, ""},
		{`"CN=alice,O=devs"`, []string{"CN=alice,O=devs"}, ""},
		{`"CN=alice,O=devs",bob`, []string{"CN=alice,O=devs", "bob"}, ""},
		{`"doe, john"`, []string{"doe, john"}, ""},
		{`"a ""b"" c"`, []string{`a "b" c`}, ""},
		{"", nil, "a name is empty"},
		{"alice,", nil, "a name is empty"},
		{`""`, nil, "a name is empty"},
		{"n1, n2", nil, `" n2" begins or ends with a blank: leave it out, or give each name a flag of its own`},
		{" n1", nil, `" n1" begins or ends with a blank: leave it out, or give each name a flag of its own`},
		{`" n1"`, []string{" n1"}, ""}, // to revoke one that was granted with such a name
		{"CN=odd, user", nil, `"CN=odd, user" may be one name with a comma, or several: ` + quoted},
		{"alice,CN=bob", nil, `"alice,CN=bob" may be one name with a comma, or several: ` + quoted},
		{"m1\nalice", nil, lines},
		{"m1\ralice", nil, lines},
		{"alice\n", nil, lines},
		{"\"a\nb\"", nil, lines},
		{`"alice`, nil, quoted},
		{`al"ice`, nil, quoted},
	} {
		var got []string
		text := ""
		if err := nameList(&got).Set(test.typed); err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q, -want +got:\n%s", test.typed, diff)
		}
		if diff := cmp.Diff(test.refused, text); diff != "" {
			t.Errorf("%q, error, -want +got:\n%s", test.typed, diff)
		}
	}
}

// A repeated flag adds to the earlier values; a refused value adds nothing.
func TestNameListRepeated(t *testing.T) {
	var got []string
	if err := nameList(&got).Set("alice"); err != nil {
		t.Error(err)
	}
	if nameList(&got).Set("bob,") == nil {
		t.Error("an empty name is taken")
	}
	if err := nameList(&got).Set("carol,dave"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"alice", "carol", "dave"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWordList(t *testing.T) {
	for typed, want := range map[string][]string{
		"a": {"a"}, "a,b": {"a", "b"}, "a, b": nil, " a": nil, "a\nb": nil, "a,": nil, "a b": nil, "a\t": nil,
	} {
		var got []string
		err := wordList(&got).Set(typed)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, -want +got:\n%s", typed, err, diff)
		}
	}
}
