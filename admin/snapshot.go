package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/tenant"
)

// reading is one list of a snapshot: what is listed, and what is not known
// without it.
type reading struct {
	what, matters string
	read          func(context.Context) error
}

// TakeSnapshot reads what an audit looks at, in paged lists, however many tenants
// there are. What the caller may not read is in the snapshot's Unseen; an error
// is one for which nothing can be said.
func TakeSnapshot(ctx context.Context, c *cluster.Client) (*audit.Snapshot, error) {
	s := &audit.Snapshot{}
	var mutex sync.Mutex // of all that several lists write to
	locked := func(do func()) {
		mutex.Lock()
		defer mutex.Unlock()
		do()
	}
	info, err := c.ServerVersion(ctx)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	s.Server = info.GitVersion
	s.Minor, _ = strconv.Atoi(strings.TrimRight(info.Minor, "+")) // 0 where it is not a number: nothing is known of it

	var records []corev1.ConfigMap
	homes := map[string]string{}
	everywhere := metav1.ListOptions{}
	paths := "who reaches a deployer"
	readings := []reading{
		{"namespaces", "which tenants there are, and how their namespaces are labelled", func(ctx context.Context) error {
			return cluster.Each(ctx, c, "Namespace", "", everywhere, func(ns *corev1.Namespace) {
				locked(func() {
					homes[ns.Name] = cluster.HomeOf(ns)
					s.Namespaces = append(s.Namespaces, audit.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: map[string]string{
						tenant.AnnotationHome: ns.Annotations[tenant.AnnotationHome]}})
				})
			})
		}},
		{"configmaps", "which tenants there are", func(ctx context.Context) error {
			options := metav1.ListOptions{LabelSelector: tenant.LabelTenant, FieldSelector: "metadata.name=" + tenant.RecordName}
			return cluster.Each(ctx, c, "ConfigMap", "", options, func(m *corev1.ConfigMap) {
				m.ManagedFields = nil
				records = append(records, *m)
			})
		}},
		{"serviceaccounts", "whether accounts exist, and what mounts them", func(ctx context.Context) error {
			return cluster.Each(ctx, c, "ServiceAccount", "", everywhere, func(sa *corev1.ServiceAccount) {
				mounts := sa.AutomountServiceAccountToken == nil || *sa.AutomountServiceAccountToken
				s.Accounts = append(s.Accounts, audit.ServiceAccount{Namespace: sa.Namespace, Name: sa.Name, Mounts: mounts})
			})
		}},
		{"secrets", "where releases are, and whether accounts' tokens lie around", func(ctx context.Context) error {
			options := metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeServiceAccountToken)}
			err := c.EachMeta(ctx, "Secret", "", options, func(m *metav1.PartialObjectMetadata) {
				s.Tokens = append(s.Tokens, audit.Token{Namespace: m.Namespace, Name: m.Name, Account: m.Annotations[corev1.ServiceAccountNameKey]})
			})
			if err != nil {
				return err
			}
			return readDeployed(ctx, c, tenant.StorageSecret, s, locked)
		}},
		{"configmaps of releases", "where releases are", func(ctx context.Context) error { return readDeployed(ctx, c, tenant.StorageConfigMap, s, locked) }},
		{"pods", "which Tillers run outside Deployments, and in which pods", func(ctx context.Context) error {
			return cluster.Each(ctx, c, "Pod", "", everywhere, func(pod *corev1.Pod) {
				if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
					return
				}
				s.Pods = append(s.Pods, podOf(pod))
			})
		}},
		{"services", "whether Tillers are reached from outside", func(ctx context.Context) error {
			return cluster.Each(ctx, c, "Service", "", everywhere, func(service *corev1.Service) {
				if service.Spec.Type == corev1.ServiceTypeNodePort || service.Spec.Type == corev1.ServiceTypeLoadBalancer {
					s.Services = append(s.Services, audit.Service{Namespace: service.Namespace, Name: service.Name, Type: service.Spec.Type, Selector: service.Spec.Selector})
				}
			})
		}},
		{"networkpolicies", "whether the network holds others off", func(ctx context.Context) error {
			return cluster.Each(ctx, c, "NetworkPolicy", "", everywhere, func(policy *networkingv1.NetworkPolicy) {
				s.Policies = append(s.Policies, audit.NetworkPolicy{Namespace: policy.Namespace, Name: policy.Name, Spec: policy.Spec})
			})
		}},
		{"validatingadmissionpolicies", "whether Tillers are held to their release records", func(ctx context.Context) error {
			var err error
			s.Admission, err = readAdmission(ctx, c)
			return err
		}},
	}
	for _, kind := range []string{"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} {
		var own audit.Snapshot // its own, so that the large lists wait for nobody
		readings = append(readings, reading{strings.ToLower(kind) + "s", paths, func(ctx context.Context) error {
			err := readRBAC(ctx, c, kind, "", &own)
			locked(func() { s.Roles, s.Bindings = append(s.Roles, own.Roles...), append(s.Bindings, own.Bindings...) })
			return err
		}})
	}
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		readings = append(readings, reading{strings.ToLower(kind) + "s", "which Tillers there are", func(ctx context.Context) error {
			return readWorkloads(ctx, c, kind, func(w audit.Workload) { locked(func() { s.Workloads = append(s.Workloads, w) }) })
		}})
	}
	if err := readAll(ctx, readings, s, locked); err != nil {
		return nil, err
	}
	for _, m := range records {
		name := m.Labels[tenant.LabelTenant]
		// Elsewhere anybody can put a ConfigMap that looks like a record. Where
		// namespaces can't be read, that can't be told.
		if len(homes) > 0 && homes[m.Namespace] != name {
			continue
		}
		r := audit.Record{Namespace: m.Namespace}
		t, err := tenant.ParseRecord(m.Data[tenant.RecordKey])
		if err == nil && (t.Name != name || t.WithDefaults().Home() != m.Namespace) {
			err = fmt.Errorf("it is of tenant %q with the home %q", t.Name, t.WithDefaults().Home())
		}
		if err != nil {
			t, r.Problem = tenant.Tenant{Name: name, HomeNamespace: m.Namespace}, err.Error()
		}
		r.Tenant = t.WithDefaults()
		s.Records = append(s.Records, r)
	}
	slices.SortFunc(s.Records, func(a, b audit.Record) int { return strings.Compare(a.Tenant.Name, b.Tenant.Name) })
	slices.SortFunc(s.Bindings, func(a, b audit.Binding) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	slices.SortFunc(s.Unseen, func(a, b audit.Unseen) int { return strings.Compare(a.What, b.What) })
	return s, nil
}

// readAll does all readings, few at once. One that is forbidden, or that this
// API server does not have, is told as unseen.
func readAll(ctx context.Context, readings []reading, s *audit.Snapshot, locked func(func())) error {
	const atOnce = 4
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	var first error
	for _, r := range readings {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			err := r.read(ctx)
			switch {
			case err == nil:
			case apierrors.IsForbidden(err):
				locked(func() {
					s.Unseen = append(s.Unseen, audit.Unseen{What: r.what + " in all namespaces", Why: reason(err), Matters: r.matters})
				})
			default:
				locked(func() {
					if first == nil {
						first = err
						cancel() // the others' answers would be of no use
					}
				})
			}
		})
	}
	group.Wait()
	return first
}

// reason is the API server's own word.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Message
	}
	return err.Error()
}

// readRBAC reads the roles or bindings of a kind into the snapshot.
func readRBAC(ctx context.Context, c *cluster.Client, kind, namespace string, into *audit.Snapshot) error {
	// The names of roles and subjects stand in thousands of bindings.
	known := map[string]string{}
	intern := func(name string) string {
		if have, found := known[name]; found {
			return have
		}
		known[name] = name
		return name
	}
	bind := func(meta *metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		b := audit.Binding{Namespace: intern(meta.Namespace), Name: intern(meta.Name), RoleKind: intern(ref.Kind), RoleName: intern(ref.Name), Tenant: intern(meta.Labels[tenant.LabelTenant])}
		for _, s := range subjects {
			s := audit.SubjectOf(s, meta.Namespace)
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
			into.Roles = append(into.Roles, audit.Role{Name: r.Name, Rules: r.Rules})
		})
	case "RoleBinding":
		return cluster.Each(ctx, c, kind, namespace, all, func(b *rbacv1.RoleBinding) { bind(&b.ObjectMeta, b.RoleRef, b.Subjects) })
	}
	return cluster.Each(ctx, c, kind, "", all, func(b *rbacv1.ClusterRoleBinding) { bind(&b.ObjectMeta, b.RoleRef, b.Subjects) })
}

func readWorkloads(ctx context.Context, c *cluster.Client, kind string, add func(audit.Workload)) error {
	workload := func(meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec) audit.Workload {
		w := audit.Workload{Kind: kind, Namespace: meta.Namespace, Name: meta.Name, Tenant: meta.Labels[tenant.LabelTenant]}
		if install.LooksLikeTiller(template.Labels, template.Spec) {
			w.Template = template.DeepCopy() // the rest of the page goes
		}
		return w
	}
	all := metav1.ListOptions{}
	switch kind {
	case "StatefulSet":
		return cluster.Each(ctx, c, kind, "", all, func(s *appsv1.StatefulSet) { add(workload(&s.ObjectMeta, &s.Spec.Template)) })
	case "DaemonSet":
		return cluster.Each(ctx, c, kind, "", all, func(s *appsv1.DaemonSet) { add(workload(&s.ObjectMeta, &s.Spec.Template)) })
	}
	return cluster.Each(ctx, c, kind, "", all, func(d *appsv1.Deployment) {
		w := workload(&d.ObjectMeta, &d.Spec.Template)
		if w.Template != nil {
			w.Deployment = d.Spec.DeepCopy()
			w.Template = &w.Deployment.Template
		}
		add(w)
	})
}

func podOf(pod *corev1.Pod) audit.Pod {
	p := audit.Pod{Namespace: pod.Namespace, Name: pod.Name, Account: pod.Spec.ServiceAccountName, Labels: pod.Labels}
	for _, owner := range pod.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			p.Owner = owner.Kind + " " + owner.Name
		}
	}
	if install.LooksLikeTiller(pod.Labels, pod.Spec) {
		p.Spec = pod.Spec.DeepCopy()
	}
	return p
}

// readDeployed reads where the deployed releases of one storage live. A record
// that can't be read is a chart's, or somebody else's: it is no release.
func readDeployed(ctx context.Context, c *cluster.Client, storage tenant.Storage, s *audit.Snapshot, locked func(func())) error {
	return c.EachDeployed(ctx, storage, func(d cluster.Deployed) {
		locked(func() {
			s.Releases = append(s.Releases, audit.Release{Home: d.Home, Name: d.Name, Namespace: d.Namespace, Record: d.Record})
		})
	}, func(error) {})
}

// readAdmission says how the admission policy of home namespaces is.
func readAdmission(ctx context.Context, c *cluster.Client) (audit.Admission, error) {
	live := cluster.NewLive()
	var keys []cluster.Key
	wanted := install.Admission()
	for _, object := range wanted {
		keys = append(keys, cluster.KeyOf(object))
	}
	if err := c.Lookup(ctx, live, keys); err != nil {
		return audit.AdmissionUnknown, err
	}
	if !live.Serves("ValidatingAdmissionPolicy") {
		return audit.AdmissionUnserved, nil
	}
	if slices.ContainsFunc(keys, func(key cluster.Key) bool { return live.Get(key) == nil }) {
		return audit.AdmissionMissing, nil
	}
	plan, err := cluster.NewPlan("", []runtime.Object(wanted), live, func(cluster.Key) bool { return false })
	var notOurs *cluster.NotOursError
	switch {
	case errors.As(err, &notOurs), err == nil && len(plan.Changes) > 0:
		return audit.AdmissionChanged, nil
	case err != nil:
		return audit.AdmissionUnknown, err
	}
	return audit.AdmissionInForce, nil
}
