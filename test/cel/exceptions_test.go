package cel

import (
	"testing"

	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"helm-tenant/rails"
)

// TestExceptions: no policy restricts Kubernetes itself and who may update namespaces; each
// restricts everybody else, the deployers of a tenant whose home is kube-system among them.
func TestExceptions(t *testing.T) {
	policy := guardPolicy("services", rails.Priorities{}).DeepCopy()
	policy.Spec.Variables, policy.Spec.Validations = nil, nil
	for _, c := range policy.Spec.MatchConditions {
		policy.Spec.Validations = append(policy.Spec.Validations, admissionv1.Validation{Expression: c.Expression})
	}
	for _, test := range []struct {
		user       string
		groups     []string
		rights     rights
		restricted bool
	}{
		{"alice", nil, nil, true},
		{"alice", []string{"system:authenticated"}, nil, true},
		{"system:serviceaccount:a:default", nil, nil, true},
		{"system:serviceaccount:kube-system-2:default", nil, nil, true},
		{"system:serviceaccount:kube-system:tiller", nil, nil, true},
		{"system:serviceaccount:kube-system:helm", nil, nil, true},
		{"system:serviceaccount:kube-system:helm", nil, rights{"update namespaces."}, false},
		{"system:serviceaccount:kube-system:helm-controller", nil, nil, false},
		{"system:serviceaccount:kube-system:replicaset-controller", nil, nil, false},
		{"system:kube-controller-manager", nil, nil, false},
		{"system:node:n", []string{"system:nodes"}, nil, false},
		{"root", nil, rights{"update namespaces."}, false},
	} {
		request := &admissionapi.AdmissionRequest{Namespace: "a", UserInfo: authenticationv1.UserInfo{Username: test.user, Groups: test.groups}}
		if got := judgeAs(t, policy, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, request, authorizer.AuthorizerFunc(test.rights.authorize), "", "{apiVersion: v1, kind: Service, metadata: {name: x}}"); got != test.restricted {
			t.Errorf("%s, with the groups %v and the rights %v: restricted is %t", test.user, test.groups, test.rights, got)
		}
	}
}
