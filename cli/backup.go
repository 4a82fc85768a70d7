package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"helm-tenant/cluster"
	"helm-tenant/release"
)

// backups are the backup files of one tenant's release records.
type backups struct {
	*session
	tenant string
	// part tells these records from others of the tenant's in a file's name, empty
	// where there are no others.
	part string
	// told is called with a sentence for each file.
	told func(format string, args ...any)
}

// save writes the records to a file and returns its name; file is where, and empty
// a new one in the current folder. Without records there is none.
//
// A file that is there is never written over. One that holds the records already will
// do. One with older records of the same tenant is by a run that did not come to its
// end, or was asked for before, and a helm has written since: then the next free name
// is taken, FILE-2, FILE-3 and so on. Any other file is not ours to write beside: it
// is refused, if somebody named it.
func (b backups) save(file string, records []*unstructured.Unstructured) (string, error) {
	named := file != ""
	if !named {
		file = b.newName()
	}
	file, err := b.write(file, named, records)
	if err != nil {
		return "", fmt.Errorf("the backup can't be written, and nothing is removed without it: %w", err)
	}
	return file, nil
}

// saveAnew writes the records to a second file, if the first does not hold them:
// somebody wrote them meanwhile. The second's name is the first's with suffix, or the
// next free one: nobody named it, and there is no way back to before the first.
func (b backups) saveAnew(file, suffix string, records []*unstructured.Unstructured) error {
	switch {
	case file == "":
		file = b.newName()
	case holds(file, items(records)):
		return nil
	default:
		file = suffixed(file, suffix)
	}
	if _, err := b.write(file, false, records); err != nil {
		return withHint(fmt.Errorf("what was done so far stays done, and no record is removed: some were written since the backup, and the second one can't be written: %w", err),
			"the same command again goes on; --backup names another file")
	}
	return nil
}

func (b backups) newName() string {
	return fmt.Sprintf("helm-tenant-%s%s-%s.yaml", b.tenant, b.part, b.env.Now().UTC().Format("20060102-150405"))
}

// suffixed is a file's name with a suffix before its ending.
func suffixed(file, suffix string) string {
	ending := filepath.Ext(file)
	return strings.TrimSuffix(file, ending) + suffix + ending
}

// write writes the records to the file, or to the next free one; see save. named says
// that somebody named it.
func (b backups) write(file string, named bool, records []*unstructured.Unstructured) (string, error) {
	if len(records) == 0 {
		return "", nil
	}
	items := items(records)
	text, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return "", err
	}
	free := file
	for number := 2; ; number++ {
		err := create(free, text)
		taken := errors.Is(err, fs.ErrExist)
		switch {
		case err == nil, taken && holds(free, items): // by a run that did not come to its end
			if free != file {
				b.told("%s is there already, and stays as it is", file)
			}
			b.told("%s of tenant %s backed up in %s", counted(len(records), "release record"), b.tenant, free)
			return free, nil
		case !taken, named && free == file && !isOlder(file, records):
			return "", err
		}
		free = suffixed(file, fmt.Sprintf("-%d", number))
	}
}

// create writes a new file that only its owner can read: records hold the values of
// releases.
func create(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil { // half a backup would be in the way the next time
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// items are records as a backup file has them.
func items(records []*unstructured.Unstructured) []any {
	var items []any
	for _, record := range records {
		items = append(items, cluster.Stripped(record).Object)
	}
	return items
}

// isOlder says whether a file is a backup of records in a namespace in which some of
// these are.
func isOlder(file string, records []*unstructured.Unstructured) bool {
	return slices.ContainsFunc(saved(file), func(item any) bool {
		object, _ := item.(map[string]any)
		old := unstructured.Unstructured{Object: object}
		labels := old.GetLabels()
		return (release.IsTillers(labels) || labels["owner"] == "helm") && slices.ContainsFunc(records, func(record *unstructured.Unstructured) bool {
			return record.GetNamespace() == old.GetNamespace()
		})
	})
}

// saved are the items in a backup file, none where it is no such file.
func saved(file string) []any {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var list struct{ Items []any }
	if yaml.Unmarshal(text, &list) != nil {
		return nil
	}
	return list.Items
}

// holds says whether a backup file has all of these items, just as they are.
func holds(file string, items []any) bool {
	found := map[string]bool{}
	for _, item := range saved(file) {
		plain, _ := json.Marshal(item) // as it came from JSON
		found[string(plain)] = true
	}
	return !slices.ContainsFunc(items, func(item any) bool {
		plain, err := json.Marshal(item)
		return err != nil || !found[string(plain)]
	})
}
