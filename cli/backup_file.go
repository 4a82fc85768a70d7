package cli

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"helm-tenant/cluster"
	"helm-tenant/release"
	"helm-tenant/visible"
)

const (
	// backupHead begins a backup file: a List that kubectl takes, an item a line. A line
	// of JSON is YAML, too, and is written and read without the others.
	backupHead = "apiVersion: v1\nkind: List\nitems:\n"
	// maxItem bounds a line: an object has at most some 3 MiB of JSON.
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
	// items are the hashes of the items, versions the resource versions of the records
	// by their UIDs, namespaces where they are.
	items      map[[sha256.Size]byte]bool
	versions   map[types.UID]string
	namespaces map[string]bool
}

func newWholeBackup(f *os.File) *wholeBackup {
	return &wholeBackup{name: f.Name(), file: f, w: bufio.NewWriterSize(f, 1<<16), items: map[[sha256.Size]byte]bool{}, versions: map[types.UID]string{}, namespaces: map[string]bool{}}
}

// add writes one record. The first also writes the head.
func (b *wholeBackup) add(record cluster.Record) error {
	text, err := json.Marshal(record.Object)
	if err != nil {
		return err
	}
	hash, err := hashOf(text)
	if err != nil {
		return err
	}
	if len(b.items) == 0 {
		if _, err := b.w.WriteString(backupHead); err != nil {
			return err
		}
	}
	b.items[hash] = true
	b.versions[record.UID] = record.ResourceVersion
	b.namespaces[record.Key.Namespace] = true
	_, err = fmt.Fprintf(b.w, "- %s\n", printable(text))
	return err
}

// close ends the file, and sees that it is on the disk.
func (b *wholeBackup) close() error {
	err := b.w.Flush()
	if err == nil {
		err = b.file.Sync()
	}
	if closeErr := b.file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// printable escapes what JSON may hold as it is and YAML may not
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

// hashOf is the same for the same object, in whichever order its fields stand, and with
// or without those that are null.
func hashOf(text []byte) ([sha256.Size]byte, error) {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return [sha256.Size]byte{}, err
	}
	if meta, is := object["metadata"].(map[string]any); is && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
	plain, err := json.Marshal(object)
	return sha256.Sum256(plain), err
}

// isIn says whether a file has all of the items, just as they are.
func (b *wholeBackup) isIn(file string) bool {
	left := map[[sha256.Size]byte]bool{}
	for hash := range b.items {
		left[hash] = true
	}
	err := eachSaved(file, func(item []byte) {
		if hash, err := hashOf(item); err == nil {
			delete(left, hash)
		}
	})
	return err == nil && len(left) == 0
}

// isOlder says whether a file is a backup of records in a namespace in which some of
// these are.
func (b *wholeBackup) isOlder(file string) bool {
	older := false
	err := eachSaved(file, func(item []byte) {
		var old unstructured.Unstructured
		if json.Unmarshal(item, &old.Object) == nil {
			labels := old.GetLabels()
			older = older || (release.IsTillers(labels) || labels["owner"] == "helm") && b.namespaces[old.GetNamespace()]
		}
	})
	return err == nil && older
}

// eachSaved calls do for each item in a backup file, as JSON. One that is no regular file
// is not opened: a pipe would wait for whoever writes it.
func eachSaved(file string, do func(item []byte)) error {
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
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxItem {
			return fmt.Errorf("an item in %s has more than %d bytes", file, maxItem)
		}
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil // a line that was cut is no item
		case err != nil:
			return err
		}
		if item, is := bytes.CutPrefix(line, []byte("- ")); is {
			do(bytes.TrimSpace(item))
		}
		line = line[:0]
	}
}

// eachForeign reads the items of a list that is written in another way.
func eachForeign(r io.Reader, do func(item []byte)) error {
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
		do(item)
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
