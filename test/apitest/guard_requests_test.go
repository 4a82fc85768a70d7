package apitest

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// TestTheGuardOfRequests: the guard refuses what a request makes of an object, whichever request
// that is: an update that creates, a generated name, patches that copy or move fields, a forced
// server-side apply, subresources that change a pod.
func TestTheGuardOfRequests(t *testing.T) {
	t.Parallel()
	w, team, actors := guardedTeam(t)
	ctx, root := t.Context(), w.as(t, "")
	all := []string{"All"}
	// The roles admin and edit do not have these.
	w.role(t, team.a, "inside", rule("", "pods/ephemeralcontainers", "*"), rule("", "pods/resize", "*"))
	w.bind(t, team.a, "inside", "Role", "inside", rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "person-" + team.name})
	create := func(text string) *unstructured.Unstructured {
		t.Helper()
		object := parsed(t, team, text)
		created, err := root.Resource(guarded[object.GetKind()]).Namespace(team.a).Create(ctx, object, metav1.CreateOptions{})
		must(t, err)
		return created
	}
	const deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: plain, annotations: {class: system-node-critical}}, spec: {" + selecting + "}}"
	create(fmt.Sprintf(deployment, fmt.Sprintf(podSpec, "")))
	create("{apiVersion: v1, kind: Service, metadata: {name: plain, annotations: {address: 10.0.0.1}}, spec: {ports: [{port: 80}]}}")
	create("{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: plain}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{kind: ServiceAccount, name: d}]}")
	create("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: plain, annotations: {host: shop.example.com}}, spec: {rules: [{host: x.team.example.com}]}}")
	create("{apiVersion: v1, kind: Pod, metadata: {name: kept, labels: {helm-tenant/protected: 'true'}}, spec: {containers: [{name: c, image: i, resources: {requests: {cpu: 2m}}}]}}")
	// A binding by which an admin lets an outsider in, to a role that is not there.
	create("{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: outside}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: given}, subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}]}")
	roles := guarded["RoleBinding"]
	roles.Resource = "roles"
	type request = func(client dynamic.Interface) error
	patch := func(kind, name string, as types.PatchType, text string, sub ...string) request {
		return func(client dynamic.Interface) error {
			options := metav1.PatchOptions{DryRun: all}
			if as == types.ApplyPatchType {
				options.Force, options.FieldManager = new(true), "kubectl"
			}
			_, err := client.Resource(guarded[kind]).Namespace(team.a).Patch(ctx, name, as, []byte(text), options, sub...)
			return err
		}
	}
	put := func(text string) request {
		return func(client dynamic.Interface) error {
			object := parsed(t, team, text)
			api := guarded[object.GetKind()]
			if object.GetKind() == "Role" {
				api = roles
			}
			_, err := client.Resource(api).Namespace(team.a).Update(ctx, object, metav1.UpdateOptions{DryRun: all})
			return err
		}
	}
	generated := func(prefix, text string) request {
		return func(client dynamic.Interface) error {
			object := parsed(t, team, text)
			object.SetName("")
			object.SetGenerateName(prefix)
			_, err := client.Resource(guarded[object.GetKind()]).Namespace(team.a).Create(ctx, object, metav1.CreateOptions{DryRun: all})
			return err
		}
	}
	const eve = "{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}"
	for _, test := range []struct {
		what, refusedBy string
		send            request
		person          bool // only that one may send it
	}{
		{"an update that creates a binding", "rolebindings", put(fmt.Sprintf(refers, eve)), false},
		{"an update that creates a binding for an own account", "", put(fmt.Sprintf(refers, "{kind: ServiceAccount, name: d}")), false},
		{"an update that creates a role of outsiders", "roles", put("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: given}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]}"), false},
		{"an update that creates another role", "", put("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: other}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]}"), false},
		{"a server-side apply that creates a binding", "rolebindings", patch("RoleBinding", "new", types.ApplyPatchType, "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: new}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: ["+eve+"]}"), false},
		{"a generated name like ours", "protected", generated("helm-tenant-", "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}}}"), false},
		{"a generated name of a binding like ours", "protected", generated("helm-tenant.x.", fmt.Sprintf(refers, "{kind: ServiceAccount, name: d}")), false},
		{"another generated name", "", generated("helm-", "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}}}"), false},
		{"a patch that copies a class", "deployments", patch("Deployment", "plain", types.JSONPatchType, `[{"op":"test","path":"/metadata/annotations/class","value":"system-node-critical"},{"op":"copy","from":"/metadata/annotations/class","path":"/spec/template/spec/priorityClassName"}]`), false},
		{"a patch that moves an address", "services", patch("Service", "plain", types.JSONPatchType, `[{"op":"add","path":"/spec/externalIPs","value":[]},{"op":"move","from":"/metadata/annotations/address","path":"/spec/externalIPs/-"}]`), false},
		{"a patch that moves a host", "ingresses", patch("Ingress", "plain", types.JSONPatchType, `[{"op":"move","from":"/metadata/annotations/host","path":"/spec/rules/0/host"}]`), false},
		{"a patch of subjects", "rolebindings", patch("RoleBinding", "plain", types.StrategicMergePatchType, `{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"eve"}]}`), false},
		{"a forced apply of our policy", "protected", patch("NetworkPolicy", "helm-tenant", types.ApplyPatchType, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: helm-tenant}, spec: {podSelector: {matchLabels: {a: b}}}}"), false},
		{"a debug container in a protected pod", "protected", patch("Pod", "kept", types.StrategicMergePatchType, `{"spec":{"ephemeralContainers":[{"name":"d","image":"i"}]}}`, "ephemeralcontainers"), true},
		{"more for a protected pod", "protected", patch("Pod", "kept", types.StrategicMergePatchType, `{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"1m"}}}]}}`, "resize"), true},
		{"another image for a protected pod", "protected", patch("Pod", "kept", types.StrategicMergePatchType, `{"spec":{"containers":[{"name":"c","image":"j"}]}}`), false},
		{"all protected pods at once", "protected", func(client dynamic.Interface) error {
			return client.Resource(guarded["Pod"]).Namespace(team.a).DeleteCollection(ctx, metav1.DeleteOptions{DryRun: all}, metav1.ListOptions{})
		}, false},
		{"all network policies at once", "protected", func(client dynamic.Interface) error {
			return client.Resource(guarded["NetworkPolicy"]).Namespace(team.a).DeleteCollection(ctx, metav1.DeleteOptions{DryRun: all}, metav1.ListOptions{LabelSelector: "helm-tenant/tenant"})
		}, false},
	} {
		for _, who := range []string{"deployer", "person", "own account", "another's account"} {
			err := test.send(actors[who])
			switch {
			case test.person && who != "person":
			case test.refusedBy == "" && err != nil:
				t.Errorf("%s, %s: %v", who, test.what, err)
			case test.refusedBy != "":
				if err := byGuard(err, test.refusedBy); err != nil {
					t.Errorf("%s, %s: %v", who, test.what, err)
				}
			}
		}
	}
}
