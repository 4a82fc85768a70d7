package rails

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/tenant"
)

// written returns a namespace as a released version left it; see testdata/formats/README.md.
func written(t *testing.T, name string) *corev1.Namespace {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "formats", name))
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{}
	if err := json.Unmarshal(text, namespace); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return namespace
}

func recorded(t *testing.T, file string) tenant.Tenant {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "tenant", "testdata", "formats", file))
	if err != nil {
		t.Fatal(err)
	}
	team, err := tenant.ReadRecord(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return team.WithDefaults()
}

// TestFormats: a released version's annotations and record of a namespace are read as this
// version would write them, and removing the tenant restores the namespace's earlier state.
func TestFormats(t *testing.T) {
	for _, test := range []struct{ namespace, record, before string }{
		{"namespace-2.json", "record-2-guard-rails.yaml", "baseline"},
		{"namespace-3-frozen.json", "record-3-frozen.yaml", ""},
	} {
		team, live := recorded(t, test.record), written(t, test.namespace)
		labels, annotations, err := NamespaceMeta(team, live.Name, live)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(live.Labels, Changed(live.Labels, labels)); diff != "" {
			t.Errorf("%s: the labels change, -was +is:\n%s", test.namespace, diff)
		}
		if diff := cmp.Diff(live.Annotations, Changed(live.Annotations, annotations)); diff != "" {
			t.Errorf("%s: the annotations change, -was +is:\n%s", test.namespace, diff)
		}
		if labels, annotations, err = WithoutTenant(team.Name, live); err != nil {
			t.Fatal(err)
		}
		left := Changed(live.Labels, labels)
		if left[LabelEnforce] != test.before || left["cost-center"] != "" || left[LabelGuard] != "" || left[LabelFrozen] != "" {
			t.Errorf("%s: without the tenant its labels are %v", test.namespace, left)
		}
		for key := range Changed(live.Annotations, annotations) {
			if IsAnnotation(key) {
				t.Errorf("%s: without the tenant the annotation %s stays", test.namespace, key)
			}
		}
	}
}

// TestNewerFormat: settings that a newer version wrote for one tenant of a namespace stay when
// this version changes another tenant's, and the known ones count.
func TestNewerFormat(t *testing.T) {
	live := written(t, "namespace-newer.json")
	mine := recorded(t, "record-2-guard-rails.yaml")
	mine.Name, mine.Labels, mine.Guard = "team-b", nil, tenant.GuardEnforce
	labels, annotations, err := NamespaceMeta(mine, live.Name, live)
	if err != nil {
		t.Fatal(err)
	}
	after := Changed(live.Annotations, annotations)
	if key := claimPrefix + "team-a"; after[key] != live.Annotations[key] || !strings.Contains(after[key], "fieldToCome") {
		t.Errorf("the other tenant's claim is %q", after[key])
	}
	if got := Changed(live.Labels, labels); got[LabelGuard] != string(tenant.GuardEnforce) || got[LabelEnforce] != string(tenant.PodSecurityRestricted) {
		t.Errorf("labels are %v", got)
	}
}
