package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestWait shows the messages for an admin when Tiller does not start.
func TestWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("not ready", func(t *testing.T) {
		for _, c := range []struct {
			name  string
			setup func()
			args  []string
			words []string
		}{
			// kube-proxy's health server has no images, and says so at once. Where nothing listens,
			// containerd asks again for minutes before Kubernetes hears of it.
			{"image", nil, []string{"--tiller-image", "127.0.0.1:10256/none:v1"}, []string{"can't get the image 127.0.0.1:10256/none:v1"}},
			{"scheduling", nil, []string{"--node-selector", "disk=none"}, []string{"finds no node", "didn't match Pod's node affinity/selector"}},
			{"quota", func() {
				w.admin.run("kubectl", "create", "namespace", "wait-quota-tiller")
				w.admin.run("kubectl", "create", "quota", "none", "--hard=pods=0", "--namespace", "wait-quota-tiller")
			}, []string{"--home-namespace", "wait-quota-tiller"}, []string{"the pod is refused", "exceeded quota: none"}},
			{"admission", func() {
				// What PodSecurity refuses is refused in the same way as by a limit.
				w.admin.run("kubectl", "create", "namespace", "wait-admission-tiller")
				apply(t, w, `{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"tiny","namespace":"wait-admission-tiller"},"spec":{"limits":[{"type":"Container","max":{"memory":"1Mi"}}]}}`)
			}, []string{"--home-namespace", "wait-admission-tiller"}, []string{"the pod is refused", "maximum memory usage per Container is 1Mi"}},
		} {
			if c.setup != nil {
				c.setup()
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				name := "wait-" + c.name
				args := append([]string{"helm", "tenant", "init", name, "--namespaces", name, "--create-namespaces"}, c.args...)
				// As long as it takes until Kubernetes says what the matter is.
				var s said
				for _, timeout := range []string{"8s", "30s", "2m", "5m"} {
					s = w.admin.in(t).fails(1, "was not ready in time", append(args, "--timeout", timeout)...)
					if !slices.ContainsFunc(c.words, func(word string) bool { return !strings.Contains(s.stderr, word) }) {
						break
					}
				}
				contains(t, s.stderr, append(c.words, name+"-tiller", "the same command again")...)
				// Each thing is said once, not at every event.
				if lines := strings.Count(s.stderr, "\nTiller: "); lines > 8 {
					t.Errorf("%d lines of narration:\n%s", lines, s.stderr)
				}
			})
		}
	})

	t.Run("the same command again finishes it", func(_ *testing.T) {
		w.admin.tenant("init", "wait-image", "--tiller-image", "ghcr.io/helm/tiller:v2.17.0")
	})
}

// TestOps is the cluster-ops tenant of the seed: a Tiller in kube-system for
// all namespaces.
func TestOps(t *testing.T) {
	w := newWorld(t)
	s := w.admin.fails(1, "admin of the cluster", "helm", "tenant", "init", "ops", "--home-namespace", "kube-system", "--all-namespaces", "--user", "olga")
	contains(t, s.stderr, "--accept-risk=cluster-wide")
	w.admin.tenant("init", "ops", "--home-namespace", "kube-system", "--all-namespaces", "--user", "olga", "--accept-risk=cluster-wide")
	olga := w.user("olga")
	olga.fails(1, "use ops --home-namespace", "helm", "tenant", "use", "ops")
	olga.tenant("use", "ops", "--home-namespace", "kube-system")
	w.admin.run("kubectl", "create", "namespace", "anybodys")
	olga.run("helm", "tenant", "install", chart(t), "--name", "everywhere", "--namespace", "anybodys")
	olga.run("helm", "tenant", "install", chart(t), "--name", "in-home", "--namespace", "kube-system")
	contains(t, olga.run("helm", "tenant", "list"), "everywhere", "in-home")
	// The rest of kube-system is left alone.
	labels := w.admin.run("kubectl", "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.labels}")
	if strings.Contains(labels, "pod-security") {
		t.Errorf("kube-system got a PodSecurity label: %s", labels)
	}
	selector := w.admin.run("kubectl", "get", "networkpolicy", "helm-tenant", "-n", "kube-system", "-o", "jsonpath={.spec.podSelector.matchLabels}")
	contains(t, selector, `"app":"helm"`, `"name":"tiller"`)
}

// apply gives JSON to kubectl apply.
func apply(t *testing.T, w *world, object string) {
	t.Helper()
	if s := w.admin.tryWith(object, "kubectl", "apply", "-f", "-"); s.code != 0 {
		t.Fatalf("kubectl apply: %s", s.stderr)
	}
}
