package cli_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
)

// TestLostRecord: a tenant whose record was deleted is not one that does not exist. Every verb that
// takes its name says what is gone and how to make it again.
func TestLostRecord(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "lost", "--namespaces=x", "--create-namespaces", "--engine=impersonation", "--user=alice")
	a.server.Remove(cluster.Key{Kind: "ConfigMap", Namespace: "lost-helm", Name: "helm-tenant"})
	for _, line := range []string{
		"export lost", "export none lost", "describe lost", "tenants lost", "releases lost", "grant lost --user=bob", "prove lost",
	} {
		got := a.tries("", strings.Fields(line)...)
		if got.code == 0 || !strings.Contains(got.stderr, `tenant "lost" has no record any more: ConfigMap helm-tenant is gone from namespace "lost-helm"`) != (line == "export none lost") ||
			strings.Contains(got.stderr, `no tenant "lost"`) || line != "export none lost" && !strings.Contains(got.stderr, "helm tenant init lost --namespaces=x --engine=impersonation\n") {
			t.Errorf("%s: exit code %d:\n%s", line, got.code, got.stderr)
		}
	}
}

// TestNoTenant: every verb that takes a tenant's name says in one line that there is none of that
// name, and in which context, each once.
func TestNoTenant(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "there", "--namespaces=x", "--create-namespaces", "--engine=impersonation")
	for _, line := range []string{
		"audit none", "describe none", "destroy none --yes", "export none", "freeze none --reason=r", "thaw none", "grant none --user=bob",
		"prove none", "releases none", "revoke none --user=bob", "tenants none",
	} {
		got := a.tries("", strings.Fields(line)...)
		first, _, _ := strings.Cut(got.stderr, "\n")
		if got.code != 1 || !strings.Contains(first, `: there is no tenant "none" in context "`) || strings.Count(first, "none") != 1 || strings.Count(first, "context") != 1 {
			t.Errorf("%s: exit code %d:\n%s", line, got.code, got.stderr)
		}
	}
}

// TestHomeNotRead: with --no-cluster-reads only the conventional homes are looked at. A tenant of
// another home is not one whose record is gone, which the admin would make again.
func TestHomeNotRead(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=x", "--create-namespaces", "--engine=impersonation", "--home-namespace=odd")
	for _, line := range []string{"freeze t --reason=r", "thaw t", "destroy t --yes"} {
		got := a.tries("", strings.Fields(line+" --no-cluster-reads")...)
		if got.code == 0 || !strings.Contains(got.stderr, `there is no tenant "t"`) || !strings.Contains(got.stderr, "\n  its record is in a namespace that was not read; add --home-namespace=odd\n") || strings.Contains(got.stderr, "no record any more") {
			t.Errorf("%s: exit code %d:\n%s", line, got.code, got.stderr)
		}
	}
}

// TestTerminating: namespaces that are being deleted are said wherever their tenant is shown.
func TestTerminating(t *testing.T) {
	for _, test := range []struct{ engine, terminating, table, description string }{
		{"impersonation", "t-helm", "impersonation (its home is being deleted)", "t-helm (being deleted)"},
		{"tiller", "t-tiller", "tiller (its home is being deleted)", "t-tiller (being deleted)"},
		{"impersonation", "x", "", "x (being deleted)"},
		{"tiller", "y", "", "y (being deleted)"},
	} {
		a := newAdministrator(t)
		a.runs("init", "t", "--namespaces=x,y", "--create-namespaces", "--engine="+test.engine, "--wait=false")
		a.runs("use", "t")
		if got := a.runs("tenants"); strings.Contains(got.stdout+got.stderr, "being deleted") {
			t.Errorf("nothing is being deleted:\n%s%s", got.stdout, got.stderr)
		}
		namespace := a.server.Get(cluster.Key{Kind: "Namespace", Name: test.terminating})
		now := metav1.NewTime(time.Now())
		namespace.SetDeletionTimestamp(&now)
		namespace.SetFinalizers([]string{"kubernetes"})
		a.server.Put(namespace)
		got := a.runs("tenants")
		if !strings.Contains(got.stdout, test.table) || !strings.Contains(got.stderr, "tenant t: being deleted: namespace "+test.terminating+"\n") {
			t.Errorf("tenants, %s:\n%s%s", test.terminating, got.stdout, got.stderr)
		}
		if got := a.runs("tenants", "-o", "json"); !strings.Contains(got.stdout, `"terminating": [`) {
			t.Errorf("tenants -o json, %s:\n%s", test.terminating, got.stdout)
		}
		if got := a.runs("describe", "t"); !strings.Contains(got.stdout, test.description) {
			t.Errorf("describe, %s:\n%s", test.terminating, got.stdout)
		}
		if got := a.tries("", "whoami"); test.terminating != "y" && !strings.Contains(got.stderr, "being deleted: namespace "+test.terminating+"\n") {
			t.Errorf("whoami, %s:\n%s%s", test.terminating, got.stdout, got.stderr)
		}
	}
}
