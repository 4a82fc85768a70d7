package helm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm-tenant/envvar"
	"helm-tenant/tenant"
)

// Place is what the kubeconfig says about the context that a call is for.
type Place struct {
	// Context is the context's name; empty in a pod without a kubeconfig.
	Context string
	// Namespace is that of the context, or of the pod.
	Namespace string
	// OuterNamespace is the namespace that the helm which started us resolves when
	// nobody names one: that of the context in HELM_KUBECONTEXT.
	OuterNamespace string
	// User is the kubeconfig's user. Impersonates says that it acts as somebody
	// else, As as which user.
	User, As     string
	Impersonates bool
	// Helm2 is what Helm 2 does not know of the context's settings.
	Helm2 tenant.Helm2Limits
}

// Decision is where a call goes: which context, which namespace, as whom.
type Decision struct {
	Client  Client
	Tenant  tenant.Resolved
	Context string
	// Namespace is where the command acts.
	Namespace string
	// namespaceFlag is what --namespace says before the command; empty where the
	// command's own arguments or the context say it.
	namespaceFlag string
	// Ignored are the settings of the kubeconfig that the client goes without.
	Ignored    []string
	connection []string
	line       Line
}

// NamespacesUnknownError says that a command acts in a namespace, that nobody named
// one, and that the tenant's namespaces are not known. They are in its record.
type NamespacesUnknownError struct{ Tenant tenant.Resolved }

func (e *NamespacesUnknownError) Error() string {
	return fmt.Sprintf("the namespaces of %s are not known", whose(e.Tenant))
}

// Decide answers where a call goes. It asks nobody, and is the only place in which
// this is decided: the wrapped helm is started by it, and whoami and shellenv tell it.
//
// Errors: a client that does not fit the tenant's engine; words of the caller's by
// which helm would go around the tenant's deployer, or leave its namespaces; a
// *HiddenError; a *NamespacesUnknownError, after which the caller reads the tenant's
// record and decides again.
func (c Call) Decide(client Client, place Place, r tenant.Resolved) (Decision, error) {
	d := Decision{Client: client, Tenant: r, Context: place.Context, line: c.Line, connection: c.Outer.Connection}
	if client.Engine() != r.Engine {
		return Decision{}, wrongEngine(client, r)
	}
	if err := c.checkIdentity(place, r); err != nil {
		return Decision{}, err
	}
	if err := c.checkReader(client, r); err != nil {
		return Decision{}, err
	}
	if r.Engine == tenant.EngineTiller {
		d.Ignored = place.Helm2.Ignores
	}
	if err := c.decideNamespace(&d, place); err != nil {
		return Decision{}, err
	}
	if client.Major > 2 && c.listsEverything() && !r.AllNamespaces {
		return Decision{}, &EverywhereError{Tenant: r}
	}
	return d, nil
}

// OldClientError says that Helm 2 can't connect with what the kubeconfig says.
type OldClientError struct{ Why string }

func (e *OldClientError) Error() string { return e.Why }

// EverywhereError says that a list of all of the cluster's namespaces was asked for.
type EverywhereError struct{ Tenant tenant.Resolved }

func (e *EverywhereError) Error() string {
	return fmt.Sprintf("--all-namespaces lists the whole cluster's releases, and %s has its own namespaces only", whose(e.Tenant))
}

// checkIdentity refuses what would have helm act as somebody else than the tenant's
// deployer, or on another API server than the context's.
func (c Call) checkIdentity(place Place, r tenant.Resolved) error {
	if r.Engine == tenant.EngineTiller {
		if _, given := c.Line.Typed("host"); given || c.Outer.Host != "" {
			return errors.New("--host goes around the tenant's own Tiller; leave it out, or run helm itself")
		}
		if place.Helm2.Fails != "" {
			return &OldClientError{place.Helm2.Fails}
		}
		return nil
	}
	if what := c.Identity(); what != "" {
		return fmt.Errorf("%s says who acts, or where, but the tenant decides that: its service account %q in namespace %q acts; leave it out, or run helm itself", what, r.Account(), r.Home)
	}
	if _, given := c.Line.Typed("tiller-namespace"); given {
		return errors.New("--tiller-namespace is Helm 2's; name the tenant: --tenant TENANT")
	}
	if server := c.Env.get(envvar.KubeAPIServer); server != "" {
		return fmt.Errorf("%s names the API server %s, but helm-tenant acts where the kubeconfig context says: unset it, or use --context", envvar.KubeAPIServer, server)
	}
	return place.CheckImpersonation(r)
}

// CheckImpersonation returns an error where the kubeconfig's user acts as somebody
// else already: Kubernetes impersonates once per request, and helm would replace that
// somebody by the tenant's service account, with the rights of the credentials' own
// user. A kubeconfig that acts as the tenant's service account itself is right.
func (place Place) CheckImpersonation(r tenant.Resolved) error {
	if !place.Impersonates || r.Engine == tenant.EngineTiller || place.As == r.DeployerUser() {
		return nil
	}
	return fmt.Errorf("user %q of the kubeconfig acts as %q already (\"as\"), and impersonation does not chain: Helm 3 and 4 can't act as the tenant's service account from there; use a context whose user acts as itself", place.User, place.As)
}

// decideNamespace answers in which namespace the command acts, in this order: what its
// own arguments say; what was named to the helm that started us or in the
// environment; the context's, where it is the tenant's; the tenant's first.
func (c Call) decideNamespace(d *Decision, place Place) error {
	major, class := d.Client.Major, ClassOf(d.Client.Major, c.Line.Command)
	d.Namespace = place.Namespace
	if typed, given := c.Line.TypedNamespace(major); given {
		d.Namespace = typed
		return nil
	}
	acts := class == Namespaced || class == Plugin && major > 2
	if major > 2 {
		named, known := c.namespaceNamed(place, d.Tenant)
		switch {
		case named != "":
			d.Namespace, d.namespaceFlag = named, named
			return nil
		case !known && class == Namespaced && d.Tenant.NamespaceFor(place.Namespace) != "":
			return &HiddenError{Flag: "--namespace", Why: c.Hidden}
		}
	}
	if !acts {
		return nil
	}
	if d.Tenant.NamespacesUnknown() {
		return &NamespacesUnknownError{d.Tenant}
	}
	if ns := d.Tenant.NamespaceFor(place.Namespace); ns != "" {
		d.Namespace, d.namespaceFlag = ns, ns
	}
	return nil
}

// namespaceNamed is the namespace that was named beside our own arguments, as Helm 3
// and 4 know it: in the environment, or to the helm that started us, which takes it
// out of our arguments and always exports one, named or not. known is false where it
// can't be told whether one was named. One that shellenv exported for another tenant
// is not meant.
func (c Call) namespaceNamed(place Place, r tenant.Resolved) (name string, known bool) {
	exported, other := c.Env.get(envvar.Namespace), c.Env.get(envvar.Tenant)
	switch {
	case c.Outer.Namespace:
		return exported, true
	case c.Hidden == nil && other != "" && other != r.Name:
		return "", true
	case c.Plugin == 0:
		return exported, true
	case exported != place.OuterNamespace:
		return exported, true // not what helm took from the context
	}
	return "", c.Hidden == nil
}

// listsEverything reports whether this is Helm 3's or 4's list over all namespaces.
func (c Call) listsEverything() bool {
	if c.Line.Command != "list" && c.Line.Command != "ls" {
		return false
	}
	everything := false
	uses, _ := listFlags().scan(c.Line.Args)
	for _, use := range uses {
		if use.name == "all-namespaces" {
			everything = use.isTrue()
		}
	}
	return everything
}

// Invocation is how helm is started for the decision. environ is the caller's
// environment, kubeconfig the file that helm is to use, empty for what the
// environment says. The arguments from the helm command on stay as they were typed,
// but for a --create-namespace of a namespace that the tenant has.
func (d Decision) Invocation(environ []string, kubeconfig string) Invocation {
	// One word each: cobra takes the first word that equals the command's name
	// for the command, and a namespace may be called "install".
	var args, env []string
	if d.Tenant.Engine == tenant.EngineTiller {
		args = []string{"--tiller-namespace=" + d.Tenant.Home}
		env = append(Scrub(environ), envvar.TillerNamespace+"="+d.Tenant.Home)
	} else {
		// No group: that would need rights over the whole cluster. Where none is
		// named the API server adds the account's own.
		args = []string{"--kube-as-user=" + d.Tenant.DeployerUser()}
		env = scrubIdentity(Scrub(environ))
	}
	if d.Context != "" {
		args = append(args, "--kube-context="+d.Context)
		env = append(env, envvar.KubeContext+"="+d.Context)
	}
	if kubeconfig != "" {
		env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, envvar.Kubeconfig+"=") })
		env = append(env, envvar.Kubeconfig+"="+kubeconfig)
	}
	args = append(args, d.connection...)
	args = append(args, d.line.Globals...)
	if d.namespaceFlag != "" {
		args = append(args, "--namespace="+d.namespaceFlag)
	}
	rest, _ := d.withoutCreateNamespace()
	args = append(append(args, d.line.Command), rest...)
	if d.Tenant.Name != "" {
		env = append(env, envvar.Tenant+"="+d.Tenant.Name)
	}
	return Invocation{Path: d.Client.Path, Args: args, Env: env}
}

// LeavesOut reports whether the invocation leaves --create-namespace out.
func (d Decision) LeavesOut() bool {
	_, left := d.withoutCreateNamespace()
	return left
}

// withoutCreateNamespace returns the command's arguments without --create-namespace
// where the namespace is there, since it is the tenant's: helm would try to create it
// first, which RBAC can't allow by name. left reports whether anything was left out.
func (d Decision) withoutCreateNamespace() (args []string, left bool) {
	args = d.line.Args
	command := d.line.Command
	if d.Client.Major < 3 || command != "install" && command != "upgrade" || !slices.Contains(d.Tenant.Namespaces, d.Namespace) {
		return args, false
	}
	uses, complete := deployFlags(d.Client.Major, command).scan(args)
	if !complete {
		return args, false
	}
	var kept []string
	next := 0
	for _, use := range uses {
		if use.name == "create-namespace" && use.isTrue() {
			kept = append(kept, args[next:use.position]...)
			next = use.position + 1
		}
	}
	if next == 0 {
		return args, false
	}
	return append(kept, args[next:]...), true
}

func wrongEngine(client Client, r tenant.Resolved) error {
	if r.Engine == tenant.EngineTiller {
		return fmt.Errorf("%s has a Tiller, which only Helm 2 can talk to, but %s is Helm %d: set HELM_BIN to a Helm 2.17, or, if the tenant was moved to Helm 3, say it once: helm tenant use TENANT", whose(r), client.Path, client.Major)
	}
	return fmt.Errorf("%s is for Helm 3 and 4, but %s is Helm %d: set HELM_BIN to a Helm 3 or 4, or, if the tenant has a Tiller by now, say it once: helm tenant use TENANT", whose(r), client.Path, client.Major)
}

// whose names a tenant, for messages.
func whose(r tenant.Resolved) string {
	if r.Name != "" {
		return fmt.Sprintf("tenant %q", r.Name)
	}
	return fmt.Sprintf("the tenant in %q", r.Home)
}
