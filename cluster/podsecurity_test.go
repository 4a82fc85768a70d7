package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Only what PodSecurity warns of in its own words is a violation.
func TestLabelAnswer(t *testing.T) {
	const heading = `existing pods in namespace "a" violate the new PodSecurity enforce level "baseline:latest"`
	for _, test := range []struct {
		name  string
		texts []string
		want  LabelAnswer
	}{
		{name: "nothing"},
		{"an admission webhook", []string{"namespace a has no owner", "web-0: is deprecated"}, LabelAnswer{Others: []string{"namespace a has no owner", "web-0: is deprecated"}}},
		{"pods", []string{heading, "a-1: privileged", "web-0 (and 1 other pod): host namespaces", "x.y (and 7 other pods): hostPort, privileged"},
			LabelAnswer{Violations: []string{"a-1: privileged", "web-0 (and 1 other pod): host namespaces", "x.y (and 7 other pods): hostPort, privileged"}}},
		{"no pod by name", []string{heading}, LabelAnswer{Violations: []string{heading}}},
		{"pods of another namespace", []string{`existing pods in namespace "b" violate the new PodSecurity enforce level "baseline:latest"`},
			LabelAnswer{Others: []string{`existing pods in namespace "b" violate the new PodSecurity enforce level "baseline:latest"`}}},
		{"webhooks before and after", []string{"mutated", heading, "a-1: privileged", "Validation failed for ValidatingAdmissionPolicy 'x'", "deprecated"},
			LabelAnswer{Violations: []string{"a-1: privileged"}, Others: []string{"mutated", "Validation failed for ValidatingAdmissionPolicy 'x'", "deprecated"}}},
		{"what PodSecurity did not look at", []string{`new PodSecurity enforce level only checked against the first 3000 of 4000 existing pods`, "failed to list pods while checking new PodSecurity enforce level"},
			LabelAnswer{Others: []string{`new PodSecurity enforce level only checked against the first 3000 of 4000 existing pods`, "failed to list pods while checking new PodSecurity enforce level"}}},
	} {
		if diff := cmp.Diff(test.want, labelAnswer("a", test.texts)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}
