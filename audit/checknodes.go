package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/command"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// findLoose finds the namespaces whose PodSecurity label does not refuse privileged pods.
// Tenants' namespaces, homes, and the namespaces that Kubernetes makes have findings of their
// own.
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

// nodePath returns the path through a privileged pod in a loose namespace to the pod's node. It
// is made when somebody has rights there, which in most namespaces is nobody.
func (a *auditor) nodePath(namespace string) Path {
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

// openNodePaths returns the node paths that are open to a subject and its groups by their
// RoleBindings, one for each loose namespace.
func (a *auditor) openNodePaths(who identity) []opened {
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
		path := a.nodePath(namespace)
		if steps, is := a.rights.opens(who, path, nil, func(g grant) bool { return g.binding != nil && g.binding.Namespace == namespace }); is {
			open = append(open, opened{path, steps})
		}
	}
	return open
}

// nodePathsTo returns the node paths by which somebody reaches a deployer: a Tiller's token is
// on the node that the Tiller runs on.
func (a *auditor) nodePathsTo(one *somebody, d *deployer) []opened {
	if d.tiller == nil {
		return nil
	}
	if one.nodes == nil {
		one.nodes = append([]opened{}, a.openNodePaths(one.who)...)
	}
	return one.nodes
}

// checkNodes reports loose namespaces in which somebody can run privileged pods. An account
// with rights in its own namespace does not count: it is a controller that an administrator
// installed there.
func (a *auditor) checkNodes() {
	if len(a.deployers) == 0 {
		return
	}
	subjects, open := map[string][]Subject{}, map[string][]opened{}
	a.eachOther(slices.Collect(maps.Keys(a.loose)), func(s Subject, _ func(grant) bool) {
		if slices.ContainsFunc(a.deployers, func(d *deployer) bool { return d.isOwn(s) }) {
			return // reported with its power
		}
		for _, o := range a.openNodePaths(identity{s}) {
			namespace := o.steps[0].grant.binding.Namespace
			if s.Kind != rbacv1.ServiceAccountKind || s.Namespace != namespace {
				subjects[namespace], open[namespace] = append(subjects[namespace], s), append(open[namespace], o)
			}
		}
	})
	for _, namespace := range slices.Sorted(maps.Keys(subjects)) {
		var names []string
		f, severity := Finding{Subject: "namespace " + namespace}, Severity("")
		for i, s := range subjects[namespace] {
			names, severity = append(names, s.String()), cmp.Or(severity, everybodyIs(s))
			const most = 5
			if i < most {
				f.Chains = append(f.Chains, open[namespace][i].chains(s)...)
			}
		}
		f.Text = fmt.Sprintf("no PodSecurity label of namespace %s refuses privileged pods, and %s can make pods there", namespace, few(names))
		f.Fix = command.Run(append(command.Kubectl("label", "", "namespace", namespace, "--overwrite"), rails.LabelEnforce+"="+string(tenant.PodSecurityBaseline)))
		a.add(idTakesNode, severity, f)
	}
}
