package audit

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// authority decides whether somebody may do something: an API server, or its
// RBAC authorizer.
type authority func(authorizationv1.SubjectAccessReviewSpec) (bool, error)

// asker asks an authority what one person may do, each thing once.
type asker struct {
	person
	authority authority
	known     map[authorizationv1.ResourceAttributes]bool
	asked     *atomic.Int64
	err       error
}

// may asks for the right to any of the objects of those names; to all where there
// are none.
func (a *asker) may(verb, resource, ns string, names ...string) bool {
	group, resource, found := strings.Cut(resource, ":")
	if !found {
		group, resource = "", group
	}
	group = cmp.Or(shortGroups[group], group)
	resource, sub, _ := strings.Cut(resource, "/")
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		about := authorizationv1.ResourceAttributes{Namespace: ns, Verb: verb, Group: group, Resource: resource, Subresource: sub, Name: name}
		allowed, known := a.known[about]
		if !known {
			var err error
			allowed, err = a.authority(authorizationv1.SubjectAccessReviewSpec{User: a.user, Groups: append([]string{"system:authenticated"}, a.groups...), ResourceAttributes: &about})
			if err != nil {
				a.err = err
				return false
			}
			a.asked.Add(1)
			a.known[about] = allowed
		}
		if allowed {
			return true
		}
	}
	return false
}

// any asks for any of several verbs.
func (a *asker) any(verbs, resource, ns string, names ...string) bool {
	return slices.ContainsFunc(strings.Split(verbs, ","), func(verb string) bool { return a.may(verb, resource, ns, names...) })
}

var anywhere = []string{"", "outside", "ci", "kube-system"}

// spaces are all namespaces in which sets give rights; the first stands for all.
func (s *scene) spaces() []string {
	spaces := slices.Clone(anywhere)
	for _, d := range s.deployers {
		spaces = append(spaces, d.home)
	}
	return spaces
}

// runs says whether the person can have something run in a pod of a namespace.
func (s *scene) runs(a *asker, ns string) bool {
	pods := []string{"made-up"}
	for _, d := range s.deployers {
		pods = append(pods, d.pods...)
	}
	return a.may("create", "pods", ns) || a.any("update,patch", "pods", ns, pods...) || a.may("create", "pods/exec", ns, pods...) || a.any("update,patch", "pods/ephemeralcontainers", ns, pods...) ||
		slices.ContainsFunc(makers, func(resource string) bool {
			return a.may("create", resource, ns) || resource != "batch:jobs" && a.any("update,patch", resource, ns, "made-up", "tiller-deploy")
		})
}

// beGroup says whether the person can be in a group: with a user or an account.
func (s *scene) beGroup(a *asker, group string) bool {
	if a.may("impersonate:user-info", "authn:groups", "", group) && a.may("impersonate:user-info", "authn:users", "", "alice", "bob", "nobody", "system:kube-controller-manager") {
		return true
	}
	if !a.may("impersonate", "groups", "", group) {
		return false
	}
	return a.may("impersonate", "users", "", "alice", "bob", "nobody", "system:kube-controller-manager") ||
		slices.ContainsFunc(s.spaces(), func(ns string) bool {
			return a.may("impersonate", "serviceaccounts", ns, "tiller", "helm", "robot", "job-controller", "default")
		})
}

func (a *asker) beUser(user string) bool {
	return a.may("impersonate", "users", "", user) || a.may("impersonate:user-info", "authn:users", "", user)
}

func (a *asker) beAccount(ns, name string) bool {
	return a.may("impersonate", "serviceaccounts", ns, name) || a.may("impersonate:serviceaccount", "authn:serviceaccounts", ns, name)
}

var makers = []string{"apps:deployments", "apps:replicasets", "apps:statefulsets", "apps:daemonsets", "batch:jobs", "batch:cronjobs", "replicationcontrollers"}

// use says whether the person can get a token of an account, or make a pod of its.
func (a *asker) use(ns, name string) bool {
	return a.may("create", "serviceaccounts/token", ns, name) || a.may("create", "pods", ns) ||
		slices.ContainsFunc(makers, func(resource string) bool { return a.may("create", resource, ns) })
}

// paths are those to the deployer that are open to the person, as the API server
// says, and how many were asked for: docs/security.md in questions, written anew.
func (s *scene) paths(a *asker, d target) (open []string, asked int) {
	is := func(path string, yes bool) {
		asked++
		if yes {
			open = append(open, path)
		}
	}
	h := d.home
	if d.tiller {
		is("port-forward", a.may("create", "pods/portforward", h, d.pods...))
	}
	if d.tiller && d.open {
		is("proxy", a.any("get,create", "pods/proxy", h, d.pods...) || a.any("get,create", "services/proxy", h, "made-up"))
	}
	if d.tiller && d.open {
		is("connect", slices.ContainsFunc(s.spaces(), func(ns string) bool { return s.runs(a, ns) }))
	}
	is("create-pods", a.may("create", "pods", h))
	is("replace-image", a.any("update,patch", "pods", h, d.pods...))
	is("exec", a.may("create", "pods/exec", h, d.pods...))
	is("attach", a.may("create", "pods/attach", h, d.pods...))
	is("debug", a.any("update,patch", "pods/ephemeralcontainers", h, d.pods...))
	// A list or watch of the one object of a name is asked for with its name.
	is("read-secrets", a.any("get,list,watch", "secrets", h, d.records...))
	is("write-secrets", a.may("create", "secrets", h) || a.any("update,patch", "secrets", h, d.records...))
	if d.inConfigMaps {
		is("read-configmaps", a.any("get,list,watch", "configmaps", h, d.records...))
		is("write-configmaps", a.may("create", "configmaps", h) || a.any("update,patch", "configmaps", h, d.records...))
	}
	is("token", a.may("create", "serviceaccounts/token", h, d.account))
	is("impersonate-deployer", a.beAccount(h, d.account))
	is("impersonate-member", slices.ContainsFunc(d.users, a.beUser) || d.robot && a.beAccount("ci", "robot") ||
		slices.ContainsFunc(d.groups, func(group string) bool { return s.beGroup(a, group) }))
	is("use-account", d.robot && a.use("ci", "robot"))
	if d.tiller {
		is("change-tiller", a.any("update,patch", "apps:deployments", h, "tiller-deploy"))
	}
	for _, resource := range makers {
		_, plain, found := strings.Cut(resource, ":")
		if !found {
			plain = resource
		}
		yes := a.may("create", resource, h)
		switch plain {
		case "jobs": // one that is there keeps its pods
		case "deployments", "statefulsets", "daemonsets": // but for the Tiller there is none
			yes = yes || a.any("update,patch", resource, h)
		default:
			yes = yes || a.any("update,patch", resource, h, "made-up")
		}
		is("make-"+plain, yes)
	}
	is("bind", a.may("create", "rbac:rolebindings", h) && (a.may("bind", "rbac:clusterroles", h, "edit", "rbac-writer") || a.may("bind", "rbac:roles", h, "helm-tenant-member")) ||
		a.any("update,patch", "rbac:rolebindings", h, "helm-tenant-member") && a.may("bind", "rbac:roles", h, "helm-tenant-member") ||
		a.any("update,patch", "rbac:rolebindings", h, "plain") && a.may("bind", "rbac:clusterroles", h, "edit") ||
		a.may("create", "rbac:clusterrolebindings", "") && a.may("bind", "rbac:clusterroles", "", "edit", "rbac-writer") ||
		a.any("update,patch", "rbac:clusterrolebindings", "", "plain") && a.may("bind", "rbac:clusterroles", "", "edit"))
	write := func(resource, ns string, names ...string) bool {
		return a.may("create", resource, ns) && a.may("escalate", resource, ns) || slices.ContainsFunc(names, func(name string) bool {
			return a.any("update,patch", resource, ns, name) && a.may("escalate", resource, ns, name)
		})
	}
	is("escalate", write("rbac:roles", h, "helm-tenant-member", "made-up") || write("rbac:clusterroles", "", "edit", "system:basic-user", "rbac-writer"))
	is("node-proxy", a.any("get,create", "nodes/proxy", "", "some-node"))
	is("change-home", a.any("update,patch", "namespaces", h, h))
	is("write-record", a.any("update,patch", "configmaps", h, "helm-tenant"))
	policy := func(resource string) bool {
		return a.any("update,patch,delete", resource, "", "helm-tenant-records") || a.may("deletecollection", resource, "")
	}
	is("change-policy", d.tiller && (policy("admission:validatingadmissionpolicies") || policy("admission:validatingadmissionpolicybindings")))
	writes := func(resource string) bool {
		return a.may("create", resource, "") || a.any("update,patch", resource, "", "made-up")
	}
	is("change-admission", writes("admission:mutatingwebhookconfigurations") || writes("admission:validatingwebhookconfigurations") ||
		a.any("update,patch", "admission:mutatingadmissionpolicies", "", "made-up") ||
		a.may("create", "admission:mutatingadmissionpolicies", "") && writes("admission:mutatingadmissionpolicybindings"))
	is("certificate", a.may("create", "certs:certificatesigningrequests", "") && a.any("update,patch", "certs:certificatesigningrequests/approval", "", "made-up") &&
		a.may("approve", "certs:signers", "", "kubernetes.io/kube-apiserver-client", "kubernetes.io/*"))
	is("impersonate-administrator", s.beGroup(a, "system:masters") || a.beUser("system:kube-controller-manager"))
	is("use-administrator", slices.ContainsFunc(s.administrators, func(account string) bool {
		ns, name, _ := strings.Cut(account, ":")
		return a.use(ns, name) || a.beAccount(ns, name)
	}))
	return open, asked
}
