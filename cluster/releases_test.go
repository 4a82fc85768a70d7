package cluster

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestRecordThatUnpacksToTooMuch: a chart can bring a record of its own making.
func TestRecordThatUnpacksToTooMuch(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.CopyN(w, zeros{}, maxRelease+1); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if zipped.Len() > 1<<20 {
		t.Fatalf("%d bytes do not fit into an object", zipped.Len())
	}
	record := &unstructured.Unstructured{Object: map[string]any{
		"kind": "ConfigMap", "metadata": map[string]any{"name": "x.v1", "namespace": "a-tiller"},
		"data": map[string]any{"release": base64.StdEncoding.EncodeToString(zipped.Bytes())},
	}}
	_, err := ReleaseOf(record)
	if err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("reading it says %v", err)
	}
}
