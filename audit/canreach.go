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
	// Through are those whom it takes, one after the other, where the one who was
	// asked about does not reach it as themselves: somebody whom they can be, or a
	// deployer that they reach.
	Through []string   `json:"through,omitempty"`
	Paths   []OpenPath `json:"paths"`
}

// somebody is who was asked about, or whom they can be.
type somebody struct {
	subject Subject
	who     identity
	through []string
	// chains are the ways by which the first became this one.
	chains [][]string
}

// becomes is somebody whom this one can be.
func (one *somebody) becomes(s Subject, o opened) *somebody {
	return &somebody{s, identityOf(s), append(slices.Clone(one.through), s.String()), append(slices.Clone(one.chains), o.chains(one.subject)...)}
}

// canReach answers for one subject, together with groups that it is in. It goes on
// with everybody whom the subject can be, and with what the deployers that it
// reaches can do, until nobody is new.
func (a *auditor) canReach(s Subject, groups []string) []Reached {
	been := map[Subject]bool{}
	found := map[*deployer]Reached{}
	asked := &somebody{subject: s, who: identityOf(s, groups...)}
	for _, of := range asked.who {
		been[of] = true
	}
	candidates := a.whoMatters()
	for now := []*somebody{asked}; len(now) > 0 && len(found) < len(a.deployers); {
		holders := a.holders(now)
		var next []*somebody
		add := func(one *somebody, s Subject, o opened) {
			if !been[s] {
				been[s] = true
				next = append(next, one.becomes(s, o))
			}
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
			if been[s] {
				continue
			}
			path := a.asSomebody(s)
			for _, one := range holders.of(s) {
				if steps, open := a.rights.opens(one.who, path, nil, nil); open {
					add(one, s, opened{path, steps})
					break
				}
			}
		}
		now = next
	}
	var reached []Reached
	for _, d := range a.deployers {
		if r, is := found[d]; is {
			reached = append(reached, r)
		}
	}
	slices.SortStableFunc(reached, func(x, y Reached) int { return cmp.Compare(x.Tenant, y.Tenant) })
	return reached
}

// holders are those of a round by where they hold anything: whoever holds nothing
// in a namespace, nor over the cluster, has no way there.
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

// of are those who may have a way to be that subject.
func (h holders) of(s Subject) []*somebody {
	if s.Kind != rbacv1.ServiceAccountKind {
		return h.cluster
	}
	return slices.Concat(h.cluster, h.inside[s.Namespace])
}

// reachedBy is the deployer as the first of those reaches it, nobody where none
// does. by is the path by which that one can be the deployer, nil where there is
// none: some lead to no more than its releases, or wait for somebody's help.
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
		if likely[one] {
			open = a.open(one.who, d, nil, nil)
		}
		for _, path := range a.general {
			if steps, is := a.rights.opens(one.who, path, nil, nil); is {
				open = append(open, opened{path, steps})
			}
		}
		r.Paths = newAccess(one.subject, false, open).Paths
		if way, is := a.connects(one, d); is {
			r.Paths = append(r.Paths, way)
			by = &opened{path: way.Path}
		}
		if len(r.Paths) == 0 {
			continue
		}
		for i := range r.Paths {
			r.Paths[i].Chains = append(slices.Clone(one.chains), r.Paths[i].Chains...)
		}
		if at := slices.IndexFunc(open, func(o opened) bool { return o.path.acts() }); at >= 0 {
			by = &open[at]
		}
		r.Tenant, r.Home, r.Through = d.tenant(), d.target.Home, one.through
		r.Member = slices.ContainsFunc(d.members, func(m Subject) bool { return slices.Contains(one.who, m) })
		return r, by, one
	}
	return Reached{}, nil, nil
}

// acts says whether who has the path can do what the deployer can.
func (p Path) acts() bool {
	return p.finding != idHome && !slices.Contains([]string{"read-secrets", "read-configmaps"}, p.ID)
}

// connects says whether somebody reaches a Tiller that is open on the network, from
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
	for _, of := range workloadKinds {
		anywhere([]string{"create"}, of.group, of.resource)
		if of.changes {
			anywhere(change, of.group, of.resource)
		}
	}
	return path
}

// asSomebody is what it takes to be that subject, whoever it is.
func (a *auditor) asSomebody(s Subject) Path {
	t := Target{Home: s.Namespace, Account: s.Name, Minor: a.snapshot.Minor, NamesKnown: !a.unseen("pods", "secrets")}
	path := Path{Name: "be " + s.String()}
	if s.Kind != rbacv1.ServiceAccountKind {
		path.Any = pather{t, a.rights}.impersonate(s)
		return path
	}
	t.Pods, t.Secrets = a.heldBy(s)
	for _, way := range a.rights.paths(t) {
		switch way.finding {
		case idMakePods, idEnterPods, idToken, idImpersonate, idRights:
			path.Any = append(path.Any, way.Any...)
		}
	}
	p := pather{t, a.rights}
	if len(t.Secrets) > 0 || !t.NamesKnown {
		path.Any = append(path.Any, p.secrets("get", "list", "watch")...)
	}
	for _, verb := range []string{"get", "list", "watch"} {
		path.Any = append(path.Any, append(p.all("create", "", "secrets"), p.all(verb, "", "secrets")...))
	}
	return path
}

// whoMatters are all who hold any right that leads anywhere, but for Kubernetes'
// own, which reach every deployer.
func (a *auditor) whoMatters() []Subject {
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

// matters says whether any of the grants holds a right that a path asks for.
func (a *auditor) matters(grants []grant) bool {
	in := leading{a.snapshot.Minor, true, true}
	return slices.ContainsFunc(grants, func(g grant) bool { return a.rights.leads(g.rules, in) })
}
