package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/tenant"
)

// TestDrift: every field of a Tiller's Deployment, and every label and annotation of a
// namespace, that init would write is reported, and nothing that another finding reports.
func TestDrift(t *testing.T) {
	tiller := func(change func(*appsv1.DeploymentSpec)) func(*Snapshot) {
		return func(s *Snapshot) {
			changed := s.Workloads[0].Deployment.DeepCopy()
			change(changed)
			s.Workloads[0].Deployment, s.Workloads[0].Template = changed, &changed.Template
		}
	}
	pod := func(change func(*corev1.PodSpec)) func(*Snapshot) {
		return tiller(func(d *appsv1.DeploymentSpec) { change(&d.Template.Spec) })
	}
	namespace := func(name string, change func(*Namespace)) func(*Snapshot) {
		return func(s *Snapshot) {
			for i := range s.Namespaces {
				if s.Namespaces[i].Name == name {
					change(&s.Namespaces[i])
				}
			}
		}
	}
	const differs = "Tiller's Deployment differs: "
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		want   []string
	}{
		{"nothing", func(*Snapshot) {}, nil},
		{"replicas", tiller(func(d *appsv1.DeploymentSpec) { d.Replicas = new(int32(3)) }), []string{differs + "spec.replicas"}},
		{"strategy", tiller(func(d *appsv1.DeploymentSpec) {
			d.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		}),
			[]string{differs + "spec.strategy.rollingUpdate, spec.strategy.type"}},
		{"image", pod(func(p *corev1.PodSpec) { p.Containers[0].Image = "registry.example/tiller:v2.17.0" }), []string{differs + "spec.template.spec.containers[0].image"}},
		{"second container", pod(func(p *corev1.PodSpec) { p.Containers = append(p.Containers, corev1.Container{Name: "second"}) }), []string{differs + "spec.template.spec.containers"}},
		{"node selector", pod(func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"disk": "ssd"} }), []string{differs + "spec.template.spec.nodeSelector"}},
		{"annotation of kubectl rollout restart", tiller(func(d *appsv1.DeploymentSpec) {
			d.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "now"}
		}), nil},
		{"what another finding reports", pod(func(p *corev1.PodSpec) { p.HostPID = true }), nil},
		{"the same, and an image", pod(func(p *corev1.PodSpec) {
			p.HostPID = true
			p.Containers[0].Image = "registry.example/tiller:v2.17.0"
		}), []string{differs + "spec.template.spec.containers[0].image"}},
		{"label of a namespace", namespace("a-1", func(ns *Namespace) { delete(ns.Labels, tenant.LabelTenant) }), []string{"namespace a-1 differs: metadata.labels[helm-tenant/tenant]"}},
		{"annotation of a namespace", namespace("a-1", func(ns *Namespace) { delete(ns.Annotations, tenant.AnnotationHome) }),
			[]string{"namespace a-1 differs: metadata.annotations[helm-tenant/home-namespace]"}},
		{"label of the home", namespace("a-tiller", func(ns *Namespace) { ns.Labels[tenant.LabelHome] = "impersonation" }), []string{"namespace a-tiller differs: metadata.labels[helm-tenant/home]"}},
		{"label of somebody else", namespace("a-1", func(ns *Namespace) { ns.Labels["team"] = "a" }), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			test.change(s)
			var got []string
			for _, f := range found(s, idDrift) {
				got = append(got, f.Text)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
