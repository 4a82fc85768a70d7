package release

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRevisions(t *testing.T) {
	for _, test := range []struct {
		name      string
		got, want Revision
	}{
		{"Tiller's", TillerRevision(map[string]string{"NAME": "web", "VERSION": "3", "STATUS": "PENDING_UPGRADE"}), Revision{"web", 3, "PENDING_UPGRADE"}},
		{"Helm 3's", HelmRevision(map[string]string{"name": "web", "version": "3", "status": "pending-upgrade"}), Revision{"web", 3, "PENDING_UPGRADE"}},
		{"uninstalled", HelmRevision(map[string]string{"name": "web", "version": "3", "status": "uninstalled"}), Revision{"web", 3, "DELETED"}},
		{"uninstalling", HelmRevision(map[string]string{"name": "web", "version": "3", "status": "uninstalling"}), Revision{"web", 3, "DELETING"}},
		{"another's", HelmRevision(map[string]string{"version": "new"}), Revision{}},
		{"nobody's", TillerRevision(nil), Revision{}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
	if !Gone(HelmRevision(map[string]string{"status": "uninstalled"}).Status) || Gone("DELETING") || Gone("FAILED") {
		t.Error("gone is what was deleted, and nothing else")
	}
	if !IsTillers(map[string]string{"OWNER": "TILLER"}) || IsTillers(map[string]string{"owner": "helm"}) {
		t.Error("Tiller's are those of which it is the owner")
	}
}

func TestLatest(t *testing.T) {
	got := Latest([]Revision{{"web", 9, "SUPERSEDED"}, {"web", 10, "DEPLOYED"}, {"db", 1, "DELETED"}, {"web", 2, "FAILED"}})
	if diff := cmp.Diff([]Revision{{"db", 1, "DELETED"}, {"web", 10, "DEPLOYED"}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
