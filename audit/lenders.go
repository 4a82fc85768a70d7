package audit

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// lender is a well-known controller that carries out what objects of some kinds say with
// its own rights, which are commonly those of the whole cluster: who may write such an
// object has them as well.
type lender struct {
	name, group string
	resources   []string
}

// lenders are known by the kinds that their own documentation installs.
var lenders = []lender{
	{"Flux's helm-controller", "helm.toolkit.fluxcd.io", []string{"helmreleases"}},
	{"Flux's kustomize-controller", "kustomize.toolkit.fluxcd.io", []string{"kustomizations"}},
	{"Flux's tofu-controller", "infra.contrib.fluxcd.io", []string{"terraforms"}},
	{"Flux Operator", "fluxcd.controlplane.io", []string{"fluxinstances", "resourcesets"}},
	{"Argo CD", "argoproj.io", []string{"applications", "applicationsets", "appprojects"}},
	{"Tekton Pipelines", "tekton.dev", []string{"taskruns", "pipelineruns", "customruns"}},
	{"Tekton Triggers", "triggers.tekton.dev", []string{"eventlisteners", "triggers", "triggertemplates"}},
	{"Tekton's resolvers", "resolution.tekton.dev", []string{"resolutionrequests"}},
	{"Tekton Operator", "operator.tekton.dev", []string{"tektonconfigs"}},
	{"Crossplane", "apiextensions.crossplane.io", []string{"compositions", "compositeresourcedefinitions"}},
	{"Crossplane", "pkg.crossplane.io", []string{"configurations", "functions", "providers", "deploymentruntimeconfigs"}},
	{"Crossplane's provider-kubernetes", "kubernetes.crossplane.io", []string{"objects", "providerconfigs"}},
	{"Crossplane's provider-kubernetes", "kubernetes.m.crossplane.io", []string{"objects", "providerconfigs"}},
	{"Crossplane's provider-helm", "helm.crossplane.io", []string{"releases", "providerconfigs"}},
	{"Crossplane's provider-helm", "helm.m.crossplane.io", []string{"releases", "providerconfigs"}},
	{"cert-manager", "cert-manager.io", []string{"certificates", "certificaterequests", "issuers", "clusterissuers"}},
	{"cert-manager", "acme.cert-manager.io", []string{"challenges", "orders"}},
	{"External Secrets", "external-secrets.io", []string{"externalsecrets", "clusterexternalsecrets", "pushsecrets", "clusterpushsecrets", "secretstores", "clustersecretstores"}},
	{"External Secrets", "generators.external-secrets.io", []string{"*"}},
	{"Velero", "velero.io", []string{"backups", "backupstoragelocations", "restores", "schedules", "podvolumerestores", "datadownloads"}},
	{"Kyverno", "kyverno.io", []string{"policies", "clusterpolicies", "cleanuppolicies", "clustercleanuppolicies", "updaterequests"}},
	{"Kyverno", "policies.kyverno.io", []string{"generatingpolicies", "namespacedgeneratingpolicies", "mutatingpolicies", "namespacedmutatingpolicies", "deletingpolicies", "namespaceddeletingpolicies"}},
}

// loan is an object by which a controller's rights are used.
type loan struct {
	lender string
	ask    Ask
}

// loans are the objects of lenders that the rules allow to be written. Rules for the
// objects of every API group count where the API server has the lender's.
func (a *auditor) loans(rules []rbacv1.PolicyRule) []loan {
	var found []loan
	for _, of := range lenders {
		for _, resource := range of.resources {
			if verb := a.writes(rules, of.group, resource); verb != "" {
				found = append(found, loan{of.name, Ask{Verb: verb, Group: of.group, Resource: resource}})
			}
		}
	}
	return found
}

// writes is a verb by which the rules allow objects to be written, empty where none does.
// The resource "*" stands for any of the group.
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
