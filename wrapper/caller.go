package wrapper

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"helm-tenant/envvar"
	"helm-tenant/helm"
	"helm-tenant/tenant"
)

// Caller is the caller and what it said about where the call goes.
type Caller struct {
	Env  Environment
	Call helm.Call
}

// New reads the arguments and helm's own command line. The error is that of a command
// line that can't be parsed.
func New(env Environment) (Caller, error) {
	call, err := helm.ReadCall(env.Args, env.Lookup, helm.Parent{
		CommandLine: func() ([]string, error) { return env.CommandLine(env.ParentPID) },
		Environ:     func() ([]string, error) { return helm.EnvironOf(env.ParentPID) },
	})
	return Caller{env, call}, err
}

// Kubeconfig loads the requested context from a file, or from where kubectl finds it;
// contexts are further flags that name one. A *helm.HiddenError reports that helm may
// have removed a flag that names another context.
func (c Caller) Kubeconfig(file string, contexts ...string) (*tenant.Kubeconfig, error) {
	name, err := c.Call.Context(contexts...)
	if err != nil {
		return nil, err
	}
	k, err := tenant.LoadKubeconfig(c.Env.Environ, file, name)
	if err != nil {
		return nil, err
	}
	k.TLS = c.Call.TLS()
	return k, nil
}

// HelmClient returns the wrapped helm. For a plugin the major version is known without
// asking helm; the exact version is asked for if exact is set.
func (c Caller) HelmClient(ctx context.Context, exact bool) (helm.Client, error) {
	path, err := helm.Find(c.Env.Lookup, c.Env.Executable)
	if err != nil {
		return helm.Client{}, err
	}
	if c.Call.Plugin != 0 && !exact {
		return helm.Client{Path: path, Major: c.Call.Plugin}, nil
	}
	client, err := helm.Identify(ctx, c.Env.Environ, path)
	if err != nil {
		return helm.Client{}, err
	}
	return client, client.Check()
}

var errLoop = errors.New("the helm that was found starts helm-tenant again")

// Loop returns errLoop if our own process id, or our parent's, is the one that last
// started a helm.
func (c Caller) Loop() error {
	starter := c.Env.Get(envvar.Starter)
	if starter == "" || c.Call.Plugin != 0 {
		return nil
	}
	if starter == envvar.StarterAsks || starter == fmt.Sprint(c.Env.PID) || starter == fmt.Sprint(c.Env.ParentPID) {
		return errLoop
	}
	return nil
}

// Debug reports whether helm was asked for debugging output.
func (c Caller) Debug() bool {
	value := c.Env.Get(envvar.Debug)
	return value != "" && value != "false" && value != "0" || slices.Contains(c.Call.Line.Globals, "--debug=true") || slices.Contains(c.Call.Line.Args, "--debug")
}

// Place returns the settings of k that decide where a call goes.
func (c Caller) Place(k *tenant.Kubeconfig) helm.Place {
	place := helm.Place{Context: k.Context, Namespace: k.Namespace, User: k.User}
	place.As, place.Impersonates = k.Impersonates()
	place.Helm2 = k.Helm2Limits(c.Env.Get(envvar.HTTPSProxy) != "" || c.Env.Get(envvar.HTTPSProxyLow) != "")
	if c.Call.Plugin > 2 {
		place.OuterNamespace = k.NamespaceOf(c.Env.Get(envvar.KubeContext))
	}
	return place
}

// Cluster answers what the caller's files do not contain.
type Cluster interface {
	// NamespaceLabels reads the labels and annotations of the context's namespace, which
	// name its tenant.
	NamespaceLabels(ctx context.Context, k *tenant.Kubeconfig, namespace string) (labels, annotations map[string]string, err error)
	// ReadNamespaces completes a tenant from its record. The error is a *NoRecordError
	// unless the caller gave up, or two homes have a record.
	ReadNamespaces(ctx context.Context, k *tenant.Kubeconfig, r tenant.Resolved) (tenant.Resolved, error)
	// CheckHomes refuses a tenant if more than one of these homes has a record of it.
	CheckHomes(ctx context.Context, k *tenant.Kubeconfig, homes []string) error
}

// NoRecordError reports that no record of a tenant could be read: it is missing, it is that
// of another tenant, the caller may not read it, or the API server did not answer.
type NoRecordError struct{ Err error }

func (e *NoRecordError) Error() string { return e.Err.Error() }

func (e *NoRecordError) Unwrap() error { return e.Err }

// Resolve finds the tenant of a call: the one in flag, or the one of the environment and
// kubeconfig. The error is that of tenant.Kubeconfig's Resolve.
func (c Caller) Resolve(ctx context.Context, k *tenant.Kubeconfig, flag string, engine tenant.Engine, cluster Cluster) (tenant.Resolved, error) {
	return k.Resolve(ctx, c.Call.Asked(flag, engine), func(ctx context.Context, namespace string) (map[string]string, map[string]string, error) {
		return cluster.NamespaceLabels(ctx, k, namespace)
	})
}

// Decide decides where a call for the resolved tenant goes. For a tenant that is only
// named the cluster is asked for its record if the command needs the tenant's namespaces, or
// if two namespaces may be its home by convention.
func (c Caller) Decide(ctx context.Context, call helm.Call, client helm.Client, k *tenant.Kubeconfig, r tenant.Resolved, cluster Cluster) (helm.Decision, error) {
	place := c.Place(k)
	d, err := call.Decide(client, place, r)
	if unknown, ok := errors.AsType[*helm.NamespacesUnknownError](err); ok {
		known, failed := cluster.ReadNamespaces(ctx, k, r)
		_, none := errors.AsType[*NoRecordError](failed)
		switch {
		case failed == nil:
			return call.Decide(client, place, known)
		case none && unknown.Without != nil:
			return *unknown.Without, nil
		}
		return helm.Decision{}, failed
	}
	if homes := HomesOf(k, r); err == nil && len(homes) > 1 && r.Rule != tenant.RuleNamespaceLabel {
		err = cluster.CheckHomes(ctx, k, homes)
	}
	return d, err
}

// HomesOf returns the namespaces in which the record of a tenant may be: a tenant that
// was moved from one engine to the other kept its home.
func HomesOf(k *tenant.Kubeconfig, r tenant.Resolved) []string {
	_, known := k.Extension.Find(r.Name)
	if r.Name == "" || known || r.Home != r.Engine.ConventionalHome(r.Name) {
		return []string{r.Home}
	}
	return []string{r.Home, r.Engine.Other().ConventionalHome(r.Name)}
}
