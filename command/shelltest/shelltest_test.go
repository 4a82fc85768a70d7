package shelltest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCalls proves that a command of an attacker's would be seen, whichever way it runs.
func TestCalls(t *testing.T) {
	t.Parallel()
	const text = `helm 'a b' '' -x '--'
touch pwned; kubectl
helm | sh
/bin/true || helm unreached
"reboot" now`
	want := [][]string{{"helm", "a b", "", "-x", "--"}, {"touch", "pwned"}, {"kubectl"}, {"helm"}, {"sh"}, {"reboot", "now"}}
	for _, shell := range Shells {
		t.Run(shell.Name, func(t *testing.T) {
			t.Parallel()
			calls := shell.Calls(t, text)
			if len(calls) == len(want) && calls[3][0] == "sh" { // both ends of a pipe run at once
				calls[3], calls[4] = calls[4], calls[3]
			}
			if diff := cmp.Diff(want, calls); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWordsDiffer: a chart of objects that have these names has no object twice.
func TestWordsDiffer(t *testing.T) {
	words := slices.Sorted(slices.Values(Words))
	for i, word := range words[1:] {
		if word == words[i] {
			t.Errorf("%q is there twice", word)
		}
	}
}
