package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/tenant"
)

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
		failure.OfTenant("team-a").Wrap(&admin.FrozenError{Name: "team-a"}),
		&cluster.NotReadyError{Home: "h", Sentence: "pod p is starting", Err: context.DeadlineExceeded},
		failure.In("reading namespaces", where).Wrap(io.ErrUnexpectedEOF),
		context.Canceled, context.DeadlineExceeded,
	} {
		grant := failure.Of("grant", "team-a", where)
		grant.Tenant.Preposition = "for"
		for _, operation := range []failure.Error{{}, failure.OfTenant("team-a"), failure.Of("init", "team-a", where), grant, failure.In("apply", where), failure.In("", where)} {
			var out bytes.Buffer
			report(&out, operation.Wrap(cause))
			line, _, _ := strings.Cut(out.String(), "\n")
			if strings.Count(line, where) > 1 || strings.Count(line, `tenant "team-a"`) > 1 {
				t.Errorf("%T after %q: %s", cause, operation.Operation, line)
			}
			for _, word := range []string{"EOF", "context canceled", "deadline"} {
				if strings.Contains(line, word) {
					t.Errorf("%T after %q: %s", cause, operation.Operation, line)
				}
			}
		}
	}
}
