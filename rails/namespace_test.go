package rails

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

func team(name string, rails tenant.Rails) tenant.Tenant {
	if rails.PodSecurity == "" {
		rails.PodSecurity = tenant.PodSecurityUnmanaged
	}
	if rails.Guard == "" {
		rails.Guard = tenant.GuardOff
	}
	return tenant.Tenant{Name: name, Namespaces: []string{name, "shared"}, Rails: rails}
}

// apply makes a namespace what meta wants it to be.
func apply(t *testing.T, live *corev1.Namespace, labels, annotations map[string]string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range []struct{ into, from map[string]string }{{live.Labels, labels}, {live.Annotations, annotations}} {
		maps.Copy(pair.into, pair.from)
		maps.DeleteFunc(pair.into, func(_, value string) bool { return value == Absent })
	}
}

func namespace(labels map[string]string) *corev1.Namespace {
	if labels == nil {
		labels = map[string]string{}
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shared", Labels: maps.Clone(labels), Annotations: map[string]string{"their": "own"}}}
}

func TestRailsComeAndGo(t *testing.T) {
	const enforce, warn, audit = "pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/warn", "pod-security.kubernetes.io/audit"
	level := func(level string) map[string]string {
		return map[string]string{enforce: level, warn: level, audit: level}
	}
	with := func(labels map[string]string, more ...string) map[string]string {
		labels = maps.Clone(labels)
		for i := 0; i < len(more); i += 2 {
			labels[more[i]] = more[i+1]
		}
		return labels
	}
	for _, test := range []struct {
		name     string
		before   map[string]string
		rails    tenant.Rails
		want     map[string]string
		leftOver map[string]string
	}{
		{"nothing is asked", map[string]string{"x": "y"}, tenant.Rails{}, map[string]string{"x": "y"}, map[string]string{"x": "y"}},
		{"a level", nil, tenant.Rails{PodSecurity: "baseline"}, level("baseline"), map[string]string{}},
		{"the admin's label is stricter", map[string]string{enforce: "restricted"}, tenant.Rails{PodSecurity: "baseline"},
			with(level("baseline"), enforce, "restricted"), map[string]string{enforce: "restricted"}},
		{"the admin's label is looser, and comes back", map[string]string{enforce: "privileged", warn: "restricted"}, tenant.Rails{PodSecurity: "baseline"},
			with(level("baseline"), warn, "restricted"), map[string]string{enforce: "privileged", warn: "restricted"}},
		{"the admin's label is the same, and stays", map[string]string{enforce: "baseline"}, tenant.Rails{PodSecurity: "baseline"}, level("baseline"), map[string]string{enforce: "baseline"}},
		{"a level that is none", map[string]string{enforce: "strict"}, tenant.Rails{PodSecurity: "baseline"}, level("baseline"), map[string]string{enforce: "strict"}},
		{"a version of the admin's stays", map[string]string{enforce + "-version": "v1.30"}, tenant.Rails{PodSecurity: "restricted"}, with(level("restricted"), enforce+"-version", "v1.30"), map[string]string{enforce + "-version": "v1.30"}},
		{"a guard", nil, tenant.Rails{Guard: "warn"}, map[string]string{LabelGuard: "warn"}, map[string]string{}},
		{"labels, one of which was there", map[string]string{"cost": "1", "same": "s"}, tenant.Rails{Labels: map[string]string{"cost": "42", "same": "s", "new": ""}},
			map[string]string{"cost": "42", "same": "s", "new": ""}, map[string]string{"cost": "1", "same": "s"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			live := namespace(test.before)
			labels, annotations, err := NamespaceMeta(team("a", test.rails), "shared", live)
			apply(t, live, labels, annotations, err)
			if diff := cmp.Diff(test.want, live.Labels); diff != "" {
				t.Errorf("with the tenant, -want +got:\n%s", diff)
			}
			labels, annotations, err = NamespaceMeta(team("a", test.rails), "shared", live)
			second := live.DeepCopy()
			apply(t, second, labels, annotations, err)
			if diff := cmp.Diff(live, second); diff != "" {
				t.Errorf("a second time, -first +second:\n%s", diff)
			}
			labels, annotations, err = WithoutTenant("a", live)
			apply(t, live, labels, annotations, err)
			if diff := cmp.Diff(test.leftOver, live.Labels); diff != "" {
				t.Errorf("without the tenant, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"their": "own"}, live.Annotations); diff != "" {
				t.Errorf("annotations without the tenant, -want +got:\n%s", diff)
			}
		})
	}
}

// A label that an admin changes by hand while the tenant exists stays the admin's.
func TestLabelChangedByAdmin(t *testing.T) {
	live := namespace(nil)
	labels, annotations, err := NamespaceMeta(team("a", tenant.Rails{PodSecurity: "baseline"}), "shared", live)
	apply(t, live, labels, annotations, err)
	live.Labels[LabelEnforce] = "restricted"
	labels, annotations, err = WithoutTenant("a", live)
	apply(t, live, labels, annotations, err)
	if diff := cmp.Diff(map[string]string{LabelEnforce: "restricted"}, live.Labels); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSharedNamespace(t *testing.T) {
	live := namespace(nil)
	a := team("a", tenant.Rails{PodSecurity: "baseline", Guard: "enforce", Network: "isolated", Hosts: []string{"*.example.com", "a.org"}, PriorityClasses: []string{"batch", "low"}, Contact: "#a", Labels: map[string]string{"cost": "1"}})
	b := team("b", tenant.Rails{PodSecurity: "restricted", Guard: "audit", Hosts: []string{"shop.example.com", "b.org"}, PriorityClasses: []string{"low"}, Contact: "#b"})
	off := team("c", tenant.Rails{Hosts: []string{"c.org"}})
	for _, one := range []tenant.Tenant{a, b, off} {
		labels, annotations, err := NamespaceMeta(one, "shared", live)
		apply(t, live, labels, annotations, err)
	}
	type state struct{ Enforce, Guard, Hosts, Classes, Contact, Namespaces, Except string }
	read := func() state {
		return state{live.Labels[LabelEnforce], live.Labels[LabelGuard], live.Annotations[annotationHosts], live.Annotations[annotationClasses], live.Annotations[annotationContact], live.Annotations[annotationNamespaces], live.Annotations[annotationExcept]}
	}
	const metadata = "100.100.100.200/32,169.254.169.254/32,fd00:ec2::254/128"
	if diff := cmp.Diff(state{"restricted", "enforce", "shop.example.com", "low", "#a or #b", "a,b,shared", metadata}, read()); diff != "" {
		t.Errorf("both, -want +got:\n%s", diff)
	}
	other := team("b", tenant.Rails{Labels: map[string]string{"cost": "2"}})
	if _, _, err := NamespaceMeta(other, "shared", live); err == nil || err.Error() != `namespace "shared" has the label cost=1 for tenant "a", with which it is shared` {
		t.Errorf("another value of a label: %v", err)
	}
	labels, annotations, err := WithoutTenant("a", live)
	apply(t, live, labels, annotations, err)
	if diff := cmp.Diff(state{"restricted", "audit", "b.org,shop.example.com", "low", "#b", "b,shared", ""}, read()); diff != "" {
		t.Errorf("without the first, -want +got:\n%s", diff)
	}
	labels, annotations, err = WithoutTenant("b", live)
	apply(t, live, labels, annotations, err)
	if diff := cmp.Diff(namespace(nil), live); diff != "" {
		t.Errorf("without both, -want +got:\n%s", diff)
	}
}

func TestCommonHosts(t *testing.T) {
	for _, test := range []struct{ a, b, want []string }{
		{[]string{"a.org"}, []string{"b.org"}, nil},
		{[]string{"*.a.org"}, []string{"x.a.org", "a.org", "x.y.a.org"}, []string{"x.a.org", "x.y.a.org"}},
		{[]string{"*.a.org"}, []string{"*.x.a.org"}, []string{"*.x.a.org"}},
		{[]string{"*.a.org"}, []string{"*.a.org"}, []string{"*.a.org"}},
		{[]string{"a.org"}, []string{"*.org", "xa.org"}, []string{"a.org"}},
	} {
		if diff := cmp.Diff(test.want, commonHosts(test.a, test.b)); diff != "" {
			t.Errorf("%v and %v, -want +got:\n%s", test.a, test.b, diff)
		}
	}
}

func TestUnreadableClaim(t *testing.T) {
	live := namespace(nil)
	live.Annotations[claimPrefix+"b"] = "{"
	if _, _, err := NamespaceMeta(team("a", tenant.Rails{}), "shared", live); err == nil {
		t.Error("another tenant's claim is lost without a word")
	}
	live.Annotations[claimPrefix+"b"] = `{"guard":"enforce","ofTomorrow":1}`
	labels, _, err := NamespaceMeta(team("a", tenant.Rails{}), "shared", live)
	if err != nil || labels[LabelGuard] != "enforce" {
		t.Errorf("a claim of a newer helm-tenant: %v, %v", labels, err)
	}
}
