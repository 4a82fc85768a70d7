package e2e

import (
	"encoding/base64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm-tenant/test/harness"
)

// in returns the same person in a subtest: a failure is the subtest's.
func (p *person) in(t testing.TB) *person {
	q := *p
	q.t = t
	return &q
}

// lacks fails the test if one of the words occurs.
func lacks(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if strings.Contains(text, word) {
			t.Fatalf("%q should not be in:\n%s", word, text)
		}
	}
}

// gone fails unless kubectl finds none of it, at last.
func (p *person) gone(args ...string) {
	p.t.Helper()
	var out string
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		out = strings.TrimSpace(p.run(append([]string{"kubectl", "get", "--ignore-not-found", "-o", "name"}, args...)...))
		if out == "" {
			return
		}
	}
	p.t.Fatalf("%s should be gone: %s", strings.Join(args, " "), out)
}

// jsonpath reads fields of an object.
func (p *person) jsonpath(path string, args ...string) string {
	p.t.Helper()
	return p.run(append([]string{"kubectl", "get", "-o", "jsonpath=" + path}, args...)...)
}

// snapshot is everything that carries the tenant's label, and its version.
func (p *person) snapshot(name string) string {
	p.t.Helper()
	return p.jsonpath(`{range .items[*]}{.kind} {.metadata.namespace} {.metadata.name} {.metadata.generation} {.metadata.labels} {.metadata.deletionTimestamp}{"\n"}{end}`,
		"namespaces,serviceaccounts,configmaps,roles,rolebindings,networkpolicies,deployments", "--all-namespaces", "--selector", "helm-tenant/tenant="+name)
}

// TestDestroy ends a tenant that has releases in each of the ways there are,
// and brings it back from the backup.
func TestDestroy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, dana := w.admin, w.user("dana")
	dir := t.TempDir()

	// One namespace existed before, with labels of its owner, and helm-tenant creates another.
	admin.run("kubectl", "create", "namespace", "dst-a")
	admin.run("kubectl", "label", "namespace", "dst-a", "team=ours")
	admin.run("kubectl", "annotate", "namespace", "dst-a", "note=ours")
	admin.tenant("init", "dst", "--namespaces", "dst-a,dst-b", "--create-namespaces", "--user", "dana")
	dana.tenant("use", "dst")
	// More than 256 KiB in one record: kubectl apply would not fit it into its
	// annotation, and a backup has to hold it all the same.
	random := make([]byte, 300<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	if s := dana.tryWith("blob: "+base64.StdEncoding.EncodeToString(random)+"\n", "helm", "tenant", "install", chart(t), "--name", "web", "-f", "-"); s.code != 0 {
		t.Fatalf("install: %s", s.stderr)
	}
	dana.run("helm", "tenant", "upgrade", "web", chart(t), "--set", "greeting=again")
	dana.run("helm", "tenant", "install", chart(t), "--name", "late", "--namespace", "dst-b")
	// Deleted and not purged: its history is no reason to refuse.
	dana.run("helm", "tenant", "delete", "late")

	before := admin.snapshot("dst")
	t.Run("refused while it has releases", func(t *testing.T) {
		s := admin.in(t).fails(1, `destroy of tenant "dst" in context "test": it has a release:`, "helm", "tenant", "destroy", "dst", "--yes")
		contains(t, s.stderr, "web", "namespace dst-a", "deployed", "hello-0.1.0", "--delete-releases", "--keep-releases")
		lacks(t, s.stderr, "late")
	})
	t.Run("refused without a terminal", func(t *testing.T) {
		contains(t, admin.in(t).fails(1, "no terminal to confirm it on", "helm", "tenant", "destroy", "dst", "--keep-releases").stderr, "add --yes")
	})
	t.Run("refused to a member", func(t *testing.T) {
		dana.in(t).fails(1, "you may not read", "helm", "tenant", "destroy", "dst", "--keep-releases", "--yes")
	})
	t.Run("both at once", func(t *testing.T) {
		admin.in(t).fails(2, "contradict", "helm", "tenant", "destroy", "dst", "--keep-releases", "--delete-releases")
	})
	t.Run("a backup is never written over", func(t *testing.T) {
		taken := filepath.Join(dir, "taken.yaml")
		if err := os.WriteFile(taken, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		admin.in(t).fails(1, "the backup can't be written, and nothing is removed without it", "helm", "tenant", "destroy", "dst", "--keep-releases", "--yes", "--backup", taken)
		if text, err := os.ReadFile(taken); err != nil || string(text) != "mine" {
			t.Errorf("the file holds %q (%v)", text, err)
		}
	})
	t.Run("dry run", func(t *testing.T) {
		file := filepath.Join(dir, "dry.yaml")
		s := admin.in(t).try("helm", "tenant", "destroy", "dst", "--keep-releases", "--dry-run", "--backup", file)
		if s.code != 0 {
			t.Fatalf("exit code %d: %s", s.code, s.stderr)
		}
		contains(t, s.stdout, "would be deleted: Namespace dst-tiller", "would be updated: Namespace dst-a",
			"would be deleted: RoleBinding helm-tenant.dst.admin in namespace dst-b")
		contains(t, s.stderr, "what release web made in namespace dst-a stays, managed by no helm")
		if _, err := os.Stat(file); err == nil {
			t.Error("a dry run wrote a backup")
		}
	})
	if after := admin.snapshot("dst"); after != before {
		t.Fatalf("what was refused changed something:\n%s\nbefore:\n%s", after, before)
	}

	backup := filepath.Join(dir, "dst.yaml")
	t.Run("keep releases", func(t *testing.T) {
		admin := admin.in(t)
		s := admin.try("helm", "tenant", "destroy", "dst", "--keep-releases", "--yes", "--backup", backup)
		if s.code != 0 {
			t.Fatalf("exit code %d: %s", s.code, s.stderr)
		}
		contains(t, s.stdout, "3 release records of tenant dst backed up in "+backup, "tenant dst is gone")
		contains(t, s.stderr, "what release web made in namespace dst-a stays, managed by no helm")
		info, err := os.Stat(backup)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the backup: %v, %v", info.Mode(), err)
		}
		names := admin.run("kubectl", "create", "--dry-run=client", "-o", "name", "-f", backup)
		if got := strings.Fields(names); len(got) != 3 {
			t.Errorf("the backup holds %v", got)
		}
		contains(t, names, "secret/web.v1", "secret/web.v2", "secret/late.v1")
		admin.gone("namespace", "dst-tiller")
		admin.run("kubectl", "get", "deployment", "web", "--namespace", "dst-a")
	})
	t.Run("namespaces stay, and nothing of ours on them", func(t *testing.T) {
		admin := admin.in(t)
		if got, want := admin.jsonpath("{.metadata.labels} {.metadata.annotations}", "namespace", "dst-a"),
			`{"kubernetes.io/metadata.name":"dst-a","team":"ours"} {"note":"ours"}`; got != want {
			t.Errorf("dst-a:\n got %s\nwant %s", got, want)
		}
		if got, want := admin.jsonpath("{.metadata.labels} {.metadata.annotations}", "namespace", "dst-b"),
			`{"kubernetes.io/metadata.name":"dst-b"} `; got != want {
			t.Errorf("dst-b:\n got %s\nwant %s", got, want)
		}
		admin.gone("rolebindings", "--namespace", "dst-a")
	})
	t.Run("a second time", func(t *testing.T) {
		admin.in(t).fails(1, `there is no tenant "dst"`, "helm", "tenant", "destroy", "dst", "--yes")
	})

	t.Run("restore", func(t *testing.T) {
		admin, dana := admin.in(t), dana.in(t)
		// As docs/backup-and-restore.md says.
		admin.tenant("init", "dst", "--namespaces", "dst-a,dst-b", "--user", "dana")
		if out := dana.run("helm", "tenant", "list", "--all", "--short"); strings.TrimSpace(out) != "" {
			t.Fatalf("releases before the restore: %s", out)
		}
		admin.run("kubectl", "apply", "--server-side", "-f", backup)
		contains(t, dana.run("helm", "tenant", "list", "--all"), "web", "DEPLOYED", "late", "DELETED")
		dana.run("helm", "tenant", "upgrade", "web", chart(t), "--set", "greeting=restored")
		contains(t, dana.run("helm", "tenant", "history", "web"), "SUPERSEDED", "DEPLOYED", "3")
		if got := admin.jsonpath("{.data.greeting}", "configmap", "web", "--namespace", "dst-a"); got != "restored" {
			t.Errorf("the upgrade did not reach the cluster: greeting is %q", got)
		}
		contains(t, dana.run("helm", "tenant", "rollback", "web", "1"), "success")
	})

	t.Run("a Tiller that does not answer can't delete", func(t *testing.T) {
		admin := admin.in(t)
		admin.run("kubectl", "scale", "deployment", "tiller-deploy", "--namespace", "dst-tiller", "--replicas=0")
		admin.gone("pods", "--namespace", "dst-tiller")
		s := admin.fails(1, `release late can't be deleted`, "helm", "tenant", "destroy", "dst", "--delete-releases", "--yes", "--backup", filepath.Join(dir, "down.yaml"))
		contains(t, s.stderr, "could not find tiller", "--keep-releases")
		admin.run("kubectl", "get", "deployment", "web", "--namespace", "dst-a")
		admin.tenant("init", "dst") // Tiller is back
	})

	t.Run("delete releases", func(t *testing.T) {
		admin := admin.in(t)
		// A backup without a given name goes into the admin's working folder.
		local := t.TempDir()
		out := admin.run("sh", "-c", `cd "$0" && helm tenant destroy dst --delete-releases --yes`, local)
		contains(t, out, "release records of tenant dst backed up in helm-tenant-dst-", "tenant dst is gone")
		files, err := filepath.Glob(filepath.Join(local, "helm-tenant-dst-2*.yaml"))
		if err != nil || len(files) != 1 {
			t.Errorf("backups: %v, %v", files, err)
		}
		admin.gone("deployment", "web", "--namespace", "dst-a")
		admin.gone("configmap", "web", "--namespace", "dst-a")
		admin.gone("namespace", "dst-tiller")
		admin.run("kubectl", "get", "namespaces", "dst-a", "dst-b")
	})
}

// TestDestroyNamespaces shows what becomes of namespaces that are not
// helm-tenant's to delete, and of tenants that are only half there.
func TestDestroyNamespaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	create := func(admin *person, name, namespaces string, more ...string) {
		admin.t.Helper()
		admin.run(append([]string{"helm", "tenant", "init", name, "--namespaces", namespaces, "--create-namespaces", "--wait=false"}, more...)...)
	}

	t.Run("those that helm-tenant created", func(t *testing.T) {
		t.Parallel()
		admin := w.admin.in(t)
		admin.run("kubectl", "create", "namespace", "del-old")
		create(admin, "del", "del-old,del-new")
		admin.tenant("destroy", "del", "--delete-namespaces", "--yes")
		admin.gone("namespace", "del-new")
		admin.gone("namespace", "del-tiller")
		if got, want := admin.jsonpath("{.metadata.labels}{.metadata.annotations}", "namespace", "del-old"), `{"kubernetes.io/metadata.name":"del-old"}`; got != want {
			t.Errorf("del-old: %s", got)
		}
	})

	t.Run("a home that holds foreign things stays", func(t *testing.T) {
		t.Parallel()
		admin := w.admin.in(t)
		create(admin, "foreign", "foreign")
		admin.run("kubectl", "create", "configmap", "mine", "--namespace", "foreign-tiller")
		s := admin.try("helm", "tenant", "destroy", "foreign", "--yes")
		if s.code != 0 {
			t.Fatalf("exit code %d: %s", s.code, s.stderr)
		}
		contains(t, s.stderr, `namespace "foreign-tiller" stays, because it has objects that helm-tenant did not make: ConfigMap mine`)
		admin.run("kubectl", "get", "configmap", "mine", "--namespace", "foreign-tiller")
		for _, kind := range []string{"deployments", "roles", "rolebindings", "networkpolicies", "serviceaccounts/tiller", "configmaps/helm-tenant"} {
			admin.gone(kind, "--namespace", "foreign-tiller")
		}
		// helm-tenant made the namespace, with the PodSecurity labels.
		if got, want := admin.jsonpath("{.metadata.labels}{.metadata.annotations}", "namespace", "foreign-tiller"), `{"kubernetes.io/metadata.name":"foreign-tiller"}`; got != want {
			t.Errorf("the home has still labels of ours: %s", got)
		}
	})

	t.Run("a home that was there before stays", func(t *testing.T) {
		t.Parallel()
		admin := w.admin.in(t)
		admin.run("kubectl", "create", "namespace", "given")
		create(admin, "givento", "givento", "--home-namespace", "given")
		admin.tenant("destroy", "givento", "--yes")
		lacks(t, admin.jsonpath("{.metadata.labels}{.metadata.annotations}", "namespace", "given"), "helm-tenant")
		admin.gone("deployments,roles,rolebindings,networkpolicies", "--namespace", "given")
	})

	t.Run("half destroyed, from the end", func(t *testing.T) {
		t.Parallel()
		admin := w.admin.in(t)
		create(admin, "half", "half")
		admin.run("kubectl", "delete", "rolebinding", "--all", "--namespace", "half")
		admin.run("kubectl", "delete", "deployment/tiller-deploy", "configmap/helm-tenant", "--namespace", "half-tiller")
		contains(t, admin.tenant("destroy", "half", "--yes"), "tenant half is gone")
		admin.gone("namespace", "half-tiller")
		lacks(t, admin.jsonpath("{.metadata.labels}{.metadata.annotations}", "namespace", "half"), "helm-tenant")
	})

	t.Run("half destroyed, its home first", func(t *testing.T) {
		t.Parallel()
		admin := w.admin.in(t)
		create(admin, "rest", "rest")
		admin.run("kubectl", "delete", "namespace", "rest-tiller")
		contains(t, admin.tenant("destroy", "rest", "--yes"), "tenant rest is gone")
		lacks(t, admin.jsonpath("{.metadata.labels}{.metadata.annotations}", "namespace", "rest"), "helm-tenant")
		admin.gone("rolebindings", "--namespace", "rest")
	})

	t.Run("while its home is going", func(t *testing.T) {
		t.Parallel()
		admin := w.admin.in(t)
		create(admin, "going", "going")
		admin.tenant("destroy", "going", "--yes", "--wait=false")
		// The second one finds nothing more to do, or nothing at all.
		if s := admin.try("helm", "tenant", "destroy", "going", "--yes"); s.code != 0 && !strings.Contains(s.stderr, "there is no tenant") {
			t.Errorf("exit code %d: %s", s.code, s.stderr)
		}
		admin.gone("namespace", "going-tiller")
	})
}
