package attack

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
)

// The control is what defends nothing: the usual Helm 2, one Tiller that is
// cluster-admin and serves everybody, and an attacker who is an administrator of
// the cluster. Every attack must succeed in it. One that does not is not able
// to, and its refusal elsewhere would say nothing.
const controlManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: ctl-b-tiller}
---
apiVersion: v1
kind: Namespace
metadata: {name: ctl-a1}
---
apiVersion: v1
kind: Namespace
metadata: {name: ctl-b1}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: tiller, namespace: ctl-b-tiller}
---
# Tiller's account beside the workload, as in charts that put Tiller there.
apiVersion: v1
kind: ServiceAccount
metadata: {name: tiller, namespace: ctl-a1}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ctl-tiller}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: ServiceAccount, name: tiller, namespace: ctl-b-tiller}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helm-tenant, namespace: ctl-b-tiller}
data: {tenant.yaml: "name: ctl-b\nnamespaces: [ctl-b1]\nrole: admin\nengine: tiller\n"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: ctl-records}
spec: {policyName: ctl-records, validationActions: [Deny]}
`

// dummyManifest is a tenant as far as an attack can spoil it: its pod is no
// Tiller, and there is none for an attack that needs none. It looks to helm-tenant like one
// of its own.
const dummyManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s-tiller, labels: {helm-tenant/tenant: %[1]s, helm-tenant/home: tiller, app.kubernetes.io/managed-by: helm-tenant}}
---
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s-1, labels: {helm-tenant/tenant: %[1]s}, annotations: {helm-tenant/home-namespace: %[1]s-tiller}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: by-admin, namespace: %[1]s-1}
spec: {hard: {pods: "500"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: tiller, namespace: %[1]s-tiller, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helm-tenant, namespace: %[1]s-tiller, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
data: {tenant.yaml: "name: %[1]s\nnamespaces: [%[1]s-1]\nrole: admin\nengine: tiller\n"}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: helm-tenant, namespace: %[1]s-tiller, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helm-tenant-member, namespace: %[1]s-tiller, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
rules:
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helm-tenant-member, namespace: %[1]s-tiller, labels: {helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helm-tenant-member}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: tiller-deploy, namespace: %[1]s-tiller, labels: {app: helm, name: tiller, helm-tenant/tenant: %[1]s, app.kubernetes.io/managed-by: helm-tenant}}
spec:
  replicas: 0
  selector: {matchLabels: {app: helm, name: tiller}}
  template:
    metadata: {labels: {app: helm, name: tiller}}
    spec:
      terminationGracePeriodSeconds: 1
      serviceAccountName: tiller
      containers: [{name: tiller, image: "registry.k8s.io/pause:3.10"}]
---
apiVersion: v1
kind: Service
metadata: {name: tiller-deploy, namespace: %[1]s-tiller}
spec: {selector: {app: helm, name: tiller}, ports: [{name: tiller, port: 44134}]}
`

func newControl(ctx context.Context, st *environment) (*world, error) {
	w := &world{environment: st, name: "control", account: "tiller", records: "ConfigMap", policyBinding: "ctl-records", attacker: st.root,
		a: &tenant{name: "ctl-b", home: "ctl-b-tiller", namespaces: []string{"ctl-a1"}, release: "desk", member: "bob"},
		b: &tenant{name: "ctl-b", home: "ctl-b-tiller", namespaces: []string{"ctl-b1"}, release: "shop", member: "bob"},
	}
	w.careful = w.a
	w.initDummies(dummyManifest, "ctl-x")
	if err := st.apply(ctx, controlManifest); err != nil {
		return nil, err
	}
	if err := w.helmInit(ctx, w.b.home); err != nil {
		return nil, err
	}
	if err := w.ready(ctx, w.b.home); err != nil {
		return nil, err
	}
	return w, w.settleIn(ctx)
}

// initDummies has the control make teams that attacks may spoil, and an
// administrator of them.
func (w *world) initDummies(manifest, prefix string) {
	// What an administrator does to the dummies, with helm-tenant.
	admin := w.administerByTool()
	w.initAgain = func(ctx context.Context, t *tenant) error {
		return admin(ctx, "init", t.name, "--namespaces", t.namespaces[0], "--wait=false", "--adopt")
	}
	w.show = func(ctx context.Context, t *tenant) (string, error) {
		// As it is, and not made for people.
		return w.runKubectl(ctx, w.root, "--namespace", t.namespaces[0], "get", "rolebindings", "-o", "jsonpath={.items[*].subjects[*].name}")
	}
	var dummies atomic.Int64
	w.dummy = func(ctx context.Context, withPod bool) (*tenant, error) {
		name := fmt.Sprint(prefix, dummies.Add(1))
		t := &tenant{name: name, home: w.homeOf(name), namespaces: []string{name + "-1"}, release: "shop", member: "bob"}
		objects := fmt.Sprintf(manifest, name)
		if withPod {
			objects = strings.Replace(objects, "replicas: 0", "replicas: 1", 1)
		}
		return t, w.apply(ctx, objects)
	}
}
