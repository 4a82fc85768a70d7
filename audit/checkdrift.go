package audit

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/command"
	"helm-tenant/difference"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// driftFunc reports that an object differs from the wanted one, with the fix.
type driftFunc func(object string, fix command.Fix, text string, arguments ...any)

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
		for _, actor := range actorsOf(t.Engine) {
			if a.accounts[Account(r.Namespace, actor.account)] == nil {
				drift(objectName("ServiceAccount", r.Namespace, actor.account), r.init(), "the deployer's account %s is missing", actor.account)
			}
		}
		if a.withReaders(r).HasReaders() && a.accounts[Account(r.Namespace, tenant.ReaderAccount)] == nil {
			drift(objectName("ServiceAccount", r.Namespace, tenant.ReaderAccount), r.init(), "the readers' account %s is missing", tenant.ReaderAccount)
		}
	}
	a.checkFluxAccount(r, drift)
	if !a.unseen("roles", "rolebindings", "clusterroles", "clusterrolebindings") {
		a.driftOfRoles(r, drift)
	}
	if !a.unseen("namespaces") {
		a.driftOfNamespaces(r, drift)
	}
	if r.Migrating != nil {
		// Its Tiller is stopped, or removed.
		f := r.about("tenant "+t.Name, "the tenant is %s", r.Migrating)
		f.Chains = [][]string{{"the record of tenant " + t.Name, "annotation " + tenant.AnnotationMigration}}
		f.Fix, f.Or = r.endMigration(), r.abortMigration()
		a.add(idDrift, "", f)
		return
	}
	for _, actor := range actorsOf(t.Engine) {
		if d := a.homes[r.Namespace][actor.account]; d != nil && d.record == r && d.tiller != nil {
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
			continue // driftOfNamespaces reports the namespace
		}
		a.driftOfBindings(r, t, ns, drift)
	}
}

// sameSubjects reports whether a binding has the wanted subjects and no others, except
// those that a finding has reported already.
func (a *auditor) sameSubjects(r *Record, b *Binding, wanted []rbacv1.Subject) bool {
	want := tenant.SubjectsOf(wanted, b.Namespace)
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
	compare := func(wanted *corev1.Namespace) {
		live := a.namespaces[wanted.Name]
		object := "namespace " + wanted.Name
		if live == nil {
			drift(object, r.init("--create-namespaces"), "namespace %s does not exist", wanted.Name)
			return
		}
		fields := slices.Concat(
			difference.Entries("metadata.labels", wanted.Labels, live.Labels),
			difference.Entries("metadata.annotations", wanted.Annotations, live.Annotations))
		if len(fields) > 0 {
			drift(object, r.init(), "namespace %s differs: %s", wanted.Name, shortened(difference.Paths(fields)))
		}
	}
	compare(install.Home(t, true, false))
	if t.AllNamespaces {
		return
	}
	for _, ns := range t.Namespaces {
		wanted := install.Namespace(t, ns, false)
		// A shared namespace has the label of one of its tenants.
		if live := a.namespaces[ns]; live != nil && live.Labels[tenant.LabelTenant] != t.Name && a.claims(live.Labels[tenant.LabelTenant], ns) {
			continue
		}
		compare(wanted)
	}
	for _, ns := range a.labelled[t.Name] {
		if ns.Name != r.Namespace && !slices.Contains(t.Namespaces, ns.Name) && ns.Annotations[tenant.AnnotationHome] == r.Namespace {
			drift("namespace "+ns.Name, r.init("--prune"), "namespace %s carries the tenant's label and is none of its namespaces", ns.Name)
		}
	}
}

// claims reports whether the record of the named tenant has the namespace.
func (a *auditor) claims(name, ns string) bool {
	return slices.ContainsFunc(a.snapshot.Records, func(r Record) bool { return r.Tenant.Name == name && slices.Contains(r.Tenant.Namespaces, ns) })
}

// driftOfTiller compares the Tiller's Deployment with the one that init writes for the
// tenant. A Tiller of another version is no drift.
func (a *auditor) driftOfTiller(r *Record, d *deployer, drift driftFunc) {
	object := objectName(d.tiller.Kind, r.Namespace, d.tiller.Name)
	t := r.Tenant
	if t.Tiller.Version == "" {
		t.Tiller.Version = d.version
	}
	deployment := install.Deployment(t)
	if a.snapshot.Server.NoSeccompProfile {
		install.AnnotateSeccomp(deployment)
	}
	wanted, live := deployment.Spec, d.tiller.Deployment.DeepCopy()
	if live == nil {
		drift(object, r.init(), "Tiller is a %s, not the Deployment %s", d.tiller.Kind, install.DeploymentName)
		return
	}
	for reported := range a.reported {
		if reported.home == r.Namespace && reported.object == object {
			leaveOut(reported.part, &live.Template.Spec, &wanted.Template.Spec)
		}
	}
	fields, err := difference.Typed("spec", &wanted, live)
	switch {
	case err != nil:
		drift(object, r.init(), "Tiller's Deployment can't be compared: %v", err)
	case len(fields) > 0:
		drift(object, r.init(), "Tiller's Deployment differs: %s", shortened(difference.Paths(fields)))
	}
}

func (a *auditor) driftOfBindings(r *Record, t tenant.Tenant, ns string, drift driftFunc) {
	var names []string
	for _, wanted := range rbac.DeployerBindings(t, ns) {
		names = append(names, wanted.Name)
		name := objectName("RoleBinding", ns, wanted.Name)
		index := slices.IndexFunc(a.rights.bindings[ns], func(b *Binding) bool { return b.Name == wanted.Name })
		switch {
		case index < 0:
			drift(name, r.init(), "the deployer's binding is missing from namespace %s", ns)
		case !a.sameSubjects(r, a.rights.bindings[ns][index], wanted.Subjects) || a.rights.bindings[ns][index].RoleName != wanted.RoleRef.Name:
			drift(name, r.init(), "the deployer's binding in namespace %s is another than it should be", ns)
		case a.rights.roleOf(a.rights.bindings[ns][index]) == nil:
			drift("ClusterRole "+wanted.RoleRef.Name, r.init(), "the deployer's ClusterRole %s does not exist", wanted.RoleRef.Name)
		}
	}
	for _, wanted := range rbac.ReaderBindings(t, ns) {
		if !slices.ContainsFunc(a.rights.bindings[ns], func(b *Binding) bool { return b.Name == wanted.Name && a.isReadersOwn(b) }) {
			drift(objectName("RoleBinding", ns, wanted.Name), r.init(), "the binding %s of the readers' account is missing from namespace %s, or another than it should be", wanted.Name, ns)
		}
	}
	for _, b := range a.rights.bindings[ns] {
		for _, actor := range actorsOf(t.Engine) {
			if !slices.Contains(names, b.Name) && slices.Contains(b.Subjects, Account(r.Namespace, actor.account)) && !a.wasReported(r, b.String(), Account(r.Namespace, actor.account).String()) {
				drift(b.String(), a.takeAway(b, Account(r.Namespace, actor.account)), "the deployer has %s in namespace %s, too", b.Role(), ns)
			}
		}
	}
}
