package helm

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// flagTable has the flags of a helm command, those in `helm COMMAND --help` and hidden
// ones in helm's sources; a test compares the tables with the real binaries.
type flagTable struct {
	// alone are flags that never take the next word: booleans, and flags with an optional
	// value.
	alone []string
	// valued are flags that take the next word unless the value is joined by "=".
	valued []string
	// short maps a flag's letter to its name.
	short map[byte]string
}

type flagUse struct {
	name, value string
	// joined reports whether the value follows a "=".
	joined bool
	// position is the index of the word, end the index of the word after the flag and its
	// value.
	position, end int
}

func (u flagUse) isTrue() bool {
	if !u.joined {
		return true
	}
	value, err := strconv.ParseBool(u.value)
	return err == nil && value
}

// lacksValue reports whether a flag takes the next word for its value, and is the last word.
func (t flagTable) lacksValue(u flagUse) bool {
	return slices.Contains(t.valued, u.name) && !u.joined && u.value == "" && u.end == u.position+1
}

// scan reads arguments as pflag does and returns the flags among them. complete is false
// if a flag is not in the table: then it is not known whether the next word is its value,
// and nothing after it is returned.
func (t flagTable) scan(args []string) (uses []flagUse, complete bool) {
	uses, _, unknown := t.scanWords(args)
	return uses, unknown < 0
}

// scanWords is scan that also returns the indexes of the words that are neither flags nor
// their values. unknown is the index of a flag that is not in the table, at which the
// scan ends; -1 if there is none.
func (t flagTable) scanWords(args []string) (uses []flagUse, words []int, unknown int) {
	for i := 0; i < len(args); i++ {
		word := args[i]
		switch {
		case word == "--":
			for i++; i < len(args); i++ {
				words = append(words, i)
			}
		case strings.HasPrefix(word, "--"):
			name, value, joined := strings.Cut(word[2:], "=")
			use := flagUse{name: name, value: value, joined: joined, position: i}
			takesNext := !joined && slices.Contains(t.valued, name)
			if takesNext {
				if i++; i < len(args) {
					use.value = args[i]
				}
			}
			if !joined && !takesNext && !slices.Contains(t.alone, name) {
				return uses, words, i
			}
			use.end = min(i+1, len(args))
			uses = append(uses, use)
		case len(word) > 1 && word[0] == '-':
			value := ""
			if i+1 < len(args) {
				value = args[i+1]
			}
			letters, usesNext, known := t.scanShort(word[1:], value, i)
			if !known {
				return append(uses, letters...), words, i
			}
			if usesNext {
				i++
			}
			for j := range letters {
				letters[j].end = min(i+1, len(args))
			}
			uses = append(uses, letters...)
		default:
			words = append(words, i)
		}
	}
	return uses, words, -1
}

// scanShort reads one word of short flags, which has the index position; next is the word
// after it. usesNext reports whether next is the value of the last flag; known is false
// if a letter is not in the table.
func (t flagTable) scanShort(letters, next string, position int) (uses []flagUse, usesNext, known bool) {
	for ; letters != ""; letters = letters[1:] {
		name, found := t.short[letters[0]]
		if !found {
			return uses, false, false
		}
		use := flagUse{name: name, position: position}
		rest := letters[1:]
		switch {
		case strings.HasPrefix(rest, "="):
			use.value, use.joined = rest[1:], true
			return append(uses, use), false, true
		case !slices.Contains(t.valued, name):
			uses = append(uses, use)
		case rest != "":
			use.value = rest
			return append(uses, use), false, true
		default:
			use.value = next
			return append(uses, use), true, true
		}
	}
	return uses, false, true
}

// globalTable returns helm's flags that stand before or after every command.
func globalTable() flagTable {
	t := flagTable{alone: []string{"help"}, short: map[byte]string{'h': "help"}}
	for _, f := range globalFlags {
		if f.boolean {
			t.alone = append(t.alone, f.name)
		} else {
			t.valued = append(t.valued, f.name)
		}
		if f.short != "" {
			t.short[f.short[0]] = f.name
		}
	}
	return t
}

func (t flagTable) with(alone, valued string, short map[byte]string) flagTable {
	t.alone = append(t.alone, strings.Fields(alone)...)
	t.valued = append(t.valued, strings.Fields(valued)...)
	maps.Copy(t.short, short)
	return t
}

// deployFlags returns the flags of install and upgrade of Helm 3 and 4.
func deployFlags(major int, command string) flagTable {
	t := globalTable().with(
		`atomic create-namespace dependency-update devel disable-openapi-validation dry-run enable-dns force force-conflicts
		force-replace generate-name hide-notes hide-secret insecure-skip-tls-verify no-hooks pass-credentials plain-http
		render-subchart-notes replace rollback-on-failure skip-crds skip-schema-validation take-ownership verify wait-for-jobs
		cleanup-on-fail install recreate-pods reset-then-reuse-values reset-values reuse-values wait`,
		`ca-file cert-file description key-file keyring labels name-template output password post-renderer post-renderer-args
		repo set set-file set-json set-literal set-string timeout username values version history-max`,
		map[byte]string{'f': "values", 'g': "generate-name", 'i': "install", 'l': "labels", 'o': "output"})
	if major == 4 && command == "upgrade" {
		t.valued = append(t.valued, "server-side")
	} else {
		t.alone = append(t.alone, "server-side")
	}
	return t
}

// deployFlagsOfHelm2 returns the flags of install and upgrade of Helm 2.
func deployFlagsOfHelm2(command string) flagTable {
	t := globalTable().with(
		`atomic dep-up devel dry-run no-crd-hook no-hooks render-subchart-notes replace tls tls-verify verify wait cleanup-on-fail
		force install recreate-pods reset-values reuse-values`,
		`ca-file cert-file description key-file keyring name-template output password repo set set-file set-string timeout
		tls-ca-cert tls-cert tls-hostname tls-key username values version`,
		map[byte]string{'f': "values", 'o': "output"})
	delete(t.short, 'n')
	if command == "install" {
		t.valued = append(t.valued, "name")
		t.short['n'] = "name"
	} else {
		t.short['i'] = "install"
	}
	return t
}

// listFlags returns the flags of list of Helm 3 and 4.
func listFlags() flagTable {
	return globalTable().with(
		"all all-namespaces date deployed failed no-headers pending reverse short superseded uninstalled uninstalling",
		"filter max offset output selector time-format",
		map[byte]string{'a': "all", 'A': "all-namespaces", 'd': "date", 'f': "filter", 'm': "max", 'o': "output", 'r': "reverse", 'l': "selector", 'q': "short"})
}

// versionFlags returns the flags of version of Helm 2.
func versionFlags() flagTable {
	return globalTable().with("client server short tls tls-verify", "template tls-ca-cert tls-cert tls-hostname tls-key",
		map[byte]string{'c': "client", 's': "server"})
}

// TakesValue reports whether a flag of a command takes the next word if no "=" joins one
// to it. known is false for a command whose flags are not read, and for a flag that is
// not in its table.
func TakesValue(major int, command, name string) (takes, known bool) {
	var t flagTable
	switch {
	case major > 2 && (command == "install" || command == "upgrade"):
		t = deployFlags(major, command)
	case major > 2 && command == "list":
		t = listFlags()
	case major == 2 && (command == "install" || command == "upgrade"):
		t = deployFlagsOfHelm2(command)
	case major == 2 && command == "version":
		t = versionFlags()
	}
	takes = slices.Contains(t.valued, name)
	return takes, takes || slices.Contains(t.alone, name)
}

// AsksNoTiller reports whether this is Helm 2's `version` for the client alone. Where
// both --client and --server are given, or neither, Helm 2 asks the Tiller.
func (l Line) AsksNoTiller() bool {
	if l.Command != "version" {
		return false
	}
	set := map[string]bool{}
	uses, complete := versionFlags().scan(l.Args)
	for _, use := range uses {
		if use.name == "client" || use.name == "server" {
			set[use.name] = use.isTrue()
		}
	}
	return complete && set["client"] && !set["server"]
}
