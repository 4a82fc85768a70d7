package migrate

import (
	"crypto/sha256"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/release"
)

// Written has digests of the Helm 3 records that a run wrote. A record that is read back
// with the same bytes contains the release that was packed into them, and need not be
// unpacked to check that. A nil *Written is empty. It is safe for concurrent use.
type Written struct {
	mutex   sync.Mutex
	records map[recordName]writtenRecord
}

type recordName struct{ namespace, name string }

type writtenRecord struct{ packed, whole digest }

// NewWritten returns an empty Written.
func NewWritten() *Written { return &Written{records: map[recordName]writtenRecord{}} }

// Add adds a record that is about to be written, as made by Revision.Secret.
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
