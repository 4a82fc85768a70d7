//go:build unix

package helm

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMayHaveCRDs: false only where no crds folder can be. Not for Windows: Wine can neither
// make symbolic links nor remove files as Go does there.
func TestMayHaveCRDs(t *testing.T) {
	root := t.TempDir()
	write := func(name string, text []byte) string {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(name)
	}
	plain := write("plain/Chart.yaml", nil)
	write("plain/templates/a.yaml", nil)
	write("plain/charts/sub/templates/a.yaml", nil)
	write("plain/charts/sub-1.0.0.tgz", packedChart(t, "sub/Chart.yaml", "sub/templates/a.yaml"))
	linked := write("linked/Chart.yaml", nil)
	if err := os.Symlink(plain, filepath.Join(linked, "more")); err != nil {
		t.Fatal(err)
	}
	write("sub/charts/s/crds/a.yaml", nil)
	write("packed-sub/charts/s.tgz", packedChart(t, "s/crds/a.yaml"))
	write("packed-twice/charts/s.tgz", packedChart(t, "s/charts/t-1.0.0.tgz"))
	write("no-archive/charts/s.tgz", []byte("x"))
	write("plain.tgz", packedChart(t, "c/Chart.yaml", "c/charts/s/templates/a.yaml"))
	write("crds.tgz", packedChart(t, "c/./crds/a.yaml"))
	whole := packedChart(t, "c/Chart.yaml")
	write("cut.tgz", whole[:len(whole)/2])
	for _, c := range []struct {
		chart string
		want  bool
		flags []string
	}{
		{"plain", false, nil},
		{"plain", true, []string{"--repo=http://127.0.0.1:1"}},
		{"plain", true, []string{"--dependency-update"}},
		{"linked", true, nil},
		{"sub", true, nil},
		{"packed-sub", true, nil},
		{"packed-twice", true, nil},
		{"no-archive", true, nil},
		{"plain.tgz", false, nil},
		{"crds.tgz", true, nil},
		{"cut.tgz", true, nil},
		{"nowhere", true, nil},
	} {
		d, err := ReadDeployment(3, append([]string{"install", "web", filepath.Join(root, c.chart)}, c.flags...))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.MayHaveCRDs(); got != c.want {
			t.Errorf("%s %v: %t", c.chart, c.flags, got)
		}
	}
}
