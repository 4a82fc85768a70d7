package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/tenant"
)

// reading is one list of a snapshot, and what is not known without it.
type reading struct {
	what, matters string
	read          func(context.Context) error
}

// releaseMaps names the ConfigMaps with release records, which are read separately.
const releaseMaps = "configmaps of releases"

func (r reading) resource() string {
	first, _, _ := strings.Cut(r.what, " ")
	return first
}

func (r reading) where() string {
	for gvr, known := range cluster.Resources() {
		if gvr.Resource == r.resource() && known.Namespaced {
			return "in all namespaces"
		}
	}
	return "in the cluster"
}

// snapshotReader reads a snapshot. Several lists are read concurrently.
type snapshotReader struct {
	client   *cluster.Client
	snapshot audit.Snapshot
	// records are the ConfigMaps that look like a tenant's record; homes decides which
	// are believed.
	records []corev1.ConfigMap
	homes   *cluster.Homes
	// guard has the guard's admission policies, and the objects on which they depend.
	guard *cluster.Live
	// makers has the workloads that were read and may create other workloads; indices has their
	// places in the snapshot's.
	makers cluster.Owners
	// mutating are the bindings of MutatingAdmissionPolicies, by the policy.
	mutating map[string][]admissionv1.MutatingAdmissionPolicyBinding
	indices  map[cluster.Key]int
	leads    leads
	// mutex guards the fields to which several lists write.
	mutex sync.Mutex
}

func (t *snapshotReader) locked(do func()) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	do()
}

// TakeSnapshot reads everything that an audit needs, in paged lists, however many tenants
// there are. What the caller may not read is in the snapshot's Unseen; an error means
// that there is no snapshot.
func TakeSnapshot(ctx context.Context, c *cluster.Client) (*audit.Snapshot, error) {
	t := &snapshotReader{client: c, homes: cluster.NewHomes(), guard: cluster.NewLive()}
	if err := t.readFacts(ctx); err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	// Releases are read after it is known which namespaces can have any.
	after := []reading{
		{"secrets", "where releases are", func(ctx context.Context) error { return t.readPlaced(ctx, tenant.StorageSecret) }},
		{releaseMaps, "where releases are", func(ctx context.Context) error { return t.readPlaced(ctx, tenant.StorageConfigMap) }},
		{"secrets", "which releases came from Tiller", t.readMoved},
	}
	after = slices.Concat(after, t.boundReadings(), t.madeReadings(), t.railReadings())
	if err := t.take(ctx, append(t.reaching(), t.readings()...), after); err != nil {
		return nil, err
	}
	return &t.snapshot, t.addGuard()
}

// TakeReach reads those of TakeSnapshot's lists that audit.Reach needs. What the caller
// may not read is in the snapshot's Unseen.
func TakeReach(ctx context.Context, c *cluster.Client) (*audit.Snapshot, error) {
	t := &snapshotReader{client: c, homes: cluster.NewHomes(), guard: cluster.NewLive()}
	if err := t.readFacts(ctx); err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	after := []reading{
		{"secrets", "which Secrets hold releases", func(ctx context.Context) error { return t.readRecordNames(ctx, "Secret") }},
		{releaseMaps, "which ConfigMaps hold releases", func(ctx context.Context) error { return t.readRecordNames(ctx, "ConfigMap") }},
	}
	return &t.snapshot, t.take(ctx, t.reaching(), after)
}

// take makes the readings, then those after, and sets the fields that follow from them.
func (t *snapshotReader) take(ctx context.Context, readings, after []reading) error {
	s := &t.snapshot
	if err := t.readAll(ctx, readings); err != nil {
		return err
	}
	for _, b := range s.Bindings {
		for _, subject := range b.Subjects {
			if b.Namespace == "" && b.Tenant != "" && subject.Kind == rbacv1.ServiceAccountKind {
				t.homes.AddDeployer(b.Tenant, subject.Namespace)
			}
		}
	}
	s.Taken = t.client.Now()
	for _, record := range t.records {
		r, believed := t.recordOf(record)
		if !believed {
			s.Disbelieved = append(s.Disbelieved, r)
			continue
		}
		s.Records = append(s.Records, r)
	}
	slices.SortFunc(s.Records, func(a, b audit.Record) int { return strings.Compare(a.Tenant.Name, b.Tenant.Name) })
	if err := t.readAll(ctx, append(after, t.reachingLater()...)); err != nil {
		return err
	}
	if err := t.followWebhooks(ctx); err != nil {
		return err
	}
	slices.SortFunc(s.Bindings, func(a, b audit.Binding) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	slices.SortFunc(s.Unseen, func(a, b audit.Unseen) int { return strings.Compare(a.What, b.What) })
	return nil
}

// reaching returns the lists that decide who reaches deployers.
func (t *snapshotReader) reaching() []reading {
	readings := []reading{
		{"namespaces", "which tenants there are, and how their namespaces are labelled", t.readNamespaces},
		{"configmaps", "which tenants there are", t.readRecords},
		{"serviceaccounts", "whether accounts exist, and what mounts them", t.readAccounts},
		{"secrets", "where releases are, and whether accounts' tokens lie around", t.readSecrets},
		{"pods", "which Tillers run outside Deployments, and in which pods", t.readPods},
		{"configmaps of identities", "who can name administrators", t.readIdentities},
		{"networkpolicies", "whether the network isolates Tillers", t.readPolicies},
		{"validatingwebhookconfigurations", "which webhooks get the objects of homes", t.readValidating},
		{"mutatingwebhookconfigurations", "which webhooks get the objects of homes, and change them", t.readMutating},
		{"customresourcedefinitions", "which webhooks convert objects of others", t.readDefinitions},
		{"apiservices", "which APIs a tenant serves to others", t.readAPIServices},
	}
	for _, kind := range []string{"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} {
		readings = append(readings, reading{strings.ToLower(kind) + "s", "who reaches a deployer", func(ctx context.Context) error {
			var part audit.Snapshot // a snapshot for this list, so that the large lists do not wait for a lock
			err := readRBAC(ctx, t.client, kind, "", &part)
			t.locked(func() {
				s := &t.snapshot
				s.Roles, s.Bindings = append(s.Roles, part.Roles...), append(s.Bindings, part.Bindings...)
			})
			return err
		}})
	}
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		readings = append(readings, reading{strings.ToLower(kind) + "s", "which Tillers there are", func(ctx context.Context) error {
			return readWorkloads(ctx, t.client, kind, func(meta *metav1.ObjectMeta, w audit.Workload) {
				t.locked(func() { t.addMaker(kind, meta, w) })
			})
		}})
	}
	return readings
}

// reachingLater returns those of reaching that are read when others are known: makers of pods
// after the pods, so that no maker of a listed pod is missing, and Services after the webhooks.
func (t *snapshotReader) reachingLater() []reading {
	return []reading{
		{"replicasets", "which pods are Tillers'", t.readReplicaSets},
		{"services", "whether Tillers are reached from outside, and who answers for webhooks", t.readServices},
	}
}

func (t *snapshotReader) readings() []reading {
	readings := []reading{
		{"mutatingadmissionpolicybindings", "which policies change the objects of homes", t.readMutatingBindings},
		{guardPolicies, "whether the guard's admission policies are in force", t.readGuard},
		{"persistentvolumeclaims", "which claims name their volumes", func(ctx context.Context) error { return readClaims(ctx, t.client, "", t.addDemand) }},
		{"ingresses", "which hosts are served", func(ctx context.Context) error { return readIngresses(ctx, t.client, "", t.addDemand) }},
		{"persistentvolumes", "which volumes any claim can bind", t.readVolumes},
		{"validatingadmissionpolicies", "whether Tillers are held to their release records", func(ctx context.Context) error {
			var err error
			if t.snapshot.Admission, err = readAdmission(ctx, t.client, install.Admission()); err == nil {
				t.snapshot.OwnersAdmission, err = readAdmission(ctx, t.client, install.Owners())
			}
			return err
		}},
	}
	return append(readings, t.workloadReadings("CronJob", "ReplicationController")...)
}

// boundReadings returns the lists of policies, whose bindings are read before.
func (t *snapshotReader) boundReadings() []reading {
	return []reading{{"mutatingadmissionpolicies", "which policies change the objects of homes", t.readMutatingPolicies}}
}

// madeReadings returns the lists of workloads that others make, whose makers are read
// before.
func (t *snapshotReader) madeReadings() []reading { return t.workloadReadings("Job", "ReplicaSet") }

func (t *snapshotReader) workloadReadings(kinds ...string) []reading {
	var readings []reading
	for _, kind := range kinds {
		readings = append(readings, reading{strings.ToLower(kind) + "s", "what runs beside deployers", func(ctx context.Context) error {
			return t.readOtherWorkloads(ctx, kind)
		}})
	}
	return readings
}

// readAll makes the readings, a few concurrently. A forbidden one becomes an entry of
// Unseen.
func (t *snapshotReader) readAll(ctx context.Context, readings []reading) error {
	group, ctx := errgroup.WithContext(ctx) // after a failure the other answers are of no use
	group.SetLimit(4)
	for _, r := range readings {
		group.Go(func() error {
			err := r.read(ctx)
			if apierrors.IsForbidden(err) {
				t.locked(func() { t.unseen(r, err) })
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// unseen records that a list is forbidden, once for each kind.
func (t *snapshotReader) unseen(r reading, err error) {
	list := r.what + " " + r.where()
	if !slices.ContainsFunc(t.snapshot.Unseen, func(u audit.Unseen) bool { return u.What == list }) {
		t.snapshot.Unseen = append(t.snapshot.Unseen, audit.Unseen{Resource: r.resource(), What: list, Why: reason(err), Matters: r.matters})
	}
}

// recordOf returns the record in a ConfigMap, and whether it is believed.
func (t *snapshotReader) recordOf(m corev1.ConfigMap) (audit.Record, bool) {
	name := m.Labels[tenant.LabelTenant]
	// In other namespaces anybody can write a ConfigMap that looks like a record. If
	// namespaces can't be read, it is not known which ones count.
	r := audit.Record{Namespace: m.Namespace}
	if len(t.snapshot.Namespaces) > 0 && t.homes.TenantOf(m.Namespace) != name {
		r.Tenant = tenant.Tenant{Name: name, HomeNamespace: m.Namespace}.WithDefaults()
		return r, false
	}
	recorded, err := tenant.ReadRecord(m.Data[tenant.RecordKey])
	if err == nil && (recorded.Name != name || recorded.WithDefaults().Home() != m.Namespace) {
		err = fmt.Errorf("it is of tenant %q with the home %q", recorded.Name, recorded.WithDefaults().Home())
	}
	if err != nil {
		recorded, r.Problem = tenant.Tenant{Name: name, HomeNamespace: m.Namespace}, err.Error()
	}
	if len(recorded.Unknown) > 0 {
		r.Problem = recorded.UnknownFields()
	}
	r.OwnershipSet = m.Annotations[tenant.AnnotationOwnership] == tenant.OwnershipSet
	if r.Migrating, err = cluster.MigrationOf(&m); err != nil {
		r.Problem = err.Error()
	}
	r.Tenant = recorded.WithDefaults()
	return r, true
}

// reason returns the API server's own message.
func reason(err error) string {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return status.Status().Message
	}
	return err.Error()
}

// readAdmission compares an admission policy and its binding with the wanted ones.
func readAdmission(ctx context.Context, c *cluster.Client, wanted []runtime.Object) (audit.Admission, error) {
	live := cluster.NewLive()
	keys := keysOf(wanted)
	if err := c.Lookup(ctx, live, keys); err != nil {
		return audit.AdmissionUnknown, err
	}
	if !live.Serves(cluster.KindPolicy) {
		return audit.AdmissionUnserved, nil
	}
	if slices.ContainsFunc(keys, func(key cluster.Key) bool { return live.Get(key) == nil }) {
		return audit.AdmissionMissing, nil
	}
	plan, err := cluster.NewPlan("", wanted, live, nil)
	_, notOurs := errors.AsType[*cluster.NotOursError](err)
	switch {
	case notOurs, err == nil && len(plan.Changes) > 0:
		return audit.AdmissionChanged, nil
	case err != nil:
		return audit.AdmissionUnknown, err
	}
	return audit.AdmissionInForce, nil
}
