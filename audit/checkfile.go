package audit

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"helm-tenant/command"
	"helm-tenant/lists"
	"helm-tenant/tenant"
)

func (a *auditor) checkFile() {
	if a.snapshot.File == nil {
		return
	}
	records := map[string]*Record{}
	for r := range a.records() {
		records[r.Tenant.Name] = r
	}
	named := map[string]bool{}
	selection := a.selection()
	for _, located := range a.snapshot.File {
		named[located.Name] = true
		located.Tenant = a.withSelected(selection, located.Tenant, records[located.Name])
		a.checkLocated(located, records[located.Name])
	}
	for r := range a.records() {
		if name := r.Tenant.Name; !named[name] {
			f := r.about("tenant "+name, "the tenant is in the cluster, and not in the file")
			f.Chains = [][]string{{"tenant " + name, objectName("ConfigMap", r.Namespace, tenant.RecordName)}}
			f.Fix = command.Run(command.Tenant("export", name)).With("put it into the file, where it is to stay")
			f.Or = []command.Fix{command.Run(command.Tenant("destroy", name))}
			a.add(idFile, "", f)
		}
	}
}

// selection returns the namespaces that the selectors of the file's tenants choose.
func (a *auditor) selection() *tenant.Selection {
	file := lists.Map(a.snapshot.File, func(located tenant.Located) tenant.Tenant { return located.Tenant })
	all := lists.Map(a.snapshot.Namespaces, func(ns Namespace) tenant.LabelledNamespace {
		return tenant.LabelledNamespace{Name: ns.Name, Labels: ns.Labels, Terminating: ns.Terminating}
	})
	return tenant.Select(file, all)
}

// withSelected returns a tenant of the file with the namespaces that its selector selects; if they
// are not known, with the last selection in the record.
func (a *auditor) withSelected(selection *tenant.Selection, t tenant.Tenant, r *Record) tenant.Tenant {
	next, _, err := selection.Of(t)
	if t.NamespaceSelector == nil || err == nil && !a.unseen("namespaces") {
		return next
	}
	if r != nil {
		t.Selected = slices.DeleteFunc(slices.Clone(r.Tenant.Selected), func(ns string) bool { return slices.Contains(t.Namespaces, ns) })
		t.Namespaces = slices.Concat(t.Namespaces, t.Selected)
	}
	return t
}

type differFunc func(subject, text string, arguments ...any)

// checkLocated compares a tenant of the file with its record, which is nil if there is
// none.
func (a *auditor) checkLocated(located tenant.Located, r *Record) {
	want := located.Tenant
	where := fmt.Sprintf("%s:%d", located.File, located.Line)
	differs := func(subject, text string, arguments ...any) {
		f := Finding{Tenants: []string{want.Name}, Subject: subject, Text: fmt.Sprintf(text, arguments...),
			Chains: [][]string{{where, "tenant " + want.Name, subject}}, Fix: command.Run(applyFile(located.File))}
		if r != nil {
			f.Home = r.Namespace
		}
		a.add(idFile, "", f)
	}
	if r == nil {
		differs("tenant "+want.Name, "the tenant is in the file, and not in the cluster")
		return
	}
	if subject, text := cantBecome(want, r.Tenant); subject != "" {
		f := r.about(subject, "%s", text)
		f.Chains = [][]string{{where, "tenant " + want.Name, subject}}
		f.Fix = command.Run(command.Tenant("export", want.Name)).With("correct the file by what the tenant is now")
		f.Or = []command.Fix{command.Run(command.Tenant("destroy", want.Name), applyFile(located.File)).With("makes it anew")}
		a.add(idFile, "", f)
		return // nothing else can be fixed before
	}
	compareSettings(want, r.Tenant, differs)
	if d := a.byRecord[r]; d != nil {
		current, _ := want.Current(a.snapshot.Taken)
		if want.MembersFrom != tenant.MembersFromOwners {
			compareMembers(current.Members, d.members, differs)
		}
		a.compareReaders(current, r, differs)
		a.compareTerms(current, r.Namespace, differs)
	}
}

// cantBecome describes a difference that can't be applied (see takeBack of package
// admin); empty if there is none.
func cantBecome(want, recorded tenant.Tenant) (subject, text string) {
	switch {
	case recorded.ExchangesEngine(want):
		return "engine", fmt.Sprintf("the engine is %s in the file, and %s in the cluster", want.Engine, recorded.Engine)
	case recorded.Home() != want.Home():
		return "home namespace", fmt.Sprintf("the home is %s in the file, and %s in the cluster", want.Home(), recorded.Home())
	case recorded.MovesRecords(want):
		return "storage", fmt.Sprintf("the storage is %s in the file, and %s in the cluster", want.Tiller.Storage, recorded.Tiller.Storage)
	}
	return "", ""
}

func compareSettings(want, recorded tenant.Tenant, differs differFunc) {
	for _, ns := range want.Namespaces {
		switch {
		case slices.Contains(recorded.Namespaces, ns):
		case slices.Contains(want.Selected, ns):
			differs("namespace "+ns, "namespace %s matches the namespaceSelector of the file, and is not the tenant's in the cluster", ns)
		default:
			differs("namespace "+ns, "namespace %s is the tenant's in the file, and not in the cluster", ns)
		}
	}
	for _, ns := range recorded.Namespaces {
		if !slices.Contains(want.Namespaces, ns) {
			differs("namespace "+ns, "namespace %s is the tenant's in the cluster, and not in the file", ns)
		}
	}
	if !equality.Semantic.DeepEqual(recorded.NamespaceSelector, want.NamespaceSelector) {
		differs("namespaceSelector", "the namespaceSelector is %q in the file, and %q in the cluster", want.NamespaceSelector, recorded.NamespaceSelector)
	}
	if recorded.AllNamespaces != want.AllNamespaces {
		differs("allNamespaces", "the tenant has all namespaces: %t in the file, %t in the cluster", want.AllNamespaces, recorded.AllNamespaces)
	}
	if recorded.Role != want.Role {
		differs("role", "the role is %s in the file, and %s in the cluster", want.Role, recorded.Role)
	}
	if recorded.FluxAccount != want.FluxAccount {
		differs("fluxAccount", "the account for Flux is %q in the file, and %q in the cluster", want.FluxAccount, recorded.FluxAccount)
	}
	if recorded.Engine != want.Engine {
		differs("engine", "the engine is %s in the file, and %s in the cluster", want.Engine, recorded.Engine)
	}
	if !equality.Semantic.DeepEqual(recorded.Tiller, want.Tiller) {
		differs("tiller", "Tiller's settings are others in the file than in the cluster")
	}
	if byOwners := want.MembersFrom == tenant.MembersFromOwners; byOwners != (recorded.MembersFrom == tenant.MembersFromOwners) {
		differs("membersFrom", "the owners say who the members are: %t in the file, %t in the cluster", byOwners, !byOwners)
	}
	compareRails(want.Rails, recorded.Rails, differs)
}

func compareMembers(members tenant.Members, recorded []Subject, differs differFunc) {
	want := []Subject(members)
	for _, m := range recorded {
		if !slices.Contains(want, m) {
			differs(m.String(), "%s is a member in the cluster, and not in the file", m)
		}
	}
	for _, m := range want {
		if !slices.Contains(recorded, m) {
			differs(m.String(), "%s is a member in the file, and not in the cluster", m)
		}
	}
}
