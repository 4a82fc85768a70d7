package matrix

import (
	"context"
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/harness"
)

// revisionsLeave reports whether a StatefulSet's revision, written by who may write all objects
// of apps in the namespace, has a pod created in another namespace.
func (s *server) revisionsLeave(t *testing.T) bool {
	t.Helper()
	const namespace, other, forged = "revised", "other", "forged"
	ctx := t.Context()
	for _, name := range []string{namespace, other} {
		_, err := s.root.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(t, err)
	}
	_, err := s.root.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "apps"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"*"}, Verbs: []string{"*"}}}}, metav1.CreateOptions{})
	must(t, err)
	s.bound(t, namespace, "reviser", "Role", "apps")
	must(t, harness.Settle(ctx, s.root, namespace))

	apps, labels := kubernetes.NewForConfigOrDie(s.as("reviser")).AppsV1(), map[string]string{"a": "b"}
	all := int32(9)
	_, err = apps.StatefulSets(namespace).Create(ctx, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "set"}, Spec: appsv1.StatefulSetSpec{
		ServiceName: "set", Selector: &metav1.LabelSelector{MatchLabels: labels},
		UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &all}},
		Template:       corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}},
	}}, metav1.CreateOptions{})
	must(t, err)
	data, err := json.Marshal(map[string]any{"metadata": map[string]string{"namespace": other}})
	must(t, err)
	_, err = apps.ControllerRevisions(namespace).Create(ctx, &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: forged, Labels: labels},
		Revision: 1, Data: runtime.RawExtension{Raw: data}}, metav1.CreateOptions{})
	must(t, err)
	s.await(t, "the controller to know the revision", func(ctx context.Context) (bool, error) {
		revision, err := s.root.AppsV1().ControllerRevisions(namespace).Get(ctx, forged, metav1.GetOptions{})
		return err == nil && len(revision.OwnerReferences) == 1, err
	})
	// The pod in the other namespace is collected as garbage soon, since its owner is not there.
	pods, err := s.root.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{LabelSelector: appsv1.ControllerRevisionHashLabelKey + "=" + forged})
	must(t, err)
	defer pods.Stop()
	in := ""
	s.await(t, "a pod of the forged revision", func(ctx context.Context) (bool, error) {
		select {
		case event := <-pods.ResultChan():
			if pod, isPod := event.Object.(*corev1.Pod); isPod {
				in = pod.Namespace
			}
			return in != "", nil
		default: // the controller may have written the status meanwhile; the pod may be of the first revision
			if _, err := apps.StatefulSets(namespace).Patch(ctx, "set", types.MergePatchType, []byte(`{"status":{"currentRevision":"`+forged+`"}}`), metav1.PatchOptions{}, "status"); err != nil {
				return false, err
			}
			err := s.root.CoreV1().Pods(namespace).Delete(ctx, "set-0", metav1.DeleteOptions{})
			if apierrors.IsNotFound(err) {
				err = nil
			}
			return false, err
		}
	})
	must(t, apps.StatefulSets(namespace).Delete(ctx, "set", metav1.DeleteOptions{}))
	return in == other
}
