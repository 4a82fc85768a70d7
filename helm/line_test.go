package helm

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseLine(t *testing.T) {
	for _, test := range []struct {
		typed   string
		want    Line
		refused string
	}{
		{"", Line{}, ""},
		{"list", Line{Command: "list"}, ""},
		{"install stable/mysql --name db -f v.yaml", Line{Command: "install", Args: []string{"stable/mysql", "--name", "db", "-f", "v.yaml"}}, ""},
		{"--tenant t list", Line{Tenant: "t", Command: "list"}, ""},
		{"--tenant=t --context=c list", Line{Tenant: "t", Context: "c", Command: "list"}, ""},
		{"--tenant a --tenant b list", Line{Tenant: "b", Command: "list"}, ""},
		{"list --tenant t --context c --help --version", Line{Command: "list", Args: []string{"--tenant", "t", "--context", "c", "--help", "--version"}}, ""},
		{"--help", Line{Help: true}, ""},
		{"-h install", Line{Help: true, Command: "install"}, ""},
		{"--version", Line{Version: true}, ""},
		{"--kube-context c list", Line{Globals: []string{"--kube-context=c"}, Command: "list"}, ""},
		{"--debug list", Line{Globals: []string{"--debug=true"}, Command: "list"}, ""},
		{"--debug=false --home /h --namespace=n list", Line{Globals: []string{"--debug=false", "--home=/h", "--namespace=n"}, Command: "list"}, ""},
		{"-n x list", Line{Globals: []string{"--namespace=x"}, Command: "list"}, ""},
		{"-nx list", Line{Globals: []string{"--namespace=x"}, Command: "list"}, ""},
		{"--kube-context a --kube-context b list", Line{Globals: []string{"--kube-context=a", "--kube-context=b"}, Command: "list"}, ""},
		{"--namespace install install", Line{Globals: []string{"--namespace=install"}, Command: "install"}, ""},
		{"-- list --x", Line{Command: "list", Args: []string{"--x"}}, ""},
		{"list -- --kube-context c", Line{Command: "list", Args: []string{"--", "--kube-context", "c"}}, ""},
		{"--tenat t list", Line{}, "before the helm command: unknown flag: --tenat"},
		{"-x list", Line{}, "before the helm command: unknown shorthand flag: 'x' in -x"},
		{"--tenant= list", Line{}, "before the helm command: --tenant is empty"},
		{"--context= list", Line{}, "before the helm command: --context is empty"},
		{"--tenant", Line{}, "before the helm command: flag needs an argument: --tenant"},
		{"--version=maybe", Line{}, "before the helm command: --version=maybe: give it without a value"},
	} {
		t.Run(test.typed, func(t *testing.T) {
			got, err := ParseLine(strings.Fields(test.typed))
			if diff := cmp.Diff(test.refused, errorText(err)); diff != "" {
				t.Errorf("error, -want +got:\n%s", diff)
			}
			if test.want.Command != "" && test.want.Args == nil {
				test.want.Args = []string{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTyped(t *testing.T) {
	for _, test := range []struct {
		typed string
		want  string
		given bool
	}{
		{"list", "", false},
		{"list --kube-context c", "c", true},
		{"list --kube-context=c", "c", true},
		{"list --kube-context=", "", true},
		{"--kube-context c list", "c", true},
		{"--kube-context a list --kube-context b", "b", true},
		{"list --kube-context a --kube-context=b", "b", true},
		{"list --kube-contexts a", "", false},
		{"list -- --kube-context a", "", false},
		{"list --kube-context a -- --kube-context b", "a", true},
		{"list --kube-context", "", false},
	} {
		line, err := ParseLine(strings.Fields(test.typed))
		if err != nil {
			t.Fatal(err)
		}
		if got, given := line.Typed("kube-context"); got != test.want || given != test.given {
			t.Errorf("%s: got %q, %t, want %q, %t", test.typed, got, given, test.want, test.given)
		}
	}
}

func TestTypedNamespace(t *testing.T) {
	for _, test := range []struct {
		typed      string
		two, three bool
	}{
		{"install c", false, false},
		{"install c --namespace x", true, true},
		{"install c --namespace=x", true, true},
		{"--namespace x install c", true, true},
		{"-n x install c", true, true}, // before the command it can't be Helm 2's --name
		{"install c -n x", false, true},
		{"install c -nx", false, true},
		{"install c -n=x", false, true},
		{"install c -- --namespace x -n x", false, false},
		{"install c --name x", false, false},
	} {
		line, err := ParseLine(strings.Fields(test.typed))
		if err != nil {
			t.Fatal(err)
		}
		if _, got := line.typedNamespace(2); got != test.two {
			t.Errorf("%s under Helm 2: got %t", test.typed, got)
		}
		for _, major := range []int{3, 4} {
			if _, got := line.typedNamespace(major); got != test.three {
				t.Errorf("%s under Helm %d: got %t", test.typed, major, got)
			}
		}
	}
}

// For any input, the arguments after the command are unchanged, and those before it are one
// word each and mean the same when they are read again.
func FuzzParseLine(f *testing.F) {
	for _, seed := range []string{
		"", "list", "--tenant t list --all", "--tenant=t\x00--debug\x00list\x00-n\x00x", "--kube-context\x00c\x00--\x00list", "-n\x00install\x00install",
		"-nx", "--debug=maybe\x00list", "--help=maybe", "--tenant", "--\x00--\x00--", "-hn\x00x\x00list", "--=x", "---", "-", "--namespace=\x00upgrade\x00r\x00c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		args := strings.Split(typed, "\x00")
		given := slices.Clone(args)
		line, err := ParseLine(args)
		if err != nil {
			return
		}
		if !slices.Equal(given, args) {
			t.Fatalf("the arguments changed to %q", args)
		}
		if line.Command == "" && len(line.Args) == 0 {
			return
		}
		rest := append([]string{line.Command}, line.Args...)
		if tail := given[len(given)-len(rest):]; !slices.Equal(tail, rest) {
			t.Errorf("left to helm: %q, typed: %q", rest, tail)
		}
		for _, global := range line.Globals {
			if name, _, joined := strings.Cut(global, "="); !joined || !slices.ContainsFunc(globalFlags, func(f flag) bool { return "--"+f.name == name }) {
				t.Errorf("%q goes to helm", global)
			}
		}
		second, err := ParseLine(append(append(slices.Clone(line.Globals), "--"), rest...))
		if err != nil {
			t.Fatal(err)
		}
		line.Tenant, line.Context, line.Help, line.Version = "", "", false, false
		if diff := cmp.Diff(line, second); diff != "" {
			t.Errorf("-first +second:\n%s", diff)
		}
	})
}
