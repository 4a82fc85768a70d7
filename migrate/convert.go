// Package migrate converts the releases of a Tiller into those of Helm 3 and 4, and
// reports which can't be converted, and why. It reads and writes no cluster.
//
// It uses Helm 3's own types of releases (helm.sh/helm/v3).
package migrate

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"
	"helm.sh/helm/v3/pkg/chart"
	release3 "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/time"
	chart2 "k8s.io/helm/pkg/proto/hapi/chart"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
	"sigs.k8s.io/yaml"
)

// convert returns a revision of Helm 2 in the form of Helm 3. The manifest stays byte for
// byte. What Helm 3 has no place for is left out: hooks for events that it does not know
// (crd-install, test-failure), timeouts of hooks' deletion, the chart's engine and Tiller
// version, and the subcharts themselves, which Helm 3 does not store either. An error
// means that values or the status can't be read.
func convert(old *release2.Release) (*release3.Release, error) {
	status, err := statusOf(old.GetInfo().GetStatus().GetCode())
	if err != nil {
		return nil, err
	}
	converted, err := convertChart(old.GetChart())
	if err != nil {
		return nil, err
	}
	values, err := valuesOf(old.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("its values: %w", err)
	}
	info := old.GetInfo()
	r := &release3.Release{
		Name: old.GetName(), Namespace: old.GetNamespace(), Version: int(old.GetVersion()),
		Chart: converted, Config: values, Manifest: old.GetManifest(),
		Info: &release3.Info{
			FirstDeployed: timeOf(info.GetFirstDeployed()),
			LastDeployed:  timeOf(info.GetLastDeployed()),
			Deleted:       timeOf(info.GetDeleted()),
			Description:   info.GetDescription(),
			Status:        status,
			Notes:         info.GetStatus().GetNotes(),
		},
	}
	for _, hook := range old.GetHooks() {
		if h := convertHook(hook, info.GetStatus().GetLastTestSuiteRun()); h != nil {
			r.Hooks = append(r.Hooks, h)
		}
	}
	return r, nil
}

// statuses are Helm 3's statuses for those of Helm 2 (hapi/release/status.proto).
var statuses = map[release2.Status_Code]release3.Status{
	release2.Status_UNKNOWN:          release3.StatusUnknown,
	release2.Status_DEPLOYED:         release3.StatusDeployed,
	release2.Status_DELETED:          release3.StatusUninstalled,
	release2.Status_SUPERSEDED:       release3.StatusSuperseded,
	release2.Status_FAILED:           release3.StatusFailed,
	release2.Status_DELETING:         release3.StatusUninstalling,
	release2.Status_PENDING_INSTALL:  release3.StatusPendingInstall,
	release2.Status_PENDING_UPGRADE:  release3.StatusPendingUpgrade,
	release2.Status_PENDING_ROLLBACK: release3.StatusPendingRollback,
}

func statusOf(code release2.Status_Code) (release3.Status, error) {
	status, known := statuses[code]
	if !known {
		return "", fmt.Errorf("its status %d is none of Helm 2's", code)
	}
	return status, nil
}

// timeOf returns the zero time for a missing timestamp.
func timeOf(stamp *timestamppb.Timestamp) time.Time {
	if stamp == nil {
		return time.Time{}
	}
	return time.Time{Time: stamp.AsTime()}
}

// valuesOf parses values as Helm 3 reads a values file (chartutil.ReadValues); nil if there are
// none.
func valuesOf(config *chart2.Config) (map[string]any, error) {
	if config == nil {
		return nil, nil
	}
	values := map[string]any{}
	err := yaml.Unmarshal([]byte(config.GetRaw()), &values)
	if values == nil {
		values = map[string]any{} // "null", or only comments
	}
	return values, err
}

// convertChart returns the chart that Helm 3 loads from the same files
// (helm.sh/helm/v3/pkg/chart/loader).
func convertChart(old *chart2.Chart) (*chart.Chart, error) {
	if old == nil {
		return nil, fmt.Errorf("it has no chart")
	}
	c := &chart.Chart{Metadata: convertMetadata(old.GetMetadata())}
	var err error
	if c.Values, err = valuesOf(old.GetValues()); err != nil {
		return nil, fmt.Errorf("the values of its chart: %w", err)
	}
	for _, template := range old.GetTemplates() {
		c.Templates = append(c.Templates, &chart.File{Name: template.GetName(), Data: template.GetData()})
	}
	for _, file := range old.GetFiles() {
		name, data := file.GetTypeUrl(), file.GetValue()
		switch name {
		case "values.schema.json":
			c.Schema = data
			continue
		// If these can't be read they stay among the files, as in Helm 2: that must not
		// keep a release from moving.
		case "requirements.yaml":
			var requirements struct{ Dependencies []*chart.Dependency }
			if yaml.Unmarshal(data, &requirements) == nil {
				c.Metadata.Dependencies = named(requirements.Dependencies)
			}
		case "requirements.lock":
			var lock chart.Lock
			if yaml.Unmarshal(data, &lock) == nil {
				lock.Dependencies = named(lock.Dependencies)
				c.Lock = &lock
			}
		}
		c.Files = append(c.Files, &chart.File{Name: name, Data: data})
	}
	return c, nil
}

// named leaves out empty items of a list: Helm 3 reads the name of each.
func named(dependencies []*chart.Dependency) []*chart.Dependency {
	return slices.DeleteFunc(dependencies, func(d *chart.Dependency) bool { return d == nil })
}

func convertMetadata(old *chart2.Metadata) *chart.Metadata {
	m := &chart.Metadata{
		Name: old.GetName(), Home: old.GetHome(), Sources: old.GetSources(), Version: old.GetVersion(),
		Description: old.GetDescription(), Keywords: old.GetKeywords(), Icon: old.GetIcon(), APIVersion: old.GetApiVersion(),
		Condition: old.GetCondition(), Tags: old.GetTags(), AppVersion: old.GetAppVersion(), Deprecated: old.GetDeprecated(),
		Annotations: old.GetAnnotations(), KubeVersion: old.GetKubeVersion(),
	}
	if m.APIVersion == "" {
		m.APIVersion = chart.APIVersionV1
	}
	for _, person := range old.GetMaintainers() {
		m.Maintainers = append(m.Maintainers, &chart.Maintainer{Name: person.GetName(), Email: person.GetEmail(), URL: person.GetUrl()})
	}
	return m
}

// events are Helm 3's events for those of Helm 2 that it has
// (helm.sh/helm/v3/pkg/releaseutil, manifest_sorter.go).
var events = map[release2.Hook_Event]release3.HookEvent{
	release2.Hook_PRE_INSTALL:          release3.HookPreInstall,
	release2.Hook_POST_INSTALL:         release3.HookPostInstall,
	release2.Hook_PRE_DELETE:           release3.HookPreDelete,
	release2.Hook_POST_DELETE:          release3.HookPostDelete,
	release2.Hook_PRE_UPGRADE:          release3.HookPreUpgrade,
	release2.Hook_POST_UPGRADE:         release3.HookPostUpgrade,
	release2.Hook_PRE_ROLLBACK:         release3.HookPreRollback,
	release2.Hook_POST_ROLLBACK:        release3.HookPostRollback,
	release2.Hook_RELEASE_TEST_SUCCESS: release3.HookTest,
}

var deletePolicies = map[release2.Hook_DeletePolicy]release3.HookDeletePolicy{
	release2.Hook_SUCCEEDED:            release3.HookSucceeded,
	release2.Hook_FAILED:               release3.HookFailed,
	release2.Hook_BEFORE_HOOK_CREATION: release3.HookBeforeHookCreation,
}

// convertHook returns nil for a hook without an event of Helm 3.
func convertHook(old *release2.Hook, tests *release2.TestSuite) *release3.Hook {
	h := &release3.Hook{
		Name: old.GetName(), Kind: old.GetKind(), Path: old.GetPath(), Manifest: old.GetManifest(), Weight: int(old.GetWeight()),
	}
	for _, event := range old.GetEvents() {
		if converted, known := events[event]; known && !slices.Contains(h.Events, converted) {
			h.Events = append(h.Events, converted)
		}
	}
	if len(h.Events) == 0 {
		return nil
	}
	for _, policy := range old.GetDeletePolicies() {
		if converted, known := deletePolicies[policy]; known {
			h.DeletePolicies = append(h.DeletePolicies, converted)
		}
	}
	// Tiller sets the time when all hooks of an event have succeeded
	// (k8s.io/helm/pkg/tiller, execHook). Results of tests are in the status.
	if ran := timeOf(old.GetLastRun()); !ran.IsZero() {
		h.LastRun = release3.HookExecution{StartedAt: ran, CompletedAt: ran, Phase: release3.HookPhaseSucceeded}
	}
	for _, run := range tests.GetResults() {
		if run.GetName() == h.Name && slices.Contains(h.Events, release3.HookTest) {
			h.LastRun = release3.HookExecution{StartedAt: timeOf(run.GetStartedAt()), CompletedAt: timeOf(run.GetCompletedAt()), Phase: phases[run.GetStatus()]}
		}
	}
	return h
}

var phases = map[release2.TestRun_Status]release3.HookPhase{
	release2.TestRun_UNKNOWN: release3.HookPhaseUnknown,
	release2.TestRun_SUCCESS: release3.HookPhaseSucceeded,
	release2.TestRun_FAILURE: release3.HookPhaseFailed,
	release2.TestRun_RUNNING: release3.HookPhaseRunning,
}
