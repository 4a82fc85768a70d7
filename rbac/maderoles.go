package rbac

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// AdminRoleName is the ClusterRole that init makes on demand with the rules that
// Kubernetes itself gives its role admin, without those that other ClusterRoles aggregate
// into it.
const AdminRoleName = madePrefix + "admin"

const madePrefix = "helm-tenant-"

// aggregated are the ClusterRoles that the API server aggregates into its roles admin,
// edit and view. Each is part of the role before it
// (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
var aggregated = []string{"system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view"}

// KubernetesRoles returns the ClusterRoles that Kubernetes aggregates into admin, edit or
// view; none for a role with another name.
func KubernetesRoles(role string) []string {
	for i, source := range aggregated {
		if strings.TrimPrefix(source, "system:aggregate-to-") == role {
			return aggregated[i:]
		}
	}
	return nil
}

// MadeRole returns the name of the ClusterRole that init makes for admin, edit or view.
// For a role with another name it is AdminRoleName.
func MadeRole(role string) string {
	if KubernetesRoles(role) == nil {
		return AdminRoleName
	}
	return madePrefix + role
}

// MadeOf returns the ClusterRoles from whose rules init makes the named one; none for a
// role that it does not make.
func MadeOf(name string) []string {
	role, isMade := strings.CutPrefix(name, madePrefix)
	if !isMade {
		return nil
	}
	return KubernetesRoles(role)
}

// ClusterRole returns the ClusterRole for a name with a MadeOf, with those rules. It
// belongs to no tenant: all tenants with that role share it.
func ClusterRole(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{tenant.LabelManagedBy: tenant.ManagedBy}},
		Rules:      rules,
	}
}
