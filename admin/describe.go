package admin

import (
	"context"
	"errors"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// Description is one tenant in full, as far as the caller may see it.
type Description struct {
	tenant.Tenant
	Home string
	// HomeTerminating reports whether the home namespace is being deleted; false if the caller may
	// not read that.
	HomeTerminating bool
	// Migration is nil if the tenant is not being migrated.
	Migration *tenant.Migration
	// In has the tenant's namespaces and the bindings in them.
	In       []NamespaceOf
	Running  *Tiller
	Pods     []PodOf
	Releases []Release
	// Drift has the changes that would make the objects what the record says; Foreign has
	// the objects among them that helm-tenant did not make. Uncompared is the reason why
	// the objects could not be compared otherwise.
	Drift      []cluster.Change
	Foreign    string
	Uncompared string
	// RoleGaps are the rights that the deployer's role lacks and helm needs.
	RoleGaps []string
	// GuardUnheld is the reason why the guard is not in force, or why that is not known.
	GuardUnheld string
	// PodSecurityUnheld is the same for PodSecurity.
	PodSecurityUnheld string
	// Over has the grants for a time that have ended and are still in force; TermsUnread
	// is the reason why the ends are not known.
	Over        tenant.Terms
	TermsUnread string
	// Unended reports whether a disconnect was not finished: who was revoked may still use an
	// open connection to Tiller.
	Unended bool
	// Unseen names what the caller may not read.
	Unseen []string
}

// NamespaceOf is one of the tenant's namespaces and the bindings in it.
type NamespaceOf struct {
	Name string `json:"name"`
	// Missing reports whether the namespace does not exist.
	Missing bool `json:"missing,omitempty"`
	// Terminating reports whether the namespace is being deleted.
	Terminating bool `json:"terminating,omitempty"`
	// Bindings are nil if the caller may not read them.
	Bindings []Binding `json:"bindings" nil:"unknown"`
	// Quota is the use of the tenant's ResourceQuota; nil if the caller may not read it.
	Quota []QuotaUse `json:"quota" nil:"unknown"`
}

// QuotaUse is one key of a ResourceQuota.
type QuotaUse struct {
	Key  string `json:"key"`
	Used string `json:"used"`
	Hard string `json:"hard"`
}

// Binding is a summary of a RoleBinding.
type Binding struct {
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	Subjects []string `json:"subjects"`
	// Ours reports whether helm-tenant made it for this tenant.
	Ours bool `json:"ours"`
}

// PodOf is a summary of a Tiller's pod.
type PodOf struct {
	Name  string `json:"name"`
	Phase string `json:"phase"`
	Ready bool   `json:"ready"`
	Node  string `json:"node,omitempty"`
}

// Describe reads everything about a tenant. What the caller may not read is named in
// Unseen: a member sees the record and Tiller's pods.
func Describe(ctx context.Context, c *cluster.Client, name, home string) (*Description, error) {
	t, err := Find(ctx, c, name, home)
	if err != nil {
		return nil, err
	}
	d := &Description{Tenant: t, Home: t.Home()}
	if d.Migration, err = c.Migration(ctx, d.Home); err != nil {
		return nil, err
	}
	// see reports whether a read succeeded.
	see := func(part string, err error) (bool, error) {
		if apierrors.IsForbidden(err) {
			if !slices.Contains(d.Unseen, part) {
				d.Unseen = append(d.Unseen, part)
			}
			return false, nil
		}
		return err == nil, err
	}
	if d.HomeTerminating, err = c.Terminating(ctx, d.Home); err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if t.Engine.Has(tenant.EngineTiller) {
		if err := d.describeTiller(ctx, c, see); err != nil {
			return nil, err
		}
	}
	if err := d.describePeople(ctx, c, see); err != nil {
		return nil, err
	}
	for _, engine := range d.Migration.ReleasesOf(t.Engine).Parts() {
		releases, err := readReleases(ctx, c, t, engine)
		if ok, err := see("releases", err); err != nil {
			return nil, err
		} else if ok {
			d.Releases = append(d.Releases, releases...)
		}
	}
	if d.In, err = describeNamespaces(ctx, c, d.Tenant, see); err != nil {
		return nil, err
	}
	if len(d.Unseen) == 0 {
		return d, d.findDrift(ctx, c)
	}
	return d, nil
}

// describePeople reads the members, readers and owners. An owner may not list the
// bindings in the home namespace, and gets those of members and readers by name.
func (d *Description) describePeople(ctx context.Context, c *cluster.Client, see func(string, error) (bool, error)) error {
	bindings, err := cluster.List[rbacv1.RoleBinding](ctx, c, "RoleBinding", d.Home, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		bindings, err = nil, nil
		for _, as := range tenant.Relations {
			live := cluster.NewLive()
			ok, err := see(string(as)+"s", c.Lookup(ctx, live, []cluster.Key{peopleKey(d.Home, as)}))
			if err != nil {
				return err
			}
			var binding rbacv1.RoleBinding
			if exists, err := live.Into(peopleKey(d.Home, as), &binding); err != nil {
				return err
			} else if exists {
				bindings = append(bindings, binding)
			}
			if !ok && as == tenant.RelationMember {
				break // nor may they read the others
			}
		}
	}
	if err != nil {
		return err
	}
	var in people
	for i := range bindings {
		in.add(&bindings[i])
		if bindings[i].Name == rbac.MemberName && d.Engine.Has(tenant.EngineTiller) {
			d.Unended = bindings[i].Annotations[tenant.AnnotationDisconnect] != ""
		}
	}
	in.put(&d.Tenant)
	_, d.ReadersKept = in.byRelation[tenant.RelationReader]
	_, d.OwnersKept = in.byRelation[tenant.RelationOwner]
	d.TermsUnread, d.Over = in.problem(), in.terms.Over(c.Now())
	return nil
}

// describeTiller reads its pods and its Deployment; see reports whether a read succeeded.
func (d *Description) describeTiller(ctx context.Context, c *cluster.Client, see func(string, error) (bool, error)) error {
	pods, err := c.TillerPods(ctx, d.Home)
	if ok, err := see("Tiller's pods", err); err != nil {
		return err
	} else if ok {
		for _, pod := range pods {
			d.Pods = append(d.Pods, PodOf{pod.Name, string(pod.Status.Phase), install.PodReady(pod), pod.Spec.NodeName})
		}
	}
	tillers, err := Tillers(ctx, c, d.Home)
	if ok, err := see("Tiller's settings", err); err != nil {
		return err
	} else if ok && len(tillers) > 0 {
		d.Running = &tillers[0]
	}
	return nil
}

// findDrift compares the live objects with those that the record asks for.
func (d *Description) findDrift(ctx context.Context, c *cluster.Client) error {
	version := ""
	if d.Running != nil {
		version = d.Running.Version // a Tiller of another version than the client's is no drift
	}
	prepared, err := Prepare(ctx, c, Request{Tenant: tenant.Tenant{Name: d.Name}, ClientVersion: version, CreateNamespaces: true, Share: true, Migrating: true, Accepted: Risks})
	notOurs, foreign := errors.AsType[*cluster.NotOursError](err)
	switch {
	case foreign:
		d.Foreign = notOurs.Error()
		return nil
	case err != nil && ctx.Err() == nil:
		// The other facts are known by now, and the error is the reason.
		d.Uncompared = failure.Text(err)
		if denied, ok := errors.AsType[*ReadDeniedError](err); ok {
			d.Uncompared += " " + strings.Join(denied.Details(), "; ")
		}
		return nil
	case err != nil:
		return err
	}
	for _, note := range prepared.Notes {
		if note == NoGuardHere || note == GuardUnseen {
			d.GuardUnheld = note
		}
	}
	d.PodSecurityUnheld = PodSecurityUnheld(ctx, c, prepared.Tenant)
	d.Drift, d.RoleGaps = prepared.Plan.Ordered(), prepared.RoleGaps
	return nil
}
