package tenant

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"time"
)

// AnnotationMigration is on the record of a tenant that is being migrated from its Tiller
// to Helm 3 and 4. Members may read it, and so learn why their Tiller does not answer.
const AnnotationMigration = "helm-tenant/migration"

// AnnotationOwnership is on the record of a migrated tenant if at the end of the
// migration every object of the releases named its release.
const AnnotationOwnership = "helm-tenant/ownership"

// OwnershipSet is its value.
const OwnershipSet = "set"

// Phase is the phase of a migration.
type Phase string

// These are the phases in their order. In the first three a migration can be aborted.
const (
	// PhaseFrozen: Tiller is stopped, or is about to be, and nothing is converted.
	PhaseFrozen Phase = "frozen"
	// PhaseConverted: Helm 3 has a record of every revision. From here on missing records
	// were deleted by a Helm 3, and are not written again.
	PhaseConverted Phase = "converted"
	// PhaseVerified: members may use Helm 3 and 4, which find every release.
	PhaseVerified Phase = "verified"
	// PhaseFinishing: the Tiller and its records are being removed.
	PhaseFinishing Phase = "finishing"
	// PhaseAborting: Helm 3's records are being removed, and Tiller is started again.
	PhaseAborting Phase = "aborting"
)

// Migration is the complete state of a tenant's migration.
type Migration struct {
	Phase Phase     `json:"phase"`
	Since time.Time `json:"since"`
	// Engine, Storage and Replicas are what the tenant had before.
	Engine   Engine  `json:"engine"`
	Storage  Storage `json:"storage"`
	Replicas int32   `json:"replicas"`
	// Converted reports whether Helm 3 got a record of every revision.
	Converted bool `json:"converted,omitempty"`
	// Keep bounds the revisions of each release that move; 0 is no bound.
	Keep int `json:"keep,omitempty"`
	// Backup is the file with the backup of Tiller's records.
	Backup string `json:"backup,omitempty"`
	// From is the namespace of another Tiller from which releases are copied to the
	// tenant. Then this is the tenant's part in a split, frozen or aborting. It is empty
	// for a migration.
	From string `json:"from,omitempty"`
	// Unknown are the fields that this version of helm-tenant does not know. A newer one
	// wrote them, and they are written again.
	Unknown map[string]json.RawMessage `json:"-"`
}

// ParseMigration parses the annotation.
func ParseMigration(text string) (Migration, error) {
	var m Migration
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return Migration{}, fmt.Errorf("annotation %s: %w", AnnotationMigration, err)
	}
	switch m.Phase {
	case PhaseFrozen, PhaseConverted, PhaseVerified, PhaseFinishing, PhaseAborting:
		m.Unknown = unknownFields([]byte(text), reflect.TypeFor[Migration]())
		return m, nil
	}
	return Migration{}, fmt.Errorf("annotation %s: the phase %q is not known to this helm-tenant", AnnotationMigration, m.Phase)
}

// Annotation returns the text that ParseMigration parses.
func (m Migration) Annotation() (string, error) {
	text, err := json.Marshal(m)
	if err != nil || len(m.Unknown) == 0 {
		return string(text), err
	}
	fields := maps.Clone(m.Unknown)
	if err := json.Unmarshal(text, &fields); err != nil {
		return "", err
	}
	text, err = json.Marshal(fields)
	return string(text), err
}

// String describes the state for a member.
func (m Migration) String() string {
	since := m.Since.UTC().Format("2006-01-02 15:04 MST")
	switch {
	case m.From != "" && m.Phase == PhaseAborting:
		return fmt.Sprintf("giving its releases back to the Tiller in namespace %q; its own Tiller is about to start", m.From)
	case m.From != "":
		return fmt.Sprintf("receiving its releases from the Tiller in namespace %q since %s; its own Tiller is stopped", m.From, since)
	}
	switch m.Phase {
	case PhaseVerified:
		return "moved to Helm 3 and 4 since " + since + "; its Tiller is stopped, and kept until an admin finishes the migration"
	case PhaseFinishing:
		return "moved to Helm 3 and 4 since " + since + "; its Tiller is being removed"
	case PhaseAborting:
		return "going back to Helm 2; its Tiller is about to start"
	}
	return "being migrated to Helm 3 and 4 since " + since + "; its Tiller is stopped"
}

// ReleasesOf returns the engine whose records are the releases of a tenant with that engine: while
// it is migrated, the other engine's are copies. m is nil if it is not.
func (m *Migration) ReleasesOf(engine Engine) Engine {
	switch {
	case m == nil || m.From != "" || m.Engine == "":
		return engine
	case m.Phase == PhaseVerified || m.Phase == PhaseFinishing:
		return EngineImpersonation
	}
	return m.Engine
}
