package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	yamlv3 "go.yaml.in/yaml/v3"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"helm-tenant/lists"
	"helm-tenant/visible"
)

// outputFlag adds -o with the formats of a verb; the first is the default.
func outputFlag(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "output format: "+strings.Join(formats, "|"))
	completeValues(cmd, "output", formats...)
	inner := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(formats, *into) {
			err := fmt.Errorf("--output %q is not one of %s", *into, strings.Join(formats, ", "))
			if cmd.Flags().Lookup("output-file") != nil {
				err = withHint(err, "a file is named with --output-file")
			}
			return asUsage(cmd, err)
		}
		return inner(cmd, args)
	}
}

// tableOptions are options for scripts that read a table's lines.
type tableOptions struct{ noHeaders, quiet bool }

func (o *tableOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "print the table without headers")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print names alone")
}

// head writes the headers of a table, unless they are turned off.
func (o tableOptions) head(table io.Writer, columns ...string) {
	if !o.noHeaders {
		printRow(table, columns...)
	}
}

// timeoutFlag adds --timeout, which bounds the waits of a verb.
func timeoutFlag(cmd *cobra.Command, into *time.Duration) {
	*into = 5 * time.Minute
	cmd.Flags().Var(duration(into), "timeout", "maximum time to wait")
}

// printObject writes a value as JSON or YAML, with empty lists for nil slices
// (withLists).
func printObject(w io.Writer, format string, value any) error {
	value = withLists(value)
	if format == "json" {
		encoder := json.NewEncoder(visible.Writer{W: w, As: visible.JSON})
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	// By way of JSON, for its field names. JSON leaves control characters unescaped that
	// a YAML reader refuses.
	var escaped bytes.Buffer
	if err := json.NewEncoder(visible.Writer{W: &escaped, As: visible.YAML}).Encode(value); err != nil {
		return err
	}
	text, err := yaml.JSONToYAML(escaped.Bytes())
	if err == nil {
		err = printYAML(w, text)
	}
	return err
}

// printYAML writes a YAML document in which hidden characters of values are escaped,
// which does not change the values. Only double-quoted values can have escapes.
func printYAML(w io.Writer, text []byte) error {
	if !bytes.ContainsFunc(text, hiddenInYAML) && !visible.Instructs(string(text)) {
		_, err := w.Write(text)
		return err
	}
	var document yamlv3.Node
	if err := yamlv3.Unmarshal(text, &document); err != nil {
		return err
	}
	quoteHidden(&document)
	var whole bytes.Buffer // the encoder writes in pieces, which end anywhere
	encoder := yamlv3.NewEncoder(&whole)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(&document), encoder.Close()); err != nil {
		return err
	}
	_, err := visible.Writer{W: w, As: visible.YAML}.Write(whole.Bytes())
	return err
}

// hiddenInYAML reports whether a character needs an escape; line breaks and tabs may be
// part of the layout.
func hiddenInYAML(r rune) bool { return r != '\n' && r != '\t' && visible.Hidden(r) }

// quoteHidden sets double quotes for the values with hidden characters, and those with commands
// of CI runners.
func quoteHidden(node *yamlv3.Node) {
	if node.Kind == yamlv3.ScalarNode && (strings.ContainsFunc(node.Value, hiddenInYAML) || visible.Instructs(node.Value)) {
		node.Style = yamlv3.DoubleQuotedStyle
	}
	for _, inner := range node.Content {
		quoteHidden(inner)
	}
}

// shown returns sentences with the hidden characters in them escaped.
func shown(sentences []string) []string {
	for i, sentence := range sentences {
		if text := visible.Text(sentence); text != sentence {
			sentences = slices.Clone(sentences)
			sentences[i] = text
		}
	}
	return sentences
}

// printRow writes one row of a table. Untrusted text in a cell can't add rows or columns.
func printRow(w io.Writer, cells ...string) {
	shown := lists.Map(cells, visible.Text)
	fmt.Fprintln(w, strings.Join(shown, "\t"))
}

// clipped shortens a name for a table. Names of bindings and users can have any length,
// and a long cell pads its column in every row; -o json has the whole name.
func clipped(name string) string {
	const limit = 256 // no less than the longest name of other objects
	if len(name) > limit {
		name = strings.ToValidUTF8(name[:limit], "") + "..."
	}
	return visible.Name(name)
}

// someOf returns the first of many names for a table's cell, for the same reason.
func someOf(names []string) string {
	const limit = 10
	shown := lists.Map(names[:min(len(names), limit)], clipped)
	if len(names) > limit {
		return fmt.Sprintf("%s and %d more", strings.Join(shown, ", "), len(names)-limit)
	}
	return strings.Join(shown, ", ")
}

func isTerminal(stream any) bool {
	file, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}
