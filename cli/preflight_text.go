package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/preflight"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// judgeStatically judges for Helm 2, from what a member may read.
func (f *flight) judgeStatically(ctx context.Context, plan preflight.Plan) ([]preflight.Finding, error) {
	var record *tenant.Tenant
	t, err := f.deployer.Record(ctx, f.decision.Tenant.Home)
	switch {
	case err == nil:
		record = &t
	case !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err):
		return nil, err
	}
	return f.question.JudgeStatically(f.kinds, plan, record), nil
}

// tryValues renders the chart with its usual switches for cluster-scoped objects turned
// off, and notes the values that leave fewer of them.
func (f *flight) tryValues(ctx context.Context, rendered preflight.Rendered) error {
	all := f.question.Outside(f.kinds, rendered)
	if all == 0 || !preflight.LeavesOutside(f.report.Findings) {
		return nil
	}
	values, err := f.runHelm(ctx, f.deployment.Values(f.chart))
	if err != nil || values.Code != 0 {
		return err
	}
	left := func(set ...string) (int, error) {
		out, err := f.runHelm(ctx, f.deployment.Template(f.capabilities(), f.chart, f.question.Upgrade, set...))
		if err != nil || out.Code != 0 {
			return all, err
		}
		r, err := preflight.ParseTemplate(f.question.Major, out.Stdout)
		return f.question.Outside(f.kinds, r), err
	}
	f.report.Values, err = preflight.TrySettings(all, preflight.Settings(values.Stdout, f.question.SubchartSettings(f.kinds, rendered), preflight.MaxRenders-f.renders), left)
	return err
}

func (s *session) printPreflight(report *preflight.Report, output string) error {
	if output == "json" || output == "yaml" {
		report.Findings = append([]preflight.Finding{}, report.Findings...)
		return printObject(s.out(), output, struct {
			document
			*preflight.Report
		}{documentOf("PreflightReport"), report})
	}
	if err := preflightTable(s.out(), report.Findings, output == "wide"); err != nil {
		return err
	}
	_, err := io.WriteString(s.out(), preflightSummary(report))
	return err
}

// preflightTable writes a line for each finding, and what to do about each kind.
func preflightTable(w io.Writer, findings []preflight.Finding, wide bool) error {
	if len(findings) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	columns := []string{"RESULT", "FINDING", "OBJECT", "NAMESPACE", "FILE", "WHY"}
	if wide {
		columns = append(columns, "ANSWER")
	}
	printRow(table, columns...)
	for _, f := range findings {
		row := []string{string(f.Result), string(f.ID), clipped(f.Object()), dash(clipped(f.Namespace)), dash(clipped(f.File)), f.Why}
		if wide {
			row = append(row, dash(f.Answer))
		}
		printRow(table, row...)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var advice []string
	known := map[string]bool{}
	for _, f := range findings {
		if line := string(f.ID) + ": " + f.Do; f.Do != "" && !known[line] {
			known[line] = true
			advice = append(advice, line)
		}
	}
	if len(advice) == 0 {
		return nil
	}
	visible.Fprintf(w, "\nWhat to do:\n")
	for _, line := range advice {
		visible.Fprintf(w, "  %s\n", line)
	}
	return nil
}

func preflightSummary(report *preflight.Report) string {
	counts := map[preflight.Result]int{}
	for _, f := range report.Findings {
		counts[f.Result]++
	}
	var b strings.Builder
	if len(report.Findings) > 0 {
		b.WriteString("\n")
	}
	for _, value := range report.Values {
		visible.Fprintf(&b, "%s\n", value.String())
	}
	verdict := map[string]string{"fits": "fits", "refused": "does not fit", "untried": "nothing prevents it, but not everything could be tried"}[report.Result]
	visible.Fprintf(&b, "%s in namespace %s: %s (%s; %d refused, %d not tried, %d warned of)\n", report.Chart, report.Namespace, verdict,
		counted(report.Objects, "object"), counts[preflight.Refused], counts[preflight.Untried], counts[preflight.Warned])
	return b.String()
}

// forAdminText returns the file for an admin: YAML with comments that say what each
// object grants. Everything in it comes from a member.
func forAdminText(report *preflight.Report, objects []preflight.ForAdmin) ([]byte, error) {
	var text bytes.Buffer
	comment := func(format string, args ...any) {
		line := visible.OneLine(visible.Text(fmt.Sprintf(format, args...)))
		text.WriteString("# " + line + "\n")
	}
	comment("Objects of the chart %s that the tenant %s can't create itself.", report.Chart, report.Tenant)
	comment("A member of the tenant had them written: names and texts are a stranger's. Read each object")
	comment("before you create it; the comments say what it gives, and no more than that is checked.")
	for _, o := range objects {
		text.WriteString("---\n")
		for _, line := range o.Comments {
			comment("%s", line)
		}
		if o.Refused != "" {
			comment("Left out: %s", o.Refused)
			continue
		}
		if err := printObject(&text, "yaml", o.Object); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}
