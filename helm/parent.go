package helm

import (
	"errors"
	"slices"
	"strings"
)

// Swallowed are the flags that Helm 2 takes out of a plugin's arguments
// (k8s.io/helm/cmd/helm/load_plugins.go, manuallyProcessArgs). The context
// reaches the plugin in no other way than by the command line of helm itself.
type Swallowed struct {
	KubeContext     string
	TillerNamespace string
	Host            string
}

// ReadParent finds what Helm 2 swallowed in the command line of the helm that
// started this plugin. bin and plugin are the HELM_BIN and HELM_PLUGIN_NAME that
// Helm 2 set: its own first word, and the plugin's name. ReadParent returns an
// error when the command line is not one from which Helm 2 makes exactly the
// arguments that the plugin got: then what was swallowed can't be known.
func ReadParent(parent []string, bin, plugin string, got []string) (Swallowed, error) {
	if len(parent) < 2 {
		return Swallowed{}, errors.New("the command line of helm can't be seen")
	}
	args := slices.Clone(parent[1:])
	at := slices.Index(args, plugin)
	if at < 0 || plugin == "" || parent[0] != bin {
		return Swallowed{}, errors.New("it was not helm itself that started this plugin")
	}
	// cobra takes out the first word that equals the command's name
	// (github.com/spf13/cobra v0.0.5, argsMinusFirstX).
	args = slices.Delete(args, at, at+1)

	var s Swallowed
	into := map[string]*string{"--kube-context": &s.KubeContext, "--tiller-namespace": &s.TillerNamespace, "--host": &s.Host, "--home": new(string)}
	var left []string
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		target, known := into[name]
		switch {
		case args[i] == "--debug":
		case known && joined:
			*target = value
		case known && i+1 < len(args):
			i++
			*target = args[i]
		default:
			left = append(left, args[i])
		}
	}
	if !slices.Equal(left, got) {
		return Swallowed{}, errors.New("the command line of helm is not the one that this plugin was started with")
	}
	return s, nil
}
