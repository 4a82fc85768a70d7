package visible

import (
	"strings"
	"testing"
)

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		" \n\t":                       "",
		"one":                         "one",
		"2 errors:\n\t* a\r\n\t* b\n": "2 errors: * a * b",
		"a\u0085b\u2028c\u00a0d":      "a b c d",
	} {
		if got := OneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("a", excerptLength-1)
	for text, want := range map[string]string{
		long + "b":       long + "b",
		long + " \n":     long,
		long + "bc":      long + "b...",
		long + "\u00e9b": long + "...", // no half of a character
	} {
		if got := Excerpt(text); got != want {
			t.Errorf("%d bytes: got %d bytes, %q", len(text), len(got), got[len(got)-6:])
		}
	}
}
