package tenant

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSplit: the state of a split is read as it was written, and what nobody's split can have
// is refused.
func TestSplit(t *testing.T) {
	s := Split{Phase: PhaseVerified, Since: time.Date(2026, 11, 23, 12, 0, 30, 0, time.UTC), Storage: StorageConfigMap,
		Replicas: map[string]int32{"Deployment tiller-deploy": 1}, Releases: map[string]string{"web": "team-a"}, Copies: map[string]string{"web": "1"}, Onward: []string{"team-a"}, Backup: "kube-system.yaml"}
	text, err := s.Text()
	if err != nil {
		t.Fatal(err)
	}
	second, err := ParseSplit(text)
	if diff := cmp.Diff(s, second); err != nil || diff != "" {
		t.Errorf("read again: %v, -want +got:\n%s", err, diff)
	}
	for _, test := range []struct{ wanted, forged, want string }{
		{`{`, "", "ConfigMap helm-tenant-split, key split.json: unexpected end of JSON input"},
		{`{`, `{"more":1,`, `the field "more" is not known to this helm-tenant`},
		{`"verified"`, `"flying"`, `the phase "flying" is not known to this helm-tenant`},
		{`"configmap"`, `"sql"`, `storage: "sql" is not one of secret, configmap`},
		{`"configmap"`, `""`, `storage: "" is not one of secret, configmap`},
		{`Deployment tiller-deploy`, `DaemonSet fluentd`, `"DaemonSet fluentd" with 1 replicas is no workload of a Tiller`},
		{`"Deployment tiller-deploy":1`, `"Deployment tiller-deploy":-1`, `with -1 replicas is no workload of a Tiller`},
		{`"web":"team-a"`, `"web":"../x"`, `release "web": `},
		{`"web":"1"`, `"db":"1"`, `release "db" has copies and does not move to a tenant`},
		{`"onward":["team-a"]`, `"onward":["team-b"]`, `tenant "team-b" moves on to Helm 3 and gets no release`},
	} {
		forged := test.forged
		if forged != "" {
			forged = strings.Replace(text, test.wanted, test.forged, 1)
		}
		if got, err := ParseSplit(forged); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s instead of %s: got %+v, %v", test.forged, test.wanted, got, err)
		}
	}
}
