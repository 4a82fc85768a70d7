package preflight

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	podresource "k8s.io/component-helpers/resource"
)

// Use is an object's use of a namespace's quotas.
type Use struct {
	Object Object
	// New says that the object does not exist yet; an existing one is already counted.
	New bool
	// Resource is the plural of its kind, Group its API group, as quotas name them.
	Resource string
	// Pod is one of its pods as the API server would store it, with the namespace's defaults;
	// nil if it creates none, or if that is not known.
	Pod *corev1.Pod
	// Before has the number of pods of the existing object, and what each requests.
	Before *corev1.Pod
	// BeforeReplicas is the number of replicas of the existing object.
	BeforeReplicas int64
}

// Replicas returns how many pods an object has at the same time. Pods of CronJobs and hooks are
// temporary, and the number of a DaemonSet's depends on the nodes: each is tried once, and not
// counted.
func Replicas(o *unstructured.Unstructured) int64 {
	number := func(field string) int64 {
		if n, found, err := unstructured.NestedInt64(o.Object, "spec", field); found && err == nil {
			return n
		}
		return 1
	}
	switch o.GetKind() {
	case "Pod":
		return 1
	case "CronJob", "DaemonSet":
		return 0
	case "Job":
		if suspended, _, _ := unstructured.NestedBool(o.Object, "spec", "suspend"); suspended {
			return 0
		}
		// A Job runs at most as many pods at once as are left to complete; without a number of
		// completions, the first pod that completes ends it
		// (k8s.io/kubernetes/pkg/controller/job, manageJob).
		if _, given, _ := unstructured.NestedInt64(o.Object, "spec", "completions"); given {
			return min(number("parallelism"), number("completions"))
		}
		return number("parallelism")
	}
	return number("replicas")
}

// Idle reports whether an object creates no pods until somebody scales or resumes it.
func Idle(o *unstructured.Unstructured) bool {
	return o.GetKind() != "CronJob" && o.GetKind() != "DaemonSet" && Replicas(o) == 0
}

// scaled is an object that a HorizontalPodAutoscaler scales.
type scaled struct{ namespace, kind, name string }

// leastOf returns the minimum numbers of pods to which autoscalers among the objects scale
// others, whatever the load.
func leastOf(uses []Use) map[scaled]int64 {
	least := map[scaled]int64{}
	for _, use := range uses {
		o := use.Object
		if o.GetKind() != "HorizontalPodAutoscaler" || o.gvk().Group != "autoscaling" {
			continue
		}
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "name")
		if n, given, err := unstructured.NestedInt64(o.Object, "spec", "minReplicas"); given && err == nil {
			least[scaled{o.GetNamespace(), kind, name}] = n
		}
	}
	return least
}

// Over finds the quotas that all objects together exceed, even if no single object does.
func (q Question) Over(quotas []corev1.ResourceQuota, uses []Use) []Finding {
	var findings []Finding
	least := leastOf(uses)
	for _, quota := range quotas {
		asked := corev1.ResourceList{}
		for _, use := range uses {
			if use.Object.GetNamespace() == quota.Namespace {
				use.add(asked, quota, least)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(quota.Status.Hard)) {
			want, counted := asked[name]
			if !counted || want.Sign() <= 0 {
				continue
			}
			hard, used := quota.Status.Hard[name], quota.Status.Used[name]
			left := hard.DeepCopy()
			left.Sub(used)
			if want.Cmp(left) > 0 {
				findings = append(findings, Finding{ID: Quota, Result: Refused, APIVersion: "v1", Kind: "ResourceQuota", Namespace: quota.Namespace, Name: quota.Name,
					Why: fmt.Sprintf("all objects together ask for %s more %s; of %s %s are used", want.String(), name, hard.String(), used.String()),
					Do:  "ask for less by the chart's values, remove what is not needed, or ask an admin for a larger quota"})
			}
		}
	}
	return findings
}

// add counts what the object uses of a quota.
func (u Use) add(asked corev1.ResourceList, quota corev1.ResourceQuota, least map[scaled]int64) {
	plus := func(name string, amount resource.Quantity) {
		sum := asked[corev1.ResourceName(name)]
		sum.Add(amount)
		asked[corev1.ResourceName(name)] = sum
	}
	one := *resource.NewQuantity(1, resource.DecimalSI)
	scoped := len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil
	if u.New && !scoped {
		group := u.Object.gvk().Group
		count := "count/" + u.Resource
		if group != "" {
			count += "." + group
		}
		plus(count, one)
		if count == "count/deployments.apps" {
			plus("count/replicasets.apps", one)
		}
		if group == "" && slices.Contains([]string{"services", "configmaps", "secrets", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas"}, u.Resource) {
			plus(u.Resource, one)
		}
		u.addService(plus)
		u.addClaims(plus)
	}
	if !u.Object.Hook {
		replicas := Replicas(u.Object.Unstructured)
		if replicas > 0 { // an autoscaler ignores an object with 0 replicas
			replicas = max(replicas, least[scaled{u.Object.GetNamespace(), u.Object.GetKind(), u.Object.GetName()}])
		}
		addPods(plus, u.Pod, replicas, quota)
		addPods(func(name string, amount resource.Quantity) { amount.Neg(); plus(name, amount) }, u.Before, u.BeforeReplicas, quota)
	}
}

func (u Use) addService(plus func(string, resource.Quantity)) {
	if u.Resource != "services" || u.Object.gvk().Group != "" {
		return
	}
	kind, _, _ := unstructured.NestedString(u.Object.Object, "spec", "type")
	ports, _, _ := unstructured.NestedSlice(u.Object.Object, "spec", "ports")
	allocates, given, _ := unstructured.NestedBool(u.Object.Object, "spec", "allocateLoadBalancerNodePorts")
	if kind == "LoadBalancer" {
		plus("services.loadbalancers", *resource.NewQuantity(1, resource.DecimalSI))
	}
	if kind == "NodePort" || kind == "LoadBalancer" && (!given || allocates) {
		plus("services.nodeports", *resource.NewQuantity(int64(len(ports)), resource.DecimalSI))
	}
}

// addClaims counts the volume claims that the object is, or that its pods will have.
func (u Use) addClaims(plus func(string, resource.Quantity)) {
	claims := []*unstructured.Unstructured{}
	times := int64(1)
	switch {
	case u.Resource == "persistentvolumeclaims" && u.Object.gvk().Group == "":
		claims = append(claims, u.Object.Unstructured)
	default:
		claims, times = Plan{}.Claims(u.Object), Replicas(u.Object.Unstructured)
	}
	for _, claim := range claims {
		if u.Resource != "persistentvolumeclaims" {
			plus("persistentvolumeclaims", *resource.NewQuantity(times, resource.DecimalSI))
			plus("count/persistentvolumeclaims", *resource.NewQuantity(times, resource.DecimalSI))
		}
		text, _, _ := unstructured.NestedString(claim.Object, "spec", "resources", "requests", "storage")
		storage, err := resource.ParseQuantity(text)
		if err != nil {
			continue
		}
		storage.Mul(times)
		plus("requests.storage", storage)
		if class, named, _ := unstructured.NestedString(claim.Object, "spec", "storageClassName"); named && class != "" {
			plus(class+".storageclass.storage.k8s.io/requests.storage", storage)
			plus(class+".storageclass.storage.k8s.io/persistentvolumeclaims", *resource.NewQuantity(times, resource.DecimalSI))
		}
	}
}

// addPods counts pods if the quota's scopes match them.
func addPods(plus func(string, resource.Quantity), pod *corev1.Pod, replicas int64, quota corev1.ResourceQuota) {
	if pod == nil || replicas == 0 || !inScope(pod, quota) {
		return
	}
	plus("pods", *resource.NewQuantity(replicas, resource.DecimalSI))
	plus("count/pods", *resource.NewQuantity(replicas, resource.DecimalSI))
	count := func(prefixes []string, list corev1.ResourceList) {
		for name, amount := range list {
			amount.Mul(replicas)
			for _, prefix := range prefixes {
				plus(prefix+string(name), amount)
			}
		}
	}
	options := podresource.PodResourcesOptions{}
	requests := podresource.PodRequests(pod, options)
	for name := range requests {
		// A resource without a prefix is a request, for these resources only.
		if strings.Contains(string(name), "/") {
			delete(requests, name)
		}
	}
	count([]string{"", "requests."}, requests)
	extended := podresource.PodRequests(pod, options)
	for name := range extended {
		if !strings.Contains(string(name), "/") {
			delete(extended, name)
		}
	}
	count([]string{"requests."}, extended)
	count([]string{"limits."}, podresource.PodLimits(pod, options))
}

// inScope reports whether the quota counts the pod
// (https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes). An unknown scope
// matches nothing, since its effect is not known.
func inScope(pod *corev1.Pod, quota corev1.ResourceQuota) bool {
	var selectors []corev1.ScopedResourceSelectorRequirement
	for _, scope := range quota.Spec.Scopes {
		selectors = append(selectors, corev1.ScopedResourceSelectorRequirement{ScopeName: scope, Operator: corev1.ScopeSelectorOpExists})
	}
	if quota.Spec.ScopeSelector != nil {
		selectors = append(selectors, quota.Spec.ScopeSelector.MatchExpressions...)
	}
	for _, s := range selectors {
		terminating := pod.Spec.ActiveDeadlineSeconds != nil
		var matches bool
		switch s.ScopeName {
		case corev1.ResourceQuotaScopeTerminating:
			matches = terminating
		case corev1.ResourceQuotaScopeNotTerminating:
			matches = !terminating
		case corev1.ResourceQuotaScopeBestEffort:
			matches = isBestEffort(pod)
		case corev1.ResourceQuotaScopeNotBestEffort:
			matches = !isBestEffort(pod)
		case corev1.ResourceQuotaScopePriorityClass:
			class := pod.Spec.PriorityClassName
			switch s.Operator {
			case corev1.ScopeSelectorOpIn:
				matches = slices.Contains(s.Values, class)
			case corev1.ScopeSelectorOpNotIn:
				matches = !slices.Contains(s.Values, class)
			case corev1.ScopeSelectorOpExists:
				matches = class != ""
			case corev1.ScopeSelectorOpDoesNotExist:
				matches = class == ""
			}
		}
		if !matches {
			return false
		}
	}
	return true
}

// isBestEffort reports whether no container of the pod asks for CPU or memory.
func isBestEffort(pod *corev1.Pod) bool {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range containers {
			for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
				if !list.Cpu().IsZero() || !list.Memory().IsZero() {
					return false
				}
			}
		}
	}
	return true
}

// PodOf reads a pod in an answer of the API server.
func PodOf(answer *unstructured.Unstructured) *corev1.Pod {
	var pod corev1.Pod
	if answer == nil || runtime.DefaultUnstructuredConverter.FromUnstructured(answer.Object, &pod) != nil {
		return nil
	}
	return &pod
}
