package helm

import (
	"io"
	"os"
	"path/filepath"
	"runtime"

	"gopkg.in/yaml.v2"

	"helm-tenant/envvar"
)

// PluginInstalled reports whether the helm of that major version has a plugin of that
// name in its plugin folders (k8s.io/helm/pkg/helm/environment; helm.sh/helm/v3/pkg/cli,
// and v4).
func PluginInstalled(env Environ, major int, name string) bool {
	if value := env.get(envvar.NoPlugins); value != "" && value != "0" && value != "false" {
		return false
	}
	for _, folder := range filepath.SplitList(pluginFolders(env, major)) {
		files, err := filepath.Glob(filepath.Join(folder, "*", "plugin.yaml"))
		if err != nil {
			continue
		}
		for _, file := range files {
			if pluginName(file) == name {
				return true
			}
		}
	}
	return false
}

// pluginName returns the name in a plugin.yaml, empty if it can't be read.
func pluginName(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	const limit = 1 << 20
	text, err := io.ReadAll(io.LimitReader(f, limit))
	var plugin struct {
		Name string `yaml:"name"`
	}
	if err != nil || yaml.Unmarshal(text, &plugin) != nil {
		return ""
	}
	return plugin.Name
}

// pluginFolders returns a list as in PATH.
func pluginFolders(env Environ, major int) string {
	home := env.get(envvar.UserHome)
	if major == 2 {
		switch {
		case env.get(envvar.Plugin) != "":
			return env.get(envvar.Plugin)
		case env.get(envvar.Home) != "":
			return filepath.Join(env.get(envvar.Home), "plugins")
		}
		return filepath.Join(home, ".helm", "plugins")
	}
	switch {
	case env.get(envvar.Plugins) != "":
		return env.get(envvar.Plugins)
	case env.get(envvar.DataHome) != "":
		return filepath.Join(env.get(envvar.DataHome), "plugins")
	case env.get(envvar.XDGDataHome) != "":
		return filepath.Join(env.get(envvar.XDGDataHome), "helm", "plugins")
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "helm", "plugins")
	case runtime.GOOS == "windows":
		return filepath.Join(env.get(envvar.AppData), "helm", "plugins")
	}
	return filepath.Join(home, ".local", "share", "helm", "plugins")
}
