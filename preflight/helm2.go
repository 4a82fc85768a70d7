package preflight

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"helm-tenant/lists"
	"helm-tenant/rails"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// JudgeStatically judges the plan of a tenant with a Tiller. Only Tiller can act as its
// deployer, so the objects are compared with the tenant's record, which a member may read (nil
// if that fails). Questions that only the API server could answer are reported as not tried.
func (q Question) JudgeStatically(kinds Kinds, p Plan, record *tenant.Tenant) []Finding {
	var findings []Finding
	for _, o := range slices.Concat(p.Try, p.Custom) {
		served, isServed := kinds[o.gvk()]
		switch {
		case isServed && !served.Namespaced || !isServed && !p.isNamespaced(o.gvk().GroupKind()):
			if !q.AllNamespaces {
				findings = append(findings, q.lacks(o, "create", ""))
			}
			continue
		case !q.Has(o.GetNamespace()):
			findings = append(findings, q.foreign(o, ""))
			continue
		}
		findings = append(findings, judgeWords(o)...)
		if record != nil {
			findings = append(findings, q.judgeGuard(p, o, *record)...)
			findings = append(findings, p.judgePods(o, *record)...)
		}
	}
	for _, one := range []struct{ what, how string }{
		{"which kinds the deployer may write, and which rights it may give away", "an admin sees the role with: helm tenant describe " + tenantName(record)},
		{"the namespace's quota and limits", "an admin sees them with: kubectl describe quota,limits"},
		{"whether objects are there already and belong to somebody else", "a dry run of the release through the Tiller does not tell either: an admin can look"},
		{"what admission webhooks and policies of the cluster refuse", "only the installation itself shows it"},
	} {
		findings = append(findings, Finding{ID: NotTried, Result: Untried, Why: "a member of a tenant with a Tiller can't ask " + one.what, Do: one.how})
	}
	if record == nil {
		findings = append(findings, Finding{ID: NotTried, Result: Untried, Why: "the tenant's record can't be read, so its guard rails and PodSecurity level are not known"})
	}
	return findings
}

func tenantName(record *tenant.Tenant) string {
	if record == nil {
		return "TENANT"
	}
	return record.Name
}

// judgeWords finds names, labels, selectors and sizes that the API server refuses.
func judgeWords(o Object) []Finding {
	wrong := slices.DeleteFunc([]string{wrongName(o), tooLarge(o), unmatched(o)}, func(why string) bool { return why == "" })
	labels := o.GetLabels()
	for key, value := range labels {
		for _, why := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...) {
			wrong = append(wrong, fmt.Sprintf("the label %s=%s is none: %s", key, value, why))
		}
	}
	slices.Sort(wrong)
	return lists.Map(wrong, func(why string) Finding {
		return refused(o, Invalid, visible.Excerpt(why), "mend the chart's values or its template; a shorter release name may do", "")
	})
}

// judgeGuard finds objects that the guard's policies (package rails) refuse, as far as the
// record shows.
func (q Question) judgeGuard(p Plan, o Object, t tenant.Tenant) []Finding {
	if t.Guard != tenant.GuardEnforce {
		return nil
	}
	const do = "leave it out by the chart's values, or ask an admin"
	var findings []Finding
	add := func(format string, args ...any) {
		findings = append(findings, refused(o, Guard, "a guard rail of the tenant refuses it: "+visible.Excerpt(fmt.Sprintf(format, args...)), do, ""))
	}
	if _, ours := o.GetLabels()[tenant.LabelTenant]; ours || o.GetLabels()[rails.LabelProtected] == "true" {
		add("its labels are an admin's")
	}
	if !q.Upgrade {
		for _, why := range refusedHosts(o, t.Hosts) {
			add("%s; allowed: %s", why, strings.Join(t.Hosts, ", "))
		}
	}
	if protectedName(o) {
		add("its name is one of helm-tenant's own objects")
	}
	if class := p.refusedClass(o, t); class != "" {
		add("its pods have the priority class %s, which an admin has to allow", class)
	}
	switch {
	case o.GetKind() == "RoleBinding" && o.gvk().Group == rbacGroup:
		var binding rbacv1.RoleBinding
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &binding) != nil {
			return findings
		}
		for _, s := range binding.Subjects {
			if s.Kind != rbacv1.ServiceAccountKind || s.Namespace != "" && !q.Has(s.Namespace) {
				add("a RoleBinding here can only have service accounts of the tenant's namespaces for subjects, not %s %s", s.Kind, s.Name)
			}
		}
	case o.GetKind() == "Service" && o.gvk().Group == "":
		if ips, found, _ := unstructured.NestedSlice(o.Object, "spec", "externalIPs"); found && len(ips) > 0 {
			add("a Service here can't have external IPs")
		}
	case o.GetKind() == "PersistentVolumeClaim":
		if name, _, _ := unstructured.NestedString(o.Object, "spec", "volumeName"); name != "" {
			add("a claim here can't name its volume")
		}
	}
	for _, claim := range p.Claims(o) {
		if name, _, _ := unstructured.NestedString(claim.Object, "spec", "volumeName"); name != "" {
			add("a claim's template here can't name a volume")
		}
	}
	if pod, found, err := p.podOf(o); found && err == nil {
		if names := rails.DirectStorage(&pod.Spec); len(names) > 0 {
			add("a pod here can't mount a disk or storage server directly, as volume %s", strings.Join(names, ", "))
		}
		if drivers := rails.InlineDrivers(&pod.Spec); len(drivers) > 0 {
			findings = append(findings, about(o, NotTried, Untried, "whether an admin allowed inline volumes of the CSI driver "+visible.Excerpt(strings.Join(drivers, ", "))+" is not known",
				"ask an admin, or use a PersistentVolumeClaim", ""))
		}
	}
	return findings
}

// podOf returns the pod that an object is, or the first pod that it makes.
func (p Plan) podOf(o Object) (pod corev1.Pod, found bool, err error) {
	template, found := p.Pod(o)
	if o.GetKind() == "Pod" && o.gvk().Group == "" {
		template, found = o.Unstructured, true
	}
	if found {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(template.Object, &pod)
	}
	return pod, found, err
}

// judgePods finds pods that PodSecurity refuses, with the API server's own function.
func (p Plan) judgePods(o Object, t tenant.Tenant) []Finding {
	pod, found, err := p.podOf(o)
	if !found || t.PodSecurity == tenant.PodSecurityUnmanaged || t.PodSecurity == "" {
		return nil
	}
	if err != nil {
		return []Finding{refused(o, Invalid, "its pods can't be read: "+visible.Excerpt(err.Error()), "mend the chart's values or its template", "")}
	}
	why, err := rails.Violation(t.PodSecurity, &metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, &pod.Spec)
	if err != nil || why == "" {
		return nil
	}
	return []Finding{refused(o, PodSecurity, fmt.Sprintf("its pods would never be created: PodSecurity %q: %s", t.PodSecurity, visible.Excerpt(why)),
		"set the chart's securityContext values so that it holds, or ask an admin for another podSecurity level of the tenant", "")}
}

// JudgeName finds a release name in use. helm refuses a name that has a record, except with
// --replace for a deleted release (helm.sh/helm/v3, availableName in pkg/action/install.go).
func JudgeName(newest string, replace bool) []Finding {
	if replace && slices.Contains([]string{"uninstalled", "failed", "DELETED", "FAILED"}, newest) {
		return nil
	}
	return []Finding{{ID: Name, Result: Refused, Why: fmt.Sprintf("a release of that name is there (%s)", strings.ToLower(newest)),
		Do: "choose another name, or say upgrade"}}
}
