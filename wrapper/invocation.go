package wrapper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// Start is how helm is started for a command, with notes for stderr.
type Start struct {
	helm.Invocation
	Notes []string
}

// Say writes the notes, a line each.
func (s Start) Say(w io.Writer) {
	for _, note := range s.Notes {
		visible.Fprintf(w, "helm-tenant: %s\n", note)
	}
}

// LineError reports that a command of helm can't be wrapped as it was typed.
type LineError struct{ Err error }

func (e *LineError) Error() string { return e.Err.Error() }
func (e *LineError) Unwrap() error { return e.Err }

// Start returns how helm is started for the caller's command. Its errors are a
// *LineError, a *MistypedError, and those of Kubeconfig, Resolve and Decide.
func (c Caller) Start(ctx context.Context, client helm.Client, cluster Cluster) (Start, error) {
	line := c.Call.Line
	class := helm.ClassOf(client.Major, line.Command)
	if line.Command == "help" && len(line.Args) > 0 {
		if err := Mistyped(line.Args[0]); err != nil && !helm.PluginInstalled(c.Env.Lookup, client.Major, line.Args[0]) {
			return Start{}, err
		}
	}
	if class == helm.Local || line.AsksNoTiller() || line.RenderOnly(client.Major) {
		start := Start{Invocation: helm.WrapLocal(client, line, c.Env.Environ)}
		if class == helm.Local && line.Command == "create" {
			name := "TENANT"
			if len(line.Args) == 1 && tenant.CheckName(line.Args[0]) == nil {
				name = line.Args[0]
			}
			start.Notes = []string{"create is helm's command: it makes a chart; a tenant is made with: helm tenant init " + name}
		}
		return start, nil
	}
	if err := line.Check(class); err != nil {
		return Start{}, &LineError{err}
	}
	if class == helm.Plugin {
		if err := Mistyped(line.Command); err != nil && !helm.PluginInstalled(c.Env.Lookup, client.Major, line.Command) {
			return Start{}, err
		}
	}
	file, _ := line.Typed("kubeconfig")
	k, err := c.Kubeconfig(file)
	var resolved tenant.Resolved
	if err == nil {
		resolved, err = c.Resolve(ctx, k, line.Tenant, client.Engine(), cluster)
	}
	if err != nil {
		return c.withoutTenant(client, class, err)
	}
	d, err := c.Decide(ctx, c.Call, client, k, resolved, cluster)
	if err != nil {
		return Start{Notes: c.noteDelete(k)}, err
	}
	start := Start{Notes: append(c.noteDelete(k), noteWords(class, line)...)}
	for _, setting := range d.Ignored {
		start.Notes = append(start.Notes, "Helm 2 does not know, and ignores, "+setting)
	}
	if d.LeavesOut() && c.Debug() {
		start.Notes = append(start.Notes, fmt.Sprintf("--create-namespace is left out: namespace %s is the tenant's, and is there", d.Namespace))
	}
	if class != helm.Plugin && !asksHelp(line) { // a plugin may not ask the API server
		if err := k.CheckPlugin(); err != nil {
			return Start{}, fmt.Errorf("%s: %w", k.Where(), err)
		}
	}
	start.Invocation, err = c.Invocation(d, k)
	return start, err
}

func asksHelp(line helm.Line) bool {
	return slices.Contains(line.Args, "--help") || slices.Contains(line.Args, "-h")
}

// Invocation returns how helm is started by a decision. In a pod it writes the kubeconfig
// that Helm 3 and 4 need there.
func (c Caller) Invocation(d helm.Decision, k *tenant.Kubeconfig) (helm.Invocation, error) {
	if err := k.CheckReadAgain(); err != nil {
		return helm.Invocation{}, err
	}
	if err := k.CheckCluster(); err != nil {
		return helm.Invocation{}, failure.In("", k.Where()).Wrap(err)
	}
	var file string
	if k.InPod() && d.Tenant.Engine == tenant.EngineImpersonation {
		var err error
		if file, err = k.PodFile(); err != nil {
			return helm.Invocation{}, err
		}
	}
	return d.Invocation(c.Env.Environ, file), nil
}

// withoutTenant decides about a command without a tenant; why is the reason that none was
// found. Most commands are refused, and a helm plugin that may work on files alone is run
// without a cluster.
func (c Caller) withoutTenant(client helm.Client, class helm.Class, why error) (Start, error) {
	line := c.Call.Line
	_, isUnresolved := errors.AsType[*tenant.UnresolvedError](why)
	switch {
	case class != helm.Plugin && asksHelp(line):
		return Start{Invocation: helm.WrapLocal(client, helm.Line{Command: "help", Args: line.Words()}, c.Env.Environ)}, nil
	case class == helm.Plugin && (isUnresolved || errors.Is(why, tenant.ErrNoKubeconfig)) && !c.Call.NamesTenant() &&
		helm.PluginInstalled(c.Env.Lookup, client.Major, line.Command):
		return Start{helm.WrapFileless(client, line, c.Env.Environ), []string{"no tenant is known; " + line.Command + " runs without one, and without a cluster"}}, nil
	}
	return Start{}, why
}

// Removes reports whether helm's command of that name removes a release.
func Removes(command string) bool {
	return slices.Contains([]string{"delete", "del", "uninstall", "un"}, command)
}

// noteWords notes where our flags, and the list of tenants, are to be typed: helm itself only says
// what it does not know, or prints its help.
func noteWords(class helm.Class, line helm.Line) []string {
	if class == helm.Plugin {
		return nil // it may have flags of these names
	}
	var notes []string
	for _, flag := range []string{"tenant", "context"} {
		if _, given := (helm.Line{Args: line.Args}).Typed(flag); given {
			notes = append(notes, fmt.Sprintf("--%s goes before the command: helm tenant --%s NAME %s ...", flag, flag, line.Command))
		}
	}
	if slices.Contains([]string{"get", "list", "ls"}, line.Command) && len(line.Args) > 0 && slices.Contains([]string{"tenant", "tenants"}, line.Args[0]) {
		notes = append(notes, line.Command+" is helm's command, for releases; tenants are listed with: helm tenant tenants")
	}
	return notes
}

// noteDelete notes whose command helm's delete is if its argument is a tenant's name.
func (c Caller) noteDelete(k *tenant.Kubeconfig) []string {
	line := c.Call.Line
	if !Removes(line.Command) {
		return nil
	}
	for _, arg := range line.Args {
		if _, known := k.Extension.Find(arg); known {
			return []string{fmt.Sprintf("%s is helm's command: it removes the release %s; the tenant is removed with: %s", line.Command, arg, command.Run(command.Tenant("destroy", arg)))}
		}
	}
	return nil
}
