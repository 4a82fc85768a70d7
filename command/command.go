// Package command represents commands that are shown to be typed. A command is a list of
// arguments until it is printed: untrusted names are never part of a text that is split,
// joined or searched, and are quoted in one place (Shell).
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

// These notes take the place of a command.
const (
	// Unnamed: no command can contain an object's name.
	Unnamed = "no command is shown: a name in it is not valid there, or holds control or format characters"
	// untyped: this system's shell can't pass a command's arguments unchanged.
	untyped = "no command is shown: PowerShell can't pass the name in it unchanged; -o json has its arguments"
)

// Tenant returns a verb of helm tenant for a tenant. Flags are words like --flag=value: a
// helm that runs us as its plugin removes its own flags from any place, and a separate
// value could be taken for one. It is nil, no command, if a tenant can't have the name:
// names come from labels and bindings that others write.
func Tenant(verb, name string, flags ...string) Command {
	if tenant.CheckName(name) != nil {
		return nil
	}
	return append(Command{"helm", "tenant", verb, name}, flags...)
}

// Kubectl returns a verb of kubectl for one object: resource is like "rolebinding" or
// "deployment.apps", namespace is empty for a cluster-scoped object. The name follows
// "--", where it can't be an option.
func Kubectl(verb, namespace, resource, name string, flags ...string) Command {
	c := Command{"kubectl", verb}
	if namespace != "" {
		c = append(c, "--namespace="+namespace)
	}
	return append(append(c, flags...), resource, "--", name)
}

// List returns a flag that takes a list, with one value: pflag parses lists as CSV (RFC
// 4180), where a comma and a double quote need quotes.
func List(flag, value string) string {
	if strings.ContainsAny(value, ",\"\r\n") {
		value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
	}
	return flag + "=" + value
}

// emptied are flags of helm-tenant whose empty value unsets a setting.
var emptied = []string{"--flux-account="}

// valid reports whether a command can be shown: no word and no flag's value is empty
// unless that is intended (helm drops empty arguments of a plugin), and no word has a
// hidden character.
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

// Fix mends something: commands to type in this order, and notes with what commands can't
// do. A note never has an untrusted name, since it may be printed where a shell reads it.
type Fix struct {
	Commands []Command
	Notes    []string
}

// Run returns the Fix with these commands. If one of them can't be shown it has none, and
// a note that says so.
func Run(commands ...Command) Fix {
	if slices.ContainsFunc(commands, func(c Command) bool { return !c.valid() }) {
		return Advice(Unnamed)
	}
	return Fix{Commands: commands}
}

// Advice returns a Fix without commands.
func Advice(note string) Fix { return Fix{Notes: []string{note}} }

// With adds a note, unless it is empty.
func (f Fix) With(note string) Fix {
	if note == "" {
		return f
	}
	return f.Then(Advice(note))
}

// Then returns f followed by g, without duplicate commands and notes.
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

// Equal reports whether both have the same commands and notes.
func (f Fix) Equal(g Fix) bool {
	return slices.Equal(f.Notes, g.Notes) && slices.EqualFunc(f.Commands, g.Commands, slices.Equal)
}

// Lines returns the commands as they are typed into this system's shell, one on each
// line, and the notes as one text. If one of the commands can't be typed there are no
// lines, and the note says so.
func (f Fix) Lines() (lines []string, note string) {
	shell := Native()
	for _, c := range f.Commands {
		line, ok := shell.Line(c)
		if !ok {
			return nil, strings.Join(append(slices.Clone(f.Notes), untyped), "; ")
		}
		lines = append(lines, line)
	}
	return lines, strings.Join(f.Notes, "; ")
}

// String returns the commands on one line, or the note if there are none.
func (f Fix) String() string {
	lines, note := f.Lines()
	if len(lines) == 0 {
		return note
	}
	return strings.Join(lines, "; ")
}

// MarshalJSON writes the commands as lists of arguments, so that a program need not parse
// shell syntax, and as the lines that a person types.
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

// Release returns a command of the tenant's helm for a release: verb has its words before
// the name ("delete", "--purge"), rest those after it. It is nil if helm would not accept
// the release's name, which comes from a record that members can write, or if the
// tenant's name is invalid. Without a tenant it is a command of the caller's own.
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

// TillerRelease is Release for the Tiller in a namespace that belongs to no tenant: a command of
// Helm 2's own.
func TillerRelease(namespace, release string, verb []string, rest ...string) Command {
	if strings.Trim(namespace, letters+"-") != "" || namespace == "" || !releaseName(release) {
		return nil
	}
	return append(append(append(Command{"helm", "--tiller-namespace=" + namespace}, verb...), release), rest...)
}

// releaseName reports whether Helm accepts a release's name: letters, digits, "-", "_"
// and ".", with a letter or digit at both ends (k8s.io/helm/pkg/tiller, ValidName).
func releaseName(name string) bool {
	const longest = 53
	return name != "" && len(name) <= longest && strings.Trim(name, letters+"-_.") == "" &&
		!strings.ContainsAny(name[:1]+name[len(name)-1:], "-_.")
}
