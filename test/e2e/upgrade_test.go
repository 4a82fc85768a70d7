package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpgrade moves Tillers to another version and other settings. What they
// had stays: releases, service account, members.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, uma := w.admin, w.user("uma")
	// What is inside is the same Tiller; it is the image's tag that moves.
	if err := w.cluster.LoadImage(t.Context(), "ghcr.io/helm/tiller:v2.16.12", w.cluster.Bin("tiller"), "/tiller", "65534"); err != nil {
		t.Fatal(err)
	}
	image := func(home string) string {
		return admin.jsonpath("{.spec.template.spec.containers[0].image}", "deployment", "tiller-deploy", "--namespace", home)
	}
	account := func(home string) string {
		return admin.jsonpath("{.metadata.uid}", "serviceaccount", "tiller", "--namespace", home)
	}

	t.Run("a pinned version", func(t *testing.T) {
		admin, uma := admin.in(t), uma.in(t)
		admin.tenant("init", "pinned", "--namespaces", "pinned", "--create-namespaces", "--tiller-version", "v2.16.12", "--user", "uma")
		uma.tenant("use", "pinned")
		uma.run("helm", "tenant", "install", chart(t), "--name", "web")
		uid := account("pinned-tiller")

		// Nothing moves it but a version that is typed.
		contains(t, admin.tenant("init", "pinned"), "nothing was written")
		if got := image("pinned-tiller"); got != "ghcr.io/helm/tiller:v2.16.12" {
			t.Fatalf("the image is %s", got)
		}
		contains(t, admin.tenant("init", "pinned", "--tiller-version", "v2.17.0"), "is ready")
		if got := image("pinned-tiller"); got != "ghcr.io/helm/tiller:v2.17.0" {
			t.Errorf("the image is %s", got)
		}
		if got := account("pinned-tiller"); got != uid {
			t.Errorf("it is another service account: %s, before %s", got, uid)
		}
		contains(t, uma.run("helm", "tenant", "list"), "web", "DEPLOYED")
		uma.run("helm", "tenant", "upgrade", "web", chart(t), "--set", "greeting=moved")
	})

	t.Run("settings", func(t *testing.T) {
		admin, uma := admin.in(t), uma.in(t)
		s := admin.try("helm", "tenant", "init", "pinned", "--history-max", "2", "--resources", "requests.memory=96Mi")
		if s.code != 0 {
			t.Fatal(s.stderr)
		}
		contains(t, s.stderr, "updated  Deployment tiller-deploy")
		if got, want := admin.jsonpath("{.spec.template.spec.containers[0].env[1].value} {.spec.template.spec.containers[0].resources.requests.memory}", "deployment", "tiller-deploy", "--namespace", "pinned-tiller"), "2 96Mi"; got != want {
			t.Errorf("the Deployment has %s, wanted %s", got, want)
		}
		for i := range 3 {
			uma.run("helm", "tenant", "upgrade", "web", chart(t), "--set", fmt.Sprintf("greeting=n%d", i))
		}
		history := strings.Split(strings.TrimSpace(uma.run("helm", "tenant", "history", "web")), "\n")
		if len(history) != 3 { // a head line and two revisions
			t.Errorf("the history is not bounded:\n%s", strings.Join(history, "\n"))
		}
	})

	t.Run("without a pinned version it follows the admin's helm", func(t *testing.T) {
		admin, uma := admin.in(t), uma.in(t)
		// A helm that says it is older, as an admin has it who did not update.
		old := filepath.Join(t.TempDir(), "helm")
		script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *version*) echo 'Client: v2.16.12+g47f0b88' ;; *) exec %s \"$@\" ;; esac\n", w.cluster.Bin("helm2"))
		if err := os.WriteFile(old, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		outdated := *admin
		outdated.env = append(append([]string{}, admin.env...), "HELM_BIN="+old)
		outdated.run(w.binary(), "init", "follows", "--namespaces", "follows", "--create-namespaces", "--user", "uma")
		if got := image("follows-tiller"); got != "ghcr.io/helm/tiller:v2.16.12" {
			t.Fatalf("the image is %s", got)
		}
		uid := account("follows-tiller")
		uma.tenant("use", "follows")
		uma.run("helm", "tenant", "install", chart(t), "--name", "stays")

		contains(t, admin.tenant("init", "follows"), "is ready")
		if got := image("follows-tiller"); got != "ghcr.io/helm/tiller:v2.17.0" {
			t.Errorf("the image is %s", got)
		}
		if got := account("follows-tiller"); got != uid {
			t.Errorf("it is another service account")
		}
		contains(t, uma.run("helm", "tenant", "list"), "stays", "DEPLOYED")
	})
}
