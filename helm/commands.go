// Package helm describes the wrapped client: where its binary is and which major version
// it has, what each of its commands needs, how it is started, and what its user typed.
package helm

import "slices"

// Class is what a helm command needs of a tenant.
type Class int

const (
	// Plugin commands are all that helm itself does not have: they get the tenant as
	// flags and environment.
	Plugin Class = iota
	// Local commands work on files and repositories and need no tenant.
	Local
	// Remote commands act through the tenant's deployer.
	Remote
	// Namespaced commands are remote, and act in the context's namespace if none is
	// named.
	Namespaced
)

// commands of Helm 2.17, 3.22 and 4.3 with their aliases, as `helm --help` of each lists them; a
// test compares them with the real binaries. Every other command is a plugin's.
var commands = map[int]map[string]Class{
	2: {
		"install": Namespaced, "upgrade": Namespaced,
		"delete": Remote, "del": Remote, "list": Remote, "ls": Remote, "status": Remote, "get": Remote,
		"history": Remote, "hist": Remote, "rollback": Remote, "test": Remote, "reset": Remote, "version": Remote,
		"create": Local, "lint": Local, "package": Local, "template": Local, "repo": Local, "search": Local,
		"fetch": Local, "dependency": Local, "dep": Local, "dependencies": Local, "inspect": Local, "verify": Local,
		"plugin": Local, "home": Local, "completion": Local, "serve": Local, "docs": Local, "update": Local,
		"help": Local, "init": Local,
	},
	3: helm3Commands,
	4: helm3Commands,
}

var helm3Commands = map[string]Class{
	"install": Namespaced, "upgrade": Namespaced, "uninstall": Namespaced, "delete": Namespaced, "del": Namespaced,
	"un": Namespaced, "list": Namespaced, "ls": Namespaced, "status": Namespaced, "get": Namespaced,
	"history": Namespaced, "hist": Namespaced, "rollback": Namespaced, "test": Namespaced, "template": Namespaced,
	"create": Local, "lint": Local, "package": Local, "repo": Local, "search": Local, "pull": Local, "fetch": Local,
	"push": Local, "dependency": Local, "dep": Local, "dependencies": Local, "show": Local, "inspect": Local,
	"verify": Local, "plugin": Local, "completion": Local, "env": Local, "version": Local, "registry": Local,
	"help": Local,
}

// ClassOf returns the class of a command of that major version of helm.
func ClassOf(major int, command string) Class {
	return commands[major][command]
}

// Commands returns the names of the commands of that major version without aliases,
// sorted.
func Commands(major int) []string {
	var names []string
	for name := range commands[major] {
		if !slices.Contains(aliases, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var aliases = []string{"del", "ls", "hist", "dep", "dependencies"}

// Subcommands returns the subcommands of a command of Helm 2.
func Subcommands(command string) []string {
	switch command {
	case "get":
		return []string{"hooks", "manifest", "notes", "values"}
	case "repo":
		return []string{"add", "index", "list", "remove", "update"}
	case "plugin":
		return []string{"install", "list", "remove", "update"}
	case "dependency", "dep", "dependencies":
		return []string{"build", "list", "update"}
	case "inspect":
		return []string{"chart", "readme", "values"}
	case "completion":
		return []string{"bash", "zsh"}
	}
	return nil
}

// TakesRelease reports whether the first argument of a command of Helm 2 is a
// release's name (k8s.io/helm/cmd/helm, bashCompletionFunc in helm.go).
func TakesRelease(command string) bool {
	return slices.Contains([]string{"delete", "del", "history", "hist", "status", "test", "upgrade", "rollback", "get"}, command)
}

// flag is one of helm's own flags that may stand before the command.
type flag struct {
	name, short string
	boolean     bool
}

// globalFlags are those of all three major versions. An unknown one before the command is
// refused, since it is not known whether the next word is its value or the command.
var globalFlags = []flag{
	{name: "home"}, {name: "host"}, {name: "kube-context"}, {name: "kubeconfig"}, {name: "debug", boolean: true},
	{name: "tiller-namespace"}, {name: "tiller-connection-timeout"},
	{name: "namespace", short: "n"}, {name: "burst-limit"}, {name: "qps"}, {name: "kube-apiserver"},
	{name: "kube-as-group"}, {name: "kube-as-user"}, {name: "kube-ca-file"},
	{name: "kube-insecure-skip-tls-verify", boolean: true}, {name: "kube-tls-server-name"}, {name: "kube-token"},
	{name: "registry-config"}, {name: "repository-cache"}, {name: "repository-config"}, {name: "content-cache"},
	{name: "color"}, {name: "colour"},
}
