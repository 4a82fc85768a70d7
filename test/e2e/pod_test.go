package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm-tenant/wrapper"
)

// A pod is where CI runs: a service account, a read-only root, no kubeconfig.
type podPerson struct {
	*person
	namespace, name string
	major           int
}

// copyTree copies a folder; links are followed.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// copyFile copies a program.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ciPod starts a pod of service account "deployer" that holds that helm, helm-tenant
// by itself and as its plugin, another plugin that calls helm again, and the charts.
// Nothing in it can be written but what tmp says.
func (w *world) ciPod(major int, namespace, tenant string, tmp bool) podPerson {
	w.t.Helper()
	host := w.t.TempDir()
	for _, dir := range []string{"bin", "home/plugins/tenant/bin", "home/plugins/again"} {
		if err := os.MkdirAll(filepath.Join(host, dir), 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	copyFile(w.t, w.cluster.Bin(fmt.Sprintf("helm%d", major)), filepath.Join(host, "bin", "helm"))
	for _, name := range []string{wrapper.Program, wrapper.Whole} {
		from := filepath.Join(filepath.Dir(w.binary()), name)
		copyFile(w.t, from, filepath.Join(host, "bin", name))
		copyFile(w.t, from, filepath.Join(host, "home/plugins/tenant/bin", name))
	}
	copyFile(w.t, filepath.Join(repository(w.t), "plugin.yaml"), filepath.Join(host, "home/plugins/tenant/plugin.yaml"))
	if err := os.WriteFile(filepath.Join(host, "home/plugins/again/plugin.yaml"), []byte("name: again\nversion: 0.1.0\nusage: lists\ndescription: lists\ncommand: \"$HELM_BIN list -q\"\n"), 0o644); err != nil {
		w.t.Fatal(err)
	}
	copyTree(w.t, filepath.Join(repository(w.t), "test", "charts"), filepath.Join(host, "charts"))

	name := fmt.Sprintf("ci%d", major)
	volumes, mounts := "", ""
	if tmp {
		name += "-tmp"
		volumes, mounts = "\n  - {name: tmp, emptyDir: {}}", "\n    - {name: tmp, mountPath: /tmp}"
	}
	env := map[string]string{"HELM_TENANT": tenant, "PATH": "/host/bin", "HELM_HOME": "/host/home", "HELM_DATA_HOME": "/host/home", "HELM_CACHE_HOME": "/dev/shm/c", "HELM_CONFIG_HOME": "/dev/shm/f"}
	if major != 2 {
		delete(env, "HELM_HOME")
	}
	var entries strings.Builder
	for name, value := range env {
		fmt.Fprintf(&entries, "\n    - {name: %s, value: %q}", name, value)
	}
	pod := fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  serviceAccountName: deployer
  containers:
  - name: main
    image: registry.k8s.io/pause:3.10
    imagePullPolicy: Never
    securityContext: {readOnlyRootFilesystem: true, runAsUser: 1234}
    resources: {requests: {cpu: 100m}} # without a request helm gets no time while other tests compute
    env:%s
    volumeMounts:
    - {name: host, mountPath: /host, readOnly: true}%s
  volumes:
  - {name: host, hostPath: {path: %s}}%s
`, name, namespace, entries.String(), mounts, host, volumes)
	if s := w.admin.tryWith(pod, "kubectl", "apply", "-f", "-"); s.code != 0 {
		w.t.Fatalf("kubectl apply: %s", s.stderr)
	}
	w.admin.run("kubectl", "wait", "--for=condition=Ready", "pod/"+name, "-n", namespace, "--timeout=300s")
	return podPerson{w.admin, namespace, name, major}
}

func (p podPerson) exec(args ...string) said {
	return p.try(append([]string{"kubectl", "exec", "-n", p.namespace, p.name, "--"}, args...)...)
}

func (p podPerson) ok(args ...string) string {
	p.t.Helper()
	s := p.exec(args...)
	if s.code != 0 {
		p.t.Fatalf("Helm %d in a pod: %s: exit code %d\n%s%s", p.major, strings.Join(args, " "), s.code, s.stdout, s.stderr)
	}
	return s.stdout
}

func (p podPerson) refused(words string, args ...string) {
	p.t.Helper()
	if s := p.exec(args...); s.code == 0 || !strings.Contains(s.stderr, words) {
		p.t.Errorf("Helm %d in a pod: %s: exit code %d, wanted the words %q\n%s%s", p.major, strings.Join(args, " "), s.code, words, s.stdout, s.stderr)
	}
}

// TestPod is CI in a pod without a kubeconfig, under each helm, by itself and as a
// plugin: install, upgrade, list, whoami, shellenv and use.
func TestPod(t *testing.T) {
	t.Parallel()
	for _, major := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			team, ci := fmt.Sprintf("pod%d", major), fmt.Sprintf("pod%d-ci", major)
			one, two := team+"-1", team+"-2"
			engine, home := "impersonation", team+"-helm"
			if major == 2 {
				engine, home = "tiller", team+"-tiller"
			}
			w.admin.run("kubectl", "create", "namespace", ci)
			w.admin.run("kubectl", "create", "serviceaccount", "deployer", "-n", ci)
			w.admin.tenant("init", team, "--namespaces", one+","+two, "--create-namespaces", "--engine", engine, "--service-account", ci+":deployer")
			for _, tmp := range []bool{true, false} {
				p := w.ciPod(major, ci, team, tmp)
				number := 0
				if tmp {
					number = 1
				}
				for name, way := range map[string][]string{"alone": {"/host/bin/helm-tenant"}, "plugin": {"/host/bin/helm", "tenant"}} {
					if sampled(name, major, number) {
						p.life(way, one, two, home)
					}
				}
			}
		})
	}
}

func (p podPerson) life(tenant []string, one, two, home string) {
	t, release := p.t, p.name
	t.Helper()
	run := func(args ...string) string {
		t.Helper()
		return p.ok(append(append([]string{}, tenant...), args...)...)
	}
	chart, remove := "/host/charts/tested", []string{"uninstall", release}
	install := []string{"install", release, chart}
	if p.major == 2 {
		chart, remove = "/host/charts/hello", []string{"delete", "--purge", release}
		install = []string{"install", chart, "--name", release}
	}
	// The namespace is the tenant's, as its record says: nobody named one.
	contains(t, run(install...), one)
	contains(t, run("upgrade", release, chart), release)
	contains(t, run("list"), release)
	contains(t, run("upgrade", "--install", release+"-two", chart, "--namespace", two), two)
	run(append(remove, "--dry-run")...)
	who := run("whoami")
	contains(t, who, "none: the service account of this pod", "https://", "system:serviceaccount:"+p.namespace+":deployer", one, home)
	contains(t, run("whoami", "-o", "json"), `"namespace": "`+one+`"`, `"server": "https://`)
	env := run("shellenv")
	if p.major == 2 {
		contains(t, env, "TILLER_NAMESPACE='"+home+"'")
	} else {
		contains(t, env, "HELM_KUBEASUSER='system:serviceaccount:"+home+":helm'", "KUBECONFIG='/", "HELM_NAMESPACE='"+one+"'")
		lacks(t, env, "eyJ") // a token
		// A plugin of helm's calls helm again.
		contains(t, run("again"), release)
		contains(t, run("list", "-n", two), release+"-two")
	}
	p.refused("HELM_TENANT", append(append([]string{}, tenant...), "use", "x")...)
	run(remove...)
	if p.major == 2 {
		run("delete", "--purge", release+"-two")
	} else {
		run("uninstall", release+"-two", "-n", two)
	}
	// Not known yet, and without a name.
	p.refused("you are no member, or there is no such tenant", "/host/bin/helm-tenant", "--tenant", "nobodys", "install", "x", "/host/charts/hello")
}
