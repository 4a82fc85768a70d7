package migrate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	release3 "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/time"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/release"
)

// Stored has the parts of a Tiller record on which its migration depends. It is small,
// whatever the record's size: a Tiller may have thousands.
type Stored struct {
	// object is the name of the record's object.
	object          string
	name, namespace string
	version         int32
	status          release2.Status_Code
	// dropped are the hooks for which Helm 3 has no event.
	dropped  []hook
	revision Revision
	// problem is the reason why it can't be read, failure why it can't be converted.
	problem, failure error
}

type hook struct{ event, name string }

// Unreadable returns a record that can't be read.
func Unreadable(object string, problem error) Stored {
	return Stored{object: object, problem: problem}
}

// Read converts the content of a record, and keeps the parts that decisions need. Of the
// objects in its manifest those stay for which keeps is true, since all objects of all
// releases may not fit into memory; the manifest is not parsed if keeps is nil.
func Read(object string, old *release2.Release, keeps func(Object) bool) Stored {
	s := Stored{object: object, name: old.GetName(), namespace: old.GetNamespace(), version: old.GetVersion(), status: old.GetInfo().GetStatus().GetCode()}
	for _, h := range old.GetHooks() {
		for _, event := range h.GetEvents() {
			if _, known := events[event]; !known {
				s.dropped = append(s.dropped, hook{strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(event.String(), "RELEASE_")), "_", "-"), h.GetName()})
			}
		}
	}
	converted, err := convert(old)
	if err == nil {
		var plain []byte
		if s.revision, plain, err = revisionOf(object, converted); err == nil {
			err = release.CheckSize(plain)
		}
		if keeps != nil {
			s.revision.objects = keptObjects(converted.Manifest, keeps)
		}
	}
	s.failure = err
	return s
}

// Revision has the parts of a moving revision that decisions need.
type Revision struct {
	Version int
	Status  release3.Status
	// Record is the name of its record in Tiller's storage.
	Record string

	first, last time.Time
	manifest    digest
	// whole is the digest of the release as Helm 3 stores it.
	whole digest
	// size is the size of that.
	size int
	// objects are the objects of the manifest that are kept, to note them. Only Read sets
	// them, since parsing them takes as long as everything else.
	objects []Object
}

// keptObjects returns the objects of a manifest for which keeps is true, in memory of
// their own.
func keptObjects(manifest string, keeps func(Object) bool) []Object {
	var kept []Object
	for _, object := range Objects(manifest) {
		if keeps(object) {
			object.APIVersion, object.Kind, object.Name = strings.Clone(object.APIVersion), strings.Clone(object.Kind), strings.Clone(object.Name)
			object.Namespace = strings.Clone(object.Namespace)
			kept = append(kept, object)
		}
	}
	return kept
}

type digest [sha256.Size]byte

func digestOf(manifest string) digest { return sha256.Sum256([]byte(strings.TrimSpace(manifest))) }

// revisionOf returns a Helm 3 release as a Revision, with the JSON text that Helm 3
// stores.
func revisionOf(record string, r *release3.Release) (Revision, []byte, error) {
	plain, err := json.Marshal(r)
	return Revision{
		Version: r.Version, Status: r.Info.Status, Record: record, first: r.Info.FirstDeployed, last: r.Info.LastDeployed,
		manifest: digestOf(r.Manifest), whole: sha256.Sum256(plain), size: len(plain),
	}, plain, err
}

// Secret converts the content of a revision's record into a Secret of Helm 3. It fails if
// the record is not the one from which the revision was read.
func (r Revision) Secret(old *release2.Release) (*corev1.Secret, error) {
	converted, err := convert(old)
	if err != nil {
		return nil, err
	}
	current, plain, err := revisionOf(r.Record, converted)
	switch {
	case err != nil:
		return nil, err
	case current.whole != r.whole:
		return nil, fmt.Errorf("the record %s was changed meanwhile", r.Record)
	}
	return release.Secret(converted, plain)
}

// EmptySecret returns Helm 3's Secret of a revision without its content.
func (r Release) EmptySecret(revision Revision) *corev1.Secret {
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: release.SecretName(r.Name, revision.Version)}, Type: release.HelmSecretType}
}

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
