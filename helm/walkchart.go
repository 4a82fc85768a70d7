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

// maxChart bounds how much of an archive is unpacked, the heads of empty files included.
const maxChart = 64 << 20

// chartFile is a file or folder of a chart. Its name is a path within the chart or, in an
// archive, within that. open is nil for a folder.
type chartFile struct {
	name string
	open func() (io.ReadCloser, error)
}

// walkChart calls visit for the files and folders of a chart on this machine, a folder or an
// archive, and for those in the archives among its dependencies, as long as visit returns true.
// It reports whether everything was visited: it is false, too, where something can't be read,
// is neither a file nor a folder, or is an archive in an archive or one larger than maxChart.
func walkChart(path string, visit func(chartFile) bool) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case info.Mode().IsRegular():
		return walkArchive(path, visit)
	case !info.IsDir():
		return false
	}
	// A link at the top is followed, as by helm; links further down, and junctions of
	// Windows, could lead anywhere.
	folder, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		name, err := filepath.Rel(folder, path)
		file := chartFile{name: filepath.ToSlash(name)}
		switch {
		case err != nil:
			return err
		case entry.Type().IsRegular():
			file.open = func() (io.ReadCloser, error) { return os.Open(path) }
		case !entry.IsDir():
			return errNotVisited
		}
		if file.open != nil && filepath.Base(filepath.Dir(path)) == "charts" && isArchive(entry.Name()) {
			if !walkArchive(path, visit) {
				return errNotVisited
			}
			return nil
		}
		if !visit(file) {
			return errNotVisited
		}
		return nil
	}) == nil
}

var errNotVisited = errors.New("not everything was visited")

// isArchive reports whether a file among a chart's dependencies may be a packed chart.
func isArchive(name string) bool {
	return strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".gz")
}

func walkArchive(path string, visit func(chartFile) bool) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		return false
	}
	limited := &io.LimitedReader{R: zipped, N: maxChart}
	for files := tar.NewReader(limited); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return limited.N > 0
		}
		if err != nil || isArchive(header.Name) {
			return false
		}
		file := chartFile{name: header.Name}
		switch header.Typeflag {
		case tar.TypeReg:
			file.open = func() (io.ReadCloser, error) { return io.NopCloser(files), nil }
		case tar.TypeDir:
		default:
			return false
		}
		if !visit(file) {
			return false
		}
	}
}

// MayHaveCRDs reports whether the chart may have a crds folder: it is not a folder or
// archive on this machine, can't be read, or contains a file in such a folder. In doubt
// it is true; CRDs then shows what counts.
func (d *Deployment) MayHaveCRDs() bool {
	// Helm takes a name for a path before it searches repositories, unless one is named
	// (helm.sh/helm/v3/pkg/action, LocateChart).
	chart := strings.TrimSpace(d.Chart)
	if _, err := os.Stat(chart); err != nil || d.Value("repo") != "" || d.Is("dependency-update") {
		return true
	}
	return !walkChart(chart, func(file chartFile) bool { return !strings.Contains(file.name, "crds") })
}
