package apitest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"helm-tenant/test/records"
)

// listed is the JSON of `helm-tenant releases`.
type listed struct {
	Items []struct {
		Name, Namespace, Status, Chart, Engine string
		Revision                               int
		Updated                                string
		Tenants                                []string
	}
	Unlisted []struct{ Tenant, Namespace, Reason string }
}

func (w *world) listReleases(t *testing.T, u *user, code int, args ...string) (listed, []string) {
	t.Helper()
	r := u.run(t, append([]string{"releases", "-o", "json"}, args...)...)
	var list listed
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || r.Code != code {
		t.Fatalf("%v: wanted exit code %d: %v", err, code, r)
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Namespace+"/"+item.Name)
	}
	return list, names
}

// TestReleases lists releases as a member, as an administrator, and as somebody who
// may not see all.
func TestReleases(t *testing.T) {
	t.Parallel()
	w, helm, tiller := start(t), newTeam(), newTeam()
	helm.home = helm.name + "-helm"
	member := w.newUser(t, "member")
	member.env = []string{"HELM_BIN=" + w.Bin("helm3")}
	w.makeTenant(t, helm, "--engine", "impersonation", "--user", member.name)
	w.makeTenant(t, tiller)
	for _, ns := range []string{helm.a, helm.b} {
		w.helm3(t, "install", "web", hello(), "--namespace", ns)
	}
	w.helm3(t, "upgrade", "web", hello(), "--namespace", helm.b)
	w.helm3(t, "install", "gone", hello(), "--namespace", helm.b)
	w.helm3(t, "uninstall", "gone", "--keep-history", "--namespace", helm.b)
	w.stored(t, tiller, records.Release{Name: "db", Namespace: tiller.b, Revision: 1, Status: "SUPERSEDED"}, records.Release{Name: "db", Namespace: tiller.b, Revision: 2, Status: "FAILED"})

	member.must(t, "use", helm.name)
	list, names := w.listReleases(t, member, 0)
	if want := []string{helm.a + "/web", helm.b + "/web"}; !slices.Equal(names, want) {
		t.Errorf("the member sees %q, wanted %q", names, want)
	}
	if list.Items[1].Revision != 2 || list.Items[1].Status != "DEPLOYED" || !slices.Equal(list.Items[1].Tenants, []string{helm.name}) || list.Items[1].Updated == "" || !strings.HasPrefix(list.Items[1].Chart, "hello-") {
		t.Errorf("the second is %+v", list.Items[1])
	}
	if _, names := w.listReleases(t, member, 0, "--uninstalled"); !slices.Equal(names, []string{helm.b + "/gone"}) {
		t.Errorf("uninstalled are %q", names)
	}
	if r := member.run(t, "--tenant", helm.name, "releases", "-o", "name", "--filter", "^w"); r.Stdout != helm.a+"/web\n"+helm.b+"/web\n" {
		t.Errorf("by name: %v", r)
	}
	if r := member.must(t, "releases", helm.name); !strings.Contains(r.Stdout, "NAME") || strings.Contains(r.Stdout, "?") {
		t.Errorf("a table: %v", r)
	}
	// A member of nothing, and one who wants all.
	for _, args := range [][]string{{tiller.name}, {"--all"}} {
		if r := member.run(t, append([]string{"releases"}, args...)...); r.Code != 1 {
			t.Errorf("%v", r)
		}
	}

	admin := w.admin(t)
	if _, names := w.listReleases(t, admin, 0, helm.name, tiller.name); !slices.Equal(names, []string{tiller.b + "/db", helm.a + "/web", helm.b + "/web"}) {
		t.Errorf("the administrator sees %q", names)
	}
	if _, names := w.listReleases(t, admin, 0, tiller.name, "--failed"); !slices.Equal(names, []string{tiller.b + "/db"}) {
		t.Errorf("failed are %q", names)
	}
	// Other tests' tenants have records that can't be read, which is said.
	all := admin.run(t, "releases", "--all", "-o", "name")
	if all.Code != 0 && all.Code != 3 {
		t.Errorf("%v", all)
	}
	names = strings.Fields(all.Stdout)
	for _, want := range []string{tiller.b + "/db", helm.a + "/web", helm.b + "/web"} {
		if !slices.Contains(names, want) {
			t.Errorf("--all lacks %s: %q", want, names)
		}
	}
	if r := admin.run(t, "releases", "nobody-has-it"); r.Code != 1 || !strings.Contains(r.Stderr, `there is no tenant "nobody-has-it"`) {
		t.Errorf("an unknown tenant: %v", r)
	}

	// A user who may read tenants but not all releases gets a note.
	half := w.newUser(t, "half")
	w.allow(t, half, "", rule("", "configmaps", "get", "list"), rule("", "namespaces", "get", "list"))
	w.allow(t, half, helm.a, rule("", "secrets", "get", "list"), rule("", "configmaps", "get", "list"))
	list, names = w.listReleases(t, half, 3, helm.name)
	if !slices.Equal(names, []string{helm.a + "/web"}) || len(list.Unlisted) != 1 || list.Unlisted[0].Namespace != helm.b {
		t.Errorf("half sees %q, and not %+v", names, list.Unlisted)
	}
	if r := half.run(t, "releases", helm.name); r.Code != 3 || !strings.Contains(r.Stdout, "?      "+helm.b) {
		t.Errorf("a table: %v", r)
	}
}
