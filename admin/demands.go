package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// addFunc gets what an object of that kind asks for that the guard judges; nil for
// nothing.
type addFunc func(kind string, object metav1.Object, asks *rails.Demand)

func (t *snapshotReader) addDemand(kind string, object metav1.Object, asks *rails.Demand) {
	if asks == nil {
		return
	}
	t.locked(func() {
		t.snapshot.Demands = append(t.snapshot.Demands, audit.Demand{Object: audit.ObjectRef{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName()}, Asks: asks})
	})
}

// readClaims reads the PersistentVolumeClaims of a namespace, of all namespaces if it is
// empty.
func readClaims(ctx context.Context, c *cluster.Client, namespace string, add addFunc) error {
	return cluster.Each(ctx, c, "PersistentVolumeClaim", namespace, metav1.ListOptions{}, func(claim *corev1.PersistentVolumeClaim) {
		add("PersistentVolumeClaim", claim, rails.OfClaim(claim))
	})
}

// readIngresses reads the Ingresses of a namespace, of all namespaces if it is empty.
func readIngresses(ctx context.Context, c *cluster.Client, namespace string, add addFunc) error {
	return cluster.Each(ctx, c, "Ingress", namespace, metav1.ListOptions{}, func(ingress *networkingv1.Ingress) {
		add("Ingress", ingress, rails.OfIngress(ingress))
	})
}

// readDemands reads what the objects of these namespaces ask for that the guard judges,
// without objects that only admins write.
func readDemands(ctx context.Context, c *cluster.Client, namespaces []string) (map[string]answer[[]audit.Demand], error) {
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	if len(namespaces) > fewNamespaces && !c.Scoped() {
		found := make(map[string]answer[[]audit.Demand], len(namespaces))
		for _, name := range namespaces {
			found[name] = answer[[]audit.Demand]{}
		}
		all, err := demandsIn(ctx, c, "", func(namespace string) bool { _, wanted := found[namespace]; return wanted })
		if err == nil {
			for _, demand := range all {
				a := found[demand.Object.Namespace]
				a.value = append(a.value, demand)
				found[demand.Object.Namespace] = a
			}
			return found, nil
		}
		if !apierrors.IsForbidden(err) {
			return nil, err
		}
	}
	return readEach(ctx, namespaces, func(ctx context.Context, namespace string) ([]audit.Demand, error) {
		return demandsIn(ctx, c, namespace, func(string) bool { return true })
	})
}

// demandsIn reads them in one namespace, or in all of them that wanted accepts if namespace
// is empty.
func demandsIn(ctx context.Context, c *cluster.Client, namespace string, wanted func(string) bool) ([]audit.Demand, error) {
	var found []audit.Demand
	var mutex sync.Mutex
	add := func(kind string, object metav1.Object, asks *rails.Demand) {
		if asks == nil || !wanted(object.GetNamespace()) || object.GetLabels()[tenant.LabelTenant] != "" || object.GetLabels()[rails.LabelProtected] == "true" {
			return
		}
		mutex.Lock()
		defer mutex.Unlock()
		found = append(found, audit.Demand{Object: audit.ObjectRef{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName()}, Asks: asks})
	}
	all := metav1.ListOptions{}
	for _, read := range []func() error{
		func() error {
			asked := map[cluster.Key]*rails.Demand{}
			judge := func(t cluster.Template) {
				asks := rails.OfTemplate(&t.Spec.Spec)
				if t.Key.Kind == "Pod" {
					asks = rails.OfPod(&t.Spec.Spec)
				}
				asked[t.Key] = asks
				// An object's controller is named instead of the object, for what its template
				// asks for.
				if makers := asked[t.Maker]; asks != nil && makers != nil {
					asks = asks.Beyond(makers)
				}
				add(t.Key.Kind, &metav1.ObjectMeta{Namespace: t.Key.Namespace, Name: t.Key.Name}, asks)
			}
			if namespace == "" {
				return c.EachTemplateIn(ctx, wanted, judge)
			}
			return c.EachTemplate(ctx, namespace, judge)
		},
		func() error {
			return cluster.Each(ctx, c, "StatefulSet", namespace, all, func(s *appsv1.StatefulSet) {
				add("StatefulSet", s, rails.OfTemplate(&corev1.PodSpec{}, s.Spec.VolumeClaimTemplates...))
			})
		},
		func() error {
			return cluster.Each(ctx, c, "RoleBinding", namespace, all, func(b *rbacv1.RoleBinding) { add("RoleBinding", b, rails.OfRoleBinding(b)) })
		},
		func() error {
			return cluster.Each(ctx, c, "Service", namespace, all, func(s *corev1.Service) { add("Service", s, rails.OfService(s)) })
		},
		func() error {
			return cluster.Each(ctx, c, "NetworkPolicy", namespace, all, func(p *networkingv1.NetworkPolicy) { add("NetworkPolicy", p, rails.OfNetworkPolicy(&p.Spec)) })
		},
		func() error { return readClaims(ctx, c, namespace, add) },
		func() error { return readIngresses(ctx, c, namespace, add) },
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(x, y audit.Demand) int { return strings.Compare(x.Object.String(), y.Object.String()) })
	return found, nil
}

// previewed returns the live namespaces whose guard changes, if the request asks for what
// the guard would refuse.
func (d *decision) previewed() []string {
	if !d.request.NoteRefused || !d.guarded() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(d.railed()), func(name string) bool {
		live := d.facts.live.Get(namespaceKey(name))
		if live == nil {
			return true
		}
		labels, annotations, err := railsMeta(d.tenant, name, live)
		return err != nil || maps.Equal(rails.Changed(live.GetLabels(), labels), live.GetLabels()) && maps.Equal(rails.Changed(live.GetAnnotations(), annotations), live.GetAnnotations())
	})
}

// noteRefused notes the live objects that the guard would refuse if the tenant created
// them again.
func (d *decision) noteRefused() error {
	p := priorities(d.facts.live)
	var unseen []string
	var why error
	for _, name := range d.previewed() {
		demands, err := answerAbout(d.facts.demands, "what the guard judges", name)
		if apierrors.IsForbidden(err) {
			unseen, why = append(unseen, fmt.Sprintf("%q", name)), err
			continue
		}
		if err != nil {
			return err
		}
		live := d.facts.live.Get(namespaceKey(name))
		_, annotations, err := railsMeta(d.tenant, name, live)
		if err != nil {
			return err
		}
		notes := rails.Changed(live.GetAnnotations(), annotations)
		const limit = 20
		count := 0
		for _, demand := range demands {
			refusals := demand.Asks.Refusals(name, notes, p)
			if len(refusals) == 0 {
				continue
			}
			if count++; count <= limit {
				d.note("the guard would refuse to create %s again: %s", demand.Object, strings.Join(refusals, "; "))
			}
		}
		if count > limit {
			d.note("the guard would refuse %s of namespace %q", visible.Counted(count-limit, "more object"), name)
		}
	}
	if len(unseen) > 0 {
		d.note("which objects of namespace %s the guard would refuse is not known: %s", briefList(unseen), reason(why))
	}
	return nil
}
