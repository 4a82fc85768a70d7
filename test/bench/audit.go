package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The cluster that is audited.
const (
	auditTenants  = 1000
	auditBindings = 50000
	auditSubjects = 2 * auditTenants // a user and a group each
	// What is wanted at most.
	auditSeconds, auditMiB = 5, 400
)

// auditQuestions are what would be asked of the API server instead, of each
// subject about each tenant's home: a few of the rights that lead to a deployer.
var auditQuestions = []authorizationv1.ResourceAttributes{
	{Verb: "create", Resource: "pods", Subresource: "portforward"},
	{Verb: "create", Resource: "pods"},
	{Verb: "get", Resource: "secrets"},
	{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
}

// benchAudit measures an audit of a large cluster, and a sample of the questions
// that would be asked instead.
func benchAudit(ctx context.Context, ours, helm, dir string, report *strings.Builder) error {
	file := filepath.Join(dir, "audit-tenants.yaml")
	if err := os.WriteFile(file, []byte(tenantsFile("tiller", auditTenants)), 0o644); err != nil {
		return err
	}
	return withCluster(ctx, func(m *meter) error {
		m.env = append(m.env, "HELM_BIN="+helm)
		start := time.Now()
		apply := exec.CommandContext(ctx, ours, "apply", "-f", file, "--create-namespaces")
		apply.Env = m.env
		if _, err := timed(ctx, apply); err != nil {
			return err
		}
		if err := m.fillBindings(ctx); err != nil {
			return err
		}
		if err := m.settle(ctx); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "filled in %s\n", time.Since(start).Round(time.Second))
		var runs []run
		for range 3 {
			// Nothing is critical in this cluster, so that it exits with 0.
			r, err := m.measure(ctx, ours, "audit", "--fail-on", "critical")
			if err != nil {
				return err
			}
			runs = append(runs, r)
		}
		one, err := m.measure(ctx, ours, "audit", "t0500", "--fail-on", "critical")
		if err != nil {
			return err
		}
		review, canI, err := m.sampleReviews(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(report, "\nAn audit of %d tenants in %d namespaces beside their homes, %d bindings, %d subjects; three runs. To reach: %d s, %d MiB.\n\n", auditTenants, 5*auditTenants, auditBindings, auditSubjects, auditSeconds, auditMiB)
		fmt.Fprintf(report, "| command | took |\n|---|---|\n")
		for _, r := range runs {
			reached := "reached"
			if r.wall > auditSeconds*time.Second || r.memory > auditMiB<<20 {
				reached = "not reached"
			}
			fmt.Fprintf(report, "| `helm-tenant audit` | %s: %s |\n", r, reached)
		}
		fmt.Fprintf(report, "| `helm-tenant audit t0500` | %s |\n", one)
		questions := auditSubjects * auditTenants * len(auditQuestions)
		scaled := func(each time.Duration) string {
			return (each * time.Duration(questions)).Round(time.Hour).String()
		}
		fmt.Fprintf(report, "\nInstead, %d questions of each subject about each home, %d in all: scaled from a sample, asked one after the other.\n\n", len(auditQuestions), questions)
		fmt.Fprintf(report, "| command | each, measured | all, scaled |\n|---|---|---|\n| SubjectAccessReview over one connection | %s | %s |\n| `kubectl auth can-i --as` | %s | %s |\n",
			review.Round(10*time.Microsecond), scaled(review), canI.Round(time.Millisecond), scaled(canI))
		return nil
	})
}

// fillBindings adds bindings in the tenants' namespaces until there are enough:
// most for the tenant's own members, some for others.
func (m *meter) fillBindings(ctx context.Context) error {
	config, err := m.cluster.RESTConfig("bench", "system:masters")
	if err != nil {
		return err
	}
	config.QPS = -1
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	have, err := client.RbacV1().RoleBindings("").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	there := len(have.Items)
	if have.RemainingItemCount != nil {
		there += int(*have.RemainingItemCount)
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same in each run
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(48)
	for i := range auditBindings - there {
		t := i % auditTenants
		namespace := fmt.Sprintf("t%04d-%d", t, 1+i/auditTenants%5)
		who := t
		if random.IntN(20) == 0 {
			who = random.IntN(auditTenants)
		}
		subject := rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: fmt.Sprintf("user%d", who)}
		if i%2 == 0 {
			subject.Kind, subject.Name = rbacv1.GroupKind, fmt.Sprintf("group%d", who)
		}
		group.Go(func() error {
			binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("bench-%05d", i)}, Subjects: []rbacv1.Subject{subject},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}}
			_, err := client.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}

// sampleReviews measures one question, by both ways of asking.
func (m *meter) sampleReviews(ctx context.Context) (review, canI time.Duration, err error) {
	const reviews, calls = 500, 10
	config, err := m.cluster.RESTConfig("bench", "system:masters")
	if err != nil {
		return 0, 0, err
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	for i := range reviews {
		question := auditQuestions[i%len(auditQuestions)]
		question.Namespace = fmt.Sprintf("t%04d-tiller", i%auditTenants)
		asked := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: fmt.Sprintf("user%d", (i*7)%auditTenants), ResourceAttributes: &question}}
		if _, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, asked, metav1.CreateOptions{}); err != nil {
			return 0, 0, err
		}
	}
	review = time.Since(start) / reviews
	start = time.Now()
	for i := range calls {
		question := auditQuestions[i%len(auditQuestions)]
		what := question.Resource
		if question.Subresource != "" {
			what += "/" + question.Subresource
		}
		cmd := exec.CommandContext(ctx, m.cluster.Bin("kubectl"), "auth", "can-i", question.Verb, what, "--namespace", fmt.Sprintf("t%04d-tiller", i), "--as", fmt.Sprintf("user%d", i*7%auditTenants))
		cmd.Env = m.env
		if said, err := cmd.CombinedOutput(); strings.TrimSpace(string(said)) != "no" && strings.TrimSpace(string(said)) != "yes" {
			return 0, 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said)
		}
	}
	return review, time.Since(start) / calls, nil
}
