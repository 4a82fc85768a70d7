package audit

import (
	"fmt"
	"slices"
	"strings"

	"helm-tenant/command"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// GuardState is the state of the admission policies helm-tenant-guard in the cluster.
type GuardState struct {
	// Unserved reports whether the API server has no such policies.
	Unserved bool
	// Problems are the policies and bindings that are missing or differ.
	Problems []GuardProblem
	// Reserved reports whether the policies that reserve helm-tenant's labels on namespaces are
	// in force; false if that is not known.
	Reserved bool
	// Freeze are the problems of the admission policy of frozen tenants.
	Freeze []GuardProblem
}

// GuardProblem is a policy of the guard, or a binding of one, that is not in force.
type GuardProblem struct {
	Object ObjectRef
	// Mode is the mode of a binding, empty for a policy.
	Mode tenant.Guard
	// Missing reports whether the object does not exist; otherwise it differs.
	Missing bool
}

func (p GuardProblem) String() string {
	if p.Missing {
		return "it does not exist"
	}
	return "it differs from what helm-tenant writes"
}

// Volume is a PersistentVolume that is Available and not reserved for a claim.
type Volume struct {
	Name, Class string
}

// GuardModes returns the modes of the guard in tenants' records, the strictest first. A
// record that can't be read, and a tenant of all namespaces, have none.
func GuardModes(records []Record) []tenant.Guard {
	var modes []tenant.Guard
	for _, mode := range slices.Backward(tenant.Guards) {
		if mode != tenant.GuardOff && slices.ContainsFunc(records, func(r Record) bool { return r.guardMode() == mode }) {
			modes = append(modes, mode)
		}
	}
	return modes
}

// AnyFrozen reports whether any tenant is frozen by the admission policy.
func AnyFrozen(records []Record) bool {
	return slices.ContainsFunc(records, func(r Record) bool { return r.Problem == "" && r.Tenant.FrozenBy(tenant.FreezeByPolicy) })
}

// guardMode returns the mode of the guard in the record, empty if there is none.
func (r *Record) guardMode() tenant.Guard {
	if r.Problem != "" || r.Tenant.AllNamespaces || !slices.ContainsFunc(r.Tenant.Namespaces, func(ns string) bool { return !tenant.IsSystemNamespace(ns) }) {
		return ""
	}
	return r.Tenant.Guard
}

// checkGuard finds policies of the guard that do not enforce what tenants' records ask
// for.
func (a *auditor) checkGuard() {
	modes := GuardModes(a.snapshot.Records)
	if len(modes) == 0 {
		return
	}
	const subject = "admission policies " + rails.PolicyPrefix + "*"
	if a.snapshot.Guard.Unserved {
		a.add(idGuardPolicies, Low, Finding{Subject: subject, Text: rails.Unserved,
			Fix: command.Advice("upgrade the API server; until then hold parts of it by quotas and by the admission plugin DenyServiceExternalIPs")})
		return
	}
	problems := a.snapshot.Guard.Problems
	if len(problems) == 0 {
		return
	}
	f := Finding{Subject: subject}
	var names []string
	severity, classes := Medium, true
	for _, p := range problems {
		f.Chains = append(f.Chains, []string{p.Object.String(), p.String()})
		names = append(names, p.Object.Name)
		classes = classes && !p.Missing && p.Mode == "" && rails.DependsOnPriorities(p.Object.Name)
		if p.Mode == "" || p.Mode == tenant.GuardEnforce {
			severity = High
		}
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	f.Object = strings.Join(names, " ")
	f.Text = fmt.Sprintf("admission policies of the guard, or their bindings, are missing or differ: %s", shortened(names))
	f.Fix = a.writeGuard(modes, problems)
	if classes {
		f.Fix = f.Fix.With("all of them name PriorityClasses: those of the cluster may have changed since they were written")
	}
	a.add(idGuardPolicies, severity, f)
}

// writeGuard returns the commands that write the guard's policies again: an init writes
// only the bindings of its tenant's mode.
func (a *auditor) writeGuard(modes []tenant.Guard, problems []GuardProblem) command.Fix {
	var fix command.Fix
	for _, mode := range modes {
		concerned := slices.ContainsFunc(problems, func(p GuardProblem) bool { return p.Mode == mode })
		last := mode == modes[len(modes)-1] && len(fix.Commands) == 0 // init of any tenant writes the policies
		if !concerned && !last {
			continue
		}
		var writer *Record
		for r := range a.records() {
			if r.guardMode() == mode && (writer == nil || writer.Migrating != nil && r.Migrating == nil) {
				writer = r
			}
		}
		fix = fix.Then(writer.init())
	}
	return fix
}

// checkVolumes finds PersistentVolumes that a tenant's claim can bind through their
// class.
func (a *auditor) checkVolumes() {
	claims := act{"create", "", "persistentvolumeclaims"}
	index := slices.IndexFunc(a.snapshot.Records, func(r Record) bool {
		role := a.rights.roles[roleKey{"", r.Tenant.Role}]
		return role != nil && role.answer(claims).some
	})
	if index < 0 {
		return
	}
	for _, v := range a.snapshot.Volumes {
		f := Finding{Subject: "PersistentVolume " + v.Name, Text: fmt.Sprintf("PersistentVolume %s is Available and reserved for no claim: any tenant's claim of its class can bind it", v.Name)}
		class := "no class"
		if v.Class != "" {
			class = "class " + v.Class
		}
		f.Chains = [][]string{{"tenant " + a.snapshot.Records[index].Tenant.Name, "a claim of " + class, f.Subject}}
		f.Fix = command.Run(command.Kubectl("patch", "", "persistentvolume", v.Name, "--type=merge", "--patch=spec: {claimRef: {namespace: NS, name: CLAIM}}")).
			With("put the namespace and the name of the claim that it is meant for in place of NS and CLAIM")
		a.add(idOpenVolume, "", f)
	}
}
