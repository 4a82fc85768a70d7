package cli

import (
	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// destruction is what a destroy did or would do, for machine output.
type destruction struct {
	APIVersion    string `json:"apiVersion"`
	Kind          string `json:"kind"`
	Tenant        string `json:"tenant"`
	HomeNamespace string `json:"homeNamespace"`
	DryRun        bool   `json:"dryRun"`
	// Releases are the tenant's releases.
	Releases []destroyedRelease `json:"releases"`
	// Changes are the changes of objects, in order.
	Changes []diffChange `json:"changes"`
	// Backups are the files with the release records.
	Backups []string `json:"backups"`
	// Left are the objects of deleted releases that helm left.
	Left  []string `json:"left"`
	Notes []string `json:"notes"`
}

type destroyedRelease struct {
	Name      string        `json:"name"`
	Namespace string        `json:"namespace"`
	Engine    tenant.Engine `json:"engine"`
	// Deleted reports whether helm deletes the release's objects; otherwise they stay.
	Deleted bool `json:"deleted"`
}

// destructionOf returns a destroy for machine output. made are the changes that were
// made, or the planned ones for a dry run.
func destructionOf(removal *admin.Removal, o *destroyOptions, changes []cluster.Change, left []string) destruction {
	d := destruction{APIVersion: tenant.APIVersion, Kind: "TenantDestruction", Tenant: removal.Name, HomeNamespace: removal.Home, DryRun: o.dryRun,
		Changes: diffChanges(&cluster.Plan{Changes: changes}), Backups: removal.Backups, Left: left, Notes: shown(removal.Prepared.Notes)}
	for _, r := range removal.Living() {
		d.Releases = append(d.Releases, destroyedRelease{r.Name, r.Namespace, r.Engine, o.deleteReleases})
	}
	return d
}

func (s *session) printDestruction(removal *admin.Removal, o *destroyOptions, changes []cluster.Change, left []string) error {
	switch {
	case o.output == "name":
		s.printTenantName(removal.Name)
	case o.output != "text" && o.output != "":
		return printObject(s.out(), o.output, destructionOf(removal, o, changes, left))
	case o.dryRun:
		s.previewDestroy(removal, o)
	default:
		visible.Fprintf(o.narration(s), "tenant %s is gone\n", removal.Name)
	}
	return nil
}

func (s *session) previewDestroy(removal *admin.Removal, o *destroyOptions) {
	s.previewReleases(removal, o)
	for _, change := range removal.Prepared.Plan.Changes {
		visible.Fprintf(s.out(), "would be %s: %s\n", pastTense[change.Action], change.Key)
	}
}

func (s *session) previewReleases(removal *admin.Removal, o *destroyOptions) {
	if o.keepReleases {
		s.sayWhatStays(removal)
		return
	}
	for _, release := range removal.Living() {
		s.say("release %s in namespace %s would be deleted", release.Name, release.Namespace)
	}
}

// sayWhatStays names the objects that --keep-releases leaves, and who can still manage them.
func (s *session) sayWhatStays(removal *admin.Removal) {
	for _, release := range removal.Living() {
		if release.Engine == tenant.EngineImpersonation {
			s.say("Note: release %s in namespace %s stays, for whoever has rights in that namespace", release.Name, release.Namespace)
			continue
		}
		s.say("Note: what release %s made in namespace %s stays, managed by no helm", release.Name, release.Namespace)
	}
	if len(removal.Records) > 0 && !removal.HomeGoes {
		s.say("Note: the release records stay in namespace %s, which is not ours to delete", removal.Home)
	}
}
