package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

func newDescribe(s *session) *cobra.Command {
	var home, output string
	cmd := &cobra.Command{
		Use:   "describe TENANT",
		Short: "Show one tenant in full",
		Long: `Show one tenant in full: its members, its namespaces and who has rights there, its
Tiller, its releases, and where the objects in the cluster differ from its record.
A member may read less than an admin, and the output says what is missing.`,
		Example: `  helm tenant describe team-a
  helm tenant describe team-a -o json`,
		Args: oneTenant,
	}
	cmd.Flags().StringVar(&home, "home-namespace", "", "the tenant's home namespace; needed if you may not list ConfigMaps in the cluster")
	outputFlag(cmd, &output, "text", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return s.describe(cmd.Context(), args[0], home, output) }
	return cmd
}

// homeOf returns the home namespace that the context knows for that tenant, otherwise the
// one that was named.
func homeOf(k *tenant.Kubeconfig, name, named string) string {
	if known, found := k.Extension.Find(name); found && named == "" {
		return known.HomeNamespace
	}
	return named
}

func (s *session) describe(ctx context.Context, name, home, output string) error {
	k, client, err := s.open()
	if err != nil {
		return err
	}
	d, err := admin.Describe(ctx, client, name, homeOf(k, name, home))
	if err != nil {
		return withHint(failure.Of("describe", name, client.Where()).Wrap(err), append(hintsFor(err, inFlags), ownHints(err)...)...)
	}
	if output == "text" {
		return s.printDescription(d)
	}
	return printObject(s.out(), output, descriptionObject(d))
}

// descriptionObject returns a description for machine output, with null for what may not be
// read.
func descriptionObject(d *admin.Description) any {
	drift := cluster.Plan{Changes: d.Drift}
	unseen := func(part string) bool { return slices.Contains(d.Unseen, part) }
	compared := len(d.Unseen) == 0 && d.Foreign == "" && d.Uncompared == ""
	var people struct { // unknown ones are null
		Members, Readers, Owners *tenant.Members
		Temporary, Over          *tenant.Terms
	}
	if !unseen("members") {
		people.Members, people.Temporary, people.Over = &d.Members, &d.Temporary, &d.Over
		if !unseen("readers") {
			people.Readers = &d.Readers
		}
		if !unseen("owners") {
			people.Owners = &d.Owners
		}
	}
	return struct {
		document
		tenant.Tenant
		Home        string              `json:"home"`
		Migration   *tenant.Migration   `json:"migration,omitempty"`
		In          []admin.NamespaceOf `json:"inNamespaces"`
		Running     *admin.Tiller       `json:"running,omitempty"`
		Pods        []admin.PodOf       `json:"pods" nil:"unknown"`
		Releases    []admin.Release     `json:"releases" nil:"unknown"`
		Drift       []diffChange        `json:"drift" nil:"unknown"`
		Foreign     string              `json:"foreign,omitempty"`
		Uncompared  string              `json:"uncompared,omitempty"`
		RoleGaps    []string            `json:"roleGaps" nil:"unknown"`
		GuardUnheld string              `json:"guardUnheld,omitempty"`
		Members     *tenant.Members     `json:"members"`
		Readers     *tenant.Members     `json:"readers"`
		Owners      *tenant.Members     `json:"owners"`
		Temporary   *tenant.Terms       `json:"temporary"`
		Over        *tenant.Terms       `json:"over"`
		TermsUnread string              `json:"temporaryUnread,omitempty"`
		Unended     bool                `json:"disconnectUnfinished,omitempty"`
		Terminating bool                `json:"homeTerminating,omitempty"`
		Unseen      []string            `json:"unseen"`

		PodSecurityUnheld string `json:"podSecurityUnheld,omitempty"`
	}{documentOf("TenantDescription"), d.Tenant, d.Home, d.Migration, d.In, d.Running, known(d.Pods, !unseen("Tiller's pods")), known(d.Releases, !unseen("releases")),
		known(diffChanges(&drift), compared), d.Foreign, d.Uncompared, known(d.RoleGaps, compared), d.GuardUnheld, people.Members, people.Readers, people.Owners, people.Temporary, people.Over, d.TermsUnread, d.Unended, d.HomeTerminating, d.Unseen, d.PodSecurityUnheld}
}

func (s *session) printDescription(d *admin.Description) error {
	w := s.out()
	head := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	visible.Fprintf(head, "Name:\t%s\n", d.Name)
	visible.Fprintf(head, "Engine:\t%s\n", d.Engine)
	home := d.Home
	if d.HomeTerminating {
		home += " (being deleted)"
	}
	visible.Fprintf(head, "Home:\t%s\n", home)
	visible.Fprintf(head, "Role:\tClusterRole %s\n", d.Role)
	if d.NamespaceSelector != nil {
		visible.Fprintf(head, "Namespaces by:\t%s\n", d.NamespaceSelector)
	}
	if d.FluxAccount != "" {
		visible.Fprintf(head, "Flux:\tservice account %s in each namespace, with the same role\n", d.FluxAccount)
	}
	printPeople(head, d)
	if d.Unended {
		visible.Fprintf(head, "Disconnect:\tnot finished: who was revoked may still use an open connection; to restart Tiller: %s\n", command.Run(command.Tenant("init", d.Name)))
	}
	for _, line := range railLines(d.Rails) {
		visible.Fprintf(head, "%s:\t%s\n", line[0], line[1])
	}
	printState(head, d)
	if err := head.Flush(); err != nil {
		return err
	}
	if d.AllNamespaces {
		fmt.Fprintln(w, "\nNamespaces: all")
	} else {
		fmt.Fprintln(w, "\nNamespaces, and who has rights there:")
		printBindings(w, d.In)
		printQuotas(w, d.In)
	}
	s.printDeviations(w, d)
	return nil
}

// printPeople prints who may act as the tenant, and until when.
func printPeople(head io.Writer, d *admin.Description) {
	members := visible.List(d.Members.Names())
	if slices.Contains(d.Unseen, "members") {
		members = "(you may not see them)"
	}
	visible.Fprintf(head, "Members:\t%s\n", dash(members))
	if len(d.Readers) > 0 {
		visible.Fprintf(head, "Readers:\t%s\n", visible.List(d.Readers.Names()))
	}
	if len(d.Owners) > 0 {
		visible.Fprintf(head, "Owners:\t%s\n", visible.List(d.Owners.Names()))
	}
	if d.MembersFrom == tenant.MembersFromOwners {
		visible.Fprintf(head, "Members from:\towners\n")
	}
	for _, term := range d.Temporary {
		text := term.String()
		if slices.Contains(d.Over, term) {
			text += " (over, and still in force)"
		}
		visible.Fprintf(head, "For a time:\t%s, %s\n", term.Subject, text)
	}
	if d.TermsUnread != "" {
		visible.Fprintf(head, "For a time:\t(can't be read: %s)\n", d.TermsUnread)
	}
}

// printState prints what the tenant does at the moment, and what runs for it.
func printState(head io.Writer, d *admin.Description) {
	if d.Frozen != nil {
		visible.Fprintf(head, "Frozen:\t%s, by %s\n", strings.TrimPrefix(d.Frozen.String(), "frozen "), d.Frozen.Means)
	}
	if d.Migration != nil {
		visible.Fprintf(head, "Migration:\t%s\n", d.Migration)
	}
	if d.Running != nil {
		visible.Fprintf(head, "Tiller:\t%s, %d of %d ready\n", d.Running.Image, d.Running.Ready, d.Running.Desired)
		if d.Running.Rollout != "" {
			visible.Fprintf(head, "Rollout:\t%s\n", d.Running.Rollout)
		}
		visible.Fprintf(head, "Command:\t%s\n", strings.Join(d.Running.Command, " "))
	}
	for _, pod := range d.Pods {
		ready := "not ready"
		if pod.Ready {
			ready = "ready"
		}
		visible.Fprintf(head, "Pod:\t%s, %s, %s\n", pod.Name, strings.ToLower(pod.Phase), ready)
	}
}

// printDeviations prints what is not enforced, the releases, and what differs from the record.
func (s *session) printDeviations(w io.Writer, d *admin.Description) {
	if d.PodSecurityUnheld != "" {
		visible.Fprintf(w, "\nPodSecurity: %s\n", d.PodSecurityUnheld)
	}
	for i, gap := range d.RoleGaps {
		if i == 0 {
			fmt.Fprintln(w, "\nThe deployer's role lacks what helm needs:")
		}
		visible.Fprintf(w, "  %s\n", gap)
	}
	if d.GuardUnheld != "" {
		visible.Fprintf(w, "\nGuard: %s\n", d.GuardUnheld)
	}
	printReleases(w, d, slices.Contains(d.Unseen, "releases"))
	if d.Foreign != "" {
		visible.Fprintf(w, "\nDiffers from the record: %s\n", d.Foreign)
	}
	if d.Uncompared != "" {
		visible.Fprintf(w, "\nDrift unknown: %s\n", d.Uncompared)
	}
	if len(d.Drift) > 0 {
		visible.Fprintf(w, "\nDiffers from the record (%s makes it as it should be):\n", command.Run(command.Tenant("init", d.Name)))
		s.printChanges(diffChanges(&cluster.Plan{Changes: d.Drift}))
	}
	if len(d.Unseen) > 0 {
		visible.Fprintf(w, "\nNot shown, because you may not read it: %s\n", strings.Join(d.Unseen, ", "))
	}
}

func printBindings(w io.Writer, in []admin.NamespaceOf) {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "  NAMESPACE\tROLE\tSUBJECTS\tBINDING")
	for _, ns := range in {
		if ns.Terminating {
			ns.Name += " (being deleted)"
		}
		if ns.Missing {
			visible.Fprintf(table, "  %s\t(does not exist)\t-\t-\n", ns.Name)
		} else if ns.Bindings == nil {
			visible.Fprintf(table, "  %s\t%[2]s\t%[2]s\t%[2]s\n", ns.Name, unknownCell)
		} else if len(ns.Bindings) == 0 {
			visible.Fprintf(table, "  %s\t-\t-\t-\n", ns.Name)
		}
		for _, b := range ns.Bindings {
			name := clipped(b.Name)
			if !b.Ours {
				name += " (not ours)"
			}
			visible.Fprintf(table, "  %s\t%s\t%s\t%s\n", ns.Name, clipped(b.Role), dash(someOf(b.Subjects)), name)
		}
	}
	table.Flush()
}

func printReleases(w io.Writer, d *admin.Description, unseen bool) {
	if unseen {
		return
	}
	byStatus := map[string]int{}
	for _, r := range d.Releases {
		byStatus[r.Status]++
	}
	visible.Fprintf(w, "\nReleases: %s\n", countReleases(byStatus))
	if len(d.Releases) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "  NAME\tNAMESPACE\tREVISION\tSTATUS\tCHART")
	for _, r := range d.Releases {
		if r.Problem != "" {
			visible.Fprintf(table, "  %s\t(%s)\n", r.Name, r.Problem)
			continue
		}
		visible.Fprintf(table, "  %s\t%s\t%d\t%s\t%s\n", r.Name, r.Namespace, r.Revision, r.Status, r.Chart)
	}
	table.Flush()
}
