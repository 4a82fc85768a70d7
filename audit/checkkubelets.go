package audit

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/command"
	"helm-tenant/tenant"
)

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
