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
func (b backups) save(file string, records []*unstructured.Unstructured) (string, error) {
	if len(records) == 0 {
		return "", nil
	}
	if file == "" {
		file = fmt.Sprintf("helm-tenant-%s%s-%s.yaml", b.tenant, b.part, b.env.Now().UTC().Format("20060102-150405"))
	}
	if err := backUp(file, records); err != nil {
		return "", err
	}
	b.told("%s of tenant %s backed up in %s", counted(len(records), "release record"), b.tenant, file)
	return file, nil
}

// saveAnew writes the records to a second file, if the first does not hold them:
// somebody wrote them meanwhile. The second's name is the first's with suffix.
func (b backups) saveAnew(file, suffix string, records []*unstructured.Unstructured) error {
	if holds(file, items(records)) {
		return nil
	}
	if file != "" {
		ending := filepath.Ext(file)
		file = strings.TrimSuffix(file, ending) + suffix + ending
	}
	_, err := b.save(file, records)
	return err
}

// backUp writes the records to a new file that only its owner can read: they hold the
// values of releases.
func backUp(file string, records []*unstructured.Unstructured) error {
	items := items(records)
	text, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) && holds(file, items) {
		return nil // by a run that did not come to its end
	}
	if err != nil {
		return fmt.Errorf("the backup can't be written, and nothing is removed without it: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("the backup can't be written, and nothing is removed without it: %w", err)
	}
	return nil
}

// items are records as a backup file has them.
func items(records []*unstructured.Unstructured) []any {
	var items []any
	for _, record := range records {
		items = append(items, cluster.Stripped(record).Object)
	}
	return items
}

// holds says whether a backup file has all of these items, just as they are.
func holds(file string, items []any) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	var saved struct{ Items []any }
	if yaml.Unmarshal(text, &saved) != nil {
		return false
	}
	found := map[string]bool{}
	for _, item := range saved.Items {
		plain, _ := json.Marshal(item) // as it came from JSON
		found[string(plain)] = true
	}
	return !slices.ContainsFunc(items, func(item any) bool {
		plain, err := json.Marshal(item)
		return err != nil || !found[string(plain)]
	})
}
