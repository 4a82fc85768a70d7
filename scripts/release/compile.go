package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

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

// placesOfGo are Go's settings that say where things are, not what is built.
var placesOfGo = []string{
	"GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOVCS", "GOAUTH",
	"GOPATH", "GOMODCACHE", "GOCACHE", "GOCACHEPROG", "GOTMPDIR",
}

// goEnvironment returns an environment in which nothing of the caller's changes what Go builds:
// neither variables, nor the settings that `go env -w` wrote.
func goEnvironment(ctx context.Context, root string) ([]string, error) {
	toolchain, err := pinnedToolchain(ctx, root)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"env", "-json"}, placesOfGo...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("reading Go's settings: %w", err)
	}
	var places map[string]string
	if err := json.Unmarshal(out, &places); err != nil {
		return nil, fmt.Errorf("reading Go's settings: %w", err)
	}
	return goVariables(os.Environ(), places, toolchain), nil
}

func goVariables(caller []string, places map[string]string, toolchain string) []string {
	var environment []string
	for _, entry := range caller {
		if !strings.HasPrefix(entry, "GO") && !strings.HasPrefix(entry, "CGO_") {
			environment = append(environment, entry)
		}
	}
	for _, name := range placesOfGo {
		environment = append(environment, name+"="+places[name])
	}
	return append(environment, "GOENV=off", "GOTOOLCHAIN="+toolchain, "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0")
}

func (b *build) compile(ctx context.Context, dir, pkg, ldflags, output string, p platform) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= "+ldflags, "-o", output, pkg)
	cmd.Dir = dir
	cmd.Env = append(slices.Clone(b.environment), "GOOS="+p.os, "GOARCH="+p.arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s for %s: %w\n%s", pkg, p, err, strings.TrimSpace(string(out)))
	}
	return nil
}

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
