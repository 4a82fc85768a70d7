package cli

import (
	"strings"
	"testing"
)

// TestGrantCommand: the command is for the caller and nobody else, whatever the caller is called.
func TestGrantCommand(t *testing.T) {
	for _, test := range []struct{ user, name, want string }{
		{"alice", "team-a", "helm tenant grant team-a --user=alice"},
		{"", "team-a", "helm tenant grant team-a --user=YOU"},
		{"alice", "No name", "helm tenant grant TENANT --user=alice"},
		{"system:serviceaccount:ci:deployer", "team-a", "helm tenant grant team-a --service-account=ci:deployer"},
		{"CN=zoe,OU=eng", "team-a", `helm tenant grant team-a --user="CN=zoe,OU=eng"`},
		{"system:anonymous", "team-a", "helm tenant grant team-a --user=YOU"},
		{"system:node:n1", "team-a", "helm tenant grant team-a --user=YOU"},
	} {
		if got := strings.Join(grantCommand(test.user, test.name), " "); got != test.want {
			t.Errorf("user %q of tenant %q: %s, want %s", test.user, test.name, got, test.want)
		}
	}
}
