package helm

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"helm-tenant/envvar"
)

// Invocation is a program to start.
type Invocation struct {
	Path string
	Args []string // without the program's name
	Env  []string
}

// scrubIdentity removes the variables for the identity and the namespace, which an outer
// helm exports. Those for the API server's certificate stay.
func scrubIdentity(environ []string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		return name == envvar.Namespace || strings.HasPrefix(name, envvar.KubePrefix) && (value == "" || !slices.Contains(tlsVariables, name))
	})
}

// tlsVariables set how the API server's certificate is checked.
var tlsVariables = []string{envvar.KubeCAFile, envvar.KubeServerName, envvar.KubeInsecure}

// WrapLocal returns the invocation of a command that needs no tenant.
func WrapLocal(client Client, line Line, environ []string) Invocation {
	args := append(append([]string{}, line.Globals...), line.Command)
	return Invocation{Path: client.Path, Args: append(args, line.Args...), Env: environ}
}

// WrapFileless returns the invocation of a helm plugin that works on files. It gets no
// tenant, and so no cluster either: it must never act as the member.
func WrapFileless(client Client, line Line, environ []string) Invocation {
	inv := WrapLocal(client, line, scrub(environ))
	inv.Env = slices.DeleteFunc(inv.Env, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == envvar.Kubeconfig || name == envvar.Namespace || strings.HasPrefix(name, envvar.KubePrefix) || strings.HasPrefix(name, envvar.ServicePrefix)
	})
	inv.Env = append(inv.Env, envvar.Kubeconfig+"="+os.DevNull)
	return inv
}

// scrubbed are the variables that must not reach the wrapped helm: an address that
// bypasses the tunnel, what the outer helm set for us as its plugin, and what helm-tenant
// sets itself.
var scrubbed = []string{envvar.Host, envvar.TillerHost, envvar.TillerNamespace, envvar.PluginName, envvar.PluginDir, envvar.Tenant, envvar.KubeContext}

// started returns the environment of a helm that process pid starts. Programs use the
// first or the last of two entries with the same name, so there must be one.
func started(environ []string, pid int) []string {
	kept := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, envvar.Starter+"=") })
	return append(kept, fmt.Sprintf("%s=%d", envvar.Starter, pid))
}

// scrub returns the environment without the variables that must not reach the wrapped
// helm.
func scrub(environ []string) []string {
	var kept []string
next:
	for _, entry := range environ {
		for _, name := range scrubbed {
			if strings.HasPrefix(entry, name+"=") {
				continue next
			}
		}
		kept = append(kept, entry)
	}
	return kept
}
