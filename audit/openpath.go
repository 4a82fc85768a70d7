package audit

import (
	"slices"

	"helm-tenant/lists"
)

// OpenPath is a path that is open to a subject.
type OpenPath struct {
	Path
	// Chains are the chains of objects from the subject to the rights that it needs.
	Chains [][]string `json:"chains"`
}

type opened struct {
	path  Path
	steps []step
}

func (o opened) chains(subject Subject) [][]string {
	var chains [][]string
	for _, s := range o.steps {
		chain := s.grant.chain(subject, s.ask)
		if !slices.ContainsFunc(chains, func(c []string) bool { return slices.Equal(c, chain) }) {
			chains = append(chains, chain)
		}
	}
	return chains
}

func (o opened) byImpersonation() bool {
	return slices.ContainsFunc(o.steps, func(s step) bool { return s.ask.isImpersonation() })
}

func pathNames(paths []opened) []string {
	return lists.Map(paths, func(o opened) string { return o.path.Name })
}

func (a *auditor) open(holder identity, d *deployer, only, fit func(grant) bool) []opened {
	var open []opened
	for _, path := range a.paths(d) {
		if steps, ok := a.rights.opens(holder, path, only, fit); ok {
			open = append(open, opened{path, steps})
		}
	}
	return open
}

// openInside returns the paths to the deployer that are open to a subject by one of its own
// RoleBindings. It only looks at needs in a namespace with such a binding: the paths of a
// tenant with a thousand service accounts have tens of thousands of needs.
func (a *auditor) openInside(s Subject, d *deployer) []opened {
	mine := ownGrantsInside(s)
	namespaces := map[string]bool{anywhere: true}
	for _, g := range a.rights.bySubject[s] {
		namespaces[g.binding.Namespace] = true
	}
	var open []opened
	for i, path := range a.paths(d) {
		var needs []int
		for ns := range namespaces {
			needs = append(needs, a.last.needs[i][ns]...)
		}
		slices.Sort(needs)
		some := Path{}
		for _, n := range slices.Compact(needs) {
			some.needs = append(some.needs, path.needs[n])
		}
		if steps, ok := a.rights.opens(identityOf(s), some, nil, mine); ok {
			open = append(open, opened{path, steps})
		}
	}
	return open
}

// wideRights are a subject's rights in the whole cluster.
type wideRights struct {
	who    identity
	grants []grant // of the subject and its groups
	// may has the cached answers for first asks, by their number: whether the grants allow the
	// act.
	may []cachedAnswer
}

type cachedAnswer uint8

const (
	unknown cachedAnswer = iota
	yes
	no
)

func (a *auditor) wideRights(s Subject) *wideRights {
	w := &wideRights{who: identityOf(s)}
	for _, one := range w.who {
		for _, g := range a.rights.inCluster[one] {
			if wideGrant(g) {
				w.grants = append(w.grants, g)
			}
		}
	}
	return w
}

// allow reports whether any of the grants may answer an ask of that act: of an object at
// least, whatever its name is.
func (w *wideRights) allow(first firstAsk, number int) bool {
	if missing := number + 1 - len(w.may); missing > 0 {
		w.may = append(w.may, make([]cachedAnswer, missing)...)
	}
	if w.may[number] == unknown {
		w.may[number] = no
		if slices.ContainsFunc(w.grants, func(g grant) bool {
			if first.any {
				return g.rules.acts(first.verb, true)
			}
			return g.rules.answer(first.act).some
		}) {
			w.may[number] = yes
		}
	}
	return w.may[number] == yes
}

// openWidely returns the paths to the deployer that are open by cluster-wide rights, at least
// one of which is the subject's own. It only looks at needs whose first ask these may answer: a
// cluster has a thousand deployers and hundreds of such subjects.
func (a *auditor) openWidely(w *wideRights, d *deployer) []opened {
	var open []opened
	for i, path := range a.paths(d) {
		var needs []int
		for _, group := range a.last.first[i] {
			if w.allow(group.ask, group.number) {
				needs = append(needs, group.needs...)
			}
		}
		if len(needs) == 0 {
			continue
		}
		slices.Sort(needs)
		some := Path{}
		for _, n := range needs {
			some.needs = append(some.needs, path.needs[n])
		}
		if steps, ok := a.rights.opens(w.who, some, wideGrant, grantedTo(w.who[0])); ok {
			open = append(open, opened{path, steps})
		}
	}
	return open
}

// firstAsk is the first ask of a need without the object; any stands for every verb that begins
// with the act's.
type firstAsk struct {
	act
	any bool
}

// firstNeeds are the indexes of a path's needs with the same first ask, which has a number.
type firstNeeds struct {
	ask    firstAsk
	number int
	needs  []int
}

// needsByFirstAsk returns a path's needs by their first ask.
func (a *auditor) needsByFirstAsk(path Path) []firstNeeds {
	var groups []firstNeeds
	groupOf := map[int]int{} // the group of an ask's number
	for i, need := range path.needs {
		if len(need) == 0 {
			continue
		}
		first := firstAsk{act{need[0].Verb, need[0].Group, need[0].Resource}, need[0].AnyAct}
		number, known := a.firstAsks[first]
		if !known {
			number = len(a.firstAsks)
			a.firstAsks[first] = number
		}
		group, known := groupOf[number]
		if !known {
			group = len(groups)
			groupOf[number] = group
			groups = append(groups, firstNeeds{ask: first, number: number})
		}
		groups[group].needs = append(groups[group].needs, i)
	}
	return groups
}

// paths returns the paths to the deployer, which are made once.
func (a *auditor) paths(d *deployer) []Path {
	if a.last.deployer != d {
		a.last.deployer, a.last.paths = d, a.rights.paths(d.target)
		a.last.needs, a.last.first = nil, nil
		for _, path := range a.last.paths {
			a.last.needs = append(a.last.needs, needsByNamespace(path))
			a.last.first = append(a.last.first, a.needsByFirstAsk(path))
		}
	}
	return a.last.paths
}

// anywhere is the key of needs that any namespace can answer. No namespace has an empty name.
const anywhere = ""

// needsByNamespace returns the indexes of a path's needs by the namespaces that they
// involve.
func needsByNamespace(path Path) map[string][]int {
	needs := map[string][]int{}
	for i, need := range path.needs {
		for _, ask := range need {
			switch {
			case ask.AnyNamespace:
				needs[anywhere] = append(needs[anywhere], i)
			case ask.Namespace != "":
				needs[ask.Namespace] = append(needs[ask.Namespace], i)
			}
		}
	}
	return needs
}
