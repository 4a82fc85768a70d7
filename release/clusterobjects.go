package release

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// clusterKinds are kinds of objects outside namespaces that charts make, of Kubernetes and
// of what is installed in most clusters.
var clusterKinds = []string{
	"APIService", "CertificateSigningRequest", "ClusterIssuer", "ClusterRole", "ClusterRoleBinding", "CSIDriver", "CSINode",
	"CustomResourceDefinition", "FlowSchema", "IngressClass", "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume",
	"PodSecurityPolicy", "PriorityClass", "PriorityLevelConfiguration", "RuntimeClass", "StorageClass", "ThirdPartyResource",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeSnapshotClass",
}

// ClusterScoped reports whether objects of that kind are known to be outside namespaces. What
// an API server serves tells it of all kinds; this is for where none is asked, or where it
// does not serve the kind any more.
func ClusterScoped(kind string) bool { return slices.Contains(clusterKinds, kind) }

// maxClusterObjects bounds how many objects are kept of a manifest.
const maxClusterObjects = 20

// clusterObjects reads the objects of a manifest that are of a kind without namespaces, line
// by line: a manifest is as large as a record can unpack to. It knows a document's kind and
// name as charts write them: in lines of their own, and the name within metadata.
func (w *wire) clusterObjects(f field) ([]string, error) {
	// One buffer for all: a record may have as many manifests as it has bytes.
	if w.lines == nil {
		w.lines = bufio.NewReaderSize(nil, 1<<10)
	}
	manifest := w.lines
	manifest.Reset(io.LimitReader(w.r, f.size))
	var found []string
	kind, inMetadata := "", false
	for {
		line, err := manifest.ReadSlice('\n')
		w.offset += int64(len(line))
		whole := !errors.Is(err, bufio.ErrBufferFull)
		if err != nil && whole && !errors.Is(err, io.EOF) {
			return nil, cut(err)
		}
		text := bytes.TrimRight(line, " \r\n")
		switch {
		case bytes.HasPrefix(text, []byte("---")):
			kind, inMetadata = "", false
		case bytes.HasPrefix(text, []byte("kind:")):
			kind = scalar(text[len("kind:"):])
		case len(text) > 0 && text[0] != ' ' && text[0] != '#':
			inMetadata = bytes.Equal(text, []byte("metadata:"))
		case inMetadata && bytes.HasPrefix(text, []byte("  name:")) && ClusterScoped(kind) && len(found) < maxClusterObjects:
			found = append(found, kind+" "+scalar(text[len("  name:"):]))
		}
		for !whole { // the rest of a long line says nothing
			line, err = manifest.ReadSlice('\n')
			w.offset += int64(len(line))
			whole = !errors.Is(err, bufio.ErrBufferFull)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return found, nil
			}
			return nil, cut(err)
		}
	}
}

func scalar(text []byte) string { return strings.Trim(string(text), " \"'") }
