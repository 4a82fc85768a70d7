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
//
// Errors: a client that does not fit the tenant's engine, or flags that go
// around the tenant's deployer.
func Wrap(client Client, line Line, r tenant.Resolved, kubeContext, contextNamespace string, environ []string) (Invocation, error) {
	if client.Engine() != r.Engine {
		return Invocation{}, wrongEngine(client, r)
	}
	// One word each: cobra takes the first word that equals the command's name
	// for the command, and a namespace may be called "install".
	var args, env []string
	if r.Engine == tenant.EngineTiller {
		if _, given := line.Typed("host"); given || line.Outer.Host != "" {
			return Invocation{}, errors.New("--host goes around the tenant's own Tiller; leave it out, or run helm itself")
		}
		args = []string{"--tiller-namespace=" + r.Home}
		env = append(Scrub(environ), "TILLER_NAMESPACE="+r.Home)
	} else {
		if what := line.Identity(); what != "" {
			return Invocation{}, fmt.Errorf("%s says who acts, or where, but the tenant decides that: its service account %q in namespace %q acts; leave it out, or run helm itself", what, tenant.HelmAccount, r.Home)
		}
		if _, given := line.Typed("tiller-namespace"); given {
			return Invocation{}, errors.New("--tiller-namespace is Helm 2's; name the tenant: --tenant TENANT")
		}
		// No group: that would need rights over the whole cluster. Where none is
		// named the API server adds the account's own.
		args = []string{"--kube-as-user=" + r.DeployerUser()}
		env = scrubIdentity(Scrub(environ))
	}
	if kubeContext != "" {
		args = append(args, "--kube-context="+kubeContext)
		env = append(env, VarContext+"="+kubeContext)
	}
	args = append(args, line.Outer.Connection...)
	args = append(args, line.Globals...)
	if ns := namespaceFor(client, line, r, contextNamespace); ns != "" {
		args = append(args, "--namespace="+ns)
	}
	args = append(append(args, line.Command), line.Args...)
	if r.Name != "" {
		env = append(env, "HELM_TENANT="+r.Name)
	}
	return Invocation{Path: client.Path, Args: args, Env: env}, nil
}

// namespaceFor is the namespace that helm must be told: none where the user
// typed one after the command, or where the context's own is right.
func namespaceFor(client Client, line Line, r tenant.Resolved, contextNamespace string) string {
	class := ClassOf(client.Major, line.Command)
	switch {
	case line.TypedNamespace(client.Major):
		return ""
	case line.Namespace != "":
		return line.Namespace
	case class == Namespaced, class == Plugin && client.Major > 2:
		return r.NamespaceFor(contextNamespace)
	}
	return ""
}

// scrubIdentity takes out what a helm resolved for its plugin: who acts, how the
// API server is reached, and a namespace. What of it somebody named is set anew.
func scrubIdentity(environ []string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool {
		return strings.HasPrefix(entry, "HELM_KUBE") || strings.HasPrefix(entry, "HELM_NAMESPACE=")
	})
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
		return fmt.Errorf("%s has a Tiller, which only Helm 2 can talk to, but %s is Helm %d: set HELM_BIN to a Helm 2.17, or, if the tenant was moved to Helm 3, say it once: helm tenant use TENANT", whose, client.Path, client.Major)
	}
	return fmt.Errorf("%s is for Helm 3 and 4, but %s is Helm %d: set HELM_BIN to a Helm 3 or 4, or, if the tenant has a Tiller by now, say it once: helm tenant use TENANT", whose, client.Path, client.Major)
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
