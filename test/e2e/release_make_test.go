package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// clone creates a git repository with the files of the tree, on a branch main.
func clone(t *testing.T) string {
	t.Helper()
	dir := tree(t)
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "config", "user.name", "Test")
	git(t, dir, "config", "user.email", "test@example.com")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "All of it")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func edit(t *testing.T, file, from, to string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), from) {
		t.Fatalf("%s does not hold %q: %v", file, from, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReleaseRefused: each state in which no release can be made is reported in one line, and
// nothing changes.
func TestReleaseRefused(t *testing.T) {
	t.Parallel()
	dir := clone(t)
	changelog := filepath.Join(dir, "CHANGELOG.md")
	before := git(t, dir, "rev-parse", "HEAD")
	for _, test := range []struct {
		name, version, want string
		change              func()
		flag                string // of package.sh, beside -image=false; or a variable
	}{
		{"no version", "", `"" is not a version; type: make release VERSION=1.2.3`, nil, ""},
		{"a leading v", "v1.2.3", `"v1.2.3" is not a version`, nil, ""},
		{"two numbers", "1.2", `"1.2" is not a version`, nil, ""},
		{"a leading zero", "1.02.3", `"1.02.3" is not a version`, nil, ""},
		{"a shell's word", "1.2.3;id", `"1.2.3;id" is not a version`, nil, ""},
		{"build metadata", "1.2.3+linux", `"1.2.3+linux" is not a version`, nil, ""},
		{"a pre-release with a leading zero", "1.2.3-rc.01", `"1.2.3-rc.01" is not a version`, nil, ""},
		{"an empty pre-release", "1.2.3-", `"1.2.3-" is not a version`, nil, ""},
		{"an empty part", "1.2.3-rc..1", `"1.2.3-rc..1" is not a version`, nil, ""},
		{"digits of another script", "1.2.\u0663", "\"1.2.\u0663\" is not a version", nil, ""},
		{"a superscript", "1.2.\u00b2", "\"1.2.\u00b2\" is not a version", nil, ""},
		{"more than an integer", "1.2.99999999999999999999", `"1.2.99999999999999999999" is not a version`, nil, ""},
		{"white space", "1.2.3 ", `"1.2.3 " is not a version`, nil, ""},
		{"no changelog", "9.0.0", "CHANGELOG.md is missing", func() {
			git(t, dir, "rm", "-q", "CHANGELOG.md")
			git(t, dir, "commit", "-qm", "No changelog")
		}, ""},
		{"no version in plugin.yaml", "9.0.0", "plugin.yaml has no version", func() {
			edit(t, filepath.Join(dir, "plugin.yaml"), "version: ", "edition: ")
			git(t, dir, "commit", "-qam", "No version")
		}, ""},
		{"an older version", "0.0.9", "0.0.9 is older than 0.1.0 in plugin.yaml", nil, ""},
		{"a pre-release of what is released", "0.1.0-rc.1", "0.1.0-rc.1 is older than 0.1.0", nil, ""},
		{"this version, with news", "0.1.0", "CHANGELOG.md has 0.1.0 already, and lines under [Unreleased]", nil, ""},
		{"changes that are not committed", "9.0.0", "the tree has changes that are not committed", func() { edit(t, changelog, "# Changelog", "# The changelog") }, ""},
		{"a file that is not committed", "9.0.0", "the tree has changes that are not committed", func() {
			if err := os.WriteFile(filepath.Join(dir, "new.txt"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"no branch", "9.0.0", "no branch is checked out; type: git checkout main", func() { git(t, dir, "checkout", "-q", "--detach") }, ""},
		{"a topic's branch", "9.0.0", "branch topic is checked out, and releases are made on main or on a branch release-...; type: git checkout main", func() { git(t, dir, "checkout", "-q", "-b", "topic") }, ""},
		{"a tag elsewhere", "9.0.0", "v9.0.0 is released already", func() {
			git(t, dir, "tag", "v9.0.0")
			git(t, dir, "commit", "-q", "--allow-empty", "-m", "More")
		}, ""},
		{"a tag by hand", "9.0.0", "the tag v9.0.0 is this commit, and plugin.yaml says 0.1.0", func() { git(t, dir, "tag", "v9.0.0") }, ""},
		{"nothing new", "9.0.0", "CHANGELOG.md has nothing under [Unreleased]; say what is new in 9.0.0", func() {
			text, err := os.ReadFile(changelog)
			if err != nil {
				t.Fatal(err)
			}
			head, rest, _ := strings.Cut(string(text), "## [Unreleased]")
			_, released, _ := strings.Cut(rest, "\n## [")
			if err := os.WriteFile(changelog, []byte(head+"## [Unreleased]\n\n## ["+released), 0o644); err != nil {
				t.Fatal(err)
			}
			git(t, dir, "commit", "-qam", "Nothing new")
		}, ""},
		{"no section for what is new", "9.0.0", "CHANGELOG.md has no section [Unreleased]", func() {
			edit(t, changelog, "## [Unreleased]", "## Unreleased")
			git(t, dir, "commit", "-qam", "Another heading")
		}, ""},
		{"another folder", "9.0.0", "a release is built into dist/, where it is verified; -out=x is for scripts/package.sh alone", nil, "-out=x"},
		{"a platform", "9.0.0", `"linux/arm64" is no flag; platforms are named by the variable PLATFORMS`, nil, "linux/arm64"},
		{"a keyring that is not there", "9.0.0", "SIGNING_KEYRING " + filepath.Join(dir, "gone.gpg") + " can't be read", nil, "SIGNING_KEYRING=gone.gpg"},
		{"half a platform", "9.0.0", `PLATFORMS: "linux" is not OS/ARCH`, nil, "PLATFORMS=linux"},
		{"an address without a scheme", "9.0.0", `RELEASE_URL "example.com" is not the address of a folder`, nil, "RELEASE_URL=example.com"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.change != nil {
				test.change()
			}
			state := git(t, dir, "status", "--porcelain") + git(t, dir, "rev-parse", "HEAD") + git(t, dir, "tag")
			flags := []string{filepath.Join(dir, "scripts", "release.sh"), test.version, "-image=false"}
			name, _, _ := strings.Cut(test.flag, "=")
			isVariable := name != "" && strings.ToUpper(name) == name
			if test.flag != "" && !isVariable {
				flags = append(flags, test.flag)
			}
			cmd := exec.Command("bash", flags...)
			cmd.Dir = dir
			if isVariable {
				cmd.Env = append(os.Environ(), test.flag)
			}
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.HasPrefix(string(out), "release: "+test.want) || strings.Count(string(out), "\n") != 1 {
				t.Errorf("%v, wanted one line %q:\n%s", err, test.want, out)
			}
			if after := git(t, dir, "status", "--porcelain") + git(t, dir, "rev-parse", "HEAD") + git(t, dir, "tag"); after != state {
				t.Errorf("it changed the repository: %s, before %s", after, state)
			}
			git(t, dir, "checkout", "-q", "-f", "main")
			git(t, dir, "reset", "-q", "--hard", before)
			git(t, dir, "clean", "-qfd")
			if tags := git(t, dir, "tag"); tags != "" {
				git(t, dir, "tag", "-d", tags)
			}
		})
	}
}

// TestReleaseCommitFails: where git can't commit, the tree is as before, and the same command
// can be typed again.
func TestReleaseCommitFails(t *testing.T) {
	t.Parallel()
	dir := clone(t)
	if err := os.WriteFile(filepath.Join(dir, ".git", "hooks", "pre-commit"), []byte("#!/bin/sh\necho no release today\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	head := git(t, dir, "rev-parse", "HEAD")
	out, err := exec.Command("bash", filepath.Join(dir, "scripts", "release.sh"), "9.0.0", "-image=false").CombinedOutput()
	if err == nil || !strings.HasSuffix(string(out), "release: git can't commit, and nothing is changed; see above\n") || !strings.Contains(string(out), "no release today") {
		t.Errorf("%v\n%s", err, out)
	}
	if left := git(t, dir, "status", "--porcelain") + git(t, dir, "tag"); left != "" || git(t, dir, "rev-parse", "HEAD") != head {
		t.Errorf("it changed the repository: %s", left)
	}
}

// onlyPrograms returns a folder for PATH with these programs of the machine, and a go that runs
// nothing.
func onlyPrograms(t *testing.T, names ...string) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

// TestReleaseHalfWay: where gpg is missing, a file can't be written as a whole, or git can't tag,
// the last line says so, and no file stays half-written; after a commit without a tag the same
// command goes on.
func TestReleaseHalfWay(t *testing.T) {
	t.Parallel()
	dir := clone(t)
	head := git(t, dir, "rev-parse", "HEAD")
	programs := []string{"bash", "git", "sha256sum", "awk", "sed", "sort", "tail", "grep", "date", "dirname", "rm", "mv"}
	keyring := filepath.Join(t.TempDir(), "secret.gpg")
	if err := os.WriteFile(keyring, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	attempt := func(before, want string, env ...string) {
		t.Helper()
		cmd := exec.Command("bash", "-c", before+` exec bash "$0" 9.0.0 -image=false`, filepath.Join(dir, "scripts", "release.sh"))
		cmd.Env = append(append(os.Environ(), "PATH="+onlyPrograms(t, programs...)), env...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.HasSuffix(string(out), "release: "+want+"\n") {
			t.Errorf("%v, wanted at the end %q:\n%s", err, want, out)
		}
		if left := git(t, dir, "status", "--porcelain"); left != "" {
			t.Errorf("it left: %s", left)
		}
	}
	attempt("", "gpg is not installed; it verifies what SIGNING_KEYRING signs", "SIGNING_KEYRING="+keyring)
	attempt("ulimit -f 4;", "the version can't be written, and nothing is changed; see above")
	if now := git(t, dir, "rev-parse", "HEAD"); now != head {
		t.Errorf("it committed %s", git(t, dir, "show", "--stat"))
	}
	git(t, dir, "config", "tag.gpgSign", "true")
	git(t, dir, "config", "gpg.program", "false")
	attempt("", "git can't tag the commit, see above; then type the same command again")
	if tags := git(t, dir, "tag"); tags != "" || git(t, dir, "show", "-s", "--format=%s") != "Release 9.0.0" {
		t.Errorf("tags %q, at %s", tags, git(t, dir, "show", "-s", "--format=%s"))
	}
	git(t, dir, "config", "tag.gpgSign", "false")
	attempt("", "dist/ is missing or incomplete") // the go above builds nothing
	if tagged := git(t, dir, "rev-parse", "v9.0.0^{commit}"); tagged != git(t, dir, "rev-parse", "HEAD") {
		t.Errorf("the tag is %s", tagged)
	}
}

// TestRelease makes a release of one platform in a clone, and continues one that was stopped
// after the tag.
func TestRelease(t *testing.T) {
	t.Parallel()
	dir := clone(t)
	release := func(more ...string) string {
		t.Helper()
		cmd := exec.Command("bash", filepath.Join(dir, "scripts", "release.sh"), "1.2.3", "-image=false")
		cmd.Env = append(append(os.Environ(), "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH), more...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	contains(t, release(), "verifying dist/", "dist/ holds helm-tenant 1.2.3; publish it with: git push origin main v1.2.3")
	if tagged, head := git(t, dir, "rev-parse", "v1.2.3^{commit}"), git(t, dir, "rev-parse", "HEAD"); tagged != head {
		t.Errorf("the tag is %s, not %s", tagged, head)
	}
	if left := git(t, dir, "status", "--porcelain"); left != "" {
		t.Errorf("left behind: %s", left)
	}
	changed := git(t, dir, "show", "--stat", "--format=%s", "HEAD")
	contains(t, changed, "Release 1.2.3", "CHANGELOG.md", "plugin.yaml", "deploy/audit/kustomization.yaml")
	name := "helm-tenant-" + runtime.GOOS + "-" + runtime.GOARCH
	for _, file := range []string{name, name + "-1.2.3.tgz", "helm4/all/tenant-1.2.3.tgz", "helm-tenant-1.2.3.cdx.json", "krew/tenant.yaml", "helm-tenant.rb", "artifacthub-repo.yml", "SHA256SUMS"} {
		if _, err := os.Stat(filepath.Join(dir, "dist", file)); err != nil {
			t.Error(err)
		}
	}
	// It builds once more, by a go that says so: what that makes is compared elsewhere.
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n[ \"$1\" != run ] || { echo \"go $*\"; exit 0; }\nPATH=${PATH#*:} exec go \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	contains(t, release("PATH="+bin+":"+os.Getenv("PATH")), "v1.2.3 is tagged; building it", "go run -trimpath . -from "+dir+" -image=false", "verifying dist/")
}
