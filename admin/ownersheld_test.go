package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
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

// TestOwnersOfUnknownPolicy: a refusal of the dry run by anything else is no sign that the policy of
// owners is enforced, whatever its text says.
func TestOwnersOfUnknownPolicy(t *testing.T) {
	for _, refused := range []string{
		`admission webhook "w.example.com" denied the request: ValidatingAdmissionPolicy 'helm-tenant-owners' with binding 'helm-tenant-owners' denied request: no`,
		`rolebindings "x" is forbidden: ValidatingAdmissionPolicy 'theirs' with binding 'theirs' denied request: helm-tenant-owners`,
		`rolebindings "x" is forbidden: User "u" cannot update resource "rolebindings" in API group "rbac.authorization.k8s.io" in the namespace "t-helm"`,
	} {
		server, c := empty().with(clusterRole("view", "get", "list")).start(t)
		write(t, c, asked(exactly, engine(tenant.EngineImpersonation)))
		server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
			if r.Verb != "dry-run" || r.Kind != "RoleBinding" {
				return nil
			}
			return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: refused}}
		}
		_, err := Write(t.Context(), c, func(ctx context.Context) (*Prepared, error) {
			return Prepare(ctx, c, asked(exactly, engine(tenant.EngineImpersonation), owners("dana")))
		}, never)
		if err == nil || !strings.Contains(err.Error(), "--accept-risk=unheld-owners goes on without it: something else refused the dry run: ") || !strings.Contains(err.Error(), refused) {
			t.Errorf("%s: got %v", refused, err)
		}
		if server.Get(peopleKey("t-helm", tenant.RelationOwner)) != nil {
			t.Errorf("%s: the owner has rights", refused)
		}
	}
}
