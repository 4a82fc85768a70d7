package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/release"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type migrateOptions struct {
	finish, abort     bool
	backup            string
	yes, dryRun, wait bool
	timeout           time.Duration
	risks             []string
	accepted          admin.Accepted
	output            string
}

func newMigrate(s *session) *cobra.Command {
	o := &migrateOptions{}
	cmd := &cobra.Command{
		Use:   "migrate TENANT [--dry-run | --finish | --abort]",
		Short: "Move a tenant and its releases from Tiller to Helm 3 and 4",
		Long: `Move a tenant and its releases from Tiller to Helm 3 and 4.

It stops the tenant's Tiller, turns every revision of every release into a record
of Helm 3's, beside what the release made, lets the members act by impersonation,
and has a real Helm 3 or 4 find each release. What runs is not touched. Tiller and
its records stay until --finish removes them; until then --abort goes back. Killed
at any point, the same command again goes on.`,
		Example: `  helm tenant migrate team-a --dry-run
  helm tenant migrate team-a
  helm tenant migrate team-a --finish
  helm tenant migrate team-a --abort`,
		Args: oneTenant,
	}
	f := cmd.Flags()
	f.BoolVar(&o.finish, "finish", false, "remove the Tiller and its records, for good")
	f.BoolVar(&o.abort, "abort", false, "go back to Tiller, and remove what Helm 3 has of its releases")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would move and what is in the way, and do nothing")
	f.StringVar(&o.backup, "backup", "", "file for the release records (default helm-tenant-TENANT-TIME.yaml here)")
	f.BoolVar(&o.yes, "yes", false, "do not ask for the tenant's name before --finish")
	riskFlag(cmd, &o.risks)
	f.BoolVar(&o.wait, "wait", true, "with --abort, wait until Tiller is ready")
	timeoutFlag(cmd, &o.timeout)
	outputFlag(cmd, &o.output, "text", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.finish && o.abort:
			return asUsage(cmd, errors.New("--finish and --abort contradict each other"))
		case (o.finish || o.abort) && o.output != "text":
			return asUsage(cmd, fmt.Errorf("--output %s is for what moves; with --finish and --abort nothing does", o.output))
		}
		var err error
		if o.accepted, err = admin.ParseAccepted(o.risks); err != nil {
			return asUsage(cmd, err)
		}
		return s.migrate(cmd.Context(), args[0], o)
	}
	return cmd
}

func (s *session) migrate(ctx context.Context, name string, o *migrateOptions) error {
	if err := checkBackup(o.backup); err != nil {
		return fmt.Errorf("migrate of tenant %q: %w", name, err)
	}
	k, client, err := s.open()
	if err != nil {
		return err
	}
	move := &migration{session: s, k: k, client: client, name: name, options: o}
	switch {
	case o.finish:
		err = move.finish(ctx)
	case o.abort:
		err = move.abort(ctx)
	default:
		err = move.begin(ctx)
	}
	if err == nil {
		return nil
	}
	hints := hintsFor(err, byFlag)
	var missing *admin.MissingNamespacesError
	if errors.As(err, &missing) {
		hints = []hint{typed("make the tenant whole before", command.Tenant("init", name, "--create-namespaces"))}
	}
	return withHint(fmt.Errorf("migrate of tenant %q in %s: %w", name, client.Where(), err), hints...)
}

// migration is one run of migrate.
type migration struct {
	*session
	k       *tenant.Kubeconfig
	client  *cluster.Client
	name    string
	options *migrateOptions
}

func (m *migration) backups(part string) backups {
	return backups{m.session, m.name, part, m.say, m.client.EachRecord}
}

func (m *migration) made(change cluster.Change) {
	m.say("%-8s %s", pastTense[change.Action], change.Key)
}

func (m *migration) read(ctx context.Context) (*admin.Migration, error) {
	return admin.ReadMigration(ctx, m.client, m.name)
}

// goBack says how the migration is taken back.
func (m *migration) goBack() hint {
	return typed("go back with", command.Tenant("migrate", m.name, "--abort"))
}

// step brings the migration into its next state; see admin.Step.
func (m *migration) step(ctx context.Context, there *admin.Migration, phase tenant.Phase, change func(*tenant.Migration), replicas *int32) error {
	next := *there.State
	next.Phase = phase
	if change != nil {
		change(&next)
	}
	err := admin.Step(ctx, m.client, there.Tenant, there.State, &next, replicas, m.made)
	if err == nil {
		there.State = &next
	}
	return err
}

// begin moves the releases, as far as verified.
func (m *migration) begin(ctx context.Context) error {
	there, err := m.read(ctx)
	if err != nil {
		return err
	}
	switch {
	case there.State == nil && !there.Tenant.Engine.Has(tenant.EngineTiller):
		return fmt.Errorf("it has the engine %s, and so no Tiller to move away from", there.Tenant.Engine)
	case there.State != nil && (there.State.Phase == tenant.PhaseFinishing || there.State.Phase == tenant.PhaseAborting):
		return &admin.MigratingError{Name: m.name, Migration: *there.State}
	}
	if m.options.dryRun {
		if err := m.print(there); err != nil {
			return err
		}
		return there.Check()
	}
	if err := there.Check(); err != nil {
		return err
	}
	client, err := m.verifier(ctx)
	if err != nil {
		return err
	}
	if err := admin.CheckMigrationAllowed(ctx, m.client, there); err != nil {
		return err
	}
	for _, r := range there.Releases {
		for _, note := range r.Notes {
			m.say("Note: release %s: %s", r.Name, note)
		}
	}
	if there.State == nil || there.State.Phase == tenant.PhaseFrozen {
		if there, err = m.freeze(ctx, there); err != nil {
			return err
		}
		if err := admin.WriteHelmRecords(ctx, m.client, m.name, m.made); err != nil {
			return err
		}
		if err := admin.CheckHelmRecords(ctx, m.client, m.name); err != nil {
			return withHint(err, "the same command again writes what is missing", m.goBack())
		}
		if err := m.step(ctx, there, tenant.PhaseConverted, func(next *tenant.Migration) { next.Converted = true }, nil); err != nil {
			return err
		}
	}
	if err := admin.SetEngine(ctx, m.client, there, tenant.PhaseConverted, tenant.EngineBoth, m.made); err != nil {
		return err
	}
	if there, err = m.read(ctx); err != nil {
		return err
	}
	if there.State == nil {
		return admin.ErrEnded
	}
	if err := m.verify(ctx, client, there); err != nil {
		return withHint(err, "the same command again verifies again", m.goBack())
	}
	if err := m.step(ctx, there, tenant.PhaseVerified, nil, nil); err != nil {
		return err
	}
	if m.options.output != "text" {
		return m.print(there)
	}
	visible.Fprintf(m.out(), "tenant %s is moved to Helm 3 and 4: %s, %s\n", m.name, counted(len(there.Releases), "release"), counted(there.Revisions(), "revision"))
	m.next("Its members start with, under Helm 3 or 4", useOf(there.Tenant))
	m.next("Its Tiller is stopped. Remove it with", command.Tenant("migrate", m.name, "--finish"))
	m.next("Go back with", command.Tenant("migrate", m.name, "--abort"))
	return nil
}

// freeze backs up Tiller's records, stops Tiller, and reads them again: it may have
// written until then.
func (m *migration) freeze(ctx context.Context, there *admin.Migration) (*admin.Migration, error) {
	was, earlier := there.State, ""
	if was != nil {
		earlier = was.Backup // by a run that did not come to its end
	}
	saved, err := m.backups("").save(ctx, m.options.backup, earlier, there.Records)
	if err != nil {
		return nil, err
	}
	t := there.Tenant
	next := tenant.Migration{Phase: tenant.PhaseFrozen, Since: m.env.Now().UTC().Truncate(time.Second), Engine: t.Engine, Storage: t.Tiller.Storage, Replicas: there.Replicas}
	if was != nil {
		next = *was
	}
	next.Backup = saved.file
	none := int32(0)
	if err := admin.Step(ctx, m.client, t, was, &next, &none, m.made); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, m.options.timeout)
	defer cancel()
	err = m.client.WaitUntilStopped(waiting, t.Home(), func(sentence string) { m.say("Tiller: %s", sentence) })
	if err != nil {
		return nil, withHint(err, "the same command again goes on", m.goBack())
	}
	frozen, err := m.read(ctx)
	if err == nil && frozen.State == nil {
		err = admin.ErrEnded
	}
	if err == nil {
		err = frozen.Check()
	}
	if err != nil {
		return nil, withHint(err, typed("Tiller is stopped; bring it back with", command.Tenant("migrate", m.name, "--abort")))
	}
	_, err = m.backups("").saveAnew(ctx, saved, "-stopped", frozen.Records)
	return frozen, err
}

// finish removes the Tiller and its records.
func (m *migration) finish(ctx context.Context) error {
	there, err := m.read(ctx)
	switch {
	case err != nil:
		return err
	case there.State == nil:
		return withHint(errors.New("it is not being migrated: there is nothing to finish"), typed("begin with", command.Tenant("migrate", m.name)))
	case there.State.Phase == tenant.PhaseAborting:
		return &admin.MigratingError{Name: m.name, Migration: *there.State}
	case there.State.Phase != tenant.PhaseVerified && there.State.Phase != tenant.PhaseFinishing:
		return withHint(errors.New("its releases are not all moved and verified yet"), typed("go on with", command.Tenant("migrate", m.name)))
	}
	var gone []string
	for i, r := range there.Releases {
		standing, where := there.Standings[i], r.Name+" in namespace "+r.Namespace
		switch {
		case standing.None() && r.Newest().Info.Status == release.StatusUninstalled: // what is gone made nothing
		case standing.None():
			gone = append(gone, where)
		case standing.Lost(r):
			gone = append(gone, fmt.Sprintf("revision %d of %s", r.Newest().Version, where))
		}
	}
	if len(gone) > 0 {
		if !slices.Contains(m.options.accepted, admin.RiskMissingReleases) {
			return &admin.RiskError{Risk: admin.RiskMissingReleases, Why: "Helm 3 has no record of " + strings.Join(gone, ", ") + ": either it was uninstalled since, or what it made would be managed by no helm"}
		}
		m.say("Note: only the backup will know of %s", strings.Join(gone, ", "))
	}
	prepared, err := admin.PrepareEngine(ctx, m.client, there, tenant.EngineImpersonation)
	if err != nil {
		return err
	}
	for _, record := range there.Records {
		prepared.Plan.Delete(record.Live(), cluster.PhaseRemoval)
	}
	if m.options.dryRun {
		return m.printChanges(prepared)
	}
	if err := m.confirm(ctx, m.name, "remove its Tiller", m.options.yes); err != nil {
		return err
	}
	if err := admin.CheckEndAllowed(ctx, m.client, there, prepared); err != nil {
		return err
	}
	if _, err := m.backups("").save(ctx, m.options.backup, "", there.Records); err != nil {
		return err
	}
	if err := m.step(ctx, there, tenant.PhaseFinishing, nil, nil); err != nil {
		return err
	}
	if err := admin.SetEngine(ctx, m.client, there, tenant.PhaseFinishing, tenant.EngineImpersonation, m.made); err != nil {
		return err
	}
	if err := admin.RemoveRecords(ctx, m.client, m.name, there.Records, m.made); err != nil {
		return err
	}
	if err := admin.Step(ctx, m.client, there.Tenant, there.State, nil, nil, m.made); err != nil {
		return err
	}
	visible.Fprintf(m.out(), "tenant %s is for Helm 3 and 4: its Tiller is gone\n", m.name)
	return nil
}

// abort goes back to Tiller.
func (m *migration) abort(ctx context.Context) error {
	there, err := m.read(ctx)
	switch {
	case err != nil:
		return err
	case there.State == nil:
		return withHint(errors.New("it is not being migrated: there is nothing to go back from"), typed("see how it is with", command.Tenant("describe", m.name)))
	case there.State.Phase == tenant.PhaseFinishing:
		return &admin.MigratingError{Name: m.name, Migration: *there.State}
	}
	prepared, err := admin.PrepareEngine(ctx, m.client, there, there.State.Engine)
	if err != nil {
		return err
	}
	for _, record := range there.HelmRecords {
		prepared.Plan.Delete(record.Live(), cluster.PhaseRemoval)
	}
	m.noteWork(there)
	if m.options.dryRun {
		return m.printChanges(prepared)
	}
	if err := admin.CheckEndAllowed(ctx, m.client, there, prepared); err != nil {
		return err
	}
	saved, err := m.backups("-helm3").save(ctx, m.options.backup, "", there.HelmRecords)
	if err != nil {
		return err
	}
	if err := m.step(ctx, there, tenant.PhaseAborting, nil, nil); err != nil {
		return err
	}
	// Rights first: nobody should change with Helm 3 what is being taken away.
	if err := admin.SetEngine(ctx, m.client, there, tenant.PhaseAborting, there.State.Engine, m.made); err != nil {
		return err
	}
	state := there.State
	if there, err = m.read(ctx); err != nil {
		return err
	}
	if there.State == nil {
		return admin.ErrEnded
	}
	if _, err := m.backups("-helm3").saveAnew(ctx, saved, "-stopped", there.HelmRecords); err != nil {
		return err
	}
	if err := admin.RemoveHelmRecords(ctx, m.client, m.name, there.HelmRecords, m.made); err != nil {
		return err
	}
	if err := m.step(ctx, there, tenant.PhaseAborting, nil, &state.Replicas); err != nil {
		return err
	}
	if m.options.wait {
		waiting, cancel := context.WithTimeout(ctx, m.options.timeout)
		defer cancel()
		err := m.client.WaitForTiller(waiting, there.Tenant.Home(), func(sentence string) { m.say("Tiller: %s", sentence) })
		if err != nil {
			return withHint(err, "the same command again goes on waiting; --wait=false does not")
		}
	}
	if err := admin.Step(ctx, m.client, there.Tenant, there.State, nil, nil, m.made); err != nil {
		return err
	}
	visible.Fprintf(m.out(), "tenant %s is back with its Tiller\n", m.name)
	return nil
}

// noteWork says of each release what Helm 3 did with it, which Tiller will not know.
func (m *migration) noteWork(there *admin.Migration) {
	for i, r := range there.Releases {
		standing := there.Standings[i]
		switch {
		case len(standing.Foreign) > 0:
			m.say("Note: release %s was installed anew by Helm 3 in namespace %s: that one stays, and Tiller lists its own, too", r.Name, r.Namespace)
		case standing.None() && there.State.Converted && there.State.Phase != tenant.PhaseAborting:
			m.say("Note: release %s was uninstalled by Helm 3; Tiller lists it as it was", r.Name)
			m.next("  make it anew with", command.Release(m.name, r.Name, []string{"rollback"}, strconv.Itoa(r.Newest().Version)))
		case len(standing.Later) > 0:
			m.say("Note: release %s: what it made stays as Helm 3 left it at revision %d; Tiller knows it as of revision %d", r.Name, slices.Max(standing.Later), r.Newest().Version)
		case len(standing.Changed) > 0:
			m.say("Note: release %s: Helm 3 changed what it has of it; what it made stays as it is", r.Name)
		}
	}
}

func (m *migration) printChanges(prepared *admin.Prepared) error {
	for _, change := range prepared.Plan.Ordered() {
		visible.Fprintf(m.out(), "would be %s: %s\n", pastTense[change.Action], change.Key)
	}
	return nil
}

// print shows what moves.
func (m *migration) print(there *admin.Migration) error {
	type moving struct {
		Name      string   `json:"name"`
		Namespace string   `json:"namespace"`
		Revisions int      `json:"revisions"`
		Revision  int      `json:"revision"`
		Status    string   `json:"status"`
		Notes     []string `json:"notes,omitempty"`
	}
	var releases []moving
	for _, r := range there.Releases {
		releases = append(releases, moving{r.Name, r.Namespace, len(r.Revisions), r.Newest().Version, r.Status, shown(r.Notes)})
	}
	if m.options.output != "text" {
		var wrong []string
		for _, problem := range there.Problems {
			wrong = append(wrong, visible.Text(problem.Error()))
		}
		return printObject(m.out(), m.options.output, struct {
			APIVersion string            `json:"apiVersion"`
			Kind       string            `json:"kind"`
			Tenant     string            `json:"tenant"`
			Home       string            `json:"home"`
			State      *tenant.Migration `json:"state,omitempty"`
			Releases   []moving          `json:"releases"`
			Problems   []string          `json:"problems,omitempty"`
		}{tenant.APIVersion, "Migration", m.name, there.Tenant.Home(), there.State, releases, wrong})
	}
	if there.State != nil {
		m.say("tenant %s is %s", m.name, there.State)
	}
	if len(releases) == 0 {
		m.say("there is no release to move")
		return nil
	}
	table := tabwriter.NewWriter(m.out(), 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "RELEASE\tNAMESPACE\tREVISIONS\tSTATUS\tNOTES")
	for _, r := range releases {
		visible.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", r.Name, r.Namespace, r.Revisions, r.Status, dash(strings.Join(r.Notes, "; ")))
	}
	return table.Flush()
}
