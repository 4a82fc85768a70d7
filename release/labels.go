// Package release reads and writes the records in which helm keeps releases: Tiller's,
// and those of Helm 3 and 4; their labels, their names, and their packed content. It
// reads and writes no cluster.
//
// The records are those of k8s.io/helm/pkg/storage/driver and
// helm.sh/helm/v3/pkg/storage/driver (secrets.go, cfgmaps.go and util.go). The latter is
// not imported, since it links the drivers of databases.
package release

import (
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// OfTiller selects Tiller's release records.
	OfTiller = "OWNER=TILLER"
	// OfHelm selects those of Helm 3 and 4.
	OfHelm = "owner=helm"
)

// IsTillers reports whether these are the labels of a Tiller record.
func IsTillers(labels map[string]string) bool { return labels["OWNER"] == "TILLER" }

// Revision is a release record according to its labels.
type Revision struct {
	Release string
	Version int
	// Status is spelled as by Helm 2: DEPLOYED, SUPERSEDED, FAILED, DELETED ...
	Status string
}

// TillerRevision reads the labels of a Tiller record.
func TillerRevision(labels map[string]string) Revision {
	version, _ := strconv.Atoi(labels["VERSION"]) // 0 for a record that Tiller did not write
	return Revision{Release: labels["NAME"], Version: version, Status: labels["STATUS"]}
}

// HelmRevision reads the labels of a record of Helm 3 or 4. The status is spelled as by
// Helm 2.
func HelmRevision(labels map[string]string) Revision {
	version, _ := strconv.Atoi(labels["version"]) // 0 for a record that helm did not write
	status := strings.ToUpper(strings.ReplaceAll(labels["status"], "-", "_"))
	switch status {
	case "UNINSTALLED":
		status = "DELETED"
	case "UNINSTALLING":
		status = "DELETING"
	}
	return Revision{Release: labels["name"], Version: version, Status: status}
}

// Updated returns the time at which helm last wrote a record: from its labels, in seconds
// since 1970 (MODIFIED_AT and CREATED_AT of Tiller, modifiedAt and createdAt of Helm 3
// and 4), otherwise the object's creation.
func Updated(record metav1.Object) time.Time {
	labels := record.GetLabels()
	for _, name := range []string{"MODIFIED_AT", "modifiedAt", "CREATED_AT", "createdAt"} {
		if seconds, err := strconv.ParseInt(labels[name], 10, 64); err == nil && seconds > 0 {
			return time.Unix(seconds, 0).UTC()
		}
	}
	return record.GetCreationTimestamp().UTC()
}

// Gone reports whether a status is that of a release of which only the history is kept.
func Gone(status string) bool { return status == "DELETED" }

// Latest returns the newest revision of each release, sorted by name.
func Latest(revisions []Revision) []Revision {
	newest := map[string]Revision{}
	for _, r := range revisions {
		if other, found := newest[r.Release]; !found || r.Version > other.Version {
			newest[r.Release] = r
		}
	}
	var latest []Revision
	for _, r := range newest {
		latest = append(latest, r)
	}
	slices.SortFunc(latest, func(a, b Revision) int { return strings.Compare(a.Release, b.Release) })
	return latest
}
