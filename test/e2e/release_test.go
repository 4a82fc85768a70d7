package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"helm-tenant/test/harness"
)

// key is a signing key that a test throws away.
type key struct{ secret, public string } // keyring files

func newKey(t *testing.T) key {
	t.Helper()
	k, err := writeKey(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func writeKey(dir string, config *packet.Config) (key, error) {
	entity, err := openpgp.NewEntity("Test Release", "", "release@example.com", config)
	if err != nil {
		return key{}, err
	}
	k := key{filepath.Join(dir, "secret.gpg"), filepath.Join(dir, "public.gpg")}
	var secret, public bytes.Buffer
	if err := errors.Join(entity.SerializePrivate(&secret, nil), entity.Serialize(&public)); err != nil {
		return key{}, err
	}
	return k, errors.Join(os.WriteFile(k.secret, secret.Bytes(), 0o600), os.WriteFile(k.public, public.Bytes(), 0o600))
}

// sign returns the detached signature of a text.
func (k key) sign(t *testing.T, text []byte) []byte { return k.signAt(t, text, nil) }

func (k key) signAt(t *testing.T, text []byte, config *packet.Config) []byte {
	t.Helper()
	keyring, err := os.Open(k.secret)
	if err != nil {
		t.Fatal(err)
	}
	defer keyring.Close()
	entities, err := openpgp.ReadKeyRing(keyring)
	if err != nil {
		t.Fatal(err)
	}
	var signature bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&signature, entities[0], bytes.NewReader(text), config); err != nil {
		t.Fatal(err)
	}
	return signature.Bytes()
}

// packageRelease builds a signed release of one platform into the dist folder of a copy of the
// source; image is the flag for including the container image.
func packageRelease(source, platform, image string, k key, more ...string) error {
	pack := exec.Command("bash", "-c", `umask "${RELEASE_UMASK:-022}" && exec bash scripts/package.sh "$1"`, "package", image)
	pack.Dir = source
	pack.Env = append(os.Environ(), "PLATFORMS="+platform, "SIGNING_KEYRING="+k.secret, "SIGNING_KEY=Test Release", "SOURCE_DATE_EPOCH=1700000000")
	pack.Env = append(pack.Env, more...)
	if out, err := pack.CombinedOutput(); err != nil {
		return fmt.Errorf("packaging: %w\n%s", err, out)
	}
	return nil
}

// hostRelease returns the dist folder of a release for this platform, container image
// included, and the key that signed it. It is built once for all tests, which must not
// change it.
func hostRelease(t *testing.T) (dist string, k key) {
	t.Helper()
	released, err := buildHostRelease()
	if err != nil {
		t.Fatal(err)
	}
	return released.dist, released.key
}

type hostReleased struct {
	dist string
	key  key
}

var buildHostRelease = sync.OnceValues(func() (hostReleased, error) {
	source := filepath.Join(releaseDir, "helm-tenant")
	if err := copySource(source); err != nil {
		return hostReleased{}, err
	}
	k, err := writeKey(releaseDir, nil)
	if err != nil {
		return hostReleased{}, err
	}
	return hostReleased{filepath.Join(source, "dist"), k}, packageRelease(source, runtime.GOOS+"/"+runtime.GOARCH, "-image=true", k)
})

// pushPlugin starts a registry, pushes the OCI layout of a release into it and
// returns the address that Helm 4 installs.
func pushPlugin(t *testing.T, dist string) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	dir := unpackTar(t, filepath.Join(dist, "helm-tenant-plugin-0.1.0.oci.tar"))
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(server.URL, "http://") + "/charts/tenant:0.1.0"
	tag, err := name.NewTag(address, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	return "oci://" + address
}

func unpackTar(t *testing.T, archive string) string {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(dir, filepath.FromSlash(header.Name))
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(target, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(target, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestReproducible builds the release once more, in another folder, another environment and
// with other settings of Go, and compares every file that holds no signature.
func TestReproducible(t *testing.T) {
	t.Parallel()
	dist, k := hostRelease(t)
	other := tree(t)
	settings := filepath.Join(t.TempDir(), "go.env") // as go env -w writes them
	if err := os.WriteFile(settings, []byte("GOAMD64=v3\nGOARM64=v8.2\nGOFLAGS=-tags=unused\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := packageRelease(other, runtime.GOOS+"/"+runtime.GOARCH, "-image=true", k, "GOENV="+settings, "GODEBUG=madvdontneed=1", "TZ=Asia/Tokyo", "LC_ALL=C",
		"RELEASE_UMASK=077", "USER=somebody", "TMPDIR="+t.TempDir()); err != nil {
		t.Fatal(err)
	}
	compared := 0
	err := filepath.WalkDir(dist, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dist, path)
		if err != nil {
			return err
		}
		// A signature contains its time; SHA256SUMS and the layout contain signatures.
		if regexp.MustCompile(`\.(prov|asc)$|SHA256SUMS$|plugin-.*oci\.tar$`).MatchString(relative) {
			return nil
		}
		first, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		second, err := os.ReadFile(filepath.Join(other, "dist", relative))
		if err != nil {
			return err
		}
		compared++
		if !bytes.Equal(first, second) {
			t.Errorf("%s differs between two builds", relative)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if compared < 9 {
		t.Errorf("only %d files were compared", compared)
	}
	for _, file := range []string{"go.mod", "go.sum", "scripts/release/go.mod", "scripts/release/go.sum"} {
		before, err := os.ReadFile(filepath.Join(repository(t), file))
		if err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(filepath.Join(other, file)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("packaging changed %s: %v", file, err)
		}
	}
}

// TestDownload runs scripts/install.sh with a release's address: which files it accepts, and
// which it refuses.
func TestDownload(t *testing.T) {
	t.Parallel()
	harness.Program(t, "gpg")
	dist, k := hostRelease(t)
	platform := runtime.GOOS + "-" + runtime.GOARCH
	program, wrapper := "helm-tenant-"+platform, "helm-tenant-wrapper-"+platform
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	// Small programs, signed with the same key: each is downloaded and summed many times.
	small := map[string][]byte{program: []byte("#!/bin/sh\necho whole\n"), wrapper: []byte("#!/bin/sh\necho wrapper\n")}
	sums := fmt.Appendf(nil, "%x  %s\n%x  %s\n", sha256.Sum256(small[program]), program, sha256.Sum256(small[wrapper]), wrapper)
	small["SHA256SUMS"], small["SHA256SUMS.asc"] = sums, k.sign(t, sums)
	released := map[string][]byte{}
	for name := range small {
		released[name] = read(name)
	}
	wrong := regexp.MustCompile(`(?m)^[0-9a-f]{4}`).ReplaceAll(sums, []byte("0000"))
	lastYear := &packet.Config{Time: func() time.Time { return time.Now().AddDate(-1, 0, 0) }, KeyLifetimeSecs: 3600}
	expired, err := writeKey(t.TempDir(), lastYear)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		// own are the plugin's checksums; served are those at the address.
		own     []byte
		served  map[string][]byte
		keyring string
		want    string // a part of the output
		fails   bool
		whole   bool // the release itself is served
	}{
		{name: "the release", keyring: k.public, want: "and its signature", whole: true},
		{name: "checksums that came with the plugin", own: sums, want: "downloaded and checked " + program},
		{name: "a signature by a key that is not known, beside own checksums", own: sums, keyring: newKey(t).public, want: "downloaded and checked " + program},
		{name: "a good signature", keyring: k.public, want: "and its signature"},
		{name: "a wrong checksum of the plugin's", own: wrong, want: "the file is not used", fails: true},
		{name: "no line in the plugin's checksums", own: []byte("nothing\n"), want: "has no line for", fails: true},
		{name: "no checksums, and a key that is not known", keyring: newKey(t).public, want: "the key that signed it is not in HELM_TENANT_KEYRING, ", fails: true},
		{name: "no checksums and no signature", keyring: k.public, served: map[string][]byte{"SHA256SUMS.asc": nil}, want: ": its signature, SHA256SUMS.asc, can't be downloaded; unpack a release archive instead", fails: true},
		{name: "no checksums and no keyring", want: "import the release's public key into gpg, or name its file with HELM_TENANT_KEYRING", fails: true},
		{name: "changed checksums", keyring: k.public, served: map[string][]byte{"SHA256SUMS": wrong}, want: "signature of SHA256SUMS", fails: true},
		{name: "changed checksums, own ones are right", own: sums, keyring: k.public, served: map[string][]byte{"SHA256SUMS": wrong}, want: "signature of SHA256SUMS", fails: true},
		{name: "a key that has expired", keyring: expired.public, served: map[string][]byte{"SHA256SUMS.asc": expired.signAt(t, sums, lastYear)}, want: "has expired; import its current form", fails: true},
		{name: "a changed program", keyring: k.public, served: map[string][]byte{program: []byte("#!/bin/sh\necho owned\n")}, want: "the file is not used", fails: true},
		{name: "a changed wrapper", keyring: k.public, served: map[string][]byte{wrapper: []byte("#!/bin/sh\necho owned\n")}, want: "the file is not used", fails: true},
		{name: "no wrapper", own: sums, served: map[string][]byte{wrapper: nil}, want: "404", fails: true},
		{name: "no program", own: sums, served: map[string][]byte{program: nil}, want: "404", fails: true},
		{name: "a keyring without keys", own: sums, keyring: filepath.Join(dist, "SHA256SUMS"), want: "holds no PGP keys", fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := maps.Clone(small)
			if test.whole {
				files = maps.Clone(released)
			}
			maps.Copy(files, test.served)
			server := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, from *http.Request) {
				if data := files[strings.TrimPrefix(from.URL.Path, "/release/")]; data != nil {
					to.Write(data)
					return
				}
				http.NotFound(to, from)
			}))
			defer server.Close()
			dir := filepath.Join(t.TempDir(), "a folder", "tenant")
			if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
				t.Fatal(err)
			}
			before := filepath.Join(dir, "bin", "helm-tenant")
			if err := os.WriteFile(before, []byte("before"), 0o755); err != nil {
				t.Fatal(err)
			}
			if test.own != nil {
				if err := os.WriteFile(filepath.Join(dir, "SHA256SUMS"), test.own, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			script := exec.Command("sh", filepath.Join(repository(t), "scripts", "install.sh"))
			script.Env = append(os.Environ(), "HELM_PLUGIN_DIR="+dir, "HELM_TENANT_URL="+server.URL+"/release/", "HELM_TENANT_KEYRING="+test.keyring, "GNUPGHOME="+t.TempDir())
			out, err := script.CombinedOutput()
			if (err != nil) != test.fails || !strings.Contains(string(out), test.want) {
				t.Errorf("%v\n%s\nwanted %q", err, out, test.want)
			}
			kept, readErr := os.ReadFile(before)
			if readErr != nil || (string(kept) == "before") != test.fails {
				t.Errorf("the program that was there: %v, kept %t", readErr, string(kept) == "before")
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "bin", ".install.*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}
