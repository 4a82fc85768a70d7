package admin

import (
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// peopled returns a request for the tenant with alice and bob as members.
func peopled(change ...func(*Request)) Request {
	members := func(r *Request) { r.Tenant.Members = tenant.Members{tenant.User("alice"), tenant.User("bob")} }
	return asked(append([]func(*Request){members}, change...)...)
}

// TestDisconnectLater: a revoke that asks for it marks the tenant also for somebody whom an
// earlier one took out, and whatever relation it takes away.
func TestDisconnectLater(t *testing.T) {
	for name, request := range map[string]RevokeRequest{
		"of all relations": {Who: tenant.Members{tenant.User("alice")}, Disconnect: true},
		"of owners":        {Who: tenant.Members{tenant.User("alice")}, As: []tenant.Relation{tenant.RelationOwner}, Disconnect: true},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := empty().start(t)
			team := write(t, c, peopled()).Tenant
			before := request
			before.As, before.Disconnect = nil, false
			if got, err := Revoke(t.Context(), c, team, before, false); err != nil || got.Disconnect {
				t.Fatalf("a revoke that does not ask for it: %v, %+v", err, got)
			}
			got, err := Revoke(t.Context(), c, team, request, false)
			if err != nil || !got.Disconnect || len(got.Everybody()) > 0 {
				t.Fatalf("got %+v, %v", got, err)
			}
			if server.Get(memberKey("t-tiller")).GetAnnotations()[tenant.AnnotationDisconnect] == "" {
				t.Error("a run that is stopped now leaves no mark")
			}
		})
	}
	server, c := empty().start(t)
	team := write(t, c, peopled()).Tenant
	if got, err := Revoke(t.Context(), c, team, RevokeRequest{Expired: true, Disconnect: true}, false); err != nil || got.Disconnect || server.Get(memberKey("t-tiller")).GetAnnotations()[tenant.AnnotationDisconnect] != "" {
		t.Errorf("nobody's time is over, and it is to disconnect: %v, %+v", err, got)
	}
}

// TestUnmarkable: an owner who may delete pods may not write the annotation. The owner can end
// connections without it, and does not finish another admin's interrupted run.
func TestUnmarkable(t *testing.T) {
	for _, test := range []struct {
		name   string
		owners bool
		// hides has the policy that can't be read, as by an owner.
		hides bool
		marks bool
	}{
		{"with the policy of owners", true, false, false},
		{"with a policy that can't be read", false, true, false},
		{"without a policy", false, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, c := empty().start(t)
			request := peopled(exactly)
			if test.owners {
				owners("dana")(&request)
			}
			team := write(t, c, request).Tenant
			server.Put(readyTiller(t, server), tillerPod("old"))
			server.Allowed = func(permission string) bool { return permission != "update namespaces" }
			if test.hides {
				server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
					if r.Kind == "ValidatingAdmissionPolicy" {
						return apierrors.NewForbidden(schema.GroupResource{Resource: "validatingadmissionpolicies"}, r.Name, nil)
					}
					return nil
				}
			}
			d := &Disconnect{Client: c, Tenant: team, Timeout: time.Minute, Say: func(string) {}}
			if err := d.Check(t.Context()); err != nil {
				t.Errorf("connections can't be ended: %v", err)
			}
			denied, refused := errors.AsType[*DeniedError](d.CheckFinish(t.Context()))
			if refused == test.marks || refused && len(denied.Missing) != 1 {
				t.Errorf("an interrupted run can't be finished: %v", denied)
			}
			marked := func() string { return server.Get(memberKey("t-tiller")).GetAnnotations()[tenant.AnnotationDisconnect] }
			got, err := Revoke(t.Context(), c, team, RevokeRequest{Who: tenant.Members{tenant.User("alice")}, Disconnect: true}, false)
			if err != nil || !got.Disconnect || len(got.Everybody()) != 1 || (marked() != "") != test.marks {
				t.Errorf("revoke: %+v, %v, marked %q", got, err, marked())
			}
			binding := server.Get(memberKey("t-tiller"))
			binding.SetAnnotations(map[string]string{tenant.AnnotationDisconnect: "earlier"})
			server.Put(binding)
			if ended, err := d.Run(t.Context()); err != nil || len(ended.Restarted) != 1 || (marked() == "") != test.marks {
				t.Errorf("run: %+v, %v, marked %q", ended, err, marked())
			}
		})
	}
}

// TestUnmarkableApply: an apply takes members out without the annotation where it may not be
// written.
func TestUnmarkableApply(t *testing.T) {
	existing := empty().after(t, peopled())
	existing.unmarkable = map[string][]cluster.Permission{"t-tiller": {{Verb: "update", Resource: "namespaces", Name: "t-tiller"}}}
	request := asked(exactly, func(r *Request) { r.Disconnect = true })
	prepared, err := decide(existing.facts(t, request), request)
	if err != nil || prepared.Disconnect || len(prepared.Revoked) != 2 {
		t.Fatalf("%v, %+v", err, prepared)
	}
	binding := existing.written(prepared.Plan)
	for _, object := range binding.objects {
		if m, ok := object.(interface{ GetAnnotations() map[string]string }); ok && m.GetAnnotations()[tenant.AnnotationDisconnect] != "" {
			t.Errorf("%s is marked", cluster.KeyOf(object))
		}
	}
}

// TestDisconnectAfterConflict: a tenant that is planned again, because another admin wrote
// meanwhile, still leaves the connections that the caller may not end.
func TestDisconnectAfterConflict(t *testing.T) {
	server, c := empty().start(t)
	team := write(t, c, peopled()).Tenant
	if _, err := Revoke(t.Context(), c, team, RevokeRequest{Who: tenant.Members{tenant.User("alice")}, Disconnect: true}, false); err != nil {
		t.Fatal(err)
	}
	request := asked(func(r *Request) { r.Tenant.Tiller.HistoryMax = new(7) })
	outcomes, err := PrepareAll(t.Context(), c, []Request{request})
	if err != nil || outcomes[0].Err != nil || !outcomes[0].Prepared.Disconnect {
		t.Fatalf("%v, %+v", err, outcomes)
	}
	outcomes[0].Prepared.Disconnect = false // as for a caller without the right
	record := server.Get(recordKey("t-tiller"))
	record.SetAnnotations(map[string]string{"another": "admin"})
	server.Put(record)
	shared := TakeShared(outcomes)
	if err := ApplyAll(t.Context(), c, []Request{request}, outcomes, shared, func(Outcome) {}); err != nil || outcomes[0].Err != nil {
		t.Fatalf("%v, %v", err, outcomes[0].Err)
	}
	if !outcomes[0].Prepared.Wrote {
		t.Error("there was no conflict")
	}
	if outcomes[0].Prepared.Disconnect {
		t.Error("the connections are to be ended")
	}
}
