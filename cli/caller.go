package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"helm-tenant/cluster"
	"helm-tenant/helm"
	"helm-tenant/tenant"
)

// caller is who calls: from which helm, with what typed, meaning which context.
type caller struct {
	env  Environment
	line helm.Line
	// plugin is the major version of the helm whose plugin we run as, else 0.
	plugin int
	// hidden is why it can't be known what that helm took out of our arguments,
	// nil where it is known.
	hidden error
}

func newCaller(env Environment, line helm.Line) caller {
	c := caller{env: env, line: line, plugin: helm.PluginOf(env.lookup)}
	if c.plugin == 0 {
		return c
	}
	parent, err := env.CommandLine(env.ParentPID)
	if err == nil {
		c.line.Outer, err = helm.ReadParent(c.plugin, parent, env.get("HELM_BIN"), env.get("HELM_PLUGIN_NAME"), env.Args)
	}
	c.hidden = err
	return c
}

// contextName is the kubeconfig context that is meant, empty for the current
// one. typed are the values of --context and --kube-context among our own
// arguments. Where the caller may have named one that can't be seen, it is an
// error: another cluster than the one that was named must never be reached.
func (c caller) contextName(typed ...string) (string, error) {
	named := append(slices.Clone(typed), c.line.Outer.KubeContext)
	named = slices.DeleteFunc(named, func(name string) bool { return name == "" })
	slices.Sort(named)
	named = slices.Compact(named)
	if len(named) > 1 {
		return "", fmt.Errorf("two contexts are named, %s: give only one", strings.Join(named, " and "))
	}
	if len(named) == 1 {
		return named[0], nil
	}
	// One that a user's shell exports is less than one that was typed, which
	// may be hidden; one of our own is what was typed at first.
	// Helm 3 and 4 put what was typed there.
	hidden := c.hidden != nil && c.plugin == 2
	if name := c.env.get(helm.VarContext); name != "" && (!hidden || c.env.get(helm.VarStarter) != "") {
		return name, nil
	}
	if hidden {
		return "", withHint(fmt.Errorf("helm 2 takes --kube-context out of a plugin's arguments, and whether one was typed can't be seen: %w", c.hidden),
			"name the context: helm tenant --context CONTEXT COMMAND")
	}
	return "", nil
}

// kubeconfig loads the context that is meant.
func (c caller) kubeconfig(file string, typed ...string) (*tenant.Kubeconfig, error) {
	name, err := c.contextName(typed...)
	if err != nil {
		return nil, err
	}
	return tenant.LoadKubeconfig(file, name)
}

// asked is what the caller said about the tenant.
func (c caller) asked(flag string, engine tenant.Engine) tenant.Asked {
	asked := tenant.Asked{Flag: flag, Environment: c.env.get("HELM_TENANT"), Engine: engine}
	if engine != tenant.EngineTiller {
		return asked // what is said of a Tiller's namespace is Helm 2's alone
	}
	asked.TypedTillerNamespace, _ = c.line.Typed("tiller-namespace")
	if c.line.Outer.TillerNamespace != "" {
		asked.TypedTillerNamespace = c.line.Outer.TillerNamespace
	}
	asked.TillerNamespace = c.env.get("TILLER_NAMESPACE")
	if c.plugin == 2 && asked.TillerNamespace == "kube-system" {
		// Helm 2 always sets it; this is its default, not what anybody said.
		asked.TillerNamespace = ""
	}
	return asked
}

// helmClient is the helm that is wrapped. As a plugin the major version is
// known without asking; the version itself is asked for where exact is set.
func (c caller) helmClient(ctx context.Context, exact bool) (helm.Client, error) {
	path, err := helm.Find(c.env.lookup, c.env.Executable)
	if err != nil {
		return helm.Client{}, err
	}
	if c.plugin != 0 && !exact {
		return helm.Client{Path: path, Major: c.plugin}, nil
	}
	client, err := helm.Identify(ctx, path)
	if err != nil {
		return helm.Client{}, err
	}
	return client, client.Check()
}

// loop says whether the helm that we found led back to us: our own process id,
// or our parent's, is the one that last started a helm.
func (c caller) loop() error {
	starter := c.env.get(helm.VarStarter)
	if starter == "" || c.plugin != 0 {
		return nil
	}
	if starter == helm.StarterAsks || starter == fmt.Sprint(c.env.PID) || starter == fmt.Sprint(c.env.ParentPID) {
		return withHint(errors.New("the helm that was found starts helm-tenant again"), "set HELM_BIN to the path of the real helm")
	}
	return nil
}

// connect makes a client of the API server of k.
func (c caller) connect(k *tenant.Kubeconfig, timeout time.Duration) (*cluster.Client, error) {
	return cluster.Connect(k, "helm-tenant/"+version(), timeout)
}

// wrapTimeout is how long the API server may take to say what the context does not:
// which tenant its namespace is of.
const wrapTimeout = 15 * time.Second

// resolve finds the tenant that is meant; one request to the API server, should it
// take any, may take as long as timeout.
func (c caller) resolve(ctx context.Context, k *tenant.Kubeconfig, flag string, engine tenant.Engine, timeout time.Duration) (tenant.Resolved, error) {
	return k.Resolve(ctx, c.asked(flag, engine), func(ctx context.Context, namespace string) (map[string]string, map[string]string, error) {
		client, err := c.connect(k, timeout)
		if err != nil {
			return nil, nil, err
		}
		return client.NamespaceLabels(ctx, namespace)
	})
}

// namespaceNamed is the namespace that the caller named beside the arguments, as
// Helm 3 and 4 know it: in the environment, or to the helm that started us, which
// takes it out of our arguments and always exports one, named or not. needed says
// whether it matters; where it does and can't be known, it is an error. One that
// shellenv exported for another tenant than the resolved one is not meant.
func (c caller) namespaceNamed(k *tenant.Kubeconfig, resolved tenant.Resolved, needed bool) (string, error) {
	exported := c.env.get("HELM_NAMESPACE")
	other := c.env.get("HELM_TENANT")
	switch {
	case c.line.Outer.Namespace:
		return exported, nil
	case c.hidden == nil && other != "" && other != resolved.Name:
		return "", nil
	case c.plugin == 0:
		return exported, nil
	case exported != k.NamespaceOf(c.env.get(helm.VarContext)):
		return exported, nil // not what helm took from the context
	case c.hidden != nil && needed:
		return "", withHint(fmt.Errorf("helm takes --namespace out of a plugin's arguments, and whether one was typed can't be seen: %w", c.hidden),
			"name the namespace: helm-tenant --namespace NAMESPACE COMMAND")
	}
	return "", nil
}
