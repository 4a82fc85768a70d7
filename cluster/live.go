package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"

	"helm-tenant/install"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

const (
	// Width is how many requests of one step are under way at once.
	Width = 16
	// manyNames is from how many names on a list of everything is cheaper than
	// asking for each.
	manyNames = 50
)

// Key names one object.
type Key struct {
	Kind, Namespace, Name string
}

func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return fmt.Sprintf("%s %s in namespace %s", k.Kind, k.Name, k.Namespace)
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

func keyOf(object *unstructured.Unstructured) Key {
	return Key{object.GetKind(), object.GetNamespace(), object.GetName()}
}

// KeyOf is the key of a wanted object.
func KeyOf(object runtime.Object) Key {
	key := Key{Kind: object.GetObjectKind().GroupVersionKind().Kind}
	if meta, isMeta := object.(metav1.Object); isMeta {
		key.Namespace, key.Name = meta.GetNamespace(), meta.GetName()
	}
	return key
}

// Live is what a cluster holds, as far as it was read.
type Live struct {
	objects map[Key]*unstructured.Unstructured
	// byTenant are the keys of the objects that Read found by a tenant's label.
	byTenant map[string][]Key
	// unserved are kinds that this API server does not have; unseen those that the
	// caller may not list.
	unserved, unseen map[string]bool
	// homes are those that the objects which were found by a tenant's label lead to.
	homes *Homes
	// mutex guards the maps while they are filled; afterwards they are only read.
	mutex sync.Mutex
}

// NewLive is a cluster of which nothing was read yet.
func NewLive() *Live {
	return &Live{objects: map[Key]*unstructured.Unstructured{}, byTenant: map[string][]Key{}, unserved: map[string]bool{}, unseen: map[string]bool{}, homes: NewHomes()}
}

// LiveOf is a cluster that holds these objects, as if all of them had been read and
// looked up. Its API server serves every kind but the unserved ones.
func LiveOf(objects []runtime.Object, unserved ...string) (*Live, error) {
	live, known := NewLive(), NewLive()
	for _, object := range objects {
		item, err := toUnstructured(object)
		if err != nil {
			return nil, err
		}
		known.put(item)
		if item.GetLabels()[tenant.LabelTenant] != "" {
			live.addLabelled(item)
		}
	}
	if err := live.disown(); err != nil {
		return nil, err
	}
	live.objects = known.objects
	for _, kindName := range unserved {
		live.unserved[kindName] = true
	}
	return live, nil
}

// put takes an object in, without the parts that nobody here looks at: with a
// thousand tenants these are most of the memory.
func (l *Live) put(object *unstructured.Unstructured) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	unstructured.RemoveNestedField(object.Object, "metadata", "managedFields")
	delete(object.Object, "status")
	l.objects[keyOf(object)] = object
}

// addLabelled takes an object in that was found by a tenant's label.
func (l *Live) addLabelled(object *unstructured.Unstructured) {
	l.put(object)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	name := object.GetLabels()[tenant.LabelTenant]
	l.byTenant[name] = append(l.byTenant[name], keyOf(object))
}

// Get returns the live object, nil where there is none.
func (l *Live) Get(key Key) *unstructured.Unstructured { return l.objects[key] }

// Into reads the live object into a typed one and says whether there is one.
func (l *Live) Into(key Key, object any) (bool, error) {
	live := l.objects[key]
	if live == nil {
		return false, nil
	}
	return true, Typed(live, object)
}

// Serves says whether the API server has this kind.
func (l *Live) Serves(kind string) bool { return !l.unserved[kind] }

// seldom are kinds of which a tenant has objects only where somebody asked for them.
var seldom = []string{"ResourceQuota", "LimitRange"}

// Sees says whether the caller may list the objects of this kind, one of those of
// ReadShared or of seldom.
func (l *Live) Sees(kind string) bool { return !l.unseen[kind] }

// All are the objects of a kind that were read, sorted by their keys.
func (l *Live) All(kind string) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for key, object := range l.objects {
		if key.Kind == kind {
			objects = append(objects, object)
		}
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int { return compareKeys(keyOf(a), keyOf(b)) })
	return objects
}

// ReadShared adds what belongs to no tenant: the admission policies of helm-tenant and
// their bindings, and the PriorityClasses. What the API server does not have, or the
// caller may not list, is no error: Serves and Sees tell.
func (c *Client) ReadShared(ctx context.Context, live *Live) error {
	shared := []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "PriorityClass"}
	return concurrently(len(shared), Width, func(i int) error {
		kindName, options := shared[i], metav1.ListOptions{}
		if kindName != "PriorityClass" {
			options.LabelSelector = tenant.LabelManagedBy + "=" + tenant.ManagedBy
		}
		err := c.each(ctx, kindName, "", options, live.put)
		live.mutex.Lock()
		defer live.mutex.Unlock()
		switch {
		case isUnserved(err):
			live.unserved[kindName] = true
		case apierrors.IsForbidden(err):
			live.unseen[kindName] = true
		default:
			return err
		}
		return nil
	})
}

// OfTenant are the keys of the objects that Read found by the tenant's label, sorted.
// Objects that were looked up by name are not among them.
func (l *Live) OfTenant(name string) []Key {
	keys := slices.Clone(l.byTenant[name])
	slices.SortFunc(keys, compareKeys)
	return keys
}

// Read finds everything that carries the label of one of the named tenants, or
// of any tenant when none is named: one paged list per kind, over all
// namespaces.
func (c *Client) Read(ctx context.Context, names ...string) (*Live, error) {
	operator := selection.In
	if len(names) == 0 || len(names) > manyNames {
		operator, names = selection.Exists, nil
	}
	requirement, err := labels.NewRequirement(tenant.LabelTenant, operator, names)
	if err != nil {
		return nil, err
	}
	live := NewLive()
	list := func(kindName string) error {
		return c.each(ctx, kindName, "", metav1.ListOptions{LabelSelector: requirement.String()}, func(object *unstructured.Unstructured) {
			if live.believes(object) {
				live.addLabelled(object)
			}
		})
	}
	listAll := func(kindNames []string) error {
		return concurrently(len(kindNames), Width, func(i int) error {
			err := list(kindNames[i])
			// Most tenants have none of these, and they can be looked up one by one.
			if apierrors.IsForbidden(err) && slices.Contains(seldom, kindNames[i]) {
				live.mutex.Lock()
				defer live.mutex.Unlock()
				live.unseen[kindNames[i]] = true
				return nil
			}
			return err
		})
	}
	// What tells which objects are to be believed comes first: of the others, which
	// anybody can make, none is kept. Records come last, as they are written before what
	// they speak of: so no binding is read of which the record does not know yet.
	first, rest := tenantKinds[:0:0], tenantKinds[:0:0]
	for _, kindName := range tenantKinds {
		if kinds[kindName].namespaced {
			rest = append(rest, kindName)
		} else {
			first = append(first, kindName)
		}
	}
	if err := listAll(first); err != nil {
		return nil, err
	}
	if err := live.findHomes(); err != nil {
		return nil, err
	}
	if err := listAll(rest); err != nil {
		return nil, err
	}
	return live, list("ConfigMap")
}

// findHomes finds the homes that are believed.
func (l *Live) findHomes() error {
	l.homes = NewHomes()
	for key, object := range l.objects {
		switch key.Kind {
		case "Namespace":
			l.homes.AddNamespace(object)
		case "ClusterRoleBinding":
			var binding rbacv1.ClusterRoleBinding
			if err := Typed(object, &binding); err != nil {
				return err
			}
			l.homes.addBinding(object.GetLabels()[tenant.LabelTenant], binding.Subjects)
		}
	}
	return nil
}

// disown drops the objects whose label is not to be trusted.
func (l *Live) disown() error {
	if err := l.findHomes(); err != nil {
		return err
	}
	maps.DeleteFunc(l.objects, func(_ Key, object *unstructured.Unstructured) bool { return !l.believes(object) })
	for name, keys := range l.byTenant {
		l.byTenant[name] = slices.DeleteFunc(keys, func(key Key) bool { return l.objects[key] == nil })
	}
	return nil
}

// believes says whether an object's label is to be trusted. Anyone who may write in a
// namespace can set labels on the objects in it, a chart too; only admins write
// namespaces. So an object counts where its namespace is believed to be this tenant's
// home. Kinds that stand in the tenant's other namespaces count anywhere: their label
// leads to a removal at most.
func (l *Live) believes(object *unstructured.Unstructured) bool {
	k := kinds[object.GetKind()]
	return !k.namespaced || k.outsideHome || l.homes.TenantOf(object.GetNamespace()) == object.GetLabels()[tenant.LabelTenant]
}

// HomeOf is the tenant whose home a namespace is believed to be, empty where it is none's;
// see Homes.
func (l *Live) HomeOf(namespace string) string { return l.homes.TenantOf(namespace) }

// Leads says whether something that only admins write leads from the tenant to that home
// namespace; see Homes.
func (l *Live) Leads(name, home string) bool { return l.homes.Leads(name, home) }

// TenantRecords are the records of all tenants: those that stand in a home that is
// believed. Elsewhere anybody can put a ConfigMap that looks like one. Of a record that
// is too long to be read, only the beginning is returned.
func (c *Client) TenantRecords(ctx context.Context) ([]corev1.ConfigMap, error) {
	homes := NewHomes()
	of := metav1.ListOptions{LabelSelector: tenant.LabelTenant}
	err := c.EachMeta(ctx, "Namespace", "", of, func(m *metav1.PartialObjectMetadata) { homes.AddNamespace(m) })
	if err != nil {
		return nil, err
	}
	err = Each(ctx, c, "ClusterRoleBinding", "", of, func(b *rbacv1.ClusterRoleBinding) {
		homes.addBinding(b.Labels[tenant.LabelTenant], b.Subjects)
	})
	if err != nil && !apierrors.IsForbidden(err) { // they only lead to homes of tenants of all namespaces
		return nil, err
	}
	var records []corev1.ConfigMap
	of.FieldSelector = "metadata.name=" + tenant.RecordName
	err = Each(ctx, c, "ConfigMap", "", of, func(m *corev1.ConfigMap) {
		if homes.TenantOf(m.Namespace) == m.Labels[tenant.LabelTenant] {
			records = append(records, BriefRecord(m))
		}
	})
	return records, err
}

// BriefRecord is a record without what nobody reads.
func BriefRecord(m *corev1.ConfigMap) corev1.ConfigMap {
	brief := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, Labels: m.Labels, Annotations: map[string]string{}}}
	if state, found := m.Annotations[tenant.AnnotationMigration]; found {
		brief.Annotations[tenant.AnnotationMigration] = state
	}
	if text, found := m.Data[tenant.RecordKey]; found {
		brief.Data = map[string]string{tenant.RecordKey: text[:min(len(text), tenant.MaxRecord+1)]}
	}
	return brief
}

// Homes are the home namespaces of all tenants in the cluster, by tenant name: a
// tenant has a home wherever its record is, if it is believed.
func (c *Client) Homes(ctx context.Context) (map[string][]string, error) {
	records, err := c.TenantRecords(ctx)
	if err != nil {
		return nil, err
	}
	homes := map[string][]string{}
	for _, record := range records {
		name := record.Labels[tenant.LabelTenant]
		homes[name] = append(homes[name], record.Namespace)
	}
	return homes, nil
}

// neighbourKinds are the kinds of which a Tiller made by hand may have some, too.
var neighbourKinds = []string{"Pod", "Secret", "ConfigMap", "ServiceAccount", "Service"}

// Neighbours names what a namespace holds that is no part of a Tiller made by
// hand or by helm-tenant, and that Kubernetes did not put there by itself. Only
// metadata is read.
func (c *Client) Neighbours(ctx context.Context, namespace string) ([]string, error) {
	// Tokens that servers before 1.24 make for each account.
	tokens := map[string]bool{}
	err := c.EachMeta(ctx, "Secret", namespace, metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeServiceAccountToken)}, func(m *metav1.PartialObjectMetadata) {
		account := m.Annotations[corev1.ServiceAccountNameKey]
		tokens[m.Name] = account == "default" || account == tenant.TillerAccount
	})
	if err != nil {
		return nil, err
	}
	var found []string
	for _, kindName := range neighbourKinds {
		err := c.EachMeta(ctx, kindName, namespace, metav1.ListOptions{}, func(m *metav1.PartialObjectMetadata) {
			if !(kindName == "Secret" && tokens[m.Name]) && !belongsToTiller(kindName, m) {
				found = append(found, kindName+" "+m.Name)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// hasTillersLabels says whether labels are those of a tenant's objects, of a Tiller's,
// or of its records.
func hasTillersLabels(l map[string]string) bool {
	return l[tenant.LabelTenant] != "" || release.IsTillers(l) || install.HasTillerLabels(l)
}

func belongsToTiller(kindName string, object metav1.Object) bool {
	switch {
	case hasTillersLabels(object.GetLabels()):
		return true
	case kindName == "ServiceAccount":
		return slices.Contains([]string{"default", tenant.TillerAccount, tenant.HelmAccount}, object.GetName())
	case kindName == "ConfigMap":
		return object.GetName() == "kube-root-ca.crt"
	}
	return false
}

// Lookup gets the objects of these keys that are not in live yet, whoever owns
// them. One in a namespace that does not exist needs no request; many of one
// kind are taken from a list of all.
func (c *Client) Lookup(ctx context.Context, live *Live, keys []Key) error {
	clusterScoped, inNamespaces := map[Key]bool{}, map[Key]bool{}
	for _, key := range keys {
		if live.objects[key] != nil {
			continue
		}
		if !kinds[key.Kind].namespaced {
			clusterScoped[key] = true
			continue
		}
		inNamespaces[key] = true
		if ns := (Key{Kind: "Namespace", Name: key.Namespace}); live.objects[ns] == nil {
			clusterScoped[ns] = true
		}
	}
	if err := c.lookup(ctx, live, clusterScoped); err != nil {
		return err
	}
	maps.DeleteFunc(inNamespaces, func(key Key, _ bool) bool {
		return live.objects[Key{Kind: "Namespace", Name: key.Namespace}] == nil
	})
	return c.lookup(ctx, live, inNamespaces)
}

func (c *Client) lookup(ctx context.Context, live *Live, wanted map[Key]bool) error {
	byKind := map[string][]Key{}
	for key := range wanted {
		byKind[key.Kind] = append(byKind[key.Kind], key)
	}
	var single []Key
	for kindName, keys := range byKind {
		if len(keys) < manyNames {
			single = append(single, keys...)
			continue
		}
		err := c.each(ctx, kindName, "", metav1.ListOptions{}, func(object *unstructured.Unstructured) {
			if wanted[keyOf(object)] {
				live.put(object)
			}
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(single, compareKeys)
	return concurrently(len(single), Width, func(i int) error {
		key := single[i]
		object, err := c.resource(kinds[key.Kind], key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		switch {
		case isUnserved(err):
			live.mutex.Lock()
			defer live.mutex.Unlock()
			live.unserved[key.Kind] = true
			return nil
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return c.explain("reading "+key.String(), err)
		}
		live.put(object)
		return nil
	})
}

// isUnserved tells "this server has no such kind" from "there is no such
// object", which names the object. A server that has the kind's group answers
// with a Status that names nothing; one that has not, with no Status at all.
func isUnserved(err error) bool {
	status, answered := errors.AsType[statusError](err)
	if !apierrors.IsNotFound(err) || !answered {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == "" || apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// concurrently calls do for 0 to n-1, at most width at once, and returns the first
// error. After an error the rest is not started any more.
func concurrently(n, width int, do func(i int) error) error {
	group, failed := errgroup.WithContext(context.Background())
	group.SetLimit(width)
	for i := range n {
		if failed.Err() != nil {
			break
		}
		group.Go(func() error {
			if failed.Err() != nil {
				return nil
			}
			return do(i)
		})
	}
	return group.Wait()
}
