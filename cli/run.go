package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/envvar"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
	"helm-tenant/wrapper"
)

var verbs = []verb{
	{"init", newInit},
	{"grant", newGrant},
	{"revoke", newRevoke},
	{"freeze", newFreeze},
	{"thaw", newThaw},
	{"tenants", newTenants},
	{"describe", newDescribe},
	{"apply", newApply},
	{"export", newExport},
	{"destroy", newDestroy},
	{"migrate", newMigrate},
	{"split", newSplit},
	{"audit", newAudit},
	{"prove", newProve},
	{"releases", newReleases},
	{"preflight", newPreflight},
	{"kubeconfig", newKubeconfig},
	{"use", newUse},
	{"whoami", newWhoami},
	{"shellenv", newShellenv},
}

// aboutCaller are the verbs before which --tenant may stand: they concern the caller's
// own tenant.
var aboutCaller = []string{"whoami", "shellenv", "releases", "kubeconfig", "preflight"}

type verb struct {
	name string
	make func(*session) *cobra.Command
}

type session struct {
	caller
	// These are flags of every verb.
	context, kubeContext string
	kubeconfigFile       string
	requestTimeout       time.Duration
	// client is the client of the last open.
	client *cluster.Client
	// completing reports whether the run is a completion, which runs no verb.
	completing bool
	// policies are changes that were made and are not printed yet.
	policies policyChanges
}

// Run runs the command in the arguments and returns the exit code.
func Run(ctx context.Context, env Environment) int {
	code, err := run(ctx, env)
	if err != nil {
		var usage *usageError
		if errors.As(err, &usage) && slices.ContainsFunc(env.Args, asksForExitCode) {
			err = &codeError{exitFailed, err} // 2 would mean a difference to callers of apply and of helm diff
		}
		if unresolved, ok := errors.AsType[*tenant.UnresolvedError](err); ok {
			unresolved.Typed = misplacedTenant(env.Args)
		}
		return report(env.Stderr, err)
	}
	return code
}

// asksForExitCode reports whether an argument is --detailed-exitcode, and does not turn
// it off.
func asksForExitCode(arg string) bool {
	name, value, joined := strings.Cut(arg, "=")
	on, err := strconv.ParseBool(value)
	return name == "--detailed-exitcode" && (!joined || err == nil && on)
}

func run(ctx context.Context, env Environment) (int, error) {
	if err := env.CheckWrapper(); err != nil {
		return 0, err
	}
	c, err := newCaller(env)
	if err != nil {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			err = withHint(err, beforeHints(env.Args, unknown.GetSpecifiedName())...)
		}
		return 0, &usageError{err, "helm tenant [--tenant T] [--context C] COMMAND [ARGUMENT...]"}
	}
	if c.Wraps() {
		return c.wrap(ctx)
	}
	line := c.Call.Line
	switch {
	case wrapper.IsCompletion(line.Command):
		return c.complete(ctx, line.Command, line.Args)
	case line.Command == "completion" && c.Call.Plugin == 0:
		return exitDone, c.completionScript(line.Args)
	case line.Version:
		visible.Fprintf(env.Stdout, "helm-tenant %s\n", wrapper.Version())
		return exitDone, nil
	case line.Help && wrapper.IsVerb(line.Command):
		return c.runVerb(ctx, []string{line.Command, "--help"})
	case line.Command == "" || line.Help:
		return c.runVerb(ctx, []string{"--help"})
	case line.Command == "help" && (len(line.Args) == 0 || wrapper.IsVerb(line.Args[0])):
		return c.runVerb(ctx, append([]string{"help"}, line.Args...))
	case line.Tenant != "" && !slices.Contains(aboutCaller, line.Command):
		cmd, _, err := newRoot(&session{caller: c}).Find([]string{line.Command})
		if err != nil {
			return 0, err
		}
		return 0, asUsage(cmd, noTenantFlag(cmd))
	}
	return c.runVerb(ctx, append(append([]string{line.Command}, line.Globals...), line.Args...))
}

// runVerb runs one of our own verbs, or help.
func (c caller) runVerb(ctx context.Context, args []string) (int, error) {
	if !slices.Contains(readingVerbs, c.Call.Line.Command) {
		c = c.outliveOutput()
	}
	s := &session{caller: c}
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(c.Env.Stdin)
	root.SetOut(c.Env.Stdout)
	root.SetErr(c.Env.Stderr)
	err := root.ExecuteContext(ctx)
	s.changesMade()
	err = s.withLost(ctx, err)
	var unreachable *cluster.UnreachableError
	var hinted *hintError
	if errors.As(err, &unreachable) && unreachable.TimedOut && !(errors.As(err, &hinted) && len(hinted.hints) > 0) {
		err = withHint(err, hint(fmt.Sprintf("give it longer than %s with --request-timeout", s.requestTimeout)))
	}
	return exitDone, err
}

// nearFlags suggests the flags of a verb that may have been meant by a name.
func nearFlags(cmd *cobra.Command, name string) []hint {
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	return nearWords(name, known)
}

// nearWords suggests those of the known flags that may have been meant by a name.
func nearWords(name string, known []string) []hint {
	near := tenant.Near(name, known)
	if len(name) < 2 || len(near) == 0 {
		return nil // a letter is near to any short name
	}
	return []hint{hint("did you mean: --" + strings.Join(near, ", --"))}
}

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:         "tenant",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "helm tenant"},
		Short:       "Helm for the tenants of a shared cluster",
		Long: `Helm for the tenants of a shared cluster.

  helm tenant COMMAND...   runs helm's own COMMAND for your tenant, which the
                           kubeconfig context names (see "helm tenant use")

Before the command, and only there:
  --tenant T               act for tenant T
  --context C              use kubeconfig context C
  --version                print helm-tenant's version`,
		Example: `  helm tenant use team-a
  helm tenant upgrade --install web ./chart
  helm tenant --tenant team-b list
  alias h='helm tenant'`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	flags := root.PersistentFlags()
	s.context = s.Call.Line.Context
	flags.Var(notEmpty(&s.context), "context", "kubeconfig context to use")
	flags.Var(notEmpty(&s.kubeContext), "kube-context", "the same as --context, by helm's name")
	flags.Var(notEmpty(&s.kubeconfigFile), "kubeconfig", "kubeconfig file to use")
	s.requestTimeout = 30 * time.Second
	flags.Var(duration(&s.requestTimeout), "request-timeout", "timeout for one request to the API server; 0 is no limit")
	flags.Bool("debug", false, "name each admission policy that is written")
	hide(root, "kube-context", "debug")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		switch {
		case !errors.As(err, &unknown):
		case unknown.GetSpecifiedName() == "tenant" && slices.Contains(aboutCaller, cmd.Name()):
			err = fmt.Errorf("--tenant goes before the command: helm tenant --tenant %s %s", tenantWord(misplacedTenant(s.Call.Line.Args)), cmd.Name())
		case unknown.GetSpecifiedName() == "tenant":
			err = noTenantFlag(cmd)
		case cmd.Name() == "init" && slices.Contains(helmInitFlags, unknown.GetSpecifiedName()):
			err = withHint(err, hint("helm's own init is typed without \"tenant\": helm init --"+unknown.GetSpecifiedName())) // one of the flags above
		default:
			hints := habitHints(cmd.Name(), unknown.GetSpecifiedName())
			if near := nearFlags(cmd, unknown.GetSpecifiedName()); len(near) > 0 {
				hints = near
			}
			err = withHint(err, hints...)
		}
		return asUsage(cmd, err)
	})
	for _, verb := range verbs {
		cmd := verb.make(s)
		cmd.DisableFlagsInUseLine = true
		cmd.Args = withoutEmptyFlags(cmd.Args)
		root.AddCommand(cmd)
	}
	root.SetHelpCommand(&cobra.Command{Use: "help [VERB]", Short: "Show how a verb is used", Hidden: true, RunE: func(_ *cobra.Command, args []string) error {
		found, _, err := root.Find(args)
		if err != nil {
			return err
		}
		found.InitDefaultHelpFlag() // cobra adds it only to a command that runs
		return found.Help()
	}})
	return root
}

// helmInitFlags are the flags of Helm 2's own init that ours does not have.
var helmInitFlags = []string{"client-only", "canary-image", "automount-service-account-token", "force-upgrade", "local-repo-url", "net-host", "node-selectors", "override",
	"skip-refresh", "skip-repos", "stable-repo-url", "tiller-tls", "tiller-tls-cert", "tiller-tls-hostname", "tiller-tls-key", "tiller-tls-verify", "tls-ca-cert", "upgrade"}

// noTenantFlag says what to type instead of --tenant with one of our verbs.
func noTenantFlag(cmd *cobra.Command) error {
	if strings.Contains(cmd.Use, "TENANT") {
		return fmt.Errorf("--tenant goes before a command of helm's; %s takes the tenant's name as its argument", cmd.Name())
	}
	return fmt.Errorf("--tenant goes before a command of helm's; %s concerns no single tenant", cmd.Name())
}

func hide(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		cmd.PersistentFlags().Lookup(name).Hidden = true
	}
}

func asUsage(cmd *cobra.Command, err error) error {
	return &usageError{err, strings.TrimSpace(cmd.UseLine())}
}

func riskFlag(cmd *cobra.Command, into *[]string) {
	cmd.Flags().StringSliceVar(into, "accept-risk", nil, "accept a risk by its name; the error that requires it explains the risk")
	completeValues(cmd, "accept-risk", lists.Strings(admin.Risks)...)
}

// open loads the kubeconfig and connects to the API server of the requested context.
func (s *session) open() (*tenant.Kubeconfig, *cluster.Client, error) {
	if err := s.checkIdentity(); err != nil {
		return nil, nil, err
	}
	if typed := s.Call.Outer.TillerNamespace; typed != "" {
		return nil, nil, fmt.Errorf("--tiller-namespace %s is helm's; a tenant's home namespace is named with --home-namespace", typed)
	}
	k, err := s.kubeconfig(s.kubeconfigFile, s.context, s.kubeContext)
	if err != nil {
		return nil, nil, err
	}
	client, err := s.connect(k, s.requestTimeout)
	s.client = client
	return k, client, err
}

// checkTyped refuses flags for helm that set the identity or the API server: our own
// verbs act as the caller, on the context's cluster.
func (s *session) checkTyped() error {
	if typed := s.Call.Outer.Identity; len(typed) > 0 {
		return fmt.Errorf("%s sets who acts, or where; helm-tenant takes both from the kubeconfig context: use --context, or leave it out", typed[0])
	}
	return nil
}

// checkIdentity rejects what checkTyped rejects, and variables of Helm's that set the
// identity or the API server. whoami and shellenv call checkTyped only: the wrapped helm
// never sees these variables.
func (s *session) checkIdentity() error {
	if err := s.checkTyped(); err != nil {
		return err
	}
	for _, name := range []string{envvar.KubeAPIServer, envvar.KubeToken, envvar.KubeAsUser, envvar.KubeAsGroups} {
		value := s.Env.Get(name)
		// If it is not known whether the account was typed, it may have been.
		if value == "" || name == envvar.KubeAsUser && isDeployer(value) && s.Call.Hidden == nil {
			continue
		}
		return fmt.Errorf("%s is set (helm's --kube-... flags end there); helm-tenant acts as a kubeconfig context says: use --context, or unset it", name)
	}
	return nil
}

// isDeployer reports whether a user name is one that shellenv exports.
func isDeployer(user string) bool {
	s := tenant.User(user)
	return s == tenant.Account(s.Namespace, tenant.HelmAccount) || s == tenant.Account(s.Namespace, tenant.ReaderAccount)
}

func (s *session) say(format string, args ...any) {
	s.changesMade()
	var text strings.Builder
	visible.Fprintf(&text, format, plainErrors(args)...)
	_, _ = io.WriteString(s.Env.Stderr, text.String()+"\n")
}

// plainErrors returns the arguments of a message with errors as texts for people.
func plainErrors(args []any) []any {
	plain := slices.Clone(args)
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			plain[i] = failure.Text(err)
		}
	}
	return plain
}

func (s *session) next(text string, c command.Command) { s.say("%s: %s", text, command.Run(c)) }

func (s *session) out() io.Writer { return visible.Writer{W: s.Env.Stdout} }
