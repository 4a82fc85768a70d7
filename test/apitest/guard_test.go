package apitest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"
)

// as returns a dynamic client that acts as somebody.
func (w *world) as(t *testing.T, user string, groups ...string) dynamic.Interface {
	t.Helper()
	config := w.RootConfig(t)
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	}
	return dynamic.NewForConfigOrDie(config)
}

// byGuard reports whether the guard's policy for that kind refused, and nothing else.
func byGuard(err error, kind string) error {
	switch {
	case err == nil:
		return fmt.Errorf("it is allowed")
	case !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'helm-tenant-guard-"+kind+"'"):
		return fmt.Errorf("it is refused by something else: %w", err)
	case !strings.Contains(err.Error(), "ask #platform"):
		return fmt.Errorf("it does not say whom to ask: %w", err)
	}
	return nil
}

// parsed returns an object from YAML; NS, B and HOST are replaced by a team's namespaces and
// host.
func parsed(t *testing.T, team team, text string) *unstructured.Unstructured {
	t.Helper()
	text = strings.NewReplacer("NS", team.a, "OWN", team.b).Replace(text)
	var object unstructured.Unstructured
	must(t, yaml.Unmarshal([]byte(text), &object.Object))
	object.SetNamespace(team.a)
	if object.GetName() == "" {
		object.SetName("x")
	}
	return &object
}

var guarded = map[string]schema.GroupVersionResource{
	"RoleBinding":           {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"Service":               {Version: "v1", Resource: "services"},
	"Pod":                   {Version: "v1", Resource: "pods"},
	"PersistentVolumeClaim": {Version: "v1", Resource: "persistentvolumeclaims"},
	"Deployment":            {Group: "apps", Version: "v1", Resource: "deployments"},
	"DaemonSet":             {Group: "apps", Version: "v1", Resource: "daemonsets"},
	"ReplicaSet":            {Group: "apps", Version: "v1", Resource: "replicasets"},
	"StatefulSet":           {Group: "apps", Version: "v1", Resource: "statefulsets"},
	"Job":                   {Group: "batch", Version: "v1", Resource: "jobs"},
	"CronJob":               {Group: "batch", Version: "v1", Resource: "cronjobs"},
	"ReplicationController": {Version: "v1", Resource: "replicationcontrollers"},
	"PodTemplate":           {Version: "v1", Resource: "podtemplates"},
	"Ingress":               {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"NetworkPolicy":         {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"ConfigMap":             {Version: "v1", Resource: "configmaps"},
	"PodGroup":              {Group: "scheduling.k8s.io", Version: "v1beta1", Resource: "podgroups"},
	"Workload":              {Group: "scheduling.k8s.io", Version: "v1beta1", Resource: "workloads"},
}

const (
	refers    = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [%s]}"
	serves    = "{apiVersion: v1, kind: Service, spec: {ports: [{port: 80}], %s}}"
	claims    = "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}%s}"
	podSpec   = "{%scontainers: [{name: c, image: i}]}"
	opens     = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}, policyTypes: [Egress], egress: [%s]}}"
	routes    = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {annotations: {%s}}, spec: {%s}}"
	backend   = "{service: {name: x, port: {number: 80}}}"
	group     = "{apiVersion: scheduling.k8s.io/v1beta1, kind: PodGroup, spec: {schedulingPolicy: {basic: {}}%s}}"
	workload  = "{apiVersion: scheduling.k8s.io/v1beta1, kind: Workload, spec: {podGroupTemplates: [{name: a, schedulingPolicy: {basic: {}}%s}]}}"
	selecting = "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: %s}"
)

func ingress(annotations, host string) string {
	return fmt.Sprintf(routes, annotations, "rules: [{"+host+"http: {paths: [{path: /, pathType: Prefix, backend: "+backend+"}]}}]")
}

// attempts are requests to create objects; refusedBy is the policy that must refuse, empty if
// the request must be allowed.
func attempts() []struct{ what, refusedBy, object string } {
	type attempt = struct{ what, refusedBy, object string }
	const high = "priorityClassName: system-node-critical, "
	const volume = "volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {volumeName: pv, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}], "
	all := []attempt{
		{"a binding for accounts of the tenant's own", "", fmt.Sprintf(refers, "{kind: ServiceAccount, name: d, namespace: OWN}, {kind: ServiceAccount, name: d, namespace: NS}")},
		{"a binding for nobody", "", fmt.Sprintf(refers, "")},
		{"a binding for a user", "rolebindings", fmt.Sprintf(refers, "{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}")},
		{"a binding for a group", "rolebindings", fmt.Sprintf(refers, "{kind: Group, apiGroup: rbac.authorization.k8s.io, name: 'system:serviceaccounts'}")},
		{"a binding for an account as a user", "rolebindings", fmt.Sprintf(refers, "{kind: User, apiGroup: rbac.authorization.k8s.io, name: 'system:serviceaccount:NS:d'}")},
		{"a binding for another's account among the tenant's", "rolebindings", fmt.Sprintf(refers, "{kind: ServiceAccount, name: d, namespace: NS}, {kind: ServiceAccount, name: d, namespace: default}")},
		{"a Service", "", fmt.Sprintf(serves, "type: LoadBalancer")},
		{"external IPs", "services", fmt.Sprintf(serves, "externalIPs: [10.0.0.1]")},
		{"hosts by an annotation of DNS", "services", "{apiVersion: v1, kind: Service, metadata: {annotations: {external-dns.alpha.kubernetes.io/hostname: 'x.team.example.com, other.org'}}, spec: {ports: [{port: 80}]}}"},
		{"allowed hosts by an annotation of DNS", "", "{apiVersion: v1, kind: Service, metadata: {annotations: {external-dns.alpha.kubernetes.io/hostname: 'x.team.example.com, Y.team.example.com'}}, spec: {ports: [{port: 80}]}}"},
		{"a group of pods", "", fmt.Sprintf(group, "")},
		{"a group of pods of an allowed class", "", fmt.Sprintf(group, ", priorityClassName: guard-allowed")},
		{"a group of pods of a high class", "podgroups", fmt.Sprintf(group, ", priorityClassName: guard-high")},
		{"a template of groups of pods", "", fmt.Sprintf(workload, ", priorityClassName: guard-low")},
		{"a template of groups of pods of a high class", "workloads", fmt.Sprintf(workload, ", priorityClassName: guard-high")},
		{"a template of groups of pods with a high priority", "workloads", fmt.Sprintf(workload, ", priority: 1000000000")},
		{"a claim", "", "{apiVersion: v1, kind: PersistentVolumeClaim, spec: " + fmt.Sprintf(claims, "") + "}"},
		{"a claim that names a volume", "persistentvolumeclaims", "{apiVersion: v1, kind: PersistentVolumeClaim, spec: " + fmt.Sprintf(claims, ", volumeName: pv") + "}"},
		{"a StatefulSet with claims", "", "{apiVersion: apps/v1, kind: StatefulSet, spec: {serviceName: x, " + fmt.Sprintf(selecting, fmt.Sprintf(podSpec, "")) + ", volumeClaimTemplates: [{metadata: {name: v}, spec: " + fmt.Sprintf(claims, "") + "}]}}"},
		{"a StatefulSet whose claims name a volume", "statefulsets", "{apiVersion: apps/v1, kind: StatefulSet, spec: {serviceName: x, " + fmt.Sprintf(selecting, fmt.Sprintf(podSpec, "")) + ", volumeClaimTemplates: [{metadata: {name: v}, spec: " + fmt.Sprintf(claims, ", volumeName: pv") + "}]}}"},
		{"egress to everywhere", "networkpolicies", fmt.Sprintf(opens, "{}")},
		{"egress to the metadata address", "networkpolicies", fmt.Sprintf(opens, "{to: [{ipBlock: {cidr: 169.254.169.254/32}}]}")},
		{"egress to a block around it", "networkpolicies", fmt.Sprintf(opens, "{to: [{podSelector: {}}, {ipBlock: {cidr: 169.254.160.0/20}}]}")},
		{"egress to a block around it by IPv6", "networkpolicies", fmt.Sprintf(opens, "{to: [{ipBlock: {cidr: 'fc00::/7'}}]}")},
		{"egress to it by NAT64", "networkpolicies", fmt.Sprintf(opens, "{to: [{ipBlock: {cidr: '64:ff9b::a9fe:a9fe/128'}}]}")},
		{"egress to all but half of it", "networkpolicies", fmt.Sprintf(opens, "{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}")},
		{"egress to all but it", "", fmt.Sprintf(opens, "{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16, 100.100.100.200/32]}}, {ipBlock: {cidr: '::/0', except: ['fd00:ec2::254/128', '64:ff9b::a9fe:a9fe/128', '64:ff9b::6464:64c8/128']}}]}")},
		{"egress to other blocks and pods", "", fmt.Sprintf(opens, "{to: [{ipBlock: {cidr: 169.254.170.0/24}}, {ipBlock: {cidr: '2000::/3'}}, {namespaceSelector: {}}]}")},
		{"ingress from everywhere", "", "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}, ingress: [{}]}}"},
		{"a NetworkPolicy of our name", "protected", "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: helm-tenant-x}, spec: {podSelector: {}}}"},
		{"an object with our label", "protected", "{apiVersion: v1, kind: ConfigMap, metadata: {labels: {helm-tenant/tenant: x}}}"},
		{"an object that protects itself", "protected", "{apiVersion: v1, kind: ConfigMap, metadata: {labels: {helm-tenant/protected: 'true'}}}"},
		{"an object that says that it is not protected", "", "{apiVersion: v1, kind: ConfigMap, metadata: {labels: {helm-tenant/protected: 'false'}}}"},
		{"an allowed host", "", ingress("", "host: x.team.example.com, ")},
		{"the allowed wildcard", "", ingress("", "host: '*.team.example.com', ")},
		{"a host that is deeper than the wildcard", "ingresses", ingress("", "host: x.y.team.example.com, ")},
		{"the wildcard's own domain", "ingresses", ingress("", "host: team.example.com, ")},
		{"another's host", "ingresses", ingress("", "host: shop.example.com, ")},
		{"no host", "ingresses", ingress("", "")},
		{"a default backend", "ingresses", fmt.Sprintf(routes, "", "defaultBackend: "+backend)},
		{"a certificate for another's host", "ingresses", fmt.Sprintf(routes, "", "tls: [{secretName: s, hosts: [shop.example.com]}], rules: [{host: x.team.example.com}]")},
		{"a certificate for every host", "ingresses", fmt.Sprintf(routes, "", "tls: [{secretName: s}], rules: [{host: x.team.example.com}]")},
		{"a certificate", "", fmt.Sprintf(routes, "", "tls: [{secretName: s, hosts: [x.team.example.com]}], rules: [{host: x.team.example.com}]")},
		{"an alias", "ingresses", ingress("nginx.ingress.kubernetes.io/server-alias: 'x.team.example.com,shop.example.com'", "host: x.team.example.com, ")},
		{"an alias of the tenant's own", "", ingress("nginx.ingress.kubernetes.io/server-alias: 'y.team.example.com'", "host: x.team.example.com, ")},
		{"a snippet", "ingresses", ingress("nginx.ingress.kubernetes.io/configuration-snippet: 'x'", "host: x.team.example.com, ")},
		{"another's host by Traefik", "ingresses", ingress("traefik.ingress.kubernetes.io/router.tls.domains.0.Main: shop.example.com", "host: x.team.example.com, ")},
		{"the hosts of its rules by Gardener", "", ingress("dns.gardener.cloud/dnsnames: '*'", "host: x.team.example.com, ")},
		{"an allowed host by a URL", "", "{apiVersion: v1, kind: Service, metadata: {annotations: {ngrok.com/url: 'tls://x.team.example.com:443'}}, spec: {ports: [{port: 80}]}}"},
		{"another's host by a URL", "services", "{apiVersion: v1, kind: Service, metadata: {annotations: {ngrok.com/url: 'tls://x.team.example.com@shop.example.com'}}, spec: {ports: [{port: 80}]}}"},
		{"other annotations", "", ingress("nginx.ingress.kubernetes.io/rewrite-target: /", "host: x.team.example.com, ")},
	}
	for kind, shape := range map[string]string{
		"Pod":                   "{apiVersion: v1, kind: Pod, spec: %s}",
		"Deployment":            "{apiVersion: apps/v1, kind: Deployment, spec: {" + selecting + "}}",
		"DaemonSet":             "{apiVersion: apps/v1, kind: DaemonSet, spec: {" + selecting + "}}",
		"ReplicaSet":            "{apiVersion: apps/v1, kind: ReplicaSet, spec: {" + selecting + "}}",
		"StatefulSet":           "{apiVersion: apps/v1, kind: StatefulSet, spec: {serviceName: x, " + selecting + "}}",
		"Job":                   "{apiVersion: batch/v1, kind: Job, spec: {template: {spec: %s}}}",
		"CronJob":               "{apiVersion: batch/v1, kind: CronJob, spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: %s}}}}}",
		"ReplicationController": "{apiVersion: v1, kind: ReplicationController, spec: {selector: {a: b}, template: {metadata: {labels: {a: b}}, spec: %s}}}",
		"PodTemplate":           "{apiVersion: v1, kind: PodTemplate, template: {spec: %s}}",
	} {
		once := ""
		if strings.HasSuffix(kind, "Job") {
			once = "restartPolicy: Never, "
		}
		policy := guarded[kind].Resource
		all = append(all,
			attempt{kind + " of the default class", "", fmt.Sprintf(shape, fmt.Sprintf(podSpec, once))},
			attempt{kind + " of an allowed class", "", fmt.Sprintf(shape, fmt.Sprintf(podSpec, once+"priorityClassName: guard-allowed, "))},
			attempt{kind + " of a class below the default", "", fmt.Sprintf(shape, fmt.Sprintf(podSpec, once+"priorityClassName: guard-low, "))},
			attempt{kind + " of a high class", policy, fmt.Sprintf(shape, fmt.Sprintf(podSpec, once+high))},
			attempt{kind + " whose claim names a volume", policy, fmt.Sprintf(shape, fmt.Sprintf(podSpec, once+volume))},
			attempt{kind + " with a storage server's path", policy, fmt.Sprintf(shape, fmt.Sprintf(podSpec, once+"volumes: [{name: v, nfs: {server: 192.0.2.1, path: /}}], "))},
			attempt{kind + " with a share by a CSI driver", policy, fmt.Sprintf(shape, fmt.Sprintf(podSpec, once+"volumes: [{name: v, csi: {driver: nfs.csi.k8s.io, volumeAttributes: {server: 192.0.2.1, share: /}}}], "))},
			attempt{kind + " with secrets of its own and an allowed CSI driver", "", fmt.Sprintf(shape, fmt.Sprintf(podSpec, once+"volumes: [{name: v, csi: {driver: csi.spiffe.io}}, {name: w, csi: {driver: allowed.example.com}}], "))},
		)
	}
	return all
}

// guardPolicies are the kinds of the guard's policies.
var guardPolicies = []string{
	"compositepodgroups", "configmaps", "controllerrevisions", "cronjobs", "daemonsets", "deployments", "gateways", "grpcroutes", "httproutes", "ingresses", "jobs", "listenersets", "namespaces", "networkpolicies",
	"persistentvolumeclaims", "podgroups", "pods", "podstatuses", "podtemplates", "protected", "replicasets", "replicationcontrollers", "rolebindings", "roles", "services", "statefulsets", "tlsroutes", "workloads", "xlistenersets",
}

// classes creates the PriorityClasses of these tests before any tenant: the policies name the
// harmless ones. A group of pods can't have a class of Kubernetes' own.
func (w *world) classes(ctx context.Context) error {
	for name, value := range map[string]int32{"guard-allowed": 5, "guard-low": -5, "guard-high": 1000} {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
		if _, err := w.root.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// guardedTeam returns a tenant with all guard rails, and users that may write in its namespace:
// its deployer, a person with direct rights, one with the role edit, an account of another
// namespace, one of its own with a token, and an account of a tenant's in kube-system.
func guardedTeam(t *testing.T) (w *world, team team, actors map[string]dynamic.Interface) {
	t.Helper()
	w, team = start(t), newTeam()
	ctx := t.Context()
	w.makeTenant(t, team, "--network", "isolated", "--hosts", "*.team.example.com", "--priority-classes", "guard-allowed", "--quota", "pods=50", "--contact", "#platform")
	w.patch(t, "namespaces", "", team.a, `{"metadata":{"annotations":{"helm-tenant/csi-drivers":"other.example.com, allowed.example.com"}}}`)
	// The role admin has everything but these.
	w.role(t, team.a, "templates", rule("", "podtemplates", "*"))
	person := rbacv1.Subject{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: "person-" + team.name}
	elsewhere := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "default", Name: "default"}
	editor := rbacv1.Subject{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: "editor-" + team.name}
	own := rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.a, Name: "own"}
	system := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "kube-system", Name: "helm"}
	w.bind(t, team.a, "templates", "Role", "templates", person, elsewhere, editor, own, system, rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.home, Name: "tiller"})
	w.bind(t, team.a, "direct", "ClusterRole", "admin", person, elsewhere, own, system)
	w.bind(t, team.a, "edits", "ClusterRole", "edit", editor)
	actors = map[string]dynamic.Interface{
		"deployer":                             w.as(t, "system:serviceaccount:"+team.home+":tiller", "system:serviceaccounts", "system:serviceaccounts:"+team.home),
		"person":                               w.as(t, "person-"+team.name),
		"editor":                               w.as(t, "editor-"+team.name),
		"own account":                          w.withToken(t, team.a, "own"),
		"a deployer whose home is kube-system": w.as(t, "system:serviceaccount:kube-system:helm", "system:serviceaccounts", "system:serviceaccounts:kube-system"),
		"another's account":                    w.as(t, "system:serviceaccount:default:default", "system:serviceaccounts", "system:serviceaccounts:default"),
	}
	eventually(t, "the guard", func() error {
		_, err := actors["person"].Resource(guarded["Service"]).Namespace(team.a).Create(ctx, parsed(t, team, fmt.Sprintf(serves, "externalIPs: [10.0.0.1]")), metav1.CreateOptions{DryRun: []string{"All"}})
		return byGuard(err, "services")
	})
	return w, team, actors
}

// TestTheGuard: three users who are no admins of the namespace create objects that the policies
// refuse and objects that they allow; an admin creates all of them.
func TestTheGuard(t *testing.T) {
	t.Parallel()
	w, team, actors := guardedTeam(t)
	dryRun := metav1.CreateOptions{DryRun: []string{"All"}}
	actors["admin"] = w.as(t, "")
	for _, test := range attempts() {
		for who, client := range actors {
			object := parsed(t, team, test.object)
			_, err := client.Resource(guarded[object.GetKind()]).Namespace(team.a).Create(t.Context(), object, dryRun)
			switch {
			case who == "editor" && object.GetKind() == "RoleBinding":
				if !apierrors.IsForbidden(err) {
					t.Errorf("%s, %s: %v", who, test.what, err)
				}
			case who == "admin" || test.refusedBy == "":
				if err != nil {
					t.Errorf("%s, %s: %v", who, test.what, err)
				}
			default:
				if err := byGuard(err, test.refusedBy); err != nil {
					t.Errorf("%s, %s: %v", who, test.what, err)
				}
			}
		}
	}
}

// TestTheGuardOfUpdates: existing violations may stay, and nothing may be added.
func TestTheGuardOfUpdates(t *testing.T) {
	t.Parallel()
	w, team, actors := guardedTeam(t)
	ctx, root, person := t.Context(), w.as(t, ""), actors["deployer"]
	for _, test := range []struct {
		what, before string
		change       func(object map[string]any)
		refusedBy    string
	}{
		{"an old binding gets a label", fmt.Sprintf(refers, "{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}"), nil, ""},
		{"an old binding gets an outsider", fmt.Sprintf(refers, "{kind: ServiceAccount, namespace: NS, name: d}"), func(o map[string]any) {
			o["subjects"] = append(o["subjects"].([]any), map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"})
		}, "rolebindings"},
		{"an old Service with external IPs gets a label", fmt.Sprintf(serves, "externalIPs: [10.0.0.1]"), nil, ""},
		{"an old Service with external IPs gets a port", fmt.Sprintf(serves, "externalIPs: [10.0.0.1]"), func(o map[string]any) {
			spec := o["spec"].(map[string]any)
			spec["ports"] = []any{map[string]any{"name": "a", "port": int64(80), "protocol": "TCP"}, map[string]any{"name": "b", "port": int64(6443), "protocol": "TCP"}}
		}, "services"},
		{"a Service gets external IPs", fmt.Sprintf(serves, "type: ClusterIP"), func(o map[string]any) { o["spec"].(map[string]any)["externalIPs"] = []any{"10.0.0.1"} }, "services"},
		{"an old claim with its volume gets a label", "{apiVersion: v1, kind: PersistentVolumeClaim, spec: " + fmt.Sprintf(claims, ", volumeName: pv") + "}", nil, ""},
		{"a claim gets a volume", "{apiVersion: v1, kind: PersistentVolumeClaim, spec: " + fmt.Sprintf(claims, "") + "}", func(o map[string]any) { o["spec"].(map[string]any)["volumeName"] = "pv" }, "persistentvolumeclaims"},
		{"an old Deployment of a high class is scaled", "{apiVersion: apps/v1, kind: Deployment, spec: {" + fmt.Sprintf(selecting, fmt.Sprintf(podSpec, "priorityClassName: system-node-critical, ")) + "}}",
			func(o map[string]any) { o["spec"].(map[string]any)["replicas"] = int64(3) }, ""},
		{"a Deployment gets a high class", "{apiVersion: apps/v1, kind: Deployment, spec: {" + fmt.Sprintf(selecting, fmt.Sprintf(podSpec, "")) + "}}",
			func(o map[string]any) {
				o["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["priorityClassName"] = "system-node-critical"
			}, "deployments"},
		{"an old Ingress of another host gets a label", ingress("", "host: shop.example.com, "), nil, ""},
		{"an Ingress gets another host", ingress("", "host: x.team.example.com, "), func(o map[string]any) {
			o["spec"].(map[string]any)["rules"] = []any{map[string]any{"host": "shop.example.com"}}
		}, "ingresses"},
		{"an old open egress gets a label", fmt.Sprintf(opens, "{}"), nil, ""},
		{"an old open egress gets other pods", fmt.Sprintf(opens, "{}"), func(o map[string]any) {
			o["spec"].(map[string]any)["podSelector"] = map[string]any{"matchLabels": map[string]any{"a": "b"}}
		}, "networkpolicies"},
		{"an object becomes protected", "{apiVersion: v1, kind: ConfigMap}", func(o map[string]any) {
			(&unstructured.Unstructured{Object: o}).SetLabels(map[string]string{"helm-tenant/protected": "true"})
		}, "protected"},
		{"a protected object loses its label", "{apiVersion: v1, kind: ConfigMap, metadata: {labels: {helm-tenant/protected: 'true'}}}", func(o map[string]any) {
			(&unstructured.Unstructured{Object: o}).SetLabels(nil)
		}, "protected"},
	} {
		object := parsed(t, team, test.before)
		api := guarded[object.GetKind()]
		object.SetName("updated")
		if _, err := root.Resource(api).Namespace(team.a).Create(ctx, object, metav1.CreateOptions{}); err != nil {
			t.Errorf("%s: %v", test.what, err)
			continue
		}
		// The controllers write to the object meanwhile, and a conflict comes before the policies.
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			live, err := root.Resource(api).Namespace(team.a).Get(ctx, "updated", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if test.change == nil {
				live.SetLabels(map[string]string{"more": "labels"})
			} else {
				test.change(live.Object)
			}
			_, err = person.Resource(api).Namespace(team.a).Update(ctx, live, metav1.UpdateOptions{DryRun: []string{"All"}})
			return err
		})
		if test.refusedBy == "" && err != nil {
			t.Errorf("%s: %v", test.what, err)
		} else if test.refusedBy != "" {
			if err := byGuard(err, test.refusedBy); err != nil {
				t.Errorf("%s: %v", test.what, err)
			}
		}
		var none int64
		must(t, root.Resource(api).Namespace(team.a).Delete(ctx, "updated", metav1.DeleteOptions{GracePeriodSeconds: &none}))
		eventually(t, "the deletion", func() error {
			removed, err := root.Resource(api).Namespace(team.a).Get(ctx, "updated", metav1.GetOptions{})
			if err != nil {
				return nil
			}
			removed.SetFinalizers(nil) // what protects a claim
			_, _ = root.Resource(api).Namespace(team.a).Update(ctx, removed, metav1.UpdateOptions{})
			return fmt.Errorf("it is still there")
		})
	}
}

// TestThePoliciesHaveNoWarnings: the API server finds nothing wrong with their types.
func TestThePoliciesHaveNoWarnings(t *testing.T) {
	t.Parallel()
	w := start(t)
	eventually(t, "the check of types", func() error {
		list, err := w.root.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=helm-tenant"})
		if err != nil {
			return err
		}
		if len(list.Items) < 15 {
			return fmt.Errorf("%d policies", len(list.Items))
		}
		for _, policy := range list.Items {
			if policy.Status.ObservedGeneration < policy.Generation {
				return fmt.Errorf("%s was not checked yet", policy.Name)
			}
			if policy.Status.TypeChecking != nil && len(policy.Status.TypeChecking.ExpressionWarnings) > 0 {
				t.Errorf("%s: %+v", policy.Name, policy.Status.TypeChecking.ExpressionWarnings)
			}
		}
		return nil
	})
}
