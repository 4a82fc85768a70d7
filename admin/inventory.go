package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/install"
	"helm-tenant/recognise"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// Tiller has facts from a Tiller's Deployment.
type Tiller struct {
	Namespace string   `json:"namespace"`
	Image     string   `json:"image"`
	Version   string   `json:"version,omitempty"`
	Command   []string `json:"command"`
	Account   string   `json:"serviceAccount,omitempty"`
	Desired   int32    `json:"desired"`
	Ready     int32    `json:"ready"`
	// Rollout is the reason why its rollout is not complete, empty if it is.
	Rollout string `json:"rollout,omitempty"`
	// owner is the tenant of its label, empty for an unmanaged one; name is the name of
	// the workload.
	owner, name string
	// labelled says that only the labels of its pods are a Tiller's.
	labelled bool
}

// Overview is one tenant in the list of all.
type Overview struct {
	tenant.Tenant
	Home   string  `json:"home"`
	Tiller *Tiller `json:"running,omitempty"`
	// Migration is nil if the tenant is not being migrated.
	Migration *tenant.Migration `json:"migration,omitempty"`
	// Releases counts the releases by the status of their newest revision.
	Releases map[string]int `json:"releases,omitempty"`
	// Terminating has those of its home and its namespaces that are being deleted.
	Terminating []string `json:"terminating,omitempty"`
	// Problem is what is wrong with its record.
	Problem string `json:"problem,omitempty"`
	// TermsUnread is the reason why the ends of grants for a time are not known.
	TermsUnread string `json:"temporaryUnread,omitempty"`
}

func (o *Overview) takePeople(p people) {
	p.put(&o.Tenant)
	o.TermsUnread = p.problem()
}

// Inventory lists the tenants and Tillers of a cluster.
type Inventory struct {
	Tenants []Overview
	// Unmanaged are the Tillers that belong to no tenant.
	Unmanaged []Unmanaged
	// Unseen has the errors of reads that the caller may not make, whose results are
	// missing.
	Unseen []error
	// PeopleUnseen, TillersUnseen and ReleasesUnseen report that these are not known for
	// any tenant, or not for all.
	PeopleUnseen, TillersUnseen, ReleasesUnseen bool
}

// Lacks returns an error for a tenant that does not exist in the cluster, nil for one
// that does. where is the cluster, for the error.
func (i *Inventory) Lacks(name, where string) *NoTenantError {
	var known []string
	for _, t := range i.Tenants {
		if t.Name == name {
			return nil
		}
		known = append(known, t.Name)
	}
	return noTenant(name, where, known)
}

// Only keeps the tenants with these names, and no unmanaged Tiller.
func (i *Inventory) Only(names []string) {
	i.Tenants = slices.DeleteFunc(i.Tenants, func(t Overview) bool { return !slices.Contains(names, t.Name) })
	i.Unmanaged = nil
}

// Unmanaged is a Tiller that was not made by helm-tenant.
type Unmanaged struct {
	Tiller
	Releases map[string]int `json:"releases,omitempty"`
}

// Adoptable reports whether it may be a Tiller whose releases can be carried over: it is more
// than pods with a Tiller's labels, which anybody can write, or there are releases.
func (u Unmanaged) Adoptable() bool { return !u.labelled || len(u.Releases) > 0 }

// TakeInventory reads the inventory with a few paged lists, however many tenants there
// are. Missing permissions are named all at once, by a *ReadDeniedError: as its error if the
// tenants may not be listed, otherwise in Unseen.
func TakeInventory(ctx context.Context, c *cluster.Client) (*Inventory, error) {
	terminating := map[string]bool{}
	records, err := c.TenantRecords(ctx, func(ns *metav1.PartialObjectMetadata) { terminating[ns.Name] = ns.DeletionTimestamp != nil })
	if err != nil {
		return nil, ExplainLists(ctx, c, err)
	}
	var inventory Inventory
	seen := func(err error) bool {
		if err != nil {
			inventory.Unseen = append(inventory.Unseen, err)
		}
		return err == nil
	}
	in := map[string]people{}
	inventory.PeopleUnseen = !seen(eachPeople(ctx, c, func(b *rbacv1.RoleBinding) {
		p := in[b.Namespace]
		p.add(b)
		in[b.Namespace] = p
	}))
	tillers, err := Tillers(ctx, c, "")
	inventory.TillersUnseen = !seen(err)
	revisions, helmRevisions, err := c.Revisions(ctx)
	inventory.ReleasesUnseen = !seen(err)
	if !inventory.TillersUnseen {
		pods, err := tillerPods(ctx, c, tillers, revisions)
		seen(err) // those of tenants are known
		tillers = append(tillers, pods...)
	}
	inventory.Unseen = explainUnseen(ctx, c, inventory.Unseen)

	homes, owned := map[string]bool{}, map[string]bool{}
	for _, record := range records {
		o := Overview{Home: record.Namespace}
		t, err := tenant.ReadRecord(record.Data[tenant.RecordKey])
		if err != nil {
			t.Name = record.Labels[tenant.LabelTenant]
			o.Problem = failure.Text(err)
		} else if len(t.Unknown) > 0 {
			o.Problem = t.UnknownFields()
		}
		if o.Migration, err = cluster.MigrationOf(&record); err != nil && o.Problem == "" {
			o.Problem = failure.Text(err)
		}
		o.Tenant = t.WithDefaults()
		counted := o.Migration.ReleasesOf(o.Engine)
		if counted.Has(tenant.EngineTiller) {
			o.count(revisions[record.Namespace])
		}
		if counted.Has(tenant.EngineImpersonation) {
			namespaces := o.Namespaces
			if o.AllNamespaces {
				namespaces = slices.Collect(maps.Keys(helmRevisions))
			}
			for _, ns := range namespaces {
				o.count(helmRevisions[ns])
			}
		}
		o.takePeople(in[record.Namespace])
		o.Terminating = slices.DeleteFunc(slices.Concat([]string{o.Home}, o.Namespaces), func(name string) bool { return !terminating[name] })
		homes[record.Namespace] = true
		for _, ns := range o.Namespaces {
			owned[ns] = !o.AllNamespaces || owned[ns]
		}
		o.Tiller = tillerIn(tillers, record.Namespace, t.Name)
		inventory.Tenants = append(inventory.Tenants, o)
	}
	for _, tiller := range tillers {
		// In a tenant's own namespace any member can make a workload that looks like a
		// Tiller.
		if (tiller.owner == "" || !homes[tiller.Namespace]) && !owned[tiller.Namespace] {
			inventory.Unmanaged = append(inventory.Unmanaged, Unmanaged{tiller, countByStatus(revisions[tiller.Namespace])})
		}
	}
	slices.SortFunc(inventory.Tenants, func(a, b Overview) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(inventory.Unmanaged, func(a, b Unmanaged) int { return strings.Compare(a.Namespace, b.Namespace) })
	return &inventory, nil
}

// tillerIn returns the tenant's Tiller in a namespace, nil if there is none.
func tillerIn(tillers []Tiller, namespace, owner string) *Tiller {
	index := slices.IndexFunc(tillers, func(t Tiller) bool { return t.Namespace == namespace && t.owner == owner })
	if index < 0 {
		return nil
	}
	return &tillers[index]
}

func (o *Overview) count(revisions []release.Revision) {
	for status, count := range countByStatus(revisions) {
		if o.Releases == nil {
			o.Releases = map[string]int{}
		}
		o.Releases[status] += count
	}
}

func countByStatus(revisions []release.Revision) map[string]int {
	if len(revisions) == 0 {
		return nil
	}
	count := map[string]int{}
	for _, r := range release.Latest(revisions) {
		count[r.Status]++
	}
	return count
}

// mostRollouts bounds the number of incomplete rollouts whose reason is looked for.
const mostRollouts = 10

// Tillers returns all Deployments, StatefulSets and DaemonSets that run a Tiller, of a
// namespace or of all namespaces if it is empty; Deployments with Tiller's usual name
// come first. They are recognised by what runs in them, as by audit and init --adopt.
func Tillers(ctx context.Context, c *cluster.Client, namespace string) ([]Tiller, error) {
	var tillers []Tiller
	add := func(meta metav1.ObjectMeta, replicas *int32, ready int32, template corev1.PodTemplateSpec) {
		if recognise.IsTiller(template.Labels, template.Spec) {
			tillers = append(tillers, tillerOf(meta, replicas, ready, template))
		}
	}
	all := metav1.ListOptions{}
	unfinished := map[int]*appsv1.Deployment{}
	err := cluster.Each(ctx, c, "Deployment", namespace, all, func(d *appsv1.Deployment) {
		count := len(tillers)
		add(d.ObjectMeta, d.Spec.Replicas, install.Updated(d), d.Spec.Template)
		if _, done := install.Readiness(d, nil); !done && len(tillers) > count {
			unfinished[count] = d.DeepCopy()
		}
	})
	if err != nil {
		return nil, err
	}
	for _, index := range slices.Sorted(maps.Keys(unfinished))[:min(len(unfinished), mostRollouts)] {
		tillers[index].Rollout, _ = c.Rollout(ctx, unfinished[index])
	}
	slices.SortStableFunc(tillers, func(a, b Tiller) int { return cmp.Compare(rankOf("Deployment", a.name), rankOf("Deployment", b.name)) })
	err = cluster.Each(ctx, c, "StatefulSet", namespace, all, func(s *appsv1.StatefulSet) {
		add(s.ObjectMeta, s.Spec.Replicas, s.Status.ReadyReplicas, s.Spec.Template)
	})
	if err != nil {
		return nil, err
	}
	return tillers, cluster.Each(ctx, c, "DaemonSet", namespace, all, func(d *appsv1.DaemonSet) {
		add(d.ObjectMeta, &d.Status.DesiredNumberScheduled, d.Status.NumberReady, d.Spec.Template)
	})
}

func tillerOf(meta metav1.ObjectMeta, replicas *int32, ready int32, template corev1.PodTemplateSpec) Tiller {
	t := Tiller{
		Namespace: meta.Namespace, Account: cmp.Or(template.Spec.ServiceAccountName, "default"),
		Desired: 1, Ready: ready, owner: meta.Labels[tenant.LabelTenant], name: meta.Name, labelled: !recognise.RunsTiller(template.Spec),
	}
	if replicas != nil {
		t.Desired = *replicas
	}
	if c := recognise.Container(template.Spec); c != nil {
		t.Image, t.Version = c.Image, recognise.ImageVersion(c.Image)
		t.Command = slices.Concat(c.Command, c.Args)
	}
	return t
}

// mostSearched bounds the namespaces whose pods are listed one by one. Beyond it a list of the
// cluster's pods takes fewer requests.
const mostSearched = 20

// tillerPods returns the Tillers among pods that no Deployment, StatefulSet or DaemonSet
// made: bare pods, and those of a ReplicaSet or ReplicationController, one for each maker.
// found are the other Tillers, and revisions the releases of Tillers by namespace. Pods are
// looked at in namespaces that have pods with Tiller's labels, or releases without a Tiller.
func tillerPods(ctx context.Context, c *cluster.Client, found []Tiller, revisions map[string][]release.Revision) ([]Tiller, error) {
	attributed := map[string]bool{} // namespaces with a Tiller whose workload is known
	for _, t := range found {
		attributed[t.Namespace] = true
	}
	searched := map[string]bool{}
	for namespace := range revisions {
		searched[namespace] = !attributed[namespace]
	}
	labelled := metav1.ListOptions{LabelSelector: recognise.Selector()}
	err := c.EachMeta(ctx, "Pod", "", labelled, func(pod *metav1.PartialObjectMetadata) {
		searched[pod.Namespace] = searched[pod.Namespace] || !attributed[pod.Namespace] || metav1.GetControllerOfNoCopy(pod) == nil
	})
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(searched, func(_ string, search bool) bool { return !search })
	namespaces := slices.Sorted(maps.Keys(searched))
	if len(namespaces) > mostSearched {
		namespaces = []string{metav1.NamespaceAll}
	}
	var tillers []Tiller
	type makerKey struct{ namespace, kind, name, uid string }
	makers := map[makerKey]bool{}
	for _, scope := range namespaces {
		err := cluster.Each(ctx, c, "Pod", scope, metav1.ListOptions{}, func(pod *corev1.Pod) {
			namespace, maker := pod.Namespace, metav1.GetControllerOfNoCopy(pod)
			ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
			if ended || !searched[namespace] || !recognise.IsTiller(pod.Labels, pod.Spec) {
				return
			}
			if maker != nil {
				key := makerKey{namespace, cluster.OwnerKind(*maker), maker.Name, string(maker.UID)}
				if attributed[namespace] || makers[key] {
					return
				}
				makers[key] = true
			}
			ready := int32(0)
			if install.PodReady(*pod) {
				ready = 1
			}
			tillers = append(tillers, tillerOf(metav1.ObjectMeta{Namespace: namespace, Name: pod.Name, Labels: map[string]string{tenant.LabelTenant: pod.Labels[tenant.LabelTenant]}},
				nil, ready, corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}))
		})
		if err != nil {
			return tillers, err
		}
	}
	return tillers, nil
}
