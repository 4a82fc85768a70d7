package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/helm"
	"helm-tenant/install"
	"helm-tenant/tenant"
)

type initOptions struct {
	request    admin.Request
	rails      railOptions
	engine     string
	storage    string
	historyMax int
	replicas   int
	risks      []string
	dryRun     bool
	wait       bool
	timeout    time.Duration
	output     string
	// printRole only prints the ClusterRole of an administrator.
	printRole bool
	// scoped makes no list of the whole cluster.
	scoped bool
}

func newInit(s *session) *cobra.Command {
	o := &initOptions{}
	cmd := &cobra.Command{
		Use:   "init TENANT --namespaces NS[,NS...] [flags]",
		Short: "Create a tenant, or change it",
		Long: `Create a tenant, or change it.

The tenant gets a home namespace, and in it a service account with rights in the tenant's
namespaces only. For Helm 2 a Tiller runs there as that account; for Helm 3 and 4 members
impersonate the account, and nothing runs. Only differences are written: the same command
again changes nothing.

A new tenant gets guard rails: PodSecurity baseline in its namespaces, and admission
policies that keep its members from harming other tenants.`,
		Example: `  helm tenant init team-a --namespaces a,b --create-namespaces --group team-a-devs
  helm tenant init team-a --namespaces a,b,c
  helm tenant init team-a --pod-security restricted --quota pods=50 --network isolated
  helm tenant init team-a --namespaces a,b --dry-run -o yaml
  helm tenant init --print-role | kubectl apply -f -
  helm tenant init ops --home-namespace kube-system --all-namespaces --accept-risk=cluster-wide`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.printRole && len(args) == 0 {
				return nil
			}
			return oneArgument(cmd, args) // complete reports a wrong name together with other mistakes
		},
	}
	f, r := cmd.Flags(), &o.request
	f.BoolVar(&o.printRole, "print-role", false, "print the ClusterRole with which an admin who is not cluster-admin makes tenants of this --engine and --role, and do nothing else")
	scopeFlag(cmd, &o.scoped)
	f.Var(wordList(&r.Tenant.Namespaces), "namespaces", "namespaces of the tenant; the first is its default")
	f.StringVar(&r.DefaultNamespace, "default-namespace", "", "namespace in which helm acts when none is named, one of --namespaces")
	f.BoolVar(&r.CreateNamespaces, "create-namespaces", false, "create namespaces that do not exist")
	f.BoolVar(&r.Tenant.AllNamespaces, "all-namespaces", false, "let the tenant act in the whole cluster")
	f.StringVar(&r.Tenant.HomeNamespace, "home-namespace", "", "home namespace, with the tenant's deployer (default TENANT-tiller, or TENANT-helm for Helm 3 and 4)")
	f.StringVar(&r.Tenant.Role, "role", "", "ClusterRole of the deployer in each namespace (default admin); helm-tenant-admin consists of Kubernetes' own rules only")
	f.StringVar(&r.Tenant.FluxAccount, "flux-account", "", "name of a service account for Flux in each namespace, with the same role; pods there can use it; an empty name removes it")
	f.StringVar(&o.engine, "engine", "", "how helm acts for the tenant: tiller|impersonation|both (default that of your helm, tiller for Helm 2, else impersonation; with --adopt that of a Tiller in the home)")
	memberFlags(cmd, &r.Tenant.Members)
	f.BoolVar(&r.Share, "share", false, "allow a namespace that belongs to another tenant, too")
	f.BoolVar(&r.Adopt, "adopt", false, "take over objects that were not made by helm-tenant")
	f.BoolVar(&r.Prune, "prune", false, "remove namespaces that are not named")
	riskFlag(cmd, &o.risks)
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be written, and write nothing")
	f.BoolVar(&o.wait, "wait", true, "wait until Tiller is ready")
	timeoutFlag(cmd, &o.timeout)
	f.StringVar(&r.Tenant.Tiller.Image, "tiller-image", "", "Tiller's image (default "+install.DefaultImage+")")
	f.StringVar(&r.Tenant.Tiller.Version, "tiller-version", "", "Tiller's version (default that of your helm)")
	f.StringVar(&o.storage, "storage", "", "where Tiller keeps releases: secret|configmap (default secret)")
	f.IntVar(&o.historyMax, "history-max", 0, "revisions to keep of each release, 0 keeps all (default 20)")
	f.IntVar(&o.replicas, "replicas", 0, "number of Tiller pods (default 1)")
	f.Var(pairList(&r.Tenant.Tiller.Resources), "resources", "Tiller's resources, such as requests.memory=128Mi,limits.memory=512Mi")
	f.Var(pairList(&r.Tenant.Tiller.NodeSelector), "node-selector", "labels of the nodes that Tiller may run on")
	f.Var(wordList(&r.Tenant.Tiller.ImagePullSecrets), "image-pull-secret", "Secrets in the home namespace to pull Tiller's image with")
	railFlags(cmd, &o.rails, &r.Tenant.Rails)
	outputFlag(cmd, &o.output, "text", "yaml", "json", "name")
	completeValues(cmd, "engine", string(tenant.EngineTiller), string(tenant.EngineImpersonation), string(tenant.EngineBoth))
	completeValues(cmd, "storage", string(tenant.StorageSecret), string(tenant.StorageConfigMap))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.printRole {
			return s.printRole(cmd, o)
		}
		r.Tenant.Name = args[0]
		if err := o.complete(cmd); err != nil {
			return err
		}
		return s.init(cmd.Context(), o)
	}
	return cmd
}

// complete turns flags into a request; settings whose flag was not given stay unset.
func (o *initOptions) complete(cmd *cobra.Command) error {
	f, t := cmd.Flags(), &o.request.Tenant
	var wrong []error
	if f.Changed("namespaces") && len(t.Namespaces) == 0 {
		wrong = append(wrong, errors.New("--namespaces is empty: name at least one"))
	}
	if f.Changed("home-namespace") && t.HomeNamespace == "" {
		wrong = append(wrong, errors.New("--home-namespace is empty"))
	}
	t.Engine, t.Tiller.Storage = tenant.Engine(o.engine), tenant.Storage(o.storage)
	if f.Changed("engine") && o.engine == "" {
		wrong = append(wrong, errors.New("--engine is empty"))
	}
	for _, name := range []string{"role", "storage", "default-namespace"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			wrong = append(wrong, fmt.Errorf("--%s is empty", name))
		}
	}
	for name, setting := range map[string]admin.Setting{"tiller-image": admin.SettingImage, "tiller-version": admin.SettingVersion, "contact": admin.SettingContact, "flux-account": admin.SettingFluxAccount} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			o.request.Unset = append(o.request.Unset, setting)
		}
	}
	if f.Changed("image-pull-secret") && t.Tiller.ImagePullSecrets == nil {
		t.Tiller.ImagePullSecrets = []string{}
	}
	if f.Changed("history-max") {
		t.Tiller.HistoryMax = &o.historyMax
	}
	if f.Changed("replicas") {
		t.Tiller.Replicas = &o.replicas
	}
	wrong = append(wrong, o.rails.complete(cmd, &t.Rails)...)
	wrong = append(wrong, o.checkChoices()...)
	if invalid, ok := errors.AsType[admin.Invalid](o.request.Check()); ok {
		wrong = append(wrong, invalid...)
	} else {
		wrong = append(wrong, o.checkNames()...)
	}
	for _, problem := range t.Members.Validate() {
		wrong = append(wrong, fmt.Errorf("--%w", problem))
	}
	accepted, err := admin.ParseAccepted(o.risks)
	if err != nil {
		wrong = append(wrong, err)
	}
	o.request.Accepted = accepted
	if len(wrong) > 0 {
		return asUsage(cmd, problems(wrong))
	}
	return nil
}

// checkChoices returns mistakes in the values of flags that have a list of values: they are said
// whatever else is wrong, also to somebody who may not read the cluster.
func (o *initOptions) checkChoices() []error {
	t := o.request.Tenant
	only := tenant.Tenant{Name: "any", Namespaces: []string{"any-namespace"}, Engine: t.Engine}
	only.PodSecurity, only.Guard, only.Network = t.PodSecurity, t.Guard, t.Network
	wrong := only.WithDefaults().Validate()
	storage := tenant.Tenant{Name: "any", Namespaces: []string{"any-namespace"}, Engine: tenant.EngineTiller}
	storage.Tiller.Storage = t.Tiller.Storage
	return append(wrong, storage.WithDefaults().Validate()...)
}

// checkNames returns mistakes in the typed names, except the tenant's and its members'.
func (o *initOptions) checkNames() []error {
	t := o.request.Tenant
	var wrong []error
	if name := t.FluxAccount; name != "" {
		if err := tenant.CheckFluxAccount(name); err != nil {
			wrong = append(wrong, fmt.Errorf("--flux-account: %w", err))
		}
	}
	return append(wrong, duplicates(t.Namespaces)...)
}

func duplicates(names []string) []error {
	seen := map[string]bool{}
	var found []error
	for _, name := range names {
		if seen[name] {
			found = append(found, fmt.Errorf("--namespaces: %q is named twice", name))
		}
		seen[name] = true
	}
	return found
}

func (s *session) init(ctx context.Context, o *initOptions) error {
	name := o.request.Tenant.Name
	_, client, err := s.open()
	if err != nil {
		return err
	}
	if o.request.ClientVersion, o.request.DefaultEngine, err = s.clientDefaults(ctx); err != nil {
		return err
	}
	o.request.NoteRefused = true
	if o.scoped {
		if client, err = admin.Scope(ctx, client, []admin.Request{o.request}); err != nil {
			return withHint(err, hintsFor(err, inFlags)...)
		}
	}
	warned := map[string]bool{}
	prepare := func(ctx context.Context) (*admin.Prepared, error) {
		prepared, err := admin.Prepare(ctx, client, o.request)
		if err == nil {
			for _, warning := range prepared.Warnings {
				if !warned[warning] {
					s.say("Warning: %s", warning)
				}
				warned[warning] = true // the request may be prepared several times
			}
		}
		return prepared, err
	}
	if o.dryRun {
		prepared, err := prepare(ctx)
		if err != nil {
			return s.explainInit(name, client, err)
		}
		return s.dryRun(prepared, o.output)
	}
	prepared, err := admin.Write(ctx, client, prepare, s.change)
	s.changesMade()
	if err != nil {
		return s.explainInit(name, client, err)
	}
	for _, note := range prepared.Notes {
		s.say("Note: %s", note)
	}
	t := prepared.Tenant
	if err := admin.AwaitInForce(ctx, client, prepared); err != nil {
		s.say("Warning: whether the tenant's rights and guard rails are in force is not known: %v", err)
	}
	if unheld := admin.PodSecurityUnheld(ctx, client, t); unheld != "" {
		s.say("Warning: %s", unheld)
	}
	if err := s.finishDisconnect(ctx, client, prepared, o.timeout); err != nil {
		return withHint(failure.Of("init", t.Name, client.Where()).Wrap(err), "the tenant is written; the same command again restarts its Tiller")
	}
	hasTiller := t.Engine.Has(tenant.EngineTiller)
	if o.wait && hasTiller {
		ctx, cancel := context.WithTimeout(ctx, o.timeout)
		defer cancel()
		err := client.WaitForTiller(ctx, t.Home(), func(sentence string) { s.say("Tiller: %s", sentence) })
		if err != nil {
			return withHint(failure.Of("init", t.Name, client.Where()).Wrap(err), "the tenant is written; run the same command again to go on waiting")
		}
	}
	return s.initDone(prepared, o)
}

// clientDefaults returns the defaults that follow from the helm in use: the version of a
// Tiller, empty unless it is Helm 2, and the engine of a new tenant.
func (s *session) clientDefaults(ctx context.Context) (string, tenant.Engine, error) {
	client, err := s.HelmClient(ctx, true)
	switch {
	case errors.Is(err, helm.ErrNoHelm):
		return "", tenant.EngineTiller, nil // an admin's machine needs no helm
	case err != nil:
		return "", "", err
	case client.Major == 2:
		return client.Version, tenant.EngineTiller, nil
	}
	return "", client.Engine(), nil
}

// explainInit adds what was tried, and hints.
func (s *session) explainInit(name string, client *cluster.Client, err error) error {
	lines := explained(failure.Of("init", name, client.Where()), err, inFlags)
	if invalid, ok := errors.AsType[admin.Invalid](err); ok {
		if len(lines) == 1 {
			lines = problems(invalid)
		}
		return &usageError{lines, "helm tenant init TENANT --namespaces NS[,NS...] [flags]"}
	}
	return lines
}
