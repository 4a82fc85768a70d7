package helm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Line is a command line split at helm's command: our own flags and helm's global ones
// before it, and everything that is passed to helm as typed.
type Line struct {
	// Tenant and Context are --tenant and --context before the command.
	Tenant, Context string
	Help, Version   bool
	// Globals are helm's own flags before the command, each as one --name=value.
	Globals []string
	// Command is the first word, empty if there is none; Args is everything after it,
	// unchanged.
	Command string
	Args    []string
}

// ParseLine splits the arguments, without the program's name.
func ParseLine(args []string) (Line, error) {
	var line Line
	flags := pflag.NewFlagSet("helm tenant", pflag.ContinueOnError)
	flags.SetInterspersed(false)
	flags.Usage = func() {}
	flags.StringVar(&line.Tenant, "tenant", "", "")
	flags.StringVar(&line.Context, "context", "", "")
	flags.BoolVarP(&line.Help, "help", "h", false, "")
	flags.BoolVar(&line.Version, "version", false, "")
	for _, f := range globalFlags {
		if f.boolean {
			flags.BoolP(f.name, f.short, false, "")
		} else {
			flags.StringP(f.name, f.short, "", "")
		}
	}
	err := flags.ParseAll(args, func(f *pflag.Flag, value string) error {
		switch f.Name {
		case "tenant", "context", "help", "version":
			if value == "" {
				return fmt.Errorf("--%s is empty", f.Name)
			}
			if f.Value.Set(value) != nil {
				return fmt.Errorf("--%s=%s: give it without a value", f.Name, value)
			}
			return nil
		}
		line.Globals = append(line.Globals, "--"+f.Name+"="+value)
		return nil
	})
	if err != nil {
		return Line{}, fmt.Errorf("before the helm command: %w", err)
	}
	if rest := flags.Args(); len(rest) > 0 {
		if rest[0] == "" {
			return Line{}, errors.New("the command is an empty word: name one, or leave it out")
		}
		line.Command, line.Args = rest[0], rest[1:]
	}
	return line, nil
}

// Typed returns the value of one of helm's global flags as helm sees it: the last one,
// before or after the command, up to a "--".
func (l Line) Typed(name string) (value string, given bool) {
	args := append(append([]string{}, l.Globals...), l.Args...)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if v, found := strings.CutPrefix(arg, "--"+name+"="); found {
			value, given = v, true
		} else if arg == "--"+name && i+1 < len(args) {
			value, given = args[i+1], true
		}
	}
	return value, given
}

// decisive are the flags that must not reach helm unseen: they decide on which cluster,
// as which identity, or through which Tiller it acts.
var decisive = append([]string{"kube-context", "kubeconfig", "tiller-namespace", "host"}, identityFlags...)

// Check refuses flags that helm may read differently from Typed.
//
// An empty value: helm takes the last value of a flag, and an empty one for none, so that
// it would act in the current context, or ask for the Tillers of every namespace. A
// hidden flag: a "--" may be the value of the flag before it ("--description --"), and
// helm searches a plugin's arguments beyond it (manuallyProcessArgs in load_plugins.go).
func (l Line) Check(class Class) error {
	for _, name := range []string{"kube-context", "kubeconfig", "tiller-namespace"} {
		if value, given := l.Typed(name); given && value == "" {
			return fmt.Errorf("--%s is empty: name one, or leave it out", name)
		}
	}
	end := slices.Index(l.Args, "--")
	if end < 0 || class != Plugin && (end == 0 || !strings.HasPrefix(l.Args[end-1], "-") || strings.Contains(l.Args[end-1], "=")) {
		return nil
	}
	for _, arg := range l.Args[end+1:] {
		name, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(name, "--") && slices.Contains(decisive, name[2:]) {
			return fmt.Errorf("helm may take the %s after \"--\" for its flag, or may not: put it before the command, or leave it out", name)
		}
	}
	return nil
}

// typedNamespace returns the namespace that the user typed, in any form that the major
// version of helm accepts. For install of Helm 2, -n is the release's name.
func (l Line) typedNamespace(major int) (value string, given bool) {
	if major == 2 {
		return l.Typed("namespace")
	}
	if l.Command == "install" || l.Command == "upgrade" {
		if uses, complete := deployFlags(major, l.Command).scan(l.Args); complete {
			value, given = Line{Globals: l.Globals}.Typed("namespace")
			for _, use := range uses {
				if use.name == "namespace" {
					value, given = use.value, true
				}
			}
			return value, given
		}
	}
	value, given = l.Typed("namespace")
	for i, arg := range l.Args {
		if arg == "--" {
			break
		}
		if short, found := strings.CutPrefix(arg, "-n"); found {
			value, given = strings.TrimPrefix(short, "="), true
			if short == "" && i+1 < len(l.Args) {
				value = l.Args[i+1]
			}
		}
	}
	return value, given
}

// Words returns the command and the words after it, up to the first flag.
func (l Line) Words() []string {
	words := append([]string{l.Command}, l.Args...)
	if end := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "-") }); end >= 0 {
		words = words[:end]
	}
	return words
}

// RenderOnly reports whether this is a template of Helm 3 or 4 that does not ask the
// cluster.
func (l Line) RenderOnly(major int) bool {
	if major == 2 || l.Command != "template" {
		return false
	}
	for _, arg := range l.Args {
		if arg == "--" {
			break
		}
		name, value, _ := strings.Cut(arg, "=")
		if name == "--validate" && value != "false" || name == "--dry-run" && value == "server" {
			return false
		}
	}
	return true
}
