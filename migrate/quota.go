package migrate

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// CheckQuota returns an error unless a ResourceQuota allows that many more Secrets in its
// namespace. It reads the two names that Kubernetes has for their number
// (k8s.io/kubernetes/pkg/quota/v1/evaluator/core). A quota that its controller has not
// counted yet counts as unused.
func CheckQuota(quota corev1.ResourceQuota, secrets int) error {
	for _, resource := range []corev1.ResourceName{corev1.ResourceSecrets, "count/secrets"} {
		hard, limited := quota.Spec.Hard[resource]
		if !limited {
			continue
		}
		used := quota.Status.Used[resource]
		if free := hard.Value() - used.Value(); secrets > 0 && free < int64(secrets) {
			return fmt.Errorf("ResourceQuota %s of namespace %q allows %d Secrets, %d exist, and Helm 3 needs %d more for the records: raise it, or move fewer revisions with --keep",
				quota.Name, quota.Namespace, hard.Value(), used.Value(), secrets)
		}
	}
	return nil
}
