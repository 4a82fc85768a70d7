package admin

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// controlledBy returns the owner reference "UID KIND NAME" or "UID GROUP/KIND NAME"; none for an
// empty name.
func controlledBy(name string) []metav1.OwnerReference {
	words := strings.Fields(name)
	if len(words) != 3 {
		return nil
	}
	group, kind, named := strings.Cut(words[1], "/")
	if !named {
		group, kind = map[string]string{"CronJob": "batch", "Job": "batch"}[words[1]], words[1]
		if group == "" {
			group = "apps"
		}
	}
	return []metav1.OwnerReference{{UID: types.UID(words[0]), Kind: kind, Name: words[2], APIVersion: group + "/v1", Controller: new(true)}}
}

// A Tiller made by hand is removed through its controller only if that exists, and runs a
// Tiller or is helm-tenant's: whoever writes in its namespace writes its owner references.
func TestFindByHandIgnoresOwnerReferences(t *testing.T) {
	tiller := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "helm", "name": "tiller"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "tiller", Image: "ghcr.io/helm/tiller:v2.17.0"}}}}
	web := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}}
	meta := func(name, uid, owner string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "h", Name: name, UID: types.UID(uid), OwnerReferences: controlledBy(owner)}
	}
	deployment := func(name, uid, owner string, template corev1.PodTemplateSpec) runtime.Object {
		return &appsv1.Deployment{TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: meta(name, uid, owner), Spec: appsv1.DeploymentSpec{Template: template}}
	}
	set := func(name, uid, owner string) runtime.Object {
		return &appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: meta(name, uid, owner), Spec: appsv1.ReplicaSetSpec{Template: tiller}}
	}
	pod := func(name, uid, owner string) runtime.Object {
		metadata := meta(name, uid, owner)
		metadata.Labels = tiller.Labels
		return &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: metadata, Spec: tiller.Spec}
	}
	ours := deployment("tiller-deploy", "1", "", tiller)
	ours.(*appsv1.Deployment).Labels = map[string]string{tenant.LabelTenant: "team-a"}
	for _, test := range []struct {
		name    string
		objects []runtime.Object
		want    []string
	}{
		{"as a controller makes it", []runtime.Object{pod("tiller-1-x", "3", "2 ReplicaSet tiller-1"), set("tiller-1", "2", "1 Deployment tiller-deploy"), deployment("tiller-deploy", "1", "", tiller)}, []string{"Deployment tiller-deploy"}},
		{"of helm-tenant's own Deployment", []runtime.Object{ours, set("tiller-1", "2", "1 Deployment tiller-deploy")}, nil},
		{"a Deployment that a ConfigMap controls", []runtime.Object{deployment("tiller-deploy", "1", "9 ConfigMap kube-root-ca.crt", tiller)}, []string{"Deployment tiller-deploy"}},
		{"a pod of a ReplicaSet that is not there", []runtime.Object{pod("p", "3", "9 ReplicaSet gone")}, []string{"Pod p"}},
		{"a pod by the UID of another kind", []runtime.Object{deployment("tiller-deploy", "1", "", tiller), pod("p", "3", "1 ReplicaSet tiller-deploy")}, []string{"Deployment tiller-deploy", "Pod p"}},
		{"a pod by the name of another UID", []runtime.Object{set("s", "1", ""), pod("p", "3", "8 ReplicaSet s")}, []string{"ReplicaSet s", "Pod p"}},
		{"a pod by a kind of another group", []runtime.Object{set("s", "1", ""), pod("p", "3", "1 example.com/ReplicaSet s")}, []string{"ReplicaSet s", "Pod p"}},
		{"a ReplicaSet of a Deployment that runs something else", []runtime.Object{deployment("web", "1", "", web), set("s", "2", "1 Deployment web")}, []string{"ReplicaSet s"}},
	} {
		var objects []*unstructured.Unstructured
		for _, object := range test.objects {
			fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
			if err != nil {
				t.Fatal(err)
			}
			objects = append(objects, &unstructured.Unstructured{Object: fields})
		}
		found, err := findByHand(objects)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tiller := range found.tillers {
			names = append(names, tiller.String())
		}
		if diff := cmp.Diff(test.want, names); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}

// init and the audit read an object with an owner reference like any other, unless the owner
// exists.
func TestForgedOwnerReferences(t *testing.T) {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{PriorityClassName: "system-node-critical", Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	server := clustertest.Start(t, &corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		&appsv1.Deployment{TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web"}, Spec: appsv1.DeploymentSpec{Template: template}},
		&batchv1.CronJob{TypeMeta: metav1.TypeMeta{Kind: "CronJob", APIVersion: "batch/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "nightly", OwnerReferences: controlledBy("9 Deployment gone")}, Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}}}},
		&batchv1.Job{TypeMeta: metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "forged", OwnerReferences: controlledBy("9 CronJob nightly")}, Spec: batchv1.JobSpec{Template: template}},
		&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "forged", OwnerReferences: controlledBy("9 Deployment web")}, Spec: appsv1.ReplicaSetSpec{Template: template}},
		&corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "forged", OwnerReferences: controlledBy("9 ReplicaSet elsewhere-1")}, Spec: template.Spec},
	)
	web := string(server.Get(cluster.Key{Kind: "Deployment", Namespace: "a", Name: "web"}).GetUID())
	set := &appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web-1", OwnerReferences: controlledBy(web + " Deployment web")}, Spec: appsv1.ReplicaSetSpec{Template: template}}
	server.Put(set)
	server.Put(&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "of-another-group", OwnerReferences: controlledBy(web + " example.com/Deployment web")}, Spec: appsv1.ReplicaSetSpec{Template: template}})
	created := string(server.Get(cluster.Key{Kind: "ReplicaSet", Namespace: "a", Name: "web-1"}).GetUID())
	server.Put(&corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web-1-x", OwnerReferences: controlledBy(created + " ReplicaSet web-1")}, Spec: template.Spec})
	want := []string{"CronJob nightly", "Deployment web", "Job forged", "Pod forged", "ReplicaSet forged", "ReplicaSet of-another-group"}
	var read []string
	if err := server.Connect().EachTemplate(t.Context(), "a", func(t cluster.Template) {
		if t.Maker == (cluster.Key{}) {
			read = append(read, t.Key.Kind+" "+t.Key.Name)
		}
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(read)
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("templates, -want +got:\n%s", diff)
	}
	s, err := TakeSnapshot(t.Context(), server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	read = nil
	for _, w := range s.Workloads {
		read = append(read, w.Kind+" "+w.Name)
	}
	for _, pod := range s.Pods {
		if pod.Demand != nil && pod.Name == "forged" {
			read = append(read, "Pod "+pod.Name)
		}
	}
	slices.Sort(read)
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("workloads of a snapshot, -want +got:\n%s", diff)
	}
}
