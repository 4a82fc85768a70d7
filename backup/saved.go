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
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"helm-tenant/release"
)

// isIn reports whether a file has all of the items in the same state.
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

// isOlder reports whether a file is a backup of records in a namespace that also has some
// of these records.
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

// eachSaved calls do for each item in a backup file; the item's text is valid until do
// returns. A file that is not regular is not opened: a pipe would wait for its writer.
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

// eachItem reads the items of a backup file. An item that is followed by neither another
// item nor the file's end may be cut, and is left out.
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
				return nil // the end of the file
			}
		}
		item = append(item, rest...)
		line = line[:0]
	}
}

// eachForeign reads the items of a list in another format.
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

// copyFile copies a file into a new one that only its owner can read, since records
// contain the values of releases.
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
