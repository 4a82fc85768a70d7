package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/cluster"
	"helm-tenant/envvar"
	"helm-tenant/helm"
	"helm-tenant/tenant"
)

// caller is who calls, and what they said about where the call goes.
type caller struct {
	env  Environment
	call helm.Call
}

func newCaller(env Environment) (caller, error) {
	call, err := helm.ReadCall(env.Args, env.lookup, helm.Parent{
		CommandLine: func() ([]string, error) { return env.CommandLine(env.ParentPID) },
		Environ:     func() ([]string, error) { return helm.EnvironOf(env.ParentPID) },
	})
	return caller{env, call}, err
}

// kubeconfig loads the context that is meant; contexts are further flags that name one.
func (c caller) kubeconfig(file string, contexts ...string) (*tenant.Kubeconfig, error) {
	name, err := c.call.Context(contexts...)
	if err != nil {
		return nil, explainHidden(err)
	}
	k, err := tenant.LoadKubeconfig(file, name)
	if err != nil {
		return nil, err
	}
	k.TLS = c.call.TLS()
	return k, nil
}

// explainHidden adds what to type where helm may have hidden a flag from us.
func explainHidden(err error) error {
	hidden, found := errors.AsType[*helm.HiddenError](err)
	switch {
	case !found:
		return err
	case hidden.Flag == "--namespace":
		return withHint(err, "name the namespace: helm-tenant --namespace NAMESPACE COMMAND")
	}
	return withHint(err, "name the context: helm tenant --context CONTEXT COMMAND")
}

// helmClient is the helm that is wrapped. As a plugin the major version is
// known without asking; the version itself is asked for where exact is set.
func (c caller) helmClient(ctx context.Context, exact bool) (helm.Client, error) {
	path, err := helm.Find(c.env.lookup, c.env.Executable)
	if err != nil {
		return helm.Client{}, err
	}
	if c.call.Plugin != 0 && !exact {
		return helm.Client{Path: path, Major: c.call.Plugin}, nil
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
	starter := c.env.get(envvar.Starter)
	if starter == "" || c.call.Plugin != 0 {
		return nil
	}
	if starter == envvar.StarterAsks || starter == fmt.Sprint(c.env.PID) || starter == fmt.Sprint(c.env.ParentPID) {
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
	return k.Resolve(ctx, c.call.Asked(flag, engine), func(ctx context.Context, namespace string) (map[string]string, map[string]string, error) {
		client, err := c.connect(k, timeout)
		if err != nil {
			return nil, nil, err
		}
		return client.NamespaceLabels(ctx, namespace)
	})
}

// place is what k says about where a call goes.
func (c caller) place(k *tenant.Kubeconfig) helm.Place {
	at := helm.Place{Context: k.Context, Namespace: k.Namespace, User: k.User}
	at.As, at.Impersonates = k.Impersonates()
	if c.call.Plugin > 2 {
		at.OuterNamespace = k.NamespaceOf(c.env.get(envvar.KubeContext))
	}
	return at
}

// decide answers where a call for the resolved tenant goes. For a tenant that is only
// named it asks the namespaces in which its home may be by convention, and reads its record
// where the command needs a namespace: at most two requests.
func (c caller) decide(ctx context.Context, call helm.Call, client helm.Client, k *tenant.Kubeconfig, r tenant.Resolved, timeout time.Duration) (helm.Decision, error) {
	at := c.place(k)
	d, err := call.Decide(client, at, r)
	if _, unknown := errors.AsType[*helm.NamespacesUnknownError](err); unknown {
		if r, err = c.readNamespaces(ctx, k, r, timeout); err == nil {
			d, err = call.Decide(client, at, r)
		}
	} else if err == nil {
		err = c.checkHomes(ctx, k, r, timeout)
	}
	if _, everywhere := errors.AsType[*helm.EverywhereError](err); everywhere {
		return d, withHint(err, "the releases in all of the tenant's namespaces: helm tenant releases")
	}
	if read, isReader := errors.AsType[*helm.ReaderError](err); isReader {
		hints := []hint{"ask an admin to make you a member, then say it once: helm tenant use TENANT"}
		if read.DryRun {
			hints = append(hints, "what it would do: add --dry-run")
		}
		return d, withHint(err, hints...)
	}
	return d, explainHidden(err)
}

// checkHomes refuses a tenant that is only named where both namespaces have a record of it in
// which its home may be by convention: whoever may create namespaces can make one of them. A
// record that can't be read refuses nothing: helm says what its caller may not do.
func (c caller) checkHomes(ctx context.Context, k *tenant.Kubeconfig, r tenant.Resolved, timeout time.Duration) error {
	homes := c.homesOf(k, r)
	if len(homes) < 2 || r.Rule == tenant.RuleNamespaceLabel {
		return nil
	}
	client, err := c.connect(k, timeout)
	if err != nil {
		return nil // helm says so
	}
	_, _, err = findRecord(ctx, client, homes)
	if two, is := errors.AsType[*twoHomesError](err); is {
		return explainTwoHomes(k, two)
	}
	return nil
}

// explainTwoHomes adds where that is, and what to type when an admin has said which home is
// the tenant's.
func explainTwoHomes(k *tenant.Kubeconfig, two *twoHomesError) error {
	return withHint(fmt.Errorf("%s: %w", k.Where(), two), hint("then: helm tenant use "+two.records[0].Name+" --home-namespace NAMESPACE")) // a valid name
}

// readNamespaces completes a tenant by its record.
func (c caller) readNamespaces(ctx context.Context, k *tenant.Kubeconfig, r tenant.Resolved, timeout time.Duration) (tenant.Resolved, error) {
	name := "the tenant in " + r.Home
	if r.Name != "" {
		name = fmt.Sprintf("tenant %q", r.Name)
	}
	hints := []hint{"name the namespace: helm tenant COMMAND -n NAMESPACE"}
	if r.Engine == tenant.EngineTiller {
		hints = []hint{"name the namespace: helm tenant COMMAND --namespace NAMESPACE (-n where helm takes it so)"}
	}
	client, err := c.connect(k, timeout)
	if err != nil {
		return r, err
	}
	home, record, err := findRecord(ctx, client, c.homesOf(k, r))
	if two, is := errors.AsType[*twoHomesError](err); is {
		return r, explainTwoHomes(k, two)
	}
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return r, withHint(fmt.Errorf("the namespaces of %s are not known: you are no member, or there is no such tenant: %w", name, err), hints...)
	case err != nil:
		return r, withHint(fmt.Errorf("the namespaces of %s are not known: %w", name, err), hints...)
	case r.Name != "" && record.Name != r.Name, record.Home() != home:
		return r, withHint(fmt.Errorf("the record in namespace %q of %s is that of tenant %q with the home %q, not of %s", home, k.Where(), record.Name, record.Home(), name), hints...)
	}
	return r.WithRecord(home, record), nil
}

// homesOf are the namespaces in which the record of a tenant may be: where it was
// moved from one engine to the other it kept its home.
func (c caller) homesOf(k *tenant.Kubeconfig, r tenant.Resolved) []string {
	_, known := k.Extension.Find(r.Name)
	if r.Name == "" || known || r.Home != r.Engine.ConventionalHome(r.Name) {
		return []string{r.Home}
	}
	return []string{r.Home, otherEngine(r.Engine).ConventionalHome(r.Name)}
}
