package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/install"
	"helm-tenant/tenant"
)

// briefs returns the findings as "ID severity subject".
func briefs(s *Snapshot) []string {
	var got []string
	for _, f := range Audit(s, Options{}).Findings {
		got = append(got, f.ID+" "+string(f.Severity)+" "+f.Subject)
	}
	slices.Sort(got)
	return got
}

// What a tenant's member can make in the tenant's namespace is worth what its account
// can do, and names no tenant.
func TestForgedFindings(t *testing.T) {
	tiller := func(s *Snapshot, ns, account string) {
		w := s.Workloads[0]
		template := w.Template.DeepCopy()
		template.Spec.ServiceAccountName, template.Spec.Containers[0].Command = account, nil
		s.Workloads = append(s.Workloads, Workload{Kind: "Deployment", Namespace: ns, Name: "fake", Account: account, Template: template})
	}
	admin := []rbacv1.PolicyRule{rule("*", "*", "*")}
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		want   []string
	}{
		{"a Tiller of no rights in a tenant's namespace", func(s *Snapshot) { tiller(s, "a-1", "fake") },
			[]string{"HT001 low service account a-1:fake", "HT003 low Deployment fake in namespace a-1"}},
		{"one with rights in the tenant's own namespace", func(s *Snapshot) {
			tiller(s, "a-1", "fake")
			s.give("a-1", "x", Account("a-1", "fake"), rule("", "pods", "create"))
		}, []string{"HT001 medium service account a-1:fake", "HT003 medium Deployment fake in namespace a-1"}},
		{"one that is cluster-admin", func(s *Snapshot) {
			tiller(s, "a-1", "fake")
			s.give("", "x", Account("a-1", "fake"), admin...)
		}, []string{"HT001 high service account a-1:fake", "HT002 critical service account a-1:fake", "HT003 critical Deployment fake in namespace a-1",
			"HT021 high service account a-tiller:tiller"}}, // whose charts can be it
		{"a binding that names a tenant", func(s *Snapshot) {
			s.Bindings = append(s.Bindings, Binding{Namespace: "a-1", Name: "helm-tenant.q.admin", RoleKind: "ClusterRole", RoleName: "admin", Subjects: []Subject{Account("a-1", "helm")}})
		}, nil},
		{"a binding that names a tenant, beside a cluster-admin Tiller of nobody's", func(s *Snapshot) {
			s.Namespaces = append(s.Namespaces, Namespace{Name: "old"})
			tiller(s, "old", "tiller")
			s.give("", "x", Account("old", "tiller"), admin...)
			s.Bindings = append(s.Bindings, Binding{Namespace: "old", Name: "helm-tenant.x.y", RoleKind: "ClusterRole", RoleName: "admin", Subjects: []Subject{Account("old", "tiller")}})
		}, []string{"HT001 high service account old:tiller", "HT002 critical service account old:tiller", "HT003 critical Deployment fake in namespace old"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			test.change(s)
			if diff := cmp.Diff(test.want, briefs(s)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A finding about a part of an object takes no other away.
func TestFindingsHideNothing(t *testing.T) {
	const home, workload = "a-tiller", "Deployment tiller-deploy in namespace a-tiller"
	change := func(s *Snapshot, do func(*corev1.PodSpec, *corev1.Container)) {
		spec := &s.Workloads[0].Deployment.Template.Spec
		do(spec, &spec.Containers[0])
	}
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		want   []string
	}{
		{"a limit", func(s *Snapshot) {
			change(s, func(_ *corev1.PodSpec, c *corev1.Container) { delete(c.Resources.Limits, corev1.ResourceCPU) })
		}, []string{"HT055 low limits.cpu"}},
		{"a limit, and another image", func(s *Snapshot) {
			change(s, func(_ *corev1.PodSpec, c *corev1.Container) {
				delete(c.Resources.Limits, corev1.ResourceCPU)
				c.Image = "evil.example/tiller:v2.17.0"
			})
		}, []string{"HT042 medium " + workload, "HT055 low limits.cpu"}},
		{"a limit, and a second container", func(s *Snapshot) {
			change(s, func(spec *corev1.PodSpec, c *corev1.Container) {
				delete(c.Resources.Limits, corev1.ResourceCPU)
				spec.Containers = append(spec.Containers, corev1.Container{Name: "second"})
			})
		}, []string{"HT042 medium " + workload, "HT055 low limits.cpu"}},
		{"the home's label, and PodSecurity", func(s *Snapshot) {
			for i := range s.Namespaces {
				if s.Namespaces[i].Name == home {
					s.Namespaces[i].Labels = map[string]string{tenant.LabelTenant: "a"}
				}
			}
		}, []string{"HT042 medium namespace a-tiller", "HT050 low namespace a-tiller"}},
		{"a subject in the records' binding, and its own is gone", func(s *Snapshot) {
			for i, b := range s.Bindings {
				if b.Namespace == home && b.Name == "helm-tenant-records" {
					s.Bindings[i].Subjects = []Subject{User("zoe")}
				}
			}
		}, []string{"HT013 high user zoe", "HT042 medium RoleBinding helm-tenant-records in namespace a-tiller"}},
		{"a reader of a part of another's home", func(s *Snapshot) {
			b := sceneOf(team("b", tenant.EngineTiller))
			s.Records, s.Namespaces, s.Roles, s.Accounts = append(s.Records, b.Records...), append(s.Namespaces, b.Namespaces...), append(s.Roles, b.Roles[1:]...), append(s.Accounts, b.Accounts...)
			s.Bindings, s.Workloads, s.Policies = append(s.Bindings, b.Bindings...), append(s.Workloads, b.Workloads...), append(s.Policies, b.Policies...)
			s.give("b-tiller", "x", Account("a-tiller", "tiller"), rule("", "configmaps", "patch"), rule("", "services", "create"))
		}, []string{"HT005 high service account a-tiller:tiller", "HT020 medium service account a-tiller:tiller"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			test.change(s)
			if diff := cmp.Diff(test.want, briefs(s)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A user and a group of one name are two.
func TestIgnoredSubjectsHaveKinds(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller))
	s.give("a-tiller", "x", User("ops"), rule("", "secrets", "get"))
	s.give("a-tiller", "y", Group("ops"), rule("", "secrets", "get"))
	for subject, want := range map[string]int{"ops": 2, "user ops": 1, "group ops": 1, "service account ops": 2} {
		r := Audit(s, Options{Ignore: []Ignore{{ID: idSecrets, Subject: subject, Reason: "x"}}})
		if len(r.Findings) != want {
			t.Errorf("ignoring %q leaves %d findings", subject, len(r.Findings))
		}
	}
	if meant := (Ignore{ID: idSecrets, Subject: "ops"}).Meant(Audit(s, Options{})); !slices.Equal(slices.Sorted(slices.Values(meant)), []string{"group ops", "user ops"}) {
		t.Errorf("meant is %q", meant)
	}
	one, two := Finding{ID: idSecrets, Home: "h", Subject: "user a|b"}, Finding{ID: idSecrets, Home: "h", Subject: "user a", Tenants: []string{"b"}}
	if one.Fingerprint() == two.Fingerprint() {
		t.Errorf("two findings are %q", one.Fingerprint())
	}
}

// A ReplicaSet of an earlier revision of a tenant's Tiller is no Tiller of its own, unless it
// has other labels, or names another Deployment: then it is not known whose its pods are. A pod
// of it is reported, whoever wrote its owner reference.
func TestEarlierRevisionOfTiller(t *testing.T) {
	template := func(labelled bool) *corev1.PodTemplateSpec {
		d := install.Deployment(team("a", tenant.EngineTiller).WithDefaults())
		d.Spec.Template.Spec.ServiceAccountName = "magic"
		if !labelled {
			d.Spec.Template.Labels = nil
		}
		return &d.Spec.Template
	}
	for _, test := range []struct {
		name     string
		madeBy   string
		labelled bool
		tillers  int
	}{
		{"an earlier revision", install.DeploymentName, true, 0},
		{"other labels", install.DeploymentName, false, 1},
		{"another Deployment", "else", true, 1},
		{"no Deployment", "", true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			set := template(test.labelled)
			s.Workloads = append(s.Workloads, Workload{Kind: "ReplicaSet", Namespace: "a-tiller", Name: "tiller-deploy-1", Account: "magic", Template: set, MadeBy: test.madeBy})
			if got := found(s, idUnmanaged); len(got) != test.tillers {
				t.Errorf("Tillers that are nobody's: %+v", got)
			}
			s.ReplicaSets = []ReplicaSet{{Namespace: "a-tiller", Name: "tiller-deploy-1", Deployment: test.madeBy, Template: set}}
			s.Pods = append(s.Pods, Pod{Namespace: "a-tiller", Name: "tiller-deploy-1-x", Account: "magic", Labels: set.Labels, Owner: ObjectRef{"ReplicaSet", "a-tiller", "tiller-deploy-1"}, Spec: &set.Spec})
			if got := found(s, idImpostor); test.labelled != (len(got) == 1) {
				t.Errorf("pods that should not be there: %+v", got)
			}
		})
	}
}

// A ReplicaSet of an earlier revision of a Tiller that is no tenant's is no second Tiller, unless
// it has a pod with another account than the Deployment's.
func TestEarlierRevisionOfUnmanagedTiller(t *testing.T) {
	spec := install.Deployment(team("a", tenant.EngineTiller).WithDefaults()).Spec
	before := spec.Template.DeepCopy()
	before.Spec.ServiceAccountName = "magic"
	set := func(madeBy string) Workload {
		return Workload{Kind: "ReplicaSet", Namespace: "hand", Name: "tiller-deploy-1", Account: "magic", Template: before, MadeBy: madeBy}
	}
	pod := func(owner, account string) []Pod {
		own := before.Spec.DeepCopy()
		own.ServiceAccountName = account
		return []Pod{{Namespace: "hand", Name: owner + "-x", Account: account, Labels: before.Labels, Owner: ObjectRef{"ReplicaSet", "hand", owner}, Spec: own}}
	}
	for _, test := range []struct {
		name string
		set  Workload
		pods []Pod
		want []string
	}{
		{"without pods", set(install.DeploymentName), nil, []string{"tiller"}},
		{"of another Deployment", set("else"), nil, []string{"magic", "tiller"}},
		{"of none", set(""), nil, []string{"magic", "tiller"}},
		{"with a pod", set(install.DeploymentName), pod("tiller-deploy-1", "magic"), []string{"magic", "tiller"}},
		{"with a pod of the same account", set(install.DeploymentName), pod("tiller-deploy-1", "tiller"), []string{"tiller"}},
		{"a pod that names a ReplicaSet of that name", set(install.DeploymentName), pod("tiller-deploy-2", "magic"), []string{"magic", "tiller"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf()
			s.Workloads = append(s.Workloads, Workload{Kind: "Deployment", Namespace: "hand", Name: install.DeploymentName, Account: "tiller", Template: &spec.Template, Deployment: &spec}, test.set)
			s.Pods = test.pods
			var got []string
			for _, f := range found(s, idUnmanaged) {
				got = append(got, strings.TrimPrefix(f.Subject, "service account hand:"))
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What a pod in a home says of its owner hides neither the pod nor a workload: anybody who may
// write pods there can name any object.
func TestForgedOwnersInHomes(t *testing.T) {
	const home = "a-tiller"
	tiller := install.Deployment(team("a", tenant.EngineTiller).WithDefaults()).Spec.Template
	bare := tiller.Spec.DeepCopy()
	bare.ServiceAccountName = "default"
	ofTiller := ObjectRef{"ReplicaSet", home, install.DeploymentName + "-1"}
	deployer := Workload{Kind: "StatefulSet", Namespace: home, Name: "db", Account: "tiller"}
	earlier := Workload{Kind: "ReplicaSet", Namespace: home, Name: ofTiller.Name, Account: "magic", Template: tiller.DeepCopy(), MadeBy: install.DeploymentName}
	earlier.Template.Spec.ServiceAccountName = "magic"
	magic := earlier.Template.Spec.DeepCopy()
	for _, test := range []struct {
		name      string
		workloads []Workload
		pod       Pod
		want      []string
	}{
		{"another pod, by the ReplicaSet of Tiller", nil, Pod{Account: "default", Owner: ofTiller}, []string{idSharedHome}},
		{"a Tiller without labels", nil, Pod{Account: "default", Owner: ofTiller, Spec: bare}, []string{idUnmanaged}},
		{"a workload of the deployer's account", []Workload{deployer}, Pod{Account: "default", Owner: ObjectRef{"StatefulSet", home, "db"}}, []string{idSharedHome, idImpostor}},
		{"a revision whose pod lost its labels", []Workload{earlier}, Pod{Account: "magic", Owner: ofTiller, Spec: magic}, []string{idUnmanaged}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			s.Workloads = append(s.Workloads, test.workloads...)
			test.pod.Namespace, test.pod.Name = home, "p"
			s.Pods = []Pod{test.pod}
			var got []string
			for _, f := range Audit(s, Options{}).Findings {
				got = append(got, f.ID)
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, slices.Compact(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// An earlier revision of a tenant's Tiller with the same account, such as one with a priority
// class, is not reported as a workload in the deployer's place.
func TestEarlierRevisionWithAnotherClass(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller))
	s.Workloads = append(s.Workloads, Workload{Kind: "ReplicaSet", Namespace: "a-tiller", Name: "tiller-deploy-1", Account: "tiller", Template: s.Workloads[0].Template, MadeBy: install.DeploymentName})
	if got := found(s, idImpostor); len(got) > 0 {
		t.Errorf("reported is %+v", got)
	}
}
