package tenant

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// SplitName is the ConfigMap in a Tiller's namespace that says how far the split of
	// that Tiller is. It exists while the split is under way.
	SplitName = "helm-tenant-split"
	// SplitKey is its key.
	SplitKey = "split.json"
)

// ScalableKinds are the kinds of workloads that can be stopped by setting their replicas.
var ScalableKinds = []string{"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"}

// Split is the state of a Tiller whose releases move to tenants. The phases are those of a
// Migration: while frozen, records are being copied; when converted, all copies were
// compared with their originals; when verified, the tenants' Tillers run.
type Split struct {
	Phase Phase     `json:"phase"`
	Since time.Time `json:"since"`
	// Storage is where the Tiller keeps its records.
	Storage Storage `json:"storage"`
	// Replicas are those of the workloads that ran the Tiller, by kind and name.
	Replicas map[string]int32 `json:"replicas,omitempty"`
	// Releases are the tenants to which releases move, by the release's name.
	Releases map[string]string `json:"releases"`
	// Copies are the releases of which the homes of the tenants may have copies, each with a
	// digest of the records that were copied, when all copies are compared. What a home has
	// of a release that is not among them is the tenant's own.
	Copies map[string]string `json:"copies,omitempty"`
	// Backup is the file that the Tiller's records were written to.
	Backup string `json:"backup,omitempty"`
}

// ParseSplit reads the state that Text wrote.
func ParseSplit(text string) (Split, error) {
	var s Split
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Split{}, fmt.Errorf("ConfigMap %s, key %s: %w", SplitName, SplitKey, err)
	}
	if !slices.Contains([]Phase{PhaseFrozen, PhaseConverted, PhaseVerified, PhaseFinishing, PhaseAborting}, s.Phase) {
		return Split{}, fmt.Errorf("ConfigMap %s, key %s: the phase %q is not known to this helm-tenant", SplitName, SplitKey, s.Phase)
	}
	for workload, replicas := range s.Replicas {
		if kind, _, _ := strings.Cut(workload, " "); !slices.Contains(ScalableKinds, kind) || replicas < 0 {
			return Split{}, fmt.Errorf("ConfigMap %s, key %s: %q with %d replicas is no workload of a Tiller", SplitName, SplitKey, workload, replicas)
		}
	}
	for name, of := range s.Releases {
		if err := CheckName(of); err != nil {
			return Split{}, fmt.Errorf("ConfigMap %s, key %s, release %q: %w", SplitName, SplitKey, name, err)
		}
	}
	return s, nil
}

// Text is what ParseSplit reads.
func (s Split) Text() (string, error) {
	text, err := json.Marshal(s)
	return string(text), err
}

// Tenants are the names of the tenants to which releases move, sorted.
func (s Split) Tenants() []string {
	return slices.Compact(slices.Sorted(maps.Values(s.Releases)))
}

// Copied is the tenant whose home may have copies of the release; empty where none has.
func (s Split) Copied(release string) string {
	if _, found := s.Copies[release]; !found {
		return ""
	}
	return s.Releases[release]
}
