package cli

import (
	"fmt"
	"slices"
	"strings"

	"helm-tenant/audit"
	"helm-tenant/command"
	"helm-tenant/lists"
	"helm-tenant/visible"
)

// reportText writes a report for people. Untrusted text in it is escaped by package
// visible; only its own text has colours.
type reportText struct {
	text   strings.Builder
	colour bool
}

func (t *reportText) line(format string, arguments ...any) {
	visible.Fprintf(&t.text, format+"\n", arguments...)
}

// These are ANSI codes: for bold, and for each severity.
const bold, plain = "\x1b[1m", "\x1b[0m"

var severityColour = map[audit.Severity]string{audit.Critical: "\x1b[1;31m", audit.High: "\x1b[31m", audit.Medium: "\x1b[33m", audit.Low: "\x1b[36m"}

// painted writes a text in a colour if colours are on.
func (t *reportText) painted(colour, text string) {
	if t.colour {
		t.text.WriteString(colour)
		defer t.text.WriteString(plain)
	}
	t.text.WriteString(visible.Text(text))
}

// groups returns the findings by tenant, the tenant with the worst finding first.
func groups(findings []audit.Finding) [][]audit.Finding {
	var order []string
	byTitle := map[string][]audit.Finding{}
	for _, f := range findings {
		title := f.Title()
		if byTitle[title] == nil {
			order = append(order, title)
		}
		byTitle[title] = append(byTitle[title], f)
	}
	return lists.Map(order, func(title string) []audit.Finding { return byTitle[title] })
}

func (t *reportText) findings(r *audit.Report) {
	for _, group := range groups(r.Findings) {
		t.painted(bold, group[0].Title())
		t.line("")
		for _, f := range group {
			t.text.WriteString("  ")
			t.painted(severityColour[f.Severity], fmt.Sprintf("%-8s", f.Severity))
			text := f.Text
			if f.New {
				text = "new: " + text
			}
			t.line("  %s  %s", f.ID, text)
			ways := merged(f.Chains)
			for i, way := range ways {
				const limit = 6
				if i == limit {
					t.line("            way  and %d more (-o json has them)", len(ways)-limit)
					break
				}
				t.line("            way  %s", way)
			}
			t.line("            why  %s", f.Why)
			t.fix("fix ", f.Fix)
			for _, or := range f.Or {
				t.fix("or  ", or)
			}
		}
		t.line("")
	}
}

// fix writes the commands of a fix, a line each in a form that can be typed, and its note
// on a line of its own, where no shell takes it for a part of a command.
func (t *reportText) fix(title string, fix command.Fix) {
	lines, note := fix.Lines()
	if note != "" && len(lines) > 0 {
		note = "(" + note + ")"
	}
	for i, line := range append(lines, note) {
		if i > 0 {
			title = "    "
		}
		if line != "" {
			t.line("            %s %s", title, line)
		}
	}
}

// merged returns chains as lines; chains that differ only in their end share a line.
func merged(chains [][]string) []string {
	var order []string
	ends := map[string][]string{}
	for _, chain := range chains {
		last := len(chain) - 1
		start := visible.Chain(chain[:last])
		if ends[start] == nil {
			order = append(order, start)
		}
		ends[start] = append(ends[start], chain[last])
	}
	for i, start := range order {
		end := visible.List(ends[start])
		if start == "" {
			order[i] = end
			continue
		}
		order[i] = start + " -> " + end
	}
	return order
}

func (t *reportText) access(r *audit.Report) {
	t.painted(bold, "Who reaches what")
	t.line("")
	for _, d := range r.Deployers {
		t.line("  %s", describeDeployer(d))
		account := "service account " + d.Home + ":" + d.Account
		powers := lists.Map(d.Power.OwnHome, func(p audit.Path) string { return p.Name })
		if len(powers) > 0 {
			t.line("    itself    %s: %s", account, strings.Join(powers, ", "))
		}
		for _, access := range d.Access {
			if access.Own && access.Subject == account {
				continue // reported with its power
			}
			role := "outsider"
			switch {
			case access.Member:
				role = "member"
			case access.Own:
				role = "itself"
			}
			t.line("    %-8s  %s: %s", role, access.Subject, strings.Join(pathNames(access.Paths), ", "))
		}
		if d.Open {
			t.line("    anybody   any pod of the cluster: connect to its port")
		}
	}
	for _, wide := range r.ClusterWide {
		t.line("  %d of %d deployers by rights over the whole cluster", wide.Deployers, wide.Of)
		t.line("    outsider  %s: %s", wide.Subject, strings.Join(pathNames(wide.Paths), ", "))
	}
	t.line("  administrators of the cluster, who reach all deployers by Kubernetes' own design")
	for _, admin := range r.Administrators {
		t.line("    %s (%s)", admin.Subject, admin.Role)
	}
	t.line("")
}

func describeDeployer(d audit.Deployer) string {
	owner := "tenant " + d.Tenant
	if d.Tenant == "" {
		owner = "unmanaged Tiller"
	}
	account := "service account " + d.Home + ":" + d.Account
	if d.Version != "" {
		account += ", Tiller " + d.Version
	}
	where := "its own namespaces are none"
	switch {
	case d.Power.Admin:
		where = "cluster-admin"
	case d.All:
		where = "acts in all namespaces"
	case len(d.Namespaces) > 0:
		where = "acts in " + brief(d.Namespaces)
	case d.Tenant == "":
		where = "acts in " + dash(brief(powerIn(d)))
	}
	return fmt.Sprintf("%s: %s, %s", owner, account, where)
}

func powerIn(d audit.Deployer) []string {
	var spaces []string
	for _, in := range d.Power.Namespaces {
		if !slices.Contains(spaces, in.Namespace) {
			spaces = append(spaces, in.Namespace)
		}
	}
	return spaces
}

func pathNames(paths []audit.OpenPath) []string {
	return lists.Map(paths, func(p audit.OpenPath) string { return p.Name })
}

// canReach writes the answers for these tenants, or for all if there are none.
func (t *reportText) canReach(r *audit.Report, tenants []string) {
	subject := r.Asked
	if len(r.Groups) > 0 {
		subject += " (in " + visible.List(r.Groups) + ")"
	}
	if len(r.CanReach) == 0 && len(r.CanRead) > 0 {
		t.line("%s reaches no deployer.", subject)
		t.canRead(r.CanRead)
		return
	}
	if len(r.CanReach) == 0 {
		if r.Result != audit.Unknown {
			suffix := ""
			if len(tenants) > 0 {
				suffix = " of " + brief(tenants)
			}
			t.line("%s reaches no deployer%s, and can't act as anybody who does", subject, suffix)
			if len(r.Groups) == 0 && strings.HasPrefix(r.Asked, "user ") {
				t.line("A user's groups are known only when they log in: name them with --in-group.")
			}
		}
		return
	}
	t.line("%s reaches:", subject)
	for _, reached := range r.CanReach {
		title := "tenant " + reached.Tenant
		if reached.Tenant == "" {
			title = "the unmanaged Tiller in namespace " + reached.Home
		}
		if reached.Member && len(reached.Through) == 0 {
			title += ", as a member"
		}
		if len(reached.Through) > 0 {
			title += ", through " + strings.Join(reached.Through, ", then ")
		}
		t.painted(bold, title)
		t.line("")
		paths := reached.Paths
		if len(reached.Everything) > 0 { // each path is one of these rights
			paths = []audit.OpenPath{{Path: audit.Path{Name: "do everything in the cluster"}, Chains: reached.Everything}}
		}
		for _, path := range paths {
			t.line("  %s", path.Name)
			for _, way := range merged(path.Chains) {
				t.line("    %s", way)
			}
		}
	}
	t.canRead(r.CanRead)
}

func (t *reportText) canRead(read []audit.Reached) {
	for _, one := range read {
		title := "and reads tenant " + one.Tenant
		if one.Reader {
			title += ", as a reader"
		}
		t.painted(bold, title)
		t.line("")
		for _, path := range one.Paths {
			for _, way := range merged(path.Chains) {
				t.line("    %s", way)
			}
		}
	}
}

func (t *reportText) summary(r *audit.Report, counts bool) {
	if counts {
		tenants, unmanaged := map[string]bool{}, 0
		for _, d := range r.Deployers {
			if d.Tenant == "" {
				unmanaged++
				continue
			}
			tenants[d.Tenant] = true // a tenant with both engines has two
		}
		looked := counted(len(tenants), "tenant") + " and " + counted(unmanaged, "unmanaged Tiller")
		if len(r.Findings) == 0 {
			if len(r.Unseen) == 0 {
				t.line("Nothing found in %s.", looked)
			}
		} else {
			count := map[audit.Severity]int{}
			for _, f := range r.Findings {
				count[f.Severity]++
			}
			var parts []string
			for _, severity := range audit.Severities() {
				if count[severity] > 0 {
					parts = append(parts, fmt.Sprintf("%d %s", count[severity], severity))
				}
			}
			t.line("%s in %s: %s.", counted(len(r.Findings), "finding"), looked, strings.Join(parts, ", "))
		}
		if len(r.Gone) > 0 {
			t.line("Gone since the baseline:")
			for _, gone := range r.Gone {
				t.line("  %s  %s", gone.ID, gone.Text)
			}
			t.line("")
		}
		if len(r.Ignored) > 0 {
			t.line("Ignored:")
			for _, f := range r.Ignored {
				t.line("  %s  %s: %s (%s)", f.ID, f.Title(), f.Text, f.Reason)
			}
		}
	}
	if len(r.Unseen) > 0 {
		t.line("The answer is unknown, because you may not read everything:")
		for _, u := range r.Unseen {
			t.line("  %s: so it is not known %s", u.What, u.Matters)
		}
	}
}
