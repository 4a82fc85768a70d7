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
	corev1 "k8s.io/api/core/v1"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/command"
	"helm-tenant/release"
)

// Stored is a record of a Tiller's.
type Stored struct {
	// Object is the record's own name.
	Object  string
	Release *release2.Release
	// Problem is why it can't be read; there is no Release then.
	Problem error
}

// Revision is one that moves: as Helm 3 has it, and the Secret in which it keeps it.
type Revision struct {
	*release3.Release
	Secret *corev1.Secret
}

// Release is one that moves.
type Release struct {
	Name, Namespace string
	// Revisions are sorted, the newest last.
	Revisions []Revision
	// Status is that of the newest, as Helm 2 calls it.
	Status string
	// Notes say what is lost or needs a hand.
	Notes []string
}

// Newest is the last revision.
func (r Release) Newest() Revision { return r.Revisions[len(r.Revisions)-1] }

// current is the revision that Helm 3 takes for what is there when it upgrades: see
// currentOf.
func (r Release) current() Revision {
	for _, revision := range slices.Backward(r.Revisions) {
		if revision.Info.Status == release3.StatusDeployed {
			return revision
		}
	}
	return r.Newest()
}

// currentOf is the revision of a Tiller's release that Helm 3 will compare with when it
// upgrades (helm.sh/helm/v3/pkg/action, Upgrade): the last that was deployed, else the
// last. revisions are sorted.
func currentOf(revisions []*release2.Release) *release2.Release {
	for _, revision := range slices.Backward(revisions) {
		if revision.GetInfo().GetStatus().GetCode() == release2.Status_DEPLOYED {
			return revision
		}
	}
	return revisions[len(revisions)-1]
}

// validName is a name that Helm 3 takes (helm.sh/helm/v3/pkg/chartutil,
// ValidateReleaseName). It is compiled when there is something to move: the wrapper's
// start should not pay for it.
var validName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
})

const maxName = 53

// Releases converts all that a Tiller has, and returns everything that keeps it from
// moving, one clear line each. may says whether the tenant has a namespace. keep bounds how
// many revisions of each release move, the newest ones; 0 is no bound.
//
// Of a release whose newest revision was deployed, failed, superseded or deleted all
// revisions move, those too that an interrupted helm left pending among them: Helm 3
// asks for the status of the newest only. Where the newest is pending or unknown,
// nobody can tell what is in the cluster, and Helm 3 would not touch the release. An older
// revision that can't be converted, or that is too large for Helm 3, stays behind with a
// note: only a rollback to it would need it.
func Releases(stored []Stored, keep int, may func(namespace string) bool) ([]Release, []error) {
	var problems []error
	byName := map[string][]*release2.Release{}
	for _, record := range stored {
		old := record.Release
		if record.Problem != nil {
			problems = append(problems, record.Problem)
			continue
		}
		if want := fmt.Sprintf("%s.v%d", old.GetName(), old.GetVersion()); record.Object != want {
			problems = append(problems, fmt.Errorf("record %s holds %s, which no Tiller writes: remove it", record.Object, want))
			continue
		}
		byName[old.GetName()] = append(byName[old.GetName()], old)
	}
	var releases []Release
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		revisions := byName[name]
		slices.SortFunc(revisions, func(a, b *release2.Release) int { return cmp.Compare(a.GetVersion(), b.GetVersion()) })
		r, wrong := move(name, revisions, keep, may)
		problems = append(problems, wrong...)
		if len(wrong) == 0 {
			releases = append(releases, r)
		}
	}
	return releases, problems
}

// move converts a release; revisions are sorted.
func move(name string, revisions []*release2.Release, keep int, may func(string) bool) (Release, []error) {
	newest := revisions[len(revisions)-1]
	r := Release{Name: name, Namespace: newest.GetNamespace(), Status: newest.GetInfo().GetStatus().GetCode().String()}
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(name) > maxName || !validName().MatchString(name) {
		wrong("release %q has a name that Helm 3 does not take", name)
	}
	if !may(r.Namespace) {
		wrong("release %s is in namespace %q, which is not the tenant's: give it to the tenant with init, or %s", name, r.Namespace, orDelete("delete the release", name))
	}
	if what := stuck(revisions); what != "" {
		wrong("release %s, revision %d, is %s: %s", name, newest.GetVersion(), r.Status, what)
	}
	moving := r.chooseMoving(revisions, keep)
	current := currentOf(moving)
	for _, old := range moving {
		converted, err := Convert(old)
		var secret *corev1.Secret
		if err == nil {
			secret, err = release.Secret(converted)
		}
		switch _, tooLarge := errors.AsType[*release.TooLargeError](err); {
		case err == nil:
			r.Revisions = append(r.Revisions, Revision{converted, secret})
		case old != newest && old != current:
			r.note("revision %d does not move: %v", old.GetVersion(), err)
		case tooLarge:
			wrong("release %s, revision %d, is too large: %w; take large files out of the chart and upgrade the release under Helm 2, or %s", name, old.GetVersion(), err, orDelete("delete it", name))
		default:
			wrong("release %s, revision %d, can't be converted: %w", name, old.GetVersion(), err)
		}
	}
	r.noteHooks(moving)
	return r, problems
}

// chooseMoving returns the revisions that move, and notes which do not: those that were in
// another namespace, and those that are older than the newest keep. The one that Helm 3
// compares with when it upgrades moves in any case.
func (r *Release) chooseMoving(revisions []*release2.Release, keep int) []*release2.Release {
	var here []*release2.Release
	for _, old := range revisions {
		// A release that was deleted can be installed anew elsewhere, by
		// `install --replace`; Helm 3 keeps a release in one namespace.
		if old.GetNamespace() != r.Namespace {
			r.note("revision %d was in namespace %s and does not move", old.GetVersion(), old.GetNamespace())
			continue
		}
		here = append(here, old)
	}
	if keep == 0 || len(here) <= keep {
		return here
	}
	older, moving := here[:len(here)-keep], here[len(here)-keep:]
	if current := currentOf(here); slices.Contains(older, current) {
		older = slices.DeleteFunc(slices.Clone(older), func(old *release2.Release) bool { return old == current })
		moving = slices.Insert(slices.Clone(moving), 0, current)
	}
	switch len(older) {
	case 0:
	case 1:
		r.note("revision %d does not move", older[0].GetVersion())
	default:
		r.note("%d older revisions do not move", len(older))
	}
	return moving
}

// noteHooks notes the hooks for events that Helm 3 does not know, which it does not get.
func (r *Release) noteHooks(revisions []*release2.Release) {
	type hook struct{ event, name string }
	dropped := map[hook]bool{}
	for _, old := range revisions {
		for _, h := range old.GetHooks() {
			for _, event := range h.GetEvents() {
				if _, known := events[event]; !known {
					dropped[hook{strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(event.String(), "RELEASE_")), "_", "-"), h.GetName()}] = true
				}
			}
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

// stuck says what to do about a newest revision that nobody finished, empty where
// there is nothing to do.
func stuck(revisions []*release2.Release) string {
	newest := revisions[len(revisions)-1]
	code := newest.GetInfo().GetStatus().GetCode()
	if code == release2.Status_DELETING {
		return orDelete("delete it again", newest.GetName())
	}
	switch code {
	case release2.Status_DEPLOYED, release2.Status_DELETED, release2.Status_SUPERSEDED, release2.Status_FAILED:
		return ""
	}
	for _, old := range slices.Backward(revisions) {
		if old.GetInfo().GetStatus().GetCode() == release2.Status_DEPLOYED {
			return "wait for the helm that works on it, or go back" + with(command.Release("", newest.GetName(), []string{"rollback"}, strconv.Itoa(int(old.GetVersion()))))
		}
	}
	return "wait for the helm that works on it, or " + orDelete("delete it", newest.GetName())
}

// orDelete says to delete a release, and by which command.
func orDelete(what, release string) string {
	return what + with(command.Release("", release, []string{"delete", "--purge"}))
}

// with is " with COMMAND", empty where there is none: a record can carry a name that no
// helm takes.
func with(c command.Command) string {
	if c == nil {
		return ""
	}
	return " with " + command.Run(c).String()
}

// Resource is an object in a manifest.
type Resource struct {
	APIVersion, Kind, Name string
}

// APIVersions are those of the objects in all revisions that move.
func (r Release) APIVersions() []string {
	versions := map[string]bool{}
	for _, revision := range r.Revisions {
		for _, object := range Objects(revision.Manifest) {
			versions[object.APIVersion] = true
		}
	}
	return slices.Sorted(maps.Keys(versions))
}

// NoteUnserved notes which objects the API server does not serve any more. Helm 3 reads the
// manifest of the current revision before it upgrades, and that of the older one to which
// it rolls back, and fails where one of the kinds is not served.
func (r *Release) NoteUnserved(serves func(Resource) bool) {
	current, goes := r.current(), r.Newest().Info.Status != release3.StatusUninstalled
	for _, resource := range unserved(current.Manifest, serves) {
		if goes {
			r.note("%s %s is of %s, which this API server does not serve: Helm 3 can't upgrade the release before helm mapkubeapis %s", resource.Kind, resource.Name, resource.APIVersion, r.Name)
		}
	}
	revisions := map[string][]string{}
	for _, revision := range r.Revisions {
		if goes && revision.Version == current.Version {
			continue
		}
		found := map[string]bool{}
		for _, resource := range unserved(revision.Manifest, serves) {
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

// NoteOutside notes the objects of the current revision that are in no namespace, or in
// none of the tenant's: its deployer can neither upgrade nor delete them.
func (r *Release) NoteOutside(namespaces []string, clusterScoped func(Resource) bool) {
	if r.Newest().Info.Status == release3.StatusUninstalled {
		return
	}
	var names []string
	for _, object := range Objects(r.current().Manifest) {
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

// unserved are the objects of a manifest that the API server does not serve.
func unserved(manifest string, serves func(Resource) bool) []Resource {
	var resources []Resource
	for _, object := range Objects(manifest) {
		if !serves(object.Resource) {
			resources = append(resources, object.Resource)
		}
	}
	return resources
}
