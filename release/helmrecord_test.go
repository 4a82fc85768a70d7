package release

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestHelmRecord: Helm 3 and 4 list these releases; the labels are theirs, and anybody who may write
// the Secret can change them.
func TestHelmRecord(t *testing.T) {
	for _, test := range []struct {
		name     string
		labels   map[string]string
		want     Revision
		isRecord bool
	}{
		{"sh.helm.release.v1.web.v3", map[string]string{"name": "web", "version": "3", "status": "deployed"}, Revision{"web", 3, "DEPLOYED"}, true},
		{"sh.helm.release.v1.web.v3", map[string]string{"name": "web", "status": "deployed"}, Revision{"web", 3, "DEPLOYED"}, true},
		{"sh.helm.release.v1.web.v3", map[string]string{"name": "web", "version": "three", "status": "deployed"}, Revision{"web", 3, "DEPLOYED"}, true},
		{"sh.helm.release.v1.web.v3", map[string]string{"name": "web", "version": "7", "status": "deployed"}, Revision{}, false},
		{"sh.helm.release.v1.web.v3", map[string]string{"version": "3"}, Revision{"web", 3, ""}, true},
		{"sh.helm.release.v1.a.v2.v1", nil, Revision{"a.v2", 1, ""}, true},
		{"sh.helm.release.v1.web.v3", map[string]string{"name": "other", "version": "3"}, Revision{}, false},
		{"sh.helm.release.v1.web.v03", map[string]string{"name": "web"}, Revision{}, false},
		{"sh.helm.release.v1.web.v0", map[string]string{"name": "web"}, Revision{}, false},
		{"sh.helm.release.v1.web.v-1", map[string]string{"name": "web"}, Revision{}, false},
		{"sh.helm.release.v1.web", map[string]string{"name": "web", "version": "1"}, Revision{}, false},
		{"sh.helm.release.v1..v1", nil, Revision{}, false},
		{"web", map[string]string{"name": "web", "version": "1"}, Revision{}, false},
	} {
		got, isRecord := HelmRecord(&metav1.ObjectMeta{Name: test.name, Labels: test.labels})
		if isRecord != test.isRecord || isRecord && got != test.want {
			t.Errorf("%s %v: %+v, %t", test.name, test.labels, got, isRecord)
		}
	}
}
