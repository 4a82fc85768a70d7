package audit

import (
	"slices"
)

// OpenPath is a path that is open to a subject.
type OpenPath struct {
	Path
	// Chains are the chains of objects from the subject to the rights that it needs.
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

// byImpersonation reports whether the path impersonates somebody.
func (o opened) byImpersonation() bool {
	return slices.ContainsFunc(o.steps, func(s step) bool { return s.ask.isImpersonation() })
}

// names returns the names of paths.
func names(paths []opened) []string {
	var all []string
	for _, o := range paths {
		all = append(all, o.path.Name)
	}
	return all
}

// open returns the paths to the deployer that are open to an identity.
func (a *auditor) open(who identity, d *deployer, only, fit func(grant) bool) []opened {
	var open []opened
	for _, path := range a.paths(d) {
		if steps, ok := a.rights.opens(who, path, only, fit); ok {
			open = append(open, opened{path, steps})
		}
	}
	return open
}

// openInside returns the paths to the deployer that are open to a subject by a
// RoleBinding of its own. It only looks at needs that involve a namespace with such a
// binding: the paths of a tenant with a thousand service accounts have tens of thousands
// of needs.
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

// paths returns the paths to the deployer, which are made once.
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

// anywhere is the key of needs for which any namespace will do. No namespace has an empty
// name.
const anywhere = ""

// needsByNamespace returns the indexes of a path's needs by the namespaces that they
// involve.
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
