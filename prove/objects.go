package prove

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Name is the name of every object that is tried, and of the user who is no member. None
// of the objects is ever stored. It has none of the prefixes that the guard protects, for
// which an attempt would be refused.
const Name = "tenant-proof"

// ask is a request without its sender.
type ask struct {
	method, path, kind string
	query              url.Values
	body               []byte
	review             bool
	// where is the namespace that it concerns.
	where string
}

// inNamespace sets where to the namespace in an API path, or to the namespace that the
// path is.
func (a *ask) inNamespace() *ask {
	if _, after, found := strings.Cut(a.path, "/namespaces/"); found {
		a.where, _, _ = strings.Cut(after, "/")
	}
	return a
}

func dryRun() url.Values {
	return url.Values{"dryRun": {metav1.DryRunAll}, "fieldManager": {Name}}
}

func create(path string, object any) *ask {
	return (&ask{method: http.MethodPost, path: path, kind: "application/json", query: dryRun(), body: encode(object)}).inNamespace()
}

func remove(path string) *ask {
	return (&ask{method: http.MethodDelete, path: path, query: dryRun()}).inNamespace()
}

func merge(path, patch string) *ask {
	return (&ask{method: http.MethodPatch, path: path, kind: "application/merge-patch+json", query: dryRun(), body: []byte(patch)}).inNamespace()
}

// These are paths of APIs.
const (
	coreAPI       = "/api/v1"
	appsAPI       = "/apis/apps/v1"
	networkingAPI = "/apis/networking.k8s.io/v1"
	rbacAPI       = "/apis/rbac.authorization.k8s.io/v1"
)

// pathIn returns the path of a resource, or of an object of it, in a namespace.
func pathIn(api, namespace, resource string) string {
	return api + "/namespaces/" + namespace + "/" + resource
}

// creates returns an attempt's request: to create an object in the tenant's namespace.
func creates[T any](api, resource string, object func(namespace string) T) func(*Target, string) *ask {
	return func(_ *Target, ns string) *ask { return create(pathIn(api, ns, resource), object(ns)) }
}

func createsPod(change func(*corev1.Pod)) func(*Target, string) *ask {
	return creates(coreAPI, "pods", func(ns string) *corev1.Pod {
		pod := harmless(ns)
		change(pod)
		return pod
	})
}

func createsInCluster[T any](path string, object func() T) func(*Target, string) *ask {
	return func(*Target, string) *ask { return create(path, object()) }
}

func bind(namespace, role, kind, subject string) *ask {
	return create(pathIn(rbacAPI, namespace, "rolebindings"), binding(namespace, role, kind, subject))
}

func binds(role, kind, subject string) func(*Target, string) *ask {
	return func(_ *Target, ns string) *ask { return bind(ns, role, kind, subject) }
}

// lists returns an attempt's request: to list a collection that is not the tenant's.
func lists(path string) func(*Target, string) *ask {
	return func(*Target, string) *ask { return list(path) }
}

// onOther returns an attempt's request about the other tenant; none if there is none.
func onOther(request func(*Other) *ask) func(*Target, string) *ask {
	return func(t *Target, _ string) *ask {
		if t.Other == nil {
			return nil
		}
		return request(t.Other)
	}
}

func list(path string) *ask {
	return (&ask{method: http.MethodGet, path: path, query: url.Values{"limit": {"1"}}}).inNamespace()
}

// review asks the authorizer whether the sender may do something.
func review(verb, group, resource, subresource, namespace, name string) *ask {
	return &ask{method: http.MethodPost, path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", kind: "application/json", review: true, where: namespace,
		body: encode(&authorizationv1.SelfSubjectAccessReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"},
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: namespace, Name: name,
			}}})}
}

// encode never fails for the objects of this package.
func encode(object any) []byte {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return text
}

func meta(namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: Name, Namespace: namespace}
}

// harmless returns a pod that passes every level of PodSecurity and fits into any quota
// and limit: a pod that differs from it in one field is refused for that field.
func harmless(namespace string) *corev1.Pod {
	little := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("16Mi"),
	}
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: meta(namespace),
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65534)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "main", Image: "registry.k8s.io/pause:3.10", ImagePullPolicy: corev1.PullIfNotPresent,
				Resources: corev1.ResourceRequirements{Requests: little, Limits: little},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

func service(namespace string) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: meta(namespace),
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{Name: "none"},
			Ports:    []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(443)}},
		},
	}
}

func externalService(namespace string) *corev1.Service {
	s := service(namespace)
	s.Spec.ExternalIPs = []string{"192.0.2.1"} // TEST-NET-1, RFC 5737, which nobody has
	return s
}

func nodePort(namespace string) *corev1.Service {
	s := service(namespace)
	s.Spec.Type = corev1.ServiceTypeNodePort
	return s
}

func binding(namespace, role, kind, subject string) *rbacv1.RoleBinding {
	s := rbacv1.Subject{Kind: kind, Name: subject}
	if kind == rbacv1.ServiceAccountKind {
		s.Namespace = namespace
	} else {
		s.APIGroup = rbacv1.GroupName
	}
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: meta(namespace),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{s},
	}
}

func clusterBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
		ObjectMeta: meta(""),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: Name}},
	}
}

func claim(namespace string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: meta(namespace),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			VolumeName:  Name,
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
		},
	}
}

func volume() *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"},
		ObjectMeta: meta(""),
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")},
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName:       Name,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}},
		},
	}
}

func quota(namespace string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"}, ObjectMeta: meta(namespace),
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("100000")}},
	}
}

func ingress(namespace string) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		TypeMeta: metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "Ingress"}, ObjectMeta: meta(namespace),
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
			Host: Name + ".invalid", // RFC 2606: nobody has it
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
				Path: "/", PathType: new(networkingv1.PathTypePrefix),
				Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: Name, Port: networkingv1.ServiceBackendPort{Number: 80}}},
			}}}},
		}}},
	}
}

// egress returns a NetworkPolicy that lets pods reach any address.
func egress(namespace string) *networkingv1.NetworkPolicy {
	p := policy(namespace)
	p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
	return p
}

// policy returns a NetworkPolicy as many charts have one: pods of the namespace reach one
// another.
func policy(namespace string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"}, ObjectMeta: meta(namespace),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{Name: "none"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
		},
	}
}

func settings(namespace string) *corev1.ConfigMap {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: meta(namespace)}
}

func tokenSecret(t *Target) *corev1.Secret {
	s := &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta(t.Home), Type: corev1.SecretTypeServiceAccountToken}
	s.Annotations = map[string]string{corev1.ServiceAccountNameKey: t.Account}
	return s
}

func namespaceObject() *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: meta("")}
}

// podGroups returns a Workload whose groups of pods have a priority that no class gives.
func podGroups(version, namespace string) map[string]any {
	return map[string]any{
		"apiVersion": version, "kind": "Workload", "metadata": map[string]any{"name": Name, "namespace": namespace},
		"spec": map[string]any{"podGroupTemplates": []any{map[string]any{
			"name": "main", "priority": 1000000000, "schedulingPolicy": map[string]any{"basic": map[string]any{}}}}},
	}
}

// webhook and definition are untyped, since their types would double what every start of
// helm-tenant initializes.
func webhook() map[string]any {
	return map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": map[string]any{"name": Name},
		"webhooks": []any{map[string]any{
			"name": Name + ".example.com", "admissionReviewVersions": []string{"v1"}, "sideEffects": "None", "failurePolicy": "Ignore",
			"clientConfig": map[string]any{"url": "https://127.0.0.1:1/"},
			"rules":        []any{map[string]any{"apiGroups": []string{Name + ".example.com"}, "apiVersions": []string{"v1"}, "resources": []string{"things"}, "operations": []string{"CREATE"}}},
		}},
	}
}

func definition() map[string]any {
	group := Name + ".example.com"
	return map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "things." + group},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced",
			"names":    map[string]any{"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}}}},
		},
	}
}
