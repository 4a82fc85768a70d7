package parts

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

type builder struct {
	log    io.Writer
	cache  string
	source string
	keys   map[string][]byte // by folder: the hash of what its pins and its Go are
}

func newBuilder(log io.Writer) (*builder, error) {
	if log == nil {
		log = io.Discard
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	source, err := Source()
	if err != nil {
		return nil, err
	}
	return &builder{log: log, cache: filepath.Join(cache, "parts"), source: source, keys: map[string][]byte{}}, nil
}

// binary is where the part's program is, or will be when it is built.
func (b *builder) binary(ctx context.Context, p Part) (string, error) {
	key, err := b.key(ctx, p)
	if err != nil {
		return "", err
	}
	return filepath.Join(b.cache, p.Name+"-"+p.Version+"-"+key, cmp.Or(p.File, p.Name)), nil
}

func (b *builder) build(ctx context.Context, p Part) (string, error) {
	binary, err := b.binary(ctx, p)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	dir, file := filepath.Dir(binary), filepath.Base(binary)

	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return "", fmt.Errorf("keeping %s: %w; set HELM_TENANT_CACHE to a folder that can be written", p.Name, err)
	}
	unlock, err := lock(ctx, dir+".lock", func() {
		fmt.Fprintf(b.log, "waiting for another process that builds %s\n", p.Name)
	})
	if err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	defer unlock()
	if _, err := os.Stat(binary); err == nil { // built while we waited
		return binary, nil
	}

	// The lock is ours, so a partial folder is of a build that was killed.
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	defer os.RemoveAll(partial)
	if err := os.Mkdir(partial, 0o755); err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	if err := b.compile(ctx, p, filepath.Join(partial, file)); err != nil {
		return "", err
	}
	if err := os.Rename(partial, dir); err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	return binary, nil
}

func (b *builder) compile(ctx context.Context, p Part, output string) error {
	start := time.Now()
	fmt.Fprintf(b.log, "building %s %s, once (%s on two cores)\n", p.Name, p.Version, p.Minutes)
	folder, pkg := filepath.Join(b.source, p.Folder), p.Package
	if p.NoOpenAPI {
		folder = output + ".source"
		defer os.RemoveAll(folder)
		var err error
		if pkg, err = b.withOpenAPI(ctx, p, folder); err != nil {
			return fmt.Errorf("building %s %s: %w", p.Name, p.Version, err)
		}
	}
	cmd := b.gocmd(ctx, p, "build", "-buildvcs=false", "-mod=readonly",
		"-tags="+p.Tags, "-ldflags="+strings.TrimSpace("-s -w "+p.LDFlags), "-o", output, pkg)
	cmd.Dir = folder
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out

	done := make(chan struct{})
	go func() {
		for tick := time.NewTicker(30 * time.Second); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				fmt.Fprintf(b.log, "still building %s, %s so far\n", p.Name, time.Since(start).Round(time.Second))
			}
		}
	}()
	err := cmd.Run()
	close(done)
	if err == nil {
		fmt.Fprintf(b.log, "built %s in %s\n", p.Name, time.Since(start).Round(100*time.Millisecond))
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("building %s: stopped after %s: %w", p.Name, time.Since(start).Round(time.Second), context.Cause(ctx))
	}
	hint := ""
	if p.CGo {
		hint = "\nit needs gcc, pkg-config and libseccomp's headers: run scripts/test-prerequisites.sh"
	}
	return fmt.Errorf("building %s %s in %s: %w\n%s%s", p.Name, p.Version, cmd.Dir, err, strings.TrimSpace(out.String()), hint)
}

// gocmd returns a go command in the part's folder that ignores the caller's settings: the
// result depends only on the contents of the key.
func (b *builder) gocmd(ctx context.Context, p Part, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(b.source, p.Folder)
	cgo := "CGO_ENABLED=0"
	if p.CGo {
		cgo = "CGO_ENABLED=1"
	}
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, cgo)
	// An interrupted go command ends its compilers and removes its work folder.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// key names what a binary was built from: the folder's files, the Go version
// and the part's row in the table.
func (b *builder) key(ctx context.Context, p Part) (string, error) {
	folder := b.keys[p.Folder]
	if folder == nil {
		h := sha256.New()
		version, err := b.gocmd(ctx, p, "env", "GOVERSION", "GOOS", "GOARCH").Output()
		if err != nil {
			return "", fmt.Errorf("asking go for its version to build %s: %w", p.Name, err)
		}
		h.Write(version)
		files, err := filepath.Glob(filepath.Join(b.source, p.Folder, "*"))
		if err != nil || len(files) == 0 {
			return "", fmt.Errorf("no sources for %s in %s", p.Name, filepath.Join(b.source, p.Folder))
		}
		for _, file := range files { // Glob sorts
			content, err := os.ReadFile(file)
			if err != nil {
				return "", fmt.Errorf("reading what %s is built from: %w", p.Name, err)
			}
			fmt.Fprintf(h, "%s %d\n%s", filepath.Base(file), len(content), content)
		}
		folder = h.Sum(nil)
		b.keys[p.Folder] = folder
	}
	p.Minutes = "" // says nothing about the binary
	row, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	if p.NoOpenAPI {
		row = append(row, openAPI...)
	}
	sum := sha256.Sum256(append(row, folder...))
	return hex.EncodeToString(sum[:6]), nil
}

// Command builds the command pkg of the module in dir into folder, under that
// name, and returns its path. Unlike a part it follows its
// sources: go looks at them each time, and links again only if they changed.
// Several checkouts have one binary each.
func Command(ctx context.Context, dir, pkg, name, folder string, flags ...string) (string, error) {
	sum := sha256.Sum256([]byte(dir))
	folder = filepath.Join(folder, hex.EncodeToString(sum[:4]))
	output := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return "", fmt.Errorf("building %s: %w; set HELM_TENANT_CACHE to a folder that can be written", name, err)
	}
	unlock, err := lock(ctx, output+".lock", func() {})
	if err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	defer unlock()
	cgo := "CGO_ENABLED=0"
	if slices.Contains(flags, "-race") {
		cgo = "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-buildvcs=false", "-o", output}, flags, []string{pkg})...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s in %s: %w\n%s", name, dir, err, strings.TrimSpace(string(out)))
	}
	return output, nil
}
