package release

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	release3 "helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// labelName is the label with a record's release.
	labelName = "name"
	// storageType begins a record's name (helm.sh/helm/v3/pkg/storage).
	storageType = "sh.helm.release.v1"
	// HelmSecretType is the type of Helm 3's Secrets.
	HelmSecretType = "helm.sh/release.v1"
)

// SecretName returns the name of the Secret in which Helm 3 keeps a revision.
func SecretName(name string, version int) string {
	return fmt.Sprintf("%s.%s.v%d", storageType, name, version)
}

// NameOf returns the name of the release of which a Secret is a record of Helm 3, or
// takes the place of one; empty for other Secrets.
func NameOf(secret metav1.Object) string {
	if name, isRecord := strings.CutPrefix(secret.GetName(), storageType+"."); isRecord {
		if position := strings.LastIndex(name, ".v"); position > 0 {
			return name[:position]
		}
	}
	if secret.GetLabels()["owner"] == "helm" {
		return secret.GetLabels()[labelName]
	}
	return ""
}

// IsHelms reports whether an object has the name of a Helm 3 or 4 record: anybody can
// give a Secret the label by which helm lists its own. kind is the type of a Secret; it
// is empty for other objects, or if it is not known.
func IsHelms(object metav1.Object, kind string) bool {
	r := HelmRevision(object.GetLabels())
	return (kind == "" || kind == HelmSecretType) && r.Version > 0 && object.GetName() == SecretName(r.Release, r.Version)
}

// HelmRecord returns the revision that an object with Helm 3's or 4's label keeps; isRecord is false
// for an object that only has the label, or is named after another revision than its labels. helm
// lists and uses records by their content and their name: labels that are missing, or no number,
// do not hide a release.
func HelmRecord(object metav1.Object) (r Revision, isRecord bool) {
	r = HelmRevision(object.GetLabels())
	rest, ofHelm := strings.CutPrefix(object.GetName(), storageType+".")
	position := strings.LastIndex(rest, ".v")
	if !ofHelm || position <= 0 {
		return r, false
	}
	name := rest[:position]
	version, err := strconv.Atoi(rest[position+len(".v"):])
	switch {
	case err != nil, version <= 0, object.GetName() != SecretName(name, version):
		return r, false
	case r.Release != "" && r.Release != name, r.Version > 0 && r.Version != version:
		return r, false // it was made to look like one
	}
	r.Release, r.Version = name, version
	return r, true
}

// Keeps reports whether a Secret is the one in which Helm 3 keeps that release.
func Keeps(secret corev1.Secret, r *release3.Release) bool {
	return secret.Type == HelmSecretType && secret.Name == SecretName(r.Name, r.Version) && secret.Labels[labelName] == r.Name
}

// TooLargeError reports that a release does not fit into a Secret, the default storage of
// Helm 3 and 4.
type TooLargeError struct{ Size int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("it takes %d bytes as Helm 3 stores it, and a Secret holds %d", e.Size, corev1.MaxSecretSize)
}

// CheckSize returns a *TooLargeError if a release, as JSON, does not fit into a Secret.
// It packs the release only if it must: most releases fit as they are.
func CheckSize(plain []byte) error {
	if base64.StdEncoding.EncodedLen(len(plain))+1<<10 <= corev1.MaxSecretSize {
		return nil
	}
	packed, err := pack(plain)
	if err == nil && len(packed) > corev1.MaxSecretSize {
		err = &TooLargeError{len(packed)}
	}
	return err
}

// Secret returns the Secret in which Helm 3 keeps a release, whose JSON text is plain. The error is
// a *TooLargeError if it does not fit. Times that Helm's driver takes from the clock are
// taken from the release, so that the same release makes the same object.
func Secret(r *release3.Release, plain []byte) (*corev1.Secret, error) {
	packed, err := pack(plain)
	if err != nil {
		return nil, err
	}
	if len(packed) > corev1.MaxSecretSize {
		return nil, &TooLargeError{len(packed)}
	}
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: SecretName(r.Name, r.Version), Namespace: r.Namespace, Labels: map[string]string{
			labelName: r.Name, "owner": "helm", "status": r.Info.Status.String(), "version": strconv.Itoa(r.Version),
			"createdAt": strconv.FormatInt(r.Info.LastDeployed.Unix(), 10),
		}},
		Type: HelmSecretType,
		Data: map[string][]byte{DataKey: packed},
	}, nil
}

// InSecret reads the release in a Secret of Helm 3, within the budget.
func InSecret(secret corev1.Secret, budget *Budget) (*release3.Release, error) {
	plain, err := PlainInSecret(secret, budget)
	if err != nil {
		return nil, err
	}
	return ParsePlain(plain)
}

var errNoRelease = errors.New("it holds no release")

// ParsePlain parses a release from the JSON text in a record of Helm 3.
func ParsePlain(plain []byte) (*release3.Release, error) {
	if err := countValues(plain); err != nil {
		return nil, err
	}
	var r release3.Release
	if err := json.Unmarshal(plain, &r); err != nil {
		return nil, err
	}
	if r.Info == nil {
		return nil, errors.New("its release has no status")
	}
	return &r, nil
}

// PlainInSecret returns the JSON text in a record of Helm 3, within the budget. It is not
// parsed: a text whose digest is known need not be.
func PlainInSecret(secret corev1.Secret, budget *Budget) ([]byte, error) {
	packed, found := secret.Data[DataKey]
	if !found {
		return nil, errNoRelease
	}
	return unpack(packed, budget)
}
