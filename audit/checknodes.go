package audit

import (
	"fmt"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/command"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// findLoose finds the namespaces whose labels let privileged pods in, without those of
// tenants, homes, and those that Kubernetes itself makes, of which other findings tell.
func (a *auditor) findLoose() {
	a.loose = map[string]*Path{}
	if a.unseen("namespaces") {
		return
	}
	for name, ns := range a.namespaces {
		if level(ns) < slices.Index(tenant.PodSecurities, tenant.PodSecurityBaseline) && !ns.Terminating && !tenant.IsSystemNamespace(name) && a.homes[name] == nil {
			a.loose[name] = nil
		}
	}
	for i := range a.snapshot.Records {
		delete(a.loose, a.snapshot.Records[i].Namespace)
		for _, name := range a.snapshot.Records[i].Tenant.Namespaces {
			delete(a.loose, name)
		}
	}
}

// takeNode is the way to the node of a privileged pod in a namespace that lets one in. The
// paths are made when they are asked for: most namespaces are no one's but the admin's.
func (a *auditor) takeNode(namespace string) Path {
	if path := a.loose[namespace]; path != nil {
		return *path
	}
	p := pather{Target{Home: namespace, Server: a.snapshot.Server}, a.rights}
	path := Path{ID: "take-node", Name: "take the node of a privileged pod in namespace " + namespace, finding: idTakesNode, Any: p.create("", "pods")}
	for i := range workloadKinds {
		path.Any = append(path.Any, p.makePods(i)...)
	}
	path.Any = append(path.Any, p.makeCustom()...)
	a.loose[namespace] = &path
	return path
}

// nodesTaken returns the ways to nodes that are open by the grants of some subjects in
// namespaces that let privileged pods in, one for each namespace.
func (a *auditor) nodesTaken(who identity) []opened {
	namespaces := map[string]bool{}
	for _, s := range who {
		for _, g := range a.rights.bySubject[s] {
			if _, loose := a.loose[g.binding.Namespace]; loose {
				namespaces[g.binding.Namespace] = true
			}
		}
	}
	var open []opened
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		path := a.takeNode(namespace)
		if steps, is := a.rights.opens(who, path, nil, func(g grant) bool { return g.binding != nil && g.binding.Namespace == namespace }); is {
			open = append(open, opened{path, steps})
		}
	}
	return open
}

// takesNode returns how somebody takes nodes by a privileged pod: where the deployer's
// Tiller runs, or comes to run, that is a way to its token.
func (a *auditor) takesNode(one *somebody, d *deployer) []opened {
	if d.tiller == nil {
		return nil
	}
	if one.nodes == nil {
		one.nodes = append([]opened{}, a.nodesTaken(one.who)...)
	}
	return one.nodes
}

// checkNodes tells who can run privileged pods beside the tenants. The accounts of a
// namespace that have rights in it are what an admin installed there.
func (a *auditor) checkNodes() {
	if len(a.deployers) == 0 {
		return
	}
	a.eachOther(slices.Collect(maps.Keys(a.loose)), func(s Subject, _ func(grant) bool) {
		if slices.ContainsFunc(a.deployers, func(d *deployer) bool { return d.isOwn(s) }) {
			return // reported with its power
		}
		open := slices.DeleteFunc(a.nodesTaken(identity{s}), func(o opened) bool {
			return s.Kind == rbacv1.ServiceAccountKind && s.Namespace == o.steps[0].grant.binding.Namespace
		})
		if len(open) == 0 {
			return
		}
		var namespaces []string
		for _, o := range open {
			namespaces = append(namespaces, o.steps[0].grant.binding.Namespace)
		}
		f := Finding{Subject: s.String(), Text: fmt.Sprintf("%s can make pods in %s, where no label of PodSecurity refuses privileged ones", s, few(namespaces))}
		f.Chains = chainsOf(s, open)
		const most = 5
		for _, namespace := range namespaces[:min(len(namespaces), most)] {
			f.Fix = f.Fix.Then(command.Run(append(command.Kubectl("label", "", "namespace", namespace, "--overwrite"), rails.LabelEnforce+"="+string(tenant.PodSecurityBaseline))))
		}
		if len(namespaces) > most {
			f.Fix = f.Fix.With("the like for the other namespaces")
		}
		a.add(idTakesNode, everybodyIs(s), f)
	})
}
