// Package helm describes the wrapped client: where its binary is and which major version
// it has, what each of its commands needs, how it is started, and what its user typed.
package helm

import (
	"fmt"
	"slices"
	"strconv"

	"helm-tenant/tenant"
)

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

// writers are the commands of Helm 3 and 4 that change a release or its objects, with
// their aliases. A test checks that every command of helm is here or in readers.
var writers = []string{"install", "upgrade", "uninstall", "delete", "del", "un", "rollback", "test"}

// readers are the commands that only read.
var readers = []string{"list", "ls", "status", "get", "history", "hist", "template"}

// ReaderError refuses a command that changes something to a reader of the tenant.
type ReaderError struct {
	Tenant  tenant.Resolved
	Command string
	// DryRun reports whether the command has a dry run, which a reader may make.
	DryRun bool
}

func (e *ReaderError) Error() string {
	return fmt.Sprintf("you may read %s, and helm %s changes it", describeTenant(e.Tenant), e.Command)
}

// checkReader refuses what a reader of the tenant may not do. It is only for a better
// message: the readers' account can change nothing anyway. So commands of plugins are
// passed on.
func (c Call) checkReader(client Client, r tenant.Resolved) error {
	if !r.Reader {
		return nil
	}
	if client.Major == 2 {
		return fmt.Errorf("you may read %s, and by Helm 3 or 4 only: a Tiller can't tell readers from writers", describeTenant(r))
	}
	command := c.Line.Command
	if !slices.Contains(writers, command) || c.Line.changesNothing(client.Major) {
		return nil
	}
	return &ReaderError{Tenant: r, Command: command, DryRun: command != "test"}
}

// changesNothing reports whether a command of Helm 3 or 4 is a dry run, or asks for help.
func (l Line) changesNothing(major int) bool {
	table, known := writerFlags(major, l.Command)
	uses, _ := table.scan(l.Args)
	dry := false
	for _, use := range uses {
		switch use.name {
		case "help":
			if use.isTrue() {
				return true
			}
		case "dry-run":
			dry = known && use.isDryRun()
		}
	}
	return dry
}

// isDryRun reports whether helm takes the value of --dry-run for a dry run: for some
// commands it is a boolean, for others an optional word.
func (u flagUse) isDryRun() bool {
	if !u.joined {
		return true
	}
	switch u.value {
	case "client", "server", "unset":
		return true
	}
	value, err := strconv.ParseBool(u.value)
	return err == nil && value
}

// writerFlags returns the flags of a writing command of Helm 3 and 4; known is false for
// one that has no dry run.
func writerFlags(major int, command string) (table flagTable, known bool) {
	switch command {
	case "install", "upgrade":
		return deployFlags(major, command), true
	case "uninstall", "delete", "del", "un":
		return globalTable().with("dry-run ignore-not-found keep-history no-hooks wait", "cascade description timeout", nil), true
	case "rollback":
		return globalTable().with("cleanup-on-fail dry-run force force-conflicts force-replace no-hooks recreate-pods wait wait-for-jobs",
			"description history-max server-side timeout", nil), true
	}
	return globalTable().with("hide-notes logs", "filter timeout", nil), false // test's
}
