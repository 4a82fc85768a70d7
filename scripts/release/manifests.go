package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// folders are those of templates that need one: Krew takes the plugin's name from the file's.
var folders = map[string]string{"tenant.yaml": "krew"}

// manifests writes what package managers and Artifact Hub read, all from the same
// facts: the version, the address of the release and the archives' checksums.
func (b *build) manifests(context.Context) error {
	type archive struct{ OS, Arch, File, Binary, SHA256 string }
	type system struct {
		Name     string // Homebrew's
		Archives []archive
	}
	facts := struct {
		Version, URL string
		Archives     []archive
		Homebrew     []system
	}{Version: b.version, URL: b.url}
	for _, p := range b.platforms {
		name := fmt.Sprintf("helm-tenant-%s-%s.tgz", p, b.version)
		data, err := os.ReadFile(filepath.Join(b.out, name))
		if err != nil {
			return err
		}
		a := archive{p.os, p.arch, name, p.binary(), fmt.Sprintf("%x", sha256.Sum256(data))}
		facts.Archives = append(facts.Archives, a)
	}
	// In this order `brew style` wants them.
	for _, name := range []struct{ homebrew, os string }{{"macos", "darwin"}, {"linux", "linux"}} {
		s := system{Name: name.homebrew}
		for _, arch := range []string{"arm64", "amd64"} {
			for _, a := range facts.Archives {
				if a.OS == name.os && a.Arch == arch {
					s.Archives = append(s.Archives, a)
				}
			}
		}
		if len(s.Archives) > 0 {
			facts.Homebrew = append(facts.Homebrew, s)
		}
	}
	parsed, err := template.New("").Option("missingkey=error").ParseFS(templates, "templates/*.tmpl")
	if err != nil {
		return err
	}
	for _, t := range parsed.Templates() {
		name, isTemplate := strings.CutSuffix(t.Name(), ".tmpl")
		if !isTemplate {
			continue
		}
		var out strings.Builder
		if err := t.Execute(&out, facts); err != nil {
			return err
		}
		target := filepath.Join(b.out, folders[name], name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, []byte(out.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
