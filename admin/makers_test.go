package admin

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// An object with an existing controller as its owner is judged by its own specification: the
// controller need not have created it. Objects that a controller creates are reported once, by
// the controller.
func TestHarmlessControllers(t *testing.T) {
	plain := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	evil := *plain.DeepCopy()
	evil.Spec.HostNetwork, evil.Spec.PriorityClassName = true, "system-node-critical"
	meta := func(name, owner string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "a", Name: name, OwnerReferences: controlledBy(owner)}
	}
	server := clustertest.Start(t, &corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		&appsv1.Deployment{TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: meta("web", ""), Spec: appsv1.DeploymentSpec{Template: plain}},
		&appsv1.DaemonSet{TypeMeta: metav1.TypeMeta{Kind: "DaemonSet", APIVersion: "apps/v1"}, ObjectMeta: meta("agent", ""), Spec: appsv1.DaemonSetSpec{Template: evil}},
		&batchv1.CronJob{TypeMeta: metav1.TypeMeta{Kind: "CronJob", APIVersion: "batch/v1"}, ObjectMeta: meta("nightly", ""), Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: plain}}}},
	)
	owner := func(kind, name string) string {
		return string(server.Get(cluster.Key{Kind: kind, Namespace: "a", Name: name}).GetUID()) + " " + kind + " " + name
	}
	set := func(name, owner string, replicas int32, template corev1.PodTemplateSpec) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: meta(name, owner), Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Template: template}}
	}
	job := func(name string, conditions ...batchv1.JobCondition) *batchv1.Job {
		return &batchv1.Job{TypeMeta: metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, ObjectMeta: meta(name, owner("CronJob", "nightly")), Spec: batchv1.JobSpec{Template: evil}, Status: batchv1.JobStatus{Conditions: conditions}}
	}
	server.Put(set("web-1", owner("Deployment", "web"), 1, plain), set("web-0", owner("Deployment", "web"), 0, evil), set("alone", "", 0, evil),
		job("named"), job("ended", batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}))
	pod := func(name, owner string, template corev1.PodTemplateSpec, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: meta(name, owner), Spec: template.Spec, Status: corev1.PodStatus{Phase: phase}}
	}
	server.Put(pod("web-1-a", owner("ReplicaSet", "web-1"), plain, corev1.PodRunning), pod("web-1-b", owner("ReplicaSet", "web-1"), evil, corev1.PodRunning), pod("web-1-c", owner("ReplicaSet", "web-1"), evil, corev1.PodRunning),
		pod("named-x", owner("Job", "named"), evil, corev1.PodRunning), pod("ended-x", owner("Job", "ended"), evil, corev1.PodSucceeded), pod("agent-x", owner("DaemonSet", "agent"), evil, corev1.PodRunning))

	level := tightening{"a", tenant.PodSecurityBaseline}
	found, err := readViolations(t.Context(), server.Connect(), cluster.NewLive(), []tightening{level})
	if err != nil {
		t.Fatal(err)
	}
	const why = ": host namespaces (hostNetwork=true)"
	if diff := cmp.Diff([]string{"DaemonSet agent" + why, "Job named" + why, "Pod web-1-b" + why, "ReplicaSet alone" + why}, found[level].value.found); diff != "" {
		t.Errorf("violations, -want +got:\n%s", diff)
	}
	demands, err := demandsIn(t.Context(), server.Connect(), "a", func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	var asking []string
	for _, demand := range demands {
		asking = append(asking, demand.Object.Kind+" "+demand.Object.Name)
	}
	slices.Sort(asking)
	if diff := cmp.Diff([]string{"DaemonSet agent", "Job named", "Pod web-1-b", "Pod web-1-c", "ReplicaSet alone"}, asking); diff != "" {
		t.Errorf("what the guard judges, -want +got:\n%s", diff)
	}
}

// What the audit reads of workloads: one that names a controller which is there, and is not
// what the controller makes, is read beside it.
func TestForgedMakersInTheSnapshot(t *testing.T) {
	plain := corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "web", Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	critical, account, tiller := *plain.DeepCopy(), *plain.DeepCopy(), *plain.DeepCopy()
	critical.Spec.PriorityClassName = "system-node-critical"
	account.Spec.ServiceAccountName = "tiller"
	tiller.Labels = map[string]string{"app": "helm", "name": "tiller"}
	meta := func(name, owner string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "a", Name: name, OwnerReferences: controlledBy(owner)}
	}
	server := clustertest.Start(t,
		&appsv1.Deployment{TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: meta("web", ""), Spec: appsv1.DeploymentSpec{Template: plain}},
		&appsv1.Deployment{TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: meta("urgent", ""), Spec: appsv1.DeploymentSpec{Template: critical}},
		&batchv1.CronJob{TypeMeta: metav1.TypeMeta{Kind: "CronJob", APIVersion: "batch/v1"}, ObjectMeta: meta("nightly", ""), Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: plain}}}},
	)
	owner := func(kind, name string) string {
		return string(server.Get(cluster.Key{Kind: kind, Namespace: "a", Name: name}).GetUID()) + " " + kind + " " + name
	}
	for name, template := range map[string]corev1.PodTemplateSpec{"plain": plain, "critical": critical, "account": account, "tiller": tiller} {
		server.Put(
			&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: meta("web-"+name, owner("Deployment", "web")),
				Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(0)), Template: template}},
			&batchv1.Job{TypeMeta: metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, ObjectMeta: meta("nightly-"+name, owner("CronJob", "nightly")),
				Spec: batchv1.JobSpec{Suspend: new(true), Template: template}},
			&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: meta("else-"+name, "no-such-uid Deployment web"),
				Spec: appsv1.ReplicaSetSpec{Template: template}},
		)
	}
	server.Put(&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: meta("urgent-1", owner("Deployment", "urgent")),
		Spec: appsv1.ReplicaSetSpec{Template: critical}})
	tillers := *tiller.DeepCopy()
	tillers.Spec.ServiceAccountName = "tiller"
	server.Put(&appsv1.Deployment{TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: meta("tiller-deploy", ""), Spec: appsv1.DeploymentSpec{Template: tillers}})
	server.Put(&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: meta("tiller-deploy-1", owner("Deployment", "tiller-deploy")),
		Spec: appsv1.ReplicaSetSpec{Template: account}}) // Tiller's account, and no Tiller
	snapshot, err := TakeSnapshot(t.Context(), server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range snapshot.Workloads {
		text := w.Kind + " " + w.Name
		if w.MadeBy != "" {
			text += ", made by " + w.MadeBy
		}
		for _, set := range w.Sets {
			text += ", with " + set
		}
		got = append(got, text)
	}
	slices.Sort(got)
	want := []string{"CronJob nightly", "Deployment tiller-deploy", "Deployment urgent, with urgent-1", "Deployment web", "Job nightly-account", "Job nightly-critical", "Job nightly-tiller",
		"ReplicaSet else-account", "ReplicaSet else-critical", "ReplicaSet else-plain", "ReplicaSet else-tiller",
		"ReplicaSet tiller-deploy-1, made by tiller-deploy", "ReplicaSet web-account, made by web", "ReplicaSet web-critical, made by web", "ReplicaSet web-tiller, made by web"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A ReplicaSet counts as its Deployment's by the Deployment's UID: with the name alone, a pod of
// it would be taken for one of Tiller.
func TestReplicaSetsOfTillerByUID(t *testing.T) {
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "helm", "name": "tiller"}},
		Spec: corev1.PodSpec{ServiceAccountName: "tiller", Containers: []corev1.Container{{Name: "x", Image: "tiller:v2.17.0"}}}}
	meta := func(name, owner string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "a", Name: name, Labels: template.Labels, OwnerReferences: controlledBy(owner)}
	}
	server := clustertest.Start(t, &appsv1.Deployment{TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: meta("tiller-deploy", ""), Spec: appsv1.DeploymentSpec{Template: template}})
	uid := string(server.Get(cluster.Key{Kind: "Deployment", Namespace: "a", Name: "tiller-deploy"}).GetUID())
	for name, owner := range map[string]string{
		"of-it": uid + " Deployment tiller-deploy", "forged": "no-such-uid Deployment tiller-deploy", "renamed": uid + " Deployment younger", "grouped": uid + " example.com/Deployment tiller-deploy", "grouped-younger": "new-uid example.com/Deployment younger", "of-younger": "new-uid Deployment younger",
	} {
		server.Put(
			&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: meta(name, owner), Spec: appsv1.ReplicaSetSpec{Template: template}},
			&corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: meta(name+"-x", string("uid-of-set ReplicaSet ")+name), Spec: template.Spec},
		)
	}
	snapshot, err := TakeSnapshot(t.Context(), server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, set := range snapshot.ReplicaSets {
		got = append(got, set.Name+" of "+set.Deployment)
	}
	slices.Sort(got)
	// A Deployment that was created after the list of them is believed.
	if diff := cmp.Diff([]string{"of-it of tiller-deploy", "of-younger of younger", "renamed of younger"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
