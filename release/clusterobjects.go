package release

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// clusterKinds are cluster-scoped kinds that charts contain, of Kubernetes and of
// software that is installed in most clusters.
var clusterKinds = []string{
	"APIService", "CertificateSigningRequest", "ClusterIssuer", "ClusterRole", "ClusterRoleBinding", "CSIDriver", "CSINode",
	"CustomResourceDefinition", "FlowSchema", "IngressClass", "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume",
	"PodSecurityPolicy", "PriorityClass", "PriorityLevelConfiguration", "RuntimeClass", "StorageClass", "ThirdPartyResource",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeSnapshotClass",
}

// ClusterScoped reports whether a kind is known to be cluster-scoped. An API server knows
// it for all kinds that it serves; this is for the case that none is asked, or that it no
// longer serves the kind.
func ClusterScoped(kind string) bool { return slices.Contains(clusterKinds, kind) }

// maxClusterObjects bounds the objects that are kept of a manifest.
const maxClusterObjects = 20

// clusterObjects reads the cluster-scoped objects of a manifest line by line, since a
// manifest may be as large as a record can unpack to. It recognises a document's kind and
// name as charts write them: on lines of their own, and the name within metadata.
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
		text := line
		if inMetadata || len(line) > 0 && line[0] != ' ' { // most lines are neither
			text = bytes.TrimRight(line, " \r\n")
		}
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
		for !whole { // the rest of a long line does not matter
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
