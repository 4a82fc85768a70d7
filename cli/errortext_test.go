package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

func TestPlainText(t *testing.T) {
	for _, test := range [][2]string{
		{`tenant "t": tenant "t" is frozen since today: INC-1`, `tenant "t" is frozen since today: INC-1`},
		{`Note: tenant t: tenant t is frozen`, `Note: tenant t is frozen`},
		{`in context "c": there is no tenant "t" in context "c"`, `in context "c": there is no tenant "t"`},
		{`destroy of tenant "t" in context "c": there is no tenant "t" in context "c"`, `destroy: there is no tenant "t" in context "c"`},
		{`grant for tenant "t" in the cluster of this pod: there is no tenant "t" in the cluster of this pod`, `grant: there is no tenant "t" in the cluster of this pod`},
		{`destroy of tenant "t" in context "c": namespace "h" is not the home of tenant "t" in context "c"`, `destroy in context "c": namespace "h" is not the home of tenant "t"`},
		{`destroy of tenant "t" in context "c": there is no tenant "s" in context "c"`, `destroy of tenant "t" in context "c": there is no tenant "s"`},
		{`destroy of tenant "t" in context "c": tenant "t" is frozen`, `destroy in context "c": tenant "t" is frozen`},
		{`destroy of tenant "t" in context "c": tenant "t2" is frozen`, `destroy of tenant "t" in context "c": tenant "t2" is frozen`},
		{`tenant "t": there is no tenant "t" in context "c"`, `there is no tenant "t" in context "c"`},
		{`apply in context "c": reading namespaces in context "c": forbidden`, `apply in context "c": reading namespaces: forbidden`},
		{`apply in context "c": reading namespaces in context "c2": forbidden`, `apply in context "c": reading namespaces in context "c2": forbidden`},
		{`the tenants of context "a b/c:d" can't be listed: listing configmaps in context "a b/c:d": no`, `the tenants of context "a b/c:d" can't be listed: listing configmaps: no`},
		{`the tenants of context "c" can't be listed: the API server of context "c" can't be reached: refused`, `the tenants can't be listed: the API server of context "c" can't be reached: refused`},
		{`init of tenant "t" in context "c": the API server of context "c" can't be reached: refused`, `init of tenant "t": the API server of context "c" can't be reached: refused`},
		{`audit of context "c": the API server of context "c" can't be reached`, `audit: the API server of context "c" can't be reached`},
		{`ConfigMap helm-tenant in namespace "h": ConfigMap helm-tenant in namespace "h" holds no tenant.yaml`, `ConfigMap helm-tenant in namespace "h" holds no tenant.yaml`},
		{`context "c": context "c" has no cluster`, `context "c" has no cluster`},
		{`revoke for tenant "t" in context "c": context "c": the certificate is gone`, `revoke for tenant "t" in context "c": the certificate is gone`},
		{`temporary: until: it is missing`, `temporary: until: it is missing`},
		{`a: a b`, `a: a b`}, // a word is no subject
		{`the Tiller in namespace "h" of context "c" does not answer: the API server of context "c" can't be reached`, `the Tiller in namespace "h" does not answer: the API server of context "c" can't be reached`},
		{`helm list: context deadline exceeded`, `helm list: it took too long`},
		{`helm list: signal: killed`, `helm list: it was killed`},
		{``, ``},
		// What is in quotes is somebody else's.
		{`user "context canceled" is no member: context canceled`, `user "context canceled" is no member: interrupted`},
		{`user "a b: a b c" is no member`, `user "a b: a b c" is no member`},
		{`user "x: i/o timeout" is no member`, `user "x: i/o timeout" is no member`},
		{`context "a: b": the API server of context "a: b" can't be reached`, `the API server of context "a: b" can't be reached`},
		{`context "c \"d: e": context "c \"d: e" has no cluster`, `context "c \"d: e" has no cluster`},
	} {
		if got := plainText(test[0]); got != test[1] {
			t.Errorf("%q:\ngot  %q\nwant %q", test[0], got, test[1])
		}
		if got := plainText(test[1]); got != test[1] {
			t.Errorf("%q is changed again, to %q", test[1], got)
		}
	}
}

// TestNothingIsSaidTwice prints errors of packages below with the heads of verbs.
func TestNothingIsSaidTwice(t *testing.T) {
	where := `context "gke_p_z/c"`
	record := tenant.Tenant{Name: "team-a", Namespaces: []string{"a"}}.WithDefaults()
	for _, cause := range []error{
		&admin.FrozenError{Name: "team-a", Frozen: tenant.Freeze{Reason: "INC-1", Since: "2026-01-01T00:00:00Z"}},
		&admin.NoTenantError{Name: "team-a", Where: where},
		&admin.NoTenantError{Name: "team-a", Home: "h", Where: where},
		&admin.LostRecordError{Name: "team-a", Home: "h", Namespaces: []string{"a"}},
		&admin.LostRecordError{Name: "team-a", Namespaces: []string{"a"}},
		&admin.MigratingError{Name: "team-a", Migration: tenant.Migration{Phase: tenant.PhaseVerified}},
		&admin.EngineError{Name: "team-a", From: tenant.EngineTiller},
		&admin.HasReleasesError{},
		&admin.UnreadableRecordError{Tenant: record, Err: errors.New("line 2")},
		&admin.TenantError{Name: "team-a", Err: &admin.FrozenError{Name: "team-a"}},
		&cluster.NotReadyError{Home: "h", Sentence: "pod p is starting", Err: context.DeadlineExceeded},
		fmt.Errorf("reading namespaces in %s: %w", where, io.ErrUnexpectedEOF),
		context.Canceled, context.DeadlineExceeded,
	} {
		for _, before := range []string{"", `tenant "team-a": `, "init of tenant \"team-a\" in " + where + ": ", "grant for tenant \"team-a\" in " + where + ": ", "apply in " + where + ": ", where + ": "} {
			var out bytes.Buffer
			report(&out, fmt.Errorf("%s%w", before, cause))
			line, _, _ := strings.Cut(out.String(), "\n")
			if strings.Count(line, where) > 1 || strings.Count(line, `tenant "team-a"`) > 1 {
				t.Errorf("%T after %q: %s", cause, before, line)
			}
			for _, word := range []string{"EOF", "context canceled", "deadline"} {
				if strings.Contains(line, word) {
					t.Errorf("%T after %q: %s", cause, before, line)
				}
			}
		}
	}
}
