package rbac

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// AdminRoleName is the ClusterRole that init makes on demand of what Kubernetes itself
// gives its role admin, without what other ClusterRoles are aggregated into that.
const AdminRoleName = madePrefix + "admin"

const madePrefix = "helm-tenant-"

// aggregated are the ClusterRoles that the API server makes for its roles admin, edit and
// view to aggregate, each of which is part of the one before it
// (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
var aggregated = []string{"system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view"}

// KubernetesRoles returns the ClusterRoles of which admin, edit or view consists as
// Kubernetes makes it; none for a role of another name.
func KubernetesRoles(role string) []string {
	for i, source := range aggregated {
		if strings.TrimPrefix(source, "system:aggregate-to-") == role {
			return aggregated[i:]
		}
	}
	return nil
}

// MadeRole returns the name of the ClusterRole that is to admin, edit or view what
// AdminRoleName is to admin. For a role of another name it is AdminRoleName.
func MadeRole(role string) string {
	if KubernetesRoles(role) == nil {
		return AdminRoleName
	}
	return madePrefix + role
}

// MadeOf returns the ClusterRoles of whose rules init makes one of that name; none for
// a role that it does not make.
func MadeOf(name string) []string {
	role, made := strings.CutPrefix(name, madePrefix)
	if !made {
		return nil
	}
	return KubernetesRoles(role)
}

// ClusterRole is the one of a name for which MadeOf returns any, with those rules. It is
// no tenant's: all whose role it is share it.
func ClusterRole(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{tenant.LabelManagedBy: tenant.ManagedBy}},
		Rules:      rules,
	}
}
