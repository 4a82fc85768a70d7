package audit

import (
	"slices"
)

// OpenPath is a path that is open to a subject.
type OpenPath struct {
	Path
	// Chains are the ways from the subject to the rights that it needs, object by
	// object.
	Chains [][]string `json:"chains"`
}

// opened is a path and the grants that open it.
type opened struct {
	path  Path
	steps []step
}

func (o opened) chains(who Subject) [][]string {
	var chains [][]string
	for _, s := range o.steps {
		chain := s.grant.chain(who, s.ask)
		if !slices.ContainsFunc(chains, func(c []string) bool { return slices.Equal(c, chain) }) {
			chains = append(chains, chain)
		}
	}
	return chains
}

// byImpersonation reports whether it takes impersonating somebody.
func (o opened) byImpersonation() bool {
	return slices.ContainsFunc(o.steps, func(s step) bool { return s.ask.isImpersonation() })
}

// names are the paths' names.
func names(paths []opened) []string {
	var all []string
	for _, o := range paths {
		all = append(all, o.path.Name)
	}
	return all
}

// open are the paths to the deployer that are open to who.
func (a *auditor) open(who identity, d *deployer, only, fit func(grant) bool) []opened {
	var open []opened
	for _, path := range a.paths(d) {
		if steps, ok := a.rights.opens(who, path, only, fit); ok {
			open = append(open, opened{path, steps})
		}
	}
	return open
}

// openInside are the paths to the deployer that are open to a subject by a RoleBinding of
// its own. Only needs that ask for something where it has one can be: a tenant of a thousand
// service accounts has paths of tens of thousands of needs.
func (a *auditor) openInside(s Subject, d *deployer) []opened {
	mine := func(g grant) bool {
		return g.binding != nil && g.to == s && g.binding.Namespace != "" && !isComponent(g.binding, s)
	}
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
			some.Any = append(some.Any, path.Any[n])
		}
		if steps, ok := a.rights.opens(identityOf(s), some, nil, mine); ok {
			open = append(open, opened{path, steps})
		}
	}
	return open
}

// paths are the ways to the deployer; made once.
func (a *auditor) paths(d *deployer) []Path {
	if a.last.deployer != d {
		a.last.deployer, a.last.paths = d, a.rights.paths(d.target)
		a.last.needs = nil
		for _, path := range a.last.paths {
			a.last.needs = append(a.last.needs, needsByNamespace(path))
		}
	}
	return a.last.paths
}

// anywhere stands for the namespaces of an ask that any will do for. No namespace has an
// empty name.
const anywhere = ""

// needsByNamespace are the places of a path's needs by the namespaces in which they ask for
// something.
func needsByNamespace(path Path) map[string][]int {
	needs := map[string][]int{}
	for i, need := range path.Any {
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
