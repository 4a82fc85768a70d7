package attack

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// makersOf returns the kinds that create pods from a template, by the kind that is named when a
// pod is refused; lasting is for kinds whose pods don't end.
func makersOf(lasting, ending corev1.PodTemplateSpec) map[string]func(context.Context, kubernetes.Interface, string) error {
	meta := metav1.ObjectMeta{Name: "thief"}
	selector := &metav1.LabelSelector{MatchLabels: lasting.Labels}
	return map[string]func(context.Context, kubernetes.Interface, string) error{
		"ReplicaSet": func(ctx context.Context, c kubernetes.Interface, ns string) error { // of a Deployment
			_, err := c.AppsV1().Deployments(ns).Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: lasting}}, metav1.CreateOptions{})
			return err
		},
		"StatefulSet": func(ctx context.Context, c kubernetes.Interface, ns string) error {
			_, err := c.AppsV1().StatefulSets(ns).Create(ctx, &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: lasting}}, metav1.CreateOptions{})
			return err
		},
		"DaemonSet": func(ctx context.Context, c kubernetes.Interface, ns string) error {
			_, err := c.AppsV1().DaemonSets(ns).Create(ctx, &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: lasting}}, metav1.CreateOptions{})
			return err
		},
		"ReplicationController": func(ctx context.Context, c kubernetes.Interface, ns string) error {
			_, err := c.CoreV1().ReplicationControllers(ns).Create(ctx, &corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Selector: lasting.Labels, Template: &lasting}}, metav1.CreateOptions{})
			return err
		},
		"Job": func(ctx context.Context, c kubernetes.Interface, ns string) error { // of a CronJob too
			if _, err := c.BatchV1().CronJobs(ns).Create(ctx, &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "* * * * *",
				JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: ending}}}}, metav1.CreateOptions{}); err != nil {
				return err
			}
			_, err := c.BatchV1().Jobs(ns).Create(ctx, &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: ending}}, metav1.CreateOptions{})
			return err
		},
	}
}
