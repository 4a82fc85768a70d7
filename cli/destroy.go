package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type destroyOptions struct {
	deleteReleases, keepReleases bool
	deleteNamespaces             bool
	backup                       string
	yes, dryRun, wait            bool
	timeout                      time.Duration
	// told is where it is said what became of the tenant; standard output where
	// it is nil.
	told io.Writer
}

func newDestroy(s *session) *cobra.Command {
	o := &destroyOptions{}
	cmd := &cobra.Command{
		Use:   "destroy TENANT",
		Short: "Remove a tenant; its release records are backed up first",
		Long: `Remove a tenant: its deployer, its rights and its home namespace.

It refuses while the tenant has releases, unless it is told what to do with them.
Before the release records go, all of them are written to a backup file. What
runs in the tenant's namespaces stays, and so do the namespaces, but for
--delete-namespaces, which deletes those that helm-tenant created.`,
		Example: `  helm tenant destroy team-a
  helm tenant destroy team-a --delete-releases --yes
  helm tenant destroy team-a --keep-releases --backup team-a.yaml`,
		Args: oneTenant,
	}
	f := cmd.Flags()
	f.BoolVar(&o.deleteReleases, "delete-releases", false, "delete its releases, and what they made, as its deployer; of Helm 3 and 4 all that are in its namespaces, whoever made them")
	f.BoolVar(&o.keepReleases, "keep-releases", false, "leave what its releases made; no helm manages it any more then")
	f.BoolVar(&o.deleteNamespaces, "delete-namespaces", false, "delete its namespaces, with all that is in them, if helm-tenant created them")
	f.StringVar(&o.backup, "backup", "", "file for the release records (default helm-tenant-TENANT-TIME.yaml here)")
	f.BoolVar(&o.yes, "yes", false, "do not ask for the tenant's name")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&o.wait, "wait", true, "wait until the home namespace is gone")
	timeoutFlag(cmd, &o.timeout)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.deleteReleases && o.keepReleases {
			return asUsage(cmd, errors.New("--delete-releases and --keep-releases contradict each other"))
		}
		return s.destroy(cmd.Context(), args[0], o)
	}
	return cmd
}

func (s *session) destroy(ctx context.Context, name string, o *destroyOptions) error {
	k, client, err := s.open()
	if err != nil {
		return err
	}
	err = s.destroyTenant(ctx, k, client, name, o)
	if err == nil {
		return nil
	}
	return withHint(fmt.Errorf("destroy of tenant %q in %s: %w", name, client.Where(), err), hintsFor(err, byFlag)...)
}

// destroyTenant takes one tenant away. Nothing is deleted before it is known that all
// of it may be, and that what it takes with it is backed up.
func (s *session) destroyTenant(ctx context.Context, k *tenant.Kubeconfig, client *cluster.Client, name string, o *destroyOptions) error {
	told := o.told
	if told == nil {
		told = s.out()
	}
	if err := checkBackup(o.backup); err != nil {
		return err
	}
	removal, err := admin.PrepareDestroy(ctx, client, name, o.deleteNamespaces)
	if err != nil {
		return err
	}
	if living := removal.Living(); len(living) > 0 && !o.deleteReleases && !o.keepReleases {
		return &hasReleasesError{living}
	}
	for _, note := range removal.Prepared.Notes {
		s.say("Note: %s", note)
	}
	if o.dryRun {
		s.previewDestroy(removal, o)
		return nil
	}
	if err := s.confirm(ctx, name, "destroy tenant "+name, o.yes); err != nil {
		return err
	}
	if err := admin.CheckAllowed(ctx, client, removal.Prepared); err != nil {
		return err
	}
	files := backups{s, name, "", func(format string, args ...any) { visible.Fprintf(told, format+"\n", args...) }, client.EachRecord}
	saved, err := files.save(ctx, o.backup, "", recordsAtRisk(removal, o))
	if err != nil {
		return err
	}
	if o.deleteReleases {
		if err := s.deleteReleases(ctx, k, removal); err != nil {
			return err
		}
	}
	again := func(removal *admin.Removal) error {
		saved, err = files.saveAnew(ctx, saved, "-later", recordsAtRisk(removal, o))
		return err
	}
	if err := s.remove(ctx, client, removal, o, again); err != nil {
		return err
	}
	if removal.HomeGoes && o.wait {
		ctx, cancel := context.WithTimeout(ctx, o.timeout)
		defer cancel()
		if err := client.WaitForDeletion(ctx, removal.Home); err != nil {
			return err
		}
	}
	if o.keepReleases {
		s.sayWhatStays(removal)
	}
	visible.Fprintf(told, "tenant %s is gone\n", name)
	return nil
}

// previewDestroy says what destroyTenant would do.
func (s *session) previewDestroy(removal *admin.Removal, o *destroyOptions) {
	for _, release := range removal.Living() {
		what := "keeps running, unmanaged"
		if o.deleteReleases {
			what = "would be deleted"
		}
		s.say("release %s in namespace %s %s", release.Name, release.Namespace, what)
	}
	for _, change := range removal.Prepared.Plan.Changes {
		visible.Fprintf(s.out(), "would be %s: %s\n", pastTense[change.Action], change.Key)
	}
}

// recordsAtRisk are the release records that go with what is deleted.
func recordsAtRisk(removal *admin.Removal, o *destroyOptions) []cluster.Stored {
	if o.deleteReleases || o.deleteNamespaces {
		return slices.Concat(removal.Records, removal.HelmRecords)
	}
	return removal.Records
}

// remove deletes the tenant's objects, unless something was installed meanwhile. The
// rights go in a step of their own: whoever upgraded until then wrote records, which
// backUpAgain is to save, and nobody can write any after.
func (s *session) remove(ctx context.Context, client *cluster.Client, removal *admin.Removal, o *destroyOptions, backUpAgain func(*admin.Removal) error) error {
	prepare := func(ctx context.Context) (*admin.Removal, error) {
		now, err := admin.PrepareDestroy(ctx, client, removal.Name, o.deleteNamespaces)
		var gone *admin.NoTenantError
		switch {
		case errors.As(err, &gone):
			return &admin.Removal{Name: removal.Name, Prepared: removal.Prepared.WithoutPlan()}, nil // somebody else was faster
		case err != nil:
			return nil, err
		case len(now.Living()) > 0 && !o.keepReleases:
			return nil, &hasReleasesError{now.Living()}
		}
		return now, nil
	}
	made := func(change cluster.Change) { s.say("%-8s %s", pastTense[change.Action], change.Key) }
	_, err := admin.Write(ctx, client, func(ctx context.Context) (*admin.Prepared, error) {
		now, err := prepare(ctx)
		if err != nil {
			return nil, err
		}
		return now.Rights(), nil
	}, made)
	if err != nil {
		return err
	}
	_, err = admin.Write(ctx, client, func(ctx context.Context) (*admin.Prepared, error) {
		now, err := prepare(ctx)
		if err == nil {
			err = backUpAgain(now)
		}
		if err != nil {
			return nil, err
		}
		return now.Prepared, nil
	}, made)
	return err
}

// sayWhatStays names what --keep-releases left, and who can still do something with
// it.
func (s *session) sayWhatStays(removal *admin.Removal) {
	for _, release := range removal.Living() {
		if release.Engine == tenant.EngineImpersonation {
			s.say("Note: release %s in namespace %s is still there, for whoever has rights in that namespace", release.Name, release.Namespace)
			continue
		}
		s.say("Note: what release %s made in namespace %s is still there, and managed by no helm", release.Name, release.Namespace)
	}
	if len(removal.Records) > 0 && !removal.HomeGoes {
		s.say("Note: the release records stay in namespace %s, which is not ours to delete", removal.Home)
	}
}

// hasReleasesError refuses to take a tenant away from under its releases.
type hasReleasesError struct{ releases []admin.Release }

func (e *hasReleasesError) Error() string {
	if len(e.releases) == 1 {
		return "it has a release:"
	}
	return fmt.Sprintf("it has %d releases:", len(e.releases))
}

// Details are the releases, as the rows of a table.
func (e *hasReleasesError) Details() []string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, r := range e.releases {
		printRow(table, r.Name, "namespace "+dash(r.Namespace), strings.ToLower(r.Status), r.Chart)
	}
	table.Flush() // into memory
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// confirm has the tenant's name typed on a terminal, and refuses elsewhere.
func (s *session) confirm(ctx context.Context, name, what string, yes bool) error {
	if yes {
		return nil
	}
	if !isTerminal(s.env.Stdin) {
		return withHint(errors.New("there is no terminal to confirm it on"), "add --yes")
	}
	visible.Fprintf(s.env.Stderr, "Type %q to %s: ", name, what)
	type line struct {
		text string
		err  error
	}
	// A Ctrl-C ends the context only, and a read from a terminal knows of none.
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(s.env.Stdin).ReadString('\n')
		read <- line{text, err}
	}()
	var typed line
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.env.Stderr)
		return errors.New("interrupted; nothing was done")
	case typed = <-read:
	}
	switch {
	case errors.Is(typed.err, io.EOF):
		fmt.Fprintln(s.env.Stderr)
		return errors.New("nothing was typed; nothing was done")
	case typed.err != nil:
		return typed.err
	case strings.TrimSpace(typed.text) != name:
		return errors.New("that is not its name; nothing was done")
	}
	return nil
}

// deleteReleases has the tenant's own deployer delete its releases. None is
// deleted where one can't be, by this helm.
func (s *session) deleteReleases(ctx context.Context, k *tenant.Kubeconfig, removal *admin.Removal) error {
	if len(removal.Releases) == 0 {
		return nil
	}
	h, err := s.helmClient(ctx, false)
	if err != nil {
		return err
	}
	var invocations []helm.Invocation
	for _, release := range removal.Releases {
		line := helm.Line{Command: "delete", Args: []string{"--purge", release.Name}}
		if release.Engine == tenant.EngineImpersonation {
			line = helm.Line{Command: "uninstall", Args: []string{release.Name, "--namespace", release.Namespace}}
		}
		resolved := tenant.Resolved{Name: removal.Name, Home: removal.Home, Engine: release.Engine}
		inv, err := s.tenantHelm(h, line, resolved, k, release.Driver)
		if err != nil {
			return fmt.Errorf("release %s can't be deleted: %w", release.Name, err)
		}
		invocations = append(invocations, inv)
	}
	for i, release := range removal.Releases {
		if _, err := helm.Capture(ctx, invocations[i], 6*time.Minute); err != nil {
			return withHint(fmt.Errorf("release %s can't be deleted: %w", release.Name, err),
				"with --keep-releases the tenant goes without helm's help")
		}
		s.say("deleted  release %s", release.Name)
	}
	return nil
}
