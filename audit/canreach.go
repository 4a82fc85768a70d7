package audit

import (
	"cmp"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// Reached is a deployer that somebody can reach, and how.
type Reached struct {
	Tenant string `json:"tenant,omitempty"`
	Home   string `json:"home"`
	Member bool   `json:"member,omitempty"`
	// Reader says that it is one of the tenant's readers, who reach its readers' account
	// and no deployer.
	Reader bool `json:"reader,omitempty"`
	// Through are the identities in between, in order, if the subject does not reach the
	// deployer itself: identities that it can take, or deployers that it reaches.
	Through []string   `json:"through"`
	Paths   []OpenPath `json:"paths"`
	// Everything are the chains to a grant of all rights in the cluster, if the subject has
	// one: each of Paths is one of these rights.
	Everything [][]string `json:"everything,omitempty"`
}

// somebody is who was asked about, or whom they can be.
type somebody struct {
	subject Subject
	who     identity
	through []string
	// chains are the chains by which the first identity became this one.
	chains [][]string
	// impersonated says that one of the steps was impersonation; an impersonated identity can't
	// impersonate.
	impersonated bool
	// general are the open paths to all deployers at once; nil until they are computed.
	general []opened
	// nodes are the open paths to nodes by privileged pods; nil until they are computed.
	nodes []opened
}

// opensTo reports whether the path is open to this identity, with the grants. It prefers grants
// without impersonation, since the search can continue after them.
func (a *auditor) opensTo(one *somebody, path Path) (opened, bool) {
	bare := path.withoutImpersonation()
	steps, open := a.rights.opens(one.who, bare, nil, nil)
	if !open && !one.impersonated && len(bare.needs) < len(path.needs) {
		steps, open = a.rights.opens(one.who, path, nil, nil)
	}
	return opened{path, steps}, open
}

// canReach answers for one subject with its groups. It continues with every identity that the
// subject can take, and with the rights of the deployers that it reaches, until there is no new
// identity. If the first paths to a deployer do not let the subject act as it, canReach looks
// for further ones, and reports the deployer twice if there are any.
func (a *auditor) canReach(s Subject, groups []string) []Reached {
	visited := map[Subject]bool{}      // identities that were taken without impersonation
	impersonated := map[Subject]bool{} // and those that were only impersonated
	// found are the deployers as which it can act, weakly those to which it has only other
	// paths
	found, weakly := map[*deployer]Reached{}, map[*deployer]Reached{}
	asked := &somebody{subject: s, who: identityOf(s, groups...)}
	for _, subject := range asked.who {
		visited[subject] = true
	}
	candidates := a.candidates()
	for now := []*somebody{asked}; len(now) > 0 && len(found) < len(a.deployers); {
		holders := a.holders(now)
		var next []*somebody
		add := func(one *somebody, s Subject, o opened, chains [][]string) {
			became := &somebody{subject: s, who: identityOf(s), through: append(slices.Clone(one.through), s.String()),
				chains: slices.Concat(one.chains, chains), impersonated: one.impersonated || o.byImpersonation()}
			if visited[s] || became.impersonated && impersonated[s] {
				return
			}
			if became.impersonated {
				impersonated[s] = true
			} else {
				visited[s] = true
			}
			next = append(next, became)
		}
		for _, d := range a.deployers {
			if _, already := found[d]; already {
				continue
			}
			reached, ok := a.reachedBy(now, holders, d)
			if _, known := weakly[d]; ok && !reached.acts && !known {
				weakly[d] = reached.Reached
			}
			if !reached.acts {
				continue
			}
			found[d] = reached.Reached
			if reached.by != nil {
				add(reached.one, d.account, *reached.by, reached.chains)
			}
		}
		for _, s := range candidates {
			if visited[s] {
				continue
			}
			likely := holders.holding(s)
			if len(likely) == 0 {
				continue
			}
			path := a.asSomebody(s)
			for _, one := range likely {
				if o, open := a.opensTo(one, path); open {
					add(one, s, o, o.chains(one.subject))
					if visited[s] {
						break
					}
				}
			}
		}
		now = next
	}
	var reached []Reached
	for _, d := range a.deployers {
		for _, byDeployer := range []map[*deployer]Reached{found, weakly} {
			if r, ok := byDeployer[d]; ok {
				reached = append(reached, r)
			}
		}
	}
	slices.SortStableFunc(reached, func(x, y Reached) int { return cmp.Compare(x.Tenant, y.Tenant) })
	return reached
}

// holders are the subjects of a round, by the place of their rights: a subject without rights
// in a namespace or the cluster has no path there.
type holders struct {
	inside  map[string][]*somebody
	cluster []*somebody
}

func (a *auditor) holders(now []*somebody) holders {
	h := holders{inside: map[string][]*somebody{}}
	for _, one := range now {
		cluster, spaces := false, map[string]bool{}
		for _, s := range one.who {
			cluster = cluster || a.matters(a.rights.inCluster[s]) || isAdministrator(s)
			for _, g := range a.rights.bySubject[s] {
				spaces[g.binding.Namespace] = true
			}
		}
		if cluster {
			h.cluster = append(h.cluster, one)
			continue
		}
		for ns := range spaces {
			h.inside[ns] = append(h.inside[ns], one)
		}
	}
	return h
}

// holding returns those that may be able to act as that subject.
func (h holders) holding(s Subject) []*somebody {
	if s.Kind != rbacv1.ServiceAccountKind {
		return h.cluster
	}
	return slices.Concat(h.cluster, h.inside[s.Namespace])
}

type reaching struct {
	Reached
	one *somebody
	// acts says that the subject can act as the deployer, by a path where one is needed;
	// otherwise it can only read the deployer's releases, or needs somebody's help.
	acts bool
	by   *opened
	// chains are those of by. The network asks for no right: a connection has chains, and no steps.
	chains [][]string
}

// reachedBy returns how the first of now that can act as the deployer does so; if none of them
// can, how the first of them reaches it by other paths. ok is false if none does.
func (a *auditor) reachedBy(now []*somebody, h holders, d *deployer) (first reaching, ok bool) {
	likely := map[*somebody]bool{}
	spaces := []string{d.target.Home}
	for _, m := range d.members {
		if m.Kind == rbacv1.ServiceAccountKind {
			spaces = append(spaces, m.Namespace)
		}
	}
	for _, ns := range spaces {
		for _, one := range h.inside[ns] {
			likely[one] = true
		}
	}
	for _, one := range h.cluster {
		likely[one] = true
	}
	for _, one := range now {
		reached, reaches := a.reachedAs(one, likely[one], d)
		if reaches && (!ok || reached.acts) {
			first, ok = reached, true
		}
		if first.acts {
			break
		}
	}
	return first, ok
}

// reachedAs returns how an identity reaches the deployer, if it does. likely says that it has
// rights in a place where a path may ask for some.
func (a *auditor) reachedAs(one *somebody, likely bool, d *deployer) (reaching, bool) {
	r := reaching{one: one, Reached: Reached{Tenant: d.tenant(), Home: d.target.Home, Through: one.through}}
	if slices.Contains(one.who, Group(tenant.GroupMasters)) {
		chain := []string{one.subject.String(), Group(tenant.GroupMasters).String()}
		r.acts, r.Paths = true, []OpenPath{{Path{ID: "administrator", Name: "do everything in the cluster"}, append(slices.Clone(one.chains), chain)}}
		return r, true
	}
	var open []opened
	if likely || slices.Contains(one.who, Group(tenant.GroupNodes)) {
		for _, path := range a.paths(d) {
			if o, ok := a.opensTo(one, path); ok {
				open = append(open, o)
			}
		}
	}
	open = append(open, a.generalOf(one)...)
	if taken := a.nodePathsTo(one, d); len(taken) > 0 {
		open = append(open, taken[0]) // one of many equivalent namespaces is enough
	}
	if o, ok := a.kubeletPathTo(one, d); ok {
		open = append(open, o)
	}
	if o, ok := a.answerPathTo(one, d); ok {
		open = append(open, o)
	}
	r.Paths = newAccess(one.subject, false, open).Paths
	if way, ok := a.connects(one, d); ok {
		r.Paths = append(r.Paths, way)
		r.by, r.chains = &opened{path: way.Path}, way.Chains
	}
	if len(r.Paths) == 0 {
		return reaching{}, false
	}
	for i := range r.Paths {
		r.Paths[i].Chains = append(slices.Clone(one.chains), r.Paths[i].Chains...)
	}
	if index := slices.IndexFunc(open, func(o opened) bool { return o.path.acts() }); index >= 0 {
		r.by, r.chains = &open[index], open[index].chains(one.subject)
	}
	r.acts, r.Everything = r.by != nil, a.everythingOf(one)
	r.Member = slices.ContainsFunc(d.members, func(m Subject) bool { return slices.Contains(one.who, m) })
	return r, true
}

// everythingOf returns the chains of an identity to a grant of all rights in the cluster; none
// without such a grant.
func (a *auditor) everythingOf(one *somebody) [][]string {
	for _, s := range one.who {
		for _, g := range a.rights.inCluster[s] {
			if everything(g.rules) {
				chain := g.chain(one.subject, Ask{})
				return append(slices.Clone(one.chains), chain[:len(chain)-1]) // the chain without the single right
			}
		}
	}
	return nil
}

// generalOf returns the open paths of an identity to all deployers at once; they are computed
// once.
func (a *auditor) generalOf(one *somebody) []opened {
	if one.general == nil {
		one.general = []opened{}
		for _, path := range a.general {
			if o, ok := a.opensTo(one, path); ok {
				one.general = append(one.general, o)
			}
		}
	}
	return one.general
}

// acts reports whether the path lets its user do what the deployer can do.
func (p Path) acts() bool {
	return p.finding != idHome && p.finding != idKubelet && p.finding != idAnswers && !slices.Contains([]string{"read-secrets", "read-configmaps"}, p.ID)
}

// asSomebody returns the path to act as that subject, of any kind.
func (a *auditor) asSomebody(s Subject) Path {
	path := Path{Name: "be " + s.String()}
	if s.Kind == rbacv1.ServiceAccountKind {
		path.needs = a.beAccount(s, true)
	} else {
		path.needs = pather{Target{Server: a.snapshot.Server}, a.rights}.impersonate(s)
	}
	return path
}

// candidates returns the subjects that hold any right which some path needs, without
// Kubernetes' own components, which reach every deployer.
func (a *auditor) candidates() []Subject {
	all := map[Subject]bool{}
	for _, bySubject := range []map[Subject][]grant{a.rights.inCluster, a.rights.bySubject} {
		for s, grants := range bySubject {
			others := func(g grant) bool { return !isComponent(g.binding, s) }
			if !all[s] && slices.ContainsFunc(grants, func(g grant) bool { return others(g) && a.matters([]grant{g}) }) {
				all[s] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), compareSubjects)
}

// matters reports whether any of the grants contains a right that some path needs.
func (a *auditor) matters(grants []grant) bool {
	in := leading{a.snapshot.Server, true, true, true, true}
	return slices.ContainsFunc(grants, func(g grant) bool {
		return a.rights.leads(g.rules, in) || g.binding.Namespace == "" && replacesKubelets(g.rules)
	})
}
