package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/admin"
	"helm-tenant/failure"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

func newReleases(s *session) *cobra.Command {
	q := releaseQuery{statuses: map[string]*bool{}}
	cmd := &cobra.Command{
		Use:   "releases [TENANT...]",
		Short: "List the releases in all namespaces of a tenant, or of all tenants",
		Long: `List the releases in all namespaces of your tenant, as its deployer sees them; for
administrators those of the named tenants, or with --all of all tenants, of both engines
in one list. Uninstalled releases whose history was kept are only listed with
--uninstalled.

A "?" stands for what you may not read; the exit code is then 3.`,
		Example: `  helm tenant releases
  helm tenant releases team-a team-b --failed
  helm tenant releases --all --filter '^web' -o wide`,
		Args: tenantNames,
	}
	f := cmd.Flags()
	f.BoolVar(&q.all, "all", false, "the releases of all tenants")
	f.StringVar(&q.filter, "filter", "", "only releases whose name matches this regular expression")
	f.StringSliceVarP(&q.namespaces, "namespace", "n", nil, "only releases in these namespaces")
	f.BoolVarP(&q.byDate, "date", "d", false, "sort by the time of the last change, the oldest first")
	f.BoolVarP(&q.reverse, "reverse", "r", false, "reverse the order")
	f.IntVarP(&q.limit, "max", "m", 0, "list at most this many releases; 0 is no limit")
	f.IntVar(&q.offset, "offset", 0, "leave out the first releases of the list, this many")
	f.BoolVar(&q.plain.quiet, "short", false, "the same as --quiet, as helm list spells it")
	for _, status := range releaseStatuses {
		q.statuses[status] = f.Bool(status, false, "only releases that are "+status+"; several such flags add up")
	}
	outputFlag(cmd, &q.output, "table", "wide", "json", "yaml", "name")
	q.plain.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.all && len(args) > 0 {
			return asUsage(cmd, fmt.Errorf("--all lists all tenants; leave %q out, or --all", args[0]))
		}
		q.take(s.Call.Outer)
		if q.limit < 0 || q.offset < 0 {
			return asUsage(cmd, errors.New("--max and --offset are numbers of releases, from 0"))
		}
		pattern, err := regexp.Compile(q.filter)
		if err != nil {
			return asUsage(cmd, fmt.Errorf("--filter: %w", err))
		}
		return s.releases(cmd.Context(), args, q, pattern)
	}
	return cmd
}

func (s *session) releases(ctx context.Context, names []string, q releaseQuery, pattern *regexp.Regexp) error {
	list, err := s.listReleases(ctx, names, q)
	if err != nil {
		return err
	}
	none := "There are no releases."
	if len(list.Releases) > 0 {
		none = "There are no such releases." // the flags leave all out, or all are uninstalled
	}
	foreign := q.foreign(list)
	list.Releases = q.choose(list.Releases, pattern)
	list.Unlisted = slices.DeleteFunc(list.Unlisted, func(u admin.UnlistedReleases) bool { return u.Namespace != "" && !q.inNamespace(u.Namespace) })
	for _, ns := range foreign {
		s.say("Note: namespace %s belongs to none of these tenants, which have: %s", visible.Name(ns), visible.Excerpt(strings.Join(list.Namespaces, ", ")))
	}
	if isTable := q.output == "table" || q.output == "wide"; isTable && !q.plain.quiet && len(list.Releases)+len(list.Unlisted) == 0 {
		s.say("%s", none)
		return nil
	}
	if err := s.printReleases(list, q.output, q.plain); err != nil {
		return err
	}
	if len(list.Unlisted) > 0 {
		for _, reason := range unlistedReasons(list.Unlisted) {
			s.say("Warning: not everything is shown: %s", reason)
		}
		return &codeError{exitPartly, errors.New("some releases could not be listed")}
	}
	return nil
}

// listReleases lists as an administrator if tenants are named, otherwise, or if the
// caller may not read the tenants, as a member.
func (s *session) listReleases(ctx context.Context, names []string, q releaseQuery) (*admin.ReleaseList, error) {
	k, client, err := s.open()
	if err != nil {
		return nil, err
	}
	charts := q.output != "table" && q.output != "name"
	if q.all || len(names) > 0 {
		tenants, unread, err := admin.Tenants(ctx, client, names...)
		var unknown *admin.NoTenantError
		switch {
		case err == nil:
			list, err := admin.ListReleases(ctx, client, tenants, charts)
			if err == nil {
				list.Unlisted = append(list.Unlisted, unread...)
			}
			return list, err
		case errors.As(err, &unknown):
			return nil, withHint(failure.In("releases", client.Where()).Wrap(unknown), noTenantHints(unknown)...)
		case q.all:
			err = admin.ExplainLists(ctx, client, err)
			return nil, withHint(unlistedTenants(client).Wrap(err), append(hintsFor(err, inFlags), ownHints(err)...)...)
		case !apierrors.IsForbidden(err):
			return nil, unlistedTenants(client).Wrap(err)
		}
	}
	if len(names) == 0 {
		names = []string{s.Call.Line.Tenant}
	}
	list := &admin.ReleaseList{Namespaces: []string{}}
	var failed []error
	for _, name := range names {
		one, err := s.memberReleases(ctx, k, name, charts)
		if err != nil {
			if failed = append(failed, err); len(failed) == len(names) || isUnusable(err) || ctx.Err() != nil {
				return nil, failed[0]
			}
			list.Unlisted = append(list.Unlisted, admin.UnlistedReleases{Tenant: name, Reason: failure.Text(err)})
			list.Namespaces = nil
			continue
		}
		if list.Namespaces != nil && one.Namespaces != nil {
			list.Namespaces = append(list.Namespaces, one.Namespaces...)
		} else {
			list.Namespaces = nil
		}
		list.Releases = append(list.Releases, one.Releases...)
		list.Unlisted = append(list.Unlisted, one.Unlisted...)
	}
	return list, nil
}

// memberReleases returns the releases of a tenant as a member sees them: through its
// Tiller, or as its deployer. An empty name means the context's tenant.
func (s *session) memberReleases(ctx context.Context, k *tenant.Kubeconfig, name string, charts bool) (*admin.ReleaseList, error) {
	engine := s.engine(ctx)
	resolved, err := s.resolve(ctx, k, name, engine, s.requestTimeout)
	if err != nil {
		return nil, err
	}
	if resolved.NamespacesUnknown() {
		found, err := s.readNamespaces(ctx, k, resolved, s.requestTimeout)
		switch {
		case err == nil:
			resolved = found // its engine may be another than that of the helm in use
		case resolved.Engine != tenant.EngineTiller || isUnusable(err):
			return nil, err
		}
	}
	if resolved.Engine == tenant.EngineTiller {
		return s.tillerReleases(ctx, k, resolved)
	}
	if err := s.Place(k).CheckImpersonation(resolved); err != nil {
		return nil, err
	}
	client, err := s.connect(k, s.requestTimeout)
	if err != nil {
		return nil, err
	}
	resolved, neither, err := withAccount(ctx, client, k, resolved)
	if err != nil {
		return nil, err
	}
	deployer := client
	if as, _ := k.Impersonates(); as != resolved.DeployerUser() {
		if deployer, err = client.As(resolved.DeployerUser()); err != nil {
			return nil, err
		}
	}
	list, err := admin.ListReleases(ctx, deployer, []tenant.Tenant{{
		Name: resolved.Name, Engine: tenant.EngineImpersonation, HomeNamespace: resolved.Home, Namespaces: resolved.Namespaces, AllNamespaces: resolved.AllNamespaces,
	}}, charts)
	if err == nil && neither && len(list.Releases) == 0 && len(list.Unlisted) > 0 {
		return nil, withHint(notMember(k, resolved), askForGrant(ctx, client, resolved.Name))
	}
	return list, err
}

// listPage is the number of releases in one answer of Helm 2.
const listPage = 512

// tillerReleases asks the tenant's Tiller with helm's own list: members may read no
// records in its home.
func (s *session) tillerReleases(ctx context.Context, k *tenant.Kubeconfig, resolved tenant.Resolved) (*admin.ReleaseList, error) {
	client, err := s.HelmClient(ctx, false)
	if err != nil {
		return nil, err
	}
	list := &admin.ReleaseList{}
	if !resolved.AllNamespaces {
		list.Namespaces = resolved.Namespaces
	}
	for next := ""; ; {
		line := helm.Line{Command: "list", Args: []string{"--all", "--output=json", "--max=" + strconv.Itoa(listPage)}}
		if next != "" {
			line.Args = append(line.Args, "--offset="+next)
		}
		inv, err := s.tenantHelm(client, line, resolved, k, "")
		if err != nil {
			return nil, err
		}
		answer, err := helm.Capture(ctx, inv, 2*time.Minute)
		if err != nil {
			return nil, fmt.Errorf("helm list: %w", err)
		}
		page, err := parseTillerList(answer)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Releases {
			list.Releases = append(list.Releases, admin.ListedRelease{Release: r.release(), Tenants: []string{resolved.Name}})
		}
		if page.Next == "" || page.Next == next {
			return list, nil
		}
		next = page.Next
	}
}

// tillerList is the output of Helm 2's `helm list --output json` (cmd/helm/list.go).
type tillerList struct {
	Next     string
	Releases []tillerRelease
}

type tillerRelease struct {
	Name, Updated, Status, Chart, AppVersion, Namespace string
	Revision                                            int
}

// parseTillerList parses the list; Helm 2 prints nothing if there are no releases.
func parseTillerList(text string) (tillerList, error) {
	var list tillerList
	if strings.TrimSpace(text) == "" {
		return list, nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return list, fmt.Errorf("helm list printed no JSON: %w", err)
	}
	return list, nil
}

func (t tillerRelease) release() admin.Release {
	r := admin.Release{Name: t.Name, Namespace: t.Namespace, Revision: t.Revision, Status: t.Status, Chart: t.Chart, AppVersion: t.AppVersion, Engine: tenant.EngineTiller}
	// Helm 2 prints the local time in the format of C.
	if updated, err := time.ParseInLocation(time.ANSIC, t.Updated, time.Local); err == nil {
		updated = updated.UTC()
		r.Updated = &updated
	}
	return r
}

// releaseRow returns the cells of a release. What its record would say is not known if that
// can't be read: for a Tiller's release this includes the namespace.
func releaseRow(r admin.ListedRelease, wide bool) []string {
	updated, status, unread := "", helmStatus(r.Status), r.Problem != ""
	if r.Updated != nil {
		updated = r.Updated.Format(time.RFC3339)
	}
	if unread {
		status += " (its record can't be read)"
	}
	cell := func(text string, unknown bool) string {
		if unknown {
			return "?"
		}
		return dash(text)
	}
	row := []string{r.Name, cell(r.Namespace, unread && r.Engine == tenant.EngineTiller), fmt.Sprint(r.Revision), dash(updated), status, dash(strings.Join(r.Tenants, ","))}
	if wide {
		row = append(row, cell(r.Chart, unread), cell(r.AppVersion, unread), string(r.Engine))
	}
	return row
}

func (s *session) printReleases(list *admin.ReleaseList, output string, plain tableOptions) error {
	if plain.quiet {
		for _, r := range list.Releases {
			visible.Fprintf(s.out(), "%s\n", r.Name)
		}
		return nil
	}
	switch output {
	case "json", "yaml":
		return printObject(s.out(), output, struct {
			document
			Items    []admin.ListedRelease    `json:"items"`
			Unlisted []admin.UnlistedReleases `json:"unlisted"`
		}{documentOf("ReleaseList"), append([]admin.ListedRelease{}, list.Releases...), append([]admin.UnlistedReleases{}, list.Unlisted...)})
	case "name":
		for _, r := range list.Releases {
			visible.Fprintf(s.out(), "%s/%s\n", r.Namespace, r.Name)
		}
		return nil
	}
	wide := output == "wide"
	table := tabwriter.NewWriter(s.out(), 0, 0, 3, ' ', 0)
	columns := []string{"NAME", "NAMESPACE", "REVISION", "UPDATED", "STATUS", "TENANT"}
	if wide {
		columns = append(columns, "CHART", "APP VERSION", "ENGINE")
	}
	plain.head(table, columns...)
	for _, r := range list.Releases {
		printRow(table, releaseRow(r, wide)...)
	}
	for _, u := range list.Unlisted {
		row := []string{"?", dash(u.Namespace), "?", "?", "?", u.Tenant}
		if wide {
			row = append(row, "?", "?", "?")
		}
		printRow(table, row...)
	}
	return table.Flush()
}
