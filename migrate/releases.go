package migrate

import (
	"bytes"
	"cmp"
	"encoding/json"
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

// current is the revision that Helm 3 takes for what is there when it upgrades
// (helm.sh/helm/v3/pkg/action, Upgrade): the last that was deployed, else the last.
func (r Release) current() Revision {
	for _, revision := range slices.Backward(r.Revisions) {
		if revision.Info.Status == release3.StatusDeployed {
			return revision
		}
	}
	return r.Newest()
}

// validName is a name that Helm 3 takes (helm.sh/helm/v3/pkg/chartutil,
// ValidateReleaseName). It is compiled when there is something to move: the wrapper's
// start should not pay for it.
var validName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
})

const maxName = 53

// Releases converts all that a Tiller has, and returns everything that keeps it from
// moving, one clear line each. may says whether the tenant has a namespace.
//
// Of a release whose newest revision was deployed, failed, superseded or deleted all
// revisions move, those too that an interrupted helm left pending among them: Helm 3
// asks for the status of the newest only. Where the newest is pending or unknown,
// nobody can tell what is in the cluster, and Helm 3 would not touch the release3.
func Releases(stored []Stored, may func(namespace string) bool) ([]Release, []error) {
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
		r, wrong := move(name, revisions, may)
		problems = append(problems, wrong...)
		if len(wrong) == 0 {
			releases = append(releases, r)
		}
	}
	return releases, problems
}

// move converts a release; revisions are sorted.
func move(name string, revisions []*release2.Release, may func(string) bool) (Release, []error) {
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
	type hook struct{ event, name string }
	dropped := map[hook]bool{}
	for _, old := range revisions {
		// A release that was deleted can be installed anew elsewhere, by
		// `install --replace`; Helm 3 keeps a release in one namespace.
		if old.GetNamespace() != r.Namespace {
			r.note("revision %d was in namespace %s and does not move", old.GetVersion(), old.GetNamespace())
			continue
		}
		converted, err := Convert(old)
		var secret *corev1.Secret
		if err == nil {
			secret, err = release.Secret(converted)
		}
		if err != nil {
			wrong("release %s, revision %d, can't be converted: %w", name, old.GetVersion(), err)
			continue
		}
		r.Revisions = append(r.Revisions, Revision{converted, secret})
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
	return r, problems
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

// Resources are the objects of the revision that Helm 3 compares with when it
// upgrades the release3. It reads that manifest before anything else, and fails where
// the API server does not serve one of them any more.
func (r Release) Resources() []Resource {
	var resources []Resource
	for _, object := range Objects(r.current().Manifest) {
		resources = append(resources, object.Resource)
	}
	return resources
}

// NoteUnserved notes which of its objects the API server does not serve any more.
func (r *Release) NoteUnserved(serves func(Resource) bool) {
	if r.Newest().Info.Status == release3.StatusUninstalled {
		return
	}
	for _, resource := range r.Resources() {
		if !serves(resource) {
			r.note("%s %s is of %s, which this API server does not serve: Helm 3 can't upgrade the release before helm mapkubeapis %s", resource.Kind, resource.Name, resource.APIVersion, r.Name)
		}
	}
}

// Standing is what Helm 3 has of a release that moves.
type Standing struct {
	// Missing are revisions that it has not.
	Missing []Revision
	// Changed are those that it wrote to since, Later those that it made.
	Changed, Later []int
	// Ours are the names of all Secrets that belong to the release: the later ones
	// first, since by the others they are known to descend from it.
	Ours []string
	// Foreign are records of its own that have nothing to do with the release but
	// the name, a line each.
	Foreign []string
}

// Lost says whether Helm 3 has neither the newest revision nor one that was made of it.
// It never forgets the newest alone: either the release was uninstalled, or somebody
// removed the record.
func (s Standing) Lost(r Release) bool {
	return len(s.Later) == 0 && slices.ContainsFunc(s.Missing, func(missing Revision) bool { return missing.Version == r.Newest().Version })
}

// None says whether Helm 3 has nothing of it.
func (s Standing) None() bool { return len(s.Ours) == 0 }

// Compare tells what Helm 3 has of the release: live are the records of that name in
// its namespace. moved says whether all revisions were written before; then a later
// one that descends from them is ours, even where none of them is left. budget bounds
// what the records unpack to.
func Compare(r Release, live []corev1.Secret, moved bool, budget *release.Budget) Standing {
	var s Standing
	found := map[int]bool{}
	var later []int
	var laterNames []string
	for _, secret := range live {
		there, err := release.InSecret(secret, budget)
		if err == nil && (!release.Keeps(secret, there) || there.Name != r.Name) {
			err = errors.New("it is no record that helm writes")
		}
		if err != nil {
			s.Foreign = append(s.Foreign, fmt.Sprintf("Secret %s: %v", secret.Name, err))
			continue
		}
		at := slices.IndexFunc(r.Revisions, func(revision Revision) bool { return revision.Version == there.Version })
		switch {
		case at >= 0 && sameOrigin(r.Revisions[at].Release, there):
			found[there.Version] = true
			s.Ours = append(s.Ours, secret.Name)
			if !same(r.Revisions[at].Release, there) {
				s.Changed = append(s.Changed, there.Version)
			}
		case there.Version > r.Newest().Version && r.descends(there):
			later, laterNames = append(later, there.Version), append(laterNames, secret.Name)
		default:
			s.Foreign = append(s.Foreign, fmt.Sprintf("Secret %s: it holds another release", secret.Name))
		}
	}
	for _, revision := range r.Revisions {
		if !found[revision.Version] {
			s.Missing = append(s.Missing, revision)
		}
	}
	if len(found) > 0 || moved {
		s.Later, s.Ours = later, append(laterNames, s.Ours...)
	} else {
		for _, name := range laterNames {
			s.Foreign = append(s.Foreign, fmt.Sprintf("Secret %s: it holds another release", name))
		}
	}
	slices.Sort(s.Changed)
	slices.Sort(s.Later)
	return s
}

// descends says whether a later revision was made of ours. Helm 3 and 4 keep the time
// of the first deployment across upgrade and rollback, also where none is told, and an
// install sets its own: one after uninstall, and one in the place of what uninstall
// --keep-history left (helm.sh/helm/v3/pkg/action). Which revision they go on from is
// not always the newest, and Helm 2's install --replace sets its own time, too.
func (r Release) descends(there *release3.Release) bool {
	return slices.ContainsFunc(r.Revisions, func(revision Revision) bool {
		return revision.Info.FirstDeployed.Equal(there.Info.FirstDeployed)
	})
}

// same says whether two releases are stored in the same words.
func same(a, b *release3.Release) bool {
	one, err := json.Marshal(a)
	other, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// sameOrigin says whether two records are of one revision. Helm 3 changes of a
// revision that is there its status, and when its hooks ran, and nothing else.
func sameOrigin(a, b *release3.Release) bool {
	return a.Name == b.Name && a.Namespace == b.Namespace && a.Version == b.Version && a.Manifest == b.Manifest &&
		a.Info.FirstDeployed.Equal(b.Info.FirstDeployed) && a.Info.LastDeployed.Equal(b.Info.LastDeployed)
}
