package admin

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestMoves: a namespace that moves between tenants of one file is removed from one and then
// added to the other, in one run; a dry run shows the same.
func TestMoves(t *testing.T) {
	t.Parallel()
	file := func(values map[string]string) []Request {
		var requests []Request
		for _, name := range []string{"one", "two", "three"} {
			if list, named := values[name]; named {
				requests = append(requests, Request{Tenant: tenant.Tenant{Name: name, Namespaces: strings.Fields(list)}, Exact: true, CreateNamespaces: true})
			}
		}
		return requests
	}
	for _, test := range []struct {
		name        string
		before, now map[string]string
		err         string
	}{
		{"from an earlier tenant to a later", map[string]string{"one": "a b", "two": "c"}, map[string]string{"one": "a", "two": "c b"}, ""},
		{"from a later tenant to an earlier", map[string]string{"one": "a", "two": "c b"}, map[string]string{"one": "a b", "two": "c"}, ""},
		{"to a new tenant", map[string]string{"one": "a b"}, map[string]string{"one": "a", "two": "b"}, ""},
		{"several at once", map[string]string{"one": "a b c"}, map[string]string{"one": "a", "two": "b c"}, ""},
		{"a chain", map[string]string{"one": "a", "two": "b", "three": "c d"}, map[string]string{"one": "b", "two": "c", "three": "d"}, ""},
		{"a swap of some", map[string]string{"one": "a b", "two": "c d"}, map[string]string{"one": "a d", "two": "c b"}, ""},
		{"a swap of all", map[string]string{"one": "a", "two": "b"}, map[string]string{"one": "b", "two": "a"}, `namespace "b" belongs to tenant "two", which would have no namespace left before it gets another one`},
		{"the only one, for a free one", map[string]string{"one": "a", "two": "b"}, map[string]string{"one": "c", "two": "b a"}, ""},
		{"the only ones, for a new one", map[string]string{"one": "a b", "two": "c"}, map[string]string{"one": "e", "two": "b c a"}, ""},
		{"a swap of all and a free one", map[string]string{"one": "a", "two": "b"}, map[string]string{"one": "b d", "two": "a"}, ""},
		{"from a tenant that is refused", map[string]string{"one": "a", "two": "c b"}, map[string]string{"one": "a b", "two": "kube-system"}, `namespace "b" belongs to tenant "two"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, c := empty().with(namespace("c"), namespace("d")).start(t)
			apply := func(values map[string]string) []Outcome {
				requests := file(values)
				outcomes, err := PrepareAll(t.Context(), c, requests)
				if err != nil {
					t.Fatal(err)
				}
				if err := ApplyAll(t.Context(), c, requests, outcomes, TakeShared(outcomes), func(Outcome) {}); err != nil {
					t.Fatal(err)
				}
				return outcomes
			}
			apply(test.before)
			server.Writes()
			planned, err := PrepareAll(t.Context(), c, file(test.now))
			if err != nil || len(server.Writes()) > 0 {
				t.Fatalf("the dry run: %v", err)
			}
			done := apply(test.now)
			for i := range done {
				for way, o := range map[string]Outcome{"dry run": planned[i], "apply": done[i]} {
					if i == 0 && errorText(o.Err) != test.err || test.err == "" && o.Err != nil {
						t.Errorf("%s of %s: %v", way, o.Name, o.Err)
					}
				}
			}
			if test.err != "" {
				return
			}
			for name, list := range test.now {
				for _, ns := range strings.Fields(list) {
					if owner := server.Get(namespaceKey(ns)).GetLabels()[tenant.LabelTenant]; owner != name {
						t.Errorf("namespace %s is of tenant %q, not of %q", ns, owner, name)
					}
					for other := range test.now {
						if bound := server.Get(cluster.Key{Kind: "RoleBinding", Namespace: ns, Name: "helm-tenant." + other + ".admin"}) != nil; bound != (other == name) {
							t.Errorf("in namespace %s the deployer of %s is bound: %t", ns, other, bound)
						}
					}
				}
			}
			for _, o := range apply(test.now) {
				if o.Err != nil {
					t.Errorf("a second run of %s: %v", o.Name, o.Err)
				} else if len(o.Prepared.Plan.Changes) > 0 {
					t.Errorf("a second run of %s does %q", o.Name, stepsOf(o.Prepared.Plan))
				}
			}
		})
	}
}

// TestExchange: tenants that exchange all of their namespaces can't in one run. The error names a
// step after which they can, and that works.
func TestExchange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, now map[string]string
		between     Between
	}{
		"two":                {map[string]string{"one": "a", "two": "b"}, map[string]string{"one": "b", "two": "a"}, Between{"one", []string{"a", "b"}}},
		"several of each":    {map[string]string{"one": "a b", "two": "c d"}, map[string]string{"one": "d c", "two": "a b"}, Between{"one", []string{"a", "b", "d", "c"}}},
		"three":              {map[string]string{"one": "a", "two": "b", "three": "c"}, map[string]string{"one": "b", "two": "c", "three": "a"}, Between{"one", []string{"a", "b"}}},
		"and one beside":     {map[string]string{"one": "z", "two": "b", "three": "c"}, map[string]string{"one": "z", "two": "c", "three": "b"}, Between{"two", []string{"b", "c"}}},
		"to a tenant beside": {map[string]string{"one": "z", "two": "b y", "three": "c"}, map[string]string{"one": "z y", "two": "c", "three": "b"}, Between{"two", []string{"b", "y", "c"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := empty().with(namespace("c"), namespace("d")).start(t)
			request := func(name, list string) Request {
				return Request{Tenant: tenant.Tenant{Name: name, Namespaces: strings.Fields(list)}, Exact: true, CreateNamespaces: true}
			}
			apply := func(values map[string]string) []Outcome {
				t.Helper()
				var requests []Request
				for _, name := range []string{"one", "two", "three"} {
					if list, named := values[name]; named {
						requests = append(requests, request(name, list))
					}
				}
				outcomes, err := PrepareAll(t.Context(), c, requests)
				if err == nil {
					err = ApplyAll(t.Context(), c, requests, outcomes, TakeShared(outcomes), func(Outcome) {})
				}
				if err != nil {
					t.Fatal(err)
				}
				return outcomes
			}
			for _, o := range apply(test.before) {
				if o.Err != nil {
					t.Fatal(o.Err)
				}
			}
			refused := 0
			for _, o := range apply(test.now) {
				if claimed, ok := errors.AsType[*ClaimedError](o.Err); ok {
					refused++
					if claimed.Between == nil || !reflect.DeepEqual(*claimed.Between, test.between) {
						t.Errorf("%s: %v, the step is %+v", o.Name, o.Err, claimed.Between)
					}
				}
			}
			if refused < 2 {
				t.Errorf("%d tenants are refused", refused)
			}
			step := request(test.between.Name, strings.Join(test.between.Namespaces, " "))
			step.Share, step.Exact = true, false
			if _, err := Write(t.Context(), c, func(ctx context.Context) (*Prepared, error) { return Prepare(ctx, c, step) }, func(cluster.Change) {}); err != nil {
				t.Fatal(err)
			}
			for _, o := range apply(test.now) {
				if o.Err != nil {
					t.Errorf("after the step, %s: %v", o.Name, o.Err)
				}
			}
		})
	}
}
