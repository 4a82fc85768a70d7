package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/harness"
)

// size is how many charts there are of each kind.
func size() int {
	if harness.Soak() {
		return 20
	}
	if testing.Short() {
		return 2
	}
	return 6
}

// TestCorpus compares the findings of preflight with the result of helm's install, under Helm 3
// and 4: it must find all problems of each kind, and none in charts that can be installed.
// The charts of each kind go to the two in turn; in a soak each goes to both.
func TestCorpus(t *testing.T) {
	w := start(t)
	kinds := append(troubles(), trouble{id: "fits", sorts: fitting()})
	for i, kind := range kinds {
		for _, major := range []string{"3", "4"} {
			t.Run(fmt.Sprintf("%s-%d-helm%s", kind.id, i, major), func(t *testing.T) {
				t.Parallel()
				count := size()
				if kind.id == "fits" {
					count = max(count, len(kind.sorts))
				}
				w.tryKind(t, fmt.Sprintf("t%d-%s", i, major), major, kind, charts(kind.sorts, count, slices.Contains(kind.init, "--role")))
			})
		}
	}
}

func (w *world) tryKind(t *testing.T, name, major string, kind trouble, all []string) {
	namespace := name + "-a"
	user := w.member(t, major, name+"-member")
	w.must(t, append([]string{"init", name, "--namespaces", namespace, "--create-namespaces", "--engine", "impersonation", "--user", name + "-member"}, kind.init...)...)
	if err := harness.Await(t.Context(), "the tenant", func(context.Context) (bool, error) {
		if r := user.run(t, "use", name); r.Code != 0 {
			return false, errors.New(r.String())
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	w.settle(t, namespace)
	fits := kind.id == "fits" || kind.only != "" && kind.only != major
	for i, text := range all {
		if !harness.Soak() && strconv.Itoa(3+i%2) != major {
			continue
		}
		release := fmt.Sprintf("r%d", i)
		if kind.release != "" {
			release = kind.release
		}
		if kind.prepare != "" { // Helm 4 deletes an existing object that a hook replaced
			w.kubectl(t, strings.ReplaceAll(kind.prepare, "NS", namespace), "--namespace", namespace)
		}
		folder := chart(t, text, namespace)
		args := append([]string{"install", release, folder}, kind.args...)
		report, r := user.report(t, args...)
		code := 4
		if fits {
			code = 0
		}
		t.Logf("chart %d: exit code %d, %d findings", i, r.Code, len(report.Findings))
		if r.Code != code {
			t.Errorf("chart %d: exit code %d, wanted %d: %v\n%s", i, r.Code, code, r, text)
		}
		if !fits && !slices.ContainsFunc(report.Findings, has(kind.id)) {
			t.Errorf("chart %d: no finding %s: %v\n%.2000s", i, kind.id, r, text)
		}
		why := w.install(t, user, namespace, release, args)
		if fits != (why == "") {
			t.Errorf("chart %d: the control is wrong: installing it comes to %q\n%.2000s", i, why, text)
		}
	}
}

// settle waits until the API server's authorizer and admission know the tenant's
// namespace: the guard's policies take a moment.
func (w *world) settle(t *testing.T, namespace string) {
	t.Helper()
	if err := harness.Settle(t.Context(), w.root, namespace); err != nil {
		t.Fatal(err)
	}
}

// install installs a chart as the member, and returns why the result is not what the chart
// expects; empty if it is. The release is removed.
func (w *world) install(t *testing.T, user *member, namespace, release string, args []string) string {
	t.Helper()
	r := user.run(t, append(args, "--timeout=10s")...) // no hook's pod ever runs here
	if r.Code != 0 {
		user.run(t, "uninstall", release, "--no-hooks")
		return r.Stderr
	}
	why := ""
	err := harness.Await(t.Context(), "the pods", func(ctx context.Context) (bool, error) {
		var done bool
		var err error
		done, why, err = w.pods(ctx, namespace, release)
		return done, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := user.run(t, "uninstall", release, "--no-hooks"); r.Code != 0 {
		t.Fatal(r)
	}
	return why
}

// pods reports whether the controllers have made the release's pods, or failed to, and
// why.
func (w *world) pods(ctx context.Context, namespace, release string) (done bool, why string, err error) {
	events, err := w.root.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, "", err
	}
	for _, event := range events.Items {
		if event.Reason == "FailedCreate" && (event.InvolvedObject.Name == release || strings.HasPrefix(event.InvolvedObject.Name, release+"-")) && strings.Contains(event.Message, "forbidden") {
			return true, event.Message, nil
		}
	}
	deployments, err := w.root.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, "", err
	}
	for _, d := range deployments.Items {
		if d.DeletionTimestamp == nil && d.Status.Replicas < *d.Spec.Replicas {
			return false, "", nil
		}
	}
	sets, err := w.root.AppsV1().StatefulSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, "", err
	}
	for _, s := range sets.Items {
		if s.DeletionTimestamp == nil && s.Status.Replicas < 1 && *s.Spec.Replicas > 0 || s.Spec.PodManagementPolicy == "Parallel" && s.Status.Replicas < *s.Spec.Replicas {
			return false, "", nil
		}
	}
	jobs, err := w.root.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, "", err
	}
	for _, j := range jobs.Items {
		if j.DeletionTimestamp == nil && j.Status.Active+j.Status.Failed+j.Status.Succeeded < 1 {
			return false, "", nil
		}
	}
	return true, "", nil
}
