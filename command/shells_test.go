//go:build !windows

package command

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/command/shelltest"
	"helm-tenant/visible"
)

// Every shell passes every word on unchanged.
func TestQuotedWordsInShells(t *testing.T) {
	for _, shell := range shelltest.Shells {
		t.Run(shell.Name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			var want [][]string
			for _, word := range shelltest.Words {
				if !visible.Plain(word) {
					continue // never shown to be typed; a terminal would act on it
				}
				c := Command{"kubectl", "delete", "rolebinding", "--", word, "--flag=" + word}
				line, ok := Common.Line(c)
				if !ok {
					t.Fatalf("%q has no line", word)
				}
				text.WriteString(line + "\n")
				want = append(want, c)
			}
			if diff := cmp.Diff(want, shell.Calls(t, text.String())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
