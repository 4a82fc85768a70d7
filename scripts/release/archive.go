package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type file struct {
	data []byte
	mode fs.FileMode
}

// tarParts returns the parts of an archive of the files, by path, sorted, with an entry for
// each folder: headers and, each alone, the files' contents. It is what Helm 2 can unpack: no
// entry for "./", no symlinks, no pax headers.
func tarParts(files map[string]file, modified time.Time) ([][]byte, error) {
	folders := map[string]bool{}
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	var parts [][]byte
	var between bytes.Buffer // headers, and what fills the last block of a content
	names := slices.Concat(slices.Collect(maps.Keys(files)), slices.Collect(maps.Keys(folders)))
	slices.Sort(names)
	for _, name := range names {
		data := files[name].data
		header := &tar.Header{Name: name, Mode: int64(files[name].mode), Size: int64(len(data)), ModTime: modified, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
		if folders[name] {
			header.Name, header.Mode, header.Typeflag = name+"/", 0o755, tar.TypeDir
		}
		if err := tar.NewWriter(&between).WriteHeader(header); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(data) > 0 {
			parts = append(parts, bytes.Clone(between.Bytes()), data)
			between.Reset()
			between.Write(make([]byte, -len(data)&(tarBlock-1)))
		}
	}
	between.Write(make([]byte, 2*tarBlock)) // the end
	return append(parts, between.Bytes()), nil
}

const tarBlock = 512

func writeTar(files map[string]file, modified time.Time) ([]byte, error) {
	parts, err := tarParts(files, modified)
	return bytes.Join(parts, nil), err
}

func (b *build) writeTgz(files map[string]file) ([]byte, error) {
	parts, err := tarParts(files, b.time)
	if err != nil {
		return nil, err
	}
	return b.packer.gzip(parts)
}

func tarFolder(dir string, modified time.Time) ([]byte, error) {
	files := map[string]file{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		files[filepath.ToSlash(relative)] = file{data, 0o644}
		return err
	})
	if err != nil {
		return nil, err
	}
	return writeTar(files, modified)
}

// pluginFiles returns the files of the plugin's folder with the programs of these
// platforms. scripts/install.sh takes those that fit into bin/.
func (b *build) pluginFiles(platforms []platform) (map[string]file, error) {
	files := map[string]file{}
	for name, mode := range map[string]fs.FileMode{"plugin.yaml": 0o644, "plugin.complete": 0o755, "LICENSE": 0o644, "README.md": 0o644, "scripts/install.sh": 0o755} {
		data, err := os.ReadFile(filepath.Join(b.root, name))
		if err != nil {
			return nil, err
		}
		files[name] = file{data, mode}
	}
	var sums strings.Builder
	for _, p := range platforms {
		for _, program := range p.programs() {
			data, err := os.ReadFile(filepath.Join(b.out, program.file))
			if err != nil {
				return nil, err
			}
			files["dist/"+program.file] = file{data, 0o755}
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), program.file)
		}
	}
	files["SHA256SUMS"] = file{[]byte(sums.String()), 0o644}
	return files, nil
}

// pluginArchives writes, for each platform, the archive that Helm 2 and 3 take
// (plugin.yaml at its root), and the one that Helm 4 takes (in a folder with the
// plugin's name) with its provenance. Helm 4 compares the name in the provenance
// with the archive's: it must be NAME-VERSION.tgz, so each platform has a folder.
// The archive in helm4/all holds the binaries of all platforms; it is what an OCI
// registry serves, where a plugin has one archive.
func (b *build) pluginArchives(context.Context) error {
	all, err := b.pluginFiles(b.platforms)
	if err != nil {
		return err
	}
	if err := b.packer.prepare(all); err != nil {
		return err
	}
	for _, p := range b.platforms {
		files, err := b.pluginFiles([]platform{p})
		if err != nil {
			return err
		}
		data, err := b.writeTgz(files)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.out, fmt.Sprintf("helm-tenant-%s-%s.tgz", p, b.version)), data, 0o644); err != nil {
			return err
		}
		if err := b.helm4Archive(p.String(), files); err != nil {
			return err
		}
	}
	return b.helm4Archive("all", all)
}

// helm4Name returns the only name that Helm 4 accepts for the plugin's archive.
func (b *build) helm4Name() string { return "tenant-" + b.version + ".tgz" }

func (b *build) helm4Archive(folder string, files map[string]file) error {
	inFolder := map[string]file{}
	for name, f := range files {
		inFolder["tenant/"+name] = f
	}
	data, err := b.writeTgz(inFolder)
	if err != nil {
		return err
	}
	target := filepath.Join(b.out, "helm4", folder, b.helm4Name())
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(target, data, 0o644); err != nil {
		return err
	}
	if b.sign == nil {
		return nil
	}
	provenance, err := b.sign.provenance(data, b.helm4Name(), files["plugin.yaml"].data)
	if err != nil {
		return err
	}
	return os.WriteFile(target+".prov", []byte(provenance), 0o644)
}

// checksums writes SHA256SUMS over all files of the release, and its signature.
func (b *build) checksums(context.Context) error {
	var sums bytes.Buffer
	err := filepath.WalkDir(b.out, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(b.out, name)
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), filepath.ToSlash(relative))
		return err
	})
	if err != nil {
		return err
	}
	target := filepath.Join(b.out, "SHA256SUMS")
	if err := os.WriteFile(target, sums.Bytes(), 0o644); err != nil {
		return err
	}
	if b.sign == nil {
		return nil
	}
	signature, err := b.sign.detached(sums.Bytes())
	if err != nil {
		return err
	}
	return os.WriteFile(target+".asc", signature, 0o644)
}
