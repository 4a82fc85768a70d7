package matrix

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/audit"
	"helm-tenant/test/harness"
)

var update = flag.Bool("update", false, "write what the servers gave into docs/kubernetes-versions.md")

// facts are what a version gives to a tenant's safety, each seen on its API server.
type facts struct {
	policies     bool // ValidatingAdmissionPolicy v1 is served
	podSecurity  bool // a privileged pod is refused in a namespace with the label
	getStreams   bool // a right to get opens a port-forward
	constrained  bool // a right to impersonate for some requests alone counts
	leave        bool // a StatefulSet's revision has pods created in another namespace
	adminHolds   []string
	editHolds    []string
	guardRefuses bool // the guard refuses external IPs
}

// questions are rights of the roles admin and edit that differ between versions, or
// that people ask about.
var questions = []authorizationv1.ResourceAttributes{
	{Verb: "create", Resource: "endpoints"},
	{Verb: "create", Group: "discovery.k8s.io", Resource: "endpointslices"},
	{Verb: "create", Group: "networking.k8s.io", Resource: "networkpolicies"},
	{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
	{Verb: "impersonate", Resource: "serviceaccounts"},
	{Verb: "create", Resource: "pods", Subresource: "eviction"},
	{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "rolebindings"},
}

// bound makes a user whom a role is bound to in a namespace.
func (s *server) bound(t *testing.T, namespace, user, kind, role string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}}}
	_, err := s.root.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{})
	must(t, err)
}

// facts finds out what the server gives, in namespaces that the story made: ns has
// podSecurity baseline and the guard.
func (s *server) facts(t *testing.T, ns string) facts {
	t.Helper()
	var f facts
	resources, err := s.root.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
	must(t, err)
	f.policies = slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == "validatingadmissionpolicies" })
	f.podSecurity = s.refusesPrivileged(t, ns)
	f.getStreams = s.opensByGet(t)
	f.constrained = s.constrains(t)
	f.leave = s.revisionsLeave(t)
	f.adminHolds, f.editHolds = s.holds(t, ns, "admin"), s.holds(t, ns, "edit")
	f.guardRefuses = f.policies && s.guardActs(t, ns)
	return f
}

func (s *server) refusesPrivileged(t *testing.T, ns string) bool {
	t.Helper()
	yes := true
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "privileged"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main", Image: "none", SecurityContext: &corev1.SecurityContext{Privileged: &yes}}}}}
	_, err := s.root.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil && !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Fatalf("a privileged pod: %v", err)
	}
	return err != nil
}

// opensByGet asks for a port-forward over a WebSocket, as who may only get it.
func (s *server) opensByGet(t *testing.T) bool {
	t.Helper()
	_, err := s.root.RbacV1().Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "gets"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"get"}}}}, metav1.CreateOptions{})
	must(t, err)
	s.bound(t, "default", "getter", "Role", "gets")
	must(t, harness.Settle(t.Context(), s.root, "default"))
	config := s.as("getter")
	config.NextProtos = []string{"http/1.1"}
	client, err := rest.HTTPClientFor(config)
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Server+"/api/v1/namespaces/default/pods/none/portforward?ports=1", nil)
	must(t, err)
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "v4.channel.k8s.io"} {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	must(t, err)
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusForbidden:
		return false
	case http.StatusNotFound: // the pod, after authorization
		return true
	}
	t.Fatalf("a port-forward by get: %s", response.Status)
	return false
}

// constrains impersonates an account as who may do so for one request alone
// (kubernetes.io/docs/reference/access-authn-authz/user-impersonation).
func (s *server) constrains(t *testing.T) bool {
	t.Helper()
	for name, rule := range map[string]rbacv1.PolicyRule{
		"impersonates": {APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate:serviceaccount"}},
		"for-lists":    {APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"impersonate-on:serviceaccount:list"}},
		"lists":        {APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}},
	} {
		_, err := s.root.RbacV1().Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
		must(t, err)
		user := "constrained"
		if name == "lists" {
			user = "system:serviceaccount:default:default"
		}
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}}}
		_, err = s.root.RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{})
		must(t, err)
	}
	must(t, harness.Settle(t.Context(), s.root, "default"))
	config := s.Config(t, "constrained")
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:default:default"}
	_, err := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		t.Fatal(err)
	}
	return err == nil
}

// holds returns the questions that a role answers with yes.
func (s *server) holds(t *testing.T, ns, role string) []string {
	t.Helper()
	user := "has-" + role
	s.bound(t, ns, user, "ClusterRole", role)
	must(t, harness.Settle(t.Context(), s.root, "default"))
	var held []string
	for _, q := range questions {
		q.Namespace = ns
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &q}}
		answer, err := s.root.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		must(t, err)
		if answer.Status.Allowed {
			name := q.Resource
			if q.Subresource != "" {
				name += "/" + q.Subresource
			}
			held = append(held, q.Verb+" "+name)
		}
	}
	return held
}

// checkFacts compares the findings with what helm-tenant assumes of that version.
func (s *server) checkFacts(t *testing.T, f facts) {
	t.Helper()
	info, err := s.root.Discovery().ServerVersion()
	must(t, err)
	takes := audit.ServerOf(*info)
	if takes.NoGetStreams == f.getStreams {
		t.Errorf("Kubernetes %s: a get opens a stream: %t, and the audit takes it for %t", s.version, f.getStreams, !takes.NoGetStreams)
	}
	if takes.NoConstrainedImpersonation == f.constrained {
		t.Errorf("Kubernetes %s: constrained impersonation: %t, and the audit takes it for %t", s.version, f.constrained, !takes.NoConstrainedImpersonation)
	}
	if takes.RevisionsStay == f.leave {
		t.Errorf("Kubernetes %s: a revision has pods created in another namespace: %t, and the audit takes it for %t", s.version, f.leave, !takes.RevisionsStay)
	}
	if f.policies != f.guardRefuses {
		t.Errorf("Kubernetes %s: it has admission policies, and the guard does not act", s.version)
	}
	version := strings.Split(strings.TrimPrefix(info.GitVersion, "v"), ".")
	s.checkTable(t, version[0]+"."+version[1], f)
}

// checkTable holds the facts against the version's row in the documentation.
func (s *server) checkTable(t *testing.T, minor string, f facts) {
	t.Helper()
	yes := func(ok bool) string {
		if ok {
			return "yes"
		}
		return "no"
	}
	list := func(held []string) string { return strings.Join(held, ", ") }
	row := fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n", minor, yes(f.guardRefuses), yes(f.podSecurity), yes(f.getStreams), yes(f.constrained), list(f.adminHolds), list(f.editHolds))
	repository, err := harness.Repository()
	must(t, err)
	path := filepath.Join(repository, "docs", "kubernetes-versions.md")
	text, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(text, []byte(row)) {
		return
	}
	if !*update {
		t.Errorf("docs/kubernetes-versions.md has not this row; HELM_TENANT_MATRIX=all go test ./matrix -update writes it:\n%s", row)
		return
	}
	var lines []string
	found := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| "+minor+" |") {
			line, found = row, true
		}
		lines = append(lines, line)
	}
	if !found {
		t.Fatalf("docs/kubernetes-versions.md has no row of %s", minor)
	}
	must(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644))
}
