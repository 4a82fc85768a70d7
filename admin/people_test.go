package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

func until(name string, hours int, reason string) tenant.Term {
	return tenant.Term{Subject: tenant.User(name), As: tenant.RelationMember, Until: noon.Add(time.Duration(hours) * time.Hour), Reason: reason}
}

// text is what people and their terms are, in short.
func (p people) text() string {
	text := strings.Join(described(p.byRelation[tenant.RelationMember], p.terms.As(tenant.RelationMember)), "; ")
	if readers := p.byRelation[tenant.RelationReader]; len(readers) > 0 {
		text += "; readers: " + strings.Join(described(readers, p.terms.As(tenant.RelationReader)), "; ")
	}
	return text
}

// TestGrantDecision: the subjects after a grant, and contradictions with existing grants.
func TestGrantDecision(t *testing.T) {
	current := people{byRelation: map[tenant.Relation]tenant.Members{tenant.RelationMember: {tenant.User("alice"), tenant.User("bob"), tenant.User("carol")}},
		terms: tenant.Terms{until("bob", 1, "INC-1"), until("carol", -1, "")}}
	for _, test := range []struct {
		name          string
		grant         GrantRequest
		want, changed string
		err           string
	}{
		{name: "for good", grant: GrantRequest{Who: tenant.Members{tenant.User("dan")}},
			want: `user alice; user bob (until 2026-01-31T13:00:00Z, "INC-1"); user carol (until 2026-01-31T11:00:00Z); user dan`, changed: "user dan"},
		{name: "for good, again", grant: GrantRequest{Who: tenant.Members{tenant.User("alice")}},
			want: `user alice; user bob (until 2026-01-31T13:00:00Z, "INC-1"); user carol (until 2026-01-31T11:00:00Z)`},
		{name: "for a time", grant: GrantRequest{Who: tenant.Members{tenant.User("dan")}, For: 8 * time.Hour, Reason: "INC-12"},
			want: `user alice; user bob (until 2026-01-31T13:00:00Z, "INC-1"); user carol (until 2026-01-31T11:00:00Z); user dan (until 2026-01-31T20:00:00Z, "INC-12")`, changed: "user dan"},
		{name: "for longer", grant: GrantRequest{Who: tenant.Members{tenant.User("bob")}, For: 8 * time.Hour},
			want: `user alice; user bob (until 2026-01-31T20:00:00Z); user carol (until 2026-01-31T11:00:00Z)`, changed: "user bob"},
		{name: "anew after it was over", grant: GrantRequest{Who: tenant.Members{tenant.User("carol")}, For: 8 * time.Hour},
			want: `user alice; user bob (until 2026-01-31T13:00:00Z, "INC-1"); user carol (until 2026-01-31T20:00:00Z)`, changed: "user carol"},
		{name: "for a time, of one who is in for good", grant: GrantRequest{Who: tenant.Members{tenant.User("dan"), tenant.User("alice")}, For: 8 * time.Hour},
			err: "user alice is a member for good, and --for 8h0m0s asks for one until 2026-01-31T20:00:00Z"},
		{name: "for good, of those who are in for a time", grant: GrantRequest{Who: tenant.Members{tenant.User("bob"), tenant.User("carol")}},
			err: `user bob is a member until 2026-01-31T13:00:00Z, "INC-1", and without --for a grant is for good; user carol is a member until 2026-01-31T11:00:00Z, and without --for a grant is for good`},
		{name: "as a reader", grant: GrantRequest{Who: tenant.Members{tenant.User("dan")}, As: tenant.RelationReader, For: time.Hour},
			want: `user alice; user bob (until 2026-01-31T13:00:00Z, "INC-1"); user carol (until 2026-01-31T11:00:00Z); readers: user dan (until 2026-01-31T13:00:00Z)`, changed: "user dan"},
		{name: "a member as a reader", grant: GrantRequest{Who: tenant.Members{tenant.User("alice")}, As: tenant.RelationReader},
			err: "user alice is a member, who may do more than read, and would stay one beside a reader"},
	} {
		if test.grant.As == "" {
			test.grant.As = tenant.RelationMember
		}
		t.Run(test.name, func(t *testing.T) {
			next, changed, err := current.grant("t", test.grant, noon.Add(test.grant.For))
			if errorText(err) != test.err {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(test.want, next.text()); diff != "" {
				t.Error(diff)
			}
			if got := strings.Join(changed[test.grant.As].Names(), ", "); got != test.changed {
				t.Errorf("changed: %s", got)
			}
			if second, changed, err := next.grant("t", test.grant, noon.Add(test.grant.For)); err != nil || len(changed[test.grant.As]) > 0 || second.text() != next.text() {
				t.Errorf("the same again: %s, %v", second.text(), err)
			}
		})
	}
}

func TestGrantCheck(t *testing.T) {
	for _, test := range []struct {
		grant GrantRequest
		want  string
	}{
		{GrantRequest{}, ""},
		{GrantRequest{For: time.Second, Reason: "x"}, ""},
		{GrantRequest{For: -time.Hour}, "--for: -1h0m0s is not at least a second"},
		{GrantRequest{For: time.Millisecond}, "--for: 1ms is not at least a second"},
		{GrantRequest{For: 200000 * time.Hour}, "--for: 200000h0m0s is more than ten years; leave it out for a grant for good"},
		{GrantRequest{Reason: "x"}, "--reason goes with --for: a grant for good keeps none"},
		{GrantRequest{For: time.Hour, Reason: "a\nb"}, "--reason: it holds characters that can't be shown"},
		{GrantRequest{For: time.Hour, Reason: strings.Repeat("a", 257)}, "--reason: 257 bytes; at most 256 fit"},
	} {
		if err := test.grant.Check(); errorText(err) != test.want {
			t.Errorf("%+v: %v", test.grant, err)
		}
	}
}

// withTerms returns the world in which t's member binding has these members and that
// annotation.
func withTerms(t *testing.T, annotation string, members ...string) world {
	w := empty().after(t, asked())
	return edited(w, memberKey("t-tiller"), func(b *rbacv1.RoleBinding) {
		for _, name := range members {
			b.Subjects = append(b.Subjects, user(name))
		}
		b.Annotations = map[string]string{tenant.AnnotationTerms: annotation}
	})
}

// TestTermsOfFile: the file decides, except about expired grants.
func TestTermsOfFile(t *testing.T) {
	const bob = `[{"user":"bob","until":"2026-01-31T13:00:00Z","reason":"INC-1"}]`
	const over = `[{"user":"bob","until":"2026-01-31T11:00:00Z"}]`
	key := "update RoleBinding helm-tenant-member in namespace t-tiller: "
	file := func(members tenant.Members, terms ...tenant.Term) func(*Request) {
		return func(r *Request) { r.Exact, r.Tenant.Members, r.Tenant.Temporary = true, members, terms }
	}
	for _, test := range []struct {
		name       string
		annotation string
		request    Request
		want       decided
	}{
		{"init leaves them", bob, asked(), decided{}},
		{"init says who is over", over, asked(), decided{Notes: []string{"over, and still in force until a revoke --expired: user bob (until 2026-01-31T11:00:00Z)"}}},
		{"init of a member for a time", bob, asked(func(r *Request) { r.Tenant.Members = tenant.Members{tenant.User("bob")} }),
			decided{Notes: []string{`members for a time stay so: user bob (until 2026-01-31T13:00:00Z, "INC-1")`}}},
		{"init takes away what is about nobody", `[{"user":"gone","until":"2026-01-31T13:00:00Z"}]`, asked(), decided{Steps: []string{key + "metadata.annotations[helm-tenant/temporary]"}}},
		{"init leaves what it can't read", "x", asked(), decided{Notes: []string{`until when members were let in can't be read, and stays as it is: RoleBinding helm-tenant-member in namespace "t-tiller": annotation helm-tenant/temporary: invalid character 'x' looking for beginning of value`}}},
		{"the same", bob, asked(file(nil, until("bob", 1, "INC-1"))), decided{}},
		{"longer", bob, asked(file(nil, until("bob", 2, "INC-1"))), decided{Steps: []string{key + "metadata.annotations[helm-tenant/temporary]"}}},
		{"not named", bob, asked(file(nil)), decided{Steps: []string{key + "metadata.annotations[helm-tenant/temporary], subjects"},
			Notes: []string{`no longer members: user bob (until 2026-01-31T13:00:00Z, "INC-1")`}}},
		{"over in both", over, asked(file(nil, until("bob", -1, ""))), decided{Steps: []string{key + "metadata.annotations[helm-tenant/temporary], subjects"},
			Notes: []string{"no longer members: user bob (until 2026-01-31T11:00:00Z)", "over according to the file, and not granted: user bob (until 2026-01-31T11:00:00Z)"}}},
		{"over in the file, of somebody new", bob, asked(file(nil, until("bob", 1, "INC-1"), until("carol", -1, "x"))),
			decided{Notes: []string{`over according to the file, and not granted: user carol (until 2026-01-31T11:00:00Z, "x")`}}},
		{"for good in the file", bob, asked(file(tenant.Members{tenant.User("bob")})), decided{Steps: []string{key + "metadata.annotations[helm-tenant/temporary]"},
			Notes: []string{`members for good, by the file, who were members for a time: user bob (until 2026-01-31T13:00:00Z, "INC-1")`}}},
		{"for a time in the file", "", asked(file(nil, until("bob", 1, ""))), decided{Steps: []string{key + "metadata.annotations[helm-tenant/temporary]"},
			Notes: []string{"members for a time, by the file, who were members for good: user bob (until 2026-01-31T13:00:00Z)"}}},
		{"what can't be read", "x", asked(file(nil, until("bob", 1, ""))), decided{Steps: []string{key + "metadata.annotations[helm-tenant/temporary]"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, withTerms(t, test.annotation, "bob").decide(t, test.request)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestGrantForATime: one write, the same on a second run, and an end that a revoke makes.
func TestGrantForATime(t *testing.T) {
	server, c := empty().start(t)
	team := write(t, c, asked()).Tenant
	server.Writes()
	bob := tenant.Members{tenant.User("bob")}
	got, err := Grant(t.Context(), c, team, GrantRequest{Who: bob, As: tenant.RelationMember, For: time.Hour, Reason: "INC-12"}, true)
	if err != nil || len(got.Everybody()) != 1 || len(server.Writes()) > 0 {
		t.Fatalf("a dry run: %v, %v", got, err)
	}
	if got, err = Grant(t.Context(), c, team, GrantRequest{Who: bob, As: tenant.RelationMember, For: time.Hour, Reason: "INC-12"}, false); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(got.Tenant.Temporary[0].Until); left < 59*time.Minute || left > time.Hour+time.Second {
		t.Errorf("it lasts %s", left)
	}
	if _, err := Grant(t.Context(), c, team, GrantRequest{Who: tenant.Members{tenant.User("carol")}, As: tenant.RelationMember}, false); err != nil {
		t.Fatal(err)
	}
	if expired, err := Expired(t.Context(), c); err != nil || len(expired) > 0 {
		t.Errorf("over: %v, %v", expired, err)
	}
	if got, err = Revoke(t.Context(), c, team, RevokeRequest{Expired: true}, false); err != nil || len(got.Everybody()) > 0 || len(got.Tenant.Members) != 2 {
		t.Errorf("revoked %v, left %v, %v", got.Changed, got.Tenant.Members, err)
	}
	binding := server.Get(memberKey("t-tiller"))
	withAnnotation(tenant.AnnotationTerms, tenant.Terms{{Subject: tenant.User("bob"), Until: time.Now().Add(-time.Minute)}}.Annotation(""))(binding)
	server.Put(binding)
	expired, err := Expired(t.Context(), c)
	if err != nil || len(expired) != 1 || expired[0].Name != "t" || expired[0].Home() != "t-tiller" {
		t.Fatalf("over: %v, %v", expired, err)
	}
	server.Writes()
	got, err = Revoke(t.Context(), c, expired[0], RevokeRequest{Expired: true}, false)
	if err != nil || got.Everybody().Names()[0] != "user bob" || got.Tenant.Members.Names()[0] != "user carol" || len(got.Tenant.Members) != 1 {
		t.Errorf("revoked %v, left %v, %v", got.Changed, got.Tenant.Members, err)
	}
	if diff := cmp.Diff([]string{"update RoleBinding helm-tenant-member in namespace t-tiller"}, server.Writes()); diff != "" {
		t.Error(diff)
	}
	if _, left := server.Get(memberKey("t-tiller")).GetAnnotations()[tenant.AnnotationTerms]; left {
		t.Error("an annotation about nobody stays")
	}
}

// TestExpiredBesideUnreadTerms: an owner whose time is over may write the binding of members;
// what they write there keeps them in no longer.
func TestExpiredBesideUnreadTerms(t *testing.T) {
	server, c := empty().with(clusterRole("view", "get", "list")).start(t)
	team := write(t, c, asked(engine(tenant.EngineImpersonation))).Tenant
	for as, terms := range map[tenant.Relation]string{tenant.RelationMember: "x", tenant.RelationOwner: `[{"user":"dana","until":"2001-01-31T13:00:00Z"}]`} {
		if _, err := Grant(t.Context(), c, team, GrantRequest{Who: tenant.Members{tenant.User("dana")}, As: as}, false); err != nil {
			t.Fatal(err)
		}
		binding := server.Get(peopleKey("t-helm", as))
		binding.SetAnnotations(map[string]string{tenant.AnnotationTerms: terms})
		server.Put(binding)
	}
	for round, changed := range []int{1, 0} {
		got, err := Revoke(t.Context(), c, team, RevokeRequest{Expired: true}, false)
		if terms, ok := errors.AsType[*TermsError](err); !ok || terms.Binding != memberKey("t-helm") {
			t.Errorf("round %d: what is not known is not said: %v", round, err)
		}
		if len(got.Changed[tenant.RelationOwner]) != changed || len(got.Changed[tenant.RelationMember]) > 0 {
			t.Errorf("round %d: changed %v", round, got.Changed)
		}
	}
	if text := server.Get(memberKey("t-helm")).GetAnnotations()[tenant.AnnotationTerms]; text != "x" {
		t.Errorf("the annotation became %q", text)
	}
}

// TestTermsThatCantBeRead: a grant would turn them into grants for good, a revoke by name
// needs them not.
func TestTermsThatCantBeRead(t *testing.T) {
	server, c := withTerms(t, "x", "bob", "carol").start(t)
	team := tenant.Tenant{Name: "t", Namespaces: []string{"a", "b"}}.WithDefaults()
	const why = `RoleBinding helm-tenant-member in namespace "t-tiller": annotation helm-tenant/temporary: invalid character 'x' looking for beginning of value`
	if _, err := Grant(t.Context(), c, team, GrantRequest{Who: tenant.Members{tenant.User("dan")}, As: tenant.RelationMember}, false); errorText(err) != why {
		t.Errorf("grant: %v", err)
	}
	if _, err := Revoke(t.Context(), c, team, RevokeRequest{Expired: true}, false); errorText(err) != "whose time is over is not known: "+why {
		t.Errorf("revoke --expired: %v", err)
	}
	if expired, err := Expired(t.Context(), c); err != nil || len(expired) != 1 {
		t.Errorf("it is not among those to be looked at: %v, %v", expired, err)
	}
	got, err := Revoke(t.Context(), c, team, RevokeRequest{Who: tenant.Members{tenant.User("bob")}}, false)
	if err != nil || len(got.Everybody()) != 1 {
		t.Errorf("revoke: %v, %v", got.Changed, err)
	}
	if text := server.Get(memberKey("t-tiller")).GetAnnotations()[tenant.AnnotationTerms]; text != "x" {
		t.Errorf("the annotation became %q", text)
	}
	server.Refuse = forbid("RoleBinding")
	if _, err := Expired(t.Context(), c); err == nil {
		t.Error("nothing is over where nothing may be read")
	}
}

// TestReaders: the first reader adds the account, its rights in each namespace and the
// ClusterRole for Secrets; a further one is one write; a revoke keeps the objects.
func TestReaders(t *testing.T) {
	server, c := empty().with(clusterRole("view", "get", "list")).start(t)
	team := write(t, c, asked(engine(tenant.EngineImpersonation))).Tenant
	server.Writes()
	request := GrantRequest{Who: tenant.Members{tenant.User("pam")}, As: tenant.RelationReader}
	if _, err := Grant(t.Context(), c, team, request, false); errorText(err) == "" || len(server.Writes()) > 0 {
		t.Fatalf("what readers read need not be accepted: %v", err)
	}
	request.Accepted = Accepted{RiskReadsSecrets}
	if _, err := Grant(t.Context(), c, team, request, false); err != nil {
		t.Fatal(err)
	}
	created := []string{
		"create ClusterRole helm-tenant-reads-secrets", "create Role helm-tenant-reader in namespace t-helm",
		"create RoleBinding helm-tenant-reader in namespace t-helm",
		"create RoleBinding helm-tenant-reader.t.helm-tenant-reads-secrets in namespace a", "create RoleBinding helm-tenant-reader.t.helm-tenant-reads-secrets in namespace b",
		"create RoleBinding helm-tenant-reader.t.view in namespace a", "create RoleBinding helm-tenant-reader.t.view in namespace b",
		"create ServiceAccount helm-reader in namespace t-helm",
	}
	got := server.Writes()
	slices.Sort(got)
	slices.Sort(created)
	if diff := cmp.Diff(created, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if second := write(t, c, asked(engine(tenant.EngineImpersonation))); len(second.Plan.Changes) > 0 {
		t.Errorf("an init does %q", stepsOf(second.Plan))
	}
	if second := write(t, c, asked(engine(tenant.EngineImpersonation), exactly, func(r *Request) { r.Tenant.Readers = tenant.Members{tenant.User("pam")} })); len(second.Plan.Changes) > 0 {
		t.Errorf("an apply does %q", stepsOf(second.Plan))
	}
	server.Writes()
	request.Who = tenant.Members{tenant.Group("support")}
	if _, err := Grant(t.Context(), c, team, request, false); err != nil {
		t.Fatal(err)
	}
	// A namespace's binding is lost: the same grant brings it back.
	server.Remove(cluster.Key{Kind: "RoleBinding", Namespace: "a", Name: "helm-tenant-reader.t.view"})
	if _, err := Grant(t.Context(), c, team, request, false); err != nil {
		t.Fatal(err)
	}
	revoked, err := Revoke(t.Context(), c, team, RevokeRequest{Who: tenant.Members{tenant.User("pam"), tenant.Group("support")}}, false)
	if err != nil || len(revoked.Everybody()) != 2 {
		t.Fatalf("revoked %v, %v", revoked.Changed, err)
	}
	if diff := cmp.Diff([]string{"update RoleBinding helm-tenant-reader in namespace t-helm", "create RoleBinding helm-tenant-reader.t.view in namespace a",
		"update RoleBinding helm-tenant-reader in namespace t-helm"}, server.Writes()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := Prepare(t.Context(), c, asked(engine(tenant.EngineImpersonation), exactly, func(r *Request) { r.Tenant.Readers = tenant.Members{tenant.User("eve")} })); errorText(err) == "" {
		t.Error("apply takes a further reader without a word")
	}
	more := write(t, c, asked(engine(tenant.EngineImpersonation), namespaces("a", "b", "c"), func(r *Request) { r.CreateNamespaces = true }))
	if steps := strings.Join(stepsOf(more.Plan), "\n"); !strings.Contains(steps, "create RoleBinding helm-tenant-reader.t.view in namespace c") {
		t.Errorf("a further namespace is not read: %s", steps)
	}
	for _, test := range []struct {
		request Request
		want    string
	}{
		{Request{Tenant: tenant.Tenant{Name: "x", Namespaces: []string{"a"}, Readers: tenant.Members{tenant.User("pam")}}, Exact: true}, "which can't tell readers from writers"},
		{Request{Tenant: tenant.Tenant{Name: "x", AllNamespaces: true, Engine: tenant.EngineImpersonation, Readers: tenant.Members{tenant.User("pam")}}, Exact: true}, "would read every Secret of the cluster"},
	} {
		if _, err := Prepare(t.Context(), c, test.request); !strings.Contains(errorText(err), test.want) {
			t.Errorf("got %v", err)
		}
	}
}

// TestReadersGo: with the engine that they need, and with the tenant.
func TestReadersGo(t *testing.T) {
	w := empty().with(clusterRole("view", "get", "list")).after(t, asked(engine(tenant.EngineBoth), exactly, accept(RiskReadsSecrets), func(r *Request) { r.Tenant.Readers = tenant.Members{tenant.User("pam")} }))
	got := w.decide(t, asked(engine(tenant.EngineTiller)))
	if text := strings.Join(got.Steps, "\n"); !strings.Contains(text, "delete RoleBinding helm-tenant-reader.t.view in namespace a") ||
		!strings.Contains(text, "delete RoleBinding helm-tenant-reader in namespace t-tiller") || !strings.Contains(text, "delete ServiceAccount helm-reader in namespace t-tiller") ||
		!slices.Contains(got.Notes, "no longer a reader, since the tenant can have none: user pam") {
		t.Errorf("got %+v", got)
	}
}
