package rails

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

func TestViolation(t *testing.T) {
	plain := corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}
	host := corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{Name: "c"}}}
	for _, test := range []struct {
		level  tenant.PodSecurity
		spec   corev1.PodSpec
		exists bool
	}{
		{"unmanaged", host, false}, {"privileged", host, false}, {"baseline", host, true}, {"baseline", plain, false}, {"restricted", plain, true},
	} {
		got, err := Violation(test.level, &metav1.ObjectMeta{}, &test.spec)
		if err != nil || (got != "") != test.exists {
			t.Errorf("%s: %q, %v", test.level, got, err)
		}
	}
}

func TestTightens(t *testing.T) {
	for _, test := range []struct {
		live   string
		wanted tenant.PodSecurity
		want   bool
	}{
		{"", "baseline", true}, {"", "privileged", true}, {"privileged", "baseline", true}, {"baseline", "baseline", false}, {"restricted", "baseline", false},
		{"baseline", "restricted", true}, {"", "unmanaged", false}, {"strict", "baseline", true},
	} {
		live := namespace(nil)
		if test.live != "" {
			live.Labels[LabelEnforce] = test.live
		}
		if got := Tightens(team("a", tenant.Rails{PodSecurity: test.wanted}), live); got != test.want {
			t.Errorf("from %q to %q: %t", test.live, test.wanted, got)
		}
	}
}
