package audit

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/install"
	"helm-tenant/tenant"
)

func running(program string) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{program}}}}
}

// A pod at home is the Tiller's where its workload made it, as its template says,
// whatever its labels are.
func TestPodsOfTheTiller(t *testing.T) {
	const home, set = "a-tiller", "tiller-deploy-5d5f"
	for _, test := range []struct {
		name    string
		change  func(*Pod)
		printed bool
	}{
		{"as it is made", func(*Pod) {}, false},
		{"as API servers and admission make it", func(p *Pod) {
			p.Spec.NodeName, p.Spec.Tolerations = "node", []corev1.Toleration{{Key: "x"}}
			p.Spec.Volumes = []corev1.Volume{{Name: "kube-api-access-x", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}}
		}, false},
		{"of an older ReplicaSet", func(p *Pod) {
			p.Owner, p.Spec.Containers[0].Image = ObjectRef{"ReplicaSet", p.Namespace, "tiller-deploy-old"}, "tiller:v2.16.0"
		}, false},
		{"with what a cloud's admission adds", func(p *Pod) {
			c := &p.Spec.Containers[0]
			c.Env = append(c.Env, corev1.EnvVar{Name: "AWS_ROLE_ARN", Value: "x"})
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "aws", MountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount"})
		}, false},
		{"a probe that runs a command", func(p *Pod) { p.Spec.Containers[0].LivenessProbe = running("cat") }, true},
		{"a probe more that runs a command", func(p *Pod) { p.Spec.Containers[0].StartupProbe = running("cat") }, true},
		{"another history", func(p *Pod) {
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "TILLER_NAMESPACE", Value: "x"})
		}, true},
		{"a volume over the program", func(p *Pod) {
			p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "evil", MountPath: "/tiller", SubPath: "tiller"})
		}, true},
		{"a volume over the program, by another way", func(p *Pod) {
			p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "evil", MountPath: "/var/run/secrets/../../../tiller"})
		}, true},
		{"of the name of Tiller's ReplicaSet", func(p *Pod) { p.OwnerUID = "another" }, true},
		{"of nobody's", func(p *Pod) { p.Owner = ObjectRef{} }, true},
		{"of another's ReplicaSet", func(p *Pod) { p.Owner = ObjectRef{"ReplicaSet", p.Namespace, "other-5d5f"} }, true},
		{"of a ReplicaSet that is not there", func(p *Pod) { p.Owner = ObjectRef{"ReplicaSet", p.Namespace, "tiller-deploy-x"} }, true},
		{"of a Job of that name", func(p *Pod) { p.Owner = ObjectRef{"Job", p.Namespace, set} }, true},
		{"no Tiller", func(p *Pod) { p.Spec = nil }, true},
		{"another image", func(p *Pod) { p.Spec.Containers[0].Image = "evil/tiller" }, true},
		{"another command", func(p *Pod) { p.Spec.Containers[0].Args = []string{"--x"} }, true},
		{"a hook", func(p *Pod) { p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{} }, true},
		{"a second container", func(p *Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{}) }, true},
		{"an init container", func(p *Pod) { p.Spec.InitContainers = []corev1.Container{{}} }, true},
		{"an ephemeral container", func(p *Pod) { p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{}} }, true},
		{"the node's network", func(p *Pod) { p.Spec.HostNetwork = true }, true},
		{"the node's disk", func(p *Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		}, true},
		{"another account", func(p *Pod) { p.Account = "default" }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			template := s.Workloads[0].Template
			older := template.DeepCopy()
			older.Spec.Containers[0].Image = "tiller:v2.16.0"
			s.ReplicaSets = []ReplicaSet{{home, set, "", install.DeploymentName, template}, {home, "tiller-deploy-old", "", install.DeploymentName, older}, {home, "other-5d5f", "", "other", template}}
			pod := Pod{Namespace: home, Name: "p", Account: "tiller", Labels: template.Labels, Owner: ObjectRef{"ReplicaSet", home, set}, Spec: template.Spec.DeepCopy()}
			test.change(&pod)
			s.Pods = []Pod{pod}
			got := Audit(s, Options{}).Findings
			if printed := len(got) == 1 && got[0].ID == idImpostor; printed != test.printed || !printed && len(got) > 0 {
				t.Errorf("found %+v", got)
			}
		})
	}
}

// TestMade: the name of a StatefulSet is its pods' word, and so is its UID: both count.
func TestMade(t *testing.T) {
	w := &Workload{Kind: "StatefulSet", Namespace: "h", Name: "tiller", UID: "1"}
	owner := ObjectRef{"StatefulSet", "h", "tiller"}
	for _, test := range []struct {
		pod  Pod
		want bool
	}{
		{Pod{Owner: owner, OwnerUID: "1"}, true},
		{Pod{Owner: owner, OwnerUID: "2"}, false},
		{Pod{Owner: owner}, false},
		{Pod{Owner: ObjectRef{"StatefulSet", "h", "other"}, OwnerUID: "1"}, false},
	} {
		if got := created(w, test.pod); got != test.want {
			t.Errorf("%+v: %t", test.pod, got)
		}
	}
	if !created(&Workload{Kind: "StatefulSet", Namespace: "h", Name: "tiller"}, Pod{Owner: owner, OwnerUID: "2"}) {
		t.Error("a workload of no known UID made none of its pods")
	}
}
