package clustertest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// dryRun answers a write that is not stored. held says that the admission policy of owners refuses
// it, if it is stored.
func (s *Server) dryRun(w http.ResponseWriter, r *http.Request, resource schema.GroupResource, asked Request, object any, held bool) {
	if held && s.objects[cluster.Key{Kind: "ValidatingAdmissionPolicyBinding", Name: install.OwnersName}] != nil {
		fail(w, deniedBy(install.OwnersName, resource))
		return
	}
	code := http.StatusOK
	if r.Method == http.MethodPost {
		code = http.StatusCreated
	}
	if user := r.Header.Get(authenticationv1.ImpersonateUserHeader); user != "" {
		if err := s.denied(user, resource, asked); err != nil {
			fail(w, err)
			return
		}
	}
	answer(w, code, object)
}

// anotherMay answers a review of somebody else's permission.
func (s *Server) anotherMay(review *unstructured.Unstructured) (bool, *apierrors.StatusError) {
	if s.AnotherMay == nil {
		return false, apierrors.NewForbidden(schema.GroupResource{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}, "", errors.New("nobody may ask"))
	}
	a, _, _ := unstructured.NestedMap(review.Object, "spec", "resourceAttributes")
	user, _, _ := unstructured.NestedString(review.Object, "spec", "user")
	groups, _, _ := unstructured.NestedStringSlice(review.Object, "spec", "groups")
	return s.AnotherMay(cmp.Or(user, strings.Join(groups, ",")), fmt.Sprintf("%s %s", a["verb"], a["resource"])), nil
}

// denied returns why an account may not create an object, nil if it may: it has the rights of the
// bindings of its namespace, the guard refuses each Service, the records' policy what a Tiller
// writes in its home, and a freeze everything.
func (s *Server) denied(user string, resource schema.GroupResource, asked Request) *apierrors.StatusError {
	namespace := s.objects[cluster.Key{Kind: "Namespace", Name: asked.Namespace}]
	switch {
	case !s.mayWrite(user, asked.Namespace):
		return apierrors.NewForbidden(resource, "", errors.New("no role"))
	case namespace != nil && namespace.GetLabels()[rails.LabelFrozen] == "true":
		return deniedBy(rails.FrozenName, resource)
	case user == tenant.AccountUser(asked.Namespace, tenant.TillerAccount) && (s.Enforced == nil || s.Enforced(install.AdmissionName)):
		return deniedBy(install.AdmissionName, resource)
	case asked.Kind == "Service":
		return deniedBy(rails.PolicyPrefix+"services", resource)
	}
	return nil
}

// deniedBy returns the refusal of an admission policy, as the API server says it
// (k8s.io/apiserver/pkg/admission/plugin/policy/validating, dispatcher.go).
func deniedBy(policy string, resource schema.GroupResource) *apierrors.StatusError {
	return apierrors.NewForbidden(resource, "", fmt.Errorf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: no", policy, policy))
}

// mayWrite reports whether a binding gives the account a role that does not only read.
func (s *Server) mayWrite(user, namespace string) bool {
	for key, object := range s.objects {
		if key.Kind != "ClusterRoleBinding" && (key.Kind != "RoleBinding" || key.Namespace != namespace) {
			continue
		}
		var binding rbacv1.RoleBinding // the fields in use are those of a ClusterRoleBinding
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &binding); err != nil {
			s.t.Error(err)
			continue
		}
		reads := slices.Contains([]string{rbac.ViewRole, rbac.SecretsRole}, binding.RoleRef.Name)
		if !reads && slices.ContainsFunc(binding.Subjects, func(subject rbacv1.Subject) bool {
			return subject.Kind == rbacv1.ServiceAccountKind && tenant.AccountUser(subject.Namespace, subject.Name) == user
		}) {
			return true
		}
	}
	return false
}
