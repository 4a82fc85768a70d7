// Package records makes release records as a Tiller of Helm 2.17 stores them, for
// clusters on which none runs.
package records

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Release is one revision of a release.
type Release struct {
	Name, Namespace string
	Revision        int
	// Status is as Helm 2 spells it.
	Status string
	// Manifest is a ConfigMap of the release's name where it is empty.
	Manifest string
	// Template is a file of the chart; a short one if it is empty.
	Template string
}

// ManifestOf returns a manifest of ConfigMaps that hold a text of indented lines, 40 lines each.
func ManifestOf(name, text string) string {
	var manifest strings.Builder
	lines, objects := 0, 0
	for line := range strings.Lines(text) {
		if lines%40 == 0 {
			objects++
			fmt.Fprintf(&manifest, "---\n# Source: hello/templates/all.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s-%d\ndata:\n  text: |\n", name, objects)
		}
		lines++
		manifest.WriteString(line)
	}
	return manifest.String()
}

// codes are the numbers of k8s.io/helm/_proto/hapi/release/status.proto.
var codes = map[string]uint64{"UNKNOWN": 0, "DEPLOYED": 1, "DELETED": 2, "SUPERSEDED": 3, "FAILED": 4, "DELETING": 5, "PENDING_INSTALL": 6, "PENDING_UPGRADE": 7, "PENDING_ROLLBACK": 8}

// Secret returns the record in a Secret (k8s.io/helm/pkg/storage/driver, secrets.go); its
// namespace is left open.
func Secret(r Release) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: meta(r), Data: map[string][]byte{"release": []byte(Encode(r))}}
}

// ConfigMap returns the record in a ConfigMap (cfgmaps.go there).
func ConfigMap(r Release) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: meta(r), Data: map[string]string{"release": Encode(r)}}
}

func meta(r Release) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: fmt.Sprintf("%s.v%d", r.Name, r.Revision), Labels: map[string]string{
		"NAME": r.Name, "OWNER": "TILLER", "STATUS": r.Status, "VERSION": fmt.Sprint(r.Revision), "CREATED_AT": "1600000000"}}
}

// Encode returns the content of a record: base64 of gzip of the protobuf.
func Encode(r Release) string {
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write(release(r)) // into memory
	_ = zip.Close()
	return base64.StdEncoding.EncodeToString(zipped.Bytes())
}

// release returns the message of k8s.io/helm/_proto/hapi/release/release.proto.
func release(r Release) []byte {
	if r.Manifest == "" {
		r.Manifest = fmt.Sprintf("\n---\n# Source: hello/templates/all.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  greeting: %q\n", r.Name, fmt.Sprint(r.Revision))
	}
	if r.Template == "" {
		r.Template = "kind: ConfigMap"
	}
	message := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	text := func(field protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), value)
	}
	number := func(field protowire.Number, value uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), value)
	}
	when := func(seconds uint64) []byte { return message(number(1, seconds), number(2, 123456789)) }
	return message(
		text(1, []byte(r.Name)),
		text(2, message( // info
			text(1, number(1, codes[r.Status])),
			text(2, when(1600000000)),
			text(3, when(1600000000+uint64(r.Revision))),
			text(5, []byte("Install complete")),
		)),
		text(3, message( // chart
			text(1, message(text(1, []byte("hello")), text(4, []byte("0.1.0")), text(10, []byte("v1")))),
			text(2, message(text(1, []byte("templates/all.yaml")), text(2, []byte(r.Template)))),
			text(4, text(1, []byte("greeting: hello\n"))),
		)),
		text(4, text(1, []byte("greeting: you\n"))),
		text(5, []byte(r.Manifest)),
		number(7, uint64(r.Revision)),
		text(8, []byte(r.Namespace)),
	)
}
