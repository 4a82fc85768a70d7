package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/harness"
)

// question is whether somebody may do something. NAME in it stands for the name
// of the tenant that is asked about.
type question struct{ subject, namespace, verb, resource string }

func (q question) String() string {
	return fmt.Sprintf("%s %s in namespace %s by %s", q.verb, q.resource, q.namespace, q.subject)
}

// people are all members: before, after, or never.
var people = []string{"user alice", "user bob", "user carol", "group devs", "account NAME-a:ci", "user stranger"}

// questions asks for what members and deployers of the named tenants may do in
// their home and in their namespaces a, b and c.
func questions(tenants ...string) []question {
	var all []question
	add := func(subject, namespace string, what ...string) {
		for _, w := range what {
			verb, resource, _ := strings.Cut(w, " ")
			all = append(all, question{subject, namespace, verb, resource})
		}
	}
	for _, name := range tenants {
		home := name + "-tiller"
		for _, who := range people {
			add(who, home, "list pods", "create pods/portforward", "get configmaps", "get secrets", "create pods", "impersonate serviceaccounts")
			add(who, name+"-a", "get secrets", "create pods")
		}
		deployer := "account " + home + ":tiller"
		add("account "+home+":helm", home, "get secrets", "create pods")
		add("account "+home+":helm", name+"-a", "get secrets", "create deployments.apps")
		// What an account had that was made by hand reaches further.
		add(deployer, "kube-system", "get secrets", "create pods")
		add("account "+home+":helm", "kube-system", "get secrets", "create pods")
		add(deployer, home, "get secrets", "create secrets", "create pods", "create rolebindings.rbac.authorization.k8s.io", "get configmaps", "update configmaps")
		for _, in := range tenants {
			for _, ns := range []string{"-a", "-b", "-c"} {
				add(deployer, in+ns, "get pods")
				if in == name {
					add(deployer, in+ns, "create deployments.apps", "create rolebindings.rbac.authorization.k8s.io", "update configmaps", "delete services")
				}
			}
		}
	}
	return all
}

func (w *world) makeNamespace(name string) error {
	_, err := w.root.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

// placed returns the question's namespace in the tenant, or tenants, of that name.
func (q question) placed(name string) string { return strings.ReplaceAll(q.namespace, "NAME", name) }

// review returns the question as the API server's authorizer takes it.
func (q question) review(name string) authorizationv1.SubjectAccessReviewSpec {
	resource, group, _ := strings.Cut(q.resource, ".")
	resource, subresource, _ := strings.Cut(resource, "/")
	about := authorizationv1.ResourceAttributes{Namespace: q.placed(name), Verb: q.verb, Group: group, Resource: resource, Subresource: subresource}
	if resource == "configmaps" && q.verb == "get" {
		about.Name = "helm-tenant" // the tenant's record
	}
	if resource == "serviceaccounts" {
		about.Name = "helm"
	}
	spec := authorizationv1.SubjectAccessReviewSpec{Groups: []string{"system:authenticated"}, ResourceAttributes: &about}
	kind, who, _ := strings.Cut(strings.ReplaceAll(q.subject, "NAME", name), " ")
	switch kind {
	case "user":
		spec.User = who
	case "group":
		spec.User, spec.Groups = "somebody", append(spec.Groups, who)
	case "account":
		namespace, _, _ := strings.Cut(who, ":")
		spec.User, spec.Groups = "system:serviceaccount:"+who, append(spec.Groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	return spec
}

// access is who may do what.
type access map[question]bool

// ask asks all questions about the tenants of that name. Kubernetes' authorizer answers them in
// a process of its own, from the roles and bindings that are there now: the API server's knows
// them later, and each question would be a request. TestAccessIsTheAPIServers compares the two.
func (w *world) ask(ctx context.Context, all []question, name string) (access, error) {
	var namespaces []string
	specs := make([]authorizationv1.SubjectAccessReviewSpec, len(all))
	for i, q := range all {
		specs[i] = q.review(name)
		if in := q.placed(name); !slices.Contains(namespaces, in) {
			namespaces = append(namespaces, in)
		}
	}
	objects, err := harness.ReadRBAC(ctx, w.root, namespaces...)
	if err != nil {
		return nil, err
	}
	answers, err := w.oracle.May(objects, specs...)
	if err != nil {
		return nil, err
	}
	got := access{}
	for i, q := range all {
		got[q] = answers[i]
	}
	return got, nil
}

// TestAccessIsTheAPIServers asks the API server the questions that the other tests have Kubernetes'
// authorizer answer in a process of its own: about tenants with members of all kinds, narrow and
// wide roles, both engines, and a deployer with rights in kube-system.
func TestAccessIsTheAPIServers(t *testing.T) {
	w, ctx := start(t), context.Background()
	const name, markers = "ac000", "ac000-markers"
	file := strings.ReplaceAll(`apiVersion: helm-tenant/v1
tenants:
- name: NAMEx
  namespaces: [NAMEx-a, NAMEx-b]
  members: {users: [alice], groups: [devs], serviceAccounts: ["NAMEx-a:ci"]}
- name: NAMEy
  engine: both
  role: view
  namespaces: [NAMEy-a, NAMEy-c]
  members: {users: [bob]}
- name: NAMEz
  engine: impersonation
  homeNamespace: NAMEz-tiller
  namespaces: [NAMEz-b]
  members: {users: [carol]}
`, "NAME", name)
	if err := w.must(w.run(w.direct, w.folder(), file, "apply", "-f", "-", "--create-namespaces")); err != nil {
		t.Fatal(err)
	}
	if err := w.makeNamespace(markers); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: name + "x-tiller", Name: "tiller"}}}
	if _, err := w.root.RbacV1().RoleBindings("kube-system").Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.root.RbacV1().RoleBindings("kube-system").Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}()
	all := questions("NAMEx", "NAMEy", "NAMEz")
	got, err := w.ask(ctx, all, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Settle(ctx, w.root, markers); err != nil {
		t.Fatal(err)
	}
	counts := map[bool]int{}
	for _, q := range all {
		review, err := w.root.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: q.review(name)}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		counts[got[q]]++
		if allowed := review.Status.Allowed; allowed != got[q] {
			t.Errorf("%v: the API server says %t, and the authorizer by itself %t", q, allowed, got[q])
		}
	}
	t.Logf("%d questions, %d of them allowed", len(all), counts[true])
	if counts[true] < 25 || counts[false] < 25 {
		t.Errorf("too few answers of a kind: %v", counts)
	}
}

// wrong describes what is wrong with the access between two states. In each namespace a subject
// may have what it had before, or has after, or less: never more, nor a mixture that exceeds
// both. If keeps is set, a subject must keep what it has both before and after.
func (between access) wrong(before, after access, keeps bool) error {
	type where struct{ subject, namespace string }
	beyond := map[where][2][]string{}
	var wrong []string
	for q, allowed := range between {
		place := where{q.subject, q.namespace}
		lists := beyond[place]
		if allowed && !before[q] {
			lists[0] = append(lists[0], q.String())
		}
		if allowed && !after[q] {
			lists[1] = append(lists[1], q.String())
		}
		beyond[place] = lists
		if keeps && !allowed && before[q] && after[q] {
			wrong = append(wrong, "denied, though allowed before and after: "+q.String())
		}
	}
	for _, lists := range beyond {
		if len(lists[0]) > 0 && len(lists[1]) > 0 {
			wrong = append(wrong, fmt.Sprintf("more than before (%s) and more than after (%s)", strings.Join(lists[0], ", "), strings.Join(lists[1], ", ")))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("access:\n  %s", strings.Join(wrong, "\n  "))
}
