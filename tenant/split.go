package tenant

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

const (
	// SplitName is the ConfigMap in a Tiller's namespace with the state of the split of
	// that Tiller. It exists while the split is under way.
	SplitName = "helm-tenant-split"
	// SplitKey is its key.
	SplitKey = "split.json"
)

// ScalableKinds are the kinds of workloads that can be stopped by setting their replicas.
var ScalableKinds = []string{"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"}

// Split is the state of a Tiller whose releases move to tenants. The phases are those of
// a Migration. Frozen: records are being copied. Converted: all copies were compared with
// their originals. Verified: the tenants' Tillers run.
type Split struct {
	Phase Phase     `json:"phase"`
	Since time.Time `json:"since"`
	// Storage is the storage of the Tiller's records.
	Storage Storage `json:"storage"`
	// Replicas are the former replicas of the workloads that ran the Tiller, by kind and
	// name.
	Replicas map[string]int32 `json:"replicas,omitempty"`
	// Releases are the tenants to which releases move, by the release's name.
	Releases map[string]string `json:"releases"`
	// Copies are the releases of which the tenants' homes may have copies, each with a
	// digest of the copied records, once all copies are compared. Records of other
	// releases in a home are the tenant's own.
	Copies map[string]string `json:"copies,omitempty"`
	// Onward are the tenants that go on to Helm 3 and 4 after they got their releases,
	// sorted.
	Onward []string `json:"onward,omitempty"`
	// Backup is the file with the backup of the Tiller's records.
	Backup string `json:"backup,omitempty"`
}

// ParseSplit parses the state of Text. Whoever may write ConfigMaps in the Tiller's
// namespace may have written it, so it is as strict as for a tenants file: unknown
// fields, workloads that can't be scaled, names that no tenant can have, and copies of
// releases that do not move are errors.
func ParseSplit(text string) (Split, error) {
	var s Split
	wrong := func(format string, args ...any) (Split, error) {
		return Split{}, fmt.Errorf("ConfigMap %s, key %s: %w", SplitName, SplitKey, fmt.Errorf(format, args...))
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return wrong("%w", err)
	}
	if unknown := unknownFields([]byte(text), reflect.TypeFor[Split]()); len(unknown) > 0 {
		return wrong("the field %q is not known to this helm-tenant", slices.Min(slices.Collect(maps.Keys(unknown))))
	}
	if !slices.Contains([]Phase{PhaseFrozen, PhaseConverted, PhaseVerified, PhaseFinishing, PhaseAborting}, s.Phase) {
		return wrong("the phase %q is not known to this helm-tenant", s.Phase)
	}
	if s.Storage != StorageSecret && s.Storage != StorageConfigMap {
		return wrong("storage: %q is not one of %s, %s", s.Storage, StorageSecret, StorageConfigMap)
	}
	for _, workload := range slices.Sorted(maps.Keys(s.Replicas)) {
		if kind, _, _ := strings.Cut(workload, " "); !slices.Contains(ScalableKinds, kind) || s.Replicas[workload] < 0 {
			return wrong("%q with %d replicas is no workload of a Tiller", workload, s.Replicas[workload])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Releases)) {
		if err := CheckName(s.Releases[name]); err != nil {
			return wrong("release %q: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Copies)) {
		if s.Releases[name] == "" {
			return wrong("release %q has copies and does not move to a tenant", name)
		}
	}
	for _, name := range s.Onward {
		if !slices.Contains(s.Tenants(), name) {
			return wrong("tenant %q moves on to Helm 3 and gets no release", name)
		}
	}
	return s, nil
}

// Text returns the text that ParseSplit parses.
func (s Split) Text() (string, error) {
	text, err := json.Marshal(s)
	return string(text), err
}

// Tenants returns the names of the tenants to which releases move, sorted.
func (s Split) Tenants() []string {
	return slices.Compact(slices.Sorted(maps.Values(s.Releases)))
}

// Copied returns the tenant whose home may have copies of the release, empty if there is
// none.
func (s Split) Copied(release string) string {
	if _, found := s.Copies[release]; !found {
		return ""
	}
	return s.Releases[release]
}
