package cli

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/admin"
	"helm-tenant/helm"
	"helm-tenant/tenant"
)

func TestReleaseQueryWants(t *testing.T) {
	all := []string{"DEPLOYED", "FAILED", "PENDING_INSTALL", "PENDING_ROLLBACK", "DELETED", "DELETING", "UNKNOWN", ""}
	for _, test := range []struct {
		asked []string
		want  []string
	}{
		{nil, []string{"DEPLOYED", "FAILED", "PENDING_INSTALL", "PENDING_ROLLBACK", "DELETING", "UNKNOWN", ""}},
		{[]string{"pending"}, []string{"PENDING_INSTALL", "PENDING_ROLLBACK"}},
		{[]string{"failed", "uninstalled"}, []string{"FAILED", "DELETED"}},
		{[]string{"uninstalling"}, []string{"DELETING"}},
		{[]string{"unknown"}, []string{"UNKNOWN", ""}},
	} {
		q := releaseQuery{statuses: map[string]*bool{}}
		for _, status := range releaseStatuses {
			q.statuses[status] = new(false)
		}
		for _, status := range test.asked {
			*q.statuses[status] = true
		}
		var got []string
		for _, status := range all {
			if q.wants(status) {
				got = append(got, status)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("asked for %q (-want +got):\n%s", test.asked, diff)
		}
	}
}

// TestReleaseQueryForeign: a namespace that no listed tenant has is named, unless a release is there.
func TestReleaseQueryForeign(t *testing.T) {
	for _, test := range []struct {
		name              string
		asked, namespaces []string
		want              string
	}{
		{"nothing is asked for", nil, []string{"a"}, ""},
		{"the tenant's", []string{"a"}, []string{"a", "b"}, ""},
		{"a mistyped one", []string{"a", "bb"}, []string{"a", "b"}, "bb"},
		{"one with an old release", []string{"old"}, []string{"a"}, ""},
		{"one that can't be listed", []string{"closed"}, []string{"a"}, ""},
		{"all namespaces", []string{"bb"}, nil, ""},
		{"no namespaces", []string{"bb"}, []string{}, "bb"},
	} {
		list := &admin.ReleaseList{Namespaces: test.namespaces, Releases: []admin.ListedRelease{{Release: admin.Release{Name: "r", Namespace: "old"}}},
			Unlisted: []admin.UnlistedReleases{{Namespace: "closed"}}}
		if got := strings.Join(releaseQuery{namespaces: test.asked}.foreign(list), " "); got != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestReleaseQueryChoose(t *testing.T) {
	at := func(hour int) *time.Time { return new(time.Date(2026, 11, 5, hour, 0, 0, 0, time.UTC)) }
	release := func(name, namespace string, updated *time.Time) admin.ListedRelease {
		return admin.ListedRelease{Release: admin.Release{Name: name, Namespace: namespace, Status: "deployed", Updated: updated}}
	}
	for _, test := range []struct {
		name    string
		q       releaseQuery
		pattern string
		want    string
	}{
		{"all", releaseQuery{}, "", "a b c d"},
		{"by name", releaseQuery{}, "^[bc]$", "b c"},
		{"of a namespace", releaseQuery{namespaces: []string{"y"}}, "", "b d"},
		{"of two namespaces", releaseQuery{namespaces: []string{"y", "x"}}, "", "a b c d"},
		{"of another namespace", releaseQuery{namespaces: []string{"z"}}, "", ""},
		{"by date", releaseQuery{byDate: true}, "", "d c a b"},
		{"reversed", releaseQuery{reverse: true}, "", "d c b a"},
		{"the newest first", releaseQuery{byDate: true, reverse: true}, "", "b a c d"},
		{"at most", releaseQuery{limit: 3}, "", "a b c"},
		{"more than there are", releaseQuery{limit: 9}, "", "a b c d"},
		{"the second page", releaseQuery{limit: 2, offset: 2}, "", "c d"},
		{"after the end", releaseQuery{offset: 9, limit: 2}, "", ""},
		{"the latest of a namespace", releaseQuery{namespaces: []string{"x"}, byDate: true, reverse: true, limit: 1}, "", "a"},
	} {
		all := []admin.ListedRelease{release("a", "x", at(3)), release("b", "y", at(4)), release("c", "x", at(1)), release("d", "y", nil)}
		var got []string
		for _, r := range test.q.choose(all, regexp.MustCompile(test.pattern)) {
			got = append(got, r.Name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestReleaseQueryTake: Helm 3 and 4 remove -n from a plugin's arguments.
func TestReleaseQueryTake(t *testing.T) {
	for _, test := range []struct {
		outer helm.Swallowed
		want  string
	}{
		{helm.Swallowed{}, ""},
		{helm.Swallowed{Namespace: true}, ""},
		{helm.Swallowed{Namespace: true, NamespaceValue: "x"}, "x"},
	} {
		var q releaseQuery
		q.take(test.outer)
		if got := strings.Join(q.namespaces, ","); got != test.want {
			t.Errorf("%+v: %q, want %q", test.outer, got, test.want)
		}
	}
}

func TestParseTillerList(t *testing.T) {
	updated := time.Date(2026, 11, 5, 9, 8, 7, 0, time.Local).UTC()
	for _, test := range []struct {
		name, text string
		want       []admin.Release
		next       string
		fails      bool
	}{
		{name: "no releases", text: "\n"},
		{name: "a page", text: `{"Next":"zeta","Releases":[{"Name":"web","Revision":3,"Updated":"Thu Nov  5 09:08:07 2026","Status":"DEPLOYED","Chart":"hello-0.1.0","AppVersion":"2","Namespace":"a"}]}`,
			next: "zeta", want: []admin.Release{{Name: "web", Namespace: "a", Revision: 3, Status: "DEPLOYED", Chart: "hello-0.1.0", AppVersion: "2", Engine: tenant.EngineTiller, Updated: &updated}}},
		{name: "a time that is none", text: `{"Releases":[{"Name":"web","Updated":"yesterday"}]}`, want: []admin.Release{{Name: "web", Engine: tenant.EngineTiller}}},
		{name: "no JSON", text: "NAME REVISION", fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := parseTillerList(test.text)
			if (err != nil) != test.fails {
				t.Fatal(err)
			}
			var got []admin.Release
			for _, r := range list.Releases {
				got = append(got, r.release())
			}
			if diff := cmp.Diff(test.want, got); diff != "" || list.Next != test.next {
				t.Errorf("next is %q (-want +got):\n%s", list.Next, diff)
			}
		})
	}
}

// TestUnreadRelease: an unknown cell is a question mark, a known one is shown: the namespace of
// a release of Helm 3 and 4 is that of its record.
func TestUnreadRelease(t *testing.T) {
	row := func(engine tenant.Engine, problem string) []string {
		return releaseRow(admin.ListedRelease{Release: admin.Release{Name: "web", Namespace: "a", Revision: 2, Status: "PENDING_UPGRADE", Engine: engine, Problem: problem}, Tenants: []string{"t", "u"}}, true)
	}
	for _, test := range []struct {
		got, want []string
	}{
		{row(tenant.EngineImpersonation, ""), []string{"web", "a", "2", "-", "pending-upgrade", "t,u", "-", "-", "impersonation"}},
		{row(tenant.EngineImpersonation, "odd"), []string{"web", "a", "2", "-", "pending-upgrade (its record can't be read)", "t,u", "?", "?", "impersonation"}},
		{row(tenant.EngineTiller, "odd"), []string{"web", "?", "2", "-", "pending-upgrade (its record can't be read)", "t,u", "?", "?", "tiller"}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
