package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPathsOfFlags(t *testing.T) {
	for _, test := range []struct{ path, want string }{
		{"", "../../dist"},
		{"out", "/home/me/out"},
		{"../a b", "/home/a b"},
		{"/tmp/x", "/tmp/x"},
	} {
		if got := pathFrom("/home/me", test.path, "../../dist"); got != test.want {
			t.Errorf("%q is %q, want %q", test.path, got, test.want)
		}
	}
	if err := checkArguments(nil); err != nil {
		t.Error(err)
	}
	if err := checkArguments([]string{"linux/arm64"}); err == nil || err.Error() != `"linux/arm64" is no flag; platforms are named by the variable PLATFORMS` {
		t.Errorf("a platform as an argument: %v", err)
	}
}

func TestSourceDate(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64
		err  string // a part of it
	}{
		{"0", 0, ""},
		{"1700000000", 1700000000, ""},
		{"8589934591", latestInTar, ""},
		{"8589934592", 0, "until 2242-03-16"},
		{"9223372036854775807", 0, "until 2242-03-16"},
		{"9223372036854775808", 0, "not a number of seconds"},
		{"-1", 0, "not a number of seconds"},
		{"+5", 0, "not a number of seconds"},
		{" 5", 0, "not a number of seconds"},
		{"1_000", 0, "not a number of seconds"},
		{"1e9", 0, "not a number of seconds"},
		{"0x10", 0, "not a number of seconds"},
		{"17.5", 0, "not a number of seconds"},
		{"2026-11-28", 0, "not a number of seconds"},
	} {
		t.Setenv("SOURCE_DATE_EPOCH", test.text)
		got, err := sourceDate(t.Context(), t.TempDir())
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.HasPrefix(err.Error(), "SOURCE_DATE_EPOCH is ") {
				t.Errorf("%q: %v, %v", test.text, got, err)
			}
			continue
		}
		if err != nil || got.Unix() != test.want || got.Location() != time.UTC {
			t.Errorf("%q: %v, %v", test.text, got, err)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if _, err := sourceDate(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "set SOURCE_DATE_EPOCH") {
		t.Errorf("outside of a repository: %v", err)
	}
}

func TestParsePlatforms(t *testing.T) {
	for _, test := range []struct {
		list string
		want []platform
		err  bool
	}{
		{"linux/amd64", []platform{{"linux", "amd64"}}, false},
		{" windows/arm64\n\tdarwin/arm64  linux/amd64 linux/amd64", []platform{{"darwin", "arm64"}, {"linux", "amd64"}, {"windows", "arm64"}}, false},
		{"linux", nil, true},
		{"linux/", nil, true},
		{"/amd64", nil, true},
		{"linux/amd64/v3", nil, true},
		{"linux/amd64,darwin/arm64", nil, true},
		{"../x/amd64", nil, true},
	} {
		got, err := parsePlatforms(test.list)
		if (err != nil) != test.err || !slices.Equal(got, test.want) {
			t.Errorf("%q: %v, %v", test.list, got, err)
		}
	}
	if all, err := parsePlatforms(allPlatforms); err != nil || len(all) != 6 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestCheckURL(t *testing.T) {
	for address, good := range map[string]bool{
		"https://example.com/v1.2.3":                               true,
		"http://localhost:8080/a%20b":                              true,
		"https://github.com/o/r/releases/download/v1.2.3-rc.1":     true,
		"example.com/v1":                                           false,
		"ftp://example.com/v1":                                     false,
		"https:///v1":                                              false,
		"https://example.com/v1?x=1":                               false,
		"https://example.com/v1#top":                               false,
		"https://example.com/\"; system(\"id\")":                   false,
		"https://example.com/#{`id`}":                              false,
		"https://example.com/v1\nsha256: 0":                        false,
		"https://example.com/a b":                                  false,
		"https://user:secret@example.com/v1\t":                     false,
		"https://example.com/v1: {os: linux}":                      false,
		"https://example.com/'quoted'":                             false,
		"https://example.com/helm-tenant/v0.1.0/~mirror/a+b_c@1.2": true,
	} {
		if err := checkURL(address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestGoVariables: neither a variable nor a setting of the caller's decides what is built, and
// settings of the places stay.
func TestGoVariables(t *testing.T) {
	caller := []string{"HOME=/home/me", "PATH=/bin", "GOFLAGS=-tags=mine", "GOAMD64=v3", "GOENV=/home/me/go.env", "GOEXPERIMENT=synctest", "GOROOT=/opt/go",
		"GOTOOLCHAIN=local", "GOWORK=/work/go.work", "GOFIPS140=latest", "GODEBUG=x=1", "CGO_ENABLED=1", "CGO_CFLAGS=-O3", "GOPROXY=of-the-variable", "GO111MODULE=off"}
	got := goVariables(caller, map[string]string{"GOPROXY": "https://proxy.example.com", "GOMODCACHE": "/cache/mod"}, "go1.26.8")
	for _, want := range []string{"HOME=/home/me", "PATH=/bin", "GOPROXY=https://proxy.example.com", "GOMODCACHE=/cache/mod", "GOENV=off", "GOTOOLCHAIN=go1.26.8", "GOWORK=off", "CGO_ENABLED=0"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	names := map[string]int{}
	for _, entry := range got {
		name, _, _ := strings.Cut(entry, "=")
		names[name]++
		if names[name] > 1 {
			t.Errorf("%s occurs twice", name)
		}
	}
	for _, name := range []string{"GOAMD64", "GOEXPERIMENT", "GOROOT", "GOFIPS140", "GODEBUG", "CGO_CFLAGS", "GO111MODULE"} {
		if names[name] > 0 {
			t.Errorf("the caller's %s is left", name)
		}
	}
}

// TestRemoveRelease: only a folder with nothing but a release in it is removed.
func TestRemoveRelease(t *testing.T) {
	for _, test := range []struct {
		name    string
		files   []string
		removed bool
	}{
		{"a release", []string{"helm-tenant-linux-amd64", "helm-tenant-0.1.0.cdx.json", "helm-tenant.rb", "helm4/all/tenant-0.1.0.tgz", "krew/tenant.yaml", "artifacthub-repo.yml", "SHA256SUMS", "SHA256SUMS.asc"}, true},
		{"an empty folder", nil, true},
		{"half of a release", []string{"helm-tenant-linux-amd64"}, true},
		{"a home", []string{".bashrc", "Documents/letter.txt"}, false},
		{"a release and another file", []string{"SHA256SUMS", "notes.txt"}, false},
		{"a checkout of the project", []string{"helm-tenant", "go.mod"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, name := range test.files {
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := removeRelease(dir)
			_, statErr := os.Stat(dir)
			if (err == nil) != test.removed || os.IsNotExist(statErr) != test.removed {
				t.Errorf("%v, %v", err, statErr)
			}
			for _, name := range test.files {
				if _, err := os.Stat(filepath.Join(dir, name)); (err != nil) != test.removed {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	if err := removeRelease(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
}

// TestInterruptedRun: a build that fails leaves neither a release nor a part of one.
func TestInterruptedRun(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	t.Setenv("PLATFORMS", "none/none")
	t.Setenv("SIGNING_KEYRING", "")
	out := filepath.Join(t.TempDir(), "dist")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "SHA256SUMS"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), "../..", out, false)
	if err == nil || !strings.Contains(err.Error(), "helm-tenant for none-none") && !strings.Contains(err.Error(), "building . for none-none") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
