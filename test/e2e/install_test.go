package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"helm-tenant/cli"
	"helm-tenant/helm"
	"helm-tenant/test/harness"
)

// tree returns a copy of the repository's files, without build results.
func tree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "helm-tenant")
	if err := copySource(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copySource(dir string) error {
	root, err := harness.Repository()
	if err != nil {
		return err
	}
	clone := exec.Command("sh", "-c", `mkdir -p "$1" && cd "$0" && git ls-files -co --exclude-standard -z -- . ':!test' | xargs -0 cp --parents -t "$1"`, root, dir)
	if out, err := clone.CombinedOutput(); err != nil {
		return fmt.Errorf("copying the tree: %w\n%s", err, out)
	}
	return nil
}

// TestPluginInstall installs the plugin as its users do, under each major version
// of helm: from a folder, and from the archives of a release.
func TestPluginInstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	source := tree(t)
	p := &person{t: t, env: append(helmHome(t, w.cluster), "KUBECONFIG="+w.cluster.Admin())}
	dist, key := hostRelease(t)
	platform := runtime.GOOS + "-" + runtime.GOARCH
	name := "helm-tenant-" + platform
	// Helm 3 knows an archive by its content type alone.
	served := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, from *http.Request) {
		to.Header().Set("Content-Type", "application/gzip")
		http.FileServer(http.Dir(dist)).ServeHTTP(to, from)
	}))
	defer served.Close()

	t.Run("helm 4 refuses another key's signature", func(t *testing.T) {
		p := &person{t: t, env: append(helm3Home(t, w.cluster, 4), "KUBECONFIG="+w.cluster.Admin())}
		archive := filepath.Join(dist, "helm4", platform, "tenant-0.1.0.tgz")
		p.fails(1, "verification failed", "helm", "plugin", "install", archive, "--keyring", newKey(t).public)
	})

	for _, major := range []int{3, 4} {
		flat, folder := name+"-0.1.0.tgz", "helm4/"+platform+"/tenant-0.1.0.tgz"
		ways := map[string][]string{"a folder": {source}, "the archive that Helm 2 takes": {served.URL + "/" + flat}}
		if major == 4 {
			// Helm 4 verifies the provenance of an archive unless it is told not to.
			ways["the archive that Helm 2 takes"] = []string{served.URL + "/" + flat, "--verify=false"}
			ways["its own archive"] = []string{served.URL + "/" + folder, "--keyring", key.public}
			ways["its own archive, a file"] = []string{filepath.Join(dist, folder), "--keyring", key.public}
			ways["a registry"] = []string{pushPlugin(t, dist), "--plain-http", "--keyring", key.public}
		}
		for way, args := range ways {
			t.Run(fmt.Sprintf("helm %d from %s", major, way), func(t *testing.T) {
				p := &person{t: t, env: append(helm3Home(t, w.cluster, major), "KUBECONFIG="+w.cluster.Admin())}
				p.run(append([]string{"helm", "plugin", "install"}, args...)...)
				contains(t, p.run("helm", "plugin", "list"), "tenant", "0.1.0")
				if got := p.run("helm", "tenant", "--version"); got != "helm-tenant 0.1.0\n" {
					t.Errorf("it says %q", got)
				}
				p.run("helm", "tenant", "tenants") // and the plugin works
				p.run("helm", "plugin", "uninstall", "tenant")
			})
		}
	}

	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm %d in a path with spaces", major), func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "my files", "helm data")
			p := &person{t: t, env: append(helm3Home(t, w.cluster, major), "KUBECONFIG="+w.cluster.Admin(), "HELM_DATA_HOME="+data)}
			args := []string{"helm", "plugin", "install", served.URL + "/" + name + "-0.1.0.tgz"}
			if major == 4 {
				args = append(args, "--verify=false")
			}
			p.run(args...)
			if got := p.run("helm", "tenant", "--version"); got != "helm-tenant 0.1.0\n" {
				t.Errorf("it says %q", got)
			}
			if _, err := os.Stat(filepath.Join(data, "plugins")); err != nil {
				t.Errorf("it is installed elsewhere: %v", err)
			}
		})
	}

	t.Run("helm 2 from a folder", func(t *testing.T) {
		p.run("helm", "plugin", "install", source)
		contains(t, p.run("helm", "plugin", "list"), "tenant", "0.1.0")
		contains(t, p.run("helm", "tenant", "--version"), "helm-tenant 0.1.0")
		p.run("helm", "plugin", "remove", "tenant")
	})

	t.Run("helm 2 from an archive", func(t *testing.T) {
		p.run("helm", "plugin", "install", served.URL+"/"+name+"-0.1.0.tgz")
		contains(t, p.run("helm", "tenant", "--version"), "helm-tenant 0.1.0")
		p.run("helm", "plugin", "remove", "tenant")

		t.Run("a bundled binary that was tampered with is not used", func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "bad")
			unpack := exec.Command("sh", "-c", `mkdir "$0" && tar xzf "$1" -C "$0" && echo x >> "$0/dist/$2"`, dir, filepath.Join(dist, name+"-0.1.0.tgz"), name)
			if out, err := unpack.CombinedOutput(); err != nil {
				t.Fatalf("unpacking: %v\n%s", err, out)
			}
			p.fails(1, "checksum", "helm", "plugin", "install", dir)
		})
	})

	// One key of plugin.yaml that one of them does not know would make it refuse
	// every plugin: the same folder has to do for all three.
	t.Run("one tree for all three", func(t *testing.T) {
		plugins := t.TempDir()
		if err := os.Symlink(w.plugin, filepath.Join(plugins, "tenant")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"helm2", "helm3", "helm4"} {
			other := p.with("HELM_PLUGINS="+plugins, "HELM_PLUGIN="+plugins)
			contains(t, other.run(w.cluster.Bin(name), "plugin", "list"), "tenant", "0.1.0")
			contains(t, other.run(w.cluster.Bin(name), "tenant", "--version"), "helm-tenant")
		}
	})
}

// TestCommands holds our list of helm's commands against the real binaries.
func TestCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var verbs []string
	for _, cmd := range cli.Commands().Commands() {
		verbs = append(verbs, cmd.Name())
	}
	if len(verbs) < 15 {
		t.Fatalf("helm-tenant has only the verbs %q", verbs)
	}
	line := regexp.MustCompile(`(?m)^  ([a-z0-9]+) +\S`)
	aliases := regexp.MustCompile(`(?s)Aliases:\n  ([^\n]+)`)
	for major, name := range map[int]string{2: "helm2", 3: "helm3", 4: "helm4"} {
		p := &person{t: t, env: append(helmHome(t, w.cluster), "HELM_PLUGINS=/nowhere")}
		binary := w.cluster.Bin(name)
		_, list, _ := strings.Cut(p.run(binary, "--help"), "Available Commands:")
		list, _, _ = strings.Cut(list, "\nFlags:")
		found := line.FindAllStringSubmatch(list, -1)
		if len(found) < 15 {
			t.Fatalf("%s lists only %d commands:\n%s", name, len(found), list)
		}
		for _, match := range found {
			words := []string{match[1]}
			if match[1] != "help" {
				if also := aliases.FindStringSubmatch(p.run(binary, match[1], "--help")); also != nil {
					words = append(words, strings.Split(also[1], ", ")...)
				}
			}
			for _, word := range words {
				if helm.ClassOf(major, word) == helm.Plugin {
					t.Errorf("%s has the command %q, which we take for a plugin's", name, word)
				}
				for _, verb := range verbs {
					if verb == word && verb != "init" {
						t.Errorf("our verb %s is a command of %s", verb, name)
					}
				}
			}
		}
	}
}
