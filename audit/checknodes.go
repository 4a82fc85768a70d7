package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/command"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// takesPods reports whether a privileged pod in a namespace is a separate path to a node.
// Rights in a tenant's home and in kube-system are other paths, which lead further.
func (a *auditor) takesPods(namespace string) bool {
	ns := a.namespaces[namespace]
	return ns != nil && !ns.Terminating && namespace != systemNamespace && !a.isTenantHome(namespace)
}

func (a *auditor) isTenantHome(namespace string) bool {
	return slices.ContainsFunc(a.snapshot.Records, func(r Record) bool { return r.Namespace == namespace })
}

// isLoose reports whether a namespace's PodSecurity label does not refuse privileged pods.
func (a *auditor) isLoose(namespace string) bool {
	return enforcedLevel(a.namespaces[namespace]) < slices.Index(tenant.PodSecurities, tenant.PodSecurityBaseline)
}

func (a *auditor) nodePath(namespace string) Path {
	if path, found := a.nodePaths[namespace]; found {
		return path
	}
	p := pather{Target{Home: namespace, Server: a.snapshot.Server}, a.rights}
	path := Path{ID: "take-node", Name: "take the node of a privileged pod in namespace " + namespace, finding: idTakesNode}
	path.needs = slices.Concat(p.create("", "pods"), p.either(change, p.ask("", "pods/ephemeralcontainers")), p.makeCustom(), p.bindRoles(), p.writeRoles())
	for i := range workloadKinds {
		path.needs = append(path.needs, p.makePods(i)...)
	}
	a.nodePaths[namespace] = path
	return path
}

// openNodePaths returns the node paths that are open to a subject and its groups by their
// RoleBindings, one for each namespace that takes privileged pods, or whose label they can
// change.
func (a *auditor) openNodePaths(holder identity) []opened {
	if a.unseen("namespaces") {
		return nil
	}
	namespaces := map[string]bool{}
	for _, s := range holder {
		for _, g := range a.rights.bySubject[s] {
			if a.takesPods(g.binding.Namespace) {
				namespaces[g.binding.Namespace] = true
			}
		}
	}
	var open []opened
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		var loosens []step
		if !a.isLoose(namespace) {
			labels := Path{needs: pather{Target{Home: namespace}, a.rights}.changeHome()}
			var ok bool
			if loosens, ok = a.rights.opens(holder, labels, nil, nil); !ok {
				continue
			}
		}
		path := a.nodePath(namespace)
		if steps, ok := a.rights.opens(holder, path, nil, func(g grant) bool { return g.binding != nil && g.binding.Namespace == namespace }); ok {
			open = append(open, opened{path, append(steps, loosens...)})
		}
	}
	return open
}

// nodePathsTo returns the node paths by which somebody reaches a deployer: a Tiller's
// token is on the Tiller's node.
func (a *auditor) nodePathsTo(one *somebody, d *deployer) []opened {
	if d.tiller == nil {
		return nil
	}
	if one.nodes == nil {
		one.nodes = append([]opened{}, a.openNodePaths(one.who)...)
	}
	return one.nodes
}

// nodeTaker is a subject that can take over a node through a privileged pod.
type nodeTaker struct {
	subject Subject
	by      opened
}

// nodeTakers returns, by namespace, the subjects that can run privileged pods in
// namespaces of no tenant. An account with rights in its own namespace does not count: it
// is a controller that an administrator installed there. Whoever can act as that account
// counts.
func (a *auditor) nodeTakers() map[string][]nodeTaker {
	var namespaces []string
	for name := range a.namespaces {
		if a.takesPods(name) {
			namespaces = append(namespaces, name)
		}
	}
	for r := range a.records() {
		namespaces = slices.DeleteFunc(namespaces, func(name string) bool { return slices.Contains(r.Tenant.Namespaces, name) })
	}
	slices.Sort(namespaces)
	isOwn := func(s Subject, namespace string) bool {
		return s.Kind == rbacv1.ServiceAccountKind && s.Namespace == namespace
	}
	takers, own := map[string][]nodeTaker{}, map[string]Path{}
	a.eachOther(namespaces, func(s Subject, _ func(grant) bool) {
		if slices.ContainsFunc(a.deployers, func(d *deployer) bool { return d.isOwn(s) }) {
			return // reported with its power
		}
		for _, o := range a.openNodePaths(identity{s}) {
			namespace := o.steps[0].grant.binding.Namespace
			switch _, isOthers := slices.BinarySearch(namespaces, namespace); {
			case !isOthers:
			case isOwn(s, namespace):
				path := own[namespace]
				own[namespace] = Path{ID: o.path.ID, Name: o.path.Name, finding: idTakesNode, needs: append(path.needs, a.beAccount(s, true)...)}
			default:
				takers[namespace] = append(takers[namespace], nodeTaker{s, o})
			}
		}
	})
	a.eachOther(slices.Collect(maps.Keys(own)), func(s Subject, mine func(grant) bool) {
		seen := map[string]bool{}
		for _, g := range a.rights.bySubject[s] {
			namespace := g.binding.Namespace
			path, found := own[namespace]
			if !found || seen[namespace] || isOwn(s, namespace) || slices.ContainsFunc(takers[namespace], func(t nodeTaker) bool { return t.subject == s }) {
				continue
			}
			seen[namespace] = true
			if steps, open := a.rights.opens(identity{s}, path, nil, mine); open {
				takers[namespace] = append(takers[namespace], nodeTaker{s, opened{path, steps}})
			}
		}
	})
	return takers
}

// checkNodes reports the namespaces in which somebody can run privileged pods.
func (a *auditor) checkNodes() {
	if len(a.deployers) == 0 {
		return
	}
	takers := a.nodeTakers()
	for _, namespace := range slices.Sorted(maps.Keys(takers)) {
		var names []string
		var open []opened
		f, severity := Finding{Subject: "namespace " + namespace}, Severity("")
		for i, taker := range takers[namespace] {
			names, severity, open = append(names, taker.subject.String()), cmp.Or(severity, everybodyIs(taker.subject)), append(open, taker.by)
			const limit = 5
			if i < limit {
				f.Chains = append(f.Chains, taker.by.chains(taker.subject)...)
			}
		}
		if a.isLoose(namespace) {
			f.Text = fmt.Sprintf("no PodSecurity label of namespace %s refuses privileged pods, and %s can make pods there", namespace, shortened(names))
			f.Fix = command.Run(append(command.Kubectl("label", "", "namespace", namespace, "--overwrite"), rails.LabelEnforce+"="+string(tenant.PodSecurityBaseline)))
		} else {
			f.Text = fmt.Sprintf("%s can make pods in namespace %s, and change the label by which it refuses privileged ones", shortened(names), namespace)
			f.Fix = a.takeAwayAll(open)
		}
		a.add(idTakesNode, severity, f)
	}
}

const kubeletPath = "replace-kubelet"

// replaceKubelet returns the path through an address in the place of a node's kubelet.
// The API server connects to the address and port in a node's status for port-forward,
// exec, attach and logs (k8s.io/kubernetes/pkg/kubelet/client). Only the status
// subresource and a new node set the status; an update of the node itself keeps it
// (k8s.io/kubernetes/pkg/registry/core/node). The server there gets nobody's credentials.
func (x *rights) replaceKubelet() Path {
	p := pather{Target{}, x}
	path := Path{ID: kubeletPath, Name: "answer in a kubelet's place", finding: idKubelet,
		needs: p.either(change, Ask{Resource: "nodes/status", AnyName: true})}
	for _, deletion := range []Ask{{Verb: "delete", Resource: "nodes", AnyName: true}, {Verb: "deletecollection", Resource: "nodes"}} {
		for _, create := range p.createIn("", "", "nodes") {
			path.needs = append(path.needs, append(Need{deletion}, create...))
		}
	}
	return path
}

// replacesKubelets reports whether the rules have any right to write a node's status.
func replacesKubelets(rules *ruleSet) bool {
	return slices.ContainsFunc([]act{{"update", "", "nodes/status"}, {"patch", "", "nodes/status"}, {"create", "", "nodes"}}, func(right act) bool { return rules.answer(right).some })
}

// kubeletPathTo returns that path for a Tiller's node, if it is open to somebody. There
// is none if the API server verifies the certificates of kubelets.
func (a *auditor) kubeletPathTo(one *somebody, d *deployer) (opened, bool) {
	if d.tiller == nil || a.snapshot.Server.VerifiesKubelets {
		return opened{}, false
	}
	return a.opensTo(one, a.rights.replaceKubelet())
}

// checkKubelets reports subjects that can make the API server connect to another host in place
// of a kubelet. Nodes write their own status.
func (a *auditor) checkKubelets() {
	if a.snapshot.Server.VerifiesKubelets || !slices.ContainsFunc(a.deployers, func(d *deployer) bool { return d.tiller != nil }) {
		return
	}
	path := a.rights.replaceKubelet()
	a.eachOther(nil, func(s Subject, mine func(grant) bool) {
		if s == Group(tenant.GroupNodes) || s.Kind == rbacv1.UserKind && isKubernetes(s) {
			return
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, mine)
		if !open {
			return
		}
		f := a.finding(s, opened{path, steps}, "%s can set the address of a node: a host there is sent what members send to the Tillers of that node, and answers in their place, where the API server does not verify kubelets", s)
		f.Fix = f.Fix.With("or start the API server with --kubelet-certificate-authority")
		severity := everybodyIs(s)
		if severity == "" && (s.Namespace == systemNamespace || s.Kind == rbacv1.UserKind && strings.HasPrefix(s.Name, "system:")) {
			// A network, a cloud's controller or a problem detector would stop without
			// its binding.
			severity, f.Fix = Low, command.Advice("start the API server with --kubelet-certificate-authority; ignore the finding where a component of the cluster needs the right")
		}
		a.add(idKubelet, severity, f)
	})
}
