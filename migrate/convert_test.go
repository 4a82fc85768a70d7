package migrate

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"helm.sh/helm/v3/pkg/chart"
	release3 "helm.sh/helm/v3/pkg/release"
	helmtime "helm.sh/helm/v3/pkg/time"
	chart2 "k8s.io/helm/pkg/proto/hapi/chart"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

// clock is a time with a fraction, and moments after it.
var clock = time.Date(2020, 11, 13, 10, 20, 30, 123456789, time.UTC)

func stamp(minutes int) *timestamppb.Timestamp {
	return timestamppb.New(clock.Add(time.Duration(minutes) * time.Minute))
}

func minute(minutes int) helmtime.Time {
	return helmtime.Time{Time: clock.Add(time.Duration(minutes) * time.Minute)}
}

const manifest = "\n---\n# Source: web/templates/web.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n---\n# Source: web/charts/db/templates/db.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \"web-<db>\"\n"

// full returns a release in which every field of Helm 2's is set.
func full() *release2.Release {
	return &release2.Release{
		Name: "web", Namespace: "a", Version: 3, Manifest: manifest,
		Info: &release2.Info{
			FirstDeployed: stamp(0), LastDeployed: stamp(1), Deleted: stamp(2), Description: "Upgrade complete",
			Status: &release2.Status{
				Code: release2.Status_DELETED, Resources: "==> v1/ConfigMap", Notes: "Thank you",
				LastTestSuiteRun: &release2.TestSuite{StartedAt: stamp(3), CompletedAt: stamp(4), Results: []*release2.TestRun{
					{Name: "web-test", Status: release2.TestRun_FAILURE, Info: "no answer", StartedAt: stamp(5), CompletedAt: stamp(6)},
				}},
			},
		},
		Config: &chart2.Config{Raw: "replicas: 2\nlist: [1, two, 3.5]\non: yes\n", Values: map[string]*chart2.Value{"unused": {Value: "x"}}},
		Chart: &chart2.Chart{
			Metadata: &chart2.Metadata{
				Name: "web", Home: "https://example.com", Sources: []string{"https://example.com/src"}, Version: "1.2.3", Description: "A web server",
				Keywords: []string{"web"}, Maintainers: []*chart2.Maintainer{{Name: "ann", Email: "ann@example.com", Url: "https://example.com/ann"}},
				Engine: "gotpl", Icon: "https://example.com/icon.png", ApiVersion: "v2", Condition: "web.enabled", Tags: "front", AppVersion: "1.27", Deprecated: true,
				TillerVersion: ">=2.10", Annotations: map[string]string{"note": "mine"}, KubeVersion: ">=1.10",
			},
			Templates:    []*chart2.Template{{Name: "templates/web.yaml", Data: []byte("kind: Deployment")}},
			Dependencies: []*chart2.Chart{{Metadata: &chart2.Metadata{Name: "db", Version: "0.1.0"}}},
			Values:       &chart2.Config{Raw: "replicas: 1\n", Values: map[string]*chart2.Value{"unused": {Value: "x"}}},
			Files: []*anypb.Any{
				{TypeUrl: "README.md", Value: []byte("# web\n\xff")},
				{TypeUrl: "values.schema.json", Value: []byte(`{"type": "object"}`)},
				{TypeUrl: "requirements.yaml", Value: []byte("dependencies:\n- {name: db, version: ~0.1, repository: 'https://example.com/charts', condition: db.enabled, tags: [back], import-values: [data]}\n")},
				{TypeUrl: "requirements.lock", Value: []byte("dependencies:\n- {name: db, version: 0.1.0, repository: 'https://example.com/charts'}\ndigest: sha256:abc\ngenerated: 2020-01-02T03:04:05.6Z\n")},
			},
		},
		Hooks: []*release2.Hook{
			{
				Name: "web-migrate", Kind: "Job", Path: "web/templates/job.yaml", Manifest: "kind: Job\n", LastRun: stamp(7), Weight: -5, DeleteTimeout: 60,
				Events:         []release2.Hook_Event{release2.Hook_PRE_INSTALL, release2.Hook_POST_INSTALL, release2.Hook_PRE_DELETE, release2.Hook_POST_DELETE, release2.Hook_PRE_UPGRADE, release2.Hook_POST_UPGRADE, release2.Hook_PRE_ROLLBACK, release2.Hook_POST_ROLLBACK},
				DeletePolicies: []release2.Hook_DeletePolicy{release2.Hook_SUCCEEDED, release2.Hook_FAILED, release2.Hook_BEFORE_HOOK_CREATION},
			},
			{Name: "web-test", Kind: "Pod", Path: "web/templates/test.yaml", Manifest: "kind: Pod\n", Events: []release2.Hook_Event{release2.Hook_RELEASE_TEST_SUCCESS, release2.Hook_RELEASE_TEST_FAILURE}},
			{Name: "webs.example.com", Kind: "CustomResourceDefinition", Path: "web/templates/crd.yaml", Manifest: "kind: CustomResourceDefinition\n", Events: []release2.Hook_Event{release2.Hook_CRD_INSTALL}},
			{Name: "web-broken", Kind: "Pod", Path: "web/templates/broken.yaml", Manifest: "kind: Pod\n", Events: []release2.Hook_Event{release2.Hook_RELEASE_TEST_FAILURE}},
		},
	}
}

// converted is what full becomes.
func converted() *release3.Release {
	return &release3.Release{
		Name: "web", Namespace: "a", Version: 3, Manifest: manifest,
		Info: &release3.Info{
			FirstDeployed: minute(0), LastDeployed: minute(1), Deleted: minute(2), Description: "Upgrade complete", Status: release3.StatusUninstalled, Notes: "Thank you",
		},
		Config: map[string]any{"replicas": 2.0, "list": []any{1.0, "two", 3.5}, "true": true}, // YAML 1.1
		Chart: &chart.Chart{
			Metadata: &chart.Metadata{
				Name: "web", Home: "https://example.com", Sources: []string{"https://example.com/src"}, Version: "1.2.3", Description: "A web server",
				Keywords: []string{"web"}, Maintainers: []*chart.Maintainer{{Name: "ann", Email: "ann@example.com", URL: "https://example.com/ann"}},
				Icon: "https://example.com/icon.png", APIVersion: "v2", Condition: "web.enabled", Tags: "front", AppVersion: "1.27", Deprecated: true,
				Annotations: map[string]string{"note": "mine"}, KubeVersion: ">=1.10",
				Dependencies: []*chart.Dependency{{Name: "db", Version: "~0.1", Repository: "https://example.com/charts", Condition: "db.enabled", Tags: []string{"back"}, ImportValues: []any{"data"}}},
			},
			Lock: &chart.Lock{Digest: "sha256:abc", Generated: time.Date(2020, 1, 2, 3, 4, 5, 600000000, time.UTC),
				Dependencies: []*chart.Dependency{{Name: "db", Version: "0.1.0", Repository: "https://example.com/charts"}}},
			Templates: []*chart.File{{Name: "templates/web.yaml", Data: []byte("kind: Deployment")}},
			Values:    map[string]any{"replicas": 1.0},
			Schema:    []byte(`{"type": "object"}`),
			Files: []*chart.File{
				{Name: "README.md", Data: []byte("# web\n\xff")},
				{Name: "requirements.yaml", Data: full().Chart.Files[2].Value},
				{Name: "requirements.lock", Data: full().Chart.Files[3].Value},
			},
		},
		Hooks: []*release3.Hook{
			{
				Name: "web-migrate", Kind: "Job", Path: "web/templates/job.yaml", Manifest: "kind: Job\n", Weight: -5,
				Events:         []release3.HookEvent{release3.HookPreInstall, release3.HookPostInstall, release3.HookPreDelete, release3.HookPostDelete, release3.HookPreUpgrade, release3.HookPostUpgrade, release3.HookPreRollback, release3.HookPostRollback},
				DeletePolicies: []release3.HookDeletePolicy{release3.HookSucceeded, release3.HookFailed, release3.HookBeforeHookCreation},
				LastRun:        release3.HookExecution{StartedAt: minute(7), CompletedAt: minute(7), Phase: release3.HookPhaseSucceeded},
			},
			{Name: "web-test", Kind: "Pod", Path: "web/templates/test.yaml", Manifest: "kind: Pod\n", Events: []release3.HookEvent{release3.HookTest},
				LastRun: release3.HookExecution{StartedAt: minute(5), CompletedAt: minute(6), Phase: release3.HookPhaseFailed}},
		},
	}
}

var unexported = cmpopts.IgnoreUnexported(chart.Chart{})

func TestConvert(t *testing.T) {
	got, err := convert(full())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(converted(), got, unexported); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// leftOut are the fields of Helm 2's release that no field of Helm 3's stands for.
var leftOut = map[string]string{
	"info.status.resources":                           "Helm 3 asks the cluster",
	"info.status.last_test_suite_run.started_at":      "each test has its own",
	"info.status.last_test_suite_run.completed_at":    "each test has its own",
	"info.status.last_test_suite_run.results[0].info": "the pod's own words",
	"config.values":           "Tiller reads raw only",
	"chart.values.values":     "Tiller reads raw only",
	"chart.metadata.engine":   "Helm 3 has one",
	"chart.dependencies":      "Helm 3 does not store subcharts",
	"hooks[0].delete_timeout": "Helm 3 waits for as long as the whole command may",
	"hooks[1].events[1]":      "test-failure",
	"hooks[2]":                "crd-install",
	"hooks[3]":                "test-failure",

	"chart.metadata.tillerVersion": "there is none",
}

// TestEveryField takes away or changes one field of Helm 2's after the other: each
// counts for what Helm 3 gets, or is left out on purpose.
func TestEveryField(t *testing.T) {
	text := func(r *release2.Release) string {
		got, err := convert(r)
		if err != nil {
			return "error: " + err.Error()
		}
		plain, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		return string(plain)
	}
	whole := text(full())
	seen := 0
	// visit calls do with a way to take each field away.
	var visit func(path string, message func(*release2.Release) protoreflect.Message)
	try := func(path string, take func(*release2.Release)) {
		seen++
		r := full()
		take(r)
		counts := text(r) != whole
		if _, left := leftOut[path]; counts == left {
			t.Errorf("%s: it counts for Helm 3: %v; it is listed as left out: %v", path, counts, left)
		}
	}
	visit = func(path string, message func(*release2.Release) protoreflect.Message) {
		message(full()).Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			name := strings.TrimPrefix(path+"."+string(field.Name()), ".")
			try(name, func(r *release2.Release) { message(r).Clear(field) })
			if _, left := leftOut[name]; left {
				return true
			}
			if field.IsList() {
				for i := range value.List().Len() {
					item := name + "[" + string(rune('0'+i)) + "]"
					try(item, func(r *release2.Release) {
						list := message(r).Mutable(field).List()
						for j := i; j+1 < list.Len(); j++ {
							list.Set(j, list.Get(j+1))
						}
						list.Truncate(list.Len() - 1)
					})
					if _, left := leftOut[item]; field.Kind() == protoreflect.MessageKind && !left {
						visit(item, func(r *release2.Release) protoreflect.Message { return message(r).Get(field).List().Get(i).Message() })
					}
				}
			} else if field.Kind() == protoreflect.MessageKind && !field.IsMap() {
				visit(name, func(r *release2.Release) protoreflect.Message { return message(r).Get(field).Message() })
			}
			return true
		})
	}
	visit("", func(r *release2.Release) protoreflect.Message { return protoadapt.MessageV2Of(r).ProtoReflect() })
	if want := 90; seen < want {
		t.Errorf("only %d fields were looked at", seen)
	}
	// And full is full.
	unset := map[string]bool{}
	var empty func(path string, m protoreflect.Message)
	empty = func(path string, m protoreflect.Message) {
		for i := range m.Descriptor().Fields().Len() {
			field := m.Descriptor().Fields().Get(i)
			name := strings.TrimPrefix(path+"."+string(field.Name()), ".")
			if !m.Has(field) {
				unset[name] = true
			} else if field.Kind() == protoreflect.MessageKind && !field.IsList() && !field.IsMap() {
				empty(name, m.Get(field).Message())
			}
		}
	}
	empty("", protoadapt.MessageV2Of(full()).ProtoReflect())
	if len(unset) > 0 {
		t.Errorf("not set in the release that is converted: %v", slices.Sorted(maps.Keys(unset)))
	}
}

func TestConvertStatuses(t *testing.T) {
	var got []release3.Status
	for code := range int32(len(release2.Status_Code_name)) {
		r := full()
		r.Info.Status.Code = release2.Status_Code(code)
		converted, err := convert(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, converted.Info.Status)
	}
	want := []release3.Status{"unknown", "deployed", "uninstalled", "superseded", "failed", "uninstalling", "pending-install", "pending-upgrade", "pending-rollback"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestConvertOddities(t *testing.T) {
	for _, test := range []struct {
		name  string
		odd   func(*release2.Release)
		want  func(*release3.Release)
		wrong string
	}{
		{"a chart from before apiVersion", func(r *release2.Release) { r.Chart.Metadata.ApiVersion = "" }, func(*release3.Release) {}, ""},
		{"no values given", func(r *release2.Release) { r.Config = nil }, func(r *release3.Release) { r.Config = nil }, ""},
		{"values of comments only", func(r *release2.Release) { r.Config.Raw = "# none\n" }, func(r *release3.Release) { r.Config = map[string]any{} }, ""},
		{"values that are null", func(r *release2.Release) { r.Config.Raw = "null\n" }, func(r *release3.Release) { r.Config = map[string]any{} }, ""},
		{"a chart without values", func(r *release2.Release) { r.Chart.Values = nil }, func(r *release3.Release) { r.Chart.Values = nil }, ""},
		{"a broken lock", func(r *release2.Release) { r.Chart.Files[3].Value = []byte("generated: yesterday\n") },
			func(r *release3.Release) {
				r.Chart.Lock = nil
				r.Chart.Files[2].Data = []byte("generated: yesterday\n")
			}, ""},
		{"broken requirements", func(r *release2.Release) { r.Chart.Files[2].Value = []byte("dependencies: db\n") },
			func(r *release3.Release) {
				r.Chart.Metadata.Dependencies = nil
				r.Chart.Files[1].Data = []byte("dependencies: db\n")
			}, ""},
		{"requirements with an empty item", func(r *release2.Release) {
			r.Chart.Files[2].Value = []byte("dependencies:\n-\n- {name: db}\n")
		}, func(r *release3.Release) {
			r.Chart.Metadata.Dependencies = []*chart.Dependency{{Name: "db"}}
			r.Chart.Files[1].Data = []byte("dependencies:\n-\n- {name: db}\n")
		}, ""},
		{"a hook with an event of each kind", func(r *release2.Release) {
			r.Hooks[0].Events = append(r.Hooks[0].Events, release2.Hook_CRD_INSTALL)
		}, func(*release3.Release) {}, ""},
		{"a hook that never ran", func(r *release2.Release) { r.Hooks[0].LastRun = nil }, func(r *release3.Release) { r.Hooks[0].LastRun = release3.HookExecution{} }, ""},
		{"no times", func(r *release2.Release) { r.Info.FirstDeployed, r.Info.LastDeployed, r.Info.Deleted = nil, nil, nil },
			func(r *release3.Release) {
				r.Info.FirstDeployed, r.Info.LastDeployed, r.Info.Deleted = helmtime.Time{}, helmtime.Time{}, helmtime.Time{}
			}, ""},

		{"values that are no YAML", func(r *release2.Release) { r.Config.Raw = "a: [" }, nil, "its values: "},
		{"values that are a list", func(r *release2.Release) { r.Config.Raw = "- a" }, nil, "its values: "},
		{"chart values that are no YAML", func(r *release2.Release) { r.Chart.Values.Raw = "\t" }, nil, "the values of its chart: "},
		{"no chart", func(r *release2.Release) { r.Chart = nil }, nil, "it has no chart"},
		{"an unknown status", func(r *release2.Release) { r.Info.Status.Code = 99 }, nil, "its status 99 is none of Helm 2's"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := full()
			test.odd(r)
			before := proto.Clone(protoadapt.MessageV2Of(r))
			got, err := convert(r)
			if test.wrong != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.wrong) {
					t.Errorf("it says %v, not %q", err, test.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := converted()
			test.want(want)
			if test.name == "a chart from before apiVersion" {
				want.Chart.Metadata.APIVersion = "v1"
			}
			if diff := cmp.Diff(want, got, unexported); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !proto.Equal(before, protoadapt.MessageV2Of(r)) {
				t.Error("what was converted has changed")
			}
		})
	}
}
