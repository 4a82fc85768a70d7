package apitest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// printedRole returns the ClusterRole that init --print-role prints.
func printedRole(t *testing.T, u *user, args ...string) rbacv1.ClusterRole {
	t.Helper()
	var role rbacv1.ClusterRole
	r := u.must(t, append([]string{"init", "--print-role", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), &role); err != nil || len(role.Rules) == 0 {
		t.Fatalf("%v: %v", err, r)
	}
	return role
}

// TestAdministrator gives somebody exactly the ClusterRole that is printed, for each
// engine: they can init, apply, grant, revoke and destroy, and no other verb of theirs
// fails for want of a right. Without one of its rules they are told all that is missing.
func TestAdministrator(t *testing.T) {
	t.Parallel()
	w := start(t)
	for engine, home := range map[string]string{"tiller": "-tiller", "impersonation": "-helm", "both": "-tiller"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			team := newTeam()
			u := w.newUser(t, "administrator")
			role := printedRole(t, u, "--engine", engine)
			w.allow(t, u, "", role.Rules...)
			w.lastGrant(t, u, team.name)
			u.must(t, "init", team.name, "--engine", engine, "--namespaces", team.a+","+team.b, "--create-namespaces", "--quota", "pods=5", "--network", "isolated", "--wait=false", "--user", "ann")
			u.must(t, "init", team.name, "--limits", "max.memory=8Gi", "--wait=false")
			// No other test grants anything to this user, which init would report.
			bob := "bob-of-" + team.name
			u.must(t, "grant", team.name, "--user", bob)
			// Meanwhile another test has a Tiller that is cluster-admin and open to whoever reaches
			// a node: a way for everybody, which begins with no right of this user.
			if r := u.must(t, "revoke", team.name, "--user", bob); strings.Contains(r.Stderr, "is not known") || strings.Contains(r.Stderr, "user "+bob+" ->") {
				t.Errorf("not all is known: %v", r)
			}
			file := filepath.Join(t.TempDir(), "tenants.yaml")
			text := "apiVersion: helm-tenant/v1\ntenants:\n- {name: " + team.name + ", engine: " + engine + ", namespaces: [" + team.a + ", " + team.c + "], members: {users: [ann]}}\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			u.must(t, "apply", "-f", file, "--create-namespaces")
			if r := u.must(t, "apply", "-f", file); !strings.Contains(r.Stdout, "1 tenant unchanged") {
				t.Errorf("a second run changes something: %v", r)
			}
			u.must(t, "describe", team.name)
			u.must(t, "destroy", team.name, "--yes", "--delete-namespaces", "--backup", filepath.Join(t.TempDir(), "backup.yaml"))
			eventually(t, "the home of "+team.name, func() error {
				_, err := w.admin(t).CoreV1().Namespaces().Get(t.Context(), team.name+home, metav1.GetOptions{})
				if err == nil {
					return errors.New("it is still there")
				}
				return nil
			})
		})
	}
}

// TestAdministratorOfNamespaces: an admin of a home namespace and its tenant namespaces, whose
// only cluster-wide rights are to read the role and to claim the namespaces, makes a tenant, and
// init reports what it could not check.
func TestAdministratorOfNamespaces(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.namespace(t, team.home, team.a, team.b)
	u := w.newUser(t, "namespaces")
	role := printedRole(t, u)
	for _, ns := range []string{team.home, team.a, team.b} {
		w.allow(t, u, ns, role.Rules...)
	}
	w.lastGrant(t, u, team.name)
	args := []string{"init", team.name, "--engine=tiller", "--home-namespace", team.home, "--namespaces", team.a + "," + team.b, "--wait=false"}
	r := u.run(t, args...)
	if r.Code != 1 || strings.Count(r.Stderr, "list ") < 8 || !strings.Contains(r.Stderr, "--no-cluster-reads") {
		t.Errorf("not all that is missing is named: %v", r)
	}
	u.wroteNothing(t)
	w.reserved(t)
	r = u.run(t, append(args, "--no-cluster-reads")...)
	var claim []string
	for _, ns := range []string{team.home, team.a, team.b} {
		claim = append(claim, "claim namespaces.helm-tenant/"+ns+" in the cluster")
	}
	slices.Sort(claim)
	same(t, "what is lacking", claim, lacks(r))
	u.wroteNothing(t)
	claiming := *u
	claiming.name += "-claims"
	w.role(t, "", claiming.name, mayClaim(team.home, team.a, team.b))
	w.bind(t, "", claiming.name, "ClusterRole", claiming.name, rbacv1.Subject{Kind: "User", APIGroup: rbacGroup, Name: u.name})
	eventually(t, "the right to claim", func() error {
		return u.may(t, true, access("claim", "helm-tenant", "namespaces", "", "", team.b))
	})
	r = u.must(t, append(args, "--no-cluster-reads")...)
	if !strings.Contains(r.Stderr, "not checked: ") || !strings.Contains(r.Stderr, `whether ClusterRole "admin" exists`) {
		t.Errorf("it is not said what is unchecked: %v", r)
	}
	if r := u.must(t, append(args, "--no-cluster-reads")...); !strings.Contains(r.Stdout, "nothing was written") {
		t.Errorf("a second run writes: %v", r)
	}
	u.must(t, "grant", team.name, "--user", "ann", "--home-namespace", team.home)
	u.must(t, "destroy", team.name, "--yes", "--no-cluster-reads", "--home-namespace", team.home)
}
