package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// sbom writes a CycloneDX bill of materials: the modules that the linked program
// says it was built from, over all platforms, and the programs themselves.
func (b *build) sbom(context.Context) error {
	modules := map[string]cyclonedx.Component{}
	var goVersion string
	bom := cyclonedx.NewBOM()
	var programs []cyclonedx.Component
	for _, p := range b.platforms {
		for _, program := range p.programs() {
			name := filepath.Join(b.out, program.file)
			info, err := buildinfo.ReadFile(name)
			if err != nil {
				return err
			}
			goVersion = info.GoVersion
			for _, module := range info.Deps {
				if module.Replace != nil {
					module = module.Replace
				}
				modules[module.Path+"@"+module.Version] = component(module.Path, module.Version)
			}
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			programs = append(programs, cyclonedx.Component{
				Type: cyclonedx.ComponentTypeFile, BOMRef: program.file, Name: program.file, Version: b.version,
				Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
			})
		}
	}
	if len(modules) == 0 {
		return fmt.Errorf("the programs name no modules")
	}
	components := programs
	var refs []string
	for _, key := range sortedKeys(modules) {
		components = append(components, modules[key])
		refs = append(refs, modules[key].BOMRef)
	}
	standard := component("std", goVersion)
	components = append(components, standard)
	main := component("helm-tenant", b.version)
	main.Type = cyclonedx.ComponentTypeApplication
	main.Licenses = &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}}
	bom.Metadata = &cyclonedx.Metadata{Timestamp: b.time.Format(time.RFC3339), Component: &main}
	bom.Components = &components
	refs = append(refs, standard.BOMRef)
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	var out bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	if err := encoder.Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, "helm-tenant-"+b.version+".cdx.json"), out.Bytes(), 0o644)
}

func component(path, version string) cyclonedx.Component {
	url := "pkg:golang/" + path + "@" + version
	return cyclonedx.Component{Type: cyclonedx.ComponentTypeLibrary, BOMRef: url, Name: path, Version: version, PackageURL: url}
}
