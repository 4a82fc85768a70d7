package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"helm-tenant/admin"
	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type splitOptions struct {
	apply                applyOptions
	from, backup, output string
	narrow               string
	leave                []string
	finish, abort        bool
	yes, dryRun, wait    bool
	timeout              time.Duration
}

// defaultFrom is the namespace in which helm init puts a Tiller.
const defaultFrom = "kube-system"

func newSplit(s *session) *cobra.Command {
	o := &splitOptions{}
	r := &o.apply.request
	cmd := &cobra.Command{
		Use:   "split -f FILE [--from NAMESPACE] [--dry-run] | split [--from NAMESPACE] --finish | --abort",
		Short: "Give the releases of one Tiller to the tenants of a file",
		Long: `Give the releases of one Tiller to the tenants of a file.

Each release goes to the tenant that has the release's namespace, otherwise to the tenant
of all namespaces; without such a tenant it stays. split creates the tenants, stops the
Tiller, copies the release records to the tenants' home namespaces, compares the copies
byte for byte, and starts the tenants' Tillers. The objects of the releases do not change.
The old Tiller and its records stay until --finish removes the records of the releases
that moved, and starts the Tiller again for the others; until then --abort goes back. If
it is killed at any point, the same command continues.

A tenant with engine: impersonation in the file first gets its releases with a Tiller of
its own, in the home namespace TENANT-tiller, and is then migrated to Helm 3 and 4 in the
same run; --finish and --abort also end its migration. This needs a Helm 3 or 4, which
verifies the releases: set HELM_BIN to one if you run this under Helm 2.

Objects outside the new tenant's namespaces, and records that do not match the live
objects, are listed, and refused unless the risk is accepted.`,
		Example: `  helm tenant split -f tenants.yaml --dry-run
  helm tenant split -f tenants.yaml
  helm tenant split -f tenants.yaml --from tiller-system --leave ingress
  helm tenant split --finish
  helm tenant split --finish --narrow ops
  helm tenant split --abort`,
		Args: noArguments,
	}
	f := cmd.Flags()
	f.StringSliceVarP(&o.apply.files, "filename", "f", nil, "tenants file, folder of .yaml files, or - for standard input; repeatable")
	f.StringVar(&o.from, "from", defaultFrom, "namespace of the Tiller that is split")
	f.StringSliceVar(&o.leave, "leave", nil, "release that stays with the old Tiller; repeatable")
	f.BoolVar(&o.finish, "finish", false, "remove the old Tiller's records of the releases that moved, for good")
	f.StringVar(&o.narrow, "narrow", "", "with --finish, make the old Tiller a tenant of this name, with rights only where releases stay")
	f.BoolVar(&o.abort, "abort", false, "go back to the old Tiller, and remove the tenants' copies of its records")
	f.BoolVar(&r.CreateNamespaces, "create-namespaces", false, "create namespaces that do not exist")
	f.BoolVar(&o.dryRun, "dry-run", false, "show where each release goes and what prevents it, and do nothing")
	f.StringVar(&o.backup, "backup", "", "file for the release records, FILE-TENANT for those of a tenant that is migrated (default helm-tenant-NAMESPACE-TIME.yaml here)")
	f.BoolVar(&o.yes, "yes", false, "do not ask for the namespace's name before --finish")
	riskFlag(cmd, &o.apply.risks)
	f.BoolVar(&o.wait, "wait", true, "wait until each Tiller that is started is ready")
	timeoutFlag(cmd, &o.timeout)
	outputFlag(cmd, &o.output, "text", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return asUsage(cmd, err)
		}
		var err error
		if r.Accepted, err = admin.ParseAccepted(o.apply.risks); err != nil {
			return asUsage(cmd, err)
		}
		r.Exact = true
		return s.split(cmd.Context(), o)
	}
	return cmd
}

// check refuses options that do not belong together.
func (o *splitOptions) check() error {
	ends := o.finish || o.abort
	switch {
	case o.finish && o.abort:
		return errors.New("--finish and --abort contradict each other")
	case !ends && len(o.apply.files) == 0:
		return errors.New("no file is named: give -f FILE")
	case ends && (len(o.apply.files) > 0 || len(o.leave) > 0):
		return errors.New("--finish and --abort go by what was split, and take no -f and no --leave")
	case ends && o.output != "text":
		return fmt.Errorf("--output %s is for what moves; with --finish and --abort nothing does", o.output)
	}
	if o.narrow != "" && !o.finish {
		return errors.New("--narrow is for the end of a split: add it to --finish")
	}
	if o.narrow != "" {
		if err := tenant.CheckName(o.narrow); err != nil {
			return fmt.Errorf("--narrow: %w", err)
		}
	}
	if len(validation.IsDNS1123Label(o.from)) > 0 {
		return fmt.Errorf("--from: %q is no name of a namespace", o.from)
	}
	return nil
}

func (s *session) split(ctx context.Context, o *splitOptions) error {
	if err := backup.Check(o.backup); err != nil {
		return fmt.Errorf("split: %w", err)
	}
	run := admin.Split{From: o.from, Leave: o.leave, File: o.backup, DryRun: o.dryRun, Accepted: o.apply.request.Accepted, Wait: o.wait, Timeout: o.timeout, Event: s.event}
	if !o.finish && !o.abort {
		located, err := s.readDisjoint(ctx, &o.apply)
		if err != nil {
			return err
		}
		run.Requests = o.apply.requests(located)
	}
	k, client, err := s.open()
	if err != nil {
		return err
	}
	version, _, err := s.clientDefaults(ctx)
	if err != nil {
		return err
	}
	for i := range run.Requests {
		run.Requests[i].ClientVersion, run.Requests[i].NoteRefused = version, true
	}
	run.Narrow, run.ClientVersion = o.narrow, version
	run.Client, run.Backups = client, s.backups(client, o.from, s.say)
	run.Backups.Whose = "the Tiller in namespace " + o.from
	run.Migration = func(name string) *admin.Migrate {
		m := s.newMigration(k, client, name, &migrateOptions{backup: backup.FileOf(o.backup, name), yes: true, accepted: run.Accepted, wait: o.wait, timeout: o.timeout})
		return &m.run
	}
	run.Confirm = func(ctx context.Context) error {
		return s.confirm(ctx, o.from, "remove its Tiller's records of the releases that moved, in "+client.Where(), o.yes)
	}
	switch {
	case o.finish:
		err = s.endSplit(run.Finish(ctx))(o, "the Tiller in namespace %s is split\n")
	case o.abort:
		err = s.endSplit(run.Abort(ctx))(o, "the Tiller in namespace %s has its releases again\n")
	default:
		err = s.beginSplit(ctx, &run, o)
	}
	if err == nil {
		return nil
	}
	return withHint(failure.In(fmt.Sprintf("split of the Tiller in namespace %q", o.from), client.Where()).Wrap(err), s.splitHints(err, o)...)
}

// splitCommand returns split with flags, and with --from unless that is the default.
func splitCommand(from string, flags ...string) command.Command {
	c := append(command.Command{"helm", "tenant", "split"}, flags...)
	if from != defaultFrom {
		c = append(c, "--from="+from)
	}
	return c
}

func (s *session) splitHints(err error, o *splitOptions) []hint {
	hints := hintsFor(err, inFile)
	if errors.Is(err, admin.ErrNoSplit) {
		return []hint{typed("begin with", splitCommand(o.from, "-f", "tenants.yaml"))}
	}
	if none, ok := errors.AsType[*admin.NoTillerError](err); ok && none.Tenant == "" {
		return []hint{"name the namespace of the Tiller with --from NAMESPACE", typed("where a split of it was under way, end that with", splitCommand(o.from, "--abort"))}
	}
	if _, ok := errors.AsType[*admin.SplitError](err); ok {
		hints = append(hints, "run the same command again to continue, once the reason is gone", typed("go back with", splitCommand(o.from, "--abort")))
	}
	if _, ok := errors.AsType[*admin.NarrowError](err); ok {
		hints = append(hints, typed("run the same command again to continue, or finish without narrowing the Tiller's rights with", splitCommand(o.from, "--finish")))
	}
	if late, ok := errors.AsType[*cluster.NotReadyError](err); ok && !late.Stopping && (late.Home == o.from || o.abort) {
		return append(hints, s.lateHint(o, late.Home))
	}
	if _, ok := errors.AsType[*admin.MovedOnError](err); ok {
		return []hint{typed("finish the split with", splitCommand(o.from, "--finish"))}
	}
	if splitting, ok := errors.AsType[*admin.SplittingError](err); ok {
		switch splitting.Phase {
		case tenant.PhaseFinishing:
			hints = append(hints, typed("finish that with", splitCommand(o.from, "--finish")))
		case tenant.PhaseAborting:
			hints = append(hints, typed("go back with", splitCommand(o.from, "--abort")))
		default:
			hints = append(hints, typed("go on with", splitCommand(o.from, "-f", "tenants.yaml")), typed("or go back with", splitCommand(o.from, "--abort")))
		}
	}
	return hints
}

// lateHint says what to do about a Tiller that was started again at the end of a split
// and is not ready.
func (s *session) lateHint(o *splitOptions, home string) hint {
	done := "the split is finished"
	if o.abort {
		done = "the split is taken back"
	}
	if o.narrow != "" {
		return typed(done+"; look at the Tiller with", command.Tenant("describe", o.narrow))
	}
	return typed(done+"; look at the Tiller's pods with", command.Command{"kubectl", "get", "pods", "--namespace=" + home})
}

func (s *session) beginSplit(ctx context.Context, run *admin.Split, o *splitOptions) error {
	p, err := run.Begin(ctx)
	if p == nil || err != nil && !o.dryRun {
		return err
	}
	if o.dryRun || o.output != "text" {
		if printing := s.printSplit(p, o); printing != nil {
			return printing
		}
		return err
	}
	releases, revisions := p.Moving()
	visible.Fprintf(s.out(), "the Tiller in namespace %s gave %s, %s, to tenants\n", o.from, counted(releases, "release"), counted(revisions, "revision"))
	if onward := p.State.Onward; len(onward) > 0 {
		visible.Fprintf(s.out(), "moved to Helm 3 and 4: %s\n", visible.List(onward))
	}
	s.next("It is stopped. Remove its records of them with", splitCommand(o.from, "--finish"))
	s.next("Go back with", splitCommand(o.from, "--abort"))
	return nil
}

// endSplit takes the result of Finish or Abort, and returns a function that prints what
// was done.
func (s *session) endSplit(e *admin.SplitEnd, err error) func(o *splitOptions, done string) error {
	return func(o *splitOptions, done string) error {
		if err != nil {
			return err
		}
		if o.dryRun {
			for _, change := range e.Plan.Ordered() {
				visible.Fprintf(s.out(), "would be %s: %s\n", pastTense[change.Action], change.Key)
			}
			return nil
		}
		visible.Fprintf(s.out(), done, o.from)
		if o.abort {
			for _, t := range e.Tenants {
				s.next(fmt.Sprintf("Tenant %s stays. Remove it with", t.Name), command.Tenant("destroy", t.Name))
			}
			return nil
		}
		if len(e.Rest) == 0 {
			s.say("It has no other release, and stays stopped: delete its workload, its Service and the binding of its account")
			return nil
		}
		names := lists.Map(e.Rest, func(record cluster.Stored) string { return record.Release })
		s.say("It runs for what stays: %s", visible.List(names))
		if o.narrow != "" {
			s.next(fmt.Sprintf("It is tenant %s now. Let people use it with", o.narrow), command.Tenant("grant", o.narrow, "--group=GROUP"))
			return nil
		}
		s.next("It still has all its rights. Make it an ops tenant of some namespaces with", opsTenant(o.from, e.RestNamespaces))
		return nil
	}
}

// opsTenant returns the init that makes a Tiller an ops tenant of its releases'
// namespaces. These come from records that others may have written: a name that no
// namespace can have is left out.
func opsTenant(home string, namespaces []string) command.Command {
	namespaces = slices.DeleteFunc(slices.Clone(namespaces), func(name string) bool { return len(validation.IsDNS1123Label(name)) > 0 })
	if len(namespaces) == 0 {
		namespaces = []string{"NS"}
	}
	return command.Tenant("init", "ops", "--home-namespace="+home, "--adopt", "--namespaces="+strings.Join(namespaces, ","))
}

func (s *session) printSplit(p *admin.SplitPlan, o *splitOptions) error {
	type moving struct {
		Name      string   `json:"name"`
		Namespace string   `json:"namespace"`
		Revisions int      `json:"revisions"`
		Revision  int      `json:"revision"`
		Status    string   `json:"status"`
		Tenant    string   `json:"tenant,omitempty"`
		Home      string   `json:"home,omitempty"`
		Onward    bool     `json:"onward,omitempty"`
		Notes     []string `json:"notes"`
	}
	releases := []moving{}
	for _, r := range p.Releases {
		releases = append(releases, moving{visible.Text(r.Name), visible.Text(r.Namespace), r.Revisions, r.Newest, visible.Text(r.Status), r.Tenant, r.Home, r.Onward, shown(r.Notes())})
	}
	if o.output != "text" {
		wrong := lists.Map(p.Problems, func(problem error) string { return visible.Text(problem.Error()) })
		return printObject(s.out(), o.output, struct {
			document
			From     string         `json:"from"`
			Storage  tenant.Storage `json:"storage"`
			State    *tenant.Split  `json:"state,omitempty"`
			Releases []moving       `json:"releases"`
			Problems []string       `json:"problems"`
		}{documentOf("Split"), p.From, p.Storage, p.State, releases, wrong})
	}
	if p.State != nil {
		s.say("the split is %s since %s", p.State.Phase, p.State.Since.Format(time.RFC3339))
	}
	table := tabwriter.NewWriter(s.out(), 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "RELEASE\tNAMESPACE\tREVISIONS\tSTATUS\tTENANT\tNOTES")
	for _, r := range releases {
		visible.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", r.Name, dash(r.Namespace), r.Revisions, r.Status, dash(r.Tenant), dash(strings.Join(r.Notes, "; ")))
	}
	return table.Flush()
}
