package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/oci"
)

// pluginArtifactType is what Helm 4 asks of a plugin in a registry
// (helm.sh/helm/v4/pkg/registry, PluginArtifactType).
const pluginArtifactType = "application/vnd.helm.plugin.v1+json"

// pluginLayout writes the OCI image layout of the Helm 4 plugin as an archive. Once
// it is pushed as REPOSITORY/tenant:VERSION, `helm plugin install
// oci://REPOSITORY/tenant:VERSION` takes it. Helm knows the layers by their titles.
func (b *build) pluginLayout(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "helm-tenant-plugin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := oci.New(dir)
	if err != nil {
		return err
	}
	var layers []ocispec.Descriptor
	for _, title := range []string{b.helm4Name(), b.helm4Name() + ".prov"} {
		data, err := os.ReadFile(filepath.Join(b.out, "helm4", "all", title))
		if os.IsNotExist(err) && b.sign == nil {
			continue
		}
		if err != nil {
			return err
		}
		layer := content.NewDescriptorFromBytes("application/vnd.oci.image.layer.v1.tar", data)
		layer.Annotations = map[string]string{ocispec.AnnotationTitle: title}
		if err := store.Push(ctx, layer, bytes.NewReader(data)); err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	manifest, err := oras.PackManifest(ctx, store, oras.PackManifestVersion1_1, pluginArtifactType, oras.PackManifestOptions{
		Layers:              layers,
		ManifestAnnotations: b.annotations("helm tenant: a Helm plugin for the tenants of a shared cluster"),
	})
	if err != nil {
		return err
	}
	if err := store.Tag(ctx, manifest, b.version); err != nil {
		return err
	}
	return b.writeLayout(dir, "helm-tenant-plugin-"+b.version+".oci.tar")
}

func (b *build) annotations(description string) map[string]string {
	return map[string]string{
		ocispec.AnnotationCreated:     b.time.Format(time.RFC3339),
		ocispec.AnnotationTitle:       "helm-tenant",
		ocispec.AnnotationDescription: description,
		ocispec.AnnotationVersion:     b.version,
		ocispec.AnnotationLicenses:    "Apache-2.0",
	}
}

// writeLayout archives a layout without the folder that a library works in.
func (b *build) writeLayout(dir, name string) error {
	if err := os.RemoveAll(filepath.Join(dir, "ingest")); err != nil {
		return err
	}
	data, err := tarFolder(dir, b.time)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, name), data, 0o644)
}

// containerImage writes the image for runs in a cluster: helm-tenant, Helm 4, the
// certificate authorities, a user without rights, and no shell. Everything that it
// writes goes to /tmp, so that the root file system can be read-only.
func (b *build) containerImage(ctx context.Context) error {
	if !b.image || !slices.ContainsFunc(b.platforms, func(p platform) bool { return p.os == "linux" }) {
		return nil
	}
	dir, err := os.MkdirTemp("", "helm-tenant-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range b.platforms {
		if p.os != "linux" {
			continue
		}
		image, err := b.platformImage(ctx, p)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: p.os, Architecture: p.arch},
		}})
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{ocispec.AnnotationRefName: b.version}))
	if err != nil {
		return err
	}
	return b.writeLayout(dir, "helm-tenant-image-"+b.version+".oci.tar")
}

// imageUser has no entry in any file: a cluster knows users by number.
const imageUser = "65532:65532"

func (b *build) platformImage(ctx context.Context, p platform) (v1.Image, error) {
	stage, err := os.MkdirTemp("", "helm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(stage)
	helm, helmVersion := filepath.Join(stage, "helm"), moduleVersion("helm.sh/helm/v4")
	if helmVersion == "" {
		return nil, fmt.Errorf("the build does not say which Helm 4 it links")
	}
	say("  Helm %s for %s", helmVersion, p)
	if err := b.compile(ctx, filepath.Join(b.root, "scripts", "release"), "helm.sh/helm/v4/cmd/helm", "-X helm.sh/helm/v4/internal/version.version="+helmVersion, helm, p); err != nil {
		return nil, err
	}
	files := map[string]file{"etc/ssl/certs/ca-certificates.crt": {certificates(), 0o644}}
	for name, from := range map[string]string{"usr/local/bin/helm": helm, "usr/local/bin/helm-tenant": filepath.Join(b.out, p.binary())} {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		files[name] = file{data, 0o755}
	}
	archive, err := b.writeTgz(files)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive)), nil // the library takes it as it is
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: b.time}, CreatedBy: "helm-tenant " + b.version},
	})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.os, p.arch, v1.Time{Time: b.time}
	config.Config = v1.Config{
		Entrypoint: []string{"/usr/local/bin/helm-tenant"},
		User:       imageUser,
		WorkingDir: "/tmp",
		Env: []string{
			"PATH=/usr/local/bin", "HOME=/tmp", "TMPDIR=/tmp",
			"HELM_CACHE_HOME=/tmp/helm/cache", "HELM_CONFIG_HOME=/tmp/helm/config", "HELM_DATA_HOME=/tmp/helm/data",
		},
		Labels: b.annotations("helm tenant, with Helm " + strings.TrimPrefix(helmVersion, "v")),
	}
	return mutate.ConfigFile(image, config)
}

// certificates returns the authorities that Mozilla trusts, as PEM, from a Go module, so
// that two machines have the same.
func certificates() []byte {
	var out []byte
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // trusted for a part only, which a PEM file can't say
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})...)
	}
	return out
}

func moduleVersion(path string) string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return ""
}
