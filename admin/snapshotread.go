package admin

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
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
