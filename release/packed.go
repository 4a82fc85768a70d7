package release

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// key is the one under which a record holds its release.
const key = "release"

// maxUnpacked bounds what a record unpacks to. A chart can bring a record of its
// own making, in which the one MiB that an object may have holds a thousand; of
// helm's own, with charts and values of text, the largest hold some ten.
const maxUnpacked = 64 << 20

var magicGzip = []byte{0x1f, 0x8b, 0x08}

// Packed is what a record, a Secret or a ConfigMap, holds of its release.
func Packed(record *unstructured.Unstructured) ([]byte, error) {
	text, _, err := unstructured.NestedString(record.Object, "data", key)
	if err == nil && record.GetKind() == "Secret" {
		return base64.StdEncoding.DecodeString(text)
	}
	return []byte(text), err
}

// pack is base64 of gzip.
func pack(plain []byte) ([]byte, error) {
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(plain); err == nil {
		err = w.Close()
	}
	return base64.StdEncoding.AppendEncode(nil, zipped.Bytes()), err
}

// unpack undoes it. The oldest Tillers and the first Helm 3 did not zip.
func unpack(packed []byte) ([]byte, error) {
	text, err := base64.StdEncoding.AppendDecode(nil, packed)
	if err != nil || !bytes.HasPrefix(text, magicGzip) {
		return text, err
	}
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	plain, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err == nil && len(plain) > maxUnpacked {
		err = fmt.Errorf("it unpacks to more than %d bytes", maxUnpacked)
	}
	return plain, err
}
