package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// An Image holds one static binary and nothing else.
type Image struct {
	Name       string // with a tag
	Binary     string // on this machine
	Entrypoint string // the path of the binary in the image, and the command
	User       string
}

// PauseImage is what every pod's sandbox runs, and a small image for tests' pods.
const PauseImage = "registry.k8s.io/pause:3.10"

// images returns the images that a full cluster's node has from the start. Tiller's is the one
// of `helm init` of that version.
func images(bins map[string]string) []Image {
	return []Image{
		{Name: PauseImage, Binary: bins["pause"], Entrypoint: "/pause", User: "65535"},
		{Name: "ghcr.io/helm/tiller:v2.17.0", Binary: bins["tiller"], Entrypoint: "/tiller", User: "65534"},
	}
}

// writeArchive writes images as one archive of the kind that `docker save`
// makes.
func writeArchive(path string, images ...Image) error {
	tags := map[name.Tag]v1.Image{}
	for _, i := range images {
		tag, err := name.NewTag(i.Name, name.StrictValidation)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.Name, err)
		}
		if tags[tag], err = i.build(); err != nil {
			return fmt.Errorf("image %s: %w", i.Name, err)
		}
	}
	return tarball.MultiWriteToFile(path, tags)
}

func (i Image) build() (v1.Image, error) {
	binary, err := os.ReadFile(i.Binary)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"tmp/"} { // Tiller unpacks charts there
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o1777}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     strings.TrimPrefix(i.Entrypoint, "/"),
		Mode:     0o755,
		Size:     int64(len(binary)),
	}); err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	// Not compressed: it never leaves the machine.
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.NoCompression))
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = []string{i.Entrypoint}
	config.Config.User = i.User
	return mutate.ConfigFile(img, config)
}

// LoadImage adds an image to the node of the cluster. Its containerd is reached
// by the path that its socket has inside the cluster's mount namespace.
func (i Info) LoadImage(ctx context.Context, ctr string, image Image) error {
	archive, err := os.CreateTemp(i.Dir, "image-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(archive.Name())
	if err := archive.Close(); err != nil {
		return err
	}
	if err := writeArchive(archive.Name(), image); err != nil {
		return err
	}
	return i.load(ctx, ctr, archive.Name())
}

// LoadLayout adds the image of an archived OCI layout, under that name and the tags that
// are in the archive.
func (i Info) LoadLayout(ctx context.Context, ctr, archive, name string) error {
	return i.load(ctx, ctr, archive, "--base-name", name)
}

func (i Info) load(ctx context.Context, ctr, archive string, more ...string) error {
	socket := filepath.Join("/proc", fmt.Sprint(i.Inside), "root", containerdSocket)
	if out, err := exec.CommandContext(ctx, ctr, importArgs(socket, archive, more...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("loading the image of %s: %w\n%s", archive, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Every cluster has it at this path in its own mount namespace, because a
// socket's path may have 107 bytes and a cluster's folder may be deep.
const containerdSocket = "/run/containerd/containerd.sock"

// The kubelet sees what is in containerd's namespace k8s.io.
func importArgs(socket, archive string, more ...string) []string {
	args := append([]string{"--address", socket, "--namespace", "k8s.io", "images", "import"}, more...)
	return append(args, archive)
}
