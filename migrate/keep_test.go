package migrate

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

// large is a revision that no Secret holds: random text does not shrink.
func large(r *release2.Release) {
	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(noise) // never fails
	r.Manifest = "data: " + base64.StdEncoding.EncodeToString(noise)
}

// TestLargeRevisions: a revision that Helm 3 can't store blocks the release only where it
// can't do without.
func TestLargeRevisions(t *testing.T) {
	const superseded, deployed, failed = release2.Status_SUPERSEDED, release2.Status_DEPLOYED, release2.Status_FAILED
	for _, test := range []struct {
		name    string
		stored  []Stored
		want    string
		problem string
	}{
		{"an old one", []Stored{old("web", 1, superseded, large), old("web", 2, deployed)}, "2:deployed", ""},
		{"a failed one between", []Stored{old("web", 1, deployed), old("web", 2, failed, large), old("web", 3, failed)}, "1:deployed 3:failed", ""},
		{"the newest", []Stored{old("web", 1, superseded), old("web", 2, deployed, large)}, "", "release web, revision 2, is too large"},
		{"the deployed one", []Stored{old("web", 1, deployed, large), old("web", 2, failed)}, "", "release web, revision 1, is too large"},
		{"the newest, failed", []Stored{old("web", 1, deployed), old("web", 2, failed, large)}, "", "release web, revision 2, is too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			releases, problems := Releases(test.stored, 0, everywhere)
			if test.problem != "" {
				if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), test.problem) || !strings.Contains(problems[0].Error(), "upgrade the release under Helm 2, or delete it with helm tenant delete --purge web") {
					t.Errorf("got %v", problems)
				}
				return
			}
			if len(problems) > 0 || !strings.Contains(brief(releases[0]), test.want+" ") || !strings.Contains(strings.Join(releases[0].Notes, " "), "does not move: it takes") {
				t.Errorf("got %v, %v", releases, problems)
			}
		})
	}
}

// TestKeep: the newest revisions move, and the one that an upgrade compares with.
func TestKeep(t *testing.T) {
	const superseded, deployed, failed = release2.Status_SUPERSEDED, release2.Status_DEPLOYED, release2.Status_FAILED
	history := []Stored{old("web", 1, superseded), old("web", 2, deployed), old("web", 3, failed), old("web", 4, failed)}
	for _, test := range []struct {
		keep int
		want string
	}{
		{0, `a/web FAILED 1:superseded 2:deployed 3:failed 4:failed []`},
		{9, `a/web FAILED 1:superseded 2:deployed 3:failed 4:failed []`},
		{4, `a/web FAILED 1:superseded 2:deployed 3:failed 4:failed []`},
		{3, `a/web FAILED 2:deployed 3:failed 4:failed ["revision 1 does not move"]`},
		{2, `a/web FAILED 2:deployed 3:failed 4:failed ["revision 1 does not move"]`},
		{1, `a/web FAILED 2:deployed 4:failed ["2 older revisions do not move"]`},
	} {
		releases, problems := Releases(history, test.keep, everywhere)
		if len(problems) > 0 || len(releases) != 1 {
			t.Fatal(problems)
		}
		if diff := cmp.Diff(test.want, brief(releases[0])); diff != "" {
			t.Errorf("--keep %d: -want +got:\n%s", test.keep, diff)
		}
	}
}

// TestCheckQuota: both names of the number of Secrets count.
func TestCheckQuota(t *testing.T) {
	list := func(name corev1.ResourceName, value string) corev1.ResourceList {
		return corev1.ResourceList{name: resource.MustParse(value)}
	}
	for _, test := range []struct {
		name       string
		hard, used corev1.ResourceList
		secrets    int
		want       string
	}{
		{"none", nil, nil, 1000, ""},
		{"of other things", list("pods", "1"), list("pods", "1"), 1000, ""},
		{"room", list("secrets", "10"), list("secrets", "4"), 6, ""},
		{"no room", list("secrets", "10"), list("secrets", "4"), 7, `ResourceQuota q of namespace "a" allows 10 Secrets, 4 exist, and Helm 3 needs 7 more for the records: raise it, or move fewer revisions with --keep`},
		{"no room, by the other name", list("count/secrets", "1k"), list("count/secrets", "1k"), 1, `ResourceQuota q of namespace "a" allows 1000 Secrets, 1000 exist, and Helm 3 needs 1 more for the records: raise it, or move fewer revisions with --keep`},
		{"not counted yet", list("secrets", "3"), nil, 3, ""},
		{"over it already, and nothing to write", list("secrets", "3"), list("secrets", "5"), 0, ""},
	} {
		quota := corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q", Namespace: "a"}, Spec: corev1.ResourceQuotaSpec{Hard: test.hard}, Status: corev1.ResourceQuotaStatus{Used: test.used}}
		got := ""
		if err := CheckQuota(quota, test.secrets); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q", test.name, got)
		}
	}
}
