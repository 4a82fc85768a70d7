package admin

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/helm/pkg/proto/hapi/release"
)

// TestFinishWithLaterRecords: another Tiller, such as a local one, can write records after the
// releases moved. A finish removes none unasked that only Tiller has, whatever their state.
func TestFinishWithLaterRecords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		release  string
		revision int32
		status   release.Status_Code
		// names is what the refusal names, empty for none.
		names string
	}{
		{"a release", "db", 1, release.Status_DEPLOYED, "db in namespace a"},
		{"a release that can't move", "db", 1, release.Status_PENDING_INSTALL, "db"},
		{"a revision", "web", 3, release.Status_DEPLOYED, "revision 3 of web in namespace a"},
		{"a revision that can't move", "web", 3, release.Status_PENDING_UPGRADE, "web"},
		{"a deleted release", "db", 1, release.Status_DELETED, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, c := withReleases(t, unguarded)
			m, _ := migrating(t, c)
			if _, err := m.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			server.Put(record(t, "t-tiller", test.release, "a", test.revision, test.status))
			server.Writes()
			_, err := m.Finish(t.Context())
			risk, refused := errors.AsType[*RiskError](err)
			if test.names == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if !refused || risk.Risk != RiskMissingReleases || !strings.Contains(err.Error(), "no record of "+test.names+":") || len(server.Writes()) > 0 {
				t.Errorf("got %v", err)
			}
			m.Accepted = Accepted{RiskMissingReleases}
			if _, err := m.Finish(t.Context()); err != nil {
				t.Errorf("accepted: %v", err)
			}
		})
	}
}
