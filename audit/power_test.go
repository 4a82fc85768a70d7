package audit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

// A deployer's power includes the paths to itself: a Tiller's are those of its release records,
// and any that somebody granted.
func TestDeployerReachesItsOwnHome(t *testing.T) {
	const home = "a-tiller"
	tiller, accounts := Account(home, "tiller"), Group("system:serviceaccounts:"+home)
	pods := rule("", "pods", "create")
	records := []string{"read-secrets", "write-secrets"}
	for _, test := range []struct {
		name   string
		engine tenant.Engine
		change func(*Snapshot)
		want   []string
	}{
		{"as it is made", tenant.EngineTiller, func(*Snapshot) {}, records},
		{"impersonation", tenant.EngineImpersonation, func(*Snapshot) {}, nil},
		{"a binding at home", tenant.EngineTiller, func(s *Snapshot) { s.give(home, "x", tiller, pods) }, []string{"create-pods", "read-secrets", "write-secrets"}},
		{"a binding of the home's accounts", tenant.EngineTiller, func(s *Snapshot) { s.give(home, "x", accounts, pods) }, []string{"create-pods", "read-secrets", "write-secrets"}},
		{"a binding over the cluster", tenant.EngineTiller, func(s *Snapshot) { s.give("", "x", tiller, pods) }, []string{"create-pods", "read-secrets", "write-secrets"}},
		{"a binding elsewhere", tenant.EngineTiller, func(s *Snapshot) { s.give("a-1", "x", tiller, pods) }, records},
		{"what every account has", tenant.EngineTiller, func(s *Snapshot) { s.give(home, "x", Group("system:serviceaccounts"), pods) }, records},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", test.engine))
			test.change(s)
			var ids []string
			for _, p := range Audit(s, Options{}).Deployers[0].Power.OwnHome {
				ids = append(ids, p.ID)
			}
			if diff := cmp.Diff(test.want, ids); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	text, err := json.Marshal(Audit(sceneOf(team("a", tenant.EngineTiller)), Options{}).Deployers[0].Power)
	if want := `"ownHome":[{"id":"read-secrets","name":"read Secrets"},{"id":"write-secrets","name":"write Secrets"}]`; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("as JSON it lacks %s: %s, %v", want, text, err)
	}
}
