package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

func owners(names ...string) func(*Request) {
	return func(r *Request) {
		for _, name := range names {
			r.Tenant.Owners = append(r.Tenant.Owners, tenant.User(name))
		}
	}
}

func membersFrom(from tenant.MembersFrom) func(*Request) {
	return func(r *Request) { r.Tenant.MembersFrom = from }
}

// TestOwnerRisks: which owners need a risk, and which.
func TestOwnerRisks(t *testing.T) {
	both := Accepted{RiskOwnerOfCluster, RiskUnheldOwners}
	for _, test := range []struct {
		name             string
		all              bool
		engine           tenant.Engine
		shared, unlimits bool
		accepted         Accepted
		want             Risk
	}{
		{name: "nothing else in the home"},
		{name: "all namespaces", all: true, want: RiskOwnerOfCluster},
		{name: "all namespaces, without policies", all: true, unlimits: true, want: RiskOwnerOfCluster},
		{name: "all namespaces, accepted", all: true, unlimits: true, accepted: Accepted{RiskOwnerOfCluster}},
		{name: "a shared home", shared: true, want: RiskOwnerOfCluster},
		{name: "a shared home without a Tiller", shared: true, engine: tenant.EngineImpersonation, want: RiskOwnerOfCluster},
		{name: "a shared home, accepted", shared: true, accepted: Accepted{RiskOwnerOfCluster}},
		{name: "no policies", unlimits: true, want: RiskUnheldOwners},
		{name: "no policies, accepted", unlimits: true, accepted: Accepted{RiskUnheldOwners}},
		{name: "no policies in a shared home", shared: true, unlimits: true, accepted: Accepted{RiskOwnerOfCluster}, want: RiskUnheldOwners},
		{name: "another risk", unlimits: true, accepted: Accepted{RiskOwnerOfCluster, RiskEveryone}, want: RiskUnheldOwners},
		{name: "both", shared: true, unlimits: true, accepted: both},
	} {
		team := tenant.Tenant{Name: "t", AllNamespaces: test.all, Engine: test.engine}.WithDefaults()
		err := ownerRisks{test.shared, test.unlimits}.check(team, test.accepted)
		if got := err == nil; got != (test.want == "") || err != nil && riskOf(err) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// riskOf returns the risk that an error asks to accept.
func riskOf(err error) Risk {
	if risk, ok := errors.AsType[*RiskError](err); ok {
		return risk.Risk
	}
	return ""
}

// TestOwners: the first owner adds the Role, the binding and the policy; a further one is one
// write; a revoke keeps the objects, and init and apply change nothing.
func TestOwners(t *testing.T) {
	server, c := empty().with(clusterRole("view", "get", "list")).start(t)
	team := write(t, c, asked(engine(tenant.EngineImpersonation))).Tenant
	server.Writes()
	request := GrantRequest{Who: tenant.Members{tenant.User("dana")}, As: tenant.RelationOwner}
	if result, err := Grant(t.Context(), c, team, request, true); err != nil || len(result.Changed[tenant.RelationOwner]) != 1 || len(server.Writes()) > 0 {
		t.Fatalf("a dry run: %+v, %v", result, err)
	}
	if _, err := Grant(t.Context(), c, team, request, false); err != nil {
		t.Fatal(err)
	}
	created := []string{
		"create ClusterRole helm-tenant-reads-secrets", "create Role helm-tenant-owner in namespace t-helm", "create Role helm-tenant-reader in namespace t-helm",
		"create RoleBinding helm-tenant-owner in namespace t-helm", "create RoleBinding helm-tenant-reader in namespace t-helm",
		"create RoleBinding helm-tenant-reader.t.helm-tenant-reads-secrets in namespace a", "create RoleBinding helm-tenant-reader.t.helm-tenant-reads-secrets in namespace b",
		"create RoleBinding helm-tenant-reader.t.view in namespace a", "create RoleBinding helm-tenant-reader.t.view in namespace b",
		"create ServiceAccount helm-reader in namespace t-helm",
		"create ValidatingAdmissionPolicy helm-tenant-owners", "create ValidatingAdmissionPolicyBinding helm-tenant-owners",
	}
	got := server.Writes()
	if last := got[len(got)-2:]; !strings.Contains(strings.Join(got[:3], ""), "ValidatingAdmissionPolicy") && strings.Contains(strings.Join(last, ""), "ValidatingAdmissionPolicy") {
		t.Errorf("the policy comes after the binding that it limits: %q", got)
	}
	slices.Sort(got)
	if diff := cmp.Diff(created, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, second := range []Request{asked(engine(tenant.EngineImpersonation)), asked(engine(tenant.EngineImpersonation), exactly, owners("dana"))} {
		if did := write(t, c, second); len(did.Plan.Changes) > 0 {
			t.Errorf("exact %t: it does %q", second.Exact, stepsOf(did.Plan))
		}
	}
	server.Writes()
	request.Who = tenant.Members{tenant.Group("leads")}
	if _, err := Grant(t.Context(), c, team, request, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"update RoleBinding helm-tenant-owner in namespace t-helm"}, server.Writes()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	member := GrantRequest{Who: tenant.Members{tenant.User("dana")}, As: tenant.RelationMember}
	if _, err := Grant(t.Context(), c, team, member, false); err != nil {
		t.Fatal(err)
	}
	revoked, err := Revoke(t.Context(), c, team, RevokeRequest{Who: tenant.Members{tenant.User("dana"), tenant.Group("leads")}}, false)
	if err != nil || len(revoked.Changed[tenant.RelationOwner]) != 2 || len(revoked.Changed[tenant.RelationMember]) != 1 {
		t.Errorf("revoked %v, %v", revoked.Changed, err)
	}
	if did := write(t, c, asked(engine(tenant.EngineImpersonation))); len(did.Plan.Changes) > 0 {
		t.Errorf("after the last owner an init does %q", stepsOf(did.Plan))
	}
}

// TestGrantKeepsOthers: a grant of one relation changes neither the subjects nor the ends of
// another.
func TestGrantKeepsOthers(t *testing.T) {
	for _, as := range tenant.Relations {
		server, c := empty().with(clusterRole("view", "get", "list")).start(t)
		team := write(t, c, asked(engine(tenant.EngineImpersonation))).Tenant
		for _, before := range tenant.Relations {
			for _, term := range []time.Duration{0, time.Hour} {
				subjects := tenant.Members{tenant.User(fmt.Sprintf("%s-%d", before, term))}
				if _, err := Grant(t.Context(), c, team, GrantRequest{Who: subjects, As: before, For: term, Accepted: Risks}, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		objects := map[tenant.Relation]any{}
		for _, before := range tenant.Relations {
			objects[before] = server.Get(peopleKey("t-helm", before)).Object
		}
		server.Writes()
		got, err := Grant(t.Context(), c, team, GrantRequest{Who: tenant.Members{tenant.User("new")}, As: as, Accepted: Risks}, false)
		if err != nil || len(got.Changed[as]) != 1 || len(got.Everybody()) != 1 {
			t.Errorf("%s: granted %v, %v", as, got.Changed, err)
		}
		if diff := cmp.Diff([]string{"update " + peopleKey("t-helm", as).String()}, server.Writes()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", as, diff)
		}
		for _, before := range tenant.Relations {
			if diff := cmp.Diff(objects[before], any(server.Get(peopleKey("t-helm", before)).Object)); before != as && diff != "" {
				t.Errorf("a grant of %s changed the %ss:\n%s", as, before, diff)
			}
			if people := got.Tenant.People(before); slices.Contains(got.Unread, before) == (len(people) > 0) {
				t.Errorf("a grant of %s: %ss are %v, not read %v", as, before, people, got.Unread)
			}
		}
	}
}

// TestOwnersRevoke: what an owner may not read is left out, unless it was asked for.
func TestOwnersRevoke(t *testing.T) {
	server, c := empty().start(t)
	team := write(t, c, asked(exactly, owners("dana"), func(r *Request) { r.Tenant.Members = tenant.Members{tenant.User("bob")} })).Tenant
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		// A tenant with a Tiller has no readers: their binding is not one that its owners may read.
		if r.Kind == "RoleBinding" && r.Name != "helm-tenant-member" || r.Kind == "Role" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "rolebindings"}, r.Name, nil)
		}
		return nil
	}
	server.Writes()
	bob := tenant.Members{tenant.User("bob")}
	got, err := Revoke(t.Context(), c, team, RevokeRequest{Who: bob}, false)
	if err != nil || !slices.Equal(got.Unseen, []tenant.Relation{tenant.RelationOwner}) || len(got.Changed[tenant.RelationMember]) != 1 {
		t.Errorf("revoked %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"update RoleBinding helm-tenant-member in namespace t-tiller"}, server.Writes()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := Revoke(t.Context(), c, team, RevokeRequest{Who: bob, As: []tenant.Relation{tenant.RelationOwner}}, false); !apierrors.IsForbidden(err) {
		t.Errorf("an owner that can't be looked for is none: %v", err)
	}
	if _, err := Grant(t.Context(), c, team, GrantRequest{Who: bob, As: tenant.RelationMember}, false); err != nil {
		t.Errorf("granted: %v", err)
	}
	if _, err := Grant(t.Context(), c, team, GrantRequest{Who: bob, As: tenant.RelationOwner}, false); err == nil {
		t.Error("an owner makes owners")
	}
}

// TestMembersFrom: apply leaves members and readers to the owners, with their terms, or
// says whom it takes out.
func TestMembersFrom(t *testing.T) {
	w := empty().after(t, asked(exactly, owners("dana"), membersFrom(tenant.MembersFromOwners)))
	server, c := w.start(t)
	team := write(t, c, asked(exactly, owners("dana"), membersFrom(tenant.MembersFromOwners))).Tenant
	for name, duration := range map[string]time.Duration{"bob": 0, "oncall": time.Hour} {
		if _, err := Grant(t.Context(), c, team, GrantRequest{Who: tenant.Members{tenant.User(name)}, As: tenant.RelationMember, For: duration}, false); err != nil {
			t.Fatal(err)
		}
	}
	server.Writes()
	kept := write(t, c, asked(exactly, owners("dana"), membersFrom(tenant.MembersFromOwners)))
	if notes := strings.Join(kept.Notes, "\n"); len(server.Writes()) > 0 || !strings.Contains(notes, "granted by the owners and kept: ") || !strings.Contains(notes, "user oncall (until ") {
		t.Errorf("it did %q, and said %s", stepsOf(kept.Plan), notes)
	}
	// A further init knows who decides.
	if second := write(t, c, asked(namespaces("a", "b"))); second.Tenant.MembersFrom != tenant.MembersFromOwners {
		t.Errorf("members are from %q", second.Tenant.MembersFrom)
	}
	out := write(t, c, asked(exactly, owners("dana"), func(r *Request) { r.Tenant.Members = tenant.Members{tenant.User("alice")} }))
	notes := strings.Join(out.Notes, "\n")
	for _, want := range []string{"no longer members: ", "user bob", "user oncall (until ", "membersFrom: owners"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not said: %s", want, notes)
		}
	}
	if got := out.Tenant.Members; !cmp.Equal(got, tenant.Members{tenant.User("alice")}) {
		t.Errorf("members are %v", got)
	}
}
