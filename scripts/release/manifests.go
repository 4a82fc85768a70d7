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
	"time"
)

//go:embed templates
var templates embed.FS

// manifests writes what package managers and Artifact Hub read, all from the same
// facts: the version, the address of the release and the archives' checksums.
func (b *build) manifests(context.Context) error {
	type archive struct{ OS, Arch, File, Binary, SHA256 string }
	facts := struct {
		Version, URL, Created string
		Archives              []archive
		Homebrew              map[string][]archive // by Homebrew's name of the system
	}{Version: b.version, URL: b.url, Created: b.time.Format(time.RFC3339), Homebrew: map[string][]archive{}}
	for _, p := range b.platforms {
		name := fmt.Sprintf("helm-tenant-%s-%s.tgz", p, b.version)
		data, err := os.ReadFile(filepath.Join(b.out, name))
		if err != nil {
			return err
		}
		a := archive{p.os, p.arch, name, p.binary(), fmt.Sprintf("%x", sha256.Sum256(data))}
		facts.Archives = append(facts.Archives, a)
		if system := map[string]string{"darwin": "macos", "linux": "linux"}[p.os]; system != "" {
			facts.Homebrew[system] = append(facts.Homebrew[system], a)
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
		if err := os.WriteFile(filepath.Join(b.out, name), []byte(out.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
