package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/admin"
	tenantaudit "helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/tenant"
	"helm-tenant/test/harness"
)

var (
	seed = flag.Int64("seed", 0, "of the randomised tests; 0 takes one by the clock, and says which")
	sets = flag.Int("sets", 400, "how many sets of roles and bindings TestRandom makes")
)

// enough is from how many sets on every path has to be open to somebody.
const enough = 300

// TestRandom makes random sets of roles and bindings, and compares the audit's report on every
// person, deployer and path with Kubernetes' own authorizer. Cluster and audit are real, but
// the sets are added in memory to the objects that were read from the cluster:
// TestRandomOnServer writes them to the API server.
func TestRandom(t *testing.T) {
	sets := *sets
	switch {
	case harness.Soak():
		sets = max(sets, 10_000)
	case testing.Short():
		sets = min(sets, 100)
	}
	c := newComparison(t)
	kubeconfig, err := tenant.LoadKubeconfig(nil, c.Admin(), "")
	must(t, err)
	client, err := cluster.Connect(kubeconfig, "test", 0)
	must(t, err)
	snapshot, err := admin.TakeSnapshot(t.Context(), client)
	must(t, err)
	objects, err := harness.ReadRBAC(t.Context(), c.root, "")
	must(t, err)
	oracle, err := harness.NewOracle()
	must(t, err)
	defer func() { must(t, oracle.Stop()) }()
	const batch = 8 // an audit takes longer with more sets at once
	for first := 0; first < sets && !t.Failed(); first += batch {
		b := c.make(numbers(first, min(first+batch, sets)))
		_, err := oracle.May(with(objects, b.objects))
		must(t, err)
		examined := tenantaudit.Examine(beside(snapshot, b.objects))
		var reporting sync.Mutex
		authorizer := func(person) authority {
			return func(questions ...authorizationv1.SubjectAccessReviewSpec) ([]bool, error) {
				return oracle.May(nil, questions...)
			}
		}
		c.compare(b, authorizer, view{
			whole: func() (got report, err error) {
				return got, convert(examined.Report(tenantaudit.Options{}), &got)
			},
			canReach: func(p person) (got report, err error) {
				o := tenantaudit.Options{Ask: tenantaudit.User(p.user)}
				if p.custom() {
					o.Groups = p.groups[:1]
				}
				reporting.Lock()
				whole := examined.Report(o)
				reporting.Unlock()
				return got, convert(tenantaudit.Report{CanReach: whole.CanReach}, &got)
			},
		})
	}
	c.sum()
	if sets < enough {
		return
	}
	for _, id := range []string{"port-forward", "proxy", "connect", "create-pods", "replace-image", "exec", "attach", "debug", "read-secrets", "write-secrets", "read-configmaps", "write-configmaps", "token", "impersonate-deployer",
		"impersonate-member", "use-account", "change-tiller", "make-jobs", "bind", "escalate", "node-proxy", "change-home", "write-record", "change-policy", "change-guard", "change-admission", "be-node", "serve-api", "create-volume", "certificate", "impersonate-administrator", "use-administrator"} {
		if c.open[id] == 0 {
			t.Errorf("%s was open to nobody: the sets try too little", id)
		}
	}
}

// TestRandomOnServer is the same with fewer sets, which are written into the
// cluster: the command is run for each person, and the API server is
// asked for the rules that hold for them, and for some of them each question.
func TestRandomOnServer(t *testing.T) {
	c := newComparison(t)
	// Some that are about one path each, and some that are all chance.
	b := c.make(append(numbers(0, 10), numbers(200, 210)...))
	var undo []func() error
	atOnce(b.objects, func(object metav1.Object) {
		remove, err := c.create(object)
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if err != nil {
			t.Errorf("%s: %v", object.GetName(), err)
			return
		}
		undo = append(undo, remove)
	})
	defer atOnce(undo, func(remove func() error) {
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	c.settle(t)
	oracle, err := harness.NewOracle()
	must(t, err)
	defer func() { must(t, oracle.Stop()) }()
	server := func(p person) authority {
		rules := &rulesOf{person: p, comparison: c, oracle: oracle, objects: &harness.RBAC{}}
		rules.each = slices.IndexFunc(b.people, func(other person) bool { return other.user == p.user })%7 == 0
		return rules.may
	}
	c.compare(b, server, view{
		whole: func() (report, error) { return c.audit(t), nil },
		canReach: func(p person) (got report, err error) {
			args := []string{"audit", "-o", "json", "--can-reach", p.user}
			if p.custom() {
				args = append(args, "--in-group", p.groups[0])
			}
			r := c.run(c.Admin(), args...)
			if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
				return got, fmt.Errorf("%w\n%s", err, r.Stderr)
			}
			return got, nil
		},
	})
	c.sum()
}

// numbers returns those from first to before end.
func numbers(first, end int) (all []int) {
	for n := first; n < end; n++ {
		all = append(all, n)
	}
	return all
}

// convert passes a report on as the JSON that the command writes.
func convert(from any, to *report) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// rulesOf is an API server as the authority on one person: it lists the rules that hold for the
// person in each namespace, and Kubernetes' authorizer decides by these. That takes a request
// for each namespace instead of one for each of a thousand questions.
type rulesOf struct {
	person
	*comparison
	oracle  *harness.Oracle
	client  kubernetes.Interface // the person's
	objects *harness.RBAC
	// each has the API server asked each question as well.
	each bool
}

func (r *rulesOf) may(questions ...authorizationv1.SubjectAccessReviewSpec) ([]bool, error) {
	for _, q := range questions {
		if err := r.read(q.ResourceAttributes.Namespace); err != nil {
			return nil, err
		}
	}
	answers, err := r.oracle.May(r.objects, questions...)
	if err != nil || !r.each {
		return answers, err
	}
	for i, q := range questions {
		review, err := r.reviews.AuthorizationV1().SubjectAccessReviews().Create(r.Context(), &authorizationv1.SubjectAccessReview{Spec: q}, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		if review.Status.Allowed != answers[i] {
			r.Errorf("%s, %v: the API server says %t, and by its list of rules it is %t", q.User, q.ResourceAttributes, review.Status.Allowed, answers[i])
		}
	}
	return answers, nil
}

// read adds the rules in a namespace, once, as a role that is bound to the person there.
func (r *rulesOf) read(namespace string) error {
	name := "in-" + namespace
	if slices.ContainsFunc(r.objects.ClusterRoles, func(role rbacv1.ClusterRole) bool { return role.Name == name }) {
		return nil
	}
	if r.client == nil {
		config, err := r.RESTConfig(r.user, r.groups...)
		if err != nil {
			return err
		}
		r.client = kubernetes.NewForConfigOrDie(config)
	}
	// No role is bound in the markers' namespace: what holds there holds everywhere.
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: cmp.Or(namespace, markers)}}
	review, err := r.client.AuthorizationV1().SelfSubjectRulesReviews().Create(r.Context(), review, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	role := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, rule := range review.Status.ResourceRules {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames})
	}
	r.objects.ClusterRoles = append(r.objects.ClusterRoles, role)
	meta, ref := metav1.ObjectMeta{Name: name, Namespace: namespace}, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: r.user}}
	if namespace == "" {
		r.objects.ClusterRoleBindings = append(r.objects.ClusterRoleBindings, rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
	} else {
		r.objects.RoleBindings = append(r.objects.RoleBindings, rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
	}
	return nil
}

// with returns those objects and those of a batch.
func with(o *harness.RBAC, more []metav1.Object) *harness.RBAC {
	all := &harness.RBAC{Roles: slices.Clip(o.Roles), RoleBindings: slices.Clip(o.RoleBindings), ClusterRoles: slices.Clip(o.ClusterRoles), ClusterRoleBindings: slices.Clip(o.ClusterRoleBindings)}
	for _, object := range more {
		switch o := object.(type) {
		case *rbacv1.Role:
			all.Roles = append(all.Roles, *o)
		case *rbacv1.ClusterRole:
			all.ClusterRoles = append(all.ClusterRoles, *o)
		case *rbacv1.RoleBinding:
			all.RoleBindings = append(all.RoleBindings, *o)
		case *rbacv1.ClusterRoleBinding:
			all.ClusterRoleBindings = append(all.ClusterRoleBindings, *o)
		}
	}
	return all
}

// beside returns a snapshot of the same cluster with more roles and bindings in it.
func beside(s *tenantaudit.Snapshot, more []metav1.Object) *tenantaudit.Snapshot {
	all := *s
	all.Roles, all.Bindings = slices.Clip(s.Roles), slices.Clip(s.Bindings)
	bind := func(o metav1.Object, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		all.Bindings = append(all.Bindings, tenantaudit.Binding{Namespace: o.GetNamespace(), Name: o.GetName(),
			RoleKind: ref.Kind, RoleName: ref.Name, Subjects: tenant.SubjectsOf(subjects, o.GetNamespace())})
	}
	for _, object := range more {
		switch o := object.(type) {
		case *rbacv1.Role:
			all.Roles = append(all.Roles, tenantaudit.Role{Namespace: o.Namespace, Name: o.Name, Rules: o.Rules})
		case *rbacv1.ClusterRole:
			all.Roles = append(all.Roles, tenantaudit.Role{Name: o.Name, Rules: o.Rules})
		case *rbacv1.RoleBinding:
			bind(o, o.RoleRef, o.Subjects)
		case *rbacv1.ClusterRoleBinding:
			bind(o, o.RoleRef, o.Subjects)
		}
	}
	return &all
}

// create writes a role or binding into the cluster, and returns what removes it.
func (w *world) create(object metav1.Object) (func() error, error) {
	ctx, now := context.Background(), metav1.DeleteOptions{}
	api, ns, name := w.root.RbacV1(), object.GetNamespace(), object.GetName()
	switch o := object.(type) {
	case *rbacv1.Role:
		return func() error { return api.Roles(ns).Delete(ctx, name, now) }, create(api.Roles(ns).Create(ctx, o, metav1.CreateOptions{}))
	case *rbacv1.ClusterRole:
		return func() error { return api.ClusterRoles().Delete(ctx, name, now) }, create(api.ClusterRoles().Create(ctx, o, metav1.CreateOptions{}))
	case *rbacv1.RoleBinding:
		return func() error { return api.RoleBindings(ns).Delete(ctx, name, now) }, create(api.RoleBindings(ns).Create(ctx, o, metav1.CreateOptions{}))
	case *rbacv1.ClusterRoleBinding:
		return func() error { return api.ClusterRoleBindings().Delete(ctx, name, now) }, create(api.ClusterRoleBindings().Create(ctx, o, metav1.CreateOptions{}))
	}
	return nil, fmt.Errorf("%T", object)
}

// atOnce does something for each, several at once.
func atOnce[T any](all []T, do func(T)) {
	const workers = 8
	var group sync.WaitGroup
	slots := make(chan struct{}, workers)
	for _, one := range all {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			do(one)
		})
	}
	group.Wait()
}
