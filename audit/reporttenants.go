package audit

import (
	"fmt"
	"slices"
	"strings"

	"helm-tenant/command"
)

// concerns reports whether a finding about the whole cluster concerns any requested
// tenant: a node that somebody can take over or replace concerns tenants with a Tiller.
func (a *auditor) concerns(id string, o Options) bool {
	if len(o.Tenants) == 0 || id != idTakesNode && id != idKubelet {
		return true
	}
	return slices.ContainsFunc(a.deployers, func(d *deployer) bool { return d.tiller != nil && d.tenant() != "" && o.asks(d.tenant()) })
}

// takenNodes returns the findings of several namespaces that accept privileged pods as
// one, if tenants are requested: the namespaces belong to none of them.
func takenNodes(findings []Finding, o Options) (one Finding, ok bool) {
	var namespaces []string
	for _, f := range findings {
		if f.ID != idTakesNode {
			continue
		}
		if len(namespaces) == 0 || f.Severity.rank() < one.Severity.rank() {
			one = f
		}
		namespaces = append(namespaces, strings.TrimPrefix(f.Subject, "namespace "))
	}
	if len(o.Tenants) == 0 || len(namespaces) < 2 {
		return Finding{}, false
	}
	slices.Sort(namespaces)
	one.Subject, one.Object = "namespaces beside the tenants", strings.Join(namespaces, " ")
	one.Text = fmt.Sprintf("somebody can make privileged pods in %d namespaces: %s", len(namespaces), shortened(namespaces))
	one.Fix, one.Or = command.Run(command.Command{"helm", "tenant", "audit"}).With("it names who, in each of them"), nil
	one.Print = one.Fingerprint()
	return one, true
}

// foldTakenNodes replaces the findings of takenNodes by the one finding. It is new if the
// baseline has neither it nor all of them.
func foldTakenNodes(r *Report, one Finding, b *Baseline) {
	isNew := false
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool {
		isNew = isNew || f.ID == idTakesNode && f.New
		return f.ID == idTakesNode
	})
	one.New = isNew && !slices.ContainsFunc(b.findings, func(f formerFinding) bool { return f.Fingerprint == one.Print })
	r.Findings = append(r.Findings, one)
	sortFindings(r.Findings)
}
