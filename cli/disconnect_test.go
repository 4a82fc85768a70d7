package cli

import (
	"testing"

	"helm-tenant/command"
	"helm-tenant/tenant"
)

func TestDisconnectCommand(t *testing.T) {
	gone := tenant.Members{
		{Kind: "User", Name: "alice"}, {Kind: "Group", Name: "the devs"}, {Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"},
	}
	const want = "helm tenant revoke team-a --user=alice '--group=the devs' --service-account=ci:deployer --disconnect"
	if have := command.Run(disconnectCommand("team-a", gone)).String(); have != want {
		t.Errorf("%s", have)
	}
}
