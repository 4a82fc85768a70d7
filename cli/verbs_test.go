package cli

import (
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

// ours are the calls of ours in a line that a shell could run.
var ours = regexp.MustCompile(`helm tenant ([^|)>]*)`)

// A verb's name stands in its command, too.
func TestVerbsAreCalledWhatTheyAre(t *testing.T) {
	for _, verb := range verbs {
		if name := verb.make(&session{}).Name(); name != verb.name {
			t.Errorf("%s calls itself %s", verb.name, name)
		}
	}
}

// Every example must be a command line that is understood: the verb, its flags
// and their values, and its arguments.
func TestExamplesAreUnderstood(t *testing.T) {
	eachVerb(t, func(t *testing.T, cmd *cobra.Command) {
		for _, example := range strings.Split(cmd.Example, "\n") {
			if !regexp.MustCompile(`^  (helm tenant |eval "\$\(helm tenant |alias )`).MatchString(example) {
				t.Errorf("it does not start with helm tenant: %q", example)
			}
			for _, call := range ours.FindAllStringSubmatch(example, -1) {
				line, err := helm.ParseLine(strings.Fields(call[1]))
				if err != nil {
					t.Errorf("%s: %v", example, err)
					continue
				}
				if !wrapper.IsVerb(line.Command) {
					if cmd.HasParent() || helm.ClassOf(2, line.Command) == helm.Plugin {
						t.Errorf("%s: %s is no command", example, line.Command)
					}
					continue
				}
				verb, _, err := newRoot(&session{}).Find([]string{line.Command})
				if err == nil {
					err = verb.ParseFlags(line.Args)
				}
				if err == nil {
					err = verb.Args(verb, verb.Flags().Args())
				}
				if err != nil {
					t.Errorf("%s: %v", example, err)
				}
				if cmd.HasParent() && !strings.Contains(cmd.Example, "helm tenant "+cmd.Name()) && line.Command != cmd.Name() {
					t.Errorf("no example is of %s", cmd.Name())
				}
			}
		}
	})
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

// A global flag of helm's that stands before a verb goes to that verb: there must
// be none of that name that means another thing.
func TestVerbsTakeHelmsGlobalFlags(t *testing.T) {
	eachVerb(t, func(t *testing.T, cmd *cobra.Command) {
		if f := cmd.Flags().Lookup("namespace"); f != nil {
			t.Error("--namespace means helm's")
		}
		for _, args := range [][]string{{"--kube-context=c"}, {"--kubeconfig=f"}, {"--debug"}} {
			if err := cmd.ParseFlags(args); err != nil {
				t.Errorf("%q: %v", args, err)
			}
		}
	})
}
