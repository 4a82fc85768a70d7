package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"helm-tenant/cluster"
	"helm-tenant/visible"
)

const (
	// backupHead and backupTail surround the items of a backup file: a List that kubectl
	// accepts. Each item begins a line with "- ", so that it can be written and read
	// alone.
	backupHead, backupTail = "apiVersion: v1\nitems:\n", "kind: List\n"
	// maxItem bounds an item: the JSON of an object has at most some 3 MiB.
	maxItem = 8 << 20
	// maxForeign bounds a file in another format, which is read into memory: kubectl's,
	// or one of an earlier version.
	maxForeign = 256 << 20
)

// wholeBackup is a backup file that is being written, with an index of its content.
type wholeBackup struct {
	name string
	file *os.File
	w    *bufio.Writer
	// items has the hashes of the items, by the hashes of their texts; versions the
	// resource versions of the records by their UIDs; namespaces the records' namespaces.
	items      map[hash]hash
	versions   map[types.UID]string
	namespaces map[string]bool
}

type hash = [sha256.Size]byte

// add writes one record. The first one also writes the head.
func (b *wholeBackup) add(record cluster.Record) error {
	rest, data, err := split(record.Object)
	if err != nil {
		return err
	}
	block, err := itemText(rest, data)
	if err != nil {
		return err
	}
	whole, err := hashOf(rest, data)
	if err != nil {
		return err
	}
	if len(b.items) == 0 {
		if _, err := b.w.WriteString(backupHead); err != nil {
			return err
		}
	}
	b.items[sha256.Sum256(block)] = whole
	b.versions[record.UID] = record.ResourceVersion
	b.namespaces[record.Key.Namespace] = true
	begin := "- "
	for line := range bytes.Lines(block) {
		if _, err := b.w.WriteString(begin); err != nil {
			return err
		}
		if _, err := b.w.Write(line); err != nil {
			return err
		}
		begin = "  "
	}
	return nil
}

// split returns an object without its data, and the data as strings of its JSON. They are
// most of the object, and are not converted with the rest.
func split(object runtime.Object) (rest map[string]any, data map[string]string, err error) {
	data = map[string]string{}
	var small any = object
	switch o := object.(type) {
	case *corev1.Secret:
		for key, value := range o.Data {
			data[key] = base64.StdEncoding.EncodeToString(value)
		}
		without := *o
		without.Data, small = nil, &without
	case *corev1.ConfigMap:
		maps.Copy(data, o.Data)
		without := *o
		without.Data, small = nil, &without
	}
	text, err := json.Marshal(small)
	if err == nil {
		err = json.Unmarshal(text, &rest)
	}
	if err == nil {
		withoutNoTime(rest)
	}
	return rest, data, err
}

// withoutNoTime removes a null time of creation, which typed objects write.
func withoutNoTime(object map[string]any) {
	if meta, ok := object["metadata"].(map[string]any); ok && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
}

// hashOf returns a hash of an object that does not depend on the order of its fields.
func hashOf(rest map[string]any, data map[string]string) (hash, error) {
	text, err := json.Marshal(rest)
	if err != nil {
		return hash{}, err
	}
	h := sha256.New()
	for _, part := range append([]string{string(text)}, inOrder(data)...) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // writing to a hash can't fail
		_, _ = io.WriteString(h, part)
	}
	return hash(h.Sum(nil)), nil
}

// inOrder returns the keys and values, sorted by key.
func inOrder(data map[string]string) []string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(data)) {
		parts = append(parts, key, data[key])
	}
	return parts
}

// itemText returns an item in YAML. Its data are written as JSON strings, which are valid
// YAML: a YAML library would look at each of their bytes many times.
func itemText(rest map[string]any, data map[string]string) ([]byte, error) {
	text, err := json.Marshal(rest)
	if err != nil {
		return nil, err
	}
	block, err := yaml.JSONToYAML(printable(text))
	if err != nil || len(data) == 0 {
		return block, err
	}
	block = append(block, "data:\n"...)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		block = fmt.Appendf(block, "  %s: ", printable(name))
		if isBase64(data[key]) {
			block = fmt.Appendf(block, "\"%s\"\n", data[key])
			continue
		}
		value, err := json.Marshal(data[key])
		if err != nil {
			return nil, err
		}
		block = fmt.Appendf(block, "%s\n", printable(value))
	}
	return block, nil
}

// isBase64 reports whether a text has only characters of base64, which need no escape in
// JSON.
func isBase64(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}

// close ends the file, and syncs it to the disk.
func (b *wholeBackup) close() error {
	_, err := b.w.WriteString(backupTail)
	if err == nil {
		err = b.w.Flush()
	}
	if err == nil {
		err = b.file.Sync()
	}
	if closeErr := b.file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// printable escapes the characters that JSON allows and YAML does not
// (https://yaml.org/spec/1.1, c-printable), and those that a terminal hides: annotations
// are untrusted. JSON has no single escape for characters beyond U+FFFF.
func printable(text []byte) []byte {
	plain := func(r rune) bool { return r > 0xffff || r < ' ' || !visible.Hidden(r) }
	if bytes.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	var escaped bytes.Buffer
	for _, r := range string(text) {
		if plain(r) {
			escaped.WriteRune(r)
		} else {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		}
	}
	return escaped.Bytes()
}

// parseItem parses an item and returns its hash; see hashOf.
func parseItem(text []byte) (map[string]any, hash, error) {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, hash{}, err
	}
	withoutNoTime(object)
	rest, data := maps.Clone(object), map[string]string{}
	values, _ := object["data"].(map[string]any)
	for key, value := range values {
		text, ok := value.(string)
		if !ok { // neither a Secret nor a ConfigMap has it
			return nil, hash{}, fmt.Errorf("the value %q is no text", key)
		}
		data[key] = text
	}
	delete(rest, "data")
	whole, err := hashOf(rest, data)
	return object, whole, err
}
