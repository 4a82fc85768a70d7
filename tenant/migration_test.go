package tenant

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMigration(t *testing.T) {
	since := time.Date(2026, 11, 23, 12, 0, 30, 0, time.UTC)
	m := Migration{Phase: PhaseFrozen, Since: since, Engine: EngineTiller, Storage: StorageSecret, Replicas: 2, Backup: "team-a.yaml"}
	text, err := m.Annotation()
	if want := `{"phase":"frozen","since":"2026-11-23T12:00:30Z","engine":"tiller","storage":"secret","replicas":2,"backup":"team-a.yaml"}`; err != nil || text != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
	second, err := ParseMigration(text)
	if diff := cmp.Diff(m, second); err != nil || diff != "" {
		t.Errorf("read again: %v, -want +got:\n%s", err, diff)
	}
	for _, broken := range []string{"", "{", `{"phase":""}`, `{"phase":"flying"}`, `{"phase":1}`} {
		if m, err := ParseMigration(broken); err == nil {
			t.Errorf("%q is read as %+v", broken, m)
		}
	}
	for phase, want := range map[Phase]string{
		PhaseFrozen:    "being migrated to Helm 3 and 4 since 2026-11-23 12:00 UTC; its Tiller is stopped",
		PhaseConverted: "being migrated to Helm 3 and 4 since 2026-11-23 12:00 UTC; its Tiller is stopped",
		PhaseVerified:  "moved to Helm 3 and 4 since 2026-11-23 12:00 UTC; its Tiller is stopped, and kept until an admin finishes the migration",
		PhaseFinishing: "moved to Helm 3 and 4 since 2026-11-23 12:00 UTC; its Tiller is being removed",
		PhaseAborting:  "going back to Helm 2; its Tiller is about to start",
	} {
		m.Phase = phase
		if got := m.String(); got != want {
			t.Errorf("%s: %q", phase, got)
		}
	}
}

func TestReleasesOf(t *testing.T) {
	for _, test := range []struct {
		m            *Migration
		engine, want Engine
	}{
		{nil, EngineTiller, EngineTiller},
		{nil, EngineBoth, EngineBoth},
		{&Migration{Phase: PhaseFrozen, Engine: EngineTiller}, EngineTiller, EngineTiller},
		{&Migration{Phase: PhaseConverted, Engine: EngineTiller}, EngineBoth, EngineTiller},
		{&Migration{Phase: PhaseConverted, Engine: EngineBoth}, EngineBoth, EngineBoth},
		{&Migration{Phase: PhaseAborting, Engine: EngineTiller}, EngineBoth, EngineTiller},
		{&Migration{Phase: PhaseVerified, Engine: EngineTiller}, EngineBoth, EngineImpersonation},
		{&Migration{Phase: PhaseFinishing, Engine: EngineBoth}, EngineBoth, EngineImpersonation},
		{&Migration{Phase: PhaseFrozen, From: "kube-system"}, EngineTiller, EngineTiller},
	} {
		if got := test.m.ReleasesOf(test.engine); got != test.want {
			t.Errorf("%+v of %s: %s, want %s", test.m, test.engine, got, test.want)
		}
	}
}
