package cluster

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/tenant"
)

// helmSelector finds the release records of Helm 3 and 4
// (helm.sh/helm/v3/pkg/storage/driver, secrets.go and cfgmaps.go).
const helmSelector = "owner=helm"

// recordSelector finds Tiller's release records (k8s.io/helm/pkg/storage/driver,
// secrets.go and cfgmaps.go).
const recordSelector = "OWNER=TILLER"

// Revision is one release record, as its labels tell it.
type Revision struct {
	Release string
	Version int
	// Status is as Helm 2 spells it: DEPLOYED, SUPERSEDED, FAILED, DELETED ...
	Status string
}

// Latest returns the newest revision of each release, sorted by name.
func Latest(revisions []Revision) []Revision {
	newest := map[string]Revision{}
	for _, r := range revisions {
		if have, found := newest[r.Release]; !found || r.Version > have.Version {
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

// Revisions are the release records of every helm in the cluster, by the namespace
// that they are stored in: those of Tillers in tiller, those of Helm 3 and 4 in
// helm. Only metadata is read. Of a storage that the caller may not list, the
// error is returned.
func (c *Client) Revisions(ctx context.Context) (tiller, helm map[string][]Revision, err error) {
	tiller, helm = map[string][]Revision{}, map[string][]Revision{}
	for _, records := range []struct {
		selector string
		into     map[string][]Revision
		read     func(map[string]string) Revision
	}{{recordSelector, tiller, RevisionOf}, {helmSelector, helm, HelmRevisionOf}} {
		for _, storage := range []tenant.Storage{tenant.StorageSecret, tenant.StorageConfigMap} {
			err := c.EachMeta(ctx, storageKind(storage), "", metav1.ListOptions{LabelSelector: records.selector}, func(meta *metav1.PartialObjectMetadata) {
				records.into[meta.Namespace] = append(records.into[meta.Namespace], records.read(meta.Labels))
			})
			if err != nil {
				return nil, nil, err
			}
		}
	}
	return tiller, helm, nil
}

// HelmRevisionOf reads the labels of a release record of Helm 3 or 4. Its status
// is returned as Helm 2 spells it.
func HelmRevisionOf(labels map[string]string) Revision {
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

// Gone says whether a status is that of a release of which only history is kept.
func Gone(status string) bool { return status == "DELETED" }

// RevisionOf reads the labels of a release record.
func RevisionOf(labels map[string]string) Revision {
	version, _ := strconv.Atoi(labels["VERSION"]) // 0 for a record that Tiller did not write
	return Revision{Release: labels["NAME"], Version: version, Status: labels["STATUS"]}
}

func storageKind(s tenant.Storage) string {
	if s == tenant.StorageConfigMap {
		return "ConfigMap"
	}
	return "Secret"
}

// Records are the objects that hold a Tiller's releases, whichever of the two
// kinds they are.
func (c *Client) Records(ctx context.Context, home string) ([]*unstructured.Unstructured, error) {
	return c.records(ctx, home, recordSelector)
}

// HelmRecords are the objects in which Helm 3 and 4 keep the releases of a
// namespace, whichever of the two kinds they are; of all namespaces where the
// name is empty.
func (c *Client) HelmRecords(ctx context.Context, namespace string) ([]*unstructured.Unstructured, error) {
	return c.records(ctx, namespace, helmSelector)
}

func (c *Client) records(ctx context.Context, namespace, selector string) ([]*unstructured.Unstructured, error) {
	var records []*unstructured.Unstructured
	for _, kindName := range []string{"Secret", "ConfigMap"} {
		objects, err := c.List(ctx, kindName, namespace, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, err
		}
		records = append(records, objects...)
	}
	return records, nil
}

// Secrets are those in a namespace whose metadata say that they are wanted. Only they
// are read: a namespace may hold many large ones that do not matter.
func (c *Client) Secrets(ctx context.Context, namespace string, wanted func(metav1.Object) bool) ([]*unstructured.Unstructured, error) {
	var names []string
	err := c.EachMeta(ctx, "Secret", namespace, metav1.ListOptions{}, func(secret *metav1.PartialObjectMetadata) {
		if wanted(secret) {
			names = append(names, secret.Name)
		}
	})
	if err != nil {
		return nil, err
	}
	var records []*unstructured.Unstructured
	if len(names) >= manyNames {
		// Nearly all of them are release records.
		if records, err = c.List(ctx, "Secret", namespace, metav1.ListOptions{LabelSelector: helmSelector}); err != nil {
			return nil, err
		}
		records = slices.DeleteFunc(records, func(secret *unstructured.Unstructured) bool {
			at := slices.Index(names, secret.GetName())
			if at >= 0 {
				names = slices.Delete(names, at, at+1)
			}
			return at < 0
		})
	}
	found := make([]*unstructured.Unstructured, len(names))
	err = concurrently(len(names), Width, func(i int) error {
		secret, err := c.resource(kinds["Secret"], namespace).Get(ctx, names[i], metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil // removed meanwhile
		}
		found[i] = secret
		return c.explain("reading secret "+names[i]+" in namespace "+namespace, err)
	})
	return append(records, slices.DeleteFunc(found, func(secret *unstructured.Unstructured) bool { return secret == nil })...), err
}

// ReleaseOf reads the release in a record of Tiller's: base64 of gzip of a
// protobuf, in a Secret once more in base64.
func ReleaseOf(record *unstructured.Unstructured) (*release.Release, error) {
	plain, err := payload(record)
	var r release.Release
	if err == nil {
		err = proto.Unmarshal(plain, protoadapt.MessageV2Of(&r))
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no release record of Helm 2: %w", keyOf(record), err)
	}
	return &r, nil
}

// HelmChartOf reads the name and version of the chart, as NAME-VERSION, in a record
// of Helm 3 or 4: base64 of gzip of JSON, in a Secret once more in base64.
func HelmChartOf(record *unstructured.Unstructured) (string, error) {
	plain, err := payload(record)
	var r struct {
		Chart struct {
			Metadata struct{ Name, Version string }
		}
	}
	if err == nil {
		err = json.Unmarshal(plain, &r)
	}
	if err != nil {
		return "", fmt.Errorf("%s is no release record of Helm 3 or 4: %w", keyOf(record), err)
	}
	return r.Chart.Metadata.Name + "-" + r.Chart.Metadata.Version, nil
}

// payload is what a release record holds.
func payload(record *unstructured.Unstructured) ([]byte, error) {
	text, _, err := unstructured.NestedString(record.Object, "data", "release")
	if err == nil && record.GetKind() == "Secret" {
		var inner []byte
		inner, err = base64.StdEncoding.DecodeString(text)
		text = string(inner)
	}
	if err != nil {
		return nil, err
	}
	return decode(text)
}

// decode reads what a ConfigMap holds of a release.
func decode(text string) ([]byte, error) {
	zipped, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return unzip(zipped)
}

// Deployed is a release of Helm 2's that is deployed.
type Deployed struct {
	// Home is the namespace of the record, Namespace that of the release.
	Home, Name, Namespace string
	// Record is "Secret NAME", or "ConfigMap NAME".
	Record string
}

// EachDeployed calls do for the deployed release of every record of that
// storage; problem gets those that can't be read. The records are large and come
// in small pages.
func (c *Client) EachDeployed(ctx context.Context, storage tenant.Storage, do func(Deployed), problem func(error)) error {
	options := metav1.ListOptions{LabelSelector: recordSelector + ",STATUS=DEPLOYED", Limit: 100}
	take := func(kind string, meta metav1.ObjectMeta, text string) {
		plain, err := decode(text)
		var r release.Release
		if err == nil {
			err = proto.Unmarshal(plain, protoadapt.MessageV2Of(&r))
		}
		if err != nil {
			problem(fmt.Errorf("%s is no release record of Helm 2: %w", Key{kind, meta.Namespace, meta.Name}, err))
			return
		}
		do(Deployed{meta.Namespace, r.Name, r.Namespace, kind + " " + meta.Name})
	}
	if storage == tenant.StorageConfigMap {
		return Each(ctx, c, "ConfigMap", "", options, func(m *corev1.ConfigMap) { take("ConfigMap", m.ObjectMeta, m.Data["release"]) })
	}
	return Each(ctx, c, "Secret", "", options, func(s *corev1.Secret) { take("Secret", s.ObjectMeta, string(s.Data["release"])) })
}

// unzip returns what is not zipped as it is: the oldest Tillers did not zip.
func unzip(text []byte) ([]byte, error) {
	if !bytes.HasPrefix(text, []byte{0x1f, 0x8b, 0x08}) {
		return text, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	plain, err := io.ReadAll(io.LimitReader(reader, maxRelease+1))
	if err == nil && len(plain) > maxRelease {
		return nil, fmt.Errorf("it unpacks to more than %d bytes", maxRelease)
	}
	return plain, err
}

// maxRelease bounds what a record unpacks to. A chart can bring a record of its
// own making, in which the one MiB that an object may have holds a thousand; of
// Tiller's own, with charts and values of text, the largest hold some ten.
const maxRelease = 64 << 20

// Stripped is a live object as it can be created again.
func Stripped(object *unstructured.Unstructured) *unstructured.Unstructured {
	plain := object.DeepCopy()
	for _, field := range serverFields {
		unstructured.RemoveNestedField(plain.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(plain.Object, "status")
	return plain
}

// serverFields are the metadata that the API server gives.
var serverFields = []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"}
