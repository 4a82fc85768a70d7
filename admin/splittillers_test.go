package admin

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
)

// TestSplitWaits: the end of a split, and the way back, wait for the Tillers that they start
// again, when the split is over. No controller makes pods here: the test does.
func TestSplitWaits(t *testing.T) {
	t.Parallel()
	s, c := unsplit(t).start(t)
	if _, err := splitting(t, c).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := s.Objects()
	finish := func(ctx context.Context, s *Split) error { _, err := s.Finish(ctx); return err }
	abort := func(ctx context.Context, s *Split) error { _, err := s.Abort(ctx); return err }
	for _, test := range []struct {
		name string
		end  func(context.Context, *Split) error
		// pods says whether a pod of the old Tiller becomes ready while it is waited for.
		wait, pods bool
		// The namespace of the Tiller that is not ready when the wait is interrupted; "" if the
		// run ends by itself.
		late string
	}{
		{"finish, not waiting", finish, false, false, ""},
		{"finish", finish, true, true, ""},
		{"finish, interrupted", finish, true, false, "old"},
		{"abort, not waiting", abort, false, false, ""},
		{"abort, interrupted", abort, true, false, "old"},
		{"abort, a tenant's Tiller is not ready", abort, true, true, "ta-tiller"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := clustertest.Start(t, begun...)
			run := splitting(t, s.Connect())
			run.Wait = test.wait
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := false
			run.Event = func(e Event) {
				switch {
				case strings.Contains(e.Text, "0 of 1 pods ready") && test.pods:
					s.Put(readyTillerPod("old"))
				case strings.Contains(e.Text, "0 of 1 pods ready"), ended && strings.HasPrefix(e.Text, "ta: Tiller:"):
					cancel()
				}
				ended = ended || e.Change != nil && e.Change.Action == cluster.Delete && e.Change.Key == splitKey("old")
			}
			err := test.end(ctx, run)
			late, ok := errors.AsType[*cluster.NotReadyError](err)
			if ok != (test.late != "") || ok && (late.Home != test.late || late.Stopping) || !ok && err != nil {
				t.Errorf("got %v", fullText(err))
			}
			settled(t, s)
		})
	}
}

// TestSplitWaitsOn: a request that fails while the Tiller is waited for is sent again.
func TestSplitWaitsOn(t *testing.T) {
	s, c := unsplit(t).start(t)
	if _, err := splitting(t, c).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := splitting(t, c)
	run.Wait = true
	var ended, failed atomic.Bool
	run.Event = func(e Event) {
		if e.Change != nil && e.Change.Action == cluster.Delete && e.Change.Key == splitKey("old") {
			ended.Store(true)
			s.Put(readyTillerPod("old"))
		}
	}
	s.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb == "list" && r.Kind == "Pod" && r.Namespace == "old" && ended.Load() && !failed.Swap(true) {
			return apierrors.NewServiceUnavailable("the API server is being updated")
		}
		return nil
	}
	if _, err := run.Finish(t.Context()); err != nil || !failed.Load() {
		t.Errorf("failed is %t, got %v", failed.Load(), fullText(err))
	}
}

func readyTillerPod(namespace string) *corev1.Pod {
	return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tiller-deploy-1", Labels: map[string]string{"app": "helm", "name": "tiller"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "tiller", Image: "registry.example.com/tiller:v2.17.0"}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
}

// TestSplitNamesOtherContainers: what stops with the Tiller is said before it stops.
func TestSplitNamesOtherContainers(t *testing.T) {
	const note = "containers beside Tiller stop with it: exporter of Deployment tiller-deploy"
	for _, beside := range []string{"", "exporter"} {
		w := edited(unsplit(t), tillerKey("old"), func(d *appsv1.Deployment) {
			if beside != "" {
				d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: beside, Image: "registry.example/exporter:1"})
			}
		})
		_, c := w.start(t)
		run, noted := splitting(t, c), false
		run.DryRun, run.Event = true, func(e Event) { noted = noted || e.Level == Note && e.Text == note }
		if _, err := run.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if noted != (beside != "") {
			t.Errorf("beside Tiller is %q, noted: %t", beside, noted)
		}
	}
}
