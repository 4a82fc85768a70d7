package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// destruction is what a destroy did or would do, for machine output.
type destruction struct {
	document
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
	d := destruction{document: documentOf("TenantDestruction"), Tenant: removal.Name, HomeNamespace: removal.Home, DryRun: o.dryRun,
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

// deleteReleases has the tenant's own deployer delete its releases with the helm commands
// of deletions. Afterwards it looks whether their objects are deleted, and returns a line
// for each object that should be and is not, unless its namespace is deleted next.
func (s *session) deleteReleases(ctx context.Context, client *cluster.Client, removal *admin.Removal, invocations []helm.Invocation) (left []string, err error) {
	if len(removal.Releases) == 0 {
		return nil, nil
	}
	held, err := removal.ReleaseObjects(ctx, client) // before the records are deleted with the releases
	if err != nil {
		return nil, err
	}
	remaining, err := admin.FindRemaining(ctx, client, held)
	if err != nil {
		return nil, err
	}
	for i, release := range removal.Releases {
		_, warnings, err := helm.CaptureWithWarnings(ctx, invocations[i], 6*time.Minute)
		if err != nil {
			return nil, withHint(fmt.Errorf("release %s can't be deleted: %w", release.Name, err),
				"with --keep-releases the tenant is removed without helm")
		}
		for line := range strings.Lines(warnings) {
			s.say("helm: %s", strings.TrimSpace(line))
		}
		s.say("deleted  release %s", release.Name)
	}
	for _, h := range held {
		if h.Problem != nil {
			left = append(left, fmt.Sprintf("what release %s in namespace %s held is unknown: %v", h.Name, h.Namespace, h.Problem))
		}
	}
	for _, r := range remaining(ctx) {
		if removal.Takes(r.Object.Namespace) {
			continue
		}
		description := fmt.Sprintf("%s of release %s", r.Object, r.Owner.Name)
		switch {
		case r.Problem != nil:
			left = append(left, fmt.Sprintf("%s can't be looked for: %v", description, r.Problem))
		case r.Why != "":
			s.say("Note: %s stays: %s", description, r.Why)
		default:
			left = append(left, description)
		}
	}
	return left, nil
}

// deletions returns the helm commands that delete the tenant's releases. It returns an
// error if this helm can't delete all of them.
func (s *session) deletions(ctx context.Context, k *tenant.Kubeconfig, removal *admin.Removal) ([]helm.Invocation, error) {
	if len(removal.Releases) == 0 {
		return nil, nil
	}
	h, err := s.HelmClient(ctx, false)
	if err != nil {
		return nil, err
	}
	var invocations []helm.Invocation
	for _, release := range removal.Releases {
		if release.Engine != h.Engine() {
			wanted := "a Helm 2.17"
			if release.Engine == tenant.EngineImpersonation {
				wanted = "a Helm 3 or 4"
			}
			return nil, withHint(fmt.Errorf("release %s can't be deleted: it is of %s, and %s is Helm %d", release.Name, helmsFor(release.Engine), h.Path, h.Major),
				hint("set HELM_BIN to "+wanted), "with --keep-releases the tenant is removed without helm")
		}
		line := helm.Line{Command: "delete", Args: []string{"--purge", release.Name}}
		if release.Engine == tenant.EngineImpersonation {
			line = helm.Line{Command: "uninstall", Args: []string{release.Name, "--namespace", release.Namespace}}
		}
		resolved := tenant.Resolved{Name: removal.Name, Home: removal.Home, Engine: release.Engine}
		inv, err := s.tenantHelm(h, line, resolved, k, release.Driver)
		if err != nil {
			return nil, fmt.Errorf("release %s can't be deleted: %w", release.Name, err)
		}
		invocations = append(invocations, inv)
	}
	return invocations, nil
}

type leftObjectsError struct {
	tenant  string
	objects []string
}

func (e *leftObjectsError) Error() string {
	if len(e.objects) == 1 {
		return fmt.Sprintf("tenant %q is gone, but helm left an object of its releases: %s", e.tenant, e.objects[0])
	}
	return fmt.Sprintf("tenant %q is gone, but helm left %d objects of its releases:", e.tenant, len(e.objects))
}

// Details returns the objects, unless the error itself is the only one.
func (e *leftObjectsError) Details() []string {
	if len(e.objects) == 1 {
		return nil
	}
	return e.objects
}
