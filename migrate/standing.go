package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	release3 "helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/release"
)

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
