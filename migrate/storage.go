package migrate

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// labelName holds a record's release.
	labelName = "name"
	// storageType begins a record's name (helm.sh/helm/v3/pkg/storage).
	storageType = "sh.helm.release.v1"
	// secretType is the type of its Secret.
	secretType corev1.SecretType = "helm.sh/release.v1"
	// maxRelease bounds what a record unpacks to: who may write in a tenant's
	// namespaces can put one of their own making there.
	maxRelease = 64 << 20
)

// recordName is the name of the Secret in which Helm 3 keeps a revision.
func recordName(name string, version int) string {
	return fmt.Sprintf("%s.%s.v%d", storageType, name, version)
}

// RecordOf is the name of the release for which a Secret is a record of Helm 3's, or
// stands in the place of one; empty where it is none.
func RecordOf(secret metav1.Object) string {
	if name, isRecord := strings.CutPrefix(secret.GetName(), storageType+"."); isRecord {
		if at := strings.LastIndex(name, ".v"); at > 0 {
			return name[:at]
		}
	}
	if secret.GetLabels()["owner"] == "helm" {
		return secret.GetLabels()[labelName]
	}
	return ""
}

// secretOf is the Secret in which Helm 3 keeps a release. What its driver takes from
// the clock is taken from the release, so that the same release makes the same
// object.
func secretOf(r *release.Release) (*corev1.Secret, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(plain); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, err
	}
	text := base64.StdEncoding.AppendEncode(nil, zipped.Bytes())
	if len(text) > corev1.MaxSecretSize {
		return nil, fmt.Errorf("it takes %d bytes as Helm 3 stores it, and a Secret holds %d", len(text), corev1.MaxSecretSize)
	}
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: recordName(r.Name, r.Version), Namespace: r.Namespace, Labels: map[string]string{
			labelName: r.Name, "owner": "helm", "status": r.Info.Status.String(), "version": strconv.Itoa(r.Version),
			"createdAt": strconv.FormatInt(r.Info.LastDeployed.Unix(), 10),
		}},
		Type: secretType,
		Data: map[string][]byte{"release": text},
	}, nil
}

// ReleaseOf reads the release in a Secret of Helm 3's.
func ReleaseOf(secret corev1.Secret) (*release.Release, error) {
	text, found := secret.Data["release"]
	if !found {
		return nil, errors.New("it holds no release")
	}
	plain, err := base64.StdEncoding.DecodeString(string(text))
	if err == nil && bytes.HasPrefix(plain, []byte{0x1f, 0x8b, 0x08}) {
		plain, err = unzip(plain)
	}
	var r release.Release
	if err == nil {
		err = json.Unmarshal(plain, &r)
	}
	switch {
	case err != nil:
		return nil, err
	case r.Info == nil:
		return nil, errors.New("its release has no status")
	}
	return &r, nil
}

func unzip(zipped []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	plain, err := io.ReadAll(io.LimitReader(r, maxRelease+1))
	if err == nil && len(plain) > maxRelease {
		err = fmt.Errorf("it unpacks to more than %d bytes", maxRelease)
	}
	return plain, err
}

// same says whether two releases are stored in the same words.
func same(a, b *release.Release) bool {
	one, err := json.Marshal(a)
	other, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// sameOrigin says whether two records are of one revision. Helm 3 changes of a
// revision that is there its status, and when its hooks ran, and nothing else.
func sameOrigin(a, b *release.Release) bool {
	return a.Name == b.Name && a.Namespace == b.Namespace && a.Version == b.Version && a.Manifest == b.Manifest &&
		a.Info.FirstDeployed.Equal(b.Info.FirstDeployed) && a.Info.LastDeployed.Equal(b.Info.LastDeployed)
}
