package cluster

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestRecordsThatAreNone: what is wrong is said of which object.
func TestRecordsThatAreNone(t *testing.T) {
	record := func(kind, text string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"kind": kind, "metadata": map[string]any{"name": "x.v1", "namespace": "a-tiller"}, "data": map[string]any{"release": text},
		}}
	}
	packed := base64.StdEncoding.EncodeToString([]byte("{"))
	for _, test := range []struct {
		name         string
		record       *unstructured.Unstructured
		helm2, helm3 string
	}{
		{"no base64", record("ConfigMap", "***"),
			"ConfigMap x.v1 in namespace a-tiller is no release record of Helm 2: illegal base64 data at input byte 0",
			"ConfigMap x.v1 in namespace a-tiller is no release record of Helm 3 or 4: illegal base64 data at input byte 0"},
		{"no base64 of a Secret's", record("Secret", "***"),
			"Secret x.v1 in namespace a-tiller is no release record of Helm 2: illegal base64 data at input byte 0",
			"Secret x.v1 in namespace a-tiller is no release record of Helm 3 or 4: illegal base64 data at input byte 0"},
		{"no release", record("Secret", base64.StdEncoding.EncodeToString([]byte(packed))),
			"Secret x.v1 in namespace a-tiller is no release record of Helm 2: what it holds is no protobuf of a release",
			"Secret x.v1 in namespace a-tiller is no release record of Helm 3 or 4: unexpected end of JSON input"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReleaseOf(test.record)
			_, err3 := HelmChartOf(test.record)
			// google.golang.org/protobuf puts one of two spaces into its errors, so that
			// nobody rests on them.
			plain := strings.ReplaceAll(errorText(err), "\u00a0", " ")
			if diff := cmp.Diff([]string{test.helm2, test.helm3}, []string{plain, errorText(err3)}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
