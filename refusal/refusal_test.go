package refusal

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRead: messages of the API server (1.16 to 1.37), and text of webhooks and policies that
// imitates another refuser.
func TestRead(t *testing.T) {
	for _, test := range []struct {
		message string
		want    Refusal
	}{
		{`pods "x" is forbidden: error looking up service account a/default: serviceaccount "default" not found`, Refusal{Kind: ServiceAccount, By: "the admission plugin ServiceAccount"}},
		{`pods "x" is forbidden: no PriorityClass with name gold was found`, Refusal{Kind: PriorityClass, By: "the admission plugin Priority"}},
		{`pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged (container "main" must not set securityContext.privileged=true)`, Refusal{Kind: PodSecurity, By: "PodSecurity baseline"}},
		{`pods "x" is forbidden: violates PodSecurity "restricted:v1.30": seccompProfile`, Refusal{Kind: PodSecurity, By: "PodSecurity restricted:v1.30"}},
		{`secrets is forbidden: User "u" cannot list resource "secrets" in API group "" in the namespace "a"`, Refusal{Kind: RBAC, By: "RBAC"}},
		{`roles.rbac.authorization.k8s.io "r" is forbidden: user "u" (groups=["g"]) is attempting to grant RBAC permissions not currently held: {}`, Refusal{Kind: Escalation, By: "RBAC's escalation check"}},
		{`namespaces "a" is forbidden: ValidatingAdmissionPolicy 'helm-tenant-reserved' with binding 'helm-tenant-reserved' denied request: no`, Refusal{Policy, "admission policy helm-tenant-reserved", "helm-tenant-reserved"}},
		{`services "a" is forbidden: ValidatingAdmissionPolicy 'helm-tenant-guard-services' with binding 'b' denied request: no`, Refusal{Guard, "guard (helm-tenant-guard-services)", "helm-tenant-guard-services"}},
		{`admission webhook "w.example.com" denied the request: pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged`, Refusal{Kind: Webhook, By: "webhook w.example.com"}},
		{`admission webhook "w.example.com" denied the request: see ValidatingAdmissionPolicy 'helm-tenant-reserved' with binding 'helm-tenant-reserved' denied request`, Refusal{Kind: Webhook, By: "webhook w.example.com"}},
		{`pods "x" is forbidden: ValidatingAdmissionPolicy 'theirs' with binding 'b' denied request: is forbidden: violates PodSecurity "baseline:latest": privileged`, Refusal{Policy, "admission policy theirs", "theirs"}},
		{`configmaps "a" is forbidden: exceeded quota: small, requested: count/configmaps=1`, Refusal{Kind: Quota, By: "quota small"}},
		{`serviceaccounts "default" not found`, Refusal{}},
		{``, Refusal{}},
	} {
		got, known := Read(test.message)
		if diff := cmp.Diff(test.want, got); diff != "" || known != (test.want != Refusal{}) {
			t.Errorf("%s: known %v, -want +got:\n%s", test.message, known, diff)
		}
	}
}

// TestIsOfImpersonation: the authorizer's refusal of impersonation, plain and constrained.
func TestIsOfImpersonation(t *testing.T) {
	for message, want := range map[string]bool{
		`users "x" is forbidden: User "u" cannot impersonate resource "users" in API group "" at the cluster scope`:                              true,
		`users "x" is forbidden: User "u" cannot impersonate:user-info resource "users" in API group "authentication.k8s.io"`:                    true,
		`pods is forbidden: User "u" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "a"`:                  true,
		`secrets is forbidden: User "impersonate" cannot list resource "secrets" in API group "" in the namespace "a"`:                           false,
		`configmaps "cannot impersonate resource " is forbidden: User "u" cannot get resource "configmaps" in API group "" in the namespace "a"`: false,
	} {
		if got := IsOfImpersonation(message); got != want {
			t.Errorf("%s: %v", message, got)
		}
	}
}
