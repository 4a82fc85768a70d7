package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm-tenant/helm"
)

// TestFlagTables compares the tables of flags with what the real helms say of theirs.
func TestFlagTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := &person{t: t, env: append(helmHome(t, w.cluster), "HELM_PLUGINS=/nowhere")}
	line := regexp.MustCompile(`(?m)^ +(?:-(\w), +)?--([a-z0-9-]+)(?: ([A-Za-z0-9]+)(\[=[^\]]*\])?|(\[=[^\]]*\]))?(?:  |$)`)
	for _, c := range []struct {
		major   int
		command string
	}{{2, "version"}, {2, "install"}, {2, "upgrade"}, {3, "install"}, {3, "upgrade"}, {3, "list"}, {4, "install"}, {4, "upgrade"}, {4, "list"}} {
		found := line.FindAllStringSubmatch(p.run(w.cluster.Bin(fmt.Sprintf("helm%d", c.major)), c.command, "--help"), -1)
		if len(found) < 15 {
			t.Fatalf("Helm %d's %s has only %d flags", c.major, c.command, len(found))
		}
		for _, flag := range found {
			want := flag[3] != "" && flag[4] == ""
			takes, known := helm.TakesValue(c.major, c.command, flag[2])
			if !known || takes != want {
				t.Errorf("Helm %d's %s --%s takes a value: %t; the table says %t, known %t", c.major, c.command, flag[2], want, takes, known)
			}
		}
	}
}

// TestNamed: a tenant that is only named is looked up in its record: its namespaces, and its
// home namespace if it was moved.
func TestNamed(t *testing.T) {
	t.Parallel()
	for _, major := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			team := fmt.Sprintf("named%d", major)
			engine, member, stranger := "impersonation", (*person)(nil), (*person)(nil)
			install := func(name string) []string { return []string{"install", name, tested(t)} }
			if major == 2 {
				engine, member, stranger = "tiller", w.user("nadia"), w.user("nobody")
				install = func(name string) []string { return []string{"install", chart(t), "--name", name} }
			} else {
				member, stranger = w.userOf(major, "nadia"), w.userOf(major, "nobody")
			}
			w.admin.run("helm", "tenant", "init", team, "--namespaces", team+"-1", "--create-namespaces", "--engine", engine, "--user", "nadia")

			contains(t, member.run(append([]string{"helm", "tenant", "--tenant", team}, install("by-flag")...)...), team+"-1")
			contains(t, member.with("HELM_TENANT="+team).run(append([]string{w.binary()}, install("by-variable")...)...), team+"-1")
			contains(t, member.with("HELM_TENANT="+team).run("helm", "tenant", "whoami"), team+"-1")
			if major > 2 {
				contains(t, member.run(w.binary(), "--tenant", team, "list", "-q"), "by-flag", "by-variable")
				// helmfile's default, with which the release would not install.
				member.run("helm", "tenant", "--tenant", team, "upgrade", "--install", "created", tested(t), "--create-namespace")
				s := member.fails(1, "--all-namespaces lists the whole cluster's releases", "helm", "tenant", "--tenant", team, "list", "-A")
				contains(t, s.stderr, "helm tenant releases")
			}
			s := stranger.fails(1, "you are no member, or there is no such tenant", append([]string{w.binary(), "--tenant", team}, install("intruder")...)...)
			contains(t, s.stderr, "name the namespace")
			member.fails(1, "you are no member, or there is no such tenant", append([]string{w.binary(), "--tenant", team + "x"}, install("x")...)...)
		})
	}
}

// TestStale is a kubeconfig that an admin's change left behind, and one that is a
// mount point.
func TestStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, sam := w.personOf(3, w.cluster.Admin()), w.userOf(3, "sam")
	admin.run("helm", "tenant", "init", "stale", "--namespaces", "stale-1", "--create-namespaces", "--user", "sam")
	// As in a container: the kubeconfig is mounted by itself, and can't be replaced.
	use := fmt.Sprintf("mount --bind %[1]q %[1]q && exec %[2]q use stale", sam.kubeconfig, w.binary())
	sam.run("unshare", "-m", "sh", "-c", use)
	if s := sam.try("helm", "tenant", "whoami"); s.code != 0 || strings.Contains(s.stderr, "stale:") {
		t.Errorf("whoami: %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	admin.run("helm", "tenant", "init", "stale", "--namespaces", "stale-1,stale-2", "--create-namespaces")
	s := sam.try("helm", "tenant", "whoami")
	contains(t, s.stderr, "the kubeconfig is stale: it remembers namespaces stale-1, which the record gives as stale-1,stale-2", "helm tenant use stale")
	sam.run("helm", "tenant", "use", "stale")
	if s := sam.try("helm", "tenant", "whoami"); strings.Contains(s.stderr, "stale:") {
		t.Errorf("whoami after use: %s", s.stderr)
	}
	// A home that is remembered and holds nothing.
	text, err := os.ReadFile(sam.kubeconfig)
	if err == nil {
		err = os.WriteFile(sam.kubeconfig, []byte(strings.ReplaceAll(string(text), "homeNamespace: stale-helm", "homeNamespace: elsewhere")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s = sam.fails(1, `remembers namespace "elsewhere" as the home of tenant "stale"`, "helm", "tenant", "use", "stale")
	contains(t, s.stderr, `namespace "stale-helm" (namespaces stale-1,stale-2) has a record of it`, "helm tenant use stale --home-namespace=stale-helm")
	sam.run("helm", "tenant", "use", "stale", "--home-namespace=stale-helm")
}

// TestFileless is a plugin of helm's that works on files: it needs no tenant and no
// cluster, and gets none.
func TestFileless(t *testing.T) {
	t.Parallel()
	for _, major := range []int{3, 4} {
		w := newWorld(t)
		p := w.userOf(major, "felix")
		folder := filepath.Join(t.TempDir(), "files")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, folder, "plugin.yaml", "name: files\nversion: 0.1.0\nusage: files\ndescription: files\ncommand: \"env\"\n")
		p.run("helm", "plugin", "install", folder)
		s := p.try("helm", "tenant", "files")
		if s.code != 0 || !strings.Contains(s.stderr, "files runs without one, and without a cluster") {
			t.Fatalf("Helm %d: %d\n%s%s", major, s.code, s.stdout, s.stderr)
		}
		contains(t, s.stdout, "KUBECONFIG="+os.DevNull)
		lacks(t, s.stdout, p.kubeconfig)
		p.fails(1, "no such tenant", "helm", "tenant", "--tenant", "missing", "files")
	}
}

// TestRevoked is whoami of somebody who was a member, and of a tenant that is not there.
func TestRevoked(t *testing.T) {
	t.Parallel()
	for _, major := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			team, engine, member := fmt.Sprintf("revoked%d", major), "impersonation", (*person)(nil)
			removed, none := "you may not impersonate", "you may not impersonate"
			if major == 2 {
				engine, member = "tiller", w.user("rita")
				removed, none = "you are no member of it, or there is no such tenant", "you are no member of it, or there is no such tenant"
			} else {
				member = w.userOf(major, "rita")
			}
			w.admin.run("helm", "tenant", "init", team, "--namespaces", team+"-1", "--create-namespaces", "--engine", engine, "--user", "rita")
			member.run("helm", "tenant", "use", team)
			member.run("helm", "tenant", "whoami")
			w.admin.run("helm", "tenant", "revoke", team, "--user", "rita")
			member.fails(1, removed, "helm", "tenant", "whoami")
			member.fails(1, none, "helm", "tenant", "--tenant", team+"x", "whoami")
		})
	}
}
