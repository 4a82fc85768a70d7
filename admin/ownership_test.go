package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

func TestCurrentRecords(t *testing.T) {
	record := func(namespace, name string, version int, status string) cluster.Stored {
		return cluster.Stored{Key: cluster.Key{Kind: "Secret", Namespace: namespace, Name: name}, Revision: release.Revision{Release: name, Version: version, Status: status}}
	}
	for name, c := range map[string]struct {
		records          []cluster.Stored
		newest, deployed string
	}{
		"nothing":                  {nil, "", ""},
		"one that is deployed":     {[]cluster.Stored{record("a", "web", 1, "SUPERSEDED"), record("a", "web", 2, "DEPLOYED")}, "a/web.2", "a/web.2"},
		"one whose upgrade failed": {[]cluster.Stored{record("a", "web", 3, "FAILED"), record("a", "web", 2, "DEPLOYED"), record("a", "web", 1, "DEPLOYED")}, "a/web.3", "a/web.2 a/web.3"},
		"one that never was":       {[]cluster.Stored{record("a", "web", 1, "FAILED")}, "a/web.1", "a/web.1"},
		"one that was uninstalled": {[]cluster.Stored{record("a", "web", 1, "DEPLOYED"), record("a", "web", 2, "DELETED")}, "", ""},
		"two of one name":          {[]cluster.Stored{record("a", "web", 1, "DEPLOYED"), record("b", "web", 10, "DEPLOYED"), record("b", "web", 9, "SUPERSEDED")}, "a/web.1 b/web.10", "a/web.1 b/web.10"},
	} {
		t.Run(name, func(t *testing.T) {
			brief := func(records []cluster.Stored) string {
				var texts []string
				for _, r := range records {
					texts = append(texts, r.Namespace+"/"+r.Release+"."+strconv.Itoa(r.Version))
				}
				slices.Sort(texts)
				return strings.Join(texts, " ")
			}
			want := []string{c.newest, c.deployed}
			got := []string{brief(currentRecords(c.records, false)), brief(currentRecords(c.records, true))}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestManyObjects: the time to read the objects of a release grows with their number, not with
// its square. Whoever may write a record in a namespace of the tenant's decides on it.
func TestManyObjects(t *testing.T) {
	t.Parallel()
	const count = 100_000
	var manifest strings.Builder
	for i := range count {
		fmt.Fprintf(&manifest, "---\nkind: A\nmetadata:\n  name: n%d\n", i)
	}
	server, c := empty().start(t)
	server.Put(recordHolding(t, "h", "web", "a", 1, release2.Status_DEPLOYED, manifest.String()))
	stored, err := c.StoredReleases(t.Context(), tenant.EngineTiller, "h")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	held, err := readReleaseObjects(t.Context(), c, currentRecords(stored, true))
	if err != nil || len(held) != 1 || len(held[0].Objects) != count {
		t.Fatalf("%d releases, %v", len(held), err)
	}
	if took := time.Since(begin); took > 20*time.Second { // pair by pair it takes minutes
		t.Errorf("it took %v", took)
	}
}

func TestWhyStays(t *testing.T) {
	web := migrate.Owner{Name: "web", Namespace: "a"}
	_, own := web.Metadata()
	_, others := migrate.Owner{Name: "db", Namespace: "b"}.Metadata()
	for name, c := range map[string]struct {
		kept        bool
		annotations map[string]string
		want        string
	}{
		"its own":                 {false, own, ""},
		"nobody's":                {false, nil, ""},
		"kept":                    {true, own, "its helm.sh/resource-policy is keep"},
		"another release's":       {false, others, "it belongs to release db in namespace b"},
		"kept, another release's": {true, others, "its helm.sh/resource-policy is keep"},
	} {
		t.Run(name, func(t *testing.T) {
			live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Annotations: c.annotations}}
			if got := whyStays(web, migrate.Object{Kept: c.kept}, live); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}
