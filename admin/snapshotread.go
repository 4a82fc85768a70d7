package admin

import (
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/recognise"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

func (t *snapshotReader) readNamespaces(ctx context.Context) error {
	return cluster.Each(ctx, t.client, "Namespace", "", metav1.ListOptions{}, func(ns *corev1.Namespace) {
		t.homes.AddNamespace(ns)
		annotations := map[string]string{tenant.AnnotationHome: ns.Annotations[tenant.AnnotationHome]}
		for key, value := range ns.Annotations {
			if rails.IsAnnotation(key) || key == rails.AnnotationDrivers {
				annotations[key] = value
			}
		}
		t.snapshot.Namespaces = append(t.snapshot.Namespaces, audit.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: annotations, Terminating: ns.DeletionTimestamp != nil})
	})
}

func (t *snapshotReader) readRecords(ctx context.Context) error {
	options := metav1.ListOptions{LabelSelector: tenant.LabelTenant, FieldSelector: "metadata.name=" + tenant.RecordName}
	return cluster.Each(ctx, t.client, "ConfigMap", "", options, func(m *corev1.ConfigMap) {
		t.records = append(t.records, cluster.BriefRecord(m))
	})
}

func (t *snapshotReader) readAccounts(ctx context.Context) error {
	return cluster.Each(ctx, t.client, "ServiceAccount", "", metav1.ListOptions{}, func(sa *corev1.ServiceAccount) {
		mounts := sa.AutomountServiceAccountToken == nil || *sa.AutomountServiceAccountToken
		t.snapshot.Accounts = append(t.snapshot.Accounts, audit.ServiceAccount{Namespace: sa.Namespace, Name: sa.Name, Mounts: mounts})
	})
}

func (t *snapshotReader) readSecrets(ctx context.Context) error {
	options := metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeServiceAccountToken)}
	return t.client.EachMeta(ctx, "Secret", "", options, func(m *metav1.PartialObjectMetadata) {
		t.snapshot.Tokens = append(t.snapshot.Tokens, audit.Token{Namespace: m.Namespace, Name: m.Name, Account: m.Annotations[corev1.ServiceAccountNameKey]})
	})
}

// readPlaced reads the names of the release records of one storage, and the namespaces of
// the releases. Records of older revisions contain values as well, and only their names
// are read. It runs after it is known where helm stores records.
func (t *snapshotReader) readPlaced(ctx context.Context, storage tenant.Storage) error {
	var part audit.Snapshot
	err := t.client.EachPlaced(ctx, storage, t.stores(), func(key cluster.Key) {
		part.RecordNames = append(part.RecordNames, audit.ObjectRef(key))
	}, func(d cluster.Placed) {
		part.Releases = append(part.Releases, audit.Release{Home: d.Home, Name: d.Name, Namespace: d.Namespace, Record: audit.ObjectRef(d.Record), Tried: d.Tried, ClusterObjects: d.ClusterObjects})
	}, func(key cluster.Key, err error) {
		part.Releases = append(part.Releases, audit.Release{Home: key.Namespace, Record: audit.ObjectRef(key), Problem: err.Error()})
	})
	t.locked(func() {
		t.snapshot.RecordNames = append(t.snapshot.RecordNames, part.RecordNames...)
		t.snapshot.Releases = append(t.snapshot.Releases, part.Releases...)
	})
	return err
}

// readRecordNames reads only the names of release records.
func (t *snapshotReader) readRecordNames(ctx context.Context, kind string) error {
	return t.client.EachMeta(ctx, kind, "", metav1.ListOptions{LabelSelector: release.OfTiller}, func(m *metav1.PartialObjectMetadata) {
		t.locked(func() {
			t.snapshot.RecordNames = append(t.snapshot.RecordNames, audit.ObjectRef{Kind: kind, Namespace: m.Namespace, Name: m.Name})
		})
	})
}

// stores returns a function that reports whether a Tiller may keep its releases in a
// namespace: one in which a Tiller runs, or a tenant's home. A tenant's other namespaces
// do not count, whatever its members create there to look like a Tiller. If namespaces
// can't be read, all count.
func (t *snapshotReader) stores() func(namespace string) bool {
	if len(t.snapshot.Namespaces) == 0 {
		return func(string) bool { return true }
	}
	namespaces := map[string]bool{}
	for _, w := range t.snapshot.Workloads {
		namespaces[w.Namespace] = namespaces[w.Namespace] || w.Template != nil
	}
	for _, pod := range t.snapshot.Pods {
		namespaces[pod.Namespace] = namespaces[pod.Namespace] || pod.Spec != nil
	}
	for _, ns := range t.snapshot.Namespaces {
		switch {
		case t.homes.TenantOf(ns.Name) != "":
			namespaces[ns.Name] = true
		case ns.Labels[tenant.LabelTenant] != "":
			namespaces[ns.Name] = false
		}
	}
	return func(namespace string) bool { return namespaces[namespace] }
}

func (t *snapshotReader) readPods(ctx context.Context) error {
	return cluster.Each(ctx, t.client, "Pod", "", metav1.ListOptions{}, func(pod *corev1.Pod) {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			return
		}
		t.snapshot.Pods = append(t.snapshot.Pods, podOf(pod))
		t.leads.addNode(pod)
	})
}

// readReplicaSets reads the ReplicaSets that own pods which look like Tillers. One that names a
// Deployment with another UID than the Deployment of that name is of none: it can name any.
func (t *snapshotReader) readReplicaSets(ctx context.Context) error {
	owners := map[string]bool{}
	for _, pod := range t.snapshot.Pods {
		if pod.Owner.Kind == "ReplicaSet" && pod.Spec != nil {
			owners[pod.Namespace+"/"+pod.Owner.Name] = true
		}
	}
	if len(owners) == 0 {
		return nil
	}
	return cluster.Each(ctx, t.client, "ReplicaSet", "", metav1.ListOptions{LabelSelector: recognise.Selector()}, func(set *appsv1.ReplicaSet) {
		owner := metav1.GetControllerOf(set)
		if owner == nil || cluster.OwnerKind(*owner) != "Deployment" || !owners[set.Namespace+"/"+set.Name] {
			return
		}
		forged := false
		t.locked(func() { // a Deployment that is younger than the list of them is not known
			if _, known := t.indices[cluster.Key{Kind: owner.Kind, Namespace: set.Namespace, Name: owner.Name}]; known {
				_, made := t.makers.Maker("ReplicaSet", set)
				forged = !made
			}
		})
		if !forged {
			t.snapshot.ReplicaSets = append(t.snapshot.ReplicaSets, audit.ReplicaSet{Namespace: set.Namespace, Name: set.Name, UID: string(set.UID), Deployment: owner.Name, Template: set.Spec.Template.DeepCopy()})
		}
	})
}

func (t *snapshotReader) readServices(ctx context.Context) error {
	return cluster.Each(ctx, t.client, "Service", "", metav1.ListOptions{}, func(service *corev1.Service) {
		t.leads.addService(service)
		t.addDemand("Service", service, rails.OfService(service))
		if service.Spec.Type == corev1.ServiceTypeNodePort || service.Spec.Type == corev1.ServiceTypeLoadBalancer || len(service.Spec.ExternalIPs) > 0 {
			t.snapshot.Services = append(t.snapshot.Services, audit.Service{Namespace: service.Namespace, Name: service.Name, Selector: service.Spec.Selector})
		}
	})
}

func (t *snapshotReader) readPolicies(ctx context.Context) error {
	return cluster.Each(ctx, t.client, "NetworkPolicy", "", metav1.ListOptions{}, func(policy *networkingv1.NetworkPolicy) {
		t.snapshot.Policies = append(t.snapshot.Policies, audit.NetworkPolicy{Namespace: policy.Namespace, Name: policy.Name, Spec: policy.Spec})
	})
}

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

// readMoved finds the Helm 3 and 4 releases that came from Tiller, by the field manager
// of their records, for tenants whose objects are not known to name their releases. Only
// metadata is read, and nothing if there is no such tenant.
func (t *snapshotReader) readMoved(ctx context.Context) error {
	owner := map[string]int{}
	for i, r := range t.snapshot.Records {
		if r.OwnershipSet || r.Migrating != nil || r.Problem != "" || r.Tenant.Engine != tenant.EngineImpersonation {
			continue
		}
		for _, ns := range r.Tenant.Namespaces {
			owner[ns] = i
		}
	}
	if len(owner) == 0 {
		return nil
	}
	moved := map[int][]audit.ObjectRef{}
	options := metav1.ListOptions{LabelSelector: release.OfHelm, FieldSelector: "type=" + release.HelmSecretType}
	err := t.client.EachMeta(ctx, "Secret", "", options, func(m *metav1.PartialObjectMetadata) {
		i, owned := owner[m.Namespace]
		if !owned || !release.IsHelms(m, "") || !slices.ContainsFunc(m.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == cluster.FieldManager }) {
			return
		}
		ref := audit.ObjectRef{Kind: "release", Namespace: strings.Clone(m.Namespace), Name: strings.Clone(release.NameOf(m))}
		if !slices.Contains(moved[i], ref) {
			moved[i] = append(moved[i], ref)
		}
	})
	t.locked(func() {
		for i, refs := range moved {
			slices.SortFunc(refs, func(a, b audit.ObjectRef) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
			t.snapshot.Records[i].Moved = refs
		}
	})
	return err
}
