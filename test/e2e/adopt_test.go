package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"helm-tenant/test/testcluster"
)

// ownWorld returns a world with a cluster that no other test uses: for what looks at
// all tenants there are, or at kube-system.
func ownWorld(t *testing.T, o testcluster.Options) *world {
	t.Helper()
	o.Size = testcluster.Full
	testcluster.Require(t, o.Size)
	c, err := testcluster.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, cluster: c, plugin: plugin(t)}
	w.admin = w.person(c.Admin())
	return w
}

// unmanaged returns the namespaces with a Tiller that is no tenant's, with the
// number of its releases.
func (p *person) unmanaged() map[string]int {
	p.t.Helper()
	var list struct {
		Unmanaged []struct {
			Namespace string
			Releases  map[string]int
		}
	}
	if err := json.Unmarshal([]byte(p.tenant("tenants", "-o", "json")), &list); err != nil {
		p.t.Fatal(err)
	}
	found := map[string]int{}
	for _, u := range list.Unmanaged {
		found[u.Namespace] = u.Releases["DEPLOYED"]
	}
	return found
}

// subjects returns those of a binding, as KIND/NAME.
func (p *person) subjects(args ...string) string {
	p.t.Helper()
	return strings.TrimSpace(p.jsonpath(`{range .subjects[*]}{.kind}/{.name} {end}`, args...))
}

// TestAdopt makes a tenant of a Tiller made by hand, as Helm's own documentation described:
// plain helm init in a namespace of its own, with an account that somebody bound to admin.
func TestAdopt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, hanna := w.admin, w.user("hanna")
	for _, ns := range []string{"hand-tiller", "hand-a", "hand-b"} {
		admin.run("kubectl", "create", "namespace", ns)
	}
	admin.run("kubectl", "create", "serviceaccount", "tiller", "--namespace", "hand-tiller")
	for _, ns := range []string{"hand-tiller", "hand-b"} {
		admin.run("kubectl", "create", "rolebinding", "tiller-admin", "--clusterrole=admin", "--serviceaccount=hand-tiller:tiller", "--namespace", ns)
	}
	// A binding with another subject, too.
	admin.run("kubectl", "create", "rolebinding", "tiller-admin", "--clusterrole=admin", "--serviceaccount=hand-tiller:tiller", "--user=gustav", "--namespace", "hand-a")
	admin.run("helm", "init", "--tiller-namespace", "hand-tiller", "--service-account", "tiller", "--skip-refresh", "--wait")
	for name, ns := range map[string]string{"web": "hand-a", "out": "hand-b"} {
		admin.run("helm", "--tiller-namespace", "hand-tiller", "install", chart(t), "--name", name, "--namespace", ns)
	}

	t.Run("it is seen before", func(t *testing.T) {
		admin := admin.in(t)
		if got := admin.unmanaged()["hand-tiller"]; got != 2 {
			t.Errorf("unmanaged, with %d releases", got)
		}
		contains(t, admin.tenant("tenants"), "(unmanaged)", "in hand-tiller")
		s := admin.try("helm", "tenant", "export")
		if s.code != 0 {
			t.Fatal(s.stderr)
		}
		contains(t, s.stderr, "Warning: the Tiller in namespace hand-tiller is no tenant's", "helm tenant init TENANT --home-namespace=hand-tiller --namespaces=NS --adopt")
		lacks(t, s.stdout, "hand-tiller")
	})

	adopt := []string{"helm", "tenant", "init", "hand", "--namespaces", "hand-a", "--user", "hanna"}
	t.Run("refused without the words", func(t *testing.T) {
		admin := admin.in(t)
		s := admin.fails(1, "Namespace hand-tiller was not made by helm-tenant", adopt...)
		contains(t, s.stderr, "--adopt")
		s = admin.fails(1, "Deployment tiller-deploy in namespace hand-tiller was not made by helm-tenant", append(adopt, "--home-namespace", "hand-tiller")...)
		contains(t, s.stderr, "ServiceAccount tiller", "--adopt")
		s = admin.fails(1, "releases live outside the tenant's namespaces", append(adopt, "--adopt")...)
		contains(t, s.stderr, "out in namespace hand-b", "--accept-risk=outside-releases")
		admin.fails(1, "stores its releases as configmaps", append(adopt, "--adopt", "--storage", "secret")...)
		contains(t, admin.jsonpath("{.metadata.labels}", "namespace", "hand-a"), `{"kubernetes.io/metadata.name":"hand-a"}`)
	})

	t.Run("adopted", func(t *testing.T) {
		admin := admin.in(t)
		s := admin.try(append(adopt, "--adopt", "--accept-risk=outside-releases")...)
		if s.code != 0 {
			t.Fatalf("exit code %d: %s", s.code, s.stderr)
		}
		contains(t, s.stderr, "can no longer manage these releases: out in namespace hand-b",
			"taken from Tiller: RoleBinding tiller-admin in namespace hand-b -> ClusterRole admin",
			"taken from Tiller, and left to its 1 other subject: RoleBinding tiller-admin in namespace hand-a")
		admin.gone("service", "tiller-deploy", "--namespace", "hand-tiller")
		admin.gone("rolebinding", "tiller-admin", "--namespace", "hand-b")
		admin.gone("rolebinding", "tiller-admin", "--namespace", "hand-tiller")
		if got := admin.subjects("rolebinding", "tiller-admin", "--namespace", "hand-a"); got != "User/gustav" {
			t.Errorf("the binding of others has the subjects %s", got)
		}
		contains(t, admin.jsonpath("{.spec.template.spec.containers[0].command}", "deployment", "tiller-deploy", "--namespace", "hand-tiller"), "--listen=localhost:44134", "--storage=configmap")
		if _, remaining := admin.unmanaged()["hand-tiller"]; remaining {
			t.Error("it is still listed as unmanaged")
		}
		contains(t, admin.tenant("tenants", "-o", "name"), "tenant/hand\n")
		contains(t, admin.tenant("export", "hand"), "storage: configmap")
		contains(t, admin.tenant("init", "hand", "--adopt", "--accept-risk=outside-releases"), "nothing was written")
	})

	t.Run("its releases are there, and it is held to its namespaces", func(t *testing.T) {
		hanna := hanna.in(t)
		hanna.tenant("use", "hand")
		contains(t, hanna.run("helm", "tenant", "list"), "web", "out")
		hanna.run("helm", "tenant", "upgrade", "web", chart(t), "--set", "greeting=adopted")
		hanna.fails(1, "forbidden", "helm", "tenant", "install", chart(t), "--name", "intruder", "--namespace", "hand-b")
		hanna.fails(1, "forbidden", "helm", "tenant", "upgrade", "out", chart(t), "--set", "greeting=no")
		admin.in(t).run("kubectl", "get", "deployment", "out", "--namespace", "hand-b") // and runs on
	})
}

// adoptClusterAdmin is the Tiller that most clusters had: in kube-system, and
// admin of the cluster.
func adoptClusterAdmin(t *testing.T, w *world) {
	admin, hanna := w.admin.in(t), w.user("hanna")
	admin.run("kubectl", "create", "serviceaccount", "tiller", "--namespace", "kube-system")
	admin.run("kubectl", "create", "clusterrolebinding", "tiller", "--clusterrole=cluster-admin", "--serviceaccount=kube-system:tiller")
	admin.run("kubectl", "create", "clusterrolebinding", "operators", "--clusterrole=cluster-admin", "--user=system:serviceaccount:kube-system:tiller", "--group=operators")
	admin.run("kubectl", "create", "clusterrolebinding", "permissive", "--clusterrole=edit", "--group=system:serviceaccounts:kube-system")
	admin.run("helm", "init", "--service-account", "tiller", "--skip-refresh", "--wait")
	for _, ns := range []string{"old-a", "old-b"} {
		admin.run("kubectl", "create", "namespace", ns)
		admin.run("helm", "install", chart(t), "--name", "in-"+ns, "--namespace", ns)
	}
	if got := admin.unmanaged()["kube-system"]; got != 2 {
		t.Fatalf("the old Tiller is listed with %d releases", got)
	}

	adopt := []string{"helm", "tenant", "init", "old", "--home-namespace", "kube-system", "--namespaces", "old-a", "--user", "hanna"}
	contains(t, admin.fails(1, "holds other things", adopt...).stderr, "--accept-risk=shared-home")
	adopt = append(adopt, "--accept-risk=shared-home")
	contains(t, admin.fails(1, "was not made by helm-tenant", adopt...).stderr, "--adopt")
	adopt = append(adopt, "--adopt")
	contains(t, admin.fails(1, "in-old-b in namespace old-b", adopt...).stderr, "--accept-risk=outside-releases")
	adopt = append(adopt, "--accept-risk=outside-releases")

	dry := admin.try(append(adopt, "--dry-run", "-o", "name")...)
	if dry.code != 0 {
		t.Fatal(dry.stderr)
	}
	contains(t, dry.stderr, "would be deleted: ClusterRoleBinding tiller", "would be deleted: Service tiller-deploy in namespace kube-system")
	admin.run("kubectl", "get", "clusterrolebinding", "tiller")

	s := admin.try(adopt...)
	if s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	contains(t, s.stderr, "taken from Tiller: ClusterRoleBinding tiller -> ClusterRole cluster-admin",
		"ClusterRoleBinding permissive -> ClusterRole edit", "system:serviceaccounts:kube-system")
	admin.gone("clusterrolebinding", "tiller")
	admin.gone("service", "tiller-deploy", "--namespace", "kube-system")
	if got := admin.subjects("clusterrolebinding", "operators"); got != "Group/operators" {
		t.Errorf("the binding of others has the subjects %s", got)
	}

	hanna = hanna.in(t)
	hanna.tenant("use", "old", "--home-namespace", "kube-system")
	contains(t, hanna.run("helm", "tenant", "list"), "in-old-a", "in-old-b")
	hanna.run("helm", "tenant", "upgrade", "in-old-a", chart(t), "--set", "greeting=adopted")
	// The binding of the whole namespace's accounts is not Tiller's alone: it was
	// only said, and is the admin's to remove.
	admin.run("kubectl", "delete", "clusterrolebinding", "permissive")
	hanna.fails(1, "forbidden", "helm", "tenant", "install", chart(t), "--name", "intruder", "--namespace", "old-b")
	hanna.fails(1, "forbidden", "helm", "tenant", "install", chart(t), "--name", "second-intruder", "--namespace", "default")
	if s := admin.try("kubectl", "auth", "can-i", "*", "*", "--all-namespaces", "--as=system:serviceaccount:kube-system:tiller"); strings.TrimSpace(s.stdout) != "no" {
		t.Errorf("Tiller's account can still do everything: %s", s.stdout)
	}
	lacks(t, admin.jsonpath("{.metadata.labels}", "namespace", "kube-system"), "pod-security")

	// Its home is shared: when it goes, kube-system and its releases' records stay.
	out := admin.try("helm", "tenant", "destroy", "old", "--keep-releases", "--yes", "--backup", t.TempDir()+"/old.yaml")
	if out.code != 0 {
		t.Fatal(out.stderr)
	}
	contains(t, out.stderr, "the release records stay in namespace kube-system")
	lacks(t, admin.jsonpath("{.metadata.labels}{.metadata.annotations}", "namespace", "kube-system"), "helm-tenant")
	admin.run("kubectl", "get", "configmap", "in-old-a.v1", "in-old-b.v1", "--namespace", "kube-system")
}
