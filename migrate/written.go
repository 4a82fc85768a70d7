package migrate

import (
	"crypto/sha256"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/release"
)

// Written is what a run wrote of Helm 3's records, as digests. A record that is read back
// with the same bytes holds the release that was packed in them: it need not be unpacked
// to see that. A nil *Written has none. It may be used concurrently.
type Written struct {
	mutex   sync.Mutex
	records map[recordName]writtenRecord
}

type recordName struct{ namespace, name string }

// writtenRecord has the digest of what a record holds, packed, and that of the release.
type writtenRecord struct{ packed, whole digest }

// NewWritten returns one without records.
func NewWritten() *Written { return &Written{records: map[recordName]writtenRecord{}} }

// Add takes the record that is going to be written of a revision, as Revision.Secret made it.
func (w *Written) Add(secret *corev1.Secret, revision Revision) {
	record := writtenRecord{sha256.Sum256(secret.Data[release.DataKey]), revision.whole}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.records[recordName{secret.Namespace, secret.Name}] = record
}

// release returns the digest of the release in a record, if the record has the bytes that
// were written.
func (w *Written) release(secret *corev1.Secret) (whole digest, ok bool) {
	if w == nil {
		return digest{}, false
	}
	w.mutex.Lock()
	record, found := w.records[recordName{secret.Namespace, secret.Name}]
	w.mutex.Unlock()
	return record.whole, found && record.packed == sha256.Sum256(secret.Data[release.DataKey])
}
