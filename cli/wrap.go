package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm-tenant/command"
	"helm-tenant/envvar"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// wrap runs a command of helm's for the caller's tenant. It returns helm's exit
// code where the system can't replace the process.
func (c caller) wrap(ctx context.Context) (int, error) {
	if err := c.loop(); err != nil {
		return 0, err
	}
	client, err := c.helmClient(ctx, false)
	if err != nil {
		return 0, err
	}
	inv, err := c.invocation(ctx, client)
	if err != nil {
		return 0, err
	}
	return c.env.Exec(inv)
}

// invocation is how helm is started for the caller's command.
func (c caller) invocation(ctx context.Context, client helm.Client) (helm.Invocation, error) {
	line := c.call.Line
	class := helm.ClassOf(client.Major, line.Command)
	if class == helm.Local || line.AsksNoTiller() || line.RenderOnly(client.Major) {
		c.noteCreate(class)
		return helm.WrapLocal(client, line, c.env.Environ), nil
	}
	if err := line.Check(class); err != nil {
		return helm.Invocation{}, &usageError{err, "helm tenant [--tenant T] [--context C] COMMAND [ARGUMENT...]"}
	}
	if class == helm.Plugin {
		if err := mistyped(line.Command); err != nil && !helm.PluginInstalled(c.env.lookup, client.Major, line.Command) {
			return helm.Invocation{}, err
		}
	}
	file, _ := line.Typed("kubeconfig")
	k, err := c.kubeconfig(file)
	var resolved tenant.Resolved
	if err == nil {
		resolved, err = c.resolve(ctx, k, line.Tenant, client.Engine(), wrapTimeout)
	}
	if err != nil {
		return c.withoutTenant(client, class, err)
	}
	c.noteDelete(k)
	d, err := c.decide(ctx, c.call, client, k, resolved, wrapTimeout)
	if err != nil {
		return helm.Invocation{}, err
	}
	if d.LeavesOut() && c.debug() {
		visible.Fprintf(c.env.Stderr, "helm-tenant: --create-namespace is left out: namespace %s is the tenant's, and is there\n", d.Namespace)
	}
	return c.start(d, k)
}

// start is the invocation of a decision; in a pod it makes the kubeconfig that Helm 3
// and 4 need there.
func (c caller) start(d helm.Decision, k *tenant.Kubeconfig) (helm.Invocation, error) {
	var file string
	if k.InPod() && d.Tenant.Engine == tenant.EngineImpersonation {
		var err error
		if file, err = k.PodFile(); err != nil {
			return helm.Invocation{}, err
		}
	}
	return d.Invocation(c.env.Environ, file), nil
}

// withoutTenant is what happens to a command for which no tenant is found, and why: how
// it is typed is told to everybody, and a plugin of helm's that may work on files
// alone is run without a cluster.
func (c caller) withoutTenant(client helm.Client, class helm.Class, why error) (helm.Invocation, error) {
	line := c.call.Line
	unresolved, isUnresolved := errors.AsType[*tenant.UnresolvedError](why)
	switch {
	case class != helm.Plugin && (slices.Contains(line.Args, "--help") || slices.Contains(line.Args, "-h")):
		return helm.WrapLocal(client, helm.Line{Command: "help", Args: line.Words()}, c.env.Environ), nil
	case class == helm.Plugin && (isUnresolved || errors.Is(why, tenant.ErrNoKubeconfig)) && !c.call.NamesTenant() &&
		helm.PluginInstalled(c.env.lookup, client.Major, line.Command):
		visible.Fprintf(c.env.Stderr, "helm-tenant: no tenant is known; %s runs without one, and without a cluster\n", line.Command)
		return helm.WrapFileless(client, line, c.env.Environ), nil
	case isUnresolved && removes(line.Command) && len(line.Args) > 0:
		return helm.Invocation{}, withHint(unresolved, hint(line.Command+" is helm's command, for a release; a tenant is removed with: helm tenant destroy TENANT")) // one of helm's commands
	}
	return helm.Invocation{}, why
}

// removes reports whether helm's command of that name removes a release.
func removes(command string) bool {
	return slices.Contains([]string{"delete", "del", "uninstall", "un"}, command)
}

// noteDelete says whose command it is where a tenant's name is given to helm's delete.
func (c caller) noteDelete(k *tenant.Kubeconfig) {
	line := c.call.Line
	if !removes(line.Command) {
		return
	}
	for _, arg := range line.Args {
		if _, known := k.Extension.Find(arg); known {
			visible.Fprintf(c.env.Stderr, "helm-tenant: %s is helm's command: it removes the release %s; the tenant is removed with: %s\n", line.Command, arg, command.Run(command.Tenant("destroy", arg)))
			return
		}
	}
}

// noteCreate says whose command create is.
func (c caller) noteCreate(class helm.Class) {
	if class == helm.Local && c.call.Line.Command == "create" {
		fmt.Fprintln(c.env.Stderr, "helm-tenant: create is helm's command: it makes a chart; a tenant is made with: helm tenant init TENANT")
	}
}

// debug reports whether helm was asked for debugging output.
func (c caller) debug() bool {
	value := c.env.get(envvar.Debug)
	return value != "" && value != "false" && value != "0" || slices.Contains(c.call.Line.Globals, "--debug=true") || slices.Contains(c.call.Line.Args, "--debug")
}

// mistyped returns an error where a word is nearly one of our verbs.
func mistyped(word string) error {
	if len(word) <= 2 || isVerb(word) {
		return nil
	}
	var names []string
	for _, verb := range verbs {
		names = append(names, verb.name)
	}
	// A helm command may begin as a verb of ours does: only the letters count.
	for _, name := range tenant.Near(word, names) {
		if len(name) <= len(word)+2 {
			return withHint(fmt.Errorf("%q is no command of helm's or of helm-tenant's", word), hint("did you mean: helm tenant "+name))
		}
	}
	return nil
}

// tenantHelm is a command of helm's that a verb of ours runs for a tenant. driver is
// where Helm 3 and 4 keep the release records it is about; empty is the caller's
// HELM_DRIVER.
func (s *session) tenantHelm(client helm.Client, line helm.Line, resolved tenant.Resolved, k *tenant.Kubeconfig, driver string) (helm.Invocation, error) {
	if s.kubeconfigFile != "" {
		line.Globals = append(line.Globals, "--kubeconfig="+s.kubeconfigFile)
	}
	// What the environment says about namespace and context is not meant for it.
	call := helm.Call{Line: line, Env: func(string) (string, bool) { return "", false }}
	d, err := call.Decide(client, s.place(k), resolved)
	if err != nil {
		return helm.Invocation{}, err
	}
	inv, err := s.start(d, k)
	if driver != "" {
		inv.Env = slices.DeleteFunc(inv.Env, func(entry string) bool { return strings.HasPrefix(entry, envvar.Driver+"=") })
		inv.Env = append(inv.Env, envvar.Driver+"="+driver)
	}
	return inv, err
}
