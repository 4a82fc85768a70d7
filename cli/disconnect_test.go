package cli_test

import (
	"strings"
	"testing"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestUnendedConnections: a run that only says that an earlier one was stopped, or that may not
// finish it, does not say that Tiller is restarted.
func TestUnendedConnections(t *testing.T) {
	const remaining, restarted = "Tiller must still be restarted", "Tiller is restarted"
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=a", "--create-namespaces", "--user=alice,bob,carol", "--wait=false")
	key := cluster.Key{Kind: "RoleBinding", Namespace: "t-tiller", Name: "helm-tenant-member"}
	binding := a.server.Get(key)
	binding.SetAnnotations(map[string]string{
		tenant.AnnotationDisconnect: "2026-01-31T12:00:00Z",
		tenant.AnnotationTerms:      `[{"user":"bob","until":"2020-01-31T12:00:00Z"}]`,
	})
	a.server.Put(binding)
	if got := a.runs("revoke", "t", "--user=carol", "--dry-run"); !strings.Contains(got.stderr, remaining) || strings.Contains(got.stderr, restarted) {
		t.Errorf("a dry run: %s", got.stderr)
	}
	if got := a.runs("revoke", "--expired", "--all"); !strings.Contains(got.stderr, remaining) || !strings.Contains(got.stderr, "helm tenant init t") || !strings.Contains(got.stdout, "bob") {
		t.Errorf("revoke --expired --all: %s%s", got.stdout, got.stderr)
	}
	if got := a.runs("revoke", "--expired", "--all"); !strings.Contains(got.stderr, remaining) || !strings.Contains(got.stderr, "helm tenant init t") || !strings.Contains(got.stderr, "Nobody's time is over in tenant t") {
		t.Errorf("revoke --expired --all, where nobody's time is over: %s%s", got.stdout, got.stderr)
	}
	if got := a.runs("describe", "t"); !strings.Contains(got.stdout, "not finished") || !strings.Contains(got.stdout, "helm tenant init t") {
		t.Errorf("describe: %s%s", got.stdout, got.stderr)
	}
	if got := a.runs("describe", "t", "-o", "json"); !strings.Contains(got.stdout, `"disconnectUnfinished": true`) {
		t.Errorf("describe -o json: %s%s", got.stdout, got.stderr)
	}
	if got := a.tries("", "audit", "t"); got.code != 4 || !strings.Contains(got.stdout, "HT084") || !strings.Contains(got.stdout, "helm tenant init t") {
		t.Errorf("audit: %s%s", got.stdout, got.stderr)
	}
	a.server.Allowed = func(permission string) bool { return permission != "delete pods" }
	for _, args := range [][]string{{"revoke", "t", "--user=carol"}, {"init", "t", "--wait=false"}} {
		got := a.runs(args...)
		if !strings.Contains(got.stderr, remaining+", and you can't restart it: you lack delete pods") || strings.Contains(got.stderr, restarted) {
			t.Errorf("%s, by somebody who may not: %s", strings.Join(args, " "), got.stderr)
		}
	}
	if a.server.Get(key).GetAnnotations()[tenant.AnnotationDisconnect] == "" {
		t.Error("the mark is gone")
	}
}

// TestApplyDisconnectAwaitsRevoke: whose connections are ended can't connect again: apply waits
// until the API server enforces what it wrote, before it restarts Tiller.
func TestApplyDisconnectAwaitsRevoke(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=a", "--create-namespaces", "--user=alice,bob", "--wait=false")
	asked := 0
	a.server.AnotherMay = func(who, permission string) bool {
		if asked++; who != "bob" || permission != "create pods" {
			t.Errorf("it asks whether %s may %s", who, permission)
		}
		return asked < 3
	}
	const file = "apiVersion: helm-tenant/v1\ntenants: [{name: t, engine: tiller, namespaces: [a], members: {users: [alice]}}]\n"
	if got := a.tries(file, "apply", "-f", "-", "--disconnect", "--timeout=1s"); asked != 3 || strings.Contains(got.stderr, "is not known") {
		t.Errorf("it asked %d times whether bob may still connect: %s%s", asked, got.stdout, got.stderr)
	}
}
