package helm

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxChart bounds how much of an archive is unpacked in the search for a crds folder.
const maxChart = 64 << 20

// MayHaveCRDs reports whether the chart may have a crds folder: it is not a folder or
// archive on this machine, can't be read, or contains a file in such a folder. In doubt
// it is true; CRDs then shows what counts.
func (d *Deployment) MayHaveCRDs() bool {
	// Helm takes a name for a path before it searches repositories, unless one is named
	// (helm.sh/helm/v3/pkg/action, LocateChart).
	chart := strings.TrimSpace(d.Chart)
	info, err := os.Stat(chart)
	switch {
	case err != nil || d.Value("repo") != "" || d.Is("dependency-update"):
		return true
	case info.IsDir():
		return folderMayHaveCRDs(chart)
	}
	return archiveMayHaveCRDs(chart)
}

var errMayHaveCRDs = errors.New("it may have CRDs")

func folderMayHaveCRDs(folder string) bool {
	// A link at the top is followed, as by helm; links further down, and junctions of
	// Windows, could lead anywhere.
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return true
	}
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir() && !entry.Type().IsRegular(), path != folder && strings.Contains(entry.Name(), "crds"):
			return errMayHaveCRDs
		case entry.Type().IsRegular() && filepath.Base(filepath.Dir(path)) == "charts" && isArchive(entry.Name()) && archiveMayHaveCRDs(path):
			return errMayHaveCRDs
		}
		return nil
	}) != nil
}

// isArchive reports whether a file among a chart's dependencies may be a packed chart.
func isArchive(name string) bool {
	return strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".gz")
}

// archiveMayHaveCRDs checks the names in a packed chart. Charts packed within it are not
// opened.
func archiveMayHaveCRDs(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return true
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		return true
	}
	limited := &io.LimitedReader{R: zipped, N: maxChart}
	for files := tar.NewReader(limited); ; {
		header, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return limited.N <= 0
		case err != nil || strings.Contains(header.Name, "crds") || isArchive(header.Name):
			return true
		}
	}
}
