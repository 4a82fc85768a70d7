package audit

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// lender is a well-known controller that acts on objects of some kinds with its own rights,
// which are usually cluster-wide: whoever may write such an object can use these rights.
type lender struct {
	name, group string
	resources   []string
	// span is the range in which an object acts.
	span span
	// homes are the usual namespaces of the controller. The service accounts there are its own.
	homes []string
}

type span int

const (
	// aside is the span of objects that act on something else than the cluster's RBAC,
	// Secrets of others and pods of others: certificates, other systems, their own
	// namespace. They matter to a tenant's guard rails only.
	aside span = iota
	// everywhere: objects in any namespace act in the whole cluster; unscoped: the objects are
	// cluster-scoped; fromHome: only objects in the controller's own namespace do.
	everywhere
	unscoped
	fromHome
	// sourced: objects in the controller's own namespace act through other objects there that
	// name them. Changing an existing one matters; no object names a new one. Objects in other
	// namespaces are only named by their writers' own objects.
	sourced
	// revised: the objects are revisions, which other facts decide about (revisions.go).
	revised
)

// The namespaces of controllers.
var (
	fluxHomes       = []string{"flux-system"}
	argoHomes       = []string{"argocd", "argo-cd", "openshift-gitops"}
	tektonHomes     = []string{"tekton-pipelines", "tekton-pipelines-resolvers", "tekton-operator", "openshift-pipelines"}
	crossplaneHomes = []string{"crossplane-system", "upbound-system"}
	secretsHomes    = []string{"external-secrets"}
	veleroHomes     = []string{"velero", "openshift-adp"}
	kyvernoHomes    = []string{"kyverno"}
	rancherHomes    = []string{"cattle-system", "cattle-fleet-system", "cattle-fleet-local-system", "cattle-fleet-clusters-system", "fleet-local"}
	olmHomes        = []string{"olm", "operators", "openshift-operator-lifecycle-manager", "openshift-marketplace", "openshift-operators"}
	olm1Homes       = []string{"olmv1-system", "openshift-operator-controller", "openshift-catalogd"}
	velaHomes       = []string{"vela-system"}
	hubHomes        = []string{"local-cluster"}
	kruiseHomes     = []string{"kruise-system"}
	conciergeHomes  = []string{"pinniped-concierge"}
	supervisorHomes = []string{"pinniped-supervisor"}
	openShiftHomes  = []string{"openshift-authentication", "openshift-authentication-operator", "openshift-oauth-apiserver", "openshift-config-operator"}
)

// lenders are identified by the kinds that their own documentation installs. Some similar
// projects are not lenders: objects of Cluster API act on other clusters; those of Strimzi, and
// of database operators, create pods with an account that the operator made for them;
// Karpenter's NodePool chooses among node classes, and does not define what runs on a node.
var lenders = []lender{
	{"Kubernetes' StatefulSet controller", appsGroup, []string{revisions}, revised, nil},
	{"Flux's helm-controller", "helm.toolkit.fluxcd.io", []string{"helmreleases"}, everywhere, fluxHomes},
	{"Flux's kustomize-controller", "kustomize.toolkit.fluxcd.io", []string{"kustomizations"}, everywhere, fluxHomes},
	{"Flux's controllers", "source.toolkit.fluxcd.io", []string{"gitrepositories", "ocirepositories", "helmrepositories", "helmcharts", "buckets", "externalartifacts"}, sourced, fluxHomes},
	{"Flux's tofu-controller", "infra.contrib.fluxcd.io", []string{"terraforms"}, aside, fluxHomes},
	{"Flux Operator", "fluxcd.controlplane.io", []string{"fluxinstances", "resourcesets"}, everywhere, fluxHomes},
	{"Helm Operator", "helm.fluxcd.io", []string{"helmreleases"}, everywhere, []string{"flux"}},
	{"Argo CD", "argoproj.io", []string{"applications", "applicationsets", "appprojects", "argocds"}, fromHome, argoHomes},
	{"Tekton Pipelines", "tekton.dev", []string{"taskruns", "pipelineruns", "customruns"}, aside, tektonHomes},
	{"Tekton Triggers", "triggers.tekton.dev", []string{"eventlisteners", "triggers", "triggertemplates"}, aside, tektonHomes},
	{"Tekton's resolvers", "resolution.tekton.dev", []string{"resolutionrequests"}, aside, tektonHomes},
	{"Tekton Operator", "operator.tekton.dev", []string{"tektonconfigs", "tektoninstallersets"}, unscoped, tektonHomes},
	{"Crossplane", "apiextensions.crossplane.io", []string{"compositions", "compositeresourcedefinitions"}, unscoped, crossplaneHomes},
	{"Crossplane", "pkg.crossplane.io", []string{"configurations", "functions", "providers", "deploymentruntimeconfigs"}, unscoped, crossplaneHomes},
	{"Crossplane", "ops.crossplane.io", []string{"operations", "cronoperations", "watchoperations"}, unscoped, crossplaneHomes},
	{"Crossplane's provider-kubernetes", "kubernetes.crossplane.io", []string{"objects", "providerconfigs"}, unscoped, crossplaneHomes},
	{"Crossplane's provider-kubernetes", "kubernetes.m.crossplane.io", []string{"objects", "providerconfigs"}, everywhere, crossplaneHomes},
	{"Crossplane's provider-helm", "helm.crossplane.io", []string{"releases", "providerconfigs"}, unscoped, crossplaneHomes},
	{"Crossplane's provider-helm", "helm.m.crossplane.io", []string{"releases", "providerconfigs"}, everywhere, crossplaneHomes},
	{"cert-manager", "cert-manager.io", []string{"certificates", "certificaterequests", "issuers", "clusterissuers"}, aside, nil},
	{"cert-manager", "acme.cert-manager.io", []string{"challenges", "orders"}, aside, nil},
	{"External Secrets", "external-secrets.io", []string{"externalsecrets", "pushsecrets", "secretstores"}, aside, secretsHomes},
	{"External Secrets", "external-secrets.io", []string{"clusterexternalsecrets", "clusterpushsecrets", "clustersecretstores"}, unscoped, secretsHomes},
	{"External Secrets", "generators.external-secrets.io", []string{"*"}, aside, secretsHomes},
	{"Velero", "velero.io", []string{"backups", "backupstoragelocations", "restores", "schedules", "podvolumebackups", "podvolumerestores", "datauploads", "datadownloads"}, fromHome, veleroHomes},
	{"Kyverno", "kyverno.io", []string{"policies", "cleanuppolicies", "clustercleanuppolicies", "updaterequests"}, aside, kyvernoHomes},
	{"Kyverno", "kyverno.io", []string{"clusterpolicies"}, unscoped, kyvernoHomes},
	{"Kyverno", "policies.kyverno.io", []string{"namespacedgeneratingpolicies", "namespacedmutatingpolicies", "deletingpolicies", "namespaceddeletingpolicies"}, aside, kyvernoHomes},
	{"Kyverno", "policies.kyverno.io", []string{"generatingpolicies", "mutatingpolicies"}, unscoped, kyvernoHomes},
	{"Gatekeeper", "mutations.gatekeeper.sh", []string{"assign", "assignimage", "modifyset"}, unscoped, []string{"gatekeeper-system"}},
	// A token is one of the user that it names.
	{"Rancher", "management.cattle.io", []string{"globalroles", "globalrolebindings", "roletemplates", "tokens"}, unscoped, rancherHomes},
	{"Rancher", "management.cattle.io", []string{"clusterroletemplatebindings", "projectroletemplatebindings"}, everywhere, rancherHomes},
	{"Rancher's Fleet", "fleet.cattle.io", []string{"gitrepos", "bundles", "helmops"}, fromHome, rancherHomes},
	{"Rancher's Fleet", "fleet.cattle.io", []string{"bundledeployments"}, everywhere, rancherHomes},
	{"the helm-controller of K3s and RKE2", "helm.cattle.io", []string{"helmcharts", "helmchartconfigs"}, everywhere, nil},
	{"Rancher's system-upgrade-controller", "upgrade.cattle.io", []string{"plans"}, fromHome, []string{"system-upgrade", "cattle-system"}},
	{"the Operator Lifecycle Manager", "operators.coreos.com", []string{"subscriptions", "clusterserviceversions", "installplans", "operatorgroups", "catalogsources"}, everywhere, olmHomes},
	{"the Operator Lifecycle Manager", "olm.operatorframework.io", []string{"clusterextensions", "clustercatalogs"}, unscoped, olm1Homes},
	// Its controller is cluster-admin unless it is configured to impersonate the application's
	// author; a definition is a template for everybody's applications.
	{"KubeVela", "core.oam.dev", []string{"applications", "workflowruns"}, everywhere, velaHomes},
	{"KubeVela", "core.oam.dev", []string{"componentdefinitions", "traitdefinitions", "workflowstepdefinitions", "policydefinitions"}, sourced, velaHomes},
	// userData runs on new nodes, with the tokens of all pods there.
	{"Karpenter", "karpenter.k8s.aws", []string{"ec2nodeclasses"}, unscoped, []string{"karpenter"}},
	{"OpenShift's machine config operator", "machineconfiguration.openshift.io", []string{"machineconfigs", "kubeletconfigs"}, unscoped, []string{"openshift-machine-config-operator"}},
	// The hub that manages itself does so under that name.
	{"Open Cluster Management", "work.open-cluster-management.io", []string{"manifestworks"}, fromHome, hubHomes},
	{"Open Cluster Management", "policy.open-cluster-management.io", []string{"configurationpolicies", "operatorpolicies"}, fromHome, hubHomes},
	{"Open Cluster Management", "rbac.open-cluster-management.io", []string{"clusterpermissions"}, fromHome, hubHomes},
	{"Config Sync", "configsync.gke.io", []string{"rootsyncs"}, fromHome, []string{"config-management-system"}},
	{"Metacontroller", "metacontroller.k8s.io", []string{"compositecontrollers", "decoratorcontrollers"}, unscoped, []string{"metacontroller"}},
	{"Sveltos", "config.projectsveltos.io", []string{"clusterprofiles"}, unscoped, []string{"projectsveltos"}},
	{"Sveltos", "config.projectsveltos.io", []string{"profiles"}, fromHome, []string{"mgmt"}}, // if the cluster manages itself
	{"kro", "kro.run", []string{"resourcegraphdefinitions"}, unscoped, []string{"kro", "kro-system"}},
	{"RBAC Manager", "rbacmanager.reactiveops.io", []string{"rbacdefinitions"}, unscoped, []string{"rbac-manager"}},
	{"the Namespace Configuration Operator", "redhatcop.redhat.io", []string{"groupconfigs", "namespaceconfigs", "userconfigs"}, unscoped, []string{"namespace-configuration-operator"}},
	{"Kanister", "cr.kanister.io", []string{"actionsets", "blueprints"}, fromHome, []string{"kanister", "kasten-io"}},
	// These put containers into pods, or objects into namespaces, of others.
	{"OpenKruise", "apps.kruise.io", []string{"resourcedistributions", "sidecarsets"}, unscoped, kruiseHomes},
	{"Kubewarden", "policies.kubewarden.io", []string{"clusteradmissionpolicies", "clusteradmissionpolicygroups", "policyservers"}, unscoped, []string{"kubewarden"}},
	{"Kubewarden", "policies.kubewarden.io", []string{"admissionpolicies", "admissionpolicygroups"}, aside, []string{"kubewarden"}},
	// These name the image of privileged pods on every node.
	{"the NVIDIA GPU Operator", "nvidia.com", []string{"clusterpolicies", "nvidiadrivers"}, unscoped, []string{"gpu-operator", "nvidia-gpu-operator"}},
	{"the Tigera operator", "operator.tigera.io", []string{"installations"}, unscoped, []string{"tigera-operator"}},
	{"Rook", "ceph.rook.io", []string{"cephclusters"}, fromHome, []string{"rook-ceph"}},
	{"KubeVirt", "kubevirt.io", []string{"kubevirts"}, fromHome, []string{"kubevirt"}},
	// These say who somebody is that logs in, or which groups they are in.
	{"the AWS IAM Authenticator", "iamauthenticator.k8s.aws", []string{"iamidentitymappings"}, unscoped, nil},
	{"Pinniped's Concierge", "authentication.concierge.pinniped.dev", []string{"jwtauthenticators", "webhookauthenticators"}, unscoped, conciergeHomes},
	{"Pinniped's Supervisor", "config.supervisor.pinniped.dev", []string{"federationdomains"}, fromHome, supervisorHomes},
	{"Pinniped's Supervisor", "idp.supervisor.pinniped.dev", []string{"activedirectoryidentityproviders", "githubidentityproviders", "ldapidentityproviders", "oidcidentityproviders"}, fromHome, supervisorHomes},
	{"Dex", "dex.coreos.com", []string{"authcodes", "authrequests", "connectors", "passwords", "refreshtokens", "signingkeies"}, fromHome, []string{"dex", "auth"}},
	{"OpenShift's login", "user.openshift.io", []string{"groups", "identities", "useridentitymappings", "users"}, unscoped, openShiftHomes},
	{"OpenShift's login", "oauth.openshift.io", []string{"oauthaccesstokens", "oauthauthorizetokens", "oauthclients"}, unscoped, openShiftHomes},
	{"OpenShift's login", "config.openshift.io", []string{"authentications", "oauths"}, unscoped, openShiftHomes},
	// These create namespaces, or objects in them, to which neither the PodSecurity level nor
	// the guard of the tenant applies.
	{"the Hierarchical Namespace Controller", "hnc.x-k8s.io", []string{"subnamespaceanchors", "hierarchyconfigurations"}, aside, []string{"hnc-system"}},
	{"Accurate", "accurate.cybozu.com", []string{"subnamespaces"}, aside, []string{"accurate"}},
	{"Capsule", "capsule.clastix.io", []string{"tenantresources"}, aside, []string{"capsule-system"}},
	{"Capsule", "capsule.clastix.io", []string{"globaltenantresources"}, unscoped, []string{"capsule-system"}},
}

// podMakers are well-known controllers that create pods in the namespace of an object, with an
// account there that the object's author chooses, as Kubernetes' own workloads do; or that act
// as such an account themselves.
var podMakers = []struct {
	group     string
	resources []string
}{
	{"kappctrl.k14s.io", []string{"apps"}},
	{"packaging.carvel.dev", []string{"packageinstalls"}},
	{"argoproj.io", []string{"workflows", "cronworkflows", "rollouts", "experiments", "analysisruns", "sensors", "eventsources"}},
	{"tekton.dev", []string{"taskruns", "pipelineruns"}},
	{"triggers.tekton.dev", []string{"eventlisteners"}},
	{"keda.sh", []string{"scaledjobs"}},
	{"serving.knative.dev", []string{"services", "configurations", "revisions"}},
	{"sources.knative.dev", []string{"apiserversources", "containersources"}},
	{"monitoring.coreos.com", []string{"prometheuses", "prometheusagents", "alertmanagers", "thanosrulers"}},
	{"apps.openshift.io", []string{"deploymentconfigs"}},
	{"build.openshift.io", []string{"builds", "buildconfigs"}},
	{"kubevirt.io", []string{"virtualmachines", "virtualmachineinstances", "virtualmachineinstancereplicasets"}}, // a volume holds the account's token
	{"pool.kubevirt.io", []string{"virtualmachinepools"}},
	{"sparkoperator.k8s.io", []string{"sparkapplications", "scheduledsparkapplications"}},
	{"flink.apache.org", []string{"flinkdeployments"}},
	{"batch.volcano.sh", []string{"jobs"}},
	{"ray.io", []string{"rayclusters", "rayjobs", "rayservices"}},
	{"kubeflow.org", []string{"notebooks", "tfjobs", "pytorchjobs", "mpijobs", "xgboostjobs", "paddlejobs", "jaxjobs", "experiments", "trials", "scheduledworkflows"}},
	{"trainer.kubeflow.org", []string{"trainjobs"}},
	{"kubernetes.dask.org", []string{"daskclusters", "daskjobs", "daskworkergroups"}},
	{"camel.apache.org", []string{"integrations", "pipes"}},
	{"shipwright.io", []string{"builds", "buildruns"}},
	{"serving.kserve.io", []string{"inferenceservices"}},
	{"jobset.x-k8s.io", []string{"jobsets"}},
	{"leaderworkerset.x-k8s.io", []string{"leaderworkersets"}},
	{"apps.kruise.io", []string{"clonesets", "statefulsets", "daemonsets", "uniteddeployments", "broadcastjobs", "advancedcronjobs", "ephemeraljobs"}},
	{"agones.dev", []string{"fleets", "gameserversets", "gameservers"}},
	{"actions.github.com", []string{"autoscalingrunnersets", "ephemeralrunnersets", "ephemeralrunners"}},
	{"actions.summerwind.dev", []string{"runners", "runnersets", "runnerdeployments", "runnerreplicasets"}},
	{"opentelemetry.io", []string{"opentelemetrycollectors"}},
}

// mayExist reports whether objects of an API group may exist: the API server has the group, or a
// role names it. named says that only rules that name the group count, since a rule for all
// groups is about existing ones.
func (x *rights) mayExist(group string) (possible, named bool) {
	if slices.Contains(x.served, group) {
		return true, false
	}
	return x.mentioned[group], true
}

// writesOf returns the needs for writing an object of a custom kind, in a namespace or where
// the ask says. A patch can create an object, too.
func (p pather) writesOf(group, resource string, in Ask) []Need {
	exists, named := p.rights.mayExist(group)
	if !exists {
		return nil
	}
	in.Group, in.Resource, in.GroupNamed = group, resource, named
	create := in
	create.Verb = "create"
	in.AnyName = true
	return append([]Need{{create}}, p.either(change, in)...)
}

func (p pather) changesOf(group, resource string, in Ask) []Need {
	exists, named := p.rights.mayExist(group)
	if !exists {
		return nil
	}
	in.Group, in.Resource, in.GroupNamed = group, resource, named
	return p.either(change, in)
}

// makeCustom returns the needs for having a controller of podMakers create pods in the home.
func (p pather) makeCustom() []Need {
	var needs []Need
	for _, maker := range podMakers {
		for _, resource := range maker.resources {
			needs = append(needs, p.writesOf(maker.group, resource, Ask{Namespace: p.Home})...)
		}
	}
	return needs
}

// borrow returns the needs for making lenders act in the whole cluster, without those as whose
// account somebody acts.
func (x *rights) borrow(somebody Subject) []Need {
	p := pather{Target{}, x}
	var needs []Need
	for _, lender := range lenders {
		if slices.Contains(lender.homes, somebody.Namespace) || slices.Contains(lender.homes, somebody.AccountsOf()) {
			continue
		}
		for _, resource := range lender.resources {
			switch lender.span {
			case everywhere:
				needs = append(needs, p.writesOf(lender.group, resource, Ask{AnyNamespace: true})...)
			case unscoped:
				needs = append(needs, p.writesOf(lender.group, resource, Ask{})...)
			case fromHome:
				for _, home := range lender.homes {
					needs = append(needs, p.writesOf(lender.group, resource, Ask{Namespace: home})...)
				}
			case sourced:
				for _, home := range lender.homes {
					needs = append(needs, p.changesOf(lender.group, resource, Ask{Namespace: home, AnyName: true})...)
				}
			case revised:
				needs = append(needs, x.reviseElsewhere(somebody)...)
			}
		}
	}
	return needs
}

// borrowing returns the path to every deployer by a controller's rights.
func (x *rights) borrowing(somebody Subject) Path {
	return Path{ID: "use-controller", Name: "use a controller's rights", finding: idBorrows, needs: x.borrow(somebody)}
}

// loan is an object by which a controller's rights can be used.
type loan struct {
	lender string
	ask    Ask
}

// loans returns the lenders' objects that the rules allow to write in a namespace. Sources are
// left out, since they only matter in the lender's own namespace, and so are cluster-scoped
// objects, to which a RoleBinding gives no right. Rules for all API groups count if the API
// server has the lender's. users are the tenants in whose namespaces the rules are granted.
func (a *auditor) loans(rules []rbacv1.PolicyRule, users ...*Record) []loan {
	var found []loan
	for _, lender := range lenders {
		switch {
		case lender.span == revised && a.revises(rules, users):
			found = append(found, loan{lender.name, Ask{Verb: "create", Group: lender.group, Resource: revisions}})
			continue
		case lender.span == revised, lender.span == sourced, lender.span == unscoped:
			continue
		}
		for _, resource := range lender.resources {
			if verb := a.writes(rules, lender.group, resource); verb != "" {
				found = append(found, loan{lender.name, Ask{Verb: verb, Group: lender.group, Resource: resource}})
			}
		}
	}
	return found
}

// writes returns a verb by which the rules allow objects to be written, empty if there is none.
// The resource "*" means any resource of the group.
func (a *auditor) writes(rules []rbacv1.PolicyRule, group, resource string) string {
	for _, rule := range rules {
		if !slices.Contains(rule.APIGroups, group) && !(slices.Contains(rule.APIGroups, rbacv1.APIGroupAll) && slices.Contains(a.snapshot.APIGroups, group)) {
			continue
		}
		if resource != rbacv1.ResourceAll && !slices.Contains(rule.Resources, resource) && !slices.Contains(rule.Resources, rbacv1.ResourceAll) {
			continue
		}
		for _, verb := range []string{"create", "update", "patch"} {
			if slices.Contains(rule.Verbs, verb) || slices.Contains(rule.Verbs, rbacv1.VerbAll) {
				return verb
			}
		}
	}
	return ""
}
