package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

type destroyOptions struct {
	deleteReleases, keepReleases bool
	deleteNamespaces             bool
	scoped                       bool
	home                         string
	backup                       string
	yes, dryRun, wait            bool
	timeout                      time.Duration
	output                       string
	// quiet keeps standard output free: it is part of an output that another verb prints.
	quiet bool
}

// narration returns the stream for messages about the tenant.
func (o *destroyOptions) narration(s *session) io.Writer {
	if o.quiet || o.output != "text" {
		return s.Env.Stderr
	}
	return s.out()
}

func newDestroy(s *session) *cobra.Command {
	o := &destroyOptions{}
	cmd := &cobra.Command{
		Use:   "destroy TENANT",
		Short: "Remove a tenant; its release records are backed up first",
		Long: `Remove a tenant: its deployer, its rights and its home namespace.

It refuses while the tenant has releases, unless a flag says what happens to them.
Before it removes release records, it writes them to a backup file. The tenant's
namespaces and everything in them stay, records of Helm 3 and 4 too, which only a file
named with --backup then holds; --delete-namespaces deletes those namespaces that
helm-tenant created.

--delete-releases ends with exit code 3 if helm left objects of a release: helm 4.3
leaves those that a Tiller made, unless migrate --finish or --stamp set the ownership.`,
		Example: `  helm tenant destroy team-a
  helm tenant destroy team-a --delete-releases --yes
  helm tenant destroy team-a --keep-releases --backup team-a.yaml
  helm tenant destroy team-a --dry-run -o json`,
		Args: oneTenant,
	}
	f := cmd.Flags()
	f.BoolVar(&o.deleteReleases, "delete-releases", false, "delete its releases and their objects, as its deployer; for Helm 3 and 4 all releases in its namespaces, whoever installed them")
	f.BoolVar(&o.keepReleases, "keep-releases", false, "leave the objects of its releases, which no helm manages any more")
	f.BoolVar(&o.deleteNamespaces, "delete-namespaces", false, "delete its namespaces with everything in them, if helm-tenant created them")
	f.StringVar(&o.backup, "backup", "", "file for the release records (default helm-tenant-TENANT-TIME.yaml here)")
	f.BoolVar(&o.yes, "yes", false, "do not ask for the tenant's name")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and do nothing")
	f.BoolVar(&o.wait, "wait", true, "wait until the home namespace is deleted")
	timeoutFlag(cmd, &o.timeout)
	scopeFlag(cmd, &o.scoped)
	scopedHomeFlag(cmd, &o.home)
	outputFlag(cmd, &o.output, "text", "json", "yaml", "name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.deleteReleases && o.keepReleases {
			return asUsage(cmd, errors.New("--delete-releases and --keep-releases contradict each other"))
		}
		if err := checkScopedHome(cmd, o.home, o.scoped); err != nil {
			return err
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
	if o.scoped {
		t := tenant.Tenant{Name: name, HomeNamespace: o.home}
		if client, err = admin.Scope(ctx, client, []admin.Request{{Tenant: t}}); err != nil {
			return err
		}
		s.say("Note: only the tenant's own namespaces are read; its objects in other namespaces and in the cluster stay")
	}
	err = s.destroyTenant(ctx, k, client, name, o)
	if err == nil {
		return nil
	}
	return withHint(failure.Of("destroy", name, client.Where()).Wrap(err), hintsFor(err, inFlags)...)
}

func (s *session) destroyTenant(ctx context.Context, k *tenant.Kubeconfig, client *cluster.Client, name string, o *destroyOptions) error {
	var left []string
	var changes []cluster.Change
	run := admin.Destroy{
		Client: client, Name: name, File: o.backup,
		Backups:        s.backups(client, name, func(format string, args ...any) { visible.Fprintf(o.narration(s), format+"\n", args...) }),
		DeleteReleases: o.deleteReleases, KeepReleases: o.keepReleases, DeleteNamespaces: o.deleteNamespaces,
		DryRun: o.dryRun, Wait: o.wait, Timeout: o.timeout,
		Event: func(e admin.Event) {
			if e.Change != nil {
				changes = append(changes, *e.Change)
			}
			s.event(e)
		},
		Confirm: func(ctx context.Context) error {
			return s.confirm(ctx, name, fmt.Sprintf("destroy tenant %s of %s", name, client.Where()), o.yes)
		},
		Uninstall: func(removal *admin.Removal) (func(context.Context) error, error) {
			invocations, err := s.deletions(ctx, k, removal)
			return func(ctx context.Context) (err error) {
				left, err = s.deleteReleases(ctx, client, removal, invocations)
				return err
			}, err
		},
	}
	removal, err := run.Run(ctx)
	if err != nil {
		return err
	}
	if o.dryRun {
		changes = removal.Prepared.Plan.Ordered()
	} else if o.keepReleases {
		s.sayWhatStays(removal)
	}
	if err := s.printDestruction(removal, o, changes, left); err != nil {
		return err
	}
	if len(left) > 0 {
		return &codeError{exitPartly, &leftObjectsError{name, left}}
	}
	return nil
}

// backups returns the writer of backups of a tenant's records.
func (s *session) backups(client *cluster.Client, name string, say func(string, ...any)) backup.Backups {
	return backup.Backups{Tenant: name, Now: s.Env.Now, Say: say, Read: client.EachRecord}
}

func (s *session) event(e admin.Event) {
	switch {
	case e.Change != nil:
		s.change(*e.Change)
	case e.Command != nil:
		s.next(e.Text, *e.Command)
	default:
		text := e.Text
		if e.Level != admin.Progress {
			text = string(e.Level) + ": " + text
		}
		if e.Err != nil {
			text += ": " + failure.Text(e.Err)
		}
		s.say("%s", text)
	}
}

// confirm asks for the tenant's name on a terminal; without a terminal it refuses.
func (s *session) confirm(ctx context.Context, name, question string, yes bool) error {
	if yes {
		return nil
	}
	if !isTerminal(s.Env.Stdin) {
		return withHint(errors.New("there is no terminal to confirm it on"), "add --yes")
	}
	visible.Fprintf(s.Env.Stderr, "Type %q to %s: ", name, question)
	typed, err := untilDone(ctx, func() (string, error) { return bufio.NewReader(s.Env.Stdin).ReadString('\n') })
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(s.Env.Stderr)
		return errors.New("interrupted; nothing was done")
	case errors.Is(err, io.EOF):
		fmt.Fprintln(s.Env.Stderr)
		return errors.New("nothing was typed; nothing was done")
	case err != nil:
		return err
	case strings.TrimSpace(typed) != name:
		return fmt.Errorf("expected the name %q; nothing was done", name)
	}
	return nil
}
