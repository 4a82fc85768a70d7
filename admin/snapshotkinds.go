package admin

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

func readRBAC(ctx context.Context, c *cluster.Client, kind, namespace string, into *audit.Snapshot) error {
	// Thousands of bindings have the same names of roles and subjects.
	known := map[string]string{}
	intern := func(name string) string {
		if cached, found := known[name]; found {
			return cached
		}
		known[name] = name
		return name
	}
	bind := func(meta *metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		b := audit.Binding{Namespace: intern(meta.Namespace), Name: intern(meta.Name), RoleKind: intern(ref.Kind), RoleName: intern(ref.Name), Tenant: intern(meta.Labels[tenant.LabelTenant])}
		for _, s := range subjects {
			s := tenant.SubjectOf(s, meta.Namespace)
			b.Subjects = append(b.Subjects, audit.Subject{Kind: intern(s.Kind), Namespace: intern(s.Namespace), Name: intern(s.Name)})
		}
		into.Bindings = append(into.Bindings, b)
	}
	all := metav1.ListOptions{}
	switch kind {
	case "Role":
		return cluster.Each(ctx, c, kind, namespace, all, func(r *rbacv1.Role) {
			into.Roles = append(into.Roles, audit.Role{Namespace: r.Namespace, Name: r.Name, Rules: r.Rules})
		})
	case "ClusterRole":
		return cluster.Each(ctx, c, kind, "", all, func(r *rbacv1.ClusterRole) {
			role := audit.Role{Name: r.Name, Rules: r.Rules, Labels: r.Labels}
			if r.AggregationRule != nil {
				role.Aggregates = r.AggregationRule.ClusterRoleSelectors
			}
			into.Roles = append(into.Roles, role)
		})
	case "RoleBinding":
		return cluster.Each(ctx, c, kind, namespace, all, func(b *rbacv1.RoleBinding) {
			bind(&b.ObjectMeta, b.RoleRef, b.Subjects)
			into.Bindings[len(into.Bindings)-1].Unended = b.Annotations[tenant.AnnotationDisconnect] != ""
			if b.Annotations[tenant.AnnotationTerms] != "" {
				var in people
				in.add(b)
				last := &into.Bindings[len(into.Bindings)-1]
				last.Terms, last.TermsProblem = in.terms, in.problem()
			}
		})
	}
	return cluster.Each(ctx, c, kind, "", all, func(b *rbacv1.ClusterRoleBinding) { bind(&b.ObjectMeta, b.RoleRef, b.Subjects) })
}

func readWorkloads(ctx context.Context, c *cluster.Client, kind string, add func(*metav1.ObjectMeta, audit.Workload)) error {
	workload := func(meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec) audit.Workload {
		return workloadOf(kind, meta, template)
	}
	all := metav1.ListOptions{}
	switch kind {
	case "StatefulSet":
		return cluster.Each(ctx, c, kind, "", all, func(s *appsv1.StatefulSet) {
			w := workload(&s.ObjectMeta, &s.Spec.Template)
			w.Demand = rails.OfTemplate(&s.Spec.Template.Spec, s.Spec.VolumeClaimTemplates...)
			add(&s.ObjectMeta, w)
		})
	case "DaemonSet":
		return cluster.Each(ctx, c, kind, "", all, func(s *appsv1.DaemonSet) { add(&s.ObjectMeta, workload(&s.ObjectMeta, &s.Spec.Template)) })
	}
	return cluster.Each(ctx, c, kind, "", all, func(d *appsv1.Deployment) {
		w := workload(&d.ObjectMeta, &d.Spec.Template)
		if w.Template != nil {
			w.Deployment = d.Spec.DeepCopy()
			w.Template = &w.Deployment.Template
		}
		add(&d.ObjectMeta, w)
	})
}

func workloadOf(kind string, meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec) audit.Workload {
	w := audit.Workload{Kind: kind, Namespace: meta.Namespace, Name: meta.Name, UID: string(meta.UID), Tenant: meta.Labels[tenant.LabelTenant], Account: template.Spec.ServiceAccountName,
		AppliesFrom: appliesFrom(meta.Namespace, &template.Spec)}
	if recognise.IsTiller(template.Labels, template.Spec) {
		w.Template = template.DeepCopy() // a copy, so that the rest of the page can be freed
	}
	w.Demand = rails.OfTemplate(&template.Spec)
	return w
}

func podOf(pod *corev1.Pod) audit.Pod {
	p := audit.Pod{Namespace: pod.Namespace, Name: pod.Name, Account: pod.Spec.ServiceAccountName, Labels: pod.Labels, Node: pod.Spec.NodeName}
	for _, owner := range pod.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			p.Owner, p.OwnerUID = audit.ObjectRef{Kind: cluster.OwnerKind(owner), Namespace: pod.Namespace, Name: owner.Name}, string(owner.UID)
		}
	}
	if !pod.Spec.HostNetwork {
		for _, address := range pod.Status.PodIPs {
			p.Addresses = append(p.Addresses, address.IP)
		}
	}
	p.Demand = rails.OfPod(&pod.Spec)
	if recognise.IsTiller(pod.Labels, pod.Spec) {
		p.Spec = pod.Spec.DeepCopy()
	}
	return p
}
