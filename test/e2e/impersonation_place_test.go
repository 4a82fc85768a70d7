package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

// TestHelmNamespace: the namespace in which helm acts. Each namespace has a release of its own,
// which shows in a list.
func TestHelmNamespace(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("ns%d", major)
		one, two := team+"-1", team+"-2"
		admin, nina := w.personOf(major, w.cluster.Admin()), w.userOf(major, "nina")
		admin.tenant("init", team, "--namespaces", one+","+two, "--create-namespaces", "--user", "nina")
		nina.tenant("use", team)
		nina.run("helm", "tenant", "install", "in-one", tested(t))
		nina.run("helm", "tenant", "install", "in-two", tested(t), "-n", two)

		const outside = "outside"
		for i, c := range []struct {
			name    string
			context string // the context's namespace, empty for none
			env     []string
			args    []string // T is replaced by helm-tenant, as plugin or program
			want    string   // a release, or outside if helm acts where the tenant may not
		}{
			{"the tenant's default", "", nil, []string{"T", "ls", "-q"}, "in-one"},
			{"the context's is no tenant's", "kube-public", nil, []string{"T", "ls", "-q"}, "in-one"},
			{"the context's is the tenant's", two, nil, []string{"T", "ls", "-q"}, "in-two"},
			{"-n after", "", nil, []string{"T", "ls", "-q", "-n", two}, "in-two"},
			{"-n after, joined", "", nil, []string{"T", "ls", "-q", "-n=" + two}, "in-two"},
			{"-n after, in one", "", nil, []string{"T", "ls", "-q", "-n" + two}, "in-two"},
			{"--namespace after", "", nil, []string{"T", "ls", "-q", "--namespace", two}, "in-two"},
			{"--namespace after, joined", "", nil, []string{"T", "ls", "-q", "--namespace=" + two}, "in-two"},
			{"-n between", "", nil, []string{"T", "-n", two, "ls", "-q"}, "in-two"},
			{"--namespace between", "", nil, []string{"T", "--namespace=" + two, "ls", "-q"}, "in-two"},
			{"before the plugin", "", nil, []string{"helm", "-n", two, "tenant", "ls", "-q"}, "in-two"},
			{"before the plugin, joined", "", nil, []string{"helm", "--namespace=" + two, "tenant", "ls", "-q"}, "in-two"},
			{"typed, against the context's", two, nil, []string{"T", "ls", "-q", "-n", one}, "in-one"},
			{"typed, and equal to the context's", "", nil, []string{"T", "ls", "-q", "-n", "default"}, outside},
			{"typed long, and equal to the context's", "", nil, []string{"T", "ls", "-q", "--namespace=default"}, outside},
			{"before the plugin, and equal to the context's", "", nil, []string{"helm", "-n", "default", "tenant", "ls", "-q"}, outside},
			{"HELM_NAMESPACE", "", []string{"HELM_NAMESPACE=" + two}, []string{"T", "ls", "-q"}, "in-two"},
			{"HELM_NAMESPACE, against the context's", two, []string{"HELM_NAMESPACE=" + one}, []string{"T", "ls", "-q"}, "in-one"},
			{"typed, against HELM_NAMESPACE", "", []string{"HELM_NAMESPACE=" + one}, []string{"T", "ls", "-q", "-n", two}, "in-two"},
			{"HELM_NAMESPACE that is no tenant's", "", []string{"HELM_NAMESPACE=kube-public"}, []string{"T", "ls", "-q"}, outside},
		} {
			t.Run(c.name, func(t *testing.T) {
				nina := nina.in(t)
				nina.run("kubectl", "config", "set-context", "test", "--namespace="+c.context)
				for way, tenant := range w.ways() {
					if !sampled(way, major, i) {
						continue
					}
					args := c.args
					if args[0] == "T" {
						args = append(append([]string{}, tenant...), args[1:]...)
					}
					s := nina.with(c.env...).try(args...)
					switch {
					case c.want == outside:
						if s.code != 1 || !strings.Contains(s.stderr, "cannot list resource") {
							t.Errorf("%s, %s: exit code %d, and not refused: %s%s", way, strings.Join(args, " "), s.code, s.stdout, s.stderr)
						}
					case s.code != 0 || names(s.stdout) != c.want:
						t.Errorf("%s, %s: exit code %d, %q, wanted %q\n%s", way, strings.Join(args, " "), s.code, names(s.stdout), c.want, s.stderr)
					}
				}
			})
		}
		nina.run("kubectl", "config", "set-context", "test", "--namespace=")
	})
}

// TestHelmIdentity shows that who acts is the tenant's word alone, whatever a
// shell exports, and that what says otherwise is refused.
func TestHelmIdentity(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("who%d", major)
		admin, ida := w.personOf(major, w.cluster.Admin()), w.userOf(major, "ida")
		admin.tenant("init", team, "--namespaces", team, "--create-namespaces", "--user", "ida")
		ida.tenant("use", team)
		ida.run("helm", "tenant", "install", "mine", tested(t))

		exported := []string{"HELM_KUBEASUSER=root", "HELM_KUBEASGROUPS=system:masters", "HELM_KUBETOKEN=stolen"}
		// helm itself heeds each of them: none is without effect.
		for _, name := range exported {
			if s := ida.with("HELM_NAMESPACE="+team, name).try("helm", "list"); s.code == 0 {
				t.Errorf("with %s helm works: it shows nothing here", name)
			}
		}
		for way, tenant := range w.ways() {
			t.Run("exported, "+way, func(t *testing.T) {
				for i, env := range [][]string{exported[:1], exported[1:2], exported[2:], exported} {
					if !sampled(way, major, i) {
						continue
					}
					if got := names(ida.in(t).with(env...).run(append(append([]string{}, tenant...), "ls", "-q")...)); got != "mine" {
						t.Errorf("with %s: %q", env, got)
					}
				}
				ida.in(t).with("HELM_KUBEAPISERVER=https://127.0.0.1:1").fails(1, "HELM_KUBEAPISERVER", append(append([]string{}, tenant...), "ls")...)
			})
		}
		for i, flag := range []string{"--kube-as-user=root", "--kube-as-group=system:masters", "--kube-token=x", "--kube-apiserver=https://127.0.0.1:1"} {
			name, value, _ := strings.Cut(flag, "=")
			for j, args := range [][]string{
				{"helm", flag, "tenant", "ls"}, {"helm", name, value, "tenant", "ls"}, {"helm", "tenant", flag, "ls"}, {"helm", "tenant", "ls", flag}, {"helm", "tenant", "ls", name, value},
				{w.binary(), flag, "ls"}, {w.binary(), "ls", flag}, {w.binary(), "ls", name, value},
			} {
				if harness.Soak() || (i+j+major)%2 == 0 { // each of them under one of the majors
					ida.fails(1, name+" sets who acts", args...)
				}
			}
		}
		ida.fails(1, "--tiller-namespace is Helm 2's", w.binary(), "--tiller-namespace=x", "ls")
		// The member's own rights are no help: the deployer's are what counts.
		admin.run("kubectl", "create", "rolebinding", team+"-everywhere", "--clusterrole=admin", "--user=ida", "-n", "kube-public")
		ida.fails(1, `User "system:serviceaccount:`+team+`-helm:helm" cannot list resource "secrets"`, "helm", "tenant", "ls", "-n", "kube-public")
		admin.run("kubectl", "delete", "rolebinding", team+"-everywhere", "-n", "kube-public")
	})
}

// TestHelmContext shows that the context that was typed is the one that is used,
// of two clusters and of two tenants in one.
func TestHelmContext(t *testing.T) {
	t.Parallel()
	c, err := testcluster.Start(context.Background(), testcluster.Options{Size: testcluster.API})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			w := newWorld(t)
			other := &world{t: t, cluster: c, plugin: w.plugin}
			team := fmt.Sprintf("ctx%d", major)
			local, existing := w.personOf(major, w.cluster.Admin()), other.personOf(major, c.Admin())
			// The same tenant in both clusters, and another in the first.
			for _, p := range []*person{local, existing} {
				p.tenant("init", team, "--namespaces", team, "--create-namespaces", "--user", "carol")
			}
			local.tenant("init", team+"-too", "--namespaces", team+"-too", "--create-namespaces", "--user", "carol")
			carol := w.personOf(major, twoClusters(t, w.cluster, c, "carol"))
			for name, tenant := range map[string]string{"first": team, "second": team, "first-too": team + "-too"} {
				carol.run("helm", "tenant", "--context", name, "use", tenant)
				carol.run("helm", "tenant", "--context", name, "install", "in-"+name, tested(t))
			}
			for i, args := range [][]string{
				{"helm", "--kube-context", "second", "tenant", "ls", "-q"},
				{"helm", "--kube-context=second", "tenant", "ls", "-q"},
				{"helm", "tenant", "ls", "-q", "--kube-context", "second"},
				{"helm", "tenant", "ls", "--kube-context=second", "-q"},
				{"helm", "tenant", "--kube-context", "second", "ls", "-q"},
				{"helm", "tenant", "--context", "second", "ls", "-q"},
				{w.binary(), "ls", "-q", "--kube-context", "second"},
				{w.binary(), "--kube-context=second", "ls", "-q"},
				{w.binary(), "--context=second", "ls", "-q"},
				{"env", "HELM_KUBECONTEXT=second", "helm", "tenant", "ls", "-q"},
				{"env", "HELM_KUBECONTEXT=second", w.binary(), "ls", "-q"},
			} {
				for j, name := range []string{"second", "first-too", "first"} {
					if !harness.Soak() && (i+j+major)%2 != 0 { // each of them under one of the majors
						continue
					}
					var typed []string
					for _, arg := range args {
						typed = append(typed, strings.ReplaceAll(arg, "second", name))
					}
					if got := names(carol.run(typed...)); got != "in-"+name {
						t.Errorf("%s: %q", strings.Join(typed, " "), got)
					}
				}
			}
			if got := names(carol.run("helm", "tenant", "ls", "-q")); got != "in-first" {
				t.Errorf("the current context: %q", got)
			}
			carol.fails(1, "two contexts are named", "helm", "--kube-context", "first", "tenant", "--context", "second", "ls")
			contains(t, carol.run("helm", "--kube-context", "first-too", "tenant", "whoami"), team+"-too")
			// The record of the release is where it should be, and nowhere else.
			if got := existing.jsonpath("{.items[*].metadata.name}", "secrets", "-n", team, "-l", "owner=helm"); got != "sh.helm.release.v1.in-second.v1" {
				t.Errorf("the second cluster has the records %q", got)
			}
		})
	}
}

// twoClusters returns a kubeconfig of somebody in both clusters: the contexts first
// and first-too of the one, and second of the other.
func twoClusters(t testing.TB, one, two *testcluster.Cluster, user string) string {
	t.Helper()
	merged := api.NewConfig()
	for name, c := range map[string]*testcluster.Cluster{"first": one, "second": two} {
		file, err := c.Kubeconfig(user)
		if err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.LoadFromFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kubeContext := config.Contexts[config.CurrentContext]
		merged.Clusters[name], merged.AuthInfos[name] = config.Clusters[kubeContext.Cluster], config.AuthInfos[kubeContext.AuthInfo]
		merged.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	}
	merged.Contexts["first-too"] = &api.Context{Cluster: "first", AuthInfo: "first"}
	merged.CurrentContext = "first"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*merged, file); err != nil {
		t.Fatal(err)
	}
	return file
}
