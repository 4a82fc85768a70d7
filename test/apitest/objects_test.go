package apitest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/harness"
)

// own are the kinds of objects that people write, tenants' and others'.
var own = map[string]schema.GroupVersionResource{
	"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
	"ConfigMap":      {Version: "v1", Resource: "configmaps"},
	"Secret":         {Version: "v1", Resource: "secrets"},
	"Service":        {Version: "v1", Resource: "services"},
	"Role":           {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"RoleBinding":    {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"NetworkPolicy":  {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"Deployment":     {Group: "apps", Version: "v1", Resource: "deployments"},
}

// dump returns all that people wrote into the team's namespaces, each object as JSON
// without what the server adds and with the team's name replaced, so that two
// teams can be compared.
func (w *world) dump(t *testing.T, team team) map[string]string {
	t.Helper()
	objects := map[string]string{}
	add := func(kind string, o *unstructured.Unstructured) {
		for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
			unstructured.RemoveNestedField(o.Object, "metadata", field)
		}
		unstructured.RemoveNestedField(o.Object, "status")
		annotations := o.GetAnnotations()
		delete(annotations, "deployment.kubernetes.io/revision")
		delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
		if len(annotations) == 0 {
			annotations = nil
		}
		o.SetAnnotations(annotations)
		withoutRestart(o)
		text, err := json.MarshalIndent(o.Object, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		rename := strings.NewReplacer(team.name, "TEAM")
		objects[rename.Replace(fmt.Sprintf("%s %s/%s", kind, o.GetNamespace(), o.GetName()))] = rename.Replace(string(text))
	}
	for _, name := range team.namespaces() {
		ns, err := w.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		add("Namespace", ns)
		for kind, resource := range own {
			list, err := w.dynamic.Resource(resource).Namespace(name).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range list.Items {
				o := &list.Items[i]
				// Every namespace has these.
				if kind == "ServiceAccount" && o.GetName() == "default" || kind == "ConfigMap" && o.GetName() == "kube-root-ca.crt" {
					continue
				}
				add(kind, o)
			}
		}
	}
	return objects
}

// versions returns the identity and version of every object of every kind in the
// team's namespaces, once nothing moves any more.
func (w *world) versions(t *testing.T, team team) map[string]string {
	t.Helper()
	var last map[string]string
	var since time.Time
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		now := w.versionsNow(t, team)
		switch {
		case !cmp.Equal(last, now):
			last, since = now, time.Now()
		case time.Since(since) > time.Second:
			return now
		}
	}
	t.Fatal("the namespaces never come to rest")
	return nil
}

func (w *world) versionsNow(t *testing.T, team team) map[string]string {
	t.Helper()
	versions := map[string]string{}
	add := func(resource string, o *metav1.PartialObjectMetadata) {
		versions[fmt.Sprintf("%s %s/%s", resource, o.Namespace, o.Name)] = fmt.Sprintf("%s at %s", o.UID, o.ResourceVersion)
	}
	for _, name := range team.namespaces() {
		ns, err := w.metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		add("namespaces", ns)
		for _, resource := range w.namespaced {
			list, err := w.metadata.Resource(resource).Namespace(name).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatalf("listing %v: %v", resource, err)
			}
			for i := range list.Items {
				add(resource.Resource, &list.Items[i])
			}
		}
	}
	return versions
}

// namespaced returns all kinds that the server can list in a namespace, but for
// events and leases, which come and change when they please.
func namespaced(client *kubernetes.Clientset) ([]schema.GroupVersionResource, error) {
	lists, err := client.Discovery().ServerPreferredNamespacedResources()
	if err != nil {
		return nil, err
	}
	found, err := discovery.GroupVersionResources(discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "create"}}, lists))
	if err != nil {
		return nil, err
	}
	var resources []schema.GroupVersionResource
	for resource := range found {
		if resource.Resource != "events" && resource.Resource != "leases" {
			resources = append(resources, resource)
		}
	}
	return resources, nil
}

// same fails the test with the difference if there is one.
func same(t *testing.T, what string, want, got any, options ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		t.Errorf("%s (- wanted, + found):\n%s", what, diff)
	}
}

// namespace makes a namespace, as somebody else did.
func (w *world) namespace(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := w.root.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// allow gives the user those rules in a namespace, or in the cluster where
// namespace is empty.
func (w *world) allow(t *testing.T, u *user, namespace string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: u.name, Namespace: namespace}
	subjects := []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: u.name}}
	var err error
	if namespace == "" {
		_, err = w.root.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
		if err == nil {
			_, err = w.root.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
				ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: u.name}}, metav1.CreateOptions{})
		}
	} else {
		_, err = w.root.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
		if err == nil {
			_, err = w.root.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
				ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: u.name}}, metav1.CreateOptions{})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules { // the user may have had some of it
		resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
		w.authorized(t, u.name, access(rule.Verbs[0], rule.APIGroups[0], resource, subresource, namespace, rule.ResourceNames[:min(1, len(rule.ResourceNames))]...))
	}
}

// eventually waits for what comes by a controller or an informer of the API
// server, and fails the test with the last reason why it has not come.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// only holds a rule to objects of those names.
func only(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	r.ResourceNames = names
	return r
}
