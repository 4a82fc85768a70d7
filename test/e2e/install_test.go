package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"helm-tenant/helm"
)

// TestPluginInstall installs the plugin as its users do, and lets each major
// version of helm load it.
func TestPluginInstall(t *testing.T) {
	w := newWorld(t)
	env := helmHome(t, w.cluster)
	p := &person{t: t, env: append(env, "KUBECONFIG="+w.cluster.Admin())}

	t.Run("helm 2 from a folder", func(t *testing.T) {
		// A copy without what was built before: the hook builds it.
		source := filepath.Join(t.TempDir(), "helm-tenant")
		clone := exec.Command("sh", "-c", `mkdir -p "$1" && cd "$0" && git ls-files -co --exclude-standard -z -- . ':!test' | xargs -0 cp --parents -t "$1"`, repository(t), source)
		if out, err := clone.CombinedOutput(); err != nil {
			t.Fatalf("copying the tree: %v\n%s", err, out)
		}
		p.run("helm", "plugin", "install", source)
		contains(t, p.run("helm", "plugin", "list"), "tenant", "0.1.0")
		contains(t, p.run("helm", "tenant", "--version"), "helm-tenant 0.1.0")
		p.run("helm", "plugin", "remove", "tenant")
	})

	t.Run("helm 2 from an archive", func(t *testing.T) {
		platform := runtime.GOOS + "/" + runtime.GOARCH
		copied := filepath.Join(t.TempDir(), "tree")
		clone := exec.Command("sh", "-c", `mkdir -p "$1" && cd "$0" && git ls-files -co --exclude-standard -z -- . ':!test' | xargs -0 cp --parents -t "$1"`, repository(t), copied)
		if out, err := clone.CombinedOutput(); err != nil {
			t.Fatalf("copying the tree: %v\n%s", err, out)
		}
		pack := exec.Command("bash", "scripts/package.sh")
		pack.Dir = copied
		pack.Env = append(os.Environ(), "PLATFORMS="+platform)
		if out, err := pack.CombinedOutput(); err != nil {
			t.Fatalf("packaging: %v\n%s", err, out)
		}
		archives := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(copied, "dist"))))
		defer archives.Close()
		name := "helm-tenant-" + strings.ReplaceAll(platform, "/", "-")
		p.run("helm", "plugin", "install", archives.URL+"/"+name+"-0.1.0.tgz")
		contains(t, p.run("helm", "tenant", "--version"), "helm-tenant 0.1.0")
		p.run("helm", "plugin", "remove", "tenant")

		t.Run("a bundled binary that was tampered with is not used", func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "bad")
			unpack := exec.Command("sh", "-c", `mkdir "$0" && tar xzf "$1" -C "$0" && echo x >> "$0/dist/$2"`, dir, filepath.Join(copied, "dist", name+"-0.1.0.tgz"), name)
			if out, err := unpack.CombinedOutput(); err != nil {
				t.Fatalf("unpacking: %v\n%s", err, out)
			}
			p.fails(1, "checksum", "helm", "plugin", "install", dir)
		})
		t.Run("a download is checked", func(t *testing.T) {
			install := func(sums string) (string, error) {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(sums), 0o644); err != nil {
					t.Fatal(err)
				}
				script := exec.Command("sh", filepath.Join(repository(t), "scripts", "install.sh"))
				script.Env = append(os.Environ(), "HELM_PLUGIN_DIR="+dir, "HELM_TENANT_URL="+archives.URL)
				out, err := script.CombinedOutput()
				return string(out), err
			}
			sums, err := os.ReadFile(filepath.Join(copied, "dist", "SHA256SUMS"))
			if err != nil {
				t.Fatal(err)
			}
			if out, err := install(string(sums)); err != nil || !strings.Contains(out, "downloaded and checked") {
				t.Errorf("a good download: %v\n%s", err, out)
			}
			wrong := regexp.MustCompile(`(?m)^[0-9a-f]{4}`).ReplaceAllString(string(sums), "0000")
			if out, err := install(wrong); err == nil || !strings.Contains(out, "it is not used") {
				t.Errorf("a wrong checksum: %v\n%s", err, out)
			}
			if out, err := install("nothing\n"); err == nil || !strings.Contains(out, "has no line for") {
				t.Errorf("no checksum: %v\n%s", err, out)
			}
		})
	})

	// Helm 3 and 4 load it from the folder of plugins; one key that they do not
	// know would make them refuse every plugin.
	for _, major := range []string{"helm3", "helm4"} {
		t.Run(major, func(t *testing.T) {
			plugins := t.TempDir()
			if err := os.Symlink(w.plugin, filepath.Join(plugins, "tenant")); err != nil {
				t.Fatal(err)
			}
			other := *p
			other.env = append(other.env, "HELM_PLUGINS="+plugins)
			contains(t, other.run(w.cluster.Bin(major), "plugin", "list"), "tenant", "0.1.0")
			contains(t, other.run(w.cluster.Bin(major), "tenant", "--version"), "helm-tenant")
		})
	}
}

// TestCommands holds our list of helm's commands against the real binaries.
func TestCommands(t *testing.T) {
	w := newWorld(t)
	verbs := strings.Fields("init grant revoke tenants describe apply export destroy audit migrate use whoami shellenv")
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
