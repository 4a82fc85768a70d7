package preflight

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/preflight"
	"helm-tenant/test/harness"
)

// othersPolicy is an admission policy that an admin made: no object called refused, and no
// pod of a host name.
const othersPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAME-a}}
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps, pods]}
  validations:
  - {expression: "!has(object.metadata.name) || object.metadata.name != 'refused'", message: "not that name"}
  - {expression: "!has(object.spec) || !has(object.spec.hostname)", message: "not that pod"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec: {policyName: NAME, validationActions: [Deny]}
`

// TestOthersPolicies: refusals by an admin's own ValidatingAdmissionPolicy are found under Helm
// 3 and 4, for the chart's objects and for their pods; under Helm 2 they are reported as not
// tried.
func TestOthersPolicies(t *testing.T) {
	w := start(t)
	refuses := strings.Replace(configMap, "name: R", "name: refused", 1)
	for _, major := range []string{"2", "3", "4"} {
		t.Run("helm"+major, func(t *testing.T) {
			t.Parallel()
			name := "policy" + major
			user := w.newTenant(t, name, major)
			w.kubectl(t, strings.ReplaceAll(othersPolicy, "NAME", name))
			if err := harness.Settle(t.Context(), w.root, name+"-a"); err != nil {
				t.Fatal(err)
			}
			err := harness.Await(t.Context(), "the policy to be in force", func(ctx context.Context) (bool, error) {
				_, err := w.root.CoreV1().ConfigMaps(name+"-a").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "refused"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil && strings.Contains(err.Error(), "not that name") {
					return true, nil
				}
				return false, err
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				text string
				fits bool
			}{
				{configMap, true},
				{refuses, false},
				{workload("Deployment", "hostname: x, "+container("")), false},
			} {
				folder := chart(t, c.text, name+"-a")
				if major == "2" {
					folder = ofHelm2(t, c.text, name+"-a")
				}
				report, r := user.report(t, "install", folder, "--name-template", "web")
				refused := slices.ContainsFunc(report.Findings, func(f preflight.Finding) bool {
					return f.ID == preflight.Admission && f.Result == preflight.Refused && strings.Contains(f.Why, "admission policy "+name)
				})
				untried := slices.ContainsFunc(report.Findings, func(f preflight.Finding) bool {
					return f.ID == preflight.NotTried && strings.Contains(f.Why, "admission webhooks and policies")
				})
				code := map[bool]int{true: 0, false: 4}[c.fits]
				if major == "2" {
					code = 5
				}
				if r.Code != code || refused != (major != "2" && !c.fits) || untried != (major == "2") {
					t.Errorf("wanted %d: %v\n%s", code, r, c.text)
				}
			}
		})
	}
}
