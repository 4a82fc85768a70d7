package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// compile builds a main package for a platform. The environment is reduced to what
// Go needs, so that nothing of the caller's changes the bytes.
func (b *build) compile(ctx context.Context, dir, pkg, ldflags, output string, p platform) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= "+ldflags, "-o", output, pkg)
	cmd.Dir = dir
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		// GOPROXY, GOMODCACHE, GOCACHE and the like say where things are, not what
		// is built.
		switch name {
		case "GOFLAGS", "GOEXPERIMENT", "GOAMD64", "GOARM64", "GOOS", "GOARCH", "GOWORK", "GOTOOLCHAIN", "GODEBUG", "GOFIPS140", "CGO_ENABLED":
			continue
		}
		cmd.Env = append(cmd.Env, entry)
	}
	cmd.Env = append(cmd.Env, "GOTOOLCHAIN="+b.toolchain, "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s for %s: %w\n%s", pkg, p, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// binaries builds the programs of each platform.
func (b *build) binaries(ctx context.Context) error {
	for _, p := range b.platforms {
		for _, program := range p.programs() {
			say("  %s", program.file)
			err := b.compile(ctx, b.root, program.pkg, "-X helm-tenant/wrapper.buildVersion="+b.version, filepath.Join(b.out, program.file), p)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
