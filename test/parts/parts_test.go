package parts

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A part's version is in its cache folder's name and in its output; its go.mod determines what
// is compiled. Both must agree.
func TestPinnedVersions(t *testing.T) {
	for _, p := range All() {
		pins, err := os.ReadFile(filepath.Join(p.Folder, "go.mod"))
		if os.IsNotExist(err) {
			continue // a program of this module
		}
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, line := range strings.Split(string(pins), "\n") {
			f := strings.Fields(strings.TrimPrefix(line, "require "))
			if len(f) < 2 || strings.TrimSuffix(f[1], "+incompatible") != p.Version {
				continue
			}
			// A main package of the folder's own is about what it requires itself.
			direct := p.Package == "." && !strings.Contains(line, "// indirect")
			if direct || p.Package == f[0] || strings.HasPrefix(p.Package, f[0]+"/") {
				found = true
			}
		}
		if !found {
			t.Errorf("%s is %s in the table, and %s/go.mod does not require that", p.Name, p.Version, p.Folder)
		}
	}
}

func TestBuildOnceThenFromTheCache(t *testing.T) {
	t.Setenv("HELM_TENANT_CACHE", t.TempDir())
	var log bytes.Buffer
	first, err := Build(context.Background(), &log, "pause")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "building pause") {
		t.Errorf("the first build did not say what it builds: %q", log.String())
	}
	log.Reset()
	second, err := Build(context.Background(), &log, "pause")
	if err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 || second["pause"] != first["pause"] {
		t.Errorf("the second build was not served from the cache: %q, %q", log.String(), second["pause"])
	}

	out, err := exec.Command(first["pause"], "cat", "go.mod").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no such file") {
		t.Errorf("pause cat of a file that is not there: %q, %v", out, err)
	}
}

func TestOneOfManyBuilds(t *testing.T) {
	t.Setenv("HELM_TENANT_CACHE", t.TempDir())
	logs := make([]bytes.Buffer, 4)
	var all sync.WaitGroup
	for i := range logs {
		all.Go(func() {
			if _, err := Build(context.Background(), &logs[i], "pause"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	built := 0
	for i := range logs {
		built += strings.Count(logs[i].String(), "built pause")
	}
	if built != 1 {
		t.Errorf("pause was built %d times at once", built)
	}
}

func TestFailedBuild(t *testing.T) {
	cache := t.TempDir()
	b := &builder{log: io.Discard, cache: cache, source: ".", keys: map[string][]byte{}}
	_, err := b.build(context.Background(), Part{Name: "none", Version: "v1", Folder: "pause", Package: "./no-such-package"})
	if err == nil || !strings.Contains(err.Error(), "no-such-package") {
		t.Errorf("want the compiler's words, got %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(cache, "*"))
	if len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Errorf("left in the cache: %v", left)
	}
}

func TestUnknownPart(t *testing.T) {
	_, err := Build(context.Background(), nil, "kube-apiserve")
	if err == nil || !strings.Contains(err.Error(), "kube-apiserver") {
		t.Errorf("want an error that names the parts there are, got %v", err)
	}
}
