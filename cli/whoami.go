package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/envvar"
	"helm-tenant/failure"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type whoami struct {
	document
	Tenant        string   `json:"tenant,omitempty"`
	HomeNamespace string   `json:"homeNamespace"`
	Rule          string   `json:"rule"`
	Context       string   `json:"context"`
	Cluster       string   `json:"cluster"`
	Server        string   `json:"server"`
	User          string   `json:"user"`
	UserName      string   `json:"userName,omitempty"`
	Namespace     string   `json:"namespace"`
	Namespaces    []string `json:"namespaces" nil:"unknown"`
	// Terminating has those of the home and the namespaces that are being deleted, as far as the
	// user may read it.
	Terminating []string `json:"terminating,omitempty"`
	// Stale describes how the kubeconfig's memory of the tenant differs from its record.
	Stale string `json:"stale,omitempty"`
	// Migration describes the state of its migration to Helm 3 and 4.
	Migration string `json:"migration,omitempty"`
	// May is what the user may do with a tenant of Helm 3 and 4: use or read.
	May string `json:"may,omitempty"`
	// Grants reports whether the user may grant and revoke the tenant's members, as an
	// owner or an admin.
	Grants bool `json:"grants,omitempty"`
	// Temporary is the end of the user's grant as a member or reader, OwnerTemporary that of
	// the grant as an owner, if the user may read it.
	Temporary      *tenant.Term `json:"temporary,omitempty"`
	OwnerTemporary *tenant.Term `json:"ownerTemporary,omitempty"`
	// Frozen is nil unless the tenant is frozen.
	Frozen *tenant.Freeze `json:"frozen,omitempty"`
	// One of these is set, depending on the engine.
	Tiller   *tiller   `json:"tiller,omitempty"`
	Deployer *deployer `json:"deployer,omitempty"`
}

// deployer is the service account as which Helm 3 and 4 act.
type deployer struct {
	User string `json:"user"`
	// Answers reports whether the caller may act as it, and whether it may act in
	// Namespace.
	Answers bool   `json:"answers"`
	Problem string `json:"problem,omitempty"`
	// err is the error that Problem describes; nil if it is no error.
	err error
	// refused reports whether RBAC refuses what every member may.
	refused bool
	// RoleGaps are the rights that it lacks in Namespace and helm needs; nil if that is
	// not known, or is intended: for readers, and while the tenant is frozen or migrated.
	RoleGaps []string `json:"roleGaps" nil:"unknown"`
}

type tiller struct {
	// Pods and Ready are counts from the API server, where seen; Version is the image's.
	seen    bool
	Pods    int    `json:"pods"`
	Ready   int    `json:"ready"`
	Version string `json:"version,omitempty"`
	// Answers reports whether helm reaches it, and Unasked that no Helm 2 was there to ask it;
	// Answer is its answer.
	Answers bool   `json:"answers"`
	Unasked bool   `json:"unasked,omitempty"`
	Answer  string `json:"answer,omitempty"`
	Problem string `json:"problem,omitempty"`
	// err is the error that Problem describes; nil if it is no error.
	err error
	// refused reports whether RBAC refuses what every member may.
	refused bool
	// IgnoredSettings are the settings of the kubeconfig that Helm 2 ignores.
	IgnoredSettings []string `json:"ignoredSettings"`
}

func newWhoami(s *session) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show which tenant you are, why, and whether it answers",
		Long: `Show which tenant you are, why, where its home namespace is, and whether its deployer
answers: for Helm 2 its Tiller, for Helm 3 and 4 the service account that you impersonate.
The exit code is 1 if it does not answer.`,
		Example: `  helm tenant whoami
  helm tenant --tenant team-b whoami -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return asUsage(cmd, fmt.Errorf("whoami takes no arguments, not %q; a tenant is named before it: helm tenant --tenant %s whoami", args[0], tenantWord(args[0])))
			}
			return nil
		},
	}
	outputFlag(cmd, &output, "text", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return s.whoami(cmd.Context(), output) }
	return cmd
}

func (s *session) whoami(ctx context.Context, output string) error {
	// Unlike the other verbs, this one accepts --tiller-namespace, as helm does.
	if err := s.checkTyped(); err != nil {
		return err
	}
	k, err := s.kubeconfig(s.kubeconfigFile, s.context, s.kubeContext)
	if err != nil {
		return err
	}
	client, err := s.connect(k, s.requestTimeout)
	if err != nil {
		return err
	}
	resolved, err := s.resolve(ctx, k, s.Call.Line.Tenant, s.engine(ctx), s.requestTimeout)
	if err != nil {
		return err
	}
	namespace := k.Namespace
	remembered := resolved.Reader
	resolved, unknown := s.completed(ctx, client, k, resolved)
	var undecided error
	if unknown == nil || !resolved.NamespacesUnknown() {
		var d helm.Decision
		if d, undecided = s.decideFor(ctx, probeCommand(resolved), k, resolved); undecided == nil {
			resolved, namespace = d.Tenant, d.Namespace
		}
	}
	w := whoami{
		document: documentOf("Whoami"),
		Tenant:   resolved.Name, HomeNamespace: resolved.Home, Rule: string(resolved.Rule), UserName: k.PodUser(),
		Context: k.Context, Cluster: k.Cluster, Server: k.Server, User: k.User,
		Namespace: namespace, Namespaces: known(resolved.Namespaces, !resolved.NamespacesUnknown()),
	}
	silent := unknown // an error is returned after all that is known was shown
	switch {
	case unknown == nil:
		silent = s.askAll(ctx, client, k, resolved, remembered, &w)
	case resolved.Engine == tenant.EngineTiller:
		w.Tiller = &tiller{Problem: unknown.Error(), IgnoredSettings: s.Place(k).Helm2.Ignores}
		silent = silentTiller(w, k)
	default:
		w.Deployer = &deployer{User: resolved.DeployerUser(), Problem: unknown.Error()}
	}
	if output == "text" {
		err = w.print(s)
	} else {
		err = printObject(s.out(), output, w)
	}
	if err != nil {
		return err
	}
	if silent == nil && resolved.Engine != tenant.EngineTiller {
		silent = undecided
	}
	s.sayNotes(w)
	if _, acts := k.Impersonates(); w.refused() && !acts {
		silent = withHint(silent, typed("ask an admin", grantCommand(w.UserName, w.Tenant)))
	}
	return silent
}

// completed returns a tenant that is only named with what its record says, since it may have
// another engine than the helm in use, and whether the caller is a reader of it. The error is
// the reason why the API server answers nothing.
func (s *session) completed(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, r tenant.Resolved) (tenant.Resolved, error) {
	if r.NamespacesUnknown() {
		found, err := s.readNamespaces(ctx, k, r, s.requestTimeout)
		switch {
		case err == nil:
			r = found
		case isUnusable(err):
			return r, err
		}
	}
	return asReader(ctx, client, k, r)
}

// askAll asks the API server, and Tiller, for what whoami shows beside the caller's own
// settings. The error is the reason why the tenant's deployer does not answer.
func (s *session) askAll(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, resolved tenant.Resolved, remembered bool, w *whoami) error {
	name, err := client.User(ctx)
	if err == nil {
		w.UserName = name // Kubernetes 1.28 and later
	}
	if _, ok := errors.AsType[*cluster.UnreachableError](err); ok && resolved.Engine == tenant.EngineTiller {
		// Each of the other requests would wait as long.
		w.Tiller = &tiller{IgnoredSettings: s.Place(k).Helm2.Ignores}
		w.Tiller.silentFor(err)
		return silentTiller(*w, k)
	}
	as := tenant.RelationMember
	if resolved.Reader {
		as = tenant.RelationReader
	}
	w.Grants = mayGrant(ctx, client, resolved.Home)
	w.Temporary = termOf(ctx, client, resolved.Home, as, w.UserName)
	if w.Grants {
		w.OwnerTemporary = termOf(ctx, client, resolved.Home, tenant.RelationOwner, w.UserName)
	}
	record, err := client.Record(ctx, resolved.Home)
	var changed string
	if err == nil {
		w.Frozen, changed = record.Frozen, engineChange(resolved.Engine, record.Engine)
	}
	if known, found := k.Extension.Find(resolved.Name); found {
		if known.HomeNamespace != resolved.Home {
			record, err = client.Record(ctx, known.HomeNamespace)
		}
		w.Stale = staleness(known, record, err)
		if w.Stale == "" && remembered != resolved.Reader {
			w.Stale = fmt.Sprintf("the kubeconfig is stale: it remembers that you may %s the tenant, and you may %s it", mayDo(remembered), mayDo(resolved.Reader))
		}
	}
	if resolved.Engine != tenant.EngineTiller {
		w.May = mayDo(resolved.Reader)
	}
	w.Terminating = terminatingOf(ctx, client, resolved, w.Namespace)
	if state, err := client.Migration(ctx, resolved.Home); err == nil && state != nil {
		w.Migration = state.String() // without the record, the next checks show more
	}
	if resolved.Engine == tenant.EngineTiller {
		if changed != "" {
			w.Tiller = &tiller{Problem: changed, IgnoredSettings: s.Place(k).Helm2.Ignores}
		} else {
			w.Tiller = s.askTiller(ctx, client, k, resolved)
		}
		return silentTiller(*w, k)
	}
	w.Deployer = askDeployer(ctx, client, resolved, w.Namespace)
	if changed != "" && !w.Deployer.Answers {
		w.Deployer = &deployer{User: w.Deployer.User, Problem: changed}
	}
	if err := s.Place(k).CheckImpersonation(resolved); err != nil {
		w.Deployer = &deployer{User: resolved.DeployerUser()}
		w.Deployer.refusedFor(err)
	}
	if w.Deployer.Answers && !resolved.Reader && w.Frozen == nil && w.Migration == "" {
		w.Deployer.RoleGaps = deployerGaps(ctx, client, resolved, w.Namespace)
	}
	if !w.Deployer.Answers {
		why := cmp.Or(w.Deployer.err, errors.New(w.Deployer.Problem))
		return failure.In("you can't act as the tenant", k.Where()).Wrap(why)
	}
	return nil
}

// refused reports whether RBAC refuses the caller what every member may.
func (w whoami) refused() bool {
	return w.Deployer != nil && w.Deployer.refused || w.Tiller != nil && w.Tiller.refused
}

// sayNotes prints to stderr what does not fit into the table.
func (s *session) sayNotes(w whoami) {
	if w.Deployer != nil {
		for _, note := range settingsNotes(s.Env.Get(envvar.KubeAPIServer), s.Env.Get(envvar.Driver)) {
			s.say("Note: %s", note)
		}
		for _, gap := range w.Deployer.RoleGaps {
			s.say("Note: %s can't do all that helm needs: %s", w.Deployer.User, gap)
		}
	}
	if w.Tiller != nil {
		for _, setting := range w.Tiller.IgnoredSettings {
			s.say("Note: Helm 2 does not know, and ignores, %s", setting)
		}
	}
	if len(w.Terminating) > 0 {
		s.say("Note: being deleted: %s", visible.Named("namespace", w.Terminating))
	}
	if w.Stale != "" {
		s.say("Note: %s; update it: %s", w.Stale, command.Run(command.Tenant("use", w.Tenant)))
	}
}

// These describe what a user may do with a tenant.
const (
	mayUse  = "use"
	mayRead = "read"
)

func mayDo(reader bool) string {
	if reader {
		return mayRead
	}
	return mayUse
}

// probeCommand returns a command of helm that the caller may run and that acts in a
// namespace.
func probeCommand(r tenant.Resolved) string {
	if r.Reader {
		return "list"
	}
	return "install"
}

// decideFor returns the decision for a command of helm that is called as the verb is. It
// assumes a helm that fits the tenant's engine.
func (s *session) decideFor(ctx context.Context, command string, k *tenant.Kubeconfig, r tenant.Resolved) (helm.Decision, error) {
	client := helm.Client{Major: 2}
	if r.Engine == tenant.EngineImpersonation {
		client.Major = max(s.Call.Plugin, 3)
	}
	call := s.Call
	call.Line = helm.Line{Command: command}
	call.Env = func(name string) (string, bool) {
		if name == envvar.KubeAPIServer {
			return "", false // helm would be refused, but the verb can name the tenant
		}
		return s.Env.Lookup(name)
	}
	return s.decide(ctx, call, client, k, r, s.requestTimeout)
}
