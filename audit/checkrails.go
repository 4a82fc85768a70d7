package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"helm-tenant/command"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// checkRails reports tenants whose guard rails are loose by their record, and namespaces
// that enforce less than the record asks for.
func (a *auditor) checkRails(r *Record) {
	t := r.Tenant
	if r.Problem != "" || t.AllNamespaces {
		return
	}
	if t.PodSecurity == tenant.PodSecurityUnmanaged || t.PodSecurity == tenant.PodSecurityPrivileged {
		for _, ns := range a.loosest(t) {
			f := r.about("namespace "+ns, "the record says podSecurity: %s, and namespace %s does not refuse privileged pods", t.PodSecurity, ns)
			f.Chains = [][]string{{"the record of tenant " + t.Name, "namespace " + ns}}
			f.Fix = command.Run(command.Tenant("init", t.Name, "--pod-security", string(tenant.PodSecurityBaseline)))
			a.add(idLoosePods, "", f)
		}
	}
	if t.Guard != tenant.GuardEnforce && t.Guard != "" {
		severity := High
		if t.Guard != tenant.GuardOff {
			severity = Medium
		}
		f := r.about("tenant "+t.Name, "the record says guard: %s", t.Guard)
		f.Chains = [][]string{{"the record of tenant " + t.Name}}
		f.Fix = command.Run(command.Tenant("init", t.Name, "--guard", string(tenant.GuardEnforce)))
		a.add(idNoGuard, severity, f)
	}
	a.checkLoosened(r)
}

// checkPodSecurity reports that tenants ask for a level of PodSecurity and the API server
// does not enforce the labels, nor does a webhook in its place
// (k8s.io/pod-security-admission/webhook).
func (a *auditor) checkPodSecurity() {
	const webhook = "pod-security-webhook.kubernetes.io"
	if !a.snapshot.Server.NoPodSecurity || slices.Contains(a.snapshot.WebhookNames["ValidatingWebhookConfiguration"], webhook) {
		return
	}
	var asking []*Record
	for r := range a.records() {
		if level := slices.Index(tenant.PodSecurities, r.Tenant.PodSecurity); r.Problem == "" && !r.Tenant.AllNamespaces && level >= slices.Index(tenant.PodSecurities, tenant.PodSecurityBaseline) {
			asking = append(asking, r)
		}
	}
	if len(asking) == 0 {
		return
	}
	f := Finding{Subject: "the API server", Text: fmt.Sprintf("this API server does not enforce PodSecurity, for which %s asks: a chart can run a privileged pod", tenantsOf(asking))}
	f.Chains = [][]string{{"the API server", "admission plugin PodSecurity is off", "tenant " + asking[0].Tenant.Name}}
	f.Fix = command.Advice("take PodSecurity out of the API server's --disable-admission-plugins; before Kubernetes 1.23, upgrade it")
	a.add(idLoosened, "", f)
}

// loosest returns the tenant's namespaces whose own label does not enforce baseline.
func (a *auditor) loosest(t tenant.Tenant) []string {
	if a.unseen("namespaces") {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(t.Namespaces), func(ns string) bool {
		live := a.namespaces[ns]
		return live == nil || enforcedLevel(live) >= slices.Index(tenant.PodSecurities, tenant.PodSecurityBaseline)
	})
}

// enforcedLevel returns the rank of a namespace's enforce label; an invalid label counts as none.
func enforcedLevel(ns *Namespace) int {
	return slices.Index(tenant.PodSecurities, tenant.PodSecurity(ns.Labels[rails.LabelEnforce]))
}

// checkLoosened reports namespaces whose labels are looser than the record asks for.
func (a *auditor) checkLoosened(r *Record) {
	if a.unseen("namespaces") {
		return
	}
	t := r.Tenant
	for _, name := range t.Namespaces {
		live := a.namespaces[name]
		if live == nil || tenant.IsSystemNamespace(name) {
			continue
		}
		// Without its quota a tenant uses up resources of others; without the other rails
		// it harms them.
		severity, loosened := Severity(""), a.loosened(t, live)
		if loosened == "" {
			severity, loosened = Medium, a.unlimited(t, live)
		}
		if loosened == "" {
			continue
		}
		f := r.about("namespace "+name, "namespace %s is looser than %s, which the record says", name, loosened)
		f.Chains, f.Fix = [][]string{{"the record of tenant " + t.Name, "namespace " + name}}, r.init()
		a.add(idLoosened, severity, f)
	}
}

// loosened describes the recorded guard rails that a namespace does not enforce; empty if
// it enforces all.
func (a *auditor) loosened(t tenant.Tenant, live *Namespace) string {
	if t.PodSecurity != tenant.PodSecurityUnmanaged && enforcedLevel(live) < slices.Index(tenant.PodSecurities, t.PodSecurity) {
		return rails.LabelEnforce + "=" + string(t.PodSecurity)
	}
	if t.Guard == "" || t.Guard == tenant.GuardOff {
		return ""
	}
	if slices.Index(tenant.Guards, tenant.Guard(live.Labels[rails.LabelGuard])) < slices.Index(tenant.Guards, t.Guard) {
		return rails.LabelGuard + "=" + string(t.Guard)
	}
	// The policies read from these annotations what the tenant may have.
	if _, annotations, err := rails.NamespaceMeta(t, live.Name, live.object()); err == nil {
		wanted := rails.Changed(live.Annotations, annotations)
		for _, key := range slices.Sorted(maps.Keys(annotations)) {
			if wanted[key] != live.Annotations[key] && (t.Frozen == nil || !rails.Freezes("", "["+key+"]")) { // checkFrozen reports those of a freeze
				return "its annotation " + key
			}
		}
	}
	if t.Network != tenant.NetworkIsolated || a.unseen("networkpolicies") {
		return ""
	}
	want := rails.Isolation(t, live.Name)
	name := rails.Name(t, live.Labels[tenant.LabelTenant])
	if !slices.ContainsFunc(a.snapshot.Policies, func(p NetworkPolicy) bool {
		return p.Namespace == live.Name && p.Name == name && equality.Semantic.DeepEqual(p.Spec, want.Spec)
	}) {
		return "its NetworkPolicy " + name
	}
	return ""
}

// unlimited returns the recorded ResourceQuota or LimitRange that is missing in the
// namespace or differs; empty if there is none.
func (a *auditor) unlimited(t tenant.Tenant, live *Namespace) string {
	for _, wanted := range rails.Objects(t, live.Name, live.Labels[tenant.LabelTenant]) {
		kind, resource, same := "", "", func(Limit) bool { return false }
		switch wanted := wanted.(type) {
		case *corev1.ResourceQuota:
			kind, resource = "ResourceQuota", "resourcequotas"
			same = func(l Limit) bool { return l.Quota != nil && equality.Semantic.DeepEqual(*l.Quota, wanted.Spec) }
		case *corev1.LimitRange:
			kind, resource = "LimitRange", "limitranges"
			same = func(l Limit) bool { return l.Range != nil && equality.Semantic.DeepEqual(*l.Range, wanted.Spec) }
		default:
			continue
		}
		object := ObjectRef{kind, live.Name, rails.Name(t, live.Labels[tenant.LabelTenant])}
		if !a.unseen(resource) && !slices.ContainsFunc(a.snapshot.Limits, func(l Limit) bool { return l.Object == object && same(l) }) {
			return "its " + object.short()
		}
	}
	return ""
}

// compareRails reports guard rails that differ between the file and the cluster. Levels
// and modes that the file leaves out do not count, since apply does not change them.
func compareRails(file, recorded tenant.Rails, differs differFunc) {
	recorded = recorded.Compact()
	recorded.Network = cmp.Or(recorded.Network, tenant.NetworkOpen)
	want := file.Exactly(recorded)
	for _, field := range []struct {
		name           string
		want, recorded any
	}{
		{"podSecurity", want.PodSecurity, recorded.PodSecurity}, {"guard", want.Guard, recorded.Guard}, {"network", want.Network, recorded.Network},
		{"quota", want.Quota, recorded.Quota}, {"limits", want.Limits, recorded.Limits},
		{"allowFrom", want.AllowFrom, recorded.AllowFrom}, {"networkExcept", want.NetworkExcept, recorded.NetworkExcept},
		{"hosts", want.Hosts, recorded.Hosts}, {"priorityClasses", want.PriorityClasses, recorded.PriorityClasses},
		{"labels", want.Labels, recorded.Labels}, {"contact", want.Contact, recorded.Contact},
	} {
		if !equality.Semantic.DeepEqual(field.want, field.recorded) {
			differs(field.name, "%s is another in the file than in the cluster", field.name)
		}
	}
}
