package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/prove"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// Proof has the options of `prove`.
type Proof struct {
	Tenants []string // all tenants if empty
	Groups  []string // the groups that a member is taken to be in
	// Done is called with each tenant's outcome.
	Done func(Outcome)
	// Found is called with the number of tenants, before the first outcome.
	Found func(int)
}

// provable is a tenant to prove: its target, or the rows with the reason why there is
// none.
type provable struct {
	name   string
	target *prove.Target
	rows   []prove.Row
}

// Prove tries on the cluster everything that the tenants must be refused, and returns the
// results. It reads what the attempts need with a few paged lists and writes nothing.
func Prove(ctx context.Context, c *cluster.Client, p Proof) (*prove.Report, error) {
	sender, err := c.NewImpersonator()
	if err != nil {
		return nil, err
	}
	targets, err := readProofs(ctx, c, p)
	if err != nil {
		return nil, err
	}
	p.Found(len(targets))
	var group sync.WaitGroup
	var done sync.Mutex
	slots := make(chan struct{}, cluster.Width)
	for i := range targets {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			t := &targets[i]
			if t.target != nil && ctx.Err() == nil {
				t.rows, t.target = proveOne(ctx, sender, t.target), nil
			}
			done.Lock()
			defer done.Unlock()
			p.Done(Outcome{Name: t.name})
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var names []string
	var rows []prove.Row
	for _, t := range targets {
		names, rows = append(names, t.name), append(rows, t.rows...)
	}
	return prove.NewReport(names, rows), nil
}

// attemptsAtOnce is the number of concurrent requests for one tenant.
const attemptsAtOnce = 4

// proveOne sends all requests for a tenant and returns a row for each attempt.
func proveOne(ctx context.Context, sender *cluster.Impersonator, t *prove.Target) []prove.Row {
	send := func(requests []prove.Request) []prove.Exchange {
		exchanges := make([]prove.Exchange, len(requests))
		var group errgroup.Group
		group.SetLimit(attemptsAtOnce)
		for i, r := range requests {
			group.Go(func() error {
				var a prove.Answer
				a.Code, a.Body, a.Err = sender.Do(ctx, r.As.User, r.As.Groups, r.Method, r.Path, r.Query, r.Type, r.Body)
				exchanges[i] = prove.Exchange{Request: r, Answer: a}
				return nil
			})
		}
		_ = group.Wait() // the functions return no error
		return exchanges
	}
	exchanges := send(t.Requests())
	exchanges = append(exchanges, send(t.Follow(exchanges))...)
	return t.Judge(exchanges)
}

// readProofs is readProvable; if reads are forbidden, its error is a *ReadDeniedError.
func readProofs(ctx context.Context, c *cluster.Client, p Proof) ([]provable, error) {
	all, err := readProvable(ctx, c, p)
	return all, explainNeeded(ctx, c, err, (*readSet).proof)
}

// readProvable reads the requested tenants, and what their attempts need.
func readProvable(ctx context.Context, c *cluster.Client, p Proof) ([]provable, error) {
	records, err := c.TenantRecords(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b corev1.ConfigMap) int {
		return cmp.Or(strings.Compare(a.Labels[tenant.LabelTenant], b.Labels[tenant.LabelTenant]), strings.Compare(a.Namespace, b.Namespace))
	})
	members, readers := map[string]tenant.Members{}, map[string]bool{}
	err = eachPeople(ctx, c, func(b *rbacv1.RoleBinding) {
		switch b.Name {
		case rbac.MemberName:
			members[b.Namespace] = tenant.MembersOf(b.Subjects, b.Namespace)
		case rbac.ReaderName:
			readers[b.Namespace] = true
		}
	})
	if err != nil {
		return nil, err
	}
	restricted, quotas, err := readLevels(ctx, c)
	if err != nil {
		return nil, err
	}
	workloads, err := readWorkloadVersion(ctx, c)
	if err != nil {
		return nil, err
	}

	var others []other
	var all []provable
	for _, record := range records {
		name := record.Labels[tenant.LabelTenant]
		t, err := tenant.ParseRecord(record.Data[tenant.RecordKey])
		if err != nil {
			all = append(all, provable{name: name, rows: []prove.Row{{Tenant: name, Attempt: "record", What: "read the tenant's record", Result: prove.Untried, Answer: err.Error()}}})
			continue
		}
		t = t.WithDefaults()
		target := newTarget(t, record.Namespace)
		switch {
		case t.AllNamespaces:
			all = append(all, provable{name: name, rows: []prove.Row{{Tenant: name, Attempt: "all-namespaces", What: "act in all namespaces", Result: prove.Beyond,
				Answer: "the tenant has all namespaces by a risk that was accepted: nothing is refused to it"}}})
			continue
		case t.Frozen != nil:
			all = append(all, provable{name: name, rows: []prove.Row{{Tenant: name, Attempt: "frozen", What: "act while the tenant is frozen", Result: prove.Untried,
				Answer: fmt.Sprintf("the tenant is %s: everything is refused, and no refusal says what holds without the freeze; thaw it first", *t.Frozen)}}})
			continue
		case len(t.Namespaces) == 0:
			continue
		}
		target.HasReaders = readers[record.Namespace] && t.CheckReaders() == nil
		target.Restricted, target.Quotas, target.Workloads = restricted, quotas, workloads
		target.Member, target.MemberWhy = memberOf(members[record.Namespace], p.Groups)
		all = append(all, provable{name: name, target: target})
		others = append(others, other{members[record.Namespace],
			prove.Other{Tenant: name, Home: target.Home, Namespace: t.Namespaces[0], Account: target.Account, Tiller: target.Tiller}})
	}
	if err := chooseProvable(&all, p.Tenants, c.Where()); err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.target != nil {
			one.target.Other = otherThan(one.target, others)
		}
	}
	return all, nil
}

func newTarget(t tenant.Tenant, home string) *prove.Target {
	return &prove.Target{
		Tenant: t.Name, Home: home, Namespaces: t.Namespaces,
		Binding: rbac.DeployerBinding(t.Name, t.Role),
		// If the tenant has both engines, the Tiller's: that account may do more.
		Account: t.Engine.DeployerAccounts()[0], Tiller: t.Engine.Has(tenant.EngineTiller),
		Isolated: t.Network == tenant.NetworkIsolated, Hosts: len(t.Hosts) > 0,
	}
}

func chooseProvable(all *[]provable, names []string, where string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(*all, func(p provable) bool { return p.name == name }) {
			known := lists.Map(*all, func(p provable) string { return p.name })
			return noTenant(name, where, known)
		}
	}
	*all = slices.DeleteFunc(*all, func(p provable) bool { return !slices.Contains(names, p.name) })
	return nil
}

// other is a tenant that can be attacked from another one.
type other struct {
	members tenant.Members
	prove.Other
}

// has reports whether an identity is a member of the tenant; nil is not.
func (o other) has(identity *prove.Identity) bool {
	return identity != nil && slices.ContainsFunc(o.members, func(m tenant.Subject) bool {
		if m.Kind == rbacv1.GroupKind {
			return slices.Contains(identity.Groups, m.Name)
		}
		return m.Username() == identity.User
	})
}

// otherThan returns the tenant that is attacked from a target: the next one by name that
// shares no namespace with it and does not have its member. If all such tenants have the
// member, it is the next one, with a note of that.
func otherThan(target *prove.Target, others []other) *prove.Other {
	first := slices.IndexFunc(others, func(o other) bool { return o.Tenant > target.Tenant })
	var shared *prove.Other
	for i := range others {
		o := others[(max(first, 0)+i)%len(others)]
		switch {
		case o.Tenant == target.Tenant || slices.Contains(target.Namespaces, o.Namespace):
		case !o.has(target.Member):
			return &o.Other
		case shared == nil:
			o.HasMember = true
			shared = &o.Other
		}
	}
	return shared
}

// memberOf chooses the identity of a member: a user or an account, or somebody in one of
// the given groups if that is a member.
func memberOf(m tenant.Members, groups []string) (*prove.Identity, string) {
	users, accounts, memberGroups := m.OfKind(rbacv1.UserKind), m.OfKind(rbacv1.ServiceAccountKind), m.OfKind(rbacv1.GroupKind)
	switch {
	case len(users) > 0:
		return &prove.Identity{Role: prove.Member, User: users[0].Name, Groups: groups}, ""
	case slices.ContainsFunc(memberGroups, func(g tenant.Subject) bool { return slices.Contains(groups, g.Name) }):
		return &prove.Identity{Role: prove.Member, User: prove.Name, Groups: groups}, ""
	case len(accounts) > 0:
		return &prove.Identity{Role: prove.Member, User: accounts[0].Username()}, ""
	case len(memberGroups) > 0:
		return nil, fmt.Sprintf("the members are groups: name those of a member with --in-group, such as %q", memberGroups[0].Name)
	}
	return nil, ""
}

// readWorkloadVersion returns the API version of Workloads that the API server serves and
// that is tried; empty for none.
func readWorkloadVersion(ctx context.Context, c *cluster.Client) (string, error) {
	served, err := c.ServedKinds(ctx, prove.WorkloadVersions)
	for _, version := range prove.WorkloadVersions {
		if _, found := served[version]["Workload"]; found {
			return version, err
		}
	}
	return "", err
}

// readLevels returns the namespaces with the PodSecurity level restricted, and what the
// ResourceQuotas of each bound; quotas is nil if they can't be read.
func readLevels(ctx context.Context, c *cluster.Client) (restricted map[string]bool, quotas map[string]map[string]bool, err error) {
	restricted, quotas = map[string]bool{}, map[string]map[string]bool{}
	err = c.EachMeta(ctx, "Namespace", "", metav1.ListOptions{LabelSelector: "pod-security.kubernetes.io/enforce=restricted"}, func(ns *metav1.PartialObjectMetadata) {
		restricted[ns.Name] = true
	})
	if err != nil {
		return nil, nil, err
	}
	found, err := cluster.List[corev1.ResourceQuota](ctx, c, "ResourceQuota", "", metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return restricted, nil, nil
	}
	for _, q := range found {
		if quotas[q.Namespace] == nil {
			quotas[q.Namespace] = map[string]bool{}
		}
		for name := range q.Spec.Hard {
			quotas[q.Namespace][string(name)] = true
		}
	}
	return restricted, quotas, err
}
