package attack

import (
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// attackInside is one object that must not be made, or one that must not be changed.
type attackInside struct {
	what string
	// object is created. harmless is the same object without the refused part, with which an
	// update starts; empty if objects of the kind can't be changed that way.
	object, harmless string
	// before is an admin's object, which the attack changes or deletes.
	before string
	// existing says that the attack is on what helm-tenant put there.
	existing bool
}

// way is one in which the API server takes an object.
type way struct {
	name     string
	existing bool // the attack changes an existing object
	make     func(i *inside, t *testing.T, client *http.Client, path string, object map[string]any, was []byte) (int, []byte)
}

var (
	byCreate = way{name: "create", make: func(i *inside, t *testing.T, client *http.Client, path string, object map[string]any, _ []byte) (int, []byte) {
		return i.send(t, client, http.MethodPost, path[:strings.LastIndex(path, "/")], jsonType, i.text(t, object), nil)
	}}
	byApply = way{name: "server-side apply", make: func(i *inside, t *testing.T, client *http.Client, path string, object map[string]any, _ []byte) (int, []byte) {
		return i.send(t, client, http.MethodPatch, path+"?fieldManager=attack&force=true", applyType, i.text(t, object), nil)
	}}
	byPatch = way{name: "patch", existing: true, make: func(i *inside, t *testing.T, client *http.Client, path string, object map[string]any, _ []byte) (int, []byte) {
		return i.send(t, client, http.MethodPatch, path, mergeType, i.text(t, object), nil)
	}}
	byUpdate = way{name: "update", existing: true, make: func(i *inside, t *testing.T, client *http.Client, path string, object map[string]any, was []byte) (int, []byte) {
		t.Helper()
		var live map[string]any
		if err := yaml.Unmarshal(was, &live); err != nil {
			t.Fatal(err)
		}
		merge(live, object)
		delete(live["metadata"].(map[string]any), "resourceVersion") // controllers write, too
		return i.send(t, client, http.MethodPut, path, jsonType, i.text(t, live), nil)
	}}
	byDelete = way{name: "delete", existing: true, make: func(i *inside, t *testing.T, client *http.Client, path string, _ map[string]any, _ []byte) (int, []byte) {
		return i.send(t, client, http.MethodDelete, path, "", nil, nil)
	}}
	byDeleteAll = way{name: "deletecollection", existing: true, make: func(i *inside, t *testing.T, client *http.Client, path string, _ map[string]any, _ []byte) (int, []byte) {
		index := strings.LastIndex(path, "/")
		return i.send(t, client, http.MethodDelete, path[:index]+"?fieldSelector=metadata.name%3D"+path[index+1:], "", nil, nil)
	}}
)

// merge sets the fields of one object in another.
func merge(into, from map[string]any) {
	for key, value := range from {
		inner, isMap := value.(map[string]any)
		if old, wasMap := into[key].(map[string]any); isMap && wasMap {
			merge(old, inner)
			continue
		}
		into[key] = value
	}
}

// ways returns the requests by which the attack can be made.
func (a *attackInside) ways() []way {
	switch {
	case a.before != "" || a.existing:
		return []way{byApply, byPatch, byUpdate, byDelete, byDeleteAll}
	case a.harmless != "":
		return []way{byCreate, byApply, byPatch, byUpdate}
	}
	return []way{byCreate, byApply}
}

// insideAttacks are tried as everybody who may write in a tenant's namespace.
var insideAttacks = insideTable()

func insideTable() []attackInside {
	service := func(spec string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: $ID}\nspec: {ports: [{port: 443}]" + spec + "}\n"
	}
	binding := func(subjects string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: $ID}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: [" + subjects + "]\n"
	}
	claim := func(spec string) string {
		return "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: $ID}\nspec: {accessModes: [ReadWriteOnce], storageClassName: '', resources: {requests: {storage: 1Mi}}" + spec + "}\n"
	}
	ingress := func(spec string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: $ID}\nspec: {" + spec + "}\n"
	}
	policy := func(name, spec string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name + "}\nspec: {podSelector: {}" + spec + "}\n"
	}
	const backend = "{service: {name: x, port: {number: 80}}}"
	const own, volume = "rules: [{host: shop.a.example.com}]", "\n  volumes: [{name: data, nfs: {server: 192.0.2.1, path: /}}]"
	all := []attackInside{
		{what: "Service with external IPs", object: service(", externalIPs: [192.0.2.1]"), harmless: service("")},
		{what: "RoleBinding to a person", object: binding("{apiGroup: rbac.authorization.k8s.io, kind: User, name: outsider}"), harmless: binding("")},
		{what: "RoleBinding to every service account", object: binding("{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts'}"), harmless: binding("")},
		{what: "RoleBinding to another tenant's account", object: binding("{kind: ServiceAccount, name: default, namespace: inb1}"), harmless: binding("")},
		{what: "claim that names a volume", object: claim(", volumeName: $ID"), harmless: claim("")},
		{what: "Ingress of another tenant's host", object: ingress("rules: [{host: shop.b.example.com}]"), harmless: ingress(own)},
		{what: "Ingress of every host", object: ingress("rules: [{http: {paths: [{path: /, pathType: Prefix, backend: " + backend + "}]}}]"), harmless: ingress(own)},
		{what: "Ingress of a wildcard host", object: ingress("rules: [{host: '*.example.com'}]"), harmless: ingress(own)},
		{what: "Ingress with a default backend", object: ingress(own + ", defaultBackend: " + backend), harmless: ingress(own)},
		{what: "Ingress with a certificate of another's host", object: ingress(own + ", tls: [{secretName: x, hosts: [shop.b.example.com]}]"), harmless: ingress(own)},
		{what: "NetworkPolicy that opens the metadata address", object: policy("$ID", ", policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 169.254.0.0/16}}]}]"), harmless: policy("$ID", "")},
		{what: "NetworkPolicy that opens everything", object: policy("$ID", ", policyTypes: [Egress], egress: [{}]"), harmless: policy("$ID", "")},
		{what: "NetworkPolicy of our name, made before ours", object: policy("helm-tenant-inside", ", ingress: [{}]")},
		{what: "NetworkPolicy of ours", existing: true, object: policy("helm-tenant", ", policyTypes: [Ingress], ingress: [{}]")},
		{what: "NetworkPolicy that an admin protects", before: strings.Replace(policy("$ID", ""), "{name: $ID}", "{name: $ID, labels: {helm-tenant/protected: 'true'}}", 1),
			object: policy("$ID", ", ingress: [{}]")},
		{what: "ConfigMap that an admin protects", before: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID, labels: {helm-tenant/protected: 'true'}}\ndata: {a: b}\n",
			object: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID}\ndata: {a: c}\n"},
		{what: "Pod with the node's disk", object: podOf("\n  volumes: [{name: data, hostPath: {path: /}}]")},
		{what: "Pod in the node's network", object: podOf("\n  hostNetwork: true")},
		{what: "Pod of class system-node-critical", object: podOf(criticalClass)},
		{what: "Pod with a volume of a storage server", object: podOf(volume)},
		{what: "Pod with an inline volume of a CSI driver", object: podOf(inlineVolume)},
		{what: "StatefulSet whose claims name a volume", object: controller("apps/v1", "StatefulSet", claimsOf("volumeName: $ID, "), "")},
	}
	for _, created := range []struct{ what, pod string }{{" of class system-node-critical", criticalClass}, {" with a volume of a storage server", volume},
		{" with an inline volume of a CSI driver", inlineVolume}} {
		for _, maker := range []struct {
			kind  string
			make  func(pod string) string
			fixed bool
		}{
			{"Deployment", func(pod string) string { return controller("apps/v1", "Deployment", "", pod) }, false},
			{"ReplicaSet", func(pod string) string { return controller("apps/v1", "ReplicaSet", "", pod) }, false},
			{"StatefulSet", func(pod string) string { return controller("apps/v1", "StatefulSet", "\n  serviceName: none", pod) }, false},
			{"DaemonSet", func(pod string) string { return controller("apps/v1", "DaemonSet", "", pod) }, false},
			{"ReplicationController", replicationController, false},
			{"CronJob", cronJobOf, false},
			{"Job", jobOf, true},
		} {
			a := attackInside{what: maker.kind + created.what, object: maker.make(created.pod)}
			if !maker.fixed {
				a.harmless = maker.make("")
			}
			all = append(all, a)
		}
	}
	return all
}

// podOf returns a pod that no node runs: that it is taken is what counts.
func podOf(more string) string {
	return podManifest("ina1", "$ID", "\n  nodeSelector: {none: such}"+more, pauseImage, "serve", ":65000")
}

func claimsOf(more string) string {
	return "\n  serviceName: none\n  volumeClaimTemplates: [{metadata: {name: data}, spec: {" + more + "accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}]"
}
