package release

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

func packed(t *testing.T, plain string) []byte {
	t.Helper()
	text, err := pack([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// bomb fits into an object and unpacks to so many bytes.
func bomb(t *testing.T, size int64) []byte {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.CopyN(w, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if zipped.Len() > 1<<20 {
		t.Fatalf("%d bytes do not fit into an object", zipped.Len())
	}
	return base64.StdEncoding.AppendEncode(nil, zipped.Bytes())
}

// TestTooMuch: a chart can bring a record of its own making.
func TestTooMuch(t *testing.T) {
	for name, read := range map[string]func([]byte) error{
		"Helm 2":            func(packed []byte) error { _, err := Helm2(packed); return err },
		"Helm 3":            func(packed []byte) error { return helm3(packed, &struct{}{}) },
		"a chart of Helm's": func(packed []byte) error { _, err := HelmChart(packed); return err },
	} {
		if err := read(bomb(t, maxUnpacked+1)); err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
			t.Errorf("%s: reading it says %v", name, err)
		}
	}
	if plain, err := unpack(bomb(t, maxUnpacked)); err != nil || len(plain) != maxUnpacked {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
}

func TestUnpack(t *testing.T) {
	whole := packed(t, strings.Repeat("x", 100))
	zipped, err := base64.StdEncoding.DecodeString(string(whole))
	if err != nil {
		t.Fatal(err)
	}
	encode := func(text []byte) []byte { return base64.StdEncoding.AppendEncode(nil, text) }
	for _, test := range []struct {
		name   string
		packed []byte
		want   string
		fails  bool
	}{
		{"packed", whole, strings.Repeat("x", 100), false},
		{"not zipped", encode([]byte("plain")), "plain", false},
		{"nothing", nil, "", false},
		{"no base64", []byte("***"), "", true},
		{"cut", encode(zipped[:15]), "", true},
		{"cut in its head", encode(zipped[:5]), "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			plain, err := unpack(test.packed)
			if test.fails != (err != nil) || err == nil && string(plain) != test.want {
				t.Errorf("%q, %v", plain, err)
			}
		})
	}
}

// TestPacked: in a ConfigMap the text stands as it is, in a Secret once more in
// base64.
func TestPacked(t *testing.T) {
	plain, err := proto.Marshal(protoadapt.MessageV2Of(&release2.Release{Name: "web", Namespace: "a", Version: 3}))
	if err != nil {
		t.Fatal(err)
	}
	text := packed(t, string(plain))
	for kind, data := range map[string]string{"ConfigMap": string(text), "Secret": base64.StdEncoding.EncodeToString(text)} {
		got, err := Packed(&unstructured.Unstructured{Object: map[string]any{"kind": kind, "data": map[string]any{"release": data}}})
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
		r, err := Helm2(got)
		if err != nil || r.GetName() != "web" || r.GetNamespace() != "a" || r.GetVersion() != 3 {
			t.Errorf("%s: %v, %v", kind, r, err)
		}
	}
}
