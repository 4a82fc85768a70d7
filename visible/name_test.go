package visible

import "testing"

// A name that could read as several, or as a column or a part of a chain, stands in quotes.
func TestList(t *testing.T) {
	for _, test := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"user alice"}, "user alice"},
		{[]string{"user alice", "group devs"}, "user alice, group devs"},
		{[]string{"user doe, john", "user amy"}, `"user doe, john", user amy`},
		{[]string{`user "x", y`}, `"user \"x\", y"`},
		{[]string{`user \`, `user a;b`}, `user \, "user a;b"`},
		{[]string{"web   deployed", " x", "y "}, `"web   deployed", " x", "y "`},
		{[]string{"CN=a,O=b"}, `"CN=a,O=b"`},
	} {
		if got := List(test.names); got != test.want {
			t.Errorf("%q: %s, not %s", test.names, got, test.want)
		}
	}
	if got := Chain([]string{"user a -> ClusterRole b", "Role c"}); got != `"user a -> ClusterRole b" -> Role c` {
		t.Error(got)
	}
}
