package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
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

// markers is the namespace for harness.Settle.
const markers = "faults-markers"

func (w *world) makeNamespace(name string) error {
	_, err := w.root.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

// may asks one question.
func (w *world) may(ctx context.Context, q question, name string) (bool, error) {
	insert := func(s string) string { return strings.ReplaceAll(s, "NAME", name) }
	resource, group, _ := strings.Cut(q.resource, ".")
	resource, subresource, _ := strings.Cut(resource, "/")
	about := authorizationv1.ResourceAttributes{Namespace: insert(q.namespace), Verb: q.verb, Group: group, Resource: resource, Subresource: subresource}
	if resource == "configmaps" && q.verb == "get" {
		about.Name = "helm-tenant" // the tenant's record
	}
	if resource == "serviceaccounts" {
		about.Name = "helm"
	}
	spec := authorizationv1.SubjectAccessReviewSpec{Groups: []string{"system:authenticated"}, ResourceAttributes: &about}
	kind, who, _ := strings.Cut(insert(q.subject), " ")
	switch kind {
	case "user":
		spec.User = who
	case "group":
		spec.User, spec.Groups = "somebody", append(spec.Groups, who)
	case "account":
		namespace, _, _ := strings.Cut(who, ":")
		spec.User, spec.Groups = "system:serviceaccount:"+who, append(spec.Groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	review, err := w.root.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// access is who may do what.
type access map[question]bool

// ask asks all questions about the tenants of that name.
func (w *world) ask(ctx context.Context, all []question, name string) (access, error) {
	if err := harness.Settle(ctx, w.root, markers); err != nil {
		return nil, err
	}
	var (
		mu     sync.Mutex
		side   sync.WaitGroup
		first  error
		got    = access{}
		asking = make(chan question)
	)
	for range 4 {
		side.Go(func() {
			for q := range asking {
				allowed, err := w.may(ctx, q, name)
				mu.Lock()
				got[q] = allowed
				if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	for _, q := range all {
		asking <- q
	}
	close(asking)
	side.Wait()
	return got, first
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
