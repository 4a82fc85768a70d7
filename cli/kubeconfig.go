package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// derivation has the options of `kubeconfig`.
type derivation struct {
	tenant.Derivation
	file     string
	account  string
	duration time.Duration
	merge    bool
	unmerge  bool
	dryRun   bool
	output   string
}

// prints reports whether the kubeconfig is printed, and no file written.
func (d derivation) prints() bool { return !d.merge && !d.unmerge && (d.file == "" || d.file == "-") }

// check returns an error if flags contradict each other. given reports whether a flag was
// given.
func (d derivation) check(name string, given func(string) bool) error {
	switch {
	case given("duration") && d.account == "":
		return errors.New("--duration is the lifetime of a token: give --for-service-account too")
	case d.duration < cluster.MinTokenLifetime:
		return fmt.Errorf("--duration %s is too short: Kubernetes makes tokens of at least %s", d.duration, cluster.MinTokenLifetime)
	case given("for-service-account") && d.accountProblem() != nil:
		return d.accountProblem()
	case d.merge && d.file != "":
		return errors.New("--merge writes into your own kubeconfig, and --output-file another one: give one of them")
	case given("context-name") && (d.ContextName == "" || strings.HasPrefix(d.ContextName, "-") || !visible.Plain(d.ContextName)):
		return errors.New("--context-name is not a name")
	case d.dryRun && d.prints():
		return errors.New("--dry-run goes with --merge, --unmerge or --output-file FILE: without them no file is written")
	case d.unmerge && name == "":
		return errors.New("--unmerge needs the tenant's name")
	}
	for _, flag := range []string{"merge", "output-file", "each-namespace", "for-service-account"} {
		if d.unmerge && given(flag) {
			return fmt.Errorf("--unmerge and --%s contradict each other", flag)
		}
	}
	return nil
}

func (d derivation) accountProblem() error {
	who := tenant.Members{tenant.ParseSubject(rbacv1.ServiceAccountKind, d.account)}
	if problems := who.Validate(); len(problems) > 0 {
		return fmt.Errorf("--for-%w", problems[0])
	}
	return nil
}

func newKubeconfig(s *session) *cobra.Command {
	d := derivation{duration: time.Hour}
	cmd := &cobra.Command{
		Use:   "kubeconfig [TENANT]",
		Short: "Print a kubeconfig that acts as the tenant, for kubectl and other tools",
		Long: `Print a kubeconfig that acts as the tenant: your own credentials, impersonating the
tenant's service account. With it kubectl, k9s, terraform, helmfile and plain Helm 3 and
4 act as the tenant, without a wrapper. Its contexts know the tenant, so "helm tenant"
works with them as well.

With --merge the contexts are added to your own kubeconfig instead: one with the tenant's
name, and a user for it. Your current context stays. --unmerge removes them again, without
a request to the cluster. --dry-run says which files would change, and changes none.

With --for-service-account the credentials are a token of that account, which must be a
member of the tenant; the token expires by itself. For an account in one of the tenant's
namespaces the token is requested as the tenant, otherwise as you.

The file is as secret as your credentials.`,
		Example: `  helm tenant kubeconfig --output-file team-a.kubeconfig
  helm tenant kubeconfig team-a --each-namespace > team-a.kubeconfig
  helm tenant kubeconfig team-a --merge --dry-run
  helm tenant kubeconfig team-a --merge
  helm tenant kubeconfig team-a --unmerge
  helm tenant kubeconfig team-a --for-service-account ci:deployer --duration 30m`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneTenant(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.file, "output-file", "", "write a file that only you can read, instead of printing; - prints")
	f.BoolVar(&d.EachNamespace, "each-namespace", false, "write a context for each of the tenant's namespaces")
	f.StringVar(&d.account, "for-service-account", "", "use a token of this service account, NAMESPACE:NAME")
	f.Var(duration(&d.duration), "duration", "lifetime of the token, at least 10m")
	f.BoolVar(&d.merge, "merge", false, "write the contexts into your own kubeconfig")
	f.BoolVar(&d.unmerge, "unmerge", false, "remove the contexts that --merge wrote from your kubeconfig")
	f.StringVar(&d.ContextName, "context-name", "", "name of the context, instead of the tenant's")
	f.BoolVar(&d.dryRun, "dry-run", false, "with --merge, --unmerge or --output-file: say what would change, and write no file")
	outputFlag(cmd, &d.output, "text", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := strings.Join(args, "")
		if err := d.check(name, cmd.Flags().Changed); err != nil {
			return asUsage(cmd, err)
		}
		if d.unmerge {
			return s.unmergeKubeconfig(name, d)
		}
		return s.deriveKubeconfig(cmd.Context(), name, d)
	}
	return cmd
}

func (s *session) deriveKubeconfig(ctx context.Context, name string, d derivation) error {
	k, client, err := s.open()
	if err != nil {
		return err
	}
	if name == "" {
		name = s.Call.Line.Tenant
	}
	// Only tenants of Helm 3 and 4 have one, whatever helm is on PATH.
	resolved, err := s.resolve(ctx, k, name, tenant.EngineImpersonation, s.requestTimeout)
	if err != nil {
		return err
	}
	if resolved.Engine != tenant.EngineTiller && (resolved.NamespacesUnknown() || resolved.Name == "") {
		if resolved, err = s.readNamespaces(ctx, k, resolved, s.requestTimeout); err != nil {
			return err
		}
	}
	if resolved.Engine == tenant.EngineTiller { // by the kubeconfig, or by the record
		return withHint(fmt.Errorf("tenant %q has a Tiller: its members reach the tenant through helm only, not by a kubeconfig", resolved.Name),
			hint("for tools that run helm: helm tenant shellenv"))
	}
	if d.account == "" {
		if resolved, err = asReader(ctx, client, k, resolved); err != nil {
			return err
		}
	}
	known := tenant.Known{Name: resolved.Name, HomeNamespace: resolved.Home, Engine: tenant.EngineImpersonation, Namespaces: resolved.Namespaces, AllNamespaces: resolved.AllNamespaces, Reader: resolved.Reader}
	changed := kubeconfigChange{Tenant: resolved.Name, DryRun: d.dryRun}
	if d.account != "" {
		if d.Credentials, changed.TokenExpires, err = s.accountToken(ctx, client, known, d); err != nil {
			return err
		}
		known.Reader = s.accountReads(ctx, client, d.Credentials, known)
	}
	if d.merge {
		merged, err := k.Merge(known, d.Derivation, d.dryRun)
		if err != nil {
			return err
		}
		changed.Contexts, changed.Users, changed.Files = merged.Contexts, merged.Users, merged.Files
		return s.changedKubeconfig(changed, d.output, mergedText(merged, d.dryRun))
	}
	text, contexts, err := k.Derive(known, d.Derivation)
	if err != nil {
		return err
	}
	if d.prints() {
		return s.printDerived(text, d.output)
	}
	changed.Contexts = contexts
	return s.writeDerived(ctx, text, changed, d)
}

// writeDerived writes a derived kubeconfig into the file of --output-file.
func (s *session) writeDerived(ctx context.Context, text []byte, changed kubeconfigChange, d derivation) error {
	derived, err := clientcmd.Load(text)
	if err != nil {
		return err
	}
	did := "wrote"
	if d.dryRun {
		did, err = "would write", tenant.CheckDerived(d.file, changed.Contexts)
	} else {
		_, err = untilDone(ctx, func() (struct{}, error) { return struct{}{}, tenant.WriteDerived(d.file, text, changed.Contexts) })
	}
	if err != nil {
		return err
	}
	changed.Users, changed.Files = slices.Sorted(maps.Keys(derived.AuthInfos)), []string{d.file}
	return s.changedKubeconfig(changed, d.output, fmt.Sprintf("%s %s with the %s", did, d.file, theContexts(changed.Contexts)))
}

// kubeconfigChange says in machine output which entries of which files changed, or would by a
// dry run.
type kubeconfigChange struct {
	document
	Tenant string   `json:"tenant"`
	DryRun bool     `json:"dryRun"`
	Files  []string `json:"files"`
	// Contexts and Users are the entries that were written, or removed.
	Contexts     []string   `json:"contexts"`
	Users        []string   `json:"users"`
	TokenExpires *time.Time `json:"tokenExpires,omitempty"`
}

// changedKubeconfig prints what was written: text for people, an object otherwise.
func (s *session) changedKubeconfig(changed kubeconfigChange, output, text string) error {
	if output == "text" {
		s.say("%s", text)
		return nil
	}
	changed.document = documentOf("KubeconfigChange")
	return printObject(s.out(), output, changed)
}

// mergedText says what --merge did.
func mergedText(merged tenant.Merged, dryRun bool) string {
	one, verb := "it", "is"
	if len(merged.Contexts) > 1 {
		one, verb = "one", "are"
	}
	if dryRun && len(merged.Files) > 0 {
		return fmt.Sprintf("would write the %s into %s", theContexts(merged.Contexts), strings.Join(merged.Files, ", "))
	}
	return fmt.Sprintf("The %s %s in %s; to use %s: kubectl config use-context %s", theContexts(merged.Contexts), verb, merged.Into, one, command.Native().Quote(merged.Contexts[0]))
}

// printDerived prints a derived kubeconfig. Its names come from the caller's own
// kubeconfig, which somebody else may have written.
func (s *session) printDerived(text []byte, output string) error {
	if output != "json" {
		return printYAML(s.Env.Stdout, text)
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	if bytes.ContainsFunc(asJSON, func(r rune) bool { return r > 0xffff && visible.Hidden(r) }) {
		// JSON escapes it as two surrogates, which client-go's YAML parser refuses.
		return errors.New("a name in the kubeconfig's entry has a hidden character that kubectl can't read in JSON: use -o yaml")
	}
	return printObject(s.Env.Stdout, output, json.RawMessage(asJSON))
}

func theContexts(names []string) string {
	if len(names) == 1 {
		return "context " + names[0]
	}
	return "contexts " + strings.Join(names, ", ")
}

// unmergeKubeconfig removes what --merge wrote for the tenant from the kubeconfig.
func (s *session) unmergeKubeconfig(name string, d derivation) error {
	removed, err := tenant.Unmerge(s.Env.Environ, s.kubeconfigFile, name, d.ContextName, d.dryRun)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("The kubeconfig has no context that --merge wrote for tenant %s.", name)
	current := "it"
	switch n := len(removed.Contexts); {
	case n > 0 && d.dryRun:
		text = fmt.Sprintf("would remove the %s from %s", theContexts(removed.Contexts), strings.Join(removed.Files, ", "))
	case n == 1:
		text = fmt.Sprintf("The %s is no longer in the kubeconfig.", theContexts(removed.Contexts))
	case n > 1:
		text, current = fmt.Sprintf("The %s are no longer in the kubeconfig.", theContexts(removed.Contexts)), "one of them"
	}
	changed := kubeconfigChange{Tenant: name, DryRun: d.dryRun, Contexts: removed.Contexts, Users: removed.Users, Files: removed.Files}
	if err := s.changedKubeconfig(changed, d.output, text); err != nil {
		return err
	}
	if removed.Current {
		s.say("Warning: %s was the current context; to choose another one: kubectl config use-context CONTEXT", current)
	}
	return nil
}

// accountToken requests a token of the named service account, and returns when it expires.
func (s *session) accountToken(ctx context.Context, client *cluster.Client, known tenant.Known, d derivation) (tenant.Credentials, *time.Time, error) {
	namespace, name, _ := strings.Cut(d.account, ":")
	if slices.Contains(known.Namespaces, namespace) {
		var err error
		if client, err = client.As(tenant.AccountUser(known.HomeNamespace, known.Account())); err != nil {
			return tenant.Credentials{}, nil, err
		}
	}
	token, ends, err := client.RequestToken(ctx, namespace, name, d.duration)
	if err != nil {
		return tenant.Credentials{}, nil, err
	}
	ends = ends.UTC()
	s.say("The token of service account %s ends at %s.", visible.Text(d.account), ends.Format(time.RFC3339))
	return tenant.Credentials{Token: token, User: d.account}, &ends, nil
}

// accountReads asks as a service account whether it is a reader of the tenant: its kubeconfig acts
// as that relation's account. It notes that it is neither a reader nor a member. Without an answer
// it counts as a member.
func (s *session) accountReads(ctx context.Context, client *cluster.Client, account tenant.Credentials, known tenant.Known) bool {
	own, err := client.WithToken(account.Token)
	if err != nil {
		return false
	}
	reader, related, err := isReader(ctx, own, known.HomeNamespace)
	if err == nil && !related {
		s.say("Note: service account %s is neither a member nor a reader of tenant %s, and is refused until an owner or an admin types: %s", account.User, known.Name,
			command.Run(command.Tenant("grant", known.Name, "--service-account="+account.User)))
	}
	return reader
}
