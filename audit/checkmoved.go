package audit

import (
	"helm-tenant/command"
	"helm-tenant/tenant"
)

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
