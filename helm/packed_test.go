package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"
)

// packedChart returns an archive with files of those names.
func packedChart(t *testing.T, names ...string) []byte {
	t.Helper()
	return packed(t, "x", names...)
}

// packedText returns an archive with one file.
func packedText(t *testing.T, name, content string) []byte {
	t.Helper()
	return packed(t, content, name)
}

func packed(t *testing.T, content string, names ...string) []byte {
	t.Helper()
	var text bytes.Buffer
	zipped := gzip.NewWriter(&text)
	files := tar.NewWriter(zipped)
	for _, name := range names {
		if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}
