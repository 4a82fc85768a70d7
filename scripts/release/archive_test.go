package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// unpack returns the entries of a compressed archive: names, and contents of files.
func unpack(t *testing.T, archive []byte, modified time.Time) (names []string, contents map[string]string) {
	t.Helper()
	unpacked, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	unpacked.Multistream(false) // one stream, and nothing after it
	contents = map[string]string{}
	r := tar.NewReader(unpacked)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.Gname != "" || !header.ModTime.Equal(modified) || header.Format != tar.FormatUSTAR {
			t.Errorf("%s: %+v", header.Name, header)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			contents[header.Name] = string(data)
		}
	}
	// The checksum comes after the end of the archive.
	if rest, err := io.ReadAll(unpacked); err != nil || len(bytes.Trim(rest, "\x00")) > 0 {
		t.Errorf("after the archive: %d bytes, %v", len(rest), err)
	}
	return names, contents
}

// TestArchives packs the same large files into several archives: each is whole, and the
// large files are compressed once.
func TestArchives(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	bytesOf := func(size int) []byte {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.UintN(12))
		}
		return data
	}
	files := map[string]file{
		"plugin.yaml":    {[]byte("name: tenant\n"), 0o644},
		"empty":          {nil, 0o644},
		"dist/program":   {bytesOf(3*large + 1), 0o755},
		"dist/whole":     {bytesOf(2 * large), 0o755}, // whole blocks
		"a/b/c/deep.txt": {bytesOf(tarBlock - 1), 0o644},
	}
	modified := time.Unix(1700000000, 0)
	b := &build{time: modified}
	if err := b.packer.prepare(files); err != nil {
		t.Fatal(err)
	}
	if len(b.packer.known) != 2 {
		t.Errorf("%d parts were compressed before", len(b.packer.known))
	}
	first, err := b.writeTgz(files)
	if err != nil {
		t.Fatal(err)
	}
	names, contents := unpack(t, first, modified)
	want := []string{"a/", "a/b/", "a/b/c/", "a/b/c/deep.txt", "dist/", "dist/program", "dist/whole", "empty", "plugin.yaml"}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("the archive has %q", names)
	}
	for name, f := range files {
		if contents[name] != string(f.data) {
			t.Errorf("%s has other contents", name)
		}
	}
	inFolder := map[string]file{}
	for name, f := range files {
		inFolder["tenant/"+name] = f
	}
	second, err := b.writeTgz(inFolder)
	if err != nil {
		t.Fatal(err)
	}
	_, moved := unpack(t, second, modified)
	for name, f := range files {
		if moved["tenant/"+name] != string(f.data) {
			t.Errorf("tenant/%s has other contents", name)
		}
	}
	if len(b.packer.known) != 2 {
		t.Errorf("%d parts were compressed in the end", len(b.packer.known))
	}
	// Another run, in which nothing was compressed before, makes the same bytes.
	again, err := (&build{time: modified}).writeTgz(maps.Clone(files))
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("two runs differ: %v", err)
	}
	plain, err := writeTar(files, modified)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if inside, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(inside, plain) {
		t.Errorf("the compressed archive is another one: %v", err)
	}
}

func TestArchivesRefuse(t *testing.T) {
	long := string(bytes.Repeat([]byte("n"), 101)) // ustar has 100 bytes for it
	if _, err := writeTar(map[string]file{long: {}}, time.Unix(0, 0)); err == nil {
		t.Error("a name was written that ustar can't hold")
	}
	for _, seconds := range []int64{0, latestInTar} {
		if _, err := writeTar(map[string]file{"f": {}}, time.Unix(seconds, 0)); err != nil {
			t.Errorf("time %d: %v", seconds, err)
		}
	}
	if _, err := writeTar(map[string]file{"f": {}}, time.Unix(latestInTar+1, 0)); err == nil {
		t.Error("a time was written that ustar can't hold")
	}
}
