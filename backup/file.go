package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"helm-tenant/cluster"
	"helm-tenant/release"
	"helm-tenant/visible"
)

const (
	// backupHead begins a backup file, and backupTail ends it: a List that kubectl takes.
	// Each item begins a line with "- ", so that it is written and read without the others.
	backupHead, backupTail = "apiVersion: v1\nitems:\n", "kind: List\n"
	// maxItem bounds an item: an object has at most some 3 MiB of JSON.
	maxItem = 8 << 20
	// maxForeign bounds a file of another form, which is read whole: kubectl's, or one of
	// an earlier version's.
	maxForeign = 256 << 20
)

// wholeBackup is a backup file that is being written, and what is in it.
type wholeBackup struct {
	name string
	file *os.File
	w    *bufio.Writer
	// items are the hashes of the items, by those of their text; versions the resource
	// versions of the records by their UIDs, namespaces where they are.
	items      map[hash]hash
	versions   map[types.UID]string
	namespaces map[string]bool
}

func newWholeBackup(f *os.File) *wholeBackup {
	return &wholeBackup{name: f.Name(), file: f, w: bufio.NewWriterSize(f, 1<<16), items: map[hash]hash{}, versions: map[types.UID]string{}, namespaces: map[string]bool{}}
}

type hash = [sha256.Size]byte

// add writes one record. The first also writes the head.
func (b *wholeBackup) add(record cluster.Record) error {
	text, err := json.Marshal(record.Object)
	if err != nil {
		return err
	}
	object, whole, err := parseItem(text)
	if err != nil {
		return err
	}
	block, err := itemText(object)
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

// itemText is an item in YAML. Its data, which are most of it, are written as the JSON
// texts that YAML takes, too: a YAML library looks at each of their bytes many times.
func itemText(object map[string]any) ([]byte, error) {
	data, _ := object["data"].(map[string]any)
	rest := maps.Clone(object)
	delete(rest, "data")
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
		value, err := json.Marshal(data[key])
		if err != nil {
			return nil, err
		}
		block = fmt.Appendf(block, "  %s: %s\n", printable(name), printable(value))
	}
	return block, nil
}

// close ends the file, and sees that it is on the disk.
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

// printable escapes what a JSON text may hold as it is and a YAML text may not
// (https://yaml.org/spec/1.1, c-printable), and what a terminal hides: annotations are
// anybody's words. JSON has no escape of one character for those beyond U+FFFF.
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

// parseItem reads an item and a hash that is the same for the same object, in whichever
// order its fields stand, and with or without those that are null.
func parseItem(text []byte) (map[string]any, hash, error) {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, hash{}, err
	}
	if meta, is := object["metadata"].(map[string]any); is && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
	plain, err := json.Marshal(object)
	return object, sha256.Sum256(plain), err
}

// isIn reports whether a file has all of the items, just as they are.
func (b *wholeBackup) isIn(file string) bool {
	left := map[hash]bool{}
	for _, whole := range b.items {
		left[whole] = true
	}
	err := eachSaved(file, func(item savedItem) {
		if whole, found := b.items[sha256.Sum256(item.text)]; found {
			delete(left, whole) // it need not be parsed
			return
		}
		if _, whole, err := item.parse(); err == nil {
			delete(left, whole)
		}
	})
	return err == nil && len(left) == 0
}

// isOlder reports whether a file is a backup of records in a namespace in which some of
// these are.
func (b *wholeBackup) isOlder(file string) bool {
	older := false
	err := eachSaved(file, func(item savedItem) {
		if older {
			return
		}
		if object, _, err := item.parse(); err == nil {
			old := unstructured.Unstructured{Object: object}
			labels := old.GetLabels()
			older = (release.IsTillers(labels) || labels["owner"] == "helm") && b.namespaces[old.GetNamespace()]
		}
	})
	return err == nil && older
}

// savedItem is one of a backup file.
type savedItem struct {
	text   []byte
	isYAML bool
}

func (i savedItem) parse() (map[string]any, hash, error) {
	text := i.text
	if i.isYAML {
		var err error
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return nil, hash{}, err
		}
	}
	return parseItem(text)
}

// eachSaved calls do for each item in a backup file; its text is gone when do returns. One that is no regular file
// is not opened: a pipe would wait for whoever writes it.
func eachSaved(file string, do func(savedItem)) error {
	if err := checkFile(file); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	if head, _ := r.Peek(len(backupHead)); string(head) != backupHead {
		return eachForeign(r, do)
	}
	if _, err := r.Discard(len(backupHead)); err != nil {
		return err
	}
	return eachItem(r, do)
}

// eachItem reads the items of a backup file. One after which neither another nor the
// file's end follows may be cut, and is none.
func eachItem(r *bufio.Reader, do func(savedItem)) error {
	var item, line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(item)+len(line) > maxItem {
			return fmt.Errorf("an item has more than %d bytes", maxItem)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		rest, indented := bytes.CutPrefix(line, []byte("  "))
		if !indented {
			if len(item) > 0 {
				do(savedItem{item, true})
			}
			item = item[:0]
			if rest, indented = bytes.CutPrefix(line, []byte("- ")); !indented {
				return nil // the file's end
			}
		}
		item = append(item, rest...)
		line = line[:0]
	}
}

// eachForeign reads the items of a list that is written in another way.
func eachForeign(r io.Reader, do func(savedItem)) error {
	text, err := io.ReadAll(io.LimitReader(r, maxForeign))
	if err != nil {
		return err
	}
	var list struct{ Items []json.RawMessage }
	if json.Unmarshal(text, &list) != nil {
		if err := yaml.Unmarshal(text, &list); err != nil {
			return err
		}
	}
	for _, item := range list.Items {
		do(savedItem{item, false})
	}
	return nil
}

// copyFile makes a new file with what another holds, which only its owner can read:
// records hold the values of releases.
func copyFile(from, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	source, err := os.Open(from)
	if err == nil {
		_, err = io.Copy(f, source)
		err = errors.Join(err, source.Close())
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil { // half a backup would be in the way the next time
		if removeErr := os.Remove(to); !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}
