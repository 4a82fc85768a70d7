package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/install"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// TestClient: the single questions.
func TestClient(t *testing.T) {
	tested := team("t")
	server := clustertest.Start(t, wanted(t, tested)...)
	c := server.Connect()
	if user, err := c.User(t.Context()); err != nil || user != "admin" {
		t.Errorf("the user is %q, %v", user, err)
	}
	got, err := c.Record(t.Context(), "t-tiller")
	if err != nil || got.Name != "t" {
		t.Errorf("the record is %v, %v", got, err)
	}
	if _, err := c.Record(t.Context(), "t-1"); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if state, err := c.Migration(t.Context(), "t-tiller"); state != nil || err != nil {
		t.Errorf("got %v, %v", state, err)
	}
	if _, err := c.Migration(t.Context(), "t-1"); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if labels, annotations, err := c.NamespaceLabels(t.Context(), "t-1"); err != nil || labels[tenant.LabelTenant] != "t" || annotations[tenant.AnnotationHome] != "t-tiller" {
		t.Errorf("got %v, %v, %v", labels, annotations, err)
	}
	if _, _, err := c.NamespaceLabels(t.Context(), "x"); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	server.Allowed = func(permission string) bool { return permission == "get pods" }
	for verb, want := range map[string]bool{"get": true, "list": false} {
		if allowed, err := c.May(t.Context(), cluster.Permission{Verb: verb, Resource: "pods"}); err != nil || allowed != want {
			t.Errorf("%s pods: %v, %v", verb, allowed, err)
		}
	}
	served, err := c.ServedKinds(t.Context(), []string{"v1", "apps/v1", "batch/v1beta1"})
	if pods, found := served["v1"]["Pod"]; err != nil || !found || !pods.Namespaced() || served["batch/v1beta1"] != nil {
		t.Errorf("served are %v, %v", served, err)
	}
	deployments, found := served["apps/v1"]["Deployment"]
	if !found {
		t.Errorf("served are %v", served)
	}
	// The names come from a manifest, and go into a URL's path.
	for _, names := range [][2]string{{"a", "../x"}, {"..", "x"}, {"", "x"}, {"a", ""}, {"a", "x/scale"}} {
		if _, err := c.Metadata(t.Context(), deployments, names[0], names[1]); err == nil || !strings.Contains(err.Error(), "is no name of an object") {
			t.Errorf("%q: got %v", names, err)
		}
	}
	if info, err := c.ServerVersion(t.Context()); err != nil || info.Minor != "37" {
		t.Errorf("the version is %v, %v", info, err)
	}
	if as, err := c.As("system:serviceaccount:t-tiller:helm"); err != nil || as.Where() != c.Where() {
		t.Errorf("got %v", err)
	}
	count := 0
	err = cluster.Each(t.Context(), c, "RoleBinding", "", metav1.ListOptions{}, func(*rbacv1.RoleBinding) { count++ })
	if err != nil || count != 3 {
		t.Errorf("%d bindings, %v", count, err)
	}
}

// TestWaits: a wait ends with what it waits for, or says how far that was.
func TestWaits(t *testing.T) {
	tested := team("t")
	server := clustertest.Start(t, wanted(t, tested)...)
	c := server.Connect()
	key := cluster.Key{Kind: "Deployment", Namespace: "t-tiller", Name: install.DeploymentName}
	status := func(ready int64) {
		d := server.Get(key)
		d.SetGeneration(1)
		d.Object["status"] = map[string]any{"observedGeneration": int64(1), "replicas": int64(1), "updatedReplicas": int64(1), "readyReplicas": ready, "availableReplicas": ready}
		server.Put(d)
	}
	ready := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "t-tiller", Name: "ready", Labels: recognise.Labels()},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	server.Put(ready)
	status(0)
	short, cancel := context.WithTimeout(t.Context(), time.Second/5)
	defer cancel()
	var late *cluster.NotReadyError
	if err := c.WaitForTiller(short, "t-tiller", func(string) {}); !errors.As(err, &late) || late.Stopping {
		t.Errorf("got %v", err)
	}
	over, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if err := c.WaitForTiller(over, "t-tiller", func(string) {}); !errors.As(err, &late) || late.Sentence != "its status is not known yet" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait that is over before the first answer: got %v", err)
	}
	output := make(chan string, 100)
	go func() {
		<-output // it watches now
		status(1)
	}()
	long, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.WaitForTiller(long, "t-tiller", func(sentence string) { output <- sentence }); err != nil {
		t.Errorf("got %v", err)
	}
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "t-tiller", Name: "p", Labels: recognise.Labels()}}
	server.Remove(cluster.KeyOf(ready))
	server.Put(pod)
	short, cancel = context.WithTimeout(t.Context(), time.Second/5)
	defer cancel()
	if err := c.WaitUntilStopped(short, "t-tiller", func(string) {}); !errors.As(err, &late) || !late.Stopping || late.Sentence != "waiting for pod p to end" {
		t.Errorf("got %v", err)
	}
	if pods, err := c.TillerPods(t.Context(), "t-tiller"); err != nil || len(pods) != 1 {
		t.Errorf("%d pods, %v", len(pods), err)
	}
	server.Remove(cluster.KeyOf(pod))
	d := server.Get(key)
	d.Object["status"] = map[string]any{"observedGeneration": int64(1)}
	server.Put(d)
	if err := c.WaitUntilStopped(long, "t-tiller", func(string) {}); err != nil {
		t.Errorf("got %v", err)
	}
	server.Remove(key)
	if err := c.WaitForTiller(long, "t-tiller", func(string) {}); err == nil {
		t.Error("a Deployment that is gone is waited for")
	}
	short, cancel = context.WithTimeout(t.Context(), time.Second/5)
	defer cancel()
	if err := c.WaitForDeletion(short, "t-tiller"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	go func() {
		time.Sleep(time.Second / 5)
		server.Remove(cluster.Key{Kind: "Namespace", Name: "t-tiller"})
	}()
	if err := c.WaitForDeletion(long, "t-tiller"); err != nil {
		t.Errorf("got %v", err)
	}
	if err := c.WaitForDeletion(long, "t-tiller"); err != nil {
		t.Errorf("a namespace that is gone: %v", err)
	}
	for _, e := range []*cluster.NotReadyError{
		{Home: "h", Sentence: "s", Err: context.Canceled}, {Home: "h", Sentence: "s", Stopping: true, Err: context.Canceled},
		{Home: "h", Sentence: "s", Err: context.DeadlineExceeded}, {Home: "h", Sentence: "s", Stopping: true, Err: context.DeadlineExceeded}} {
		if !strings.HasPrefix(e.Error(), `the Tiller in namespace "h" `) || !strings.HasSuffix(e.Error(), ": s") || !errors.Is(e, e.Err) {
			t.Errorf("got %v", e)
		}
	}
}

// TestReleaseRecords: how records are stored, and which parts are read.
func TestReleaseRecords(t *testing.T) {
	server := clustertest.Start(t)
	c := server.Connect()
	put := func(namespace, kind, name, release string, version int, status string) {
		s := object(kind, "v1", namespace, name, map[string]string{"OWNER": "TILLER", "NAME": release, "VERSION": fmt.Sprint(version), "STATUS": status})
		s.Object["data"] = map[string]any{"release": "AAAA"}
		server.Put(s)
	}
	put("h", "Secret", "web.v1", "web", 1, "SUPERSEDED")
	put("h", "Secret", "web.v2", "web", 2, "DEPLOYED")
	put("h", "ConfigMap", "db.v1", "db", 1, "DELETED")
	for i := range 60 {
		put("many", "Secret", fmt.Sprintf("r%02d.v1", i), fmt.Sprintf("r%02d", i), 1, "DEPLOYED")
	}
	helm := object("Secret", "v1", "a", "sh.helm.release.v1.app.v3", map[string]string{"owner": "helm", "name": "app", "version": "3", "status": "deployed"})
	helm.Object["type"] = "helm.sh/release.v1"
	server.Put(helm)
	stored, err := c.StoredReleases(t.Context(), tenant.EngineTiller, "h")
	if err != nil || len(stored) != 3 {
		t.Fatalf("%d records, %v", len(stored), err)
	}
	tiller, helms, err := c.Revisions(t.Context())
	if err != nil || len(tiller["h"]) != 2 || len(tiller["many"]) != 60 || len(helms["a"]) != 1 || helms["a"][0].Version != 3 {
		t.Errorf("%v, %v, %v", tiller["h"], helms, err)
	}
	server.Writes()
	latest, err := c.LatestReleases(t.Context(), tenant.EngineTiller, "h")
	if err != nil || len(latest) != 2 || latest[1].Release != "web" || latest[1].Revision.Version != 2 || latest[1].Problem == nil {
		t.Errorf("latest are %+v, %v", latest, err)
	}
	if many, err := c.LatestReleases(t.Context(), tenant.EngineTiller, "many"); err != nil || len(many) != 60 {
		t.Errorf("%d of many, %v", len(many), err)
	}
	if newest, err := c.LatestReleases(t.Context(), tenant.EngineImpersonation, "a"); err != nil || len(newest) != 1 || newest[0].Problem == nil {
		t.Errorf("of Helm 3: %+v, %v", newest, err)
	}
	names, err := c.StoredNames(t.Context(), "a", func(m metav1.Object) bool { return strings.Contains(m.GetName(), "app") })
	if err != nil || len(names) != 1 || names[0].Live().GetUID() == "" {
		t.Errorf("names are %v, %v", names, err)
	}
	for _, namespace := range []string{"h", "many"} {
		all, err := c.StoredReleases(t.Context(), tenant.EngineTiller, namespace)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		err = c.EachRecord(t.Context(), all, func(record cluster.Record) error {
			seen++
			if _, problem := c.ReleaseOf(record); problem == nil {
				t.Errorf("%s is read", record.Key)
			}
			return nil
		})
		if err != nil || seen != len(all) {
			t.Errorf("%d of %d records in %s, %v", seen, len(all), namespace, err)
		}
		if err := c.EachRecord(t.Context(), all, func(cluster.Record) error { return errors.New("enough") }); err == nil || err.Error() != "enough" {
			t.Errorf("got %v", err)
		}
	}
	var problems []string
	err = c.EachPlaced(t.Context(), tenant.StorageSecret, func(string) bool { return true }, func(cluster.Key) {}, func(cluster.Placed) {}, func(key cluster.Key, _ error) { problems = append(problems, key.String()) })
	if err != nil || len(problems) != 61 {
		t.Errorf("%d records that can't be read, %v", len(problems), err)
	}
}
