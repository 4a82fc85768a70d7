package audit

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// checkApply finds subjects that can write what an unattended `helm tenant apply` reads.
// The apply writes the tenants in it with its account's rights, which are an
// administrator's. Subjects that can use the account itself are found by
// findUseOfAccounts.
func (a *auditor) checkApply() {
	reported := map[string]bool{}
	for i := range a.snapshot.Workloads {
		w := &a.snapshot.Workloads[i]
		account := Account(w.Namespace, cmp.Or(w.Account, "default"))
		if len(w.AppliesFrom) == 0 || !a.reachesAll(account) {
			continue
		}
		for _, source := range w.AppliesFrom {
			if key := source.String(); !reported[key] {
				reported[key] = true
				a.checkSource(w, account, source)
			}
		}
	}
}

// reachesAll reports whether a service account reaches deployers by rights over the whole
// cluster.
func (a *auditor) reachesAll(account Subject) bool {
	return slices.ContainsFunc(a.wide, func(w wide) bool { return w.who == account }) ||
		slices.ContainsFunc(a.administrators, func(admin Administrator) bool {
			return admin.who == account && admin.who.Kind == rbacv1.ServiceAccountKind
		})
}

// checkSource finds subjects that can write one ConfigMap or Secret that an apply reads.
func (a *auditor) checkSource(w *Workload, account Subject, source ObjectRef) {
	p := pather{Target{Home: source.Namespace, Server: a.snapshot.Server, NamesKnown: true}, a.rights}
	resource := "configmaps"
	if source.Kind == "Secret" {
		resource = "secrets"
	}
	path := Path{ID: "write-tenants-file", Name: "write what an unattended apply reads", finding: idApplyFile, needs: p.write(resource, source.Name)}
	a.general = append(a.general, path)
	a.eachOther([]string{source.Namespace}, func(s Subject, mine func(grant) bool) {
		if s == account {
			return
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, mine)
		if !open {
			return
		}
		a.add(idApplyFile, everybodyIs(s), a.finding(s, opened{path, steps}, "%s can write %s, which %s applies with the rights of %s", s, source, objectName(w.Kind, w.Namespace, w.Name), account))
	})
}
