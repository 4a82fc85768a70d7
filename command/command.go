// Package command holds commands that are shown to be typed. A command is its
// arguments until it is printed: names that somebody else chose are never part of a
// text that is split, joined or searched, and are quoted in one place (Shell).
package command

import (
	"encoding/json"
	"slices"
	"strings"

	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// Command is one command as its arguments, the program first.
type Command []string

// Notes that stand in place of a command.
const (
	// Unnamed says that no command is made of an object's name.
	Unnamed = "no command is shown: a name in it is not valid there, or holds control or format characters"
	// Untyped says that this system's shell can't be given a command's arguments.
	Untyped = "no command is shown: PowerShell can't pass the name in it unchanged; -o json has its arguments"
)

// Tenant is a verb of helm tenant on a tenant. Flags are words like --flag=value: a
// helm that runs us as its plugin takes its own flags out of any place, and a value
// that stood alone could be one. It is nil, no command, where the name is not one
// that a tenant can have: names are read from labels and bindings that others write.
func Tenant(verb, name string, flags ...string) Command {
	if tenant.CheckName(name) != nil {
		return nil
	}
	return append(Command{"helm", "tenant", verb, name}, flags...)
}

// Kubectl is a verb of kubectl on one object: resource is "rolebinding" or
// "deployment.apps", namespace is empty for an object of the cluster. The name stands
// after "--", where no option can be.
func Kubectl(verb, namespace, resource, name string, flags ...string) Command {
	c := Command{"kubectl", verb}
	if namespace != "" {
		c = append(c, "--namespace="+namespace)
	}
	return append(append(c, flags...), resource, "--", name)
}

// List is a flag that takes a list, with one value: pflag reads the lists as CSV
// (RFC 4180), where a comma and a double quote stand in quotes.
func List(flag, value string) string {
	if strings.ContainsAny(value, ",\"\r\n") {
		value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
	}
	return flag + "=" + value
}

// emptied are flags of helm-tenant whose empty value takes a setting away.
var emptied = []string{"--flux-account="}

// valid reports whether a command can be shown: no word and no flag's value is empty, but
// where that is meant (helm drops empty words of a plugin), and none holds a character that
// is not seen.
func (c Command) valid() bool {
	flags := true
	for _, word := range c {
		flags = flags && word != "--"
		empty := word == "" || flags && strings.HasPrefix(word, "--") && strings.Index(word, "=") == len(word)-1 && !slices.Contains(emptied, word)
		if empty || !visible.Plain(word) {
			return false
		}
	}
	return len(c) > 0
}

// Fix is what mends something: commands that are typed in this order, and notes, which
// say what they can't. A note never holds a foreign name: it may stand beside the
// commands where a shell reads it.
type Fix struct {
	Commands []Command
	Notes    []string
}

// Run is the Fix of these commands. Where one of them can't be shown there are none,
// and a note says so.
func Run(commands ...Command) Fix {
	if slices.ContainsFunc(commands, func(c Command) bool { return !c.valid() }) {
		return Advice(Unnamed)
	}
	return Fix{Commands: commands}
}

// Advice is a Fix without a command.
func Advice(note string) Fix { return Fix{Notes: []string{note}} }

// With adds a note, unless it is empty.
func (f Fix) With(note string) Fix {
	if note == "" {
		return f
	}
	return f.Then(Advice(note))
}

// Then is f and after it g; a command or note of both is there once.
func (f Fix) Then(further ...Fix) Fix {
	var all Fix
	commands, notes := map[string]bool{}, map[string]bool{}
	for _, one := range append([]Fix{f}, further...) {
		for _, c := range one.Commands {
			if key := strings.Join(c, "\x00"); !commands[key] {
				commands[key] = true
				all.Commands = append(all.Commands, c)
			}
		}
		for _, note := range one.Notes {
			if !notes[note] {
				notes[note] = true
				all.Notes = append(all.Notes, note)
			}
		}
	}
	return all
}

// Equal reports whether both are the same commands with the same notes.
func (f Fix) Equal(g Fix) bool {
	return slices.Equal(f.Notes, g.Notes) && slices.EqualFunc(f.Commands, g.Commands, func(a, b Command) bool { return slices.Equal(a, b) })
}

// Lines are the commands as they are typed into this system's shell, one a line, and
// the notes as one text. Where one of the commands can't be typed there are none, and
// the note says so.
func (f Fix) Lines() (lines []string, note string) {
	shell := Native()
	for _, c := range f.Commands {
		line, ok := shell.Line(c)
		if !ok {
			return nil, strings.Join(append(slices.Clone(f.Notes), Untyped), "; ")
		}
		lines = append(lines, line)
	}
	return lines, strings.Join(f.Notes, "; ")
}

// String is the commands as one line; where there is none, the note.
func (f Fix) String() string {
	lines, note := f.Lines()
	if len(lines) == 0 {
		return note
	}
	return strings.Join(lines, "; ")
}

// MarshalJSON writes the commands as lists of arguments, so that a program need not
// parse a shell's line, and as the lines that a person types.
func (f Fix) MarshalJSON() ([]byte, error) {
	lines, note := f.Lines()
	commands := f.Commands
	if commands == nil {
		commands = []Command{}
	}
	return json.Marshal(struct {
		Commands []Command `json:"commands"`
		Lines    []string  `json:"lines"`
		Note     string    `json:"note,omitempty"`
	}{commands, append([]string{}, lines...), note})
}

// Release is a command of the tenant's helm on a release: verb is its words before the
// name ("delete", "--purge"), rest those after it. It is nil where helm would not take
// the release's name, which is read from a record that members can write, or where the
// tenant's name is none. Without a tenant it is that of who types it.
func Release(tenantName, release string, verb []string, rest ...string) Command {
	c := Command{"helm", "tenant"}
	if tenantName != "" {
		if tenant.CheckName(tenantName) != nil {
			return nil
		}
		c = append(c, "--tenant="+tenantName)
	}
	if !releaseName(release) {
		return nil
	}
	return append(append(append(c, verb...), release), rest...)
}

// releaseName reports whether Helm takes a release's name: letters, digits, "-", "_"
// and ".", a letter or digit first and last (k8s.io/helm/pkg/tiller, ValidName).
func releaseName(name string) bool {
	const longest = 53
	return name != "" && len(name) <= longest && strings.Trim(name, letters+"-_.") == "" &&
		!strings.ContainsAny(name[:1]+name[len(name)-1:], "-_.")
}
