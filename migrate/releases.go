package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	release3 "helm.sh/helm/v3/pkg/release"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/command"
	"helm-tenant/release"
)

// Release is a release that moves.
type Release struct {
	Name, Namespace string
	// Revisions are sorted, the newest last.
	Revisions []Revision
	// Status is the status of the newest revision, as Helm 2 spells it.
	Status string
	// Notes describe what is lost or needs manual work.
	Notes []string
}

// Newest returns the last revision.
func (r Release) Newest() Revision { return r.Revisions[len(r.Revisions)-1] }

// current returns the revision with which Helm 3 compares at an upgrade: see currentOf.
func (r Release) current() Revision {
	for _, revision := range slices.Backward(r.Revisions) {
		if revision.Status == release3.StatusDeployed {
			return revision
		}
	}
	return r.Newest()
}

// currentOf returns the revision of a Tiller's release with which Helm 3 will compare at
// an upgrade (helm.sh/helm/v3/pkg/action, Upgrade): the last deployed one, otherwise the
// last one. revisions are sorted.
func currentOf(revisions []Stored) Stored {
	for _, revision := range slices.Backward(revisions) {
		if revision.status == release2.Status_DEPLOYED {
			return revision
		}
	}
	return revisions[len(revisions)-1]
}

// validName matches names that Helm 3 accepts (helm.sh/helm/v3/pkg/chartutil,
// ValidateReleaseName). It is compiled when there is something to move, so that it does
// not slow down the start of the wrapper.
var validName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
})

const maxName = 53

// Releases decides which of a Tiller's releases and revisions move, and returns all problems
// that prevent it, a line each. allowed reports whether the tenant has a namespace. keep limits the
// revisions of each release that move to the newest ones; 0 means no limit.
//
// If the newest revision of a release is deployed, failed, superseded or deleted, all revisions
// move, including those that an interrupted helm left pending: Helm 3 reads the status of the
// newest only. If the newest is pending or unknown, the state in the cluster is not known, and
// Helm 3 would refuse to change the release. An older revision that can't be converted, or that
// is too large for Helm 3, is left out with a note: only a rollback to it would need it.
func Releases(stored []Stored, keep int, allowed func(namespace string) bool) ([]Release, []error) {
	return ReleasesOf("", stored, keep, allowed)
}

// ReleasesOf is Releases for the Tiller in a namespace that belongs to no tenant: problems
// name commands for that one.
func ReleasesOf(tiller string, stored []Stored, keep int, allowed func(namespace string) bool) ([]Release, []error) {
	var problems []error
	byName := map[string][]Stored{}
	for _, record := range stored {
		if record.problem != nil {
			problems = append(problems, record.problem)
			continue
		}
		if want := fmt.Sprintf("%s.v%d", record.name, record.version); record.object != want {
			problems = append(problems, fmt.Errorf("record %s holds %s, which no Tiller writes: remove it", record.object, want))
			continue
		}
		byName[record.name] = append(byName[record.name], record)
	}
	var releases []Release
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		revisions := byName[name]
		slices.SortFunc(revisions, func(a, b Stored) int { return cmp.Compare(a.version, b.version) })
		r, wrong := move(remedies{tiller}, name, revisions, keep, allowed)
		problems = append(problems, wrong...)
		if len(wrong) == 0 {
			releases = append(releases, r)
		}
	}
	return releases, problems
}

// move decides what moves of a release; revisions are sorted.
func move(remedy remedies, name string, revisions []Stored, keep int, allowed func(string) bool) (Release, []error) {
	newest := revisions[len(revisions)-1]
	r := Release{Name: name, Namespace: newest.namespace, Status: newest.status.String()}
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(name) > maxName || !validName().MatchString(name) {
		wrong("release %q has a name that Helm 3 does not take", name)
	}
	if !allowed(r.Namespace) {
		wrong("release %s is in namespace %q, which is not the tenant's: give it to the tenant with init, or %s", name, r.Namespace, remedy.delete("delete the release", name))
	}
	if problem := remedy.unfinished(revisions); problem != "" {
		wrong("release %s, revision %d, is %s: %s", name, newest.version, r.Status, problem)
	}
	moving := r.chooseMoving(revisions, keep)
	current := currentOf(moving)
	for _, old := range moving {
		err := old.failure
		switch _, tooLarge := errors.AsType[*release.TooLargeError](err); {
		case err == nil:
			r.Revisions = append(r.Revisions, old.revision)
		case old.version != newest.version && old.version != current.version:
			r.note("revision %d does not move: %v", old.version, err)
		case tooLarge:
			wrong("release %s, revision %d, is too large: %w; take large files out of the chart and upgrade the release under Helm 2, or %s", name, old.version, err, remedy.delete("delete it", name))
		default:
			wrong("release %s, revision %d, can't be converted: %w", name, old.version, err)
		}
	}
	r.noteHooks(moving)
	return r, problems
}

// chooseMoving returns the revisions that move, and notes the others: those in another
// namespace, and those older than the newest keep. The one with which Helm 3 compares at
// an upgrade always moves.
func (r *Release) chooseMoving(revisions []Stored, keep int) []Stored {
	var local []Stored
	for _, old := range revisions {
		// A deleted release can be installed again in another namespace by `install
		// --replace`; Helm 3 keeps a release in one namespace.
		if old.namespace != r.Namespace {
			r.note("revision %d was in namespace %s and does not move", old.version, old.namespace)
			continue
		}
		local = append(local, old)
	}
	if keep == 0 || len(local) <= keep {
		return local
	}
	older, moving := local[:len(local)-keep], local[len(local)-keep:]
	current := currentOf(local)
	isCurrent := func(old Stored) bool { return old.version == current.version }
	if slices.ContainsFunc(older, isCurrent) {
		older = slices.DeleteFunc(slices.Clone(older), isCurrent)
		moving = slices.Insert(slices.Clone(moving), 0, current)
	}
	switch len(older) {
	case 0:
	case 1:
		r.note("revision %d does not move", older[0].version)
	default:
		r.note("%d older revisions do not move", len(older))
	}
	return moving
}

// noteHooks notes the hooks for events that Helm 3 does not know, which are dropped.
func (r *Release) noteHooks(revisions []Stored) {
	dropped := map[hook]bool{}
	for _, old := range revisions {
		for _, h := range old.dropped {
			dropped[h] = true
		}
	}
	for _, h := range slices.SortedFunc(maps.Keys(dropped), func(a, b hook) int { return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.name, b.name)) }) {
		stays := ""
		if h.event == "crd-install" {
			stays = ": what it made stays, and helm leaves it alone"
		}
		r.note("Helm 3 has no %s hook %s%s", h.event, h.name, stays)
	}
}

func (r *Release) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// remedies are what to do about releases that can't move, with commands for the tenant's Tiller,
// or for the one in the namespace tiller.
type remedies struct{ tiller string }

// unfinished returns what to do about an unfinished newest revision, empty if there is nothing
// to do.
func (r remedies) unfinished(revisions []Stored) string {
	newest := revisions[len(revisions)-1]
	if newest.status == release2.Status_DELETING {
		return r.delete("delete it again", newest.name)
	}
	switch newest.status {
	case release2.Status_DEPLOYED, release2.Status_DELETED, release2.Status_SUPERSEDED, release2.Status_FAILED:
		return ""
	}
	for _, old := range slices.Backward(revisions) {
		if old.status == release2.Status_DEPLOYED {
			return "wait for the helm that works on it, or go back" + suffix(r.command(newest.name, []string{"rollback"}, strconv.Itoa(int(old.version))))
		}
	}
	return "wait for the helm that works on it, or " + r.delete("delete it", newest.name)
}

// delete returns the advice, and command, to delete a release.
func (r remedies) delete(what, release string) string {
	return what + suffix(r.command(release, []string{"delete", "--purge"}))
}

func (r remedies) command(release string, verb []string, rest ...string) command.Command {
	if r.tiller != "" {
		return command.TillerRelease(r.tiller, release, verb, rest...)
	}
	return command.Release("", release, verb, rest...)
}

// suffix returns " with COMMAND", empty without a command: a record can contain a name that
// no helm accepts.
func suffix(c command.Command) string {
	if c == nil {
		return ""
	}
	return " with " + command.Run(c).String()
}

// Resource identifies an object in a manifest.
type Resource struct {
	APIVersion, Kind, Name string
}

// NoteUnserved notes the objects that the API server no longer serves. Helm 3 reads the
// manifest of the current revision before an upgrade, and that of the older one at a
// rollback, and fails if one of the kinds is not served.
func (r *Release) NoteUnserved(serves func(Resource) bool) {
	current, goes := r.current(), r.Newest().Status != release3.StatusUninstalled
	for _, resource := range unserved(current.objects, serves) {
		if goes {
			r.note("%s %s is of %s, which this API server does not serve: Helm 3 can't upgrade the release before the Helm plugin mapkubeapis has changed its record", resource.Kind, resource.Name, resource.APIVersion)
		}
	}
	revisions := map[string][]string{}
	for _, revision := range r.Revisions {
		if goes && revision.Version == current.Version {
			continue
		}
		found := map[string]bool{}
		for _, resource := range unserved(revision.objects, serves) {
			kind := resource.Kind + " of " + resource.APIVersion
			if !found[kind] {
				found[kind] = true
				revisions[kind] = append(revisions[kind], strconv.Itoa(revision.Version))
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(revisions)) {
		r.note("Helm 3 can't roll back to revision %s, which has a %s: this API server does not serve it", strings.Join(revisions[kind], ", "), kind)
	}
}

// NoteOutside notes the objects of the current revision that are cluster-scoped, or in a
// namespace that is not the tenant's: its deployer can neither upgrade nor delete them.
func (r *Release) NoteOutside(namespaces []string, clusterScoped func(Resource) bool) {
	if r.Newest().Status == release3.StatusUninstalled {
		return
	}
	var names []string
	for _, object := range r.current().objects {
		if clusterScoped(object.Resource) {
			object.Namespace = ""
		} else {
			object.Namespace = cmp.Or(object.Namespace, r.Namespace)
		}
		if !slices.Contains(namespaces, object.Namespace) {
			names = append(names, object.String())
		}
	}
	if len(names) > 0 {
		r.note("outside the tenant's namespaces, so that its deployer can't upgrade or delete it: %s", strings.Join(names, ", "))
	}
}

// unserved returns the objects that the API server does not serve.
func unserved(objects []Object, serves func(Resource) bool) []Resource {
	var resources []Resource
	for _, object := range objects {
		if !serves(object.Resource) {
			resources = append(resources, object.Resource)
		}
	}
	return resources
}
