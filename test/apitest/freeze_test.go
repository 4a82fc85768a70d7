package apitest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// acting returns a client of the administrator's that acts as somebody else.
func (w *world) acting(t *testing.T, user string) kubernetes.Interface {
	t.Helper()
	config := w.RootConfig(t)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	return client
}

// TestFreeze freezes a tenant while its members use it, and thaws it.
func TestFreeze(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	team.home = team.name + "-helm"
	admin, member := w.admin(t), w.newUser(t, "member")
	w.makeTenant(t, team, "--engine", "impersonation", "--user", member.name)
	helms := []string{"helm3", "helm4"}
	with := func(helm string) *user {
		one := *member
		one.env = []string{"HELM_BIN=" + w.Bin(helm)}
		return &one
	}
	with("helm3").must(t, "use", team.name)
	for _, helm := range helms {
		with(helm).must(t, "install", helm, hello())
	}
	// Somebody with a right of their own, and an account that a chart made.
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "own"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "dana-" + team.name}, {Kind: "ServiceAccount", Namespace: team.b, Name: "operator"}}}
	_, err := w.root.RbacV1().RoleBindings(team.a).Create(t.Context(), binding, metav1.CreateOptions{})
	must(t, err)

	before := admin.must(t, "export", team.name).Stdout
	if r := admin.must(t, "freeze", team.name, "--reason", "INC-12: shop", "--dry-run", "-o", "name"); !strings.Contains(r.Stdout, "configmap/helm-tenant") {
		t.Errorf("a dry run: %v", r)
	}
	if now := admin.must(t, "export", team.name).Stdout; now != before {
		t.Errorf("a dry run changed it to:\n%s", now)
	}
	r := admin.must(t, "freeze", team.name, "--reason", "INC-12: shop", "-o", "json")
	var frozen struct {
		Kind    string
		Frozen  struct{ Reason, Since, Means string }
		Writers []struct{ Subject, Binding, Role string }
	}
	must(t, json.Unmarshal([]byte(r.Stdout), &frozen))
	if frozen.Kind != "TenantFreeze" || frozen.Frozen.Reason != "INC-12: shop" || frozen.Frozen.Means != "policy" || frozen.Frozen.Since == "" {
		t.Errorf("it says %+v", frozen)
	}
	listed := func(subject string) bool {
		return slices.ContainsFunc(frozen.Writers, func(w struct{ Subject, Binding, Role string }) bool { return w.Subject == subject })
	}
	if !listed("user dana-"+team.name) || listed("service account "+team.b+":operator") || listed("service account "+team.home+":helm") {
		t.Errorf("who can still write: %+v", frozen.Writers)
	}

	// It is in force when freeze returns, and says why.
	for _, helm := range helms {
		one := with(helm)
		for _, args := range [][]string{{"install", "new", hello()}, {"upgrade", helm, hello(), "--set", "a=b"}, {"rollback", helm, "1"}} {
			if r := one.run(t, args...); r.Code == 0 || !strings.Contains(r.Stderr, "tenant "+team.name+" is frozen: INC-12: shop") {
				t.Errorf("%s %q: %v", helm, args, r)
			}
		}
		// helm keeps to itself why an uninstall fails: the API server warns.
		if r := one.run(t, "uninstall", helm); r.Code == 0 || strings.Count(r.Stderr, "tenant "+team.name+" is frozen: INC-12: shop") != 1 {
			t.Errorf("%s uninstall: %v", helm, r)
		}
		if r := one.must(t, "list"); strings.Count(r.Stdout, "deployed") != len(helms) {
			t.Errorf("%s list: %v", helm, r)
		}
		if r := one.must(t, "get", "manifest", helm); !strings.Contains(r.Stdout, "ConfigMap") {
			t.Errorf("%s get: %v", helm, r)
		}
	}
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}}
	for user, denied := range map[string]bool{"system:serviceaccount:" + team.b + ":operator": true, "dana-" + team.name: false} {
		_, err := w.acting(t, user).CoreV1().ConfigMaps(team.a).Create(t.Context(), configMap, metav1.CreateOptions{})
		if (err != nil) != denied || denied && !strings.Contains(err.Error(), "is frozen") {
			t.Errorf("%s: %v", user, err)
		}
	}
	deployer := w.acting(t, "system:serviceaccount:"+team.home+":helm")
	_, err = deployer.CoreV1().ServiceAccounts(team.a).CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "is frozen") {
		t.Errorf("a token: %v", err)
	}

	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"tenants"}, "impersonation (frozen)"},
		{[]string{"describe", team.name}, "INC-12: shop, by policy"},
		{[]string{"export", team.name}, "reason: 'INC-12: shop'"},
	} {
		if r := admin.must(t, c.args...); !strings.Contains(r.Stdout, c.want) {
			t.Errorf("%q: %v", c.args, r)
		}
	}
	if r := with("helm3").must(t, "whoami"); !strings.Contains(r.Stdout, "FROZEN") || !strings.Contains(r.Stdout, "INC-12: shop") {
		t.Errorf("whoami: %v", r)
	}
	if r := admin.must(t, "describe", team.name); strings.Contains(r.Stdout, "Differs") {
		t.Errorf("a freeze is drift: %v", r)
	}
	if r := admin.run(t, "audit", team.name, "-o", "json"); strings.Contains(r.Stdout, "HT042") {
		t.Errorf("a freeze is drift in the audit: %v", r)
	}
	if r := admin.run(t, "destroy", team.name, "--yes", "--keep-releases"); r.Code != 1 || !strings.Contains(r.Stderr, "is frozen") || !strings.Contains(r.Stderr, "helm tenant thaw "+team.name) {
		t.Errorf("destroy: %v", r)
	}
	// A file from before the freeze does not undo it, nor does init.
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	must(t, os.WriteFile(file, []byte(before), 0o600))
	if r := admin.must(t, "apply", "-f", file); !strings.Contains(r.Stdout, "1 tenant unchanged") {
		t.Errorf("apply: %v", r)
	}
	admin.must(t, "init", team.name, "--quota", "pods=50")
	if r := with("helm3").run(t, "install", "new", hello()); r.Code == 0 {
		t.Errorf("after init: %v", r)
	}

	admin.must(t, "thaw", team.name)
	if r := admin.must(t, "thaw", team.name); !strings.Contains(r.Stdout, "is not frozen") {
		t.Errorf("thawed again: %v", r)
	}
	for _, helm := range helms {
		with(helm).must(t, "upgrade", helm, hello(), "--set", "a=b")
		with(helm).must(t, "uninstall", helm)
	}
}

// TestFreezeByManyAdmins: of two who freeze for different reasons and one who thaws none
// leaves the tenant half-way.
func TestFreezeByManyAdmins(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	var group sync.WaitGroup
	for _, args := range [][]string{{"freeze", team.name, "--reason", "one"}, {"freeze", team.name, "--reason", "two"}, {"thaw", team.name}, {"freeze", team.name, "--reason", "one"}} {
		one := w.admin(t)
		group.Go(func() { one.must(t, args...) })
	}
	group.Wait()
	if r := w.admin(t).must(t, "describe", team.name); strings.Contains(r.Stdout, "Differs") {
		t.Errorf("it is half-way: %v", r)
	}
}
