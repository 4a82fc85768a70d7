package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// TestAwaitEnforced: it ends when the condition is met, at an error, and when the time is up.
func TestAwaitEnforced(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		look     func(try int) (bool, error)
		patience time.Duration
		want     error
	}{
		"at the third look": {func(try int) (bool, error) { return try == 3, nil }, time.Hour, nil},
		"an error":          {func(int) (bool, error) { return false, broken }, time.Hour, broken},
		"never":             {func(int) (bool, error) { return false, nil }, time.Second / 10, errNotEnforced},
	} {
		t.Run(name, func(t *testing.T) {
			try := 0
			err := awaitEnforced(t.Context(), c.patience, func(context.Context) (bool, error) {
				try++
				return c.look(try)
			})
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || try != 3) {
				t.Errorf("after %d looks: %v", try, err)
			}
		})
	}
}

// TestAwaitRights: a grant and a revoke are in force a moment after they are written. One subject
// of each relation is asked about, and nobody who has another way.
func TestAwaitRights(t *testing.T) {
	both := tenant.Tenant{Name: "t", Engine: tenant.EngineBoth}.WithDefaults()
	tiller := tenant.Tenant{Name: "t", Engine: tenant.EngineTiller}.WithDefaults()
	everything := map[tenant.Relation]tenant.Members{
		tenant.RelationMember: {tenant.User("ann"), tenant.User("bob")},
		tenant.RelationReader: {tenant.Group("devs")},
		tenant.RelationOwner:  {tenant.Account("ci", "bot")},
	}
	members := map[tenant.Relation]tenant.Members{tenant.RelationMember: {tenant.User("ann"), tenant.User("bob")}}
	for name, c := range map[string]struct {
		change  Membership
		granted bool
		another []string
		want    []string
	}{
		"granted": {Membership{Tenant: both, Changed: everything}, true, nil, []string{
			"ann impersonate serviceaccounts", "ann impersonate serviceaccounts", "devs impersonate serviceaccounts", "system:serviceaccount:ci:bot update rolebindings"}},
		"revoked":                      {Membership{Tenant: tiller, Changed: members}, false, nil, []string{"ann create pods", "ann create pods"}},
		"revoked, one has another way": {Membership{Tenant: tiller, Changed: members}, false, []string{"user ann"}, []string{"bob create pods", "bob create pods"}},
		"revoked, all have":            {Membership{Tenant: tiller, Changed: members}, false, []string{"user ann", "user bob"}, nil},
		"nothing changed":              {Membership{Tenant: tiller}, false, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := empty().start(t)
			var asked []string
			server.AnotherMay = func(who, permission string) bool {
				asked = append(asked, who+" "+permission)
				return (len(asked) > 1) == c.granted // the first answer is one of before the change
			}
			var err error
			if c.granted {
				err = AwaitGranted(t.Context(), client, c.change)
			} else {
				err = AwaitRevoked(t.Context(), client, c.change, func(s tenant.Subject) bool { return slices.Contains(c.another, s.String()) })
			}
			if err != nil || !slices.Equal(asked, c.want) {
				t.Errorf("%v; asked %q, not %q", err, asked, c.want)
			}
		})
	}
	_, client := empty().start(t) // an owner may not ask
	if err := AwaitRevoked(t.Context(), client, Membership{Tenant: tiller, Changed: members}, func(tenant.Subject) bool { return false }); err != nil {
		t.Error(err)
	}
}

// TestAwaitFreeze: it waits for each namespace, and for the rights of a deployer that is as new as
// the freeze; and so does a thaw.
func TestAwaitFreeze(t *testing.T) {
	frozen := tenant.Tenant{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineImpersonation,
		Frozen: &tenant.Freeze{Reason: "x", Means: tenant.FreezeByPolicy}}.WithDefaults()
	byRole, thawed := frozen, frozen
	byRole.Frozen, thawed.Frozen = &tenant.Freeze{Reason: "x", Means: tenant.FreezeByRole}, nil
	namespace := func(name, label string) *corev1.Namespace {
		return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{rails.LabelFrozen: label}}}
	}
	binding := func(namespace, role string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "helm-tenant.t"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: frozen.Home(), Name: tenant.HelmAccount}}}
	}
	for name, c := range map[string]struct {
		tenant        tenant.Tenant
		before, after []any // of namespace b: its label, its role
	}{
		"a namespace is late":   {frozen, []any{"false", "admin"}, []any{"true", "admin"}},
		"a new deployer":        {frozen, []any{"true", ""}, []any{"true", "admin"}},
		"by role":               {byRole, []any{"false", "admin"}, []any{"false", "view"}},
		"a thaw":                {thawed, []any{"true", "admin"}, []any{"false", "admin"}},
		"a thaw, of the role":   {thawed, []any{"false", "view"}, []any{"false", "admin"}},
		"nothing has to happen": {frozen, []any{"true", "admin"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			label, role := "false", "admin"
			switch {
			case c.tenant.FrozenBy(tenant.FreezeByPolicy):
				label = "true"
			case c.tenant.Frozen != nil:
				role = "view"
			}
			server, client := empty().start(t)
			set := func(state []any) {
				server.Put(namespace("b", state[0].(string)))
				if state[1] != "" {
					server.Put(binding("b", state[1].(string)))
				}
			}
			server.Put(namespace("a", label), binding("a", role))
			set(c.before)
			ended := make(chan error, 1)
			go func() { ended <- AwaitFreeze(t.Context(), client, c.tenant) }()
			if c.after != nil {
				select {
				case err := <-ended:
					t.Fatalf("it did not wait: %v", err)
				case <-time.After(time.Second / 10):
				}
				set(c.after)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAwaitFreezeWithoutImpersonation: that the caller may not act as the deployer is no sign of a
// freeze, in whichever words the API server says it.
func TestAwaitFreezeWithoutImpersonation(t *testing.T) {
	byPolicy := tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Engine: tenant.EngineImpersonation, Frozen: &tenant.Freeze{Reason: "x", Means: tenant.FreezeByPolicy}}.WithDefaults()
	byRole, thawed := byPolicy, byPolicy
	byRole.Frozen, thawed.Frozen = &tenant.Freeze{Reason: "x", Means: tenant.FreezeByRole}, nil
	for name, c := range map[string]struct {
		tenant  tenant.Tenant
		mayAsk  bool
		problem string
	}{
		"by policy":                   {byPolicy, true, "you may not impersonate system:serviceaccount:t-helm:helm"},
		"by role":                     {byRole, true, ""},
		"by role, who may not ask":    {byRole, false, "you may neither impersonate system:serviceaccount:t-helm:helm"},
		"a thaw, of whatever it ends": {thawed, true, "you may not impersonate system:serviceaccount:t-helm:helm"},
	} {
		for resource, verb := range map[string]string{"serviceaccounts": "impersonate", "configmaps": "impersonate-on:serviceaccount:create"} {
			server, client := empty().start(t)
			server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
				if r.Verb != "dry-run" {
					return nil
				}
				return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", fmt.Errorf("User %q cannot %s resource %q", "u", verb, resource))
			}
			asked := 0
			if c.mayAsk {
				server.AnotherMay = func(who, permission string) bool {
					if asked++; who != "system:serviceaccount:t-helm:helm" || permission != "create configmaps" {
						t.Errorf("asked whether %s may %s", who, permission)
					}
					return asked < 3
				}
			}
			err := AwaitFreeze(t.Context(), client, c.tenant)
			if c.problem == "" && (err != nil || asked != 3) || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
				t.Errorf("%s, refused to %s: %v, asked %d times", name, verb, err, asked)
			}
		}
	}
}

// TestAwaitInForce: an init waits for its members' rights, its deployer's in each namespace, and
// the guard.
func TestAwaitInForce(t *testing.T) {
	server, client := empty().start(t)
	prepared := write(t, client, asked(func(r *Request) {
		r.Tenant.Members = tenant.Members{tenant.User("ann")}
	}))
	var questions []string
	server.AnotherMay = func(who, permission string) bool {
		questions = append(questions, who+" "+permission)
		return len(questions) != 1
	}
	if err := AwaitInForce(t.Context(), client, prepared); err != nil {
		t.Fatal(err)
	}
	if len(questions) < 3 || questions[0] != questions[1] || !strings.HasPrefix(questions[0], "ann ") || !strings.HasPrefix(questions[2], "system:serviceaccount:") {
		t.Errorf("it asked %q", questions)
	}
	prepared.Wrote = false
	questions = nil
	if err := AwaitInForce(t.Context(), client, prepared); err != nil || questions != nil {
		t.Errorf("nothing was written: %v, %q", err, questions)
	}
}

// TestAwaitInForceOfTiller: an init of a Tiller waits until it can write nothing but records in
// its home; that of a tenant of all namespaces may write anything.
func TestAwaitInForceOfTiller(t *testing.T) {
	for name, test := range map[string]struct {
		request Request
		tries   []string
	}{
		"Secrets":        {asked(engine(tenant.EngineTiller)), []string{"Secret", "Secret", "Secret"}},
		"ConfigMaps":     {asked(engine(tenant.EngineTiller), storage(tenant.StorageConfigMap)), []string{"ConfigMap", "ConfigMap", "ConfigMap"}},
		"both engines":   {asked(engine(tenant.EngineBoth)), []string{"Secret", "Secret", "Secret"}},
		"Helm 3":         {asked(engine(tenant.EngineImpersonation)), nil},
		"all namespaces": {asked(engine(tenant.EngineTiller), everywhere, accept(RiskClusterWide)), nil},
	} {
		server, client := empty().start(t)
		prepared := write(t, client, test.request)
		server.AnotherMay = func(_, _ string) bool { return true }
		asks := 0
		server.Enforced = func(policy string) bool {
			if policy != install.AdmissionName {
				t.Errorf("%s: it tries policy %s", name, policy)
			}
			asks++
			return asks == 3
		}
		var tries []string
		server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
			if r.Verb == "dry-run" && r.Namespace == prepared.Tenant.Home() {
				tries = append(tries, r.Kind)
			}
			return nil
		}
		if err := AwaitInForce(t.Context(), client, prepared); err != nil {
			t.Fatal(err)
		}
		if asks != len(test.tries) || !slices.Equal(tries, test.tries) {
			t.Errorf("%s: it asked %d times whether the policy of records is enforced, and tried %v", name, asks, tries)
		}
	}
}

// TestDestroyAwaitsRights: the records are read and removed when the deployer can write no more.
func TestDestroyAwaitsRights(t *testing.T) {
	server, c := withReleases(t)
	d, _ := destroying(t, c)
	d.KeepReleases = true
	asked := 0
	server.AnotherMay = func(_, _ string) bool {
		asked++
		if home := server.Get(cluster.Key{Kind: "Namespace", Name: "t-tiller"}); home == nil {
			t.Error("the home is gone while the deployer can still write in it")
		}
		return asked < 4
	}
	if _, err := d.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked < 4 {
		t.Errorf("it asked %d times whether the deployer can still write", asked)
	}
}
