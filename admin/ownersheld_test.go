package admin

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/tenant"
)

// TestOwnersAreHeldFirst: an owner's rights are written when the API server enforces the policy
// that limits what owners write, whichever verb makes the owner; nobody waits for an owner who
// leaves, nor where an admin accepted that nothing limits them.
func TestOwnersAreHeldFirst(t *testing.T) {
	request := asked(exactly, engine(tenant.EngineImpersonation), owners("dana"))
	dana := tenant.Members{tenant.User("dana")}
	none := asked(engine(tenant.EngineImpersonation))
	grant := func(t *testing.T, c *cluster.Client, who tenant.Members, accepted ...Risk) {
		t.Helper()
		team := tenant.Tenant{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineImpersonation}.WithDefaults()
		if _, err := Grant(t.Context(), c, team, GrantRequest{Who: who, As: tenant.RelationOwner, Accepted: accepted}, false); err != nil {
			t.Fatal(err)
		}
	}
	// A stranger labelled a home, with owners in it.
	squatted := namespace("t-helm", tenant.LabelTenant, "t", tenant.LabelHome, "impersonation", tenant.LabelManagedBy, tenant.ManagedBy)
	prepared := bindingOf("t-helm", "helm-tenant-owner", "x", user("mallory")).(*rbacv1.RoleBinding)
	prepared.Labels, prepared.Finalizers = map[string]string{tenant.LabelTenant: "t"}, []string{"example.com/never"}
	for name, test := range map[string]struct {
		before []Request
		do     func(*testing.T, *cluster.Client)
		asks   int
	}{
		"a home of a stranger's": {nil, func(t *testing.T, c *cluster.Client) {
			write(t, c, asked(exactly, engine(tenant.EngineImpersonation), owners("dana"), adopting))
		}, 3},
		"init": {nil, func(t *testing.T, c *cluster.Client) { write(t, c, request) }, 3},
		"apply": {nil, func(t *testing.T, c *cluster.Client) {
			requests := []Request{request}
			outcomes, err := PrepareAll(t.Context(), c, requests)
			if err != nil {
				t.Fatal(err)
			}
			if err := ApplyAll(t.Context(), c, requests, outcomes, TakeShared(outcomes), func(Outcome) {}); err != nil || outcomes[0].Err != nil {
				t.Fatal(err, outcomes[0].Err)
			}
		}, 3},
		"grant":                {[]Request{none}, func(t *testing.T, c *cluster.Client) { grant(t, c, dana) }, 3},
		"grant, with the risk": {[]Request{none}, func(t *testing.T, c *cluster.Client) { grant(t, c, dana, RiskUnheldOwners) }, 0},
		"of all namespaces": {nil, func(t *testing.T, c *cluster.Client) {
			write(t, c, asked(exactly, everywhere, engine(tenant.EngineImpersonation), owners("dana"), func(r *Request) { r.Accepted = Accepted{RiskClusterWide, RiskOwnerOfCluster} }))
		}, 0},
		"a second owner":        {[]Request{request}, func(t *testing.T, c *cluster.Client) { grant(t, c, tenant.Members{tenant.User("lea")}) }, 3},
		"nobody new":            {[]Request{request}, func(t *testing.T, c *cluster.Client) { grant(t, c, dana) }, 0},
		"an owner who leaves":   {[]Request{request}, func(t *testing.T, c *cluster.Client) { write(t, c, asked(exactly, engine(tenant.EngineImpersonation))) }, 0},
		"a tenant without them": {nil, func(t *testing.T, c *cluster.Client) { write(t, c, none) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := empty().with(clusterRole("view", "get", "list"))
			if name == "a home of a stranger's" {
				w = w.with(squatted, ownedAccount("t-helm", "helm", "t"), prepared)
			}
			server, c := w.start(t)
			for _, r := range test.before {
				write(t, c, r)
			}
			key := peopleKey("t-helm", tenant.RelationOwner)
			before := server.Get(key)
			asks := 0
			server.Enforced = func(policy string) bool {
				if policy != install.OwnersName {
					return true
				}
				asks++
				if now := boundIn(server.Get(key)); len(now.Without(boundIn(before))) > 0 || slices.Contains(now, tenant.User("mallory")) {
					t.Errorf("owners' rights are written, and nothing limits them: %v", now)
				}
				return asks == 3
			}
			test.do(t, c)
			if slices.Contains(boundIn(server.Get(key)), tenant.User("mallory")) {
				t.Error("a stranger is an owner")
			}
			if asks != test.asks {
				t.Errorf("it asked %d times whether the policy is enforced, not %d", asks, test.asks)
			}
		})
	}
}
