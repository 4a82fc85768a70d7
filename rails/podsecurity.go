package rails

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"

	"helm-tenant/tenant"
)

// evaluator is the API server's own evaluator (k8s.io/pod-security-admission).
var evaluator = sync.OnceValues(func() (podsecurity.Evaluator, error) {
	return podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
})

// Violation returns how a pod violates the latest version of a level, in the API server's
// words; empty if it does not.
func Violation(level tenant.PodSecurity, meta *metav1.ObjectMeta, spec *corev1.PodSpec) (string, error) {
	judge, err := evaluator()
	if err != nil || level == tenant.PodSecurityUnmanaged {
		return "", err
	}
	result := podsecurity.AggregateCheckResults(judge.EvaluatePod(api.LevelVersion{Level: api.Level(level), Version: api.LatestVersion()}, meta, spec))
	if result.Allowed {
		return "", nil
	}
	return result.ForbiddenDetail(), nil
}

// Tightens reports whether the tenant's enforce label is stricter than the namespace's
// present one; live is not nil.
func Tightens(t tenant.Tenant, live metav1.Object) bool {
	labels, _, err := NamespaceMeta(t, live.GetName(), live)
	return err == nil && stricter(LabelEnforce, labels[LabelEnforce], live.GetLabels()[LabelEnforce])
}
