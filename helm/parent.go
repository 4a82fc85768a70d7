package helm

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Swallowed has what a helm removed from the arguments of the plugin that it started,
// read from helm's own command line. Helm 2 passes the context to its plugin in no other
// way; Helm 3 and 4 export what they resolved, and only their command line shows what was
// typed.
type Swallowed struct {
	KubeContext     string
	TillerNamespace string
	Host            string
	// Namespace reports whether --namespace or -n was typed to Helm 3 or 4;
	// NamespaceValue is its value.
	Namespace      bool
	NamespaceValue string
	// Identity are the flags that set the user or the API server.
	Identity []string
	// Connection are the flags for the connection to the API server, each as one
	// --name=value.
	Connection []string
}

func (s Swallowed) equal(other Swallowed) bool { return reflect.DeepEqual(s, other) }

// isCompletion reports whether completion scripts call a command (github.com/spf13/cobra,
// completions.go).
func isCompletion(command string) bool {
	return command == cobra.ShellCompRequestCmd || command == cobra.ShellCompNoDescRequestCmd
}

// identityFlags of Helm 3 and 4 set the user or the API server, which the tenant and the
// kubeconfig context decide.
var identityFlags = []string{"kube-as-user", "kube-as-group", "kube-token", "kube-apiserver"}

// connectionFlags of Helm 3 and 4 set how the API server is reached.
var connectionFlags = []string{"kube-ca-file", "kube-tls-server-name", "kube-insecure-skip-tls-verify"}

// swallowedFlags returns the flags that each major version removes from a plugin's
// arguments, each with the next word (manuallyProcessArgs in cmd/helm/load_plugins.go of
// v2 and v3, pkg/cmd/load_plugins.go of v4).
func swallowedFlags(major int) []string {
	if major == 2 {
		return []string{"--kube-context", "--tiller-namespace", "--host", "--home"}
	}
	flags := []string{"--kube-context", "--namespace", "-n", "--kubeconfig", "--registry-config", "--repository-cache", "--repository-config"}
	for _, name := range slices.Concat(identityFlags, connectionFlags) {
		flags = append(flags, "--"+name)
	}
	return flags
}

// readParent returns what a helm of that major version removed, from the command line of
// the helm that started this plugin, and that line's arguments without the plugin's name. bin
// and plugin are HELM_BIN and HELM_PLUGIN_NAME, which it set: its own first word, and the
// plugin's name. The error reports that helm would not make exactly the arguments that the
// plugin got from this command line, so that it is not known what was removed.
func readParent(major int, parent []string, bin, plugin string, got []string) (s Swallowed, words []string, err error) {
	if len(parent) < 2 {
		return Swallowed{}, nil, errors.New("the command line of helm can't be seen")
	}
	args := parent[1:]
	if plugin == "" || parent[0] != bin || !slices.Contains(args, plugin) {
		return Swallowed{}, nil, errors.New("it was not helm itself that started this plugin")
	}
	// cobra removes the word that it takes for the command (argsMinusFirstX of
	// github.com/spf13/cobra): the first that equals its name with Helm 2, whose cobra is
	// v0.0.5, and with 3 and 4 the first that is not a flag's value.
	var found []Swallowed
	var typed []string
	for index, word := range args {
		if word != plugin {
			continue
		}
		words, completed := slices.Concat(args[:index], args[index+1:]), []string(nil)
		if major != 2 && isCompletion(args[0]) {
			// What is being completed is passed on unchanged (pluginDynamicComp in
			// load_plugins.go).
			words, completed = words[:len(words)-1], words[len(words)-1:]
		}
		taken, left := swallowKnown(major, words, major != 2)
		left = append(left, completed...)
		if slices.Equal(left, got) {
			if s, err := read(taken); err == nil { // otherwise helm would not have started us
				if found = append(found, s); len(found) == 1 {
					typed = slices.Concat(args[:index], args[index+1:])
				}
			}
		}
		if major == 2 {
			break
		}
	}
	if len(found) == 0 || slices.ContainsFunc(found, func(s Swallowed) bool { return !s.equal(found[0]) }) {
		return Swallowed{}, nil, errors.New("the command line of helm is not the one with which this plugin was started")
	}
	return found[0], typed, nil
}

// swallowKnown splits the arguments into those that helm removes and those that are left. Helm
// 3 and 4 also remove the next word of a flag that needs none, and a flag without a next
// word, with which Helm 2 would not have started us. They take an empty word for such a
// flag (isKnown in manuallyProcessArgs knows every other word as "") if empty is set.
func swallowKnown(major int, args []string, empty bool) (taken, left []string) {
	swallowed := swallowedFlags(major)
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		known := slices.Contains(swallowed, name) || args[i] == "" && empty
		switch {
		case args[i] == "--debug", known && joined:
			taken = append(taken, args[i])
		case known && i+1 < len(args):
			taken = append(taken, args[i], args[i+1])
			i++
		case known && major != 2:
			taken = append(taken, args[i])
		default:
			left = append(left, args[i])
		}
	}
	return taken, left
}

// read parses the removed words as helm does: as its own flags, wherever each of them
// ends. An error means that helm refuses them.
func read(taken []string) (Swallowed, error) {
	flags := pflag.NewFlagSet("helm", pflag.ContinueOnError)
	flags.Usage = func() {}
	for _, f := range globalFlags {
		if f.boolean {
			flags.BoolP(f.name, f.short, false, "")
		} else {
			flags.StringP(f.name, f.short, "", "")
		}
	}
	var s Swallowed
	err := flags.ParseAll(taken, func(f *pflag.Flag, value string) error {
		s.take(f.Name, value)
		return f.Value.Set(value)
	})
	return s, err
}

// take notes a flag; of two with the same name the last one counts, as for helm.
func (s *Swallowed) take(name, value string) {
	switch {
	case name == "kube-context":
		s.KubeContext = value
	case name == "tiller-namespace":
		s.TillerNamespace = value
	case name == "host":
		s.Host = value
	case name == "namespace":
		s.Namespace, s.NamespaceValue = true, value
	case slices.Contains(identityFlags, name):
		s.Identity = append(s.Identity, "--"+name)
	case slices.Contains(connectionFlags, name):
		s.Connection = append(s.Connection, fmt.Sprintf("--%s=%s", name, value))
	}
}
