package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
	"helm-tenant/wrapper"
)

// setup is what the comparisons run with.
type setup struct {
	ours, helm     string
	least          string
	admin, member  []string // environments
	recipe, script string
	// modern are Helm 3 and 4.
	modern []modern
}

// modern is a Helm 3 or 4, the plugin in it, and a tenant of its own.
type modern struct {
	name, helm, recipe string
	admin, member      []string // environments
}

// prepare builds helm-tenant, installs it as a plugin, and makes a tenant.
func prepare(ctx context.Context, c *testcluster.Cluster, dir string) (*setup, error) {
	s := &setup{script: filepath.Join(dir, "script"), ours: filepath.Join(dir, "tenant", "bin", "helm-tenant"), helm: c.Bin("helm2")}
	bin, home := filepath.Join(dir, "bin"), filepath.Join(dir, "helm")
	for _, folder := range []string{bin, filepath.Join(home, "plugins"), filepath.Dir(s.ours)} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	for name, target := range map[string]string{filepath.Join(bin, "helm"): s.helm, filepath.Join(bin, "kubectl"): c.Bin("kubectl"), filepath.Join(home, "plugins", "tenant"): filepath.Join(dir, "tenant")} {
		if err := os.Symlink(target, name); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile("../plugin.yaml")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "tenant", "plugin.yaml"), text, 0o644)
	}
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.script, []byte("#!/bin/sh\necho v2.17.0\n"), 0o755); err != nil {
		return nil, err
	}
	s.recipe, err = filepath.Abs("bench/recipe.sh")
	if err != nil {
		return nil, err
	}
	if s.least, err = harness.Command("test", "./bench/least", "bench-least"); err != nil {
		return nil, err
	}
	member, err := c.Kubeconfig("alice")
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HELM_HOME="+home)
	s.admin, s.member = append(slices.Clone(env), "KUBECONFIG="+c.Admin()), append(slices.Clone(env), "KUBECONFIG="+member)

	for _, cmd := range []*exec.Cmd{
		build(ctx, "./cmd/wrapper", s.ours), build(ctx, ".", filepath.Join(filepath.Dir(s.ours), wrapper.Whole)),
		s.command(s.admin, s.helm, "init", "--client-only", "--skip-refresh", "--stable-repo-url", "http://127.0.0.1:1"),
		s.command(s.admin, s.ours, "init", "bench", "--namespaces", "bench", "--create-namespaces", "--user", "alice"),
		s.command(s.member, s.ours, "use", "bench"),
	} {
		if _, err := timed(ctx, cmd); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"helm3", "helm4"} {
		m, err := s.prepareModern(ctx, c, dir, name)
		if err != nil {
			return nil, err
		}
		s.modern = append(s.modern, m)
	}
	return s, nil
}

func (s *setup) prepareModern(ctx context.Context, c *testcluster.Cluster, dir, name string) (modern, error) {
	m := modern{name: name, helm: c.Bin(name)}
	user, err := c.Kubeconfig(name + "-user")
	if err != nil {
		return m, err
	}
	home := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Join(home, "plugins"), 0o755); err != nil {
		return m, err
	}
	if err := os.Symlink(filepath.Join(dir, "tenant"), filepath.Join(home, "plugins", "tenant")); err != nil {
		return m, err
	}
	if err := leastPlugin(filepath.Join(home, "plugins", "least"), name); err != nil {
		return m, err
	}
	if m.recipe, err = filepath.Abs("bench/recipe-impersonation.sh"); err != nil {
		return m, err
	}
	env := append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "HELM_BIN="+m.helm,
		"HELM_PLUGINS="+filepath.Join(home, "plugins"), "HELM_DATA_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home)
	m.admin, m.member = append(slices.Clone(env), "KUBECONFIG="+c.Admin()), append(slices.Clone(env), "KUBECONFIG="+user)
	for _, cmd := range []*exec.Cmd{
		s.command(m.admin, s.ours, "init", name, "--namespaces", name, "--create-namespaces", "--user", name+"-user"),
		s.command(m.member, s.ours, "use", name),
	} {
		if _, err := timed(ctx, cmd); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (s *setup) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = env
	return cmd
}

// leastPlugin writes a plugin that does no more than to start helm as the deployer.
func leastPlugin(folder, tenant string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec \"$HELM_BIN\" --kube-as-user system:serviceaccount:%s-helm:helm --namespace %s \"$@\"\n", tenant, tenant)
	if err := os.WriteFile(filepath.Join(folder, "least.sh"), []byte(script), 0o755); err != nil {
		return err
	}
	text := "name: least\nversion: 0.1.0\nusage: list\ndescription: starts helm as the deployer\ncommand: \"$HELM_PLUGIN_DIR/least.sh\"\n"
	return os.WriteFile(filepath.Join(folder, "plugin.yaml"), []byte(text), 0o644)
}
