package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"helm-tenant/command/shelltest"
	"helm-tenant/visible"
)

// Printed JSON and YAML has the meaning of its input, and no control or hidden character.
func TestPrintedObjects(t *testing.T) {
	words := []string{}
	for _, word := range shelltest.Words {
		words = append(words, strings.ToValidUTF8(word, "?"), "x: "+strings.ToValidUTF8(word, "?"))
	}
	for _, format := range []string{"json", "yaml"} {
		for _, value := range append([]any{words}, each(words)...) {
			var out bytes.Buffer
			if err := printObject(&out, format, map[string]any{"key": value}); err != nil {
				t.Fatal(err)
			}
			if bytes.ContainsFunc(out.Bytes(), func(r rune) bool { return r != '\n' && visible.Hidden(r) }) {
				t.Errorf("%s holds hidden characters: %q", format, out.String())
			}
			var read map[string]any
			if err := yaml.Unmarshal(out.Bytes(), &read); format == "json" {
				err = json.Unmarshal(out.Bytes(), &read)
				if err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			got, _ := json.Marshal(read["key"])
			if want, _ := json.Marshal(value); !bytes.Equal(got, want) {
				t.Errorf("%s is read as %s, and was %s:\n%s", format, got, want, out.String())
			}
		}
	}
}

func each(words []string) []any {
	var all []any
	for _, word := range words {
		all = append(all, word, map[string]any{word: word})
	}
	return all
}

func TestPrintRow(t *testing.T) {
	var out bytes.Buffer
	printRow(&out, "a\nteam-x\t1/1", "b\u202e\v")
	if got, want := out.String(), "a\\nteam-x\\t1/1\tb\\u202e\\x0b\n"; got != want {
		t.Errorf("a row is %q, not %q", got, want)
	}
}
