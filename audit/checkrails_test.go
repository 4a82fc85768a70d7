package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"helm-tenant/rails"
	"helm-tenant/tenant"
)

func TestCompareRails(t *testing.T) {
	current := tenant.Rails{PodSecurity: "baseline", Guard: "enforce", Network: "isolated", AllowFrom: []string{"10.0.0.0/8"}, Hosts: []string{"a.org"}}
	for _, test := range []struct {
		name          string
		file, current tenant.Rails
		want          []string
	}{
		{"a record of before and a silent file", tenant.Rails{}, tenant.RailsOfBefore(), nil},
		{"silence loosens no level", tenant.Rails{Network: "isolated", AllowFrom: []string{"10.0.0.0/8"}, Hosts: []string{"a.org"}}, current, nil},
		{"what silence takes away", tenant.Rails{}, current, []string{"network", "allowFrom", "hosts"}},
		{"other values", tenant.Rails{PodSecurity: "restricted", Guard: "off", Network: "isolated", AllowFrom: []string{"10.0.0.0/8"}, Hosts: []string{"a.org"}, Quota: map[string]string{"pods": "1"}}, current,
			[]string{"podSecurity", "guard", "quota"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			compareRails(test.file, test.current, func(subject, _ string, _ ...any) { got = append(got, subject) })
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestLooseRails: findings about a tenant with a loose record or loose namespaces.
func TestLooseRails(t *testing.T) {
	labels := func(pairs ...string) map[string]string {
		out := map[string]string{tenant.LabelTenant: "t"}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	held := tenant.NewRails(false)
	held.Hosts = []string{"*.a.org"}
	const enforce, guard = "pod-security.kubernetes.io/enforce", "helm-tenant/guard"
	for _, test := range []struct {
		name   string
		rails  tenant.Rails
		labels map[string]string
		want   []string
	}{
		{"of before", tenant.RailsOfBefore(), labels(), []string{idLoosePods, idNoGuard}},
		{"of before, where an admin set the label", tenant.RailsOfBefore(), labels(enforce, "restricted"), []string{idNoGuard}},
		{"as init makes it", tenant.NewRails(false), labels(enforce, "baseline", guard, "enforce"), nil},
		{"a level taken away", tenant.NewRails(false), labels(guard, "enforce"), []string{idLoosened}},
		{"a looser level", tenant.NewRails(false), labels(enforce, "privileged", guard, "enforce"), []string{idLoosened}},
		{"a looser guard", tenant.NewRails(false), labels(enforce, "restricted", guard, "warn"), []string{idLoosened}},
		{"a guard that warns", tenant.Rails{PodSecurity: "baseline", Guard: "warn"}, labels(enforce, "baseline", guard, "warn"), []string{idNoGuard}},
		{"an annotation less", held, labels(enforce, "baseline", guard, "enforce", "-", "guard.helm-tenant/hosts"), []string{idLoosened}},
		{"an annotation changed", held, labels(enforce, "baseline", guard, "enforce", "+", "guard.helm-tenant/hosts"), []string{idLoosened}},
		{"an annotation more", tenant.NewRails(false), labels(enforce, "baseline", guard, "enforce", "+", "guard.helm-tenant/priority-classes"), []string{idLoosened}},
		{"no isolation", tenant.Rails{PodSecurity: "baseline", Guard: "enforce", Network: "isolated"}, labels(enforce, "baseline", guard, "enforce"), []string{idLoosened}},
	} {
		t.Run(test.name, func(t *testing.T) {
			team := tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Engine: tenant.EngineImpersonation, Rails: test.rails}.WithDefaults()
			_, annotations, err := rails.NamespaceMeta(team, "a", nil)
			if err != nil {
				t.Fatal(err)
			}
			delete(annotations, test.labels["-"])
			if key := test.labels["+"]; key != "" {
				annotations[key] = "x"
			}
			delete(test.labels, "-")
			delete(test.labels, "+")
			report := Audit(&Snapshot{
				Namespaces: []Namespace{{Name: "a", Labels: test.labels, Annotations: rails.Changed(nil, annotations)}},
				Records:    []Record{{Namespace: "t-helm", Tenant: team}},
			}, Options{})
			var got []string
			for _, f := range report.Findings {
				if f.ID == idLoosePods || f.ID == idNoGuard || f.ID == idLoosened {
					got = append(got, f.ID)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestUnlimited: a namespace whose quota or limits are missing, or others than the record
// says, is reported; looser labels stay high.
func TestUnlimited(t *testing.T) {
	held := tenant.NewRails(false)
	held.Quota, held.Limits = map[string]string{"pods": "9", "requests.cpu": "2000m"}, &tenant.Limits{Max: map[string]string{"memory": "1Gi"}}
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		want   []string
	}{
		{"as init makes them", func(*Snapshot) {}, nil},
		{"no quota", func(s *Snapshot) { s.Limits = s.Limits[1:] }, []string{"HT072 medium"}},
		{"no limits", func(s *Snapshot) { s.Limits = s.Limits[:1] }, []string{"HT072 medium"}},
		{"a larger quota", func(s *Snapshot) { s.Limits[0].Quota.Hard["pods"] = resource.MustParse("900") }, []string{"HT072 medium"}},
		{"a part of the quota is gone", func(s *Snapshot) { delete(s.Limits[0].Quota.Hard, "pods") }, []string{"HT072 medium"}},
		{"a scope that leaves pods out", func(s *Snapshot) { s.Limits[0].Quota.Scopes = []corev1.ResourceQuotaScope{"Terminating"} }, []string{"HT072 medium"}},
		{"other limits", func(s *Snapshot) { s.Limits[1].Range.Limits[0].Type = corev1.LimitTypePod }, []string{"HT072 medium"}},
		{"the quota of another namespace", func(s *Snapshot) { s.Limits[0].Object.Namespace = "b" }, []string{"HT072 medium"}},
		{"no quota, and no level", func(s *Snapshot) {
			s.Limits = nil
			delete(s.Namespaces[1].Labels, rails.LabelEnforce)
		}, []string{"HT072 high"}},
		{"quotas that nobody may list", func(s *Snapshot) {
			s.Limits, s.Unseen = nil, []Unseen{{Resource: "resourcequotas"}, {Resource: "limitranges"}}
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			tested := team("t", tenant.EngineImpersonation)
			tested.Rails = held
			s := sceneOf(tested)
			live := &s.Namespaces[1]
			labels, annotations, err := rails.NamespaceMeta(s.Records[0].Tenant, live.Name, live.object())
			if err != nil {
				t.Fatal(err)
			}
			live.Labels, live.Annotations = rails.Changed(live.Labels, labels), rails.Changed(live.Annotations, annotations)
			for _, object := range rails.Objects(s.Records[0].Tenant, "t-1", "t") {
				switch o := object.(type) {
				case *corev1.ResourceQuota:
					s.Limits = append(s.Limits, Limit{Object: ObjectRef{"ResourceQuota", "t-1", o.Name}, Quota: &o.Spec})
				case *corev1.LimitRange:
					s.Limits = append(s.Limits, Limit{Object: ObjectRef{"LimitRange", "t-1", o.Name}, Range: &o.Spec})
				}
			}
			test.change(s)
			var got []string
			for _, f := range found(s, idLoosened) {
				got = append(got, f.ID+" "+string(f.Severity))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
