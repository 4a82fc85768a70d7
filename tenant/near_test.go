package tenant

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNear(t *testing.T) {
	for _, test := range []struct {
		word  string
		known []string
		want  []string
	}{
		{"tema-a", []string{"team-a", "team-b", "ops"}, []string{"team-a"}},
		{"team-c", []string{"team-b", "team-a", "ops"}, []string{"team-a", "team-b"}},
		{"team", []string{"team-payments-eu", "ops", "team-a"}, []string{"team-a", "team-payments-eu"}},
		{"team-a", []string{"team-a", "x"}, nil},
		{"op", []string{"ops", "opal-platform"}, []string{"ops"}},
		{"a", []string{"b", "c", "ab"}, nil},
		{"describ", []string{"describe", "destroy"}, []string{"describe"}},
		{"teams", []string{"team1", "team2", "team3", "team4", "team1"}, []string{"team1", "team2", "team3"}},
		{"ues", []string{"use", "user", "used"}, []string{"use"}},
		{"opa", []string{"oap", "pao", "apo", "op"}, []string{"op", "oap"}},
		{"web", nil, nil},
	} {
		if diff := cmp.Diff(test.want, Near(test.word, test.known)); diff != "" {
			t.Errorf("%s among %v, -want +got:\n%s", test.word, test.known, diff)
		}
	}
}
