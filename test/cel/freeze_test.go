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

// TestFreeze: the policy of a freeze applies to the tenant's accounts and nobody else, and
// allows the end of a pending release to be recorded.
func TestFreeze(t *testing.T) {
	policy := rails.Freezing()[0].(*admissionv1.ValidatingAdmissionPolicy)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{
		"guard.helm-tenant/frozen": "tenant t is frozen: INC-1", "guard.helm-tenant/frozen-accounts": "a,b,t-tiller:tiller"}}}
	const deployer = "system:serviceaccount:t-tiller:tiller"
	secret := func(name, labels, kind, data string) string {
		return "{apiVersion: v1, kind: Secret, type: " + kind + ", metadata: {name: " + name + ", labels: {" + labels + "}}, data: {" + data + "}}"
	}
	helm3 := func(status string) string {
		return secret("sh.helm.release.v1.web.v2", "owner: helm, name: web, version: '2', status: "+status, "helm.sh/release.v1", "release: eA==")
	}
	helm2 := func(status string) string {
		return secret("web.v2", "OWNER: TILLER, NAME: web, VERSION: '2', STATUS: "+status, "Opaque", "release: eA==")
	}
	const like3, like2 = "owner: helm, name: web, version: '2', status: ", "OWNER: TILLER, NAME: web, VERSION: '2', STATUS: "
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
		{"a release of Helm 3 fails", deployer, helm3("pending-upgrade"), helm3("failed"), true},
		{"a release of Helm 3 is done", deployer, helm3("pending-install"), helm3("deployed"), true},
		{"a release of Helm 2 fails", deployer, helm2("PENDING_INSTALL"), helm2("FAILED"), true},
		{"a release of Helm 2 is done", deployer, helm2("PENDING_ROLLBACK"), helm2("DEPLOYED"), true},
		{"a release is superseded", deployer, helm3("deployed"), helm3("superseded"), false},
		{"a release is uninstalled", deployer, helm3("deployed"), helm3("uninstalling"), false},
		{"a pending release stays", deployer, helm3("pending-upgrade"), helm3("pending-upgrade"), false},
		{"a pending release is removed", deployer, helm3("pending-upgrade"), "", false},
		{"a pending release is made", deployer, "", helm3("failed"), false},
		{"a Secret that becomes a record", deployer, secret("sh.helm.release.v1.web.v2", "status: pending-x", "helm.sh/release.v1", "release: eA=="), helm3("failed"), false},
		{"a record of nobody's", deployer, secret("web.v2", "OWNER: TILLER, NAME: web, VERSION: '2', status: pending-x", "Opaque", "release: eA=="), helm2("FAILED"), false},
		{"a Secret with a record's labels, by another name", deployer, secret("database", like3+"pending-upgrade", "helm.sh/release.v1", "release: eA=="), secret("database", like3+"failed", "helm.sh/release.v1", "release: eA=="), false},
		{"a Secret with a record's labels, of another type", deployer, secret("sh.helm.release.v1.web.v2", like3+"pending-upgrade", "Opaque", "release: eA=="), secret("sh.helm.release.v1.web.v2", like3+"failed", "Opaque", "release: eA=="), false},
		{"a Secret with a record's labels, of another version", deployer, secret("web.v3", like2+"PENDING_UPGRADE", "Opaque", "release: eA=="), secret("web.v3", like2+"FAILED", "Opaque", "release: eA=="), false},
		{"a record with a password beside it", deployer, helm3("pending-upgrade"), secret("sh.helm.release.v1.web.v2", like3+"failed", "helm.sh/release.v1", "release: eA==, password: eA=="), false},
		{"a record of Helm 2 of another type", deployer, helm2("PENDING_UPGRADE"), secret("web.v2", like2+"FAILED", "kubernetes.io/basic-auth", "release: eA=="), false},
		{"a record of Helm 2 without data", deployer, helm2("PENDING_UPGRADE"), "{apiVersion: v1, kind: Secret, type: Opaque, metadata: {name: web.v2, labels: {" + like2 + "FAILED}}}", false},
		{"a record that is collected as garbage", deployer, helm2("PENDING_UPGRADE"),
			"{apiVersion: v1, kind: Secret, type: Opaque, metadata: {name: web.v2, labels: {" + like2 + "FAILED}, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: x, uid: y}]}, data: {release: eA==}}", false},
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
