package helm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm-tenant/envvar"
	"helm-tenant/tenant"
)

// Place has the kubeconfig's settings for the context of a call.
type Place struct {
	// Context is the context's name; empty in a pod without a kubeconfig.
	Context string
	// Namespace is the namespace of the context, or of the pod.
	Namespace string
	// OuterNamespace is the namespace that the helm which started us uses if nobody names
	// one: that of the context in HELM_KUBECONTEXT.
	OuterNamespace string
	// User is the kubeconfig's user. Impersonates reports whether it impersonates
	// anybody, As is the impersonated user.
	User, As     string
	Impersonates bool
	// Helm2 has the settings of the context that Helm 2 does not know.
	Helm2 tenant.Helm2Limits
}

// Decision is where a call goes: the context, the namespace and the identity.
type Decision struct {
	Client  Client
	Tenant  tenant.Resolved
	Context string
	// Namespace is the namespace in which the command acts.
	Namespace string
	// namespaceFlag is the value of --namespace before the command; empty if the
	// command's own arguments or the context have it.
	namespaceFlag string
	// Ignored are the settings of the kubeconfig that the client ignores.
	Ignored    []string
	connection []string
	line       Line
}

// NamespacesUnknownError reports that a command needs the tenant's namespaces, and that they
// are not known: nobody named the namespace in which it acts, or --create-namespace names
// one that may exist. They are in the tenant's record.
type NamespacesUnknownError struct {
	Tenant tenant.Resolved
	// Without is the decision if the record can't be read; nil if there is none.
	Without *Decision
}

func (e *NamespacesUnknownError) Error() string {
	return fmt.Sprintf("the namespaces of %s are not known", describeTenant(e.Tenant))
}

// Decide decides where a call goes. It is pure, and the only place where this is decided:
// the wrapped helm is started by it, and whoami and shellenv show it.
//
// Errors: a client that does not fit the tenant's engine; arguments of the caller with
// which helm would bypass the tenant's deployer, or leave its namespaces; a *HiddenError;
// a *NamespacesUnknownError, after which the caller reads the tenant's record and decides
// again, or takes the decision in the error if the record can't be read.
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
	if r.NamespacesUnknown() && len(d.createNamespace()) > 0 {
		return Decision{}, &NamespacesUnknownError{r, &d}
	}
	return d, nil
}

// OldClientError reports that Helm 2 can't connect with the kubeconfig's settings.
type OldClientError struct{ Why string }

func (e *OldClientError) Error() string { return e.Why }

// EverywhereError refuses a list of all namespaces of the cluster.
type EverywhereError struct{ Tenant tenant.Resolved }

func (e *EverywhereError) Error() string {
	return fmt.Sprintf("--all-namespaces lists the whole cluster's releases, and %s has its own namespaces only", describeTenant(e.Tenant))
}

// checkIdentity refuses arguments with which helm would act as somebody else than the
// tenant's deployer, or on another API server than the context's.
func (c Call) checkIdentity(place Place, r tenant.Resolved) error {
	if r.Engine == tenant.EngineTiller {
		if _, given := c.Line.Typed("host"); given || c.Outer.Host != "" {
			return errors.New("--host bypasses the tenant's own Tiller; leave it out, or run helm itself")
		}
		if place.Helm2.Fails != "" {
			return &OldClientError{place.Helm2.Fails}
		}
		return nil
	}
	if flag := c.identity(); flag != "" {
		return fmt.Errorf("%s sets who acts, or where, but the tenant decides that: its service account %q in namespace %q acts; leave it out, or run helm itself", flag, r.Account(), r.Home)
	}
	if _, given := c.Line.Typed("tiller-namespace"); given {
		return errors.New("--tiller-namespace is Helm 2's; name the tenant: --tenant " + nameOf(r))
	}
	if server := c.Env.get(envvar.KubeAPIServer); server != "" {
		return fmt.Errorf("%s names the API server %s, but helm-tenant acts where the kubeconfig context says: unset it, or use --context", envvar.KubeAPIServer, server)
	}
	return place.CheckImpersonation(r)
}

// CheckImpersonation returns an error if the kubeconfig's user impersonates somebody else
// already. A request has one impersonated user, and helm would replace it by the tenant's
// service account, using the rights of the credentials' own user. A kubeconfig that
// impersonates the tenant's service account itself is right.
func (place Place) CheckImpersonation(r tenant.Resolved) error {
	if !place.Impersonates || r.Engine == tenant.EngineTiller || place.As == r.DeployerUser() {
		return nil
	}
	return fmt.Errorf("user %q of the kubeconfig acts as %q already (\"as\"), and impersonation does not chain: Helm 3 and 4 can't act as the tenant's service account from there; use a context whose user acts as itself", place.User, place.As)
}

// decideNamespace decides in which namespace the command acts, in this order: its own
// arguments; the namespace named to the helm that started us or in the environment; the
// context's, if it is the tenant's; the tenant's first. With an empty --namespace helm acts
// in the context's, which is refused if it is not the tenant's.
func (c Call) decideNamespace(d *Decision, place Place) error {
	major, class := d.Client.Major, ClassOf(d.Client.Major, c.Line.Command)
	d.Namespace = place.Namespace
	typed, given := c.Line.typedNamespace(major)
	if typed != "" {
		d.Namespace = typed
		return nil
	}
	if major > 2 && c.Outer.Namespace && c.Outer.NamespaceValue == "" {
		given = true // to the helm that started us
	}
	acts := class == Namespaced || class == Plugin && major > 2
	if major > 2 && !given {
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
		return &NamespacesUnknownError{Tenant: d.Tenant}
	}
	ns := d.Tenant.NamespaceFor(place.Namespace)
	if ns != "" && given {
		return fmt.Errorf("--namespace is empty, and helm would act in namespace %q, which is not one of %s: name one, such as %s, or leave it out", place.Namespace, describeTenant(d.Tenant), ns)
	}
	if ns != "" {
		d.Namespace, d.namespaceFlag = ns, ns
	}
	return nil
}

// namespaceNamed returns the namespace that was named outside of our own arguments to
// Helm 3 and 4: in the environment, or to the helm that started us, which removes it from
// our arguments and always exports one, named or not. known is false if it is not clear
// whether one was named. A namespace that shellenv exported for another tenant does not
// count.
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
		return exported, true // helm did not take it from the context
	}
	return "", c.Hidden == nil
}

// listsEverything reports whether this is a list of Helm 3 or 4 over all namespaces.
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

// Invocation returns how helm is started for the decision. environ is the caller's
// environment, kubeconfig the file for helm, empty for the environment's. The arguments
// from the helm command on stay as typed, except that --create-namespace is left out for
// a namespace that the tenant has.
func (d Decision) Invocation(environ []string, kubeconfig string) Invocation {
	// One word each: cobra takes the first word that equals the command's name for the
	// command, and a namespace may be called "install".
	var args, env []string
	if d.Tenant.Engine == tenant.EngineTiller {
		args = []string{"--tiller-namespace=" + d.Tenant.Home}
		env = append(scrub(environ), envvar.TillerNamespace+"="+d.Tenant.Home)
	} else {
		// No group, which would take rights over the whole cluster. Without one the API
		// server adds the account's own groups.
		args = []string{"--kube-as-user=" + d.Tenant.DeployerUser()}
		env = scrubIdentity(scrub(environ))
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

// LeavesOut reports whether the invocation leaves out --create-namespace.
func (d Decision) LeavesOut() bool {
	_, left := d.withoutCreateNamespace()
	return left
}

// createNamespace returns the uses of --create-namespace among the command's arguments that
// ask for a namespace to be created, as helm reads them.
func (d Decision) createNamespace() []flagUse {
	command := d.line.Command
	if d.Client.Major < 3 || command != "install" && command != "upgrade" {
		return nil
	}
	uses, complete := deployFlags(d.Client.Major, command).scan(d.line.Args)
	if !complete {
		return nil
	}
	return slices.DeleteFunc(uses, func(use flagUse) bool { return use.name != "create-namespace" || !use.isTrue() })
}

// withoutCreateNamespace returns the command's arguments without --create-namespace if
// the namespace is the tenant's, and so exists: helm would first try to create it, which
// RBAC can't allow by name. left reports whether anything was left out.
func (d Decision) withoutCreateNamespace() (args []string, left bool) {
	args = d.line.Args
	if !slices.Contains(d.Tenant.Namespaces, d.Namespace) {
		return args, false
	}
	var kept []string
	next := 0
	for _, use := range d.createNamespace() {
		kept = append(kept, args[next:use.position]...)
		next = use.position + 1
	}
	if next == 0 {
		return args, false
	}
	return append(kept, args[next:]...), true
}

// nameOf returns the tenant's name for a command that is shown, or a placeholder.
func nameOf(r tenant.Resolved) string {
	if tenant.CheckName(r.Name) != nil {
		return "TENANT"
	}
	return r.Name
}

func wrongEngine(client Client, r tenant.Resolved) error {
	if r.Engine == tenant.EngineTiller {
		return fmt.Errorf("%s has a Tiller, which only Helm 2 can talk to, but %s is Helm %d: set HELM_BIN to a Helm 2.17, or, if the tenant was moved to Helm 3, type once: helm tenant use %s", describeTenant(r), client.Path, client.Major, nameOf(r))
	}
	return fmt.Errorf("%s is for Helm 3 and 4, but %s is Helm %d: set HELM_BIN to a Helm 3 or 4, or, if the tenant has a Tiller by now, type once: helm tenant use %s", describeTenant(r), client.Path, client.Major, nameOf(r))
}

func describeTenant(r tenant.Resolved) string {
	if r.Name != "" {
		return fmt.Sprintf("tenant %q", r.Name)
	}
	return fmt.Sprintf("the tenant in %q", r.Home)
}
