package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"helm-tenant/envvar"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// Client is the helm binary that is wrapped.
type Client struct {
	Path string
	// Version is like v2.17.0; empty until helm was asked.
	Version string
	Major   int
}

// Engine returns the engine of this client.
func (c Client) Engine() tenant.Engine {
	if c.Major == 2 {
		return tenant.EngineTiller
	}
	return tenant.EngineImpersonation
}

// oldestMinor is the minor version of the first Helm 2 that uses apps/v1, as API servers
// of today require: 2.16.
const oldestMinor = 16

// Environ looks up a variable, as os.LookupEnv does.
type Environ func(name string) (string, bool)

// get returns the variable's value, empty if it is not set.
func (e Environ) get(name string) string {
	value, _ := e(name)
	return value
}

// pluginOf returns the major version of the helm that started this process as its plugin,
// 0 if none did. It goes by the variables that each sets for plugins (v2:
// k8s.io/helm/pkg/plugin; v3 and v4: pkg/cli EnvVars). A user may export those of another
// version, and a plugin of one may call the other: then the folder of the plugin decides.
func pluginOf(env Environ) int {
	plugin := env.get(envvar.PluginDir)
	if plugin == "" || env.get(envvar.Bin) == "" {
		return 0
	}
	set := func(name string) bool { _, found := env(name); return found }
	if set(envvar.TillerNamespace) && set(envvar.PathCache) {
		three := set(envvar.Namespace) && set(envvar.DataHome) && slices.ContainsFunc(filepath.SplitList(env.get(envvar.Plugins)), func(folder string) bool {
			return filepath.Dir(plugin) == filepath.Clean(folder)
		})
		if !three {
			return 2
		}
	}
	switch {
	case set(envvar.ContentCache):
		return 4
	case set(envvar.Namespace), set(envvar.DataHome):
		return 3
	}
	return 2
}

// ErrNoHelm reports that there is no helm to wrap.
var ErrNoHelm = errors.New("no helm was found: install Helm 2.17, 3 or 4, or set HELM_BIN to its path")

// Find returns the helm to wrap: the one that started us, HELM_BIN, or the first helm in
// $PATH. It never returns self, our own executable, whatever its name is.
func Find(env Environ, self string) (string, error) {
	executable, err := os.Stat(self)
	if err != nil {
		return "", fmt.Errorf("our own executable %s: %w", self, err)
	}
	isSelf := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && os.SameFile(info, executable)
	}
	name := env.get(envvar.Bin)
	if name != "" && filepath.Base(name) != name {
		if isSelf(name) {
			return "", fmt.Errorf("HELM_BIN is %s, which is helm-tenant itself: set it to helm's path", name)
		}
		path, err := exec.LookPath(name)
		if why, ok := errors.AsType[*exec.Error](err); ok {
			err = why.Err
		}
		if atPath, ok := errors.AsType[*fs.PathError](err); ok {
			err = atPath.Err
		}
		if err != nil {
			return "", fmt.Errorf("HELM_BIN is %s, which can't be run: %w", name, err)
		}
		return path, nil
	}
	if name == "" {
		name = "helm"
	}
	for _, dir := range filepath.SplitList(env.get(envvar.Path)) {
		if dir == "" {
			continue
		}
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err == nil && !isSelf(path) {
			return path, nil
		}
	}
	return "", ErrNoHelm
}

// Identify returns the version of the helm at path. The answer is cached in the user's
// cache folder until the binary changes, since asking takes as long as a call of helm.
func Identify(ctx context.Context, env envvar.Environment, path string) (Client, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Client{}, err
	}
	key := identity{Path: path, Size: info.Size(), Modified: info.ModTime()}
	cache := cacheFile(env, path)
	if client, found := remembered(cache, key); found {
		return client, nil
	}
	client, err := ask(ctx, env, path)
	if err != nil {
		return Client{}, err
	}
	remember(cache, key, client)
	return client, nil
}

// Check returns an error unless helm-tenant supports this helm.
func (c Client) Check() error {
	switch c.Major {
	case 2:
		if minor := minorOf(c.Version); minor >= 0 && minor < oldestMinor {
			return fmt.Errorf("helm %s at %s is too old: helm-tenant works with 2.%d and later, best 2.17", c.Version, c.Path, oldestMinor)
		}
		return nil
	case 3, 4:
		return nil
	}
	return fmt.Errorf("helm %s at %s is of no major version that helm-tenant knows", c.Version, c.Path)
}

type identity struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

type memory struct {
	identity
	Version string `json:"version"`
}

// cacheFile returns the file with the version of the helm at path. Each helm has a file
// of its own, so that two helms can be used in turn without being asked again.
func cacheFile(env envvar.Environment, path string) string {
	dir, err := env.CacheDir()
	if err != nil {
		return ""
	}
	hash := fnv.New64a()
	hash.Write([]byte(path))
	return filepath.Join(dir, "helm-tenant", fmt.Sprintf("helm-version-%016x.json", hash.Sum64()))
}

// remembered reads the cache; a broken cache counts as missing.
func remembered(file string, key identity) (Client, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Client{}, false
	}
	var m memory
	if json.Unmarshal(text, &m) != nil || m.Path != key.Path || m.Size != key.Size || !m.Modified.Equal(key.Modified) {
		return Client{}, false
	}
	major := majorOf(m.Version)
	return Client{Path: key.Path, Version: m.Version, Major: major}, major > 0
}

// remember writes the cache. If it fails, the next call asks helm again.
func remember(file string, key identity, client Client) {
	text, err := json.Marshal(memory{key, client.Version})
	if err != nil || file == "" || os.MkdirAll(filepath.Dir(file), 0o755) != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "helm-version.*")
	if err != nil {
		return
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if closeErr := temp.Close(); err == nil && closeErr == nil {
		_ = os.Rename(temp.Name(), file) // a failure only costs the next call time
	}
}

var versionPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`v[0-9]+\.[0-9]+[0-9A-Za-z.+-]*`) })

// versionTimeout is how long helm may take to print its version. A pod without a request
// for processor time gets next to none on a busy node: helm has taken 20 seconds there.
const versionTimeout = time.Minute

// ask asks helm for its version: `version --client` needs no Tiller with Helm 2 and works
// with Helm 3; Helm 4 has no --client.
func ask(ctx context.Context, env envvar.Environment, path string) (Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, versionTimeout, fmt.Errorf("it has not answered for %s", versionTimeout))
	defer cancel()
	var answer []byte
	for _, args := range [][]string{{"version", "--client", "--short"}, {"version", "--short"}} {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = append(withoutDebug(env), envvar.NoPlugins+"=1", envvar.Starter+"="+envvar.StarterAsks)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if version := versionPattern().FindString(string(out)); err == nil && version != "" {
			version, _, _ = strings.Cut(version, "+")
			return Client{Path: path, Version: version, Major: majorOf(version)}, nil
		}
		var notRun *fs.PathError
		switch {
		case ctx.Err() != nil:
			return Client{}, fmt.Errorf("helm at %s does not tell its version: %w", path, context.Cause(ctx))
		case errors.As(err, &notRun):
			return Client{}, fmt.Errorf("helm at %s can't be run: %w", path, notRun.Err)
		}
		answer = append(out, stderr.Bytes()...)
	}
	return Client{}, fmt.Errorf("%s does not tell its version as helm does; it said: %.200q", path, visible.OneLine(string(answer)))
}

func majorOf(version string) int {
	text, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	major, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return major
}

func minorOf(version string) int {
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		return -1
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		return -1
	}
	return minor
}
