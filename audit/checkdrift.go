package audit

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/command"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// driftFunc tells that an object is another than it should be, and what mends it.
type driftFunc func(object string, fix command.Fix, text string, arguments ...any)

// checkDrift compares what is there with the record.
func (a *auditor) checkDrift(r *Record) {
	t := r.Tenant
	drift := func(object string, fix command.Fix, text string, arguments ...any) {
		f := r.about(object, text, arguments...)
		f.Chains, f.Fix = [][]string{{"the record of tenant " + t.Name, object}}, fix
		a.add(idDrift, "", f)
	}
	if r.Problem != "" {
		f := r.about(objectName("ConfigMap", r.Namespace, tenant.RecordName), "the tenant's record can't be read: %s", r.Problem)
		correct := command.Run(command.Kubectl("edit", r.Namespace, "configmap", tenant.RecordName)).With("correct its key " + tenant.RecordKey)
		if len(r.Tenant.Unknown) > 0 || r.Migrating != nil {
			f.Fix = correct
		} else {
			f.Fix = command.Run(InitCommand(r.Tenant)).With("writes it anew, from what the tenant is now")
			f.Or = []command.Fix{correct}
		}
		a.add(idDrift, High, f)
		return
	}
	if !a.unseen("serviceaccounts") {
		for _, of := range actorsOf(t.Engine) {
			if a.accounts[Account(r.Namespace, of.account)] == nil {
				drift(objectName("ServiceAccount", r.Namespace, of.account), r.init(), "the deployer's account %s is missing", of.account)
			}
		}
		if a.withReaders(r).HasReaders() && a.accounts[Account(r.Namespace, tenant.ReaderAccount)] == nil {
			drift(objectName("ServiceAccount", r.Namespace, tenant.ReaderAccount), r.init(), "the readers' account %s is missing", tenant.ReaderAccount)
		}
	}
	if !a.unseen("roles", "rolebindings", "clusterroles", "clusterrolebindings") {
		a.driftOfRoles(r, drift)
	}
	if !a.unseen("namespaces") {
		a.driftOfNamespaces(r, drift)
	}
	if r.Migrating != nil {
		// Its Tiller is stopped, or gone.
		f := r.about("tenant "+t.Name, "the tenant is %s", r.Migrating)
		f.Chains = [][]string{{"the record of tenant " + t.Name, "annotation " + tenant.AnnotationMigration}}
		f.Fix, f.Or = r.endMigration(), r.abortMigration()
		a.add(idDrift, "", f)
		return
	}
	for _, of := range actorsOf(t.Engine) {
		if d := a.homes[r.Namespace][of.account]; d != nil && d.record == r && d.tiller != nil {
			a.driftOfTiller(r, d, drift)
		}
	}
}

func (a *auditor) driftOfRoles(r *Record, drift driftFunc) {
	t := a.withReaders(r)
	bindings := map[string]*Binding{}
	for _, b := range a.rights.bindings[r.Namespace] {
		bindings[b.Name] = b
	}
	for _, object := range rbac.Home(t) {
		switch wanted := object.(type) {
		case *rbacv1.Role:
			name := objectName("Role", r.Namespace, wanted.Name)
			live := a.rights.roles[roleKey{r.Namespace, wanted.Name}]
			if live == nil {
				drift(name, r.init(), "Role %s is missing from the home", wanted.Name)
				continue
			}
			holds, _ := validation.Covers(live.rules, wanted.Rules)
			held, _ := validation.Covers(wanted.Rules, live.rules)
			if !holds || !held && !a.wasReported(r, name, moreRules) {
				drift(name, r.init(), "Role %s has other rules than it should", wanted.Name)
			}
		case *rbacv1.RoleBinding:
			name := objectName("RoleBinding", r.Namespace, wanted.Name)
			live := bindings[wanted.Name]
			switch {
			case live == nil:
				drift(name, r.init(), "RoleBinding %s is missing from the home", wanted.Name)
			case live.RoleKind != wanted.RoleRef.Kind || live.RoleName != wanted.RoleRef.Name:
				drift(name, r.init(), "RoleBinding %s binds %s", wanted.Name, live.Role())
			case wanted.Name == rbac.RecordsName && !a.sameSubjects(r, live, wanted.Subjects):
				drift(name, r.init(), "RoleBinding %s has other subjects than the deployer", wanted.Name)
			}
		}
	}
	if t.AllNamespaces {
		for _, wanted := range rbac.ClusterWideBindings(t) {
			if !slices.ContainsFunc(a.rights.bindings[""], func(b *Binding) bool {
				return b.Name == wanted.Name && b.RoleName == wanted.RoleRef.Name && a.sameSubjects(r, b, wanted.Subjects)
			}) {
				drift("ClusterRoleBinding "+wanted.Name, r.init(), "ClusterRoleBinding %s is missing, or has other subjects than the deployer", wanted.Name)
			}
		}
		return
	}
	for _, ns := range t.Namespaces {
		if a.namespaces[ns] == nil && !a.unseen("namespaces") {
			continue // said of the namespace
		}
		a.driftOfBindings(r, t, ns, drift)
	}
}

// sameSubjects says whether a binding has the wanted subjects, and none beside those of
// whom a finding spoke.
func (a *auditor) sameSubjects(r *Record, b *Binding, wanted []rbacv1.Subject) bool {
	want := SubjectsOf(wanted, b.Namespace)
	for _, s := range want {
		if !slices.Contains(b.Subjects, s) {
			return false
		}
	}
	return !slices.ContainsFunc(b.Subjects, func(s Subject) bool {
		return !slices.Contains(want, s) && !a.wasReported(r, b.String(), s.String())
	})
}

func (a *auditor) driftOfNamespaces(r *Record, drift driftFunc) {
	t := r.Tenant
	labelled := func(name string, wanted map[string]string) {
		live := a.namespaces[name]
		object := "namespace " + name
		if live == nil {
			drift(object, r.init(), "namespace %s does not exist", name)
			return
		}
		for _, label := range []string{tenant.LabelTenant, tenant.LabelHome} {
			if want := wanted[label]; want != "" && live.Labels[label] != want {
				drift(object, r.init(), "namespace %s lacks the label %s=%s", name, label, want)
				return
			}
		}
	}
	labelled(r.Namespace, install.Home(t, true, false).Labels)
	if t.AllNamespaces {
		return
	}
	for _, ns := range t.Namespaces {
		wanted := install.Namespace(t, ns, false)
		// One of several tenants' carries the label of one of them.
		if live := a.namespaces[ns]; live != nil && live.Labels[tenant.LabelTenant] != t.Name && a.claims(live.Labels[tenant.LabelTenant], ns) {
			continue
		}
		labelled(ns, wanted.Labels)
	}
	for _, ns := range a.labelled[t.Name] {
		if ns.Name != r.Namespace && !slices.Contains(t.Namespaces, ns.Name) && ns.Annotations[tenant.AnnotationHome] == r.Namespace {
			drift("namespace "+ns.Name, r.prune(), "namespace %s carries the tenant's label and is none of its namespaces", ns.Name)
		}
	}
}

// claims says whether the tenant of that name has the namespace by its record.
func (a *auditor) claims(name, ns string) bool {
	return slices.ContainsFunc(a.snapshot.Records, func(r Record) bool { return r.Tenant.Name == name && slices.Contains(r.Tenant.Namespaces, ns) })
}

// driftOfTiller compares the Tiller's Deployment with the one that is made for
// the tenant; another version of it is no drift.
func (a *auditor) driftOfTiller(r *Record, d *deployer, drift driftFunc) {
	object := objectName(d.tiller.Kind, r.Namespace, d.tiller.Name)
	t := r.Tenant
	if t.Tiller.Version == "" {
		t.Tiller.Version = d.version
	}
	wanted, live := install.Deployment(t).Spec, d.tiller.Deployment
	if live == nil {
		drift(object, r.init(), "Tiller is a %s, not the Deployment %s", d.tiller.Kind, install.DeploymentName)
		return
	}
	var differs []string
	is := func(what string, same bool) {
		if !same {
			differs = append(differs, what)
		}
	}
	want, have := *wanted.Template.Spec.DeepCopy(), *live.Template.Spec.DeepCopy()
	for reported := range a.reported {
		if reported.home == r.Namespace && reported.object == object {
			leaveOut(reported.part, &have, &want)
		}
	}
	is("replicas", live.Replicas != nil && *live.Replicas == *wanted.Replicas)
	is("serviceAccountName", have.ServiceAccountName == want.ServiceAccountName)
	is("containers", len(have.Containers) == 1)
	is("initContainers", len(have.InitContainers) == 0)
	is("volumes", len(have.Volumes) == 0)
	is("labels", equality.Semantic.DeepEqual(live.Template.Labels, wanted.Template.Labels))
	if c := recognise.Container(have); c != nil {
		w := want.Containers[0]
		is("image", c.Image == w.Image)
		is("command", equality.Semantic.DeepEqual(c.Command, w.Command) && len(c.Args) == len(w.Args))
		is("environment", equality.Semantic.DeepEqual(c.Env, w.Env) && len(c.EnvFrom) == 0)
		is("resources", equality.Semantic.DeepEqual(c.Resources, w.Resources))
		is("container's securityContext", equality.Semantic.DeepEqual(c.SecurityContext, w.SecurityContext))
	}
	is("securityContext", equality.Semantic.DeepEqual(have.SecurityContext, want.SecurityContext))
	if len(differs) == 0 && !equality.Semantic.DeepEqual(have, want) {
		differs = append(differs, "pod")
	}
	if len(differs) > 0 {
		drift(object, r.init(), "Tiller's Deployment differs: %s", strings.Join(differs, ", "))
	}
}

// checkFile compares the tenants with those of a tenants file.
func (a *auditor) checkFile() {
	if a.snapshot.File == nil {
		return
	}
	records := map[string]*Record{}
	for i := range a.snapshot.Records {
		records[a.snapshot.Records[i].Tenant.Name] = &a.snapshot.Records[i]
	}
	named := map[string]bool{}
	for _, located := range a.snapshot.File {
		named[located.Name] = true
		a.checkLocated(located, records[located.Name])
	}
	for i := range a.snapshot.Records {
		r := &a.snapshot.Records[i]
		if name := r.Tenant.Name; !named[name] {
			f := r.about("tenant "+name, "the tenant is in the cluster, and not in the file")
			f.Chains = [][]string{{"tenant " + name, objectName("ConfigMap", r.Namespace, tenant.RecordName)}}
			f.Fix = command.Run(command.Tenant("export", name)).With("put it into the file, where it is to stay")
			f.Or = []command.Fix{command.Run(command.Tenant("destroy", name))}
			a.add(idFile, "", f)
		}
	}
}

// differFunc tells of a difference to the tenants file.
type differFunc func(subject, text string, arguments ...any)

// checkLocated compares a tenant of the file with its record, which is nil where
// there is none.
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
		return // of the rest nothing can be mended before
	}
	compareTenants(want, r.Tenant, differs)
	if d := a.byRecord[r]; d != nil {
		current, _ := want.Current(a.snapshot.Taken)
		if want.MembersFrom != tenant.MembersFromOwners {
			compareMembers(current.Members, d.members, differs)
		}
		a.compareReaders(current, r, differs)
		a.compareTerms(current, r.Namespace, differs)
	}
}

// cantBecome says what of a tenant would have to change that can't (see checkChange of
// the package admin); empty where nothing would.
func cantBecome(want, have tenant.Tenant) (subject, text string) {
	switch {
	case have.Engine != want.Engine && have.Engine != tenant.EngineBoth && want.Engine != tenant.EngineBoth:
		return "engine", fmt.Sprintf("the engine is %s in the file, and %s in the cluster", want.Engine, have.Engine)
	case have.Home() != want.Home():
		return "home namespace", fmt.Sprintf("the home is %s in the file, and %s in the cluster", want.Home(), have.Home())
	case have.Engine.Has(tenant.EngineTiller) && want.Engine.Has(tenant.EngineTiller) && have.Tiller.Storage != want.Tiller.Storage:
		return "storage", fmt.Sprintf("the storage is %s in the file, and %s in the cluster", want.Tiller.Storage, have.Tiller.Storage)
	}
	return "", ""
}

func compareTenants(want, have tenant.Tenant, differs differFunc) {
	for _, ns := range want.Namespaces {
		if !slices.Contains(have.Namespaces, ns) {
			differs("namespace "+ns, "namespace %s is the tenant's in the file, and not in the cluster", ns)
		}
	}
	for _, ns := range have.Namespaces {
		if !slices.Contains(want.Namespaces, ns) {
			differs("namespace "+ns, "namespace %s is the tenant's in the cluster, and not in the file", ns)
		}
	}
	if have.AllNamespaces != want.AllNamespaces {
		differs("allNamespaces", "the tenant has all namespaces: %t in the file, %t in the cluster", want.AllNamespaces, have.AllNamespaces)
	}
	if have.Role != want.Role {
		differs("role", "the role is %s in the file, and %s in the cluster", want.Role, have.Role)
	}
	if have.Engine != want.Engine {
		differs("engine", "the engine is %s in the file, and %s in the cluster", want.Engine, have.Engine)
	}
	if !equality.Semantic.DeepEqual(have.Tiller, want.Tiller) {
		differs("tiller", "Tiller's settings are others in the file than in the cluster")
	}
	if byOwners := want.MembersFrom == tenant.MembersFromOwners; byOwners != (have.MembersFrom == tenant.MembersFromOwners) {
		differs("membersFrom", "the owners say who the members are: %t in the file, %t in the cluster", byOwners, !byOwners)
	}
	compareRails(want.Rails, have.Rails, differs)
}

func compareMembers(members tenant.Members, have []Subject, differs differFunc) {
	want := []Subject(members)
	for _, m := range have {
		if !slices.Contains(want, m) {
			differs(m.String(), "%s is a member in the cluster, and not in the file", m)
		}
	}
	for _, m := range want {
		if !slices.Contains(have, m) {
			differs(m.String(), "%s is a member in the file, and not in the cluster", m)
		}
	}
}
