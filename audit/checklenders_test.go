package audit

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// TestBorrowing: a subject that can make a controller act in the whole cluster, or create pods
// in a home, is reported once; subjects that are meant to write its objects are not, nor are
// objects that act nowhere relevant.
func TestBorrowing(t *testing.T) {
	eve, alice := User("eve"), User("alice")
	const flux, argo = "helm.toolkit.fluxcd.io", "argoproj.io"
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		want  []string
	}{
		{"releases of Flux, everywhere", func(s *Snapshot) { s.give("", "x", eve, rule(flux, "helmreleases", "create")) }, []string{"HT079 high user eve"}},
		{"releases of Flux, in one namespace", func(s *Snapshot) { s.give("c", "x", eve, rule(flux, "helmreleases", "patch")) }, []string{"HT079 high user eve"}},
		{"releases of Flux, in a home", func(s *Snapshot) { s.give("a-tiller", "x", eve, rule(flux, "helmreleases", "update", "one")) }, []string{"HT079 high user eve"}},
		{"releases of Flux, for everybody", func(s *Snapshot) { s.give("", "x", Group("system:authenticated"), rule(flux, "*", "*")) }, []string{"HT079 critical group system:authenticated"}},
		{"releases of Flux, to read and delete", func(s *Snapshot) {
			s.give("", "x", eve, rule(flux, "helmreleases", "get"), rule(flux, "helmreleases", "delete"))
		}, nil},
		{"the status of releases of Flux", func(s *Snapshot) { s.give("", "x", eve, rule(flux, "helmreleases/status", "update")) }, nil},
		{"an account of Flux's own", func(s *Snapshot) { s.give("", "x", Account("flux-system", "source-controller"), rule(flux, "*", "*")) }, nil},
		{"all accounts of Flux's namespace", func(s *Snapshot) { s.give("", "x", Group("system:serviceaccounts:flux-system"), rule(flux, "*", "*")) }, nil},
		{"an account of Flux's own that writes another's", func(s *Snapshot) {
			s.give("", "x", Account("flux-system", "image"), rule("velero.io", "restores", "create"))
		}, []string{"HT079 high service account flux-system:image"}},
		{"an account of kube-system", func(s *Snapshot) {
			s.give("", "x", Account("kube-system", "addon"), rule(flux, "helmreleases", "create"))
		}, []string{"HT079 medium service account kube-system:addon"}},
		{"a controller of Kubernetes' own", func(s *Snapshot) {
			s.Roles = append(s.Roles, Role{Name: "system:controller:generic-garbage-collector", Rules: []rbacv1.PolicyRule{rule("*", "*", "update")}})
			s.APIGroups = []string{flux}
			s.Bindings = append(s.Bindings, Binding{Name: "system:controller:generic-garbage-collector", RoleKind: "ClusterRole", RoleName: "system:controller:generic-garbage-collector", Subjects: []Subject{Account("kube-system", "generic-garbage-collector")}})
		}, nil},
		{"an administrator", func(s *Snapshot) { s.give("", "x", eve, rule("*", "*", "*")) }, []string{"HT022 high user eve"}},
		{"all objects of whichever group, which is not there", func(s *Snapshot) { s.give("c", "x", eve, rule("*", "*", "create")) }, nil},
		{"all objects of whichever group, which is there", func(s *Snapshot) {
			s.APIGroups = []string{flux}
			s.give("c", "x", eve, rule("*", "*", "create"))
		}, []string{"HT079 high user eve"}},
		{"applications of Argo CD, in its namespace", func(s *Snapshot) { s.give("argocd", "x", eve, rule(argo, "applications", "create")) }, []string{"HT079 high user eve"}},
		{"applications of Argo CD, everywhere", func(s *Snapshot) { s.give("", "x", eve, rule(argo, "applications", "create")) }, []string{"HT079 high user eve"}},
		{"applications of Argo CD, in another namespace", func(s *Snapshot) { s.give("c", "x", eve, rule(argo, "applications", "create")) }, nil},
		{"an operation of Crossplane", func(s *Snapshot) { s.give("", "x", eve, rule("ops.crossplane.io", "cronoperations", "create")) }, []string{"HT079 high user eve"}},
		{"an operation of Crossplane, in a namespace, where none is", func(s *Snapshot) { s.give("c", "x", eve, rule("ops.crossplane.io", "operations", "create")) }, nil},
		{"a mutation of Gatekeeper", func(s *Snapshot) { s.give("", "x", eve, rule("mutations.gatekeeper.sh", "assign", "create")) }, []string{"HT079 high user eve"}},
		{"a chart of K3s", func(s *Snapshot) { s.give("c", "x", eve, rule("helm.cattle.io", "helmcharts", "create")) }, []string{"HT079 high user eve"}},
		{"a source of Flux in its namespace", func(s *Snapshot) {
			s.give("flux-system", "x", eve, rule("source.toolkit.fluxcd.io", "gitrepositories", "patch", "apps"))
		}, []string{"HT079 high user eve"}},
		{"a source of Flux in its namespace, by rights over the cluster", func(s *Snapshot) { s.give("", "x", eve, rule("source.toolkit.fluxcd.io", "buckets", "update")) }, []string{"HT079 high user eve"}},
		{"a new source of Flux, which nobody names", func(s *Snapshot) {
			s.give("flux-system", "x", eve, rule("source.toolkit.fluxcd.io", "gitrepositories", "create"))
		}, nil},
		{"a source of Flux in another namespace", func(s *Snapshot) { s.give("c", "x", eve, rule("source.toolkit.fluxcd.io", "*", "*")) }, nil},
		{"a source of Flux in a tenant's namespace", func(s *Snapshot) {
			s.give("a-1", "x", eve, rule("source.toolkit.fluxcd.io", "gitrepositories", "patch"))
		}, []string{"HT040 medium user eve"}},
		{"an application of KubeVela", func(s *Snapshot) { s.give("c", "x", eve, rule("core.oam.dev", "applications", "create")) }, []string{"HT079 high user eve"}},
		{"a definition of KubeVela, for everybody's applications", func(s *Snapshot) { s.give("vela-system", "x", eve, rule("core.oam.dev", "traitdefinitions", "patch")) }, []string{"HT079 high user eve"}},
		{"a definition of KubeVela, for one's own", func(s *Snapshot) { s.give("c", "x", eve, rule("core.oam.dev", "traitdefinitions", "patch")) }, nil},
		{"a class of Karpenter's nodes", func(s *Snapshot) { s.give("", "x", eve, rule("karpenter.k8s.aws", "ec2nodeclasses", "patch")) }, []string{"HT079 high user eve"}},
		{"a pool of Karpenter's nodes", func(s *Snapshot) { s.give("", "x", eve, rule("karpenter.sh", "nodepools", "*")) }, nil},
		{"a definition by which kro makes anything", func(s *Snapshot) { s.give("", "x", eve, rule("kro.run", "resourcegraphdefinitions", "create")) }, []string{"HT079 high user eve"}},
		{"who is in a group of OpenShift's", func(s *Snapshot) { s.give("", "x", eve, rule("user.openshift.io", "groups", "patch", "devs")) }, []string{"HT079 high user eve"}},
		{"a password of Dex, in its namespace", func(s *Snapshot) { s.give("dex", "x", eve, rule("dex.coreos.com", "passwords", "create")) }, []string{"HT079 high user eve"}},
		{"a password of Dex, where it reads none", func(s *Snapshot) { s.give("c", "x", eve, rule("dex.coreos.com", "passwords", "create")) }, nil},
		{"an object in no namespace, by a RoleBinding in a tenant's", func(s *Snapshot) { s.give("a-1", "x", eve, rule("kro.run", "resourcegraphdefinitions", "create")) }, []string{"HT040 medium user eve"}},
		{"an account of a home, by kapp-controller", func(s *Snapshot) { s.give("a-tiller", "x", eve, rule("kappctrl.k14s.io", "apps", "create")) }, []string{"HT011 high user eve"}},
		{"files of OpenShift's nodes", func(s *Snapshot) {
			s.give("", "x", eve, rule("machineconfiguration.openshift.io", "machineconfigs", "create"))
		}, []string{"HT079 high user eve"}},
		{"work of a hub for itself", func(s *Snapshot) {
			s.give("local-cluster", "x", eve, rule("work.open-cluster-management.io", "manifestworks", "create"))
		}, []string{"HT079 high user eve"}},
		{"work of a hub for another cluster", func(s *Snapshot) {
			s.give("cluster-7", "x", eve, rule("work.open-cluster-management.io", "manifestworks", "create"))
		}, nil},
		{"the root of Config Sync", func(s *Snapshot) {
			s.give("config-management-system", "x", eve, rule("configsync.gke.io", "rootsyncs", "create"))
		}, []string{"HT079 high user eve"}},
		{"a repository of Config Sync", func(s *Snapshot) { s.give("c", "x", eve, rule("configsync.gke.io", "reposyncs", "create")) }, nil},
		{"a controller of Metacontroller", func(s *Snapshot) {
			s.give("", "x", eve, rule("metacontroller.k8s.io", "compositecontrollers", "create"))
		}, []string{"HT079 high user eve"}},
		{"a namespace below another", func(s *Snapshot) { s.give("c", "x", eve, rule("hnc.x-k8s.io", "subnamespaceanchors", "create")) }, nil},
		{"a namespace below a tenant's", func(s *Snapshot) { s.give("a-1", "x", alice, rule("hnc.x-k8s.io", "subnamespaceanchors", "create")) }, []string{"HT040 high user alice"}},
		{"what Capsule copies to every namespace", func(s *Snapshot) {
			s.give("", "x", eve, rule("capsule.clastix.io", "globaltenantresources", "create"))
		}, []string{"HT079 high user eve"}},
		{"a virtual machine with an account's token in a home", func(s *Snapshot) { s.give("a-tiller", "x", eve, rule("kubevirt.io", "virtualmachines", "create")) }, []string{"HT011 high user eve"}},
		{"a virtual machine elsewhere", func(s *Snapshot) { s.give("c", "x", eve, rule("kubevirt.io", "virtualmachines", "create")) }, nil},
		{"jobs of Spark and Volcano, and clusters of Ray, in a home", func(s *Snapshot) {
			s.give("a-tiller", "x", eve, rule("sparkoperator.k8s.io", "sparkapplications", "create"), rule("batch.volcano.sh", "jobs", "create"), rule("ray.io", "rayclusters", "patch"))
		}, []string{"HT011 high user eve"}},
		{"a cluster of Kafka in a home", func(s *Snapshot) { s.give("a-tiller", "x", eve, rule("kafka.strimzi.io", "kafkas", "create")) }, nil},
		{"a subscription to an operator", func(s *Snapshot) { s.give("c", "x", eve, rule("operators.coreos.com", "subscriptions", "create")) }, []string{"HT079 high user eve"}},
		{"an extension of the cluster", func(s *Snapshot) {
			s.give("", "x", eve, rule("olm.operatorframework.io", "clusterextensions", "update"))
		}, []string{"HT079 high user eve"}},
		{"certificates", func(s *Snapshot) { s.give("", "x", eve, rule("cert-manager.io", "certificates", "create")) }, nil},
		{"clusters of Cluster API", func(s *Snapshot) { s.give("", "x", eve, rule("cluster.x-k8s.io", "clusters", "create")) }, nil},
		{"releases of Flux, in a tenant's namespace", func(s *Snapshot) { s.give("a-1", "x", eve, rule(flux, "helmreleases", "create")) }, []string{"HT040 high user eve"}},
		{"releases of Flux, in a tenant's namespace, as a member", func(s *Snapshot) { s.give("a-1", "x", alice, rule(flux, "helmreleases", "create")) }, []string{"HT040 high user alice"}},
		{"releases of Flux, everywhere, as the deployer", func(s *Snapshot) {
			s.give("", "x", Account("a-tiller", "tiller"), rule(flux, "helmreleases", "create"))
		}, []string{"HT005 high service account a-tiller:tiller"}},
		{"releases of Flux, in a namespace that only its label calls a tenant's", func(s *Snapshot) {
			s.Namespaces = append(s.Namespaces, Namespace{Name: "c", Labels: map[string]string{tenant.LabelTenant: "a"}})
			s.give("c", "x", eve, rule(flux, "helmreleases", "create"))
		}, []string{"HT079 high user eve"}},
		{"workflows where an account is that is a member", func(s *Snapshot) {
			s.Accounts = append(s.Accounts, ServiceAccount{Namespace: "ci", Name: "robot"})
			for i := range s.Bindings {
				if s.Bindings[i].Name == "helm-tenant-member" {
					s.Bindings[i].Subjects = append(s.Bindings[i].Subjects, Account("ci", "robot"))
				}
			}
			s.give("ci", "x", eve, rule(argo, "workflows", "create"))
		}, []string{"HT033 medium service account ci:robot"}},
		{"an account of the tenant's own namespace that is a member", func(s *Snapshot) {
			s.Accounts = append(s.Accounts, ServiceAccount{Namespace: "a-1", Name: "ci"})
			for i := range s.Bindings {
				if s.Bindings[i].Name == "helm-tenant-member" {
					s.Bindings[i].Subjects = append(s.Bindings[i].Subjects, Account("a-1", "ci"))
				}
			}
			s.Roles = append(s.Roles, Role{Name: "admin", Rules: []rbacv1.PolicyRule{rule("", "pods", "create"), rule("", "serviceaccounts", "impersonate")}})
		}, []string{"HT033 medium service account a-1:ci", "HT081 low ClusterRole admin"}},
		{"workflows where an account is that can do everything", func(s *Snapshot) {
			s.give("", "all", Account("ops", "robot"), rule("*", "*", "*"))
			s.give("ops", "x", eve, rule(argo, "cronworkflows", "patch", "nightly"))
		}, []string{"HT021 high user eve", "HT022 high service account ops:robot"}},
		{"workflows in a home", func(s *Snapshot) { s.give("a-tiller", "x", eve, rule(argo, "workflows", "create")) }, []string{"HT011 high user eve"}},
		{"workflows everywhere", func(s *Snapshot) { s.give("", "x", eve, rule(argo, "workflows", "create")) }, []string{"HT022 high user eve"}},
		{"workflows elsewhere", func(s *Snapshot) { s.give("c", "x", eve, rule(argo, "workflows", "create")) }, nil},
		{"jobs of KEDA in a home", func(s *Snapshot) { s.give("a-tiller", "x", eve, rule("keda.sh", "scaledjobs", "patch", "one")) }, []string{"HT011 high user eve"}},
		{"scaled objects of KEDA in a home", func(s *Snapshot) { s.give("a-tiller", "x", eve, rule("keda.sh", "scaledobjects", "create")) }, nil},
		{"a binding of a role that leads to Flux", func(s *Snapshot) {
			s.Roles = append(s.Roles, Role{Name: "flux-edit", Rules: []rbacv1.PolicyRule{rule(flux, "helmreleases", "create")}})
			s.give("a-tiller", "x", eve, rule(rbacGroup, "rolebindings", "create"), rule(rbacGroup, "clusterroles", "bind", "flux-edit"))
		}, []string{"HT017 high user eve"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			team := tenant.Tenant{Name: "a", Namespaces: []string{"a-1"}, Engine: tenant.EngineTiller, Members: tenant.Members{tenant.User("alice")}}
			s := sceneOf(team)
			test.plant(s)
			compareFindings(t, s, true, test.want)
		})
	}
}

// Who can use a controller's rights reaches every deployer, in the answer for one person
// and in a revoke's rest, directly and by an account that they can be.
func TestBorrowersReachDeployers(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller))
	s.give("ci", "flux", Account("ci", "robot"), rule("kustomize.toolkit.fluxcd.io", "kustomizations", "create"))
	s.give("ci", "token", User("eve"), rule("", "serviceaccounts/token", "create", "robot"))
	ways := NewReach(s).Ways("a-tiller", User("eve"))
	if len(ways) != 1 || !slices.Equal(ways[0].IDs, []string{"use-controller"}) {
		t.Errorf("eve has the ways %v", ways)
	}
	if ways := NewReach(s).Ways("a-tiller", Account("ci", "robot")); len(ways) != 1 || !slices.Equal(ways[0].IDs, []string{"use-controller"}) {
		t.Errorf("the account has the ways %v", ways)
	}
	if ways := NewReach(s).Ways("a-tiller", Account("ci", "other")); len(ways) != 0 {
		t.Errorf("another account has the ways %v", ways)
	}
}
