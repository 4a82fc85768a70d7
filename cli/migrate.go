package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"helm-tenant/admin"
	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/helm"
	"helm-tenant/lists"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type migrateOptions struct {
	finish, abort     bool
	stamp             bool
	keep              int
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
		Use:   "migrate TENANT [--dry-run] [--keep N] [--finish | --abort | --stamp]",
		Short: "Move a tenant and its releases from Tiller to Helm 3 and 4",
		Long: `Move a tenant and its releases from Tiller to Helm 3 and 4.

It stops the tenant's Tiller, converts every revision of every release to a record of
Helm 3 in the release's namespace, lets the members impersonate the tenant's service
account, and verifies each release with a real Helm 3 or 4. The objects of the releases
do not change. Tiller and its records stay until --finish removes them; until then
--abort goes back. If it is killed at any point, the same command continues.

--finish first makes every object of the releases name its release: since version 4.3,
helm uninstall leaves objects that do not. It sets the label and the annotations on the
objects only, as the tenant's deployer, so nothing restarts. --stamp does the same for a
tenant that an earlier helm-tenant moved.`,
		Example: `  helm tenant migrate team-a --dry-run
  helm tenant migrate team-a
  helm tenant migrate team-a --keep 10
  helm tenant migrate team-a --finish
  helm tenant migrate team-a --abort
  helm tenant migrate team-a --stamp`,
		Args: oneTenant,
	}
	f := cmd.Flags()
	f.BoolVar(&o.finish, "finish", false, "remove the Tiller and its records, for good")
	f.BoolVar(&o.abort, "abort", false, "go back to Tiller, and remove Helm 3's records of its releases")
	f.BoolVar(&o.stamp, "stamp", false, "make the objects of a migrated tenant's releases name their release; Helm 4.3 uninstalls no others")
	f.IntVar(&o.keep, "keep", 0, "move only the newest revisions of each release, this many, and the deployed one (default all)")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would move and what prevents it, and do nothing")
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
		case o.stamp && (o.finish || o.abort):
			return asUsage(cmd, errors.New("--stamp is for a tenant that is not being migrated; --finish does the same itself"))
		case o.keep < 0:
			return asUsage(cmd, fmt.Errorf("--keep is a number of revisions, not %d", o.keep))
		case o.keep > 0 && (o.finish || o.abort || o.stamp):
			return asUsage(cmd, errors.New("--keep is for what moves; with --finish, --abort and --stamp nothing does"))
		case (o.finish || o.abort || o.stamp) && o.output != "text":
			return asUsage(cmd, fmt.Errorf("--output %s is for what moves; with --finish, --abort and --stamp nothing does", o.output))
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
	if err := backup.Check(o.backup); err != nil {
		return failure.Of("migrate", name, "").Wrap(err)
	}
	k, client, err := s.open()
	if err != nil {
		return err
	}
	collectEarly(50)
	m := s.newMigration(k, client, name, o)
	switch {
	case o.finish:
		err = m.end(ctx, m.run.Finish, "tenant %s is for Helm 3 and 4: its Tiller is gone\n")
	case o.abort:
		err = m.end(ctx, m.run.Abort, "tenant %s is back with its Tiller\n")
	case o.stamp:
		err = m.stamp(ctx)
	default:
		err = m.begin(ctx)
	}
	if err == nil {
		return nil
	}
	return withHint(failure.Of("migrate", name, client.Where()).Wrap(err), hintsFor(err, inFlags)...)
}

func (s *session) newMigration(k *tenant.Kubeconfig, client *cluster.Client, name string, o *migrateOptions) *migration {
	m := &migration{session: s, k: k, name: name, options: o}
	m.run = admin.Migrate{
		Client: client, Name: name, Backups: s.backups(client, name, s.say), File: o.backup, Keep: o.keep,
		DryRun: o.dryRun, Accepted: o.accepted, Wait: o.wait, Timeout: o.timeout, Event: s.event,
		Confirm: func(ctx context.Context) error {
			return s.confirm(ctx, name, "remove its Tiller in "+client.Where(), o.yes)
		},
		Verifier: m.verifier, Ownership: m.sayOwnership,
	}
	return m
}

type migration struct {
	*session
	k       *tenant.Kubeconfig
	name    string
	options *migrateOptions
	run     admin.Migrate
}

// begin moves the releases, and prints what to do next.
func (m *migration) begin(ctx context.Context) error {
	migration, err := m.run.Begin(ctx)
	if migration == nil || err != nil && !m.options.dryRun {
		return err
	}
	if m.options.dryRun || m.options.output != "text" {
		return cmp.Or(m.print(migration), err)
	}
	visible.Fprintf(m.out(), "tenant %s is moved to Helm 3 and 4: %s\n", m.name, migration.Moved())
	m.next("Its members start with, under Helm 3 or 4", useOf(migration.Tenant))
	m.next("Its Tiller is stopped. Remove it with", command.Tenant("migrate", m.name, "--finish"))
	m.next("Go back with", command.Tenant("migrate", m.name, "--abort"))
	return nil
}

// end runs Finish or Abort, and prints done, which has a verb for the tenant's name, or in a dry
// run the changes that would be made.
func (m *migration) end(ctx context.Context, run func(context.Context) (*admin.Prepared, error), done string) error {
	prepared, err := run(ctx)
	switch {
	case err != nil:
		return err
	case m.options.dryRun:
		for _, change := range prepared.Plan.Ordered() {
			visible.Fprintf(m.out(), "would be %s: %s\n", pastTense[change.Action], change.Key)
		}
	default:
		visible.Fprintf(m.out(), done, m.name)
	}
	return nil
}

func (m *migration) print(live *admin.Migration) error {
	type moving struct {
		Name      string   `json:"name"`
		Namespace string   `json:"namespace"`
		Revisions int      `json:"revisions"`
		Revision  int      `json:"revision"`
		Status    string   `json:"status"`
		Notes     []string `json:"notes"`
	}
	var releases []moving
	for i, r := range live.Releases {
		if why := live.Unmoved(i); why != "" {
			r.Notes = append(slices.Clone(r.Notes), why)
		}
		releases = append(releases, moving{r.Name, r.Namespace, len(r.Revisions), r.Newest().Version, r.Status, shown(r.Notes)})
	}
	if m.options.output != "text" {
		wrong := lists.Map(live.Problems, func(problem error) string { return visible.Text(problem.Error()) })
		return printObject(m.out(), m.options.output, struct {
			document
			Tenant   string            `json:"tenant"`
			Home     string            `json:"home"`
			State    *tenant.Migration `json:"state,omitempty"`
			Releases []moving          `json:"releases"`
			Problems []string          `json:"problems"`
		}{documentOf("Migration"), m.name, live.Tenant.Home(), live.State, releases, wrong})
	}
	if live.State != nil {
		m.say("tenant %s is %s", m.name, live.State)
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

// verifier finds the helm that will verify the releases.
func (m *migration) verifier(ctx context.Context) (func(context.Context, *admin.Migration) error, error) {
	client, err := m.HelmClient(ctx, true)
	if err == nil && client.Engine() != tenant.EngineImpersonation {
		err = fmt.Errorf("a Helm 3 or 4 has to find the releases afterwards, but %s is Helm %d", client.Path, client.Major)
	}
	if err != nil {
		return nil, withHint(err, hint(fmt.Sprintf("run it under Helm 3 or 4, or as helm-tenant %s with HELM_BIN set to one; --dry-run needs none", m.Call.Line.Command))) // one of our verbs
	}
	// Checked before the first write: afterwards no helm could verify the releases.
	if err := m.Place(m.k).CheckImpersonation(tenant.Resolved{Name: m.name, Engine: tenant.EngineImpersonation}); err != nil {
		return nil, err
	}
	return func(ctx context.Context, migration *admin.Migration) error {
		v := migrate.Verifier{
			Program: client.Path,
			Ask: func(ctx context.Context, command string, args ...string) (string, error) {
				return m.ask(ctx, client, migration.Tenant, command, args...)
			},
			Say: func(sentence string) { m.say("%s", sentence) },
		}
		return v.Verify(ctx, migration.Releases, migration.Standings, migration.LostNamespace)
	}, nil
}

// ask runs helm as a member does, and returns its output. It tries again for a moment,
// since new rights take a moment to be in force.
func (m *migration) ask(ctx context.Context, client helm.Client, t tenant.Tenant, command string, args ...string) (string, error) {
	resolved := tenant.Resolved{Name: t.Name, Home: t.Home(), Engine: tenant.EngineImpersonation, Namespaces: t.Namespaces, AllNamespaces: t.AllNamespaces}
	inv, err := m.tenantHelm(client, helm.Line{Command: command, Args: args}, resolved, m.k, "secret")
	if err != nil {
		return "", err
	}
	var text string
	patience := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.6, Steps: 8}
	err = retry.OnError(patience, func(err error) bool { return ctx.Err() == nil && errors.Is(err, helm.ErrForbidden) }, func() error {
		var err error
		text, err = helm.Capture(ctx, inv, time.Minute)
		return err
	})
	if errors.Is(err, helm.ErrReleaseNotFound) {
		err = migrate.ErrReleaseNotFound
	}
	return text, err
}

func (m *migration) stamp(ctx context.Context) error {
	releases, left, err := m.run.Stamp(ctx)
	switch {
	case err != nil:
		return err
	case left > 0:
		return &codeError{exitPartly, failure.Of("migrate", m.name, m.run.Client.Where()).Wrap(fmt.Errorf("helm uninstall leaves %s, named above", counted(left, "object")))}
	case !m.options.dryRun:
		visible.Fprintf(m.out(), "the objects of %s of tenant %s name their release\n", counted(releases, "release"), m.name)
	}
	return nil
}

// sayOwnership reports whether an object that did not name its release does so now.
func (m *migration) sayOwnership(change admin.OwnershipChange) {
	description := fmt.Sprintf("%s of release %s", change.Object, change.Owner.Name)
	switch {
	case change.Problem == nil && m.options.dryRun:
		visible.Fprintf(m.out(), "would be stamped: %s\n", description)
	case change.Problem == nil:
		m.say("%-8s %s", "stamped", description)
	case change.Gone:
		m.say("Note: %s is gone", description)
	case change.Object.Kind == "": // the record can't be read
		m.say("Note: no object of release %s in namespace %s is stamped: %v", change.Owner.Name, change.Owner.Namespace, change.Problem)
	default:
		m.say("Note: %s is not stamped: %v", description, change.Problem)
	}
}
