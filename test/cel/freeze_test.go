package cel

import (
	"testing"

	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rails"
)

// TestFreeze: the policy of a freeze holds the tenant's accounts and nobody else, and
// lets the end of a release that was pending be recorded.
func TestFreeze(t *testing.T) {
	policy := rails.Freezing()[0].(*admissionv1.ValidatingAdmissionPolicy)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{
		"guard.helm-tenant/frozen": "tenant t is frozen: INC-1", "guard.helm-tenant/frozen-accounts": "a,b,t-tiller:tiller"}}}
	const deployer = "system:serviceaccount:t-tiller:tiller"
	record := func(labels string) string {
		return "{apiVersion: v1, kind: Secret, metadata: {name: x, labels: {" + labels + "}}}"
	}
	const configMap = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}"
	for _, test := range []struct {
		what, user, old, object string
		allowed                 bool
	}{
		{"the deployer creates", deployer, "", configMap, false},
		{"the deployer updates", deployer, configMap, configMap, false},
		{"the deployer deletes", deployer, configMap, "", false},
		{"an account of the tenant's namespace", "system:serviceaccount:b:operator", "", configMap, false},
		{"another account of the home", "system:serviceaccount:t-tiller:default", "", configMap, true},
		{"another namespace's account", "system:serviceaccount:ab:operator", "", configMap, true},
		{"another deployer", "system:serviceaccount:u-tiller:tiller", "", configMap, true},
		{"a person", "dana", "", configMap, true},
		{"a person who is called so", "a", "", configMap, true},
		{"a release of Helm 3 fails", deployer, record("owner: helm, status: pending-upgrade"), record("owner: helm, status: failed"), true},
		{"a release of Helm 3 is done", deployer, record("owner: helm, status: pending-install"), record("owner: helm, status: deployed"), true},
		{"a release of Helm 2 fails", deployer, record("OWNER: TILLER, STATUS: PENDING_INSTALL"), record("OWNER: TILLER, STATUS: FAILED"), true},
		{"a release is superseded", deployer, record("owner: helm, status: deployed"), record("owner: helm, status: superseded"), false},
		{"a release is uninstalled", deployer, record("owner: helm, status: deployed"), record("owner: helm, status: uninstalling"), false},
		{"a pending release stays", deployer, record("owner: helm, status: pending-upgrade"), record("owner: helm, status: pending-upgrade"), false},
		{"a pending release is removed", deployer, record("owner: helm, status: pending-upgrade"), "", false},
		{"a Secret that becomes a record", deployer, record("status: pending-x"), record("owner: helm, status: failed"), false},
		{"a record of nobody's", deployer, record("OWNER: TILLER, status: pending-x"), record("OWNER: TILLER, status: failed"), false},
	} {
		operation := admissionapi.Update
		switch {
		case test.old == "":
			operation = admissionapi.Create
		case test.object == "":
			operation = admissionapi.Delete
		}
		request := &admissionapi.AdmissionRequest{Namespace: "a", Operation: operation, UserInfo: authenticationv1.UserInfo{Username: test.user},
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "secrets"}}
		if got := judgePolicy(t, policy, namespace, request, test.old, test.object); got != test.allowed {
			t.Errorf("%s: allowed is %t", test.what, got)
		}
	}
}
