package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/wrapper"
)

// Environment is everything that a run knows of its process.
type Environment = wrapper.Environment

// caller is the caller and what it said about the tenant, context and namespace of the
// call.
type caller struct{ wrapper.Caller }

func newCaller(env Environment) (caller, error) {
	c, err := wrapper.New(env)
	return caller{c}, err
}

// kubeconfig loads the requested context; contexts are further flags that name one.
func (c caller) kubeconfig(file string, contexts ...string) (*tenant.Kubeconfig, error) {
	k, err := c.Kubeconfig(file, contexts...)
	return k, explainHidden(err)
}

// explainHidden adds a hint if helm may have removed a flag from our arguments.
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

func (c caller) connect(k *tenant.Kubeconfig, timeout time.Duration) (*cluster.Client, error) {
	return cluster.Connect(k, "helm-tenant/"+wrapper.Version(), timeout)
}

// wrapTimeout is how long a wrapped call waits for the API server, which it asks only for
// the tenant of the context's namespace.
const wrapTimeout = 15 * time.Second

// resolve finds the tenant of a call. If that takes a request to the API server, the
// request may take as long as timeout.
func (c caller) resolve(ctx context.Context, k *tenant.Kubeconfig, flag string, engine tenant.Engine, timeout time.Duration) (tenant.Resolved, error) {
	return c.Resolve(ctx, k, flag, engine, c.cluster(timeout))
}

// decide returns the decision for a call of the resolved tenant, with at most two
// requests.
func (c caller) decide(ctx context.Context, call helm.Call, client helm.Client, k *tenant.Kubeconfig, r tenant.Resolved, timeout time.Duration) (helm.Decision, error) {
	d, err := c.Decide(ctx, call, client, k, r, c.cluster(timeout))
	return d, explainDecision(err)
}

// explainDecision adds a hint with what to type instead.
func explainDecision(err error) error {
	if _, everywhere := errors.AsType[*helm.EverywhereError](err); everywhere {
		return withHint(err, "the releases in all of the tenant's namespaces: helm tenant releases")
	}
	if _, old := errors.AsType[*helm.OldClientError](err); old {
		return withHint(err, "if the plugin supports it, write apiVersion: client.authentication.k8s.io/v1beta1 there", "or use a context with other credentials: helm tenant --context CONTEXT COMMAND")
	}
	if _, missing := errors.AsType[*tenant.PluginError](err); missing {
		return withHint(err, "install it, or use a context with other credentials: helm tenant --context CONTEXT COMMAND")
	}
	if read, isReader := errors.AsType[*helm.ReaderError](err); isReader {
		hints := []hint{hint("ask an admin to make you a member, then type once: helm tenant use " + tenantWord(read.Tenant.Name))}
		if read.DryRun {
			hints = append(hints, "what it would do: add --dry-run")
		}
		return withHint(err, hints...)
	}
	return explainHidden(err)
}

// server answers from the API server what the caller's files do not contain.
type server struct {
	caller
	timeout time.Duration
}

func (c caller) cluster(timeout time.Duration) server { return server{c, timeout} }

// NamespaceLabels reads the labels and annotations of a namespace.
func (s server) NamespaceLabels(ctx context.Context, k *tenant.Kubeconfig, namespace string) (labels, annotations map[string]string, err error) {
	client, err := s.connect(k, s.timeout)
	if err != nil {
		return nil, nil, err
	}
	return client.NamespaceLabels(ctx, namespace)
}

// ReadNamespaces completes a tenant from its record.
func (s server) ReadNamespaces(ctx context.Context, k *tenant.Kubeconfig, r tenant.Resolved) (tenant.Resolved, error) {
	return s.readNamespaces(ctx, k, r, s.timeout)
}

// CheckHomes refuses a tenant that is only named if both namespaces that can be its home
// by convention have a record of it: whoever may create namespaces can make one of them.
// Records that can't be read are no reason to refuse: helm reports what its caller may
// not do.
func (s server) CheckHomes(ctx context.Context, k *tenant.Kubeconfig, homes []string) error {
	client, err := s.connect(k, s.timeout)
	if err != nil {
		return nil // helm reports it
	}
	_, _, err = findRecord(ctx, client, homes)
	if two, ok := errors.AsType[*twoHomesError](err); ok {
		return explainTwoHomes(k, two)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// explainTwoHomes adds the context, and what to type after an admin has named the right
// home.
func explainTwoHomes(k *tenant.Kubeconfig, two *twoHomesError) error {
	return withHint(failure.In("", k.Where()).Wrap(two), hint("then: helm tenant use "+two.records[0].Name+" --home-namespace NAMESPACE")) // a valid name
}

// askForTenant says what to do about a tenant of which no record can be read. name is empty if it
// is not known.
func askForTenant(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, name string) []hint {
	if as, acts := k.Impersonates(); acts {
		return actsAsOther(k.User, as, name)
	}
	return []hint{askForGrant(ctx, client, name), homeElsewhere(name)}
}

// homeElsewhere says what to type if the tenant's home is not where its record was looked for.
func homeElsewhere(name string) hint {
	return hint("if its home is elsewhere: helm tenant use " + tenantWord(name) + " --home-namespace NAMESPACE")
}

// askForGrant is the hint for a caller who is no member of a tenant.
func askForGrant(ctx context.Context, client *cluster.Client, name string) hint {
	return typed("ask an admin", grantToCaller(ctx, client, name))
}

// grantToCaller returns the command that makes the caller a member.
func grantToCaller(ctx context.Context, client *cluster.Client, name string) command.Command {
	user, err := client.User(ctx)
	if err != nil {
		user = ""
	}
	return grantCommand(user, name)
}

// grantCommand returns the command that makes a user a member. It has a placeholder for a user who
// is not known (the API server tells it since Kubernetes 1.28) or is anybody.
func grantCommand(user, name string) command.Command {
	who := "--user=YOU"
	if subject := tenant.User(user); user != "" && !subject.IsOpen() {
		who = memberArguments(tenant.Members{subject})[0]
	}
	return command.Command{"helm", "tenant", "grant", tenantWord(name), who}
}

// tenantWord returns a tenant's name for a command that is shown, or a placeholder if the name
// is not known or not valid.
func tenantWord(name string) string {
	if tenant.CheckName(name) != nil {
		return "TENANT"
	}
	return name
}

// readNamespaces completes a tenant from its record. If the record is missing, can't be read or
// belongs to another tenant, a hint says to name the namespace, or for our own verbs to ask an
// admin; but not if the API server did not answer or refused the credentials: helm would fail too.
func (c caller) readNamespaces(ctx context.Context, k *tenant.Kubeconfig, r tenant.Resolved, timeout time.Duration) (tenant.Resolved, error) {
	name := "the tenant in " + r.Home
	if r.Name != "" {
		name = fmt.Sprintf("tenant %q", r.Name)
	}
	client, err := c.connect(k, timeout)
	if err != nil {
		return r, err
	}
	home, record, err := findRecord(ctx, client, wrapper.HomesOf(k, r))
	if two, ok := errors.AsType[*twoHomesError](err); ok {
		return r, explainTwoHomes(k, two)
	}
	ownVerb := wrapper.IsVerb(c.Call.Line.Command)
	none := func(hints []hint, format string, args ...any) error {
		return withHint(&wrapper.NoRecordError{Err: fmt.Errorf(format, args...)}, hints...)
	}
	instead := func() []hint {
		switch {
		case ownVerb && apierrors.IsNotFound(err):
			return []hint{homeElsewhere(r.Name)}
		case ownVerb:
			return askForTenant(ctx, client, k, r.Name)
		case r.Engine == tenant.EngineTiller:
			return []hint{"name the namespace: helm tenant COMMAND --namespace NAMESPACE (-n where helm takes it so)"}
		}
		return []hint{"name the namespace: helm tenant COMMAND -n NAMESPACE"}
	}
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return r, none(instead(), "the namespaces of %s are not known: you are no member, or there is no such tenant: %w", name, err)
	case isUnusable(err):
		return r, &wrapper.NoRecordError{Err: err}
	case err != nil:
		// Naming the namespace helps against a record that is broken, and not against an API
		// server that fails; neither is a reason to ask for a grant.
		var hints []hint
		if _, broken := errors.AsType[*cluster.RecordError](err); broken && !ownVerb {
			hints = instead()
		}
		return r, none(hints, "the namespaces of %s are not known: %w", name, err)
	case r.Name != "" && record.Name != r.Name, record.Home() != home:
		return r, none(instead(), "the record in namespace %q of %s is that of tenant %q with the home %q, not of %s", home, k.Where(), record.Name, record.Home(), name)
	}
	return r.WithRecord(home, record), nil
}

// isUnusable reports whether an error means that no request of the caller succeeds: the
// API server can't be reached, or does not accept the credentials.
func isUnusable(err error) bool {
	_, unreachable := errors.AsType[*cluster.UnreachableError](err)
	return unreachable || apierrors.IsUnauthorized(err)
}

// Commands returns the tree of helm-tenant's own verbs, from which man pages, completion
// scripts and the reference of flags are generated. The commands must not be run.
func Commands() *cobra.Command {
	return newRoot(&session{caller: caller{wrapper.Caller{Env: Environment{Args: []string{}}}}})
}

// isReader asks the API server whether the caller is a reader, and not a member as well,
// of the tenant with that home. known is false if the caller is neither.
func isReader(ctx context.Context, client *cluster.Client, home string) (reader, known bool, err error) {
	member, err := client.May(ctx, cluster.Impersonation(home, tenant.HelmAccount))
	if err != nil || member {
		return false, member, err
	}
	reader, err = client.May(ctx, cluster.Impersonation(home, tenant.ReaderAccount))
	return reader, reader, err
}

// asReader sets whether the caller is a reader of a tenant of Helm 3 and 4. If the
// kubeconfig's user acts as one of the tenant's accounts, that decides it.
func asReader(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, r tenant.Resolved) (tenant.Resolved, error) {
	r, _, err := withAccount(ctx, client, k, r)
	return r, err
}

// withAccount is asReader; neither reports that the caller is no member either.
func withAccount(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, r tenant.Resolved) (_ tenant.Resolved, neither bool, _ error) {
	if _, acts := k.Impersonates(); acts || r.Engine == tenant.EngineTiller {
		return r, false, nil
	}
	reader, known, err := isReader(ctx, client, r.Home)
	if err != nil {
		return r, false, fmt.Errorf("finding out whether you may use or only read the tenant: %w", err)
	}
	if known {
		r.Reader = reader
	}
	return r, !known, nil
}
