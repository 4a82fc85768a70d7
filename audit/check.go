package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/version"

	"helm-tenant/command"
	"helm-tenant/lists"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

func (a *auditor) check() {
	for _, d := range a.deployers {
		a.checkTiller(d)
		a.checkPower(d)
		if d.isTenants() {
			a.checkPods(d)
			a.checkPlaced(d)
		}
		switch {
		case d.orphan != "":
			a.checkOrphan(d)
			continue
		case d.record == nil:
			a.checkUnmanaged(d)
			continue
		}
		a.checkAccess(d)
		a.checkHome(d)
	}
	for r := range a.records() {
		a.checkMembers(r)
		a.checkReaders(r)
		a.checkOwners(r)
		a.checkNamespaces(r)
		a.checkDrift(r)
		a.checkRails(r)
		a.checkFrozen(r)
		a.checkRefused(r)
	}
	a.checkPodSecurity()
	a.checkTerms()
	a.checkRoles()
	a.checkWide()
	a.checkIdentityMap()
	a.checkLenders()
	a.checkDefinitions()
	a.checkNodes()
	a.checkKubelets()
	a.checkMakesHomes()
	a.checkNamespaceWriters()
	a.checkWebhooks()
	a.checkApply()
	a.checkGuard()
	a.checkVolumes()
	a.checkTwoRecords()
	a.checkTwoTenants()
	a.checkSharedNamespaces()
	a.checkReleases()
	a.checkMoved()
	a.checkAdmission()
	a.checkFile()
}

func (d *deployer) about(subject, text string, arguments ...any) Finding {
	f := Finding{Home: d.target.Home, Subject: subject, Text: fmt.Sprintf(text, arguments...)}
	if d.tenant() != "" {
		f.Tenants = []string{d.tenant()}
	}
	return f
}

func (r *Record) about(subject, text string, arguments ...any) Finding {
	return Finding{Tenants: []string{r.Tenant.Name}, Home: r.Namespace, Subject: subject, Text: fmt.Sprintf(text, arguments...)}
}

func (a *auditor) checkUnmanaged(d *deployer) {
	var subjects []string
	for _, access := range d.access {
		if access.who != d.account {
			subjects = append(subjects, access.Subject)
		}
	}
	f := d.about(d.account.String(), "%s %s runs with the account %s and belongs to no tenant", d.tiller.Kind, d.tiller.Name, d.account.Name)
	if !d.power.Admin && len(d.power.ClusterWide) > 0 {
		roles := lists.Map(d.power.ClusterWide, func(in PowerIn) string { return in.Role })
		f.Text += "; it has " + shortened(roles) + " in the whole cluster"
	}
	if len(subjects) > 0 {
		f.Text += "; it can be reached by " + shortened(subjects)
	}
	f.Chains = [][]string{{d.tiller.Kind + " " + d.tiller.Name, d.account.String()}}
	f.Fix = a.repair(d)
	if r := a.ownerOf(d.target.Home); r != nil {
		f.Tenants = []string{r.Tenant.Name}
		f.Text += fmt.Sprintf("; namespace %s is one of tenant %s, whose members can make it look so", d.target.Home, r.Tenant.Name)
	}
	a.add(idUnmanaged, a.atMost(d, High), f)
}

// checkTiller looks at the Tiller itself, managed or not.
func (a *auditor) checkTiller(d *deployer) {
	if d.tiller == nil {
		return
	}
	workload := objectName(d.tiller.Kind, d.target.Home, d.tiller.Name)
	fix := a.repair(d)
	if n := d.network; n.listens {
		f := d.about(workload, "Tiller listens on its pod's address, and no NetworkPolicy holds anybody off")
		severity := Critical
		f.Chains = [][]string{{"any pod of the cluster", workload, n.listener.String()}}
		switch {
		case n.closed && !n.byService(): // a port of the node leads to the pod, where the policy holds
			severity = Medium
			f.Text = fmt.Sprintf("Tiller listens on its pod's address; only the NetworkPolicy %s holds others off, where the network enforces it", strings.Join(n.policies, ", "))
		case len(n.services) > 0:
			f.Text = "Tiller listens on its pod's address, and a Service leads there from outside the cluster"
			if !n.byService() {
				f.Text = "Tiller listens on a port of its node, and whoever reaches the node can connect"
			}
			f.Chains = [][]string{{"anybody who reaches a node", n.services[0], workload, n.listener.String()}}
		case n.partly:
			severity = High
			f.Text = fmt.Sprintf("Tiller listens on its pod's address, and the NetworkPolicy %s lets some in", strings.Join(n.policies, ", "))
		}
		f.Fix = fix
		a.add(idOpen, a.atMost(d, severity), f)
		a.markReported(d.record, workload, partListen)
	}
	if isOld(d.version) {
		f := d.about(workload, "Tiller is %s", d.version)
		f.Chains = [][]string{{workload, "image " + recognise.Container(d.tiller.Template.Spec).Image}}
		f.Fix = fix
		if d.record != nil {
			f.Fix = command.Run(command.Tenant("init", d.tenant(), "--tiller-version=v2.17.0"))
		}
		a.add(idOld, "", f)
	}
}

// isOld reports whether the version is older than the last one of Helm 2; false for a text that
// is not a version.
func isOld(text string) bool {
	v, err := version.ParseSemantic(text)
	return err == nil && v.LessThan(version.MustParseSemantic("2.17.0"))
}

// reportedPart is the subject of a finding: the part of an object that differs from the record
// of the tenant with that home. The finding does not cover other parts of the object.
type reportedPart struct{ home, object, part string }

// moreRules is the part of a role that holds more than it should.
const moreRules = "more rules"

// markReported stores what a finding reported, so that it is not reported again as drift.
func (a *auditor) markReported(r *Record, object, part string) {
	if r != nil {
		a.reported[reportedPart{r.Namespace, object, part}] = true
	}
}

func (a *auditor) wasReported(r *Record, object, part string) bool {
	return a.reported[reportedPart{r.Namespace, object, part}]
}

// markGrantReported stores that a finding reported what a binding grants to a subject.
func (a *auditor) markGrantReported(r *Record, g grant) {
	if g.binding != nil {
		a.markReported(r, g.binding.String(), g.to.String())
	}
}

func (a *auditor) checkSharedNamespaces() {
	claims := map[string][]*Record{}
	for r := range a.records() {
		if r.Tenant.AllNamespaces {
			continue
		}
		for _, ns := range r.Tenant.Namespaces {
			claims[ns] = append(claims[ns], r)
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(claims)) {
		if len(claims[ns]) < 2 {
			continue
		}
		var in []string
		f := Finding{Subject: "namespace " + ns}
		for _, r := range claims[ns] {
			in = append(in, r.Tenant.Name)
			f.Chains = append(f.Chains, []string{"tenant " + r.Tenant.Name, objectName("RoleBinding", ns, rbac.DeployerBinding(r.Tenant.Name, r.Tenant.Role)), "namespace " + ns})
		}
		slices.Sort(in)
		f.Tenants, f.Text = in, fmt.Sprintf("namespace %s belongs to the tenants %s", ns, shortened(in))
		f.Fix = command.Run(command.Tenant("init", in[len(in)-1], "--namespaces=NS", "--prune")).With("put all its namespaces but the shared one in place of NS")
		a.add(idSharedNamespace, "", f)
	}
}

func (a *auditor) checkReleases() {
	for _, release := range a.snapshot.Releases {
		for _, d := range a.homes[release.Home] {
			if release.Problem != "" && d.isTenants() {
				a.reportUnreadable(d, release)
				break
			}
			if d.record != nil && !d.record.Tenant.AllNamespaces && len(release.ClusterObjects) > 0 && d.target.Engine == tenant.EngineTiller {
				a.reportClusterObjects(d, release)
			}
			if d.record == nil || d.record.Problem != "" || d.record.Tenant.AllNamespaces || release.Problem != "" || slices.Contains(d.record.Tenant.Namespaces, release.Namespace) {
				continue
			}
			verb, severity := "lives in", Severity("")
			if release.Tried {
				verb, severity = "failed to be installed in", Low
			}
			f := d.about("release "+release.Name, "release %s %s namespace %s, which is none of the tenant's", release.Name, verb, release.Namespace)
			f.Chains = [][]string{{release.Record.String(), "release " + release.Name, "namespace " + release.Namespace}}
			f.Object = "namespace " + release.Namespace
			f.Fix = purge(d.tenant(), release)
			if ns := a.namespaces[release.Namespace]; ns != nil && ns.Labels[tenant.LabelTenant] == "" && !tenant.IsSystemNamespace(ns.Name) && len(validation.IsDNS1123Label(ns.Name)) == 0 {
				f.Fix, f.Or = command.Run(command.Tenant("init", d.tenant(), "--namespaces="+ns.Name)).With("if the tenant should have the namespace"), []command.Fix{f.Fix}
			}
			a.add(idStray, severity, f)
			break
		}
	}
}

// reportUnreadable reports a release whose namespace can't be read from its record.
func (a *auditor) reportUnreadable(d *deployer, release Release) {
	f := d.about(release.Record.short(), "where a release lives is not known: %s", release.Problem)
	f.Chains = [][]string{{release.Record.String()}}
	record := release.Record
	f.Fix = command.Run(command.Kubectl("get", record.Namespace, strings.ToLower(record.Kind), record.Name, "--output=yaml")).With("look at it, and keep a copy")
	f.Or = []command.Fix{deleteObject(record.Namespace, record.Kind, record.Name)}
	a.add(idStray, Low, f)
}

func (a *auditor) checkAdmission() {
	// Only an init of a tenant with a Tiller writes the policy.
	var writer *Record
	for r := range a.records() {
		guarded := !r.Tenant.AllNamespaces && r.Tenant.Engine.Has(tenant.EngineTiller)
		if guarded && (writer == nil || writer.Problem != "" && r.Problem == "") {
			writer = r
		}
	}
	if writer == nil || a.snapshot.Admission == AdmissionInForce || a.snapshot.Admission == AdmissionUnknown {
		return
	}
	f := Finding{Subject: "ValidatingAdmissionPolicy helm-tenant-records", Text: fmt.Sprintf("the admission policy that holds Tillers to their release records is %s", a.snapshot.Admission)}
	f.Fix = writer.init()
	severity := Severity("")
	if a.snapshot.Admission == AdmissionUnserved {
		f.Text = "this API server has no admission policies (Kubernetes 1.30): nothing holds a Tiller to its release records"
		f.Fix = command.Advice("upgrade the API server")
		severity = Low
	}
	a.add(idAdmission, severity, f)
}

// checkMoved finds releases that were migrated from Tiller and whose objects do not name
// their release: an earlier helm-tenant did not set that, or could not change some
// objects.
func (a *auditor) checkMoved() {
	for r := range a.records() {
		if len(r.Moved) == 0 || r.OwnershipSet || r.Migrating != nil || !r.Tenant.Engine.Has(tenant.EngineImpersonation) {
			continue
		}
		first := r.Moved[0]
		f := r.about("release "+first.Name, "%d releases came from Tiller, and it is not known whether their objects name their release", len(r.Moved))
		if len(r.Moved) == 1 {
			f.Text = "a release came from Tiller, and it is not known whether its objects name it"
		}
		f.Chains = [][]string{{"release " + first.Name, "namespace " + first.Namespace}}
		f.Fix = command.Run(command.Tenant("migrate", r.Tenant.Name, "--stamp"))
		a.add(idUnowned, "", f)
	}
}

// reportClusterObjects reports a release with objects that the tenant's deployer can't
// change.
func (a *auditor) reportClusterObjects(d *deployer, release Release) {
	f := d.about("release "+release.Name, "release %s in namespace %s holds objects outside namespaces: %s", release.Name, release.Namespace, shortened(release.ClusterObjects))
	f.Chains = [][]string{{release.Record.String(), "release " + release.Name, release.ClusterObjects[0]}}
	f.Fix = command.Advice("take them out of the chart and upgrade the release, or give it to an ops tenant of all namespaces")
	a.add(idClusterObjects, "", f)
}
