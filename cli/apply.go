package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type applyOptions struct {
	files            []string
	request          admin.Request
	risks            []string
	scoped           bool
	dryRun           string
	kubeVersion      string
	detailedExitCode bool
	prune            bool
	destroy          destroyOptions
	wait             bool
	disconnect       bool
	timeout          time.Duration
	output           string
}

func newApply(s *session) *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply -f FILE|FOLDER|-",
		Short: "Make the cluster match a tenants file",
		Long: `Make the cluster match a tenants file.

The file decides about the tenants that it names: members and namespaces that it leaves
out are removed, with a note. Other tenants are not changed, unless --prune is given.

Exit codes: 0 success, 1 every tenant failed, 3 some tenants failed; with
--detailed-exitcode 2 if something differed, and 1 for a command line that is not valid.`,
		Example: `  helm tenant apply -f tenants.yaml --dry-run
  helm tenant apply -f tenants.yaml --create-namespaces
  helm tenant apply -f tenants.yaml --dry-run=client -o yaml
  helm tenant export | helm tenant apply -f -`,
		Args: noArguments,
	}
	f, r := cmd.Flags(), &o.request
	f.StringSliceVarP(&o.files, "filename", "f", nil, "tenants file, folder of .yaml files, or - for standard input; repeatable")
	scopeFlag(cmd, &o.scoped)
	f.StringVar(&o.dryRun, "dry-run", "none", "server: print the difference, and write nothing; client: print all objects, without a cluster")
	f.Lookup("dry-run").NoOptDefVal = "server"
	f.StringVar(&o.kubeVersion, "kube-version", admin.DefaultKubeVersion, "with --dry-run=client: the version of Kubernetes that the objects are for")
	f.BoolVar(&o.detailedExitCode, "detailed-exitcode", false, "exit with 2 if there are differences")
	f.BoolVar(&r.CreateNamespaces, "create-namespaces", false, "create namespaces that do not exist")
	f.BoolVar(&r.Share, "share", false, "allow a namespace in two tenants")
	f.BoolVar(&r.Adopt, "adopt", false, "take over objects that were not made by helm-tenant")
	riskFlag(cmd, &o.risks)
	f.BoolVar(&o.prune, "prune", false, "also destroy the tenants that the file does not name")
	f.BoolVar(&o.destroy.deleteReleases, "delete-releases", false, "with --prune: delete the releases of the destroyed tenants")
	f.BoolVar(&o.destroy.keepReleases, "keep-releases", false, "with --prune: leave the objects of their releases")
	f.BoolVar(&o.destroy.yes, "yes", false, "with --prune: do not ask")
	f.BoolVar(&o.wait, "wait", false, "wait until every Tiller that was written is ready")
	disconnectFlag(cmd, &o.disconnect, "members that a tenant loses")
	timeoutFlag(cmd, &o.timeout)
	outputFlag(cmd, &o.output, "text", "json", "yaml", "name")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(o.files) == 0 {
			return asUsage(cmd, errors.New("no file is named: give -f FILE"))
		}
		accepted, err := admin.ParseAccepted(o.risks)
		if err != nil {
			return asUsage(cmd, err)
		}
		if o.destroy.deleteReleases && o.destroy.keepReleases {
			return asUsage(cmd, errors.New("--delete-releases and --keep-releases contradict each other"))
		}
		if o.scoped && o.prune {
			return asUsage(cmd, errors.New("--prune looks for tenants in the whole cluster, and --no-cluster-reads forbids that"))
		}
		r.Accepted = accepted
		r.Exact, r.Disconnect = true, o.disconnect
		if err := o.checkDryRun(cmd.Flags().Changed); err != nil {
			return asUsage(cmd, err)
		}
		if o.dryRun == dryRunClient {
			return s.render(cmd.Context(), o)
		}
		return s.apply(cmd.Context(), o)
	}
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "file" {
			name = "filename" // the flag's name in audit
		}
		return pflag.NormalizedName(name)
	})
	return cmd
}

// readDisjoint reads the files, and refuses tenants that claim the same namespace.
func (s *session) readDisjoint(ctx context.Context, o *applyOptions) ([]tenant.Located, error) {
	located, err := s.readTenants(ctx, o.files)
	var wrong problems
	if err != nil && !errors.As(err, &wrong) {
		return nil, err
	}
	// Overlaps are reported together with the other problems.
	overlaps := admin.Overlaps(located, o.request.Share)
	if wrong = append(wrong, overlaps...); len(overlaps) > 0 {
		return nil, withHint(wrong, "a namespace in two tenants on purpose: --share")
	}
	return located, err
}

func (s *session) apply(ctx context.Context, o *applyOptions) error {
	located, err := s.readDisjoint(ctx, o)
	if err != nil {
		return err
	}
	collectEarly(40)
	requests := o.requests(located)
	k, client, err := s.open()
	if err != nil {
		return err
	}
	version, _, err := s.clientDefaults(ctx)
	if err != nil {
		return err
	}
	for i := range requests {
		requests[i].ClientVersion, requests[i].NoteRefused = version, true
	}
	if o.scoped {
		if client, err = admin.Scope(ctx, client, requests); err != nil {
			return err
		}
	}
	outcomes, err := admin.PrepareAll(ctx, client, requests)
	if err != nil {
		return withHint(failure.In("apply", client.Where()).Wrap(err), hintsFor(err, inFile)...)
	}
	shared := admin.TakeShared(outcomes)
	surplus, err := s.surplus(ctx, client, o, requests)
	if err != nil {
		return err
	}
	differs := len(shared.Changes) > 0 || len(surplus) > 0
	for _, outcome := range outcomes {
		differs = differs || outcome.Err == nil && len(outcome.Prepared.Plan.Changes) > 0
	}
	for _, outcome := range outcomes {
		if outcome.Err == nil {
			for _, warning := range outcome.Prepared.Warnings {
				s.say("Warning: tenant %s: %s", outcome.Name, warning)
			}
		}
	}
	if o.dryRun == dryRunServer {
		refused := s.tryPrune(ctx, k, client, o, surplus)
		outcomes = append(outcomes, refused...)
		for _, outcome := range refused {
			surplus = slices.DeleteFunc(surplus, func(name string) bool { return name == outcome.Name })
		}
		if err := s.printDiff(o.output, outcomes, shared, surplus); err != nil {
			return err
		}
	} else {
		s.checkDisconnect(ctx, client, outcomes, o.disconnect)
		if err := admin.ApplyAll(ctx, client, requests, outcomes, shared, s.progress(len(requests))); err != nil {
			return failure.In("apply", client.Where()).Wrap(err)
		}
		s.sayPodSecurity(ctx, client, outcomes)
		s.disconnectAll(ctx, client, outcomes, o.disconnect, o.timeout)
		if o.wait {
			s.waitForAll(ctx, client, outcomes, o.timeout)
		}
		outcomes = append(outcomes, s.pruneTenants(ctx, k, client, o, surplus)...)
		if err := s.printApplied(o.output, outcomes); err != nil {
			return err
		}
	}
	return s.judge(outcomes, differs && o.detailedExitCode)
}

// sayPodSecurity reports if the API server does not enforce PodSecurity. The first tenant
// that uses it answers for all.
func (s *session) sayPodSecurity(ctx context.Context, client *cluster.Client, outcomes []admin.Outcome) {
	i := slices.IndexFunc(outcomes, func(o admin.Outcome) bool { return o.Err == nil && admin.HasPodSecurity(o.Prepared.Tenant) })
	if i < 0 {
		return
	}
	if unheld := admin.PodSecurityUnheld(ctx, client, outcomes[i].Prepared.Tenant); unheld != "" {
		s.say("Warning: %s", unheld)
	}
}

func (o *applyOptions) requests(located []tenant.Located) []admin.Request {
	requests := make([]admin.Request, len(located))
	file := make([]tenant.Tenant, len(located))
	for i, l := range located {
		requests[i], file[i] = o.request, l.Tenant
		requests[i].Tenant, requests[i].File = l.Tenant, file
	}
	return requests
}

// progress reports the progress: on a terminal in one line that is overwritten, otherwise
// with a line from time to time.
func (s *session) progress(total int) func(admin.Outcome) {
	count, last := 0, time.Time{}
	terminal := isTerminal(s.Env.Stderr)
	return func(admin.Outcome) {
		count++
		switch {
		case terminal && (count == total || s.Env.Now().Sub(last) > 100*time.Millisecond):
			last = s.Env.Now()
			visible.Fprintf(s.Env.Stderr, "\r%d of %d tenants", count, total)
			if count == total {
				fmt.Fprintln(s.Env.Stderr)
			}
		case !terminal && count%100 == 0:
			s.say("%d of %d tenants", count, total)
		}
	}
}

// waitForAll waits for the Tillers that were written. A Tiller that is not ready in time
// is an error of its tenant.
func (s *session) waitForAll(ctx context.Context, client *cluster.Client, outcomes []admin.Outcome, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil || len(o.Prepared.Plan.Changes) == 0 || !o.Prepared.Tenant.Engine.Has(tenant.EngineTiller) {
			continue
		}
		o.Err = client.WaitForTiller(ctx, o.Prepared.Tenant.Home(), func(sentence string) { s.say("%s: Tiller: %s", o.Name, sentence) })
	}
}

// judge turns the outcomes into an exit code, and prints the errors at the end, where
// they are seen.
func (s *session) judge(outcomes []admin.Outcome, differed bool) error {
	var failed []admin.Outcome
	for _, o := range outcomes {
		if o.Err != nil {
			failed = append(failed, o)
		}
	}
	if len(failed) == 0 {
		if differed {
			return &codeError{code: exitDiffers}
		}
		return nil
	}
	var lines problems
	for _, o := range failed {
		lines = append(lines, explained(failure.OfTenant(o.Name), o.Err, inFile)...)
	}
	code := exitPartly
	if len(failed) == len(outcomes) {
		code = exitFailed
	}
	return &codeError{code: code, err: lines}
}

func (s *session) printApplied(output string, outcomes []admin.Outcome) error {
	type applied struct {
		Name   string   `json:"name"`
		Result string   `json:"result"`
		Writes int      `json:"writes"`
		Notes  []string `json:"notes"`
		Error  string   `json:"error,omitempty"`
	}
	var items []applied
	unchanged := 0
	for _, o := range outcomes {
		item := applied{Name: o.Name}
		switch {
		case o.Err != nil:
			item.Result, item.Error = "failed", errorText(o.Err)
		case o.Prepared == nil:
			item.Result = "destroyed"
		case len(o.Prepared.Plan.Changes) == 0:
			item.Result = "unchanged"
			unchanged++
		case o.Prepared.Existed:
			item.Result = "changed"
		default:
			item.Result = "created"
		}
		if o.Prepared != nil {
			item.Writes, item.Notes = len(o.Prepared.Plan.Changes), shown(o.Prepared.Notes)
		}
		items = append(items, item)
	}
	if output != "text" {
		return printObject(s.out(), output, struct {
			document
			Items []applied `json:"items"`
		}{documentOf("ApplyResult"), append([]applied{}, items...)})
	}
	for _, o := range outcomes {
		if o.Err == nil && o.Prepared != nil && o.Prepared.Stale {
			s.next(fmt.Sprintf("The namespaces or the engine of tenant %s changed: members whose kubeconfig remembers it type again", o.Name), useOf(o.Prepared.Tenant))
		}
	}
	for _, item := range items {
		for _, note := range item.Notes {
			s.say("Note: tenant %s: %s", item.Name, note)
		}
		if item.Result == "created" || item.Result == "changed" {
			visible.Fprintf(s.out(), "tenant %s %s, %s\n", item.Name, item.Result, counted(item.Writes, "write"))
		}
	}
	if unchanged > 0 {
		visible.Fprintf(s.out(), "%s unchanged\n", counted(unchanged, "tenant"))
	}
	return nil
}

// counted returns a number with its noun: "1 tenant" or "2 tenants".
func counted(n int, noun string) string { return visible.Counted(n, noun) }
