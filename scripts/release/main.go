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
//	SOURCE_DATE_EPOCH        the time that files and images have
//	PLATFORMS                OS/ARCH pairs, separated by spaces; all of them if empty
//	SIGNING_KEYRING          a file with the PGP secret key; nothing is signed without it
//	SIGNING_KEY              a part of the key's user ID, if the keyring holds several
//	SIGNING_PASSPHRASE_FILE  a file with the key's passphrase, if it has one
//	RELEASE_URL              the address below which the files will be published
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flag.CommandLine.Init("scripts/package.sh", flag.ExitOnError)
	from := flag.String("from", ".", "the folder in which the relative paths of -source and -out begin")
	root := flag.String("source", "", "the project's root (default that of scripts/package.sh)")
	out := flag.String("out", "", "the folder to write; an earlier release in it is removed (default dist in the project's root)")
	image := flag.Bool("image", true, "build the container image, which compiles Helm 4")
	check := flag.Bool("check", false, "look at the settings and the Go toolchain, and build nothing")
	flag.Parse()
	err := checkArguments(flag.Args())
	if err == nil {
		do := run
		if *check {
			do = settings
		}
		err = do(ctx, pathFrom(*from, *root, "../.."), pathFrom(*from, *out, "../../dist"), *image)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// checkArguments refuses what is no flag: a platform, say, would be passed over without a word.
func checkArguments(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is no flag; platforms are named by the variable PLATFORMS", args[0])
	}
	return nil
}

// pathFrom returns a path of a flag, which begins in the caller's folder; without one, the
// default, which begins in this program's.
func pathFrom(folder, path, otherwise string) string {
	if path == "" {
		return otherwise
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// A platform is an operating system and an architecture as Go names them.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "-" + p.arch }

func (p platform) binary() string {
	if p.os == "windows" {
		return "helm-tenant-" + p.String() + ".exe"
	}
	return "helm-tenant-" + p.String()
}

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
	root, out   string
	version     string   // semantic, without a leading v
	environment []string // for go build, without the target
	time        time.Time
	platforms   []platform
	url         string // where the files will be, without a slash at the end
	sign        *signer
	image       bool
	packer      packer
}

// run builds a release in a folder beside out, which gets its name when it is complete: out
// is either a whole release or absent, whatever interrupts a run.
func run(ctx context.Context, root, out string, image bool) error {
	b, err := newBuild(ctx, root, out, image)
	if err != nil {
		return err
	}
	if os.Getenv("RELEASE_URL") == "" {
		say("RELEASE_URL is not set: the manifests for package managers name %s", b.url)
	}
	final := b.out
	b.out += ".unfinished"
	for _, dir := range []string{final, b.out} {
		if err := removeRelease(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	if err := b.do(ctx); err != nil {
		return errors.Join(err, os.RemoveAll(b.out))
	}
	return os.Rename(b.out, final)
}

// settings returns what is wrong with the settings of a build, before anything is built.
func settings(ctx context.Context, root, out string, image bool) error {
	b, err := newBuild(ctx, root, out, image)
	if err != nil {
		return err
	}
	return checkRelease(b.out)
}

func (b *build) do(ctx context.Context) error {
	for _, step := range []struct {
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
	} {
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

// removeRelease removes a folder that checkRelease lets pass.
func removeRelease(dir string) error {
	if err := checkRelease(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// checkRelease refuses a folder with anything that does not look like a file of a release: -out
// may name any folder, such as the user's own.
func checkRelease(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !releaseFile.MatchString(entry.Name()) {
			return fmt.Errorf("-out %s has the file %q, which is no file of a release; name another folder", dir, entry.Name())
		}
	}
	return nil
}

var releaseFile = regexp.MustCompile(`^(helm-tenant[-.].*|helm4|krew|krew-tenant\.yaml|artifacthub-.*\.yml|SHA256SUMS(\.asc)?)$`)

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
	if b.time, err = sourceDate(ctx, b.root); err != nil {
		return nil, err
	}
	if b.platforms, err = parsePlatforms(cmp.Or(strings.TrimSpace(os.Getenv("PLATFORMS")), allPlatforms)); err != nil {
		return nil, err
	}
	b.url = strings.TrimSuffix(os.Getenv("RELEASE_URL"), "/")
	if b.url == "" {
		b.url = "https://releases.example.com/helm-tenant/v" + b.version
	} else if err := checkURL(b.url); err != nil {
		return nil, err
	}
	if b.sign, err = newSigner(os.Getenv("SIGNING_KEYRING"), os.Getenv("SIGNING_KEY"), os.Getenv("SIGNING_PASSPHRASE_FILE")); err != nil {
		return nil, err
	}
	b.environment, err = goEnvironment(ctx, b.root)
	return b, err
}

const allPlatforms = "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64"

// parsePlatforms reads OS/ARCH pairs. They are sorted, so that their order does not change the
// release.
func parsePlatforms(list string) ([]platform, error) {
	var platforms []platform
	for word := range strings.FieldsSeq(list) {
		system, arch, _ := strings.Cut(word, "/")
		if !platformName.MatchString(system) || !platformName.MatchString(arch) {
			return nil, fmt.Errorf("PLATFORMS: %q is not OS/ARCH", word)
		}
		platforms = append(platforms, platform{system, arch})
	}
	slices.SortFunc(platforms, func(a, b platform) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(platforms), nil
}

var platformName = regexp.MustCompile(`^[a-z0-9]+$`)

// checkURL refuses an address that could end a word or a line of the package managers'
// manifests.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || !plainURL.MatchString(address) {
		return fmt.Errorf("RELEASE_URL %q is not the address of a folder, such as https://example.com/helm-tenant/v1.2.3", address)
	}
	return nil
}

var plainURL = regexp.MustCompile(`^[A-Za-z0-9:/._~@%+-]+$`)

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

// latestInTar is the last time that a header of an archive in the format ustar can have.
const latestInTar = 1<<33 - 1

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
	seconds, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is %q, not a number of seconds since 1970", from, text)
	}
	if seconds > latestInTar {
		return time.Time{}, fmt.Errorf("%s is %s; an archive can have times until %s", from, text, time.Unix(latestInTar, 0).UTC().Format(time.DateOnly))
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "release: "+format+"\n", args...) }
