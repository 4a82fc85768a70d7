package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/audit/view"
	"helm-tenant/failure"
	"helm-tenant/prove"
	"helm-tenant/visible"
	"helm-tenant/wrapper"
)

func newProve(s *session) *cobra.Command {
	var groups []string
	var output string
	cmd := &cobra.Command{
		Use:   "prove [TENANT...]",
		Short: "Try on this cluster, without writing, what a tenant must not be able to do",
		Long: `Try on this cluster everything that a tenant must not be able to do, and write nothing:
for all tenants, or for the named ones.

Each attempt impersonates the tenant's deployer, a member or a service account in the
tenant's namespaces. Writes are server-side dry runs, which pass authorization and
admission and are not stored; reads request the metadata of one object; for streams and
tokens the authorizer is asked. Controls come first: requests that a tenant must be able
to make. If a control is refused, a refusal proves nothing.

A member of a group is tried with the groups of --in-group. Attempts that need a running
pod, such as those on the network, are listed as not tried, with how to try them.

It needs the right to impersonate users, groups and service accounts. It makes at most 40
requests for a tenant and 10 for each of its namespaces.

The attempts look like an attack in the API server's audit log: a SIEM that reads it may
raise alarms. Inform the people who watch it.

Exit codes: 0 everything was refused, 4 something was not, 5 something could not be tried,
1 failure.`,
		Example: `  helm tenant prove
  helm tenant prove team-a --in-group team-a-devs
  helm tenant prove -o wide
  helm tenant prove -o junit > prove.xml
  helm tenant prove -o html > prove.html`,
		Args: tenantNames,
	}
	cmd.Flags().Var(nameList(&groups), "in-group", "group of the member as which attempts are made; repeatable")
	outputFlag(cmd, &output, "table", "wide", "json", "yaml", "sarif", "junit", "html")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.prove(cmd.Context(), args, groups, output)
	}
	return cmd
}

func (s *session) prove(ctx context.Context, tenants, groups []string, output string) error {
	_, client, err := s.open()
	if err != nil {
		return err
	}
	var progress func(admin.Outcome)
	report, err := admin.Prove(ctx, client, admin.Proof{
		Tenants: tenants, Groups: groups,
		Found: func(total int) { progress = s.progress(total) },
		Done:  func(o admin.Outcome) { progress(o) },
	})
	if err != nil {
		var hints []hint
		if unknown, ok := errors.AsType[*admin.NoTenantError](err); ok {
			hints = noTenantHints(unknown)
		}
		return withHint(failure.In("prove", client.Where()).Wrap(err), hints...)
	}
	if err := s.printProof(report, output); err != nil {
		return err
	}
	switch report.Result {
	case string(prove.Allowed):
		return &codeError{code: exitFound}
	case string(prove.Untried):
		return &codeError{code: exitUnseen}
	}
	return nil
}

func (s *session) printProof(report *prove.Report, output string) error {
	switch output {
	case "html":
		return view.ProofHTML(visible.Writer{W: s.Env.Stdout, As: visible.JSON}, report, s.Env.Now())
	case "sarif":
		return printObject(s.out(), "json", view.ProofSARIF(report, wrapper.Version()))
	case "junit":
		return view.ProofJUnit(s.out(), report)
	case "json", "yaml":
		return printObject(s.out(), output, struct {
			document
			*prove.Report
		}{documentOf("ProofReport"), report})
	}
	if err := proofTable(s.out(), report, output == "wide"); err != nil {
		return err
	}
	_, err := io.WriteString(s.out(), proofSummary(report))
	return err
}

// proofTable writes a line for each attempt. Refused attempts come last, since all should
// be.
func proofTable(w io.Writer, report *prove.Report, wide bool) error {
	rows := slices.Clone(report.Rows)
	rank := []prove.Result{prove.Allowed, prove.Untried, prove.Open, prove.Denied, prove.Beyond, prove.Accepted, prove.Refused}
	slices.SortStableFunc(rows, func(a, b prove.Row) int {
		return slices.Index(rank, a.Result) - slices.Index(rank, b.Result)
	})
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	columns := []string{"RESULT", "TENANT", "NAMESPACE", "AS", "ATTEMPT", "BY"}
	if wide {
		columns = append(columns, "BENCHMARKS", "ANSWER")
	}
	printRow(table, columns...)
	for _, row := range rows {
		refusedBy := row.By
		switch row.Result {
		case prove.Allowed, prove.Open:
			if row.Closes != "" {
				refusedBy = "would be refused with " + row.Closes
			}
		case prove.Untried, prove.Beyond, prove.Denied:
			refusedBy = row.Answer
			if row.How != "" {
				refusedBy = row.How
			}
		}
		line := []string{string(row.Result), row.Tenant, dash(row.Namespace), dash(string(row.As)), row.What, dash(refusedBy)}
		if wide {
			line = append(line, dash(strings.Join(row.Benchmarks, ", ")), dash(row.Answer))
		}
		printRow(table, line...)
	}
	return table.Flush()
}

func proofSummary(report *prove.Report) string {
	c := report.Counts
	text := fmt.Sprintf("\n%s: %d refused, %d allowed, %d could not be tried", counted(len(report.Tenants), "tenant"), c[prove.Refused], c[prove.Allowed], c[prove.Untried])
	if c[prove.Open] > 0 {
		text += fmt.Sprintf("; %d that no setting of the tenant forbids", c[prove.Open])
	}
	if c[prove.Beyond] > 0 {
		text += fmt.Sprintf("; %d that a dry run does not show", c[prove.Beyond])
	}
	return text + "\n"
}
