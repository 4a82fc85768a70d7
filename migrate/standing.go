package migrate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	release3 "helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/release"
)

// Standing is what Helm 3 has of a release that moves.
type Standing struct {
	// Missing are the revisions that it does not have.
	Missing []Revision
	// Changed are the revisions that it changed since, Later those that it added.
	Changed, Later []int
	// Ours are the names of all Secrets that belong to the release: the later ones first,
	// since the others prove that they descend from it.
	Ours []string
	// Foreign are records with the release's name that are not related to it, a line
	// each.
	Foreign []string
}

// Lost reports whether Helm 3 has neither the newest revision nor one that descends from
// it. Helm 3 never deletes the newest alone: either the release was uninstalled, or
// somebody deleted the record.
func (s Standing) Lost(r Release) bool {
	return len(s.Later) == 0 && slices.ContainsFunc(s.Missing, func(missing Revision) bool { return missing.Version == r.Newest().Version })
}

// None reports whether Helm 3 has no record of the release.
func (s Standing) None() bool { return len(s.Ours) == 0 }

// Kept has the parts of a Helm 3 record that are compared.
type Kept struct {
	secret          string
	name, namespace string
	revision        Revision
	// problem is the reason why it is not a record of helm.
	problem error
}

// ReadKept reads a Helm 3 record with a name of r's records. One with the bytes that this
// run wrote is not unpacked, and one that contains the release as converted is not
// parsed: both are recognised by digests. budget bounds the unpacked size of records.
func ReadKept(r Release, secret corev1.Secret, written *Written, budget *release.Budget) Kept {
	if whole, ok := written.release(&secret); ok {
		if k, found := r.keptAs(whole, secret); found {
			return k
		}
	}
	k := Kept{secret: secret.Name}
	plain, err := release.PlainInSecret(secret, budget)
	if err != nil {
		k.problem = err
		return k
	}
	if k, found := r.keptAs(sha256.Sum256(plain), secret); found {
		return k
	}
	parsed, err := release.ParsePlain(plain)
	if err == nil && !release.Keeps(secret, parsed) {
		err = errNotHelms
	}
	if err == nil {
		k.name, k.namespace = parsed.Name, parsed.Namespace
		k.revision, _, err = revisionOf(secret.Name, parsed)
	}
	k.problem = err
	return k
}

// keptAs returns a record whose content has this digest, if it is a revision of r.
func (r Release) keptAs(whole digest, secret corev1.Secret) (Kept, bool) {
	for _, revision := range r.Revisions {
		if revision.whole == whole && release.Keeps(secret, &release3.Release{Name: r.Name, Version: revision.Version}) {
			revision.Record, revision.objects = secret.Name, nil // as for a record that is parsed
			return Kept{secret: secret.Name, name: r.Name, namespace: r.Namespace, revision: revision}, true
		}
	}
	return Kept{}, false
}

var errNotHelms = errors.New("it is no record that helm writes")

// Compare compares a release with Helm 3's records of that name in its namespace (live). moved
// reports whether all revisions had been written before; then a later revision that descends
// from them belongs to the moved release, even if none of them exists any more.
func Compare(r Release, live []Kept, moved bool) Standing {
	var s Standing
	found := map[int]bool{}
	var later []int
	var laterNames []string
	for _, record := range live {
		err := record.problem
		if err == nil && record.name != r.Name {
			err = errNotHelms
		}
		if err != nil {
			s.Foreign = append(s.Foreign, fmt.Sprintf("Secret %s: %v", record.secret, err))
			continue
		}
		version := record.revision.Version
		index := slices.IndexFunc(r.Revisions, func(revision Revision) bool { return revision.Version == version })
		switch {
		case index >= 0 && r.Namespace == record.namespace && r.Revisions[index].sameOrigin(record.revision):
			found[version] = true
			s.Ours = append(s.Ours, record.secret)
			if r.Revisions[index].whole != record.revision.whole {
				s.Changed = append(s.Changed, version)
			}
		case version > r.Newest().Version && r.descends(record.revision):
			later, laterNames = append(later, version), append(laterNames, record.secret)
		default:
			s.Foreign = append(s.Foreign, fmt.Sprintf("Secret %s: it holds another release", record.secret))
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

// descends reports whether a later revision descends from ours. Helm 3 and 4 keep the
// time of the first deployment across upgrade and rollback, even if it is missing, and an
// install sets its own: one after uninstall, and one in the place of what uninstall
// --keep-history left (helm.sh/helm/v3/pkg/action). They do not always continue from the
// newest revision, and install --replace of Helm 2 sets its own time, too.
func (r Release) descends(other Revision) bool {
	return slices.ContainsFunc(r.Revisions, func(revision Revision) bool { return revision.first.Equal(other.first) })
}

// sameOrigin reports whether two records are of one revision of a release. Of an existing
// revision Helm 3 changes only the status, and when its hooks ran.
func (r Revision) sameOrigin(other Revision) bool {
	return r.Version == other.Version && r.manifest == other.manifest && r.first.Equal(other.first) && r.last.Equal(other.last)
}
