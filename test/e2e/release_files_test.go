package e2e

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestReleaseArchives: every entry of every archive of a release has the release's time, no
// owner, and a mode that does not depend on the builder's umask.
func TestReleaseArchives(t *testing.T) {
	t.Parallel()
	dist, _ := hostRelease(t)
	modified := time.Unix(1700000000, 0)
	archives := 0
	err := filepath.WalkDir(dist, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".tgz") && !strings.HasSuffix(path, ".tar") {
			return err
		}
		archives++
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		var unpacked io.Reader = f
		if strings.HasSuffix(path, ".tgz") {
			compressed, err := gzip.NewReader(f)
			if err != nil {
				return err
			}
			if compressed.Name != "" || !compressed.ModTime.IsZero() {
				t.Errorf("%s: its header has the name %q and the time %v", path, compressed.Name, compressed.ModTime)
			}
			unpacked = compressed
		}
		for r := tar.NewReader(unpacked); ; {
			header, err := r.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			mode := int64(0o644)
			name := filepath.Base(header.Name)
			if header.Typeflag == tar.TypeDir || strings.HasPrefix(name, "helm-tenant-"+runtime.GOOS) || strings.HasPrefix(name, "helm-tenant-wrapper") || name == "install.sh" || name == "plugin.complete" {
				mode = 0o755
			}
			if header.Mode != mode || header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.Gname != "" || !header.ModTime.Equal(modified) {
				t.Errorf("%s: %s has the mode %o, the owner %d:%d (%s:%s) and the time %v", filepath.Base(path), header.Name, header.Mode, header.Uid, header.Gid, header.Uname, header.Gname, header.ModTime)
			}
		}
	})
	if err != nil || archives < 6 {
		t.Errorf("%d archives, %v", archives, err)
	}
}

// TestKrew: Krew's own validator accepts the manifest, and Krew installs a program that runs.
func TestKrew(t *testing.T) {
	t.Parallel()
	dist, _ := hostRelease(t)
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "sigs.k8s.io/krew/cmd/validate-krew-manifest", "sigs.k8s.io/krew/cmd/krew")
	build.Dir = filepath.Join(repository(t), "test")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	manifest := filepath.Join(dist, "krew", "tenant.yaml")
	if out, err := exec.Command(filepath.Join(bin, "validate-krew-manifest"), "-manifest", manifest, "-skip-install").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	root := t.TempDir()
	install := exec.Command(filepath.Join(bin, "krew"), "install", "--manifest="+manifest, "--archive="+filepath.Join(dist, "helm-tenant-"+runtime.GOOS+"-"+runtime.GOARCH+"-0.1.0.tgz"))
	install.Env = append(os.Environ(), "KREW_ROOT="+root, "HOME="+t.TempDir(), "KREW_NO_UPGRADE_CHECK=1")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(root, "bin", "kubectl-tenant"), "--version").CombinedOutput()
	if err != nil || string(out) != "helm-tenant 0.1.0\n" {
		t.Errorf("%q, %v", out, err)
	}
	if license, err := filepath.Glob(filepath.Join(root, "store", "tenant", "v0.1.0", "LICENSE")); err != nil || len(license) != 1 {
		t.Errorf("there is no license: %v", err)
	}
}
