package audit

// connects reports whether somebody reaches a Tiller that is open on the network, from
// a pod of theirs or from outside.
func (a *auditor) connects(one *somebody, d *deployer) (OpenPath, bool) {
	if d.tiller == nil || !d.network.listens || d.network.closed {
		return OpenPath{}, false
	}
	path := a.rights.connect(d.target)
	workload := objectName(d.tiller.Kind, d.target.Home, d.tiller.Name)
	if len(d.network.services) > 0 {
		return OpenPath{path, [][]string{{"anybody who reaches a node", d.network.services[0], workload, d.network.listener.String()}}}, true
	}
	steps, open := a.rights.opens(one.who, path, nil, nil)
	if !open {
		return OpenPath{}, false
	}
	return OpenPath{path, append(opened{path, steps}.chains(one.subject), []string{"any pod of the cluster", workload, d.network.listener.String()})}, true
}

// connect returns the path to an open Tiller for whoever runs anything in any pod.
func (x *rights) connect(t Target) Path {
	path := Path{ID: "connect", Name: "connect to Tiller from a pod", finding: idOpen}
	t.Home = ""
	p := pather{t, x}
	anywhere := func(verbs []string, group, resource string) {
		path.needs = append(path.needs, p.either(verbs, Ask{Group: group, Resource: resource, AnyNamespace: true, AnyName: verbs[0] != "create" || resource == "pods/exec"})...)
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
