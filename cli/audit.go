package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/audit"
	"helm-tenant/audit/view"
	"helm-tenant/envvar"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
	"helm-tenant/wrapper"
)

type auditOptions struct {
	audit.Options
	canReach    string
	files       []string
	failOn      string
	ignore      []string
	reason      string
	ignoreFiles []string
	baseline    string
	metrics     string
	output      string
}

func newAudit(s *session) *cobra.Command {
	o := &auditOptions{}
	cmd := &cobra.Command{
		Use:   "audit [TENANT...]",
		Short: "Show who can reach which tenant, how, and what is wrong",
		Long: `Show which subjects can reach which deployer of the cluster, by which path, what rights
the deployers have, and what is wrong: for all tenants and for Tillers of no tenant, or
for the named tenants. It writes nothing.

Kubernetes' own components and the group system:masters can do everything; they are
listed as administrators of the cluster and are no findings.

Exit codes: 0 no findings, 4 findings (see --fail-on), 5 you may not read everything
that the audit needs, 1 failure.`,
		Example: `  helm tenant audit
  helm tenant audit team-a --fail-on high
  helm tenant audit --can-reach alice --in-group devs
  helm tenant audit -f tenants.yaml -o sarif
  helm tenant audit -o html
  helm tenant audit --baseline last-week.json --fail-on high
  helm tenant audit --metrics /var/lib/node_exporter/textfile/helm-tenant.prom
  helm tenant audit --ignore HT022 --reason operators`,
		Args: tenantNames,
	}
	f := cmd.Flags()
	f.StringVar(&o.canReach, "can-reach", "", "show which tenants one user can reach, and how; a service account is given by its user name")
	f.Var(nameList(&o.Groups), "in-group", "with --can-reach: a group that the user is in; repeatable")
	f.StringSliceVarP(&o.files, "file", "f", nil, "tenants file or folder to compare with; repeatable")
	f.StringVar(&o.failOn, "fail-on", string(audit.Low), "the lowest severity for which to exit with 4: critical|high|medium|low")
	f.StringArrayVar(&o.ignore, "ignore", nil, "finding to accept, ID or ID:SUBJECT, such as HT022:group ops; needs --reason; repeatable")
	f.StringVar(&o.reason, "reason", "", "the reason for accepting the findings of --ignore")
	f.StringSliceVar(&o.ignoreFiles, "ignore-file", nil, "file of accepted findings, each with its reason; repeatable")
	f.StringVar(&o.baseline, "baseline", "", "an earlier report (-o json): only new findings count for --fail-on, and resolved ones are listed")
	f.StringVar(&o.metrics, "metrics", "", "file to write the numbers of findings to, as Prometheus text for the node exporter's textfile collector")
	outputFlag(cmd, &o.output, "table", "wide", "json", "yaml", "sarif", "html")
	completeValues(cmd, "fail-on", string(audit.Critical), string(audit.High), string(audit.Medium), string(audit.Low))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Tenants = args
		least, err := audit.ParseSeverity(o.failOn)
		if err != nil {
			return asUsage(cmd, fmt.Errorf("--fail-on: %w", err))
		}
		switch {
		case len(o.Groups) > 0 && o.canReach == "":
			return asUsage(cmd, errors.New("--in-group goes with --can-reach"))
		case o.canReach != "" && o.baseline != "":
			return asUsage(cmd, errors.New("--baseline compares findings, and --can-reach has none"))
		case o.canReach != "" && slices.Contains([]string{"sarif", "html"}, o.output):
			return asUsage(cmd, fmt.Errorf("--can-reach answers as table, json or yaml, not as %s", o.output))
		case o.canReach != "" && o.metrics != "":
			return asUsage(cmd, errors.New("--metrics counts findings, and --can-reach has none"))
		case len(o.ignore) > 0 && strings.TrimSpace(o.reason) == "":
			return asUsage(cmd, errors.New("--ignore needs a --reason, which the report shows"))
		}
		o.Ask = audit.User(o.canReach)
		for _, text := range o.ignore {
			id, subject, _ := strings.Cut(text, ":")
			ignore := audit.Ignore{ID: id, Subject: subject, Reason: o.reason}
			if err := ignore.Check(); err != nil {
				return asUsage(cmd, fmt.Errorf("--%w", err))
			}
			o.Ignore = append(o.Ignore, ignore)
		}
		more, err := readIgnores(cmd.Context(), o.ignoreFiles)
		if err != nil {
			return err
		}
		o.Ignore = append(o.Ignore, more...)
		return s.audit(cmd.Context(), o, least)
	}
	return cmd
}

func readBaseline(ctx context.Context, name string) (*audit.Baseline, error) {
	return untilDone(ctx, func() (*audit.Baseline, error) {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return audit.ParseBaseline(name, file)
	})
}

func readIgnores(ctx context.Context, files []string) ([]audit.Ignore, error) {
	var all []audit.Ignore
	var wrong problems
	for _, name := range files {
		text, err := readFile(ctx, name, longestFile)
		if err != nil {
			return nil, err
		}
		ignores, problems := audit.ParseIgnores(name, text)
		all = append(all, ignores...)
		wrong = append(wrong, problems...)
	}
	if len(wrong) > 0 {
		return nil, withHint(wrong, "the fields are apiVersion and ignore; those of what is ignored: id and reason, and tenant and subject, which may be left out")
	}
	return all, nil
}

func (s *session) audit(ctx context.Context, o *auditOptions, least audit.Severity) error {
	if o.baseline != "" {
		var err error
		if o.Baseline, err = readBaseline(ctx, o.baseline); err != nil {
			return withHint(err, "make one with: helm tenant audit -o json > FILE")
		}
	}
	var file []tenant.Located
	if len(o.files) > 0 {
		var err error
		if file, err = s.readTenants(ctx, o.files); err != nil {
			return err
		}
	}
	if o.metrics != "" {
		if err := checkReplaceable("--metrics", o.metrics); err != nil {
			return err
		}
	}
	_, client, err := s.open()
	if err != nil {
		return err
	}
	collectEarly(50)
	snapshot, err := admin.TakeSnapshot(ctx, client)
	if err != nil {
		return failure.Error{Operation: "audit", Where: failure.Subject{Preposition: "of", Text: client.Where()}}.Wrap(err)
	}
	snapshot.File = file
	report := audit.Audit(snapshot, o.Options)
	for _, name := range o.Tenants {
		named := func(t tenant.Tenant) bool { return t.Name == name }
		if !slices.ContainsFunc(snapshot.Records, func(r audit.Record) bool { return named(r.Tenant) }) &&
			!slices.ContainsFunc(report.Deployers, func(d audit.Deployer) bool { return d.Tenant == name }) && // a tenant without a record
			!slices.ContainsFunc(file, func(l tenant.Located) bool { return named(l.Tenant) }) && len(snapshot.Unseen) == 0 {
			known := lists.Map(snapshot.Records, func(r audit.Record) string { return r.Tenant.Name })
			err := &admin.NoTenantError{Name: name, Where: client.Where(), Near: tenant.Near(name, known)}
			return withHint(failure.In("audit", client.Where()).Wrap(err), noTenantHints(err)...)
		}
	}
	if err := s.printReport(report, o); err != nil {
		return err
	}
	if o.metrics != "" {
		if err := s.writeMetrics(o.metrics, report); err != nil {
			return err
		}
	}
	for _, ignore := range audit.Unused(o.Ignore, report) {
		s.say("Note: nothing is left to ignore for %s: %s", ignore, ignore.Reason)
		if meant := ignore.Meant(report); len(meant) > 0 {
			s.say("  say of what kind the subject is: %s", strings.Join(meant, ", or "))
		}
	}
	switch {
	case report.Result == audit.Unknown:
		return &codeError{code: exitUnseen}
	case o.canReach == "" && report.Worst(least) != "":
		return &codeError{code: exitFound}
	}
	return nil
}

func (s *session) printReport(report *audit.Report, o *auditOptions) error {
	switch o.output {
	case "html":
		return view.HTML(visible.Writer{W: s.Env.Stdout, As: visible.JSON}, report, s.Env.Now())
	case "sarif":
		return printObject(s.out(), "json", view.SARIF(report, wrapper.Version(), o.files))
	case "json", "yaml":
		return printObject(s.out(), o.output, struct {
			document
			*audit.Report
		}{documentOf("AuditReport"), report})
	}
	t := &reportText{colour: isTerminal(s.Env.Stdout) && s.Env.Get(envvar.NoColor) == "" && s.Env.Get(envvar.Term) != "dumb"}
	if o.canReach != "" {
		t.canReach(report, o.Tenants)
	} else {
		t.findings(report)
		if o.output == "wide" {
			t.access(report)
		}
	}
	t.summary(report, o.canReach == "")
	_, err := io.WriteString(s.Env.Stdout, t.text.String())
	return err
}

// writeMetrics replaces the file in one step, so that a collector never reads half of it:
// the node exporter reads files whose names end in .prom, and the temporary file's name
// does not. Everybody may read the file: the collector is another user, and the file has
// only numbers and names of tenants.
func (s *session) writeMetrics(file string, report *audit.Report) error {
	err := replaceFile(file, 0o644, func(w *os.File) error { return view.Prometheus(w, report, wrapper.Version(), s.Env.Now()) })
	if err != nil {
		return fmt.Errorf("the metrics: %w", err)
	}
	return nil
}
