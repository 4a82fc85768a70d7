package audit

import (
	"cmp"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Reached is a deployer that somebody can reach, and how.
type Reached struct {
	Tenant string `json:"tenant,omitempty"`
	Home   string `json:"home"`
	Member bool   `json:"member,omitempty"`
	// Reader says that it is one of the tenant's readers, who reach its readers' account
	// and no deployer.
	Reader bool `json:"reader,omitempty"`
	// Through are those whom it takes, one after the other, where the one who was
	// asked about does not reach it as themselves: somebody whom they can be, or a
	// deployer that they reach.
	Through []string   `json:"through"`
	Paths   []OpenPath `json:"paths"`
	// Everything are the ways to a grant of all rights in the cluster, where they have one:
	// each of Paths is one of these rights.
	Everything [][]string `json:"everything,omitempty"`
}

// somebody is who was asked about, or whom they can be.
type somebody struct {
	subject Subject
	who     identity
	through []string
	// chains are the ways by which the first became this one.
	chains [][]string
	// impersonated says that it took impersonating somebody, who can impersonate nobody.
	impersonated bool
	// general are the ways to those who reach every deployer; nil before they are asked for.
	general []opened
	// nodes are the ways to nodes by privileged pods; nil before they are asked for.
	nodes []opened
}

// becomes is somebody whom this one can be.
func (one *somebody) becomes(s Subject, o opened) *somebody {
	return &somebody{subject: s, who: identityOf(s), through: append(slices.Clone(one.through), s.String()),
		chains: append(slices.Clone(one.chains), o.chains(one.subject)...), impersonated: one.impersonated || o.byImpersonation()}
}

// opens reports whether the path is open to this one, and by what: without impersonation
// where there is a choice, since that is no end of the way.
func (a *auditor) opensTo(one *somebody, path Path) (opened, bool) {
	bare := path.withoutImpersonation()
	steps, open := a.rights.opens(one.who, bare, nil, nil)
	if !open && !one.impersonated && len(bare.Any) < len(path.Any) {
		steps, open = a.rights.opens(one.who, path, nil, nil)
	}
	return opened{path, steps}, open
}

// canReach answers for one subject, together with groups that it is in. It goes on
// with everybody whom the subject can be, and with what the deployers that it
// reaches can do, until nobody is new.
func (a *auditor) canReach(s Subject, groups []string) []Reached {
	visited := map[Subject]bool{}      // as themselves
	impersonated := map[Subject]bool{} // and those who were only impersonated
	found := map[*deployer]Reached{}
	asked := &somebody{subject: s, who: identityOf(s, groups...)}
	for _, subject := range asked.who {
		visited[subject] = true
	}
	candidates := a.candidates()
	for now := []*somebody{asked}; len(now) > 0 && len(found) < len(a.deployers); {
		holders := a.holders(now)
		var next []*somebody
		add := func(one *somebody, s Subject, o opened) {
			became := one.becomes(s, o)
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
			if reached, by, one := a.reachedBy(now, holders, d); one != nil {
				found[d] = reached
				if by != nil {
					add(one, d.account, *by)
				}
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
					add(one, s, o)
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
		if r, ok := found[d]; ok {
			reached = append(reached, r)
		}
	}
	slices.SortStableFunc(reached, func(x, y Reached) int { return cmp.Compare(x.Tenant, y.Tenant) })
	return reached
}

// holders are the subjects of a round, by where they hold rights: a subject without
// rights in a namespace or over the cluster has no path there.
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

// reachedBy returns how the first of now that reaches the deployer does so; first is nil
// if none of them does. by is the path by which first can act as the deployer, nil if it
// only gets at the deployer's releases, or needs somebody's help.
func (a *auditor) reachedBy(now []*somebody, h holders, d *deployer) (r Reached, by *opened, first *somebody) {
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
		if slices.Contains(one.who, Group(groupMasters)) {
			chain := []string{one.subject.String(), Group(groupMasters).String()}
			paths := []OpenPath{{Path{ID: "administrator", Name: "do everything in the cluster"}, append(slices.Clone(one.chains), chain)}}
			return Reached{Tenant: d.tenant(), Home: d.target.Home, Through: one.through, Paths: paths}, nil, one
		}
		var open []opened
		if likely[one] || slices.Contains(one.who, Group(groupNodes)) {
			for _, path := range a.paths(d) {
				if o, ok := a.opensTo(one, path); ok {
					open = append(open, o)
				}
			}
		}
		open = append(open, a.generalOf(one)...)
		if taken := a.nodePathsTo(one, d); len(taken) > 0 {
			open = append(open, taken[0]) // each of many namespaces is as good
		}
		if o, ok := a.kubeletPathTo(one, d); ok {
			open = append(open, o)
		}
		r.Paths = newAccess(one.subject, false, open).Paths
		if way, ok := a.connects(one, d); ok {
			r.Paths = append(r.Paths, way)
			by = &opened{path: way.Path}
		}
		if len(r.Paths) == 0 {
			continue
		}
		for i := range r.Paths {
			r.Paths[i].Chains = append(slices.Clone(one.chains), r.Paths[i].Chains...)
		}
		if index := slices.IndexFunc(open, func(o opened) bool { return o.path.acts() }); index >= 0 {
			by = &open[index]
		}
		r.Tenant, r.Home, r.Through, r.Everything = d.tenant(), d.target.Home, one.through, a.everythingOf(one)
		r.Member = slices.ContainsFunc(d.members, func(m Subject) bool { return slices.Contains(one.who, m) })
		return r, by, one
	}
	return Reached{}, nil, nil
}

// everythingOf are the ways of somebody to a grant of all rights in the cluster; none where
// they have no such grant.
func (a *auditor) everythingOf(one *somebody) [][]string {
	for _, s := range one.who {
		for _, g := range a.rights.inCluster[s] {
			if everything(g.rules) {
				chain := g.chain(one.subject, Ask{})
				return append(slices.Clone(one.chains), chain[:len(chain)-1]) // all that may be asked
			}
		}
	}
	return nil
}

// generalOf are the ways of somebody to those who reach every deployer; looked for once.
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

// acts reports whether who has the path can do what the deployer can.
func (p Path) acts() bool {
	return p.finding != idHome && p.finding != idKubelet && !slices.Contains([]string{"read-secrets", "read-configmaps"}, p.ID)
}

// connects reports whether somebody reaches a Tiller that is open on the network, from
// a pod of theirs or from outside.
func (a *auditor) connects(one *somebody, d *deployer) (OpenPath, bool) {
	if d.tiller == nil || !d.network.listens || d.network.closed {
		return OpenPath{}, false
	}
	path := a.rights.connect(d.target)
	workload := objectName(d.tiller.Kind, d.target.Home, d.tiller.Name)
	if len(d.network.services) > 0 {
		return OpenPath{path, [][]string{{"anybody who reaches a node", d.network.services[0], workload, "port 44134"}}}, true
	}
	steps, open := a.rights.opens(one.who, path, nil, nil)
	if !open {
		return OpenPath{}, false
	}
	return OpenPath{path, append(opened{path, steps}.chains(one.subject), []string{"any pod of the cluster", workload, "port 44134"})}, true
}

// connect is the way to an open Tiller of who runs anything in any pod.
func (x *rights) connect(t Target) Path {
	path := Path{ID: "connect", Name: "connect to Tiller from a pod", finding: idOpen}
	t.Home = ""
	p := pather{t, x}
	anywhere := func(verbs []string, group, resource string) {
		path.Any = append(path.Any, p.either(verbs, Ask{Group: group, Resource: resource, AnyNamespace: true, AnyName: verbs[0] != "create" || resource == "pods/exec"})...)
	}
	anywhere([]string{"create"}, "", "pods")
	anywhere(change, "", "pods")
	anywhere(p.stream(), "", "pods/exec")
	anywhere(change, "", "pods/ephemeralcontainers")
	for _, workload := range workloadKinds {
		anywhere([]string{"create"}, workload.group, workload.resource)
		if workload.changes {
			anywhere(change, workload.group, workload.resource)
		}
	}
	return path
}

// asSomebody returns the path to act as that subject, of any kind.
func (a *auditor) asSomebody(s Subject) Path {
	path := Path{Name: "be " + s.String()}
	if s.Kind == rbacv1.ServiceAccountKind {
		path.Any = a.beAccount(s, true)
	} else {
		path.Any = pather{Target{Server: a.snapshot.Server}, a.rights}.impersonate(s)
	}
	return path
}

// candidates returns the subjects that hold any right which some path needs, without
// Kubernetes' own components, which reach every deployer.
func (a *auditor) candidates() []Subject {
	all := map[Subject]bool{}
	for _, of := range []map[Subject][]grant{a.rights.inCluster, a.rights.bySubject} {
		for s, grants := range of {
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
	in := leading{a.snapshot.Server, true, true}
	return slices.ContainsFunc(grants, func(g grant) bool {
		return a.rights.leads(g.rules, in) || g.binding.Namespace == "" && replacesKubelets(g.rules)
	})
}
