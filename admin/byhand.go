package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/lists"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// byHand has the Tillers in a home namespace that were made by hand.
type byHand struct {
	// tillers are the workloads that run them, the Deployment with Tiller's usual name
	// first.
	tillers []handTiller
	// services select their pods.
	services []*unstructured.Unstructured
	// parts are their pods, accounts and Services, with the names that Neighbours gives
	// them.
	parts []string
	// records counts the release records in the namespace, by storage.
	records map[tenant.Storage]int
	// outside are the objects of the releases that are cluster-scoped or in another
	// namespace than the release.
	outside []outsideObject
}

// handTiller is a workload or a pod that runs a Tiller.
type handTiller struct {
	object *unstructured.Unstructured
	// spec has the replicas and the pod template, whatever the kind is.
	spec appsv1.DeploymentSpec
}

func (t handTiller) String() string { return t.object.GetKind() + " " + t.object.GetName() }

// runnerKinds are the kinds that can run a Tiller, Deployment first.
var runnerKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Pod"}

// findByHand finds the Tillers made by hand among the objects of a namespace, and what
// belongs to them. Those of helm-tenant are left out.
func findByHand(objects []*unstructured.Unstructured) (byHand, error) {
	var found byHand
	var makers cluster.Owners
	for _, kind := range runnerKinds {
		for _, object := range objects {
			if object.GetKind() != kind {
				continue
			}
			if object.GetLabels()[tenant.LabelTenant] != "" {
				makers.Add(kind, object)
				continue
			}
			spec, err := runnerSpec(object)
			if err != nil {
				return byHand{}, err
			}
			if !recognise.IsTiller(spec.Template.Labels, spec.Template.Spec) {
				continue
			}
			makers.Add(kind, object)
			if kind == "Pod" {
				found.parts = append(found.parts, "Pod "+object.GetName())
			}
			account := spec.Template.Spec.ServiceAccountName
			if account != "" {
				found.parts = append(found.parts, "ServiceAccount "+account)
			}
			if _, hasMaker := makers.Maker(kind, object); !hasMaker { // otherwise it is deleted with its maker
				found.tillers = append(found.tillers, handTiller{object, spec})
			}
		}
	}
	slices.SortStableFunc(found.tillers, func(a, b handTiller) int {
		return cmp.Compare(rankOf(a.object.GetKind(), a.object.GetName()), rankOf(b.object.GetKind(), b.object.GetName()))
	})
	for _, object := range objects {
		if object.GetKind() != "Service" || !slices.ContainsFunc(found.tillers, func(t handTiller) bool { return leadsTo(object, t.spec.Template.Labels) }) {
			continue
		}
		found.services = append(found.services, object)
		found.parts = append(found.parts, "Service "+object.GetName())
	}
	return found, nil
}

// rankOf ranks the Deployment with Tiller's usual name before all others.
func rankOf(kind, name string) int {
	if kind == "Deployment" && name == install.DeploymentName {
		return 0
	}
	return 1
}

// runnerSpec returns the specification of a workload or pod in the form of a
// Deployment's.
func runnerSpec(object *unstructured.Unstructured) (appsv1.DeploymentSpec, error) {
	var spec appsv1.DeploymentSpec
	if object.GetKind() == "Pod" {
		var pod corev1.Pod
		err := cluster.Typed(object, &pod)
		spec.Template.Labels, spec.Template.Annotations, spec.Template.Spec = pod.Labels, pod.Annotations, pod.Spec
		return spec, err
	}
	fields, _, err := unstructured.NestedMap(object.Object, "spec")
	if err != nil {
		return spec, err
	}
	alike := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	for _, name := range []string{"replicas", "template"} {
		if value, found := fields[name]; found {
			alike.Object["spec"].(map[string]any)[name] = value
		}
	}
	var deployment appsv1.Deployment
	err = cluster.Typed(alike, &deployment)
	return deployment.Spec, err
}

// leadsTo reports whether a Service selects pods with those labels, or is labelled as
// Tiller's.
func leadsTo(service *unstructured.Unstructured, podLabels map[string]string) bool {
	selector, _, err := unstructured.NestedStringMap(service.Object, "spec", "selector")
	if err != nil || len(selector) == 0 {
		return recognise.HasLabels(service.GetLabels()) // as helm init labels its own
	}
	return labels.SelectorFromSet(selector).Matches(labels.Set(podLabels))
}

func readByHand(ctx context.Context, c *cluster.Client, home string) (byHand, error) {
	found, err := findByHandIn(ctx, c, home, append([]string{"Service"}, runnerKinds...))
	if err != nil || len(found.tillers) == 0 {
		return found, err
	}
	stored, err := c.StoredReleases(ctx, tenant.EngineTiller, home)
	if err != nil {
		return found, err
	}
	found.records = countStorages(stored)
	held, err := readReleaseObjects(ctx, c, currentRecords(stored, true))
	if err != nil {
		return found, err
	}
	found.outside, err = findOutside(ctx, c, held)
	return found, err
}

// findByHandIn finds the Tillers made by hand among the objects of these kinds in a
// namespace.
func findByHandIn(ctx context.Context, c *cluster.Client, namespace string, kinds []string) (byHand, error) {
	var objects []*unstructured.Unstructured
	for _, kind := range kinds {
		listed, err := c.List(ctx, kind, namespace, metav1.ListOptions{})
		if err != nil {
			return byHand{}, err
		}
		objects = append(objects, listed...)
	}
	return findByHand(objects)
}

func countStorages(records []cluster.Stored) map[tenant.Storage]int {
	count := map[tenant.Storage]int{}
	for _, record := range records {
		count[tenant.Storage(strings.ToLower(record.Kind))]++
	}
	return count
}

// ofStorage returns the records of one storage: a Tiller never reads those of the other.
func ofStorage(records []cluster.Stored, storage tenant.Storage) []cluster.Stored {
	return slices.DeleteFunc(records, func(record cluster.Stored) bool { return !strings.EqualFold(record.Kind, string(storage)) })
}

// StorageError reports that the release records are in another storage than a Tiller's
// command line, or a tenant's record, names.
type StorageError struct {
	Home string
	// Said is the storage that Who names; empty if it is not known.
	Who  string
	Said tenant.Storage
	// Records counts the records by storage.
	Records map[tenant.Storage]int
}

func (e *StorageError) Error() string {
	said := fmt.Sprintf("%s stores releases as %ss", e.Who, e.Said)
	if e.Said == "" {
		said = e.Who + " does not say where it stores releases"
	}
	counts := lists.Map([]tenant.Storage{tenant.StorageSecret, tenant.StorageConfigMap}, func(storage tenant.Storage) string {
		return fmt.Sprintf("%d as %ss", e.Records[storage], storage)
	})
	return fmt.Sprintf("%s, but the release records in namespace %q are stored %s", said, e.Home, strings.Join(counts, ", "))
}

// Only returns the storage of all records; empty if they have several, or there are no
// records.
func (e *StorageError) Only() tenant.Storage { return onlyStorage(e.Records) }

func onlyStorage(records map[tenant.Storage]int) tenant.Storage {
	secrets, configMaps := records[tenant.StorageSecret], records[tenant.StorageConfigMap]
	switch {
	case secrets > 0 && configMaps == 0:
		return tenant.StorageSecret
	case configMaps > 0 && secrets == 0:
		return tenant.StorageConfigMap
	}
	return ""
}

// storage decides where a Tiller made by hand stores its releases. The records count; if
// the command line names another storage, that is an error unless the admin named the
// storage. Without records the command line counts.
func (b byHand) storage(home string, asked tenant.Storage) (tenant.Storage, error) {
	t := b.tillers[0]
	c := recognise.Container(t.spec.Template.Spec)
	if c == nil {
		return asked, nil
	}
	said := recognise.KnownStorageOf(c)
	if said != "" && said != tenant.StorageSecret && said != tenant.StorageConfigMap {
		return "", fmt.Errorf("the Tiller in namespace %q stores its releases as %q, and a tenant's Tiller stores them as %s or %s", home, said, tenant.StorageSecret, tenant.StorageConfigMap)
	}
	wrong := &StorageError{Home: home, Who: t.String(), Said: said, Records: b.records}
	only := onlyStorage(b.records)
	switch {
	case len(b.records) == 0 && said == "":
		return asked, nil
	case len(b.records) == 0, only == said:
		return said, nil
	case only != "" && (only == asked || said == ""):
		return only, nil
	case only == "" && said != "":
		return said, nil // the other records are older
	case only == "" && asked != "":
		return asked, nil
	}
	return "", wrong
}

// otherStorage returns the storage of the tenant's live Tiller, if its record has another
// one: somebody changed one of the two by hand. It is empty if they agree.
func (d *decision) otherStorage() tenant.Storage {
	var deployment appsv1.Deployment
	found, err := d.facts.live.Into(tillerKey(d.tenant.Home()), &deployment)
	if err != nil || !found || !d.existed || !d.was.Engine.Has(tenant.EngineTiller) || deployment.Labels[tenant.LabelTenant] != d.tenant.Name {
		return ""
	}
	live := install.LiveSettings(deployment.Spec).Storage
	if live == d.was.Tiller.Storage || live != tenant.StorageSecret && live != tenant.StorageConfigMap {
		return ""
	}
	return live
}

// checkLiveStorage refuses to change a Tiller to the recorded storage if its releases are
// in the other one, unless the request names the storage.
func (d *decision) checkLiveStorage() error {
	live := d.otherStorage()
	if live == "" || !d.tenant.Engine.Has(tenant.EngineTiller) || d.tenant.Tiller.Storage == live || !d.request.Exact && d.request.Tenant.Tiller.Storage != "" {
		return nil
	}
	kinds, err := answerAbout(d.facts.recordKinds, "the kinds of release records", d.tenant.Home())
	if err != nil {
		return err
	}
	inLive := slices.ContainsFunc(kinds, func(kind string) bool { return strings.EqualFold(kind, string(live)) })
	if !inLive {
		return nil
	}
	return &RefusedError{fmt.Sprintf("the Tiller in namespace %q keeps its releases as %ss, and the tenant's record says %ss: Tiller would not find them there", d.tenant.Home(), live, d.was.Tiller.Storage), SettingStorage, string(live)}
}
