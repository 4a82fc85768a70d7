package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"helm-tenant/helm"
	"helm-tenant/wrapper"
)

// eachVerb calls do with every command of ours, and with the root.
func eachVerb(t *testing.T, do func(t *testing.T, cmd *cobra.Command)) {
	root := newRoot(&session{})
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		if cmd.Name() != "help" {
			t.Run(cmd.Name(), func(t *testing.T) { do(t, cmd) })
		}
	}
}

func TestEveryVerbHasHelp(t *testing.T) {
	eachVerb(t, func(t *testing.T, cmd *cobra.Command) {
		if r := []rune(cmd.Short); len(r) == 0 || !unicode.IsUpper(r[0]) || r[len(r)-1] == '.' || strings.Contains(cmd.Short, "\n") {
			t.Errorf("Short is no single line that starts with a capital: %q", cmd.Short)
		}
		if cmd.Long == "" && cmd.Example == "" {
			t.Error("there is neither Long nor Example")
		}
		for _, line := range strings.Split(cmd.Long+"\n"+cmd.Example, "\n") {
			if len(line) > 100 {
				t.Errorf("a line of %d characters: %s", len(line), line)
			}
		}
		if cmd.HasParent() && cmd.RunE == nil {
			t.Error("it does nothing")
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("--%s: help is empty, or ends with a period: %q", f.Name, f.Usage)
			}
		})
	})
}

// ours matches our calls in a line of shell.
var ours = regexp.MustCompile(`helm tenant ([^|)>]*)`)

// A verb's name stands in its command, too.
func TestVerbNamesMatchCommands(t *testing.T) {
	for _, verb := range verbs {
		if name := verb.make(&session{}).Name(); name != verb.name {
			t.Errorf("%s calls itself %s", verb.name, name)
		}
	}
}

// checkCall returns the error for a command line of helm tenant, which does not run: the verb,
// its flags and their values, or its arguments. A command that is not one of our verbs is
// helm's.
func checkCall(args []string) (command string, err error) {
	line, err := helm.ParseLine(args)
	if err != nil || !wrapper.IsVerb(line.Command) {
		return line.Command, err
	}
	verb, _, err := newRoot(&session{}).Find([]string{line.Command})
	if err == nil {
		err = verb.ParseFlags(line.Args)
	}
	if err == nil {
		err = verb.Args(verb, verb.Flags().Args())
	}
	return line.Command, err
}

func TestExamplesAreValid(t *testing.T) {
	eachVerb(t, func(t *testing.T, cmd *cobra.Command) {
		for _, example := range strings.Split(cmd.Example, "\n") {
			if !regexp.MustCompile(`^  (helm tenant |eval "\$\(helm tenant |alias )`).MatchString(example) {
				t.Errorf("it does not start with helm tenant: %q", example)
			}
			for _, call := range ours.FindAllStringSubmatch(example, -1) {
				command, err := checkCall(strings.Fields(call[1]))
				if err != nil {
					t.Errorf("%s: %v", example, err)
					continue
				}
				if !wrapper.IsVerb(command) && (cmd.HasParent() || helm.ClassOf(2, command) == helm.Plugin) {
					t.Errorf("%s: %s is no command", example, command)
				}
				if cmd.HasParent() && !strings.Contains(cmd.Example, "helm tenant "+cmd.Name()) && command != cmd.Name() {
					t.Errorf("no example is of %s", cmd.Name())
				}
			}
		}
	})
}

// documentedCall matches one of our calls in a code block of a page, with or without a prompt
// and variables before it.
var documentedCall = regexp.MustCompile(`(?m)^    (?:\w*\$ )?(?:[A-Z_]+=\S* )*helm(?: |-)tenant((?: [^ \n#|>(&;].*)?)$`)

// TestDocumentedCommandsAreValid: a reader can type every command of the README and of docs/.
func TestDocumentedCommandsAreValid(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range append(pages, "../README.md") {
		if filepath.Base(page) == "flags.md" {
			continue // usage lines; TestDocumentedFlags compares them with the code
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range documentedCall.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\\\n", ""), -1) {
			count++
			if _, err := checkCall(shellWords(call[1])); err != nil {
				t.Errorf("%s: helm tenant%s: %v", page, call[1], err)
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d commands were found", count)
	}
}

// shellWords returns the words of a command line up to a comment, a redirection or another
// command. A quoted part is one word.
func shellWords(line string) []string {
	var words []string
	for _, word := range regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`).FindAllString(line, -1) {
		if strings.ContainsAny(word[:1], "#|>&;") {
			break
		}
		words = append(words, strings.NewReplacer(`"`, "", "'", "").Replace(word))
	}
	return words
}

// plugins are widely used ones of Helm 2, 3 and 4: with a verb of that name we
// would keep users from them.
var plugins = strings.Fields(`
	diff secrets env push 2to3 unittest mapkubeapis s3 gcs git tiller monitor test backup starter dashboard schema values sops cm-push edit release
	hooks nuke template whatup outdated images x kubeval convert chartify`)

func TestVerbsCollideWithNothing(t *testing.T) {
	eachVerb(t, func(t *testing.T, cmd *cobra.Command) {
		if !cmd.HasParent() {
			return // its name is the plugin's
		}
		for _, name := range append([]string{cmd.Name()}, cmd.Aliases...) {
			if slices.Contains(plugins, name) {
				t.Errorf("%s is a plugin of helm's", name)
			}
			if name == "init" {
				continue // asked for by that name
			}
			for _, major := range []int{2, 3, 4} {
				if helm.ClassOf(major, name) != helm.Plugin {
					t.Errorf("%s is a command of Helm %d", name, major)
				}
			}
		}
	})
}

// A global flag of helm's before a verb goes to that verb: no verb may have a flag of that name
// with another meaning. Of releases it is the namespace of the releases, as of helm list.
func TestVerbsTakeHelmsGlobalFlags(t *testing.T) {
	eachVerb(t, func(t *testing.T, cmd *cobra.Command) {
		if f := cmd.Flags().Lookup("namespace"); f != nil && cmd.Name() != "releases" {
			t.Error("--namespace means helm's")
		}
		for _, args := range [][]string{{"--kube-context=c"}, {"--kubeconfig=f"}, {"--debug"}} {
			if err := cmd.ParseFlags(args); err != nil {
				t.Errorf("%q: %v", args, err)
			}
		}
	})
}
