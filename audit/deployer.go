package audit

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// deployer is one account that acts for others: a tenant's, or an unmanaged
// Tiller's.
type deployer struct {
	// record is nil for an unmanaged one.
	record *Record
	// orphan is the tenant's name if it has no trusted record
	orphan  string
	account Subject
	target  Target
	// tiller is the workload or pod of its Tiller, nil if there is none.
	tiller *Workload
	// members are the subjects of the tenant's member binding.
	members []Subject
	// terms are the grants of members that are limited in time.
	terms   tenant.Terms
	version string
	network exposure
	access  []Access
	power   Power
}

func (d *deployer) tenant() string {
	if d.record == nil {
		return d.orphan
	}
	return d.record.Tenant.Name
}

// isTenants reports whether there is one, and it is a tenant's.
func (d *deployer) isTenants() bool { return d != nil && d.tenant() != "" }

func (d *deployer) isOwn(s Subject) bool {
	return s == d.account || d.record != nil && s.Namespace == d.target.Home && s.Kind == d.account.Kind &&
		slices.Contains(d.record.Tenant.Engine.DeployerAccounts(), s.Name)
}

func (d *deployer) name() string {
	if d.tenant() == "" {
		return "the Tiller in namespace " + d.target.Home
	}
	return "tenant " + d.tenant()
}

// findDeployers finds all deployers: those of records, and Tillers without a record.
func (a *auditor) findDeployers() {
	tillers := a.findTillers()
	secrets := map[string][]string{} // Secrets with releases, by home
	for _, release := range a.snapshot.RecordNames {
		if release.Kind == "Secret" {
			secrets[release.Namespace] = append(secrets[release.Namespace], release.Name)
		}
	}
	add := func(d *deployer) { a.addDeployer(d, secrets[d.target.Home]) }
	for r := range a.records() {
		for _, actor := range actorsOf(r.Tenant.Engine) {
			members := a.membersOf(r.Namespace)
			d := &deployer{record: r, members: members, terms: a.termsOf(r.Namespace), target: Target{Home: r.Namespace, Account: actor.account, Engine: actor.engine, Members: members}}
			if actor.engine == tenant.EngineTiller {
				d.tiller = a.takeTiller(tillers, r.Namespace, actor.account)
			}
			add(d)
		}
	}
	a.findOrphans(tillers, add)
	for _, namespace := range slices.Sorted(maps.Keys(tillers)) {
		for _, w := range tillers[namespace] {
			if a.isEarlierRevision(w, tillers[namespace]) {
				continue
			}
			if deployers := a.homes[namespace]; w.OfPod != "" && (deployers[accountName(w.Template.Spec)].isTenants() || recognise.HasLabels(w.Template.Labels) && deployers[tenant.TillerAccount].isTenants()) {
				continue // reported as a pod that should not exist
			}
			add(&deployer{tiller: w, target: Target{Home: namespace, Account: accountName(w.Template.Spec), Engine: tenant.EngineTiller}})
		}
	}
	slices.SortStableFunc(a.deployers, func(x, y *deployer) int {
		return cmp.Or(cmp.Compare(x.tenant(), y.tenant()), cmp.Compare(x.target.Home, y.target.Home))
	})
}

// findTillers finds what looks like a Tiller, by namespace: workloads, and pods of
// none that does.
func (a *auditor) findTillers() map[string][]*Workload {
	tillers := map[string][]*Workload{}
	for namespace, workloads := range a.workloads {
		for _, w := range workloads {
			if w.Template != nil {
				tillers[namespace] = append(tillers[namespace], w)
			}
		}
	}
	for namespace, pods := range a.pods {
		for _, pod := range pods {
			if pod.Spec == nil || slices.ContainsFunc(tillers[namespace], func(w *Workload) bool {
				return created(w, pod) && accountName(w.Template.Spec) == accountName(*pod.Spec)
			}) {
				continue
			}
			owner := cmp.Or(pod.Owner, ObjectRef{"Pod", namespace, pod.Name})
			if slices.ContainsFunc(tillers[namespace], func(w *Workload) bool { return w.Kind == owner.Kind && w.Name == owner.Name }) {
				continue
			}
			tillers[namespace] = append(tillers[namespace], &Workload{Kind: owner.Kind, Namespace: namespace, Name: owner.Name, OfPod: pod.Name,
				Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: *pod.Spec}})
		}
	}
	return tillers
}

// isEarlierRevision reports whether a ReplicaSet is an earlier revision of a Deployment among
// these Tillers and has no pods of another account: it is no Tiller of its own, and the
// Deployment's controller scales it down. Pods count because whoever writes a ReplicaSet can
// name the Deployment.
func (a *auditor) isEarlierRevision(set *Workload, tillers []*Workload) bool {
	return slices.ContainsFunc(tillers, func(w *Workload) bool {
		return set.isSetOf(w) && !a.runsOther(set, w, func(Pod) bool { return true })
	})
}

// isSetOf reports whether a ReplicaSet names the Deployment and differs from it.
func (w *Workload) isSetOf(maker *Workload) bool {
	return w.Kind == "ReplicaSet" && maker.Kind == "Deployment" && maker.OfPod == "" && w.MadeBy == maker.Name
}

// runsOther reports whether the ReplicaSet of a Deployment has such a pod with another account
// than the Deployment's.
func (a *auditor) runsOther(set, maker *Workload, such func(Pod) bool) bool {
	return slices.ContainsFunc(a.pods[set.Namespace], func(pod Pod) bool {
		return created(set, pod) && cmp.Or(pod.Account, "default") != accountName(maker.Template.Spec) && such(pod)
	})
}

// takeTiller returns and removes a tenant's Tiller, nil if there is none: the workload with the
// usual name, or another one that runs as its account. Of a Deployment it also removes the
// ReplicaSets of earlier revisions, such as one with the account from before an adoption: they
// are no Tillers of their own. Somebody may have written their owner references, but checkPods
// reports pods with another account and the labels of a Tiller, and a ReplicaSet that has pods
// without the labels stays.
func (a *auditor) takeTiller(tillers map[string][]*Workload, home, account string) *Workload {
	index := slices.IndexFunc(tillers[home], func(w *Workload) bool { return w.Kind == "Deployment" && w.Name == install.DeploymentName })
	if index < 0 {
		index = slices.IndexFunc(tillers[home], func(w *Workload) bool { return w.OfPod == "" && accountName(w.Template.Spec) == account })
	}
	if index < 0 {
		return nil
	}
	found := tillers[home][index]
	tillers[home] = slices.DeleteFunc(tillers[home], func(w *Workload) bool {
		return w == found || w.isSetOf(found) && recognise.HasLabels(w.Template.Labels) &&
			!a.runsOther(w, found, func(pod Pod) bool { return !recognise.HasLabels(pod.Labels) })
	})
	return found
}

// addDeployer adds a deployer whose home, account and Tiller are known, and collects all other
// facts about it. secrets are those in the home with releases.
func (a *auditor) addDeployer(d *deployer, secrets []string) {
	t := &d.target
	d.account = Account(t.Home, t.Account)
	t.Server, t.NamesKnown, t.Webhooks = a.snapshot.Server, a.namesKnown(), a.webhooks()
	if d.record != nil {
		mode := d.record.guardMode()
		t.Guarded = mode != "" && mode != tenant.GuardOff
		if t.Guarded {
			t.Classes = d.record.Tenant.PriorityClasses
			t.MissingClasses = slices.DeleteFunc(slices.Clone(t.Classes), func(name string) bool {
				return !a.snapshot.Priorities.Unknown && slices.Contains(a.snapshot.PriorityClasses, name)
			})
		}
	}
	held := a.accountObjects(d.account)
	t.Pods, t.Nodes, t.Workloads = held.Pods, held.Nodes, held.Workloads
	t.Secrets = slices.Concat(secrets, held.Tokens)
	for _, m := range d.members {
		if m.Kind == rbacv1.ServiceAccountKind {
			if t.MemberAccounts == nil {
				t.MemberAccounts = map[Subject]AccountObjects{}
			}
			t.MemberAccounts[m] = a.accountObjects(m)
		}
	}
	if d.tiller != nil {
		t.Workload = *d.tiller
		d.network = a.snapshot.network(d.tiller.Template, t.Home)
		t.Open = d.network.listens
		if t.Open && d.network.closed {
			t.Closing, t.Policies = d.network.policies, a.policiesIn(t.Home)
		}
		if c := recognise.Container(d.tiller.Template.Spec); c != nil {
			d.version = recognise.ImageVersion(c.Image)
		}
	}
	a.deployers = append(a.deployers, d)
	if d.record != nil && a.byRecord[d.record] == nil {
		a.byRecord[d.record] = d
	}
	if a.homes[t.Home] == nil {
		a.homes[t.Home] = map[string]*deployer{}
	}
	if !a.homes[t.Home][t.Account].isTenants() {
		a.homes[t.Home][t.Account] = d
	}
}

func accountName(spec corev1.PodSpec) string { return cmp.Or(spec.ServiceAccountName, "default") }

// findConfigMaps finds the Tillers that store their releases in ConfigMaps, and their
// namespaces.
func (a *auditor) findConfigMaps() {
	named := map[string][]string{}
	for _, release := range a.snapshot.RecordNames {
		if release.Kind == "ConfigMap" {
			named[release.Namespace] = append(named[release.Namespace], release.Name)
		}
	}
	for _, d := range a.deployers {
		if d.storage() == tenant.StorageConfigMap {
			d.target.InConfigMaps, d.target.ConfigMaps = true, named[d.target.Home]
			d.target.NamesKnown = d.target.NamesKnown && !a.unseen("configmaps")
		}
	}
}

// storage returns the storage of the deployer's Tiller; empty if it has none.
func (d *deployer) storage() tenant.Storage {
	if d.target.Engine != tenant.EngineTiller {
		return ""
	}
	if d.tiller != nil {
		if c := recognise.Container(d.tiller.Template.Spec); c != nil {
			return recognise.StorageOf(c)
		}
	}
	if d.record != nil {
		return d.record.Tenant.Tiller.Storage
	}
	return ""
}

// actor is one of a tenant's deployers: its account, and how it is used.
type actor struct {
	engine  tenant.Engine
	account string
}

func actorsOf(engine tenant.Engine) []actor {
	var actors []actor
	for _, part := range engine.Parts() {
		for _, account := range part.DeployerAccounts() {
			actors = append(actors, actor{part, account})
		}
	}
	return actors
}

// membersOf returns the subjects of the member binding at home.
func (a *auditor) membersOf(home string) []Subject {
	if b := a.membersBinding(home); b != nil {
		return b.Subjects
	}
	return nil
}

func (a *auditor) termsOf(home string) tenant.Terms {
	if b := a.membersBinding(home); b != nil {
		return b.Terms
	}
	return nil
}

// membersBinding returns the binding in the home with the tenant's members; nil if there is
// none.
func (a *auditor) membersBinding(home string) *Binding { return a.peopleBinding(home, rbac.MemberName) }

func isMemberBinding(b *Binding) bool {
	return b.Name == rbac.MemberName && b.RoleKind == "Role" && b.RoleName == rbac.MemberName
}
