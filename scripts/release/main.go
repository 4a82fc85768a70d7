// Command release builds everything that a release of helm-tenant consists of into
// one folder: binaries, plugin archives for Helm 2, 3 and 4, an OCI layout of the
// Helm 4 plugin, a container image, an SBOM, man pages and completion scripts,
// manifests for package managers, checksums and signatures.
//
// Two runs of the same source produce the same bytes, signatures apart: times are
// SOURCE_DATE_EPOCH (seconds since 1970; the last commit's time if it is not set),
// archives are sorted and owned by nobody, and the Go toolchain is the one that
// go.mod pins.
//
// Variables:
//
//	SOURCE_DATE_EPOCH        the time that files and images carry
//	PLATFORMS                OS/ARCH pairs, separated by spaces; all of them if empty
//	SIGNING_KEYRING          a file with the PGP secret key; nothing is signed without it
//	SIGNING_KEY              a part of the key's user ID, if the keyring holds several
//	SIGNING_PASSPHRASE_FILE  a file with the key's passphrase, if it has one
//	RELEASE_URL              the address below which the files will be published
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := flag.String("source", "../..", "the project's root")
	out := flag.String("out", "../../dist", "the folder to write; what is in it is removed")
	image := flag.Bool("image", true, "build the container image, which compiles Helm 4")
	flag.Parse()
	if err := run(ctx, *root, *out, *image); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// A platform is an operating system and an architecture as Go names them.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "-" + p.arch }

// binary returns the file name of the platform's program.
func (p platform) binary() string {
	if p.os == "windows" {
		return "helm-tenant-" + p.String() + ".exe"
	}
	return "helm-tenant-" + p.String()
}

// program is a file of a release that is built from a main package of the project.
type program struct{ file, pkg string }

// programs returns those of the platform: the whole program, which stands alone, and on Unix
// the wrapper, which starts fast and lies before it in a plugin's folder.
func (p platform) programs() []program {
	programs := []program{{p.binary(), "."}}
	if p.os != "windows" {
		programs = append(programs, program{"helm-tenant-wrapper-" + p.String(), "./cmd/wrapper"})
	}
	return programs
}

// A build is what all steps of one release know.
type build struct {
	root, out string
	version   string // semantic, without a leading v
	toolchain string // for example go1.26.8
	time      time.Time
	platforms []platform
	url       string // where the files will be, without a slash at the end
	sign      *signer
	image     bool
}

func run(ctx context.Context, root, out string, image bool) error {
	b, err := newBuild(ctx, root, out, image)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(b.out); err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"binaries", b.binaries},
		{"plugin archives", b.pluginArchives},
		{"OCI layout of the plugin", b.pluginLayout},
		{"container image", b.containerImage},
		{"man pages and completion scripts", b.documentation},
		{"SBOM", b.sbom},
		{"manifests for package managers", b.manifests},
		{"checksums", b.checksums},
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		say("building %s", step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if b.sign == nil {
		say("nothing is signed: SIGNING_KEYRING is not set")
	}
	return nil
}

func newBuild(ctx context.Context, root, out string, image bool) (*build, error) {
	b := &build{image: image}
	var err error
	if b.root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	if b.out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if b.out == b.root || strings.HasPrefix(b.root, b.out+string(filepath.Separator)) {
		return nil, fmt.Errorf("-out %s holds the source; name a folder of its own", b.out)
	}
	if b.version, err = pluginVersion(filepath.Join(b.root, "plugin.yaml")); err != nil {
		return nil, err
	}
	if b.toolchain, err = pinnedToolchain(ctx, b.root); err != nil {
		return nil, err
	}
	if b.time, err = sourceDate(ctx, b.root); err != nil {
		return nil, err
	}
	list := cmp.Or(os.Getenv("PLATFORMS"), "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64")
	for word := range strings.FieldsSeq(list) {
		system, arch, found := strings.Cut(word, "/")
		if !found {
			return nil, fmt.Errorf("PLATFORMS: %q is not OS/ARCH", word)
		}
		b.platforms = append(b.platforms, platform{system, arch})
	}
	b.url = strings.TrimSuffix(os.Getenv("RELEASE_URL"), "/")
	if b.url == "" {
		b.url = "https://releases.example.com/helm-tenant/v" + b.version
		say("RELEASE_URL is not set: the manifests for package managers name %s", b.url)
	}
	b.sign, err = newSigner(os.Getenv("SIGNING_KEYRING"), os.Getenv("SIGNING_KEY"), os.Getenv("SIGNING_PASSPHRASE_FILE"))
	return b, err
}

// pluginVersion returns the version in plugin.yaml, the one place that has it.
func pluginVersion(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var plugin struct {
		Version string `json:"version"`
	}
	if err := yaml.Unmarshal(data, &plugin); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if plugin.Version == "" {
		return "", fmt.Errorf("%s has no version", file)
	}
	return plugin.Version, nil
}

// pinnedToolchain returns the toolchain of go.mod. Another one would produce other bytes.
func pinnedToolchain(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("reading go.mod: %w", err)
	}
	var mod struct{ Toolchain string }
	if err := yaml.Unmarshal(out, &mod); err != nil {
		return "", fmt.Errorf("reading go.mod: %w", err)
	}
	if mod.Toolchain == "" {
		return "", fmt.Errorf("go.mod in %s has no toolchain line, so that a build can't be repeated", root)
	}
	return mod.Toolchain, nil
}

// sourceDate is SOURCE_DATE_EPOCH (reproducible-builds.org), else the time of the
// last commit.
func sourceDate(ctx context.Context, root string) (time.Time, error) {
	text, from := os.Getenv("SOURCE_DATE_EPOCH"), "SOURCE_DATE_EPOCH"
	if text == "" {
		from = "the time of the last commit"
		cmd := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct")
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("finding %s: %w; set SOURCE_DATE_EPOCH", from, err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("%s is %q, not a number of seconds", from, text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "release: "+format+"\n", args...) }
