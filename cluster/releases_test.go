package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestInvalidRecords: the error names the object and what is wrong with it.
func TestInvalidRecords(t *testing.T) {
	c := clientOf(t, nil)
	key := func(kind string) Stored { return Stored{Key: Key{kind, "a-tiller", "x.v1"}} }
	for _, test := range []struct {
		name   string
		record Record
		want   string
	}{
		{"no base64", Record{key("ConfigMap"), &corev1.ConfigMap{Data: map[string]string{"release": "****"}}},
			"ConfigMap x.v1 in namespace a-tiller is no release record of Helm 2: illegal base64 data at input byte 0"},
		{"no release", Record{key("Secret"), &corev1.Secret{Data: map[string][]byte{"release": []byte("ew==")}}},
			"Secret x.v1 in namespace a-tiller is no release record of Helm 2: what it holds is no protobuf of a release"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.ReleaseOf(test.record)
			// google.golang.org/protobuf puts one of two spaces into its errors, so that
			// nobody rests on them.
			if diff := cmp.Diff(test.want, strings.ReplaceAll(errorText(err), "\u00a0", " ")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
