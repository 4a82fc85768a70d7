package cli_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"helm-tenant/cli"
)

// TestDocumentedFlags compares docs/flags.md with the command tree. With -update it
// writes the file.
func TestDocumentedFlags(t *testing.T) {
	const file = "../docs/flags.md"
	want := flagsPage(cli.Commands())
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/flags.md differs from the code; write it with: go test ./cli -run TestDocumentedFlags -update\n-code +docs:\n%s", diff)
	}
}

func TestFlagTable(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.StringP("output", "o", "text", "format: text|json")
	flags.StringSlice("user", nil, "user, repeatable")
	flags.Bool("wait", true, "wait until `Tiller` is ready")
	flags.Bool("dry-run", false, "write nothing")
	flags.Int("max", 0, "hidden")
	flags.Lookup("max").Hidden = true
	want := strings.Join([]string{
		"| flag | value | default | meaning |",
		"|---|---|---|---|",
		"| `--dry-run` | | | write nothing |",
		"| `-o`, `--output` | string | `text` | format: text\\|json |",
		"| `--user` | strings | | user, repeatable |",
		"| `--wait` | | `true` | wait until Tiller is ready |",
		"",
	}, "\n")
	if diff := cmp.Diff(want, flagTable(flags)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// flagsPage returns the text of docs/flags.md: the flags of every verb of root, in
// the order of the help.
func flagsPage(root *cobra.Command) string {
	var page strings.Builder
	page.WriteString(strings.Join([]string{
		"# Flags",
		"",
		"All verbs of `helm tenant` and their flags, generated from the code by",
		"`go test ./cli -run TestDocumentedFlags -update`; `helm tenant VERB --help` adds examples.",
		"A flag whose value is `strings` takes several, separated by commas or by repeating it.",
		"Every other command is helm's own, and so are its flags.",
		"",
		"## Before the command",
		"",
		"| flag | value | meaning |",
		"|---|---|---|",
		"| `--tenant` | string | the tenant for a command of helm's, for `whoami` or `shellenv` |",
		"| `--context` | string | kubeconfig context to use |",
		"| `--version` | | print helm-tenant's version |",
		"",
		"## Every verb",
		"",
		flagTable(root.PersistentFlags()),
	}, "\n"))
	for _, verb := range root.Commands() {
		if verb.Hidden {
			continue
		}
		fmt.Fprintf(&page, "\n## %s\n\n%s.\n\n    %s %s\n", verb.Name(), verb.Short, root.DisplayName(), verb.Use)
		if table := flagTable(verb.LocalNonPersistentFlags()); table != "" {
			page.WriteString("\n" + table)
		}
	}
	return page.String()
}

// flagTable returns a Markdown table of those flags which the help shows, and
// nothing if there are none.
func flagTable(flags *pflag.FlagSet) string {
	var rows strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		if f.Value.Type() == "bool" {
			value = ""
		}
		initial := ""
		switch f.DefValue {
		case "", "false", "0", "[]", "0s":
		default:
			initial = "`" + f.DefValue + "`"
		}
		row := []string{name, value, initial, usage}
		for _, cell := range row {
			rows.WriteString("|")
			if cell != "" {
				rows.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " ")
			} else {
				rows.WriteString(" ")
			}
		}
		rows.WriteString("|\n")
	})
	if rows.Len() == 0 {
		return ""
	}
	return "| flag | value | default | meaning |\n|---|---|---|---|\n" + rows.String()
}
