package tenant

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"time"
)

// AnnotationMigration is on the record of a tenant that is on its way from its
// Tiller to Helm 3 and 4. Members may read it: they are told why their Tiller does
// not answer.
const AnnotationMigration = "helm-tenant/migration"

// AnnotationOwnership is on the record of a tenant of which every object of the releases
// that moved from Tiller named its release when the migration ended.
const AnnotationOwnership = "helm-tenant/ownership"

// OwnershipSet is its value.
const OwnershipSet = "set"

// Phase is how far a migration is.
type Phase string

// The phases, in the order in which they are gone through. From each of the first
// three there is a way back.
const (
	// PhaseFrozen: Tiller is stopped, or about to be, and nothing is settled.
	PhaseFrozen Phase = "frozen"
	// PhaseConverted: Helm 3 has a record of every revision. From here on what is
	// missing was taken away by a Helm 3, and is not written again.
	PhaseConverted Phase = "converted"
	// PhaseVerified: members may use Helm 3 and 4, which find every release.
	PhaseVerified Phase = "verified"
	// PhaseFinishing: the Tiller and its records are being removed.
	PhaseFinishing Phase = "finishing"
	// PhaseAborting: Helm 3's records are being removed, and Tiller comes back.
	PhaseAborting Phase = "aborting"
)

// Migration is the state of a tenant that is being migrated, all of it.
type Migration struct {
	Phase Phase     `json:"phase"`
	Since time.Time `json:"since"`
	// Engine, Storage and Replicas are what the tenant had before.
	Engine   Engine  `json:"engine"`
	Storage  Storage `json:"storage"`
	Replicas int32   `json:"replicas"`
	// Converted says that Helm 3 got a record of every revision.
	Converted bool `json:"converted,omitempty"`
	// Keep bounds how many revisions of each release move; 0 is no bound.
	Keep int `json:"keep,omitempty"`
	// Backup is the file that Tiller's records were written to.
	Backup string `json:"backup,omitempty"`
	// From is the namespace of another Tiller from which releases are being copied to the
	// tenant: this is no migration then, but the tenant's part in a split, frozen or
	// aborting. It is empty for a migration.
	From string `json:"from,omitempty"`
	// Unknown are the fields that this helm-tenant does not know: a newer one wrote them,
	// and they are written again.
	Unknown map[string]json.RawMessage `json:"-"`
}

// ParseMigration reads the annotation.
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

// Annotation is what ParseMigration reads.
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

// String says to a member what is going on.
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
