package helm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm-tenant/tenant"
)

// Markers in the environment of the helm that is started.
const (
	// VarContext tells our own later calls, made by a plugin of helm's, which
	// context was meant; Helm 3 and 4 use the same name.
	VarContext = "HELM_KUBECONTEXT"
	// VarStarter is the process id of the helm-tenant that started helm. The
	// process is replaced by helm, so a helm that is helm-tenant again finds
	// its own id in it.
	VarStarter = "HELM_TENANT_STARTER"
	// StarterAsks stands in VarStarter where a helm is only asked for its
	// version: no helm that is one starts helm-tenant then.
	StarterAsks = "version"
)

// Invocation is what the operating system is told to start.
type Invocation struct {
	Path string
	Args []string // without the program's name
	Env  []string
}

// Wrap makes the invocation of a command for the resolved tenant. environ is
// the caller's environment; contextNamespace is that of the context. The
// arguments from the helm command on stay as they were typed.
func Wrap(client Client, line Line, r tenant.Resolved, kubeContext, contextNamespace string, environ []string) (Invocation, error) {
	if client.Engine() != r.Engine {
		return Invocation{}, wrongEngine(client, r)
	}
	if r.Engine != tenant.EngineTiller {
		return Invocation{}, fmt.Errorf("%s is Helm %d, and this version of helm-tenant works with tenants' Tillers only: set HELM_BIN to a Helm 2.17", client.Path, client.Major)
	}
	if _, given := line.Typed("host"); given {
		return Invocation{}, errors.New("--host goes around the tenant's own Tiller; leave it out, or run helm itself")
	}
	// One word each: cobra takes the first word that equals the command's name
	// for the command, and a namespace may be called "install".
	args := []string{"--tiller-namespace=" + r.Home}
	if kubeContext != "" {
		args = append(args, "--kube-context="+kubeContext)
	}
	args = append(args, line.Globals...)
	if ClassOf(client.Major, line.Command) == Namespaced && !line.TypedNamespace(client.Major) {
		if ns := r.NamespaceFor(contextNamespace); ns != "" {
			args = append(args, "--namespace="+ns)
		}
	}
	args = append(args, line.Command)
	args = append(args, line.Args...)

	env := Scrub(environ)
	env = append(env, "TILLER_NAMESPACE="+r.Home)
	if kubeContext != "" {
		env = append(env, VarContext+"="+kubeContext)
	}
	if r.Name != "" {
		env = append(env, "HELM_TENANT="+r.Name)
	}
	return Invocation{Path: client.Path, Args: args, Env: env}, nil
}

// WrapLocal makes the invocation of a command that needs no tenant.
func WrapLocal(client Client, line Line, environ []string) Invocation {
	args := append(append([]string{}, line.Globals...), line.Command)
	return Invocation{Path: client.Path, Args: append(args, line.Args...), Env: environ}
}

func wrongEngine(client Client, r tenant.Resolved) error {
	whose := fmt.Sprintf("the tenant in %q", r.Home)
	if r.Name != "" {
		whose = fmt.Sprintf("tenant %q", r.Name)
	}
	if r.Engine == tenant.EngineTiller {
		return fmt.Errorf("%s has a Tiller, which only Helm 2 can talk to, but %s is Helm %d: set HELM_BIN to a Helm 2.17", whose, client.Path, client.Major)
	}
	return fmt.Errorf("%s is for Helm 3 and 4, but %s is Helm %d: set HELM_BIN to a Helm 3 or 4", whose, client.Path, client.Major)
}

// scrubbed are the variables that must not reach the wrapped helm: an address
// that goes around the tunnel, what the outer helm said to us as its plugin,
// and what is set anew.
var scrubbed = []string{"HELM_HOST", "TILLER_HOST", "TILLER_NAMESPACE", "HELM_PLUGIN_NAME", "HELM_PLUGIN_DIR", "HELM_TENANT", VarContext}

// started returns the environment of a helm that process pid starts. Of two
// entries of one name, programs take the first or the last: there must be one.
func started(environ []string, pid int) []string {
	kept := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, VarStarter+"=") })
	return append(kept, fmt.Sprintf("%s=%d", VarStarter, pid))
}

// Scrub returns the environment without what must not reach the wrapped helm.
func Scrub(environ []string) []string {
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
