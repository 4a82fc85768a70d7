package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// authority decides whether somebody may do something, for each of some questions: an API
// server, or its RBAC authorizer.
type authority func(...authorizationv1.SubjectAccessReviewSpec) ([]bool, error)

// asker asks an authority what one person may do, each thing once.
type asker struct {
	person
	authority authority
	known     map[authorizationv1.ResourceAttributes]bool
	// open are what ahead has to ask for; nil if each question is asked when it comes up.
	open  map[authorizationv1.ResourceAttributes]bool
	asked *atomic.Int64
	err   error
}

// ahead asks for what decide will ask, many questions at once: it calls decide with no for an
// answer to each open question, asks these, and does so again until none is open. An exchange
// for each of the thousand questions about a person takes longer than the answers.
func (a *asker) ahead(decide func()) {
	defer func() { a.open = nil }()
	for a.err == nil {
		a.open = map[authorizationv1.ResourceAttributes]bool{}
		decide()
		if len(a.open) == 0 {
			return
		}
		a.ask(slices.Collect(maps.Keys(a.open)))
	}
}

// ask asks the authority.
func (a *asker) ask(abouts []authorizationv1.ResourceAttributes) {
	specs := make([]authorizationv1.SubjectAccessReviewSpec, len(abouts))
	for i := range abouts {
		specs[i] = authorizationv1.SubjectAccessReviewSpec{User: a.user, Groups: append([]string{"system:authenticated"}, a.groups...), ResourceAttributes: &abouts[i]}
	}
	answers, err := a.authority(specs...)
	if err != nil {
		a.err = err
		return
	}
	a.asked.Add(int64(len(abouts)))
	for i, about := range abouts {
		a.known[about] = answers[i]
	}
}

// may asks for the right to any of the objects with those names; to all objects if there are
// none.
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
		if _, known := a.known[about]; !known && a.open != nil {
			a.open[about] = true
			continue
		} else if !known {
			a.ask([]authorizationv1.ResourceAttributes{about})
		}
		if a.known[about] {
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

// spaces returns all namespaces in which sets grant rights; the first is used for all.
func (s *scene) spaces() []string {
	spaces := slices.Clone(anywhere)
	for _, d := range s.deployers {
		spaces = append(spaces, d.home)
	}
	return spaces
}

// runs reports whether the person can have something run in a pod of a namespace.
func (s *scene) runs(a *asker, ns string) bool {
	pods := append([]string{"made-up"}, s.allPods()...)
	return a.may("create", "pods", ns) || a.any("update,patch", "pods", ns, pods...) || a.may("create", "pods/exec", ns, pods...) || a.any("update,patch", "pods/ephemeralcontainers", ns, pods...) ||
		slices.ContainsFunc(makers, func(resource string) bool {
			return a.may("create", resource, ns) || resource != "batch:jobs" && a.any("update,patch", resource, ns, "made-up", "tiller-deploy")
		})
}

// acts reports whether the person may do anything as whom they impersonate in that mode: an
// act of any of the themes, in any namespace.
func (s *scene) acts(a *asker, mode string) bool {
	pods := append([]string{"made-up"}, s.allPods()...)
	return slices.ContainsFunc(s.spaces(), func(ns string) bool {
		return slices.ContainsFunc(themes, func(subject theme) bool {
			names := []string{""}
			for _, name := range strings.Fields(subject.names) {
				switch name {
				case "POD":
					names = append(names, pods...)
				case "HOME":
					for _, d := range s.deployers {
						names = append(names, d.home)
					}
				default:
					names = append(names, name)
				}
			}
			return slices.ContainsFunc([]string{subject.group, "", "apps", "batch", "extensions", "rbac.authorization.k8s.io"}, func(group string) bool {
				return a.may("impersonate-on:"+mode+":create", group+":"+subject.resources, ns, names...)
			})
		})
	})
}

// does reports whether the person may do what matters as whom they impersonate in that mode.
type does func(mode string) bool

var nobody = []string{"alice", "bob", "nobody", "system:kube-controller-manager"}

// beGroup reports whether the person can be in a group: with a user or an account.
func (s *scene) beGroup(a *asker, group string, does does) bool {
	// With constrained impersonation the API server refuses its administrators' group.
	if group != "system:masters" && a.may("impersonate:user-info", "authn:groups", "", group) && a.may("impersonate:user-info", "authn:users", "", nobody...) && does("user-info") {
		return true
	}
	if !a.may("impersonate", "groups", "", group) {
		return false
	}
	return a.may("impersonate", "users", "", append(slices.Clone(nobody), "system:node:n1")...) ||
		slices.ContainsFunc(s.spaces(), func(ns string) bool {
			return a.may("impersonate", "serviceaccounts", ns, "tiller", "helm", "robot", "job-controller", "default")
		})
}

func (a *asker) beUser(user string, does does) bool {
	return a.may("impersonate", "users", "", user) || a.may("impersonate:user-info", "authn:users", "", user) && does("user-info")
}

func (a *asker) beAccount(ns, name string, does does) bool {
	return a.may("impersonate", "serviceaccounts", ns, name) || a.may("impersonate:serviceaccount", "authn:serviceaccounts", ns, name) && does("serviceaccount")
}

var makers = []string{"apps:deployments", "apps:replicasets", "apps:statefulsets", "apps:daemonsets", "batch:jobs", "batch:cronjobs", "replicationcontrollers"}

// creates reports whether the person can make an object: by a POST, which names none, or by a
// server-side apply, which takes the right to patch and to create one of the name.
func (a *asker) creates(resource, ns string, names ...string) bool {
	return a.may("create", resource, ns) || slices.ContainsFunc(names, func(name string) bool {
		return a.may("create", resource, ns, name) && (a.may("patch", resource, ns, name) || strings.HasPrefix(resource, "rbac:") && a.may("update", resource, ns, name))
	})
}

// makes reports whether the person can have a controller create a pod, other than by existing
// workloads: the cluster has none of the listed kinds, except Tillers.
func (a *asker) makes(resource, ns string) bool {
	plain := resource[strings.Index(resource, ":")+1:]
	yes := a.creates(resource, ns, "made-up", "tiller-deploy")
	switch plain {
	case "jobs": // one that is there keeps its pods
		return yes
	case "deployments", "statefulsets", "daemonsets":
		return yes || a.any("update,patch", resource, ns)
	}
	return yes || a.any("update,patch", resource, ns, "made-up")
}

// binds reports whether the person can bind a role in a namespace that leads to a deployer.
func (a *asker) binds(ns string) bool {
	return a.creates("rbac:rolebindings", ns, "helm-tenant-member", "plain") && (a.may("bind", "rbac:clusterroles", ns, "edit", "rbac-writer") || a.may("bind", "rbac:roles", ns, "helm-tenant-member")) ||
		a.any("update,patch", "rbac:rolebindings", ns, "helm-tenant-member") && a.may("bind", "rbac:roles", ns, "helm-tenant-member") ||
		a.any("update,patch", "rbac:rolebindings", ns, "plain") && a.may("bind", "rbac:clusterroles", ns, "edit")
}

// escalates reports whether the person can write roles that hold more than they do. Of the names
// that sets use only "made-up" is no role (newComparison).
func (a *asker) escalates(resource, ns string, names ...string) bool {
	if a.any("create,update,patch", resource, ns) && a.may("escalate", resource, ns) {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return a.any("update,patch", resource, ns, name) && a.may("escalate", resource, ns, name) && (name != "made-up" || a.may("create", resource, ns, name))
	})
}

// use reports whether the person can get a token of an account, or create a pod of it; no pod
// exists.
func (s *scene) use(a *asker, ns, name string) bool {
	pods := append([]string{"made-up"}, s.allPods()...)
	return a.may("create", "serviceaccounts/token", ns, name) || a.creates("pods", ns, pods...) ||
		a.any("update,patch", "pods", ns) || a.may("create", "pods/exec", ns) || a.may("create", "pods/attach", ns) || a.any("update,patch", "pods/ephemeralcontainers", ns) ||
		slices.ContainsFunc(makers, func(resource string) bool { return a.makes(resource, ns) }) ||
		a.may("create", "secrets", ns) && a.any("get,list,watch", "secrets", ns) ||
		slices.ContainsFunc([]string{"fine.v1", "made-up"}, func(secret string) bool {
			return a.may("create", "secrets", ns, secret) && a.may("patch", "secrets", ns, secret) && a.any("get,list,watch", "secrets", ns, secret)
		}) ||
		a.binds(ns) || a.escalates("rbac:roles", ns, "helm-tenant-member", "made-up")
}

// beNode reports whether the person can be a node, and have the tokens of the account there.
func (s *scene) beNode(a *asker, d target) bool {
	return a.may("impersonate", "users", "", "system:node:n1") && a.may("impersonate", "groups", "", "system:nodes") ||
		a.may("impersonate:arbitrary-node", "authn:nodes", "", "n1", "*") && a.may("impersonate-on:arbitrary-node:create", "serviceaccounts/token", d.home, d.account) ||
		strings.HasPrefix(a.user, "system:serviceaccount:") && a.may("impersonate:associated-node", "authn:nodes", "", "*") && a.may("impersonate-on:associated-node:create", "serviceaccounts/token", d.home, d.account) ||
		a.creates("certs:certificatesigningrequests", "", "made-up") && a.may("create", "certs:certificatesigningrequests/nodeclient", "")
}

// allPods returns those of the deployers.
func (s *scene) allPods() []string {
	var pods []string
	for _, d := range s.deployers {
		pods = append(pods, d.pods...)
	}
	return pods
}

// paths returns those to the deployer that are open to the person, as the API server
// says, and how many were asked for: docs/security.md in questions, written again.
func (s *scene) paths(a *asker, d target) (open []string, asked int) {
	expect := func(path string, yes bool) {
		asked++
		if yes {
			open = append(open, path)
		}
	}
	h := d.home
	if d.tiller {
		expect("port-forward", a.may("create", "pods/portforward", h, d.pods...))
	}
	if d.tiller && d.open {
		expect("proxy", a.any("get,create", "pods/proxy", h, d.pods...) || a.any("get,create", "services/proxy", h, "made-up"))
	}
	if d.tiller && d.open {
		expect("connect", slices.ContainsFunc(s.spaces(), func(ns string) bool { return s.runs(a, ns) }))
	}
	expect("create-pods", a.creates("pods", h, append([]string{"made-up"}, s.allPods()...)...))
	expect("replace-image", a.any("update,patch", "pods", h, d.pods...))
	expect("exec", a.may("create", "pods/exec", h, d.pods...))
	expect("attach", a.may("create", "pods/attach", h, d.pods...))
	expect("debug", a.any("update,patch", "pods/ephemeralcontainers", h, d.pods...))
	// A list or watch of the one object of a name is asked for with its name.
	expect("read-secrets", a.any("get,list,watch", "secrets", h, d.records...))
	expect("write-secrets", a.creates("secrets", h, "fine.v1", "made-up") || a.any("update,patch", "secrets", h, d.records...))
	if d.inConfigMaps {
		expect("read-configmaps", a.any("get,list,watch", "configmaps", h, d.records...))
		expect("write-configmaps", a.creates("configmaps", h, "helm-tenant", "made-up") || a.any("update,patch", "configmaps", h, d.records...))
	}
	expect("token", a.may("create", "serviceaccounts/token", h, d.account))
	any := func(mode string) bool { return s.acts(a, mode) }
	forward := func(mode string) bool {
		return a.may("impersonate-on:"+mode+":create", "pods/portforward", h, d.pods...)
	}
	expect("impersonate-deployer", a.beAccount(h, d.account, any))
	// To be a member who impersonates the deployer is no way: that does not chain.
	expect("impersonate-member", d.tiller && (slices.ContainsFunc(d.users, func(user string) bool { return a.beUser(user, forward) }) || d.robot && a.beAccount("ci", "robot", forward) ||
		slices.ContainsFunc(d.groups, func(group string) bool { return s.beGroup(a, group, forward) })))
	expect("use-account", d.robot && s.use(a, "ci", "robot"))
	if d.tiller {
		expect("change-tiller", a.any("update,patch", "apps:deployments", h, "tiller-deploy"))
	}
	for _, resource := range makers {
		plain := resource[strings.Index(resource, ":")+1:]
		expect("make-"+plain, a.makes(resource, h))
	}
	expect("bind", a.binds(h) ||
		a.creates("rbac:clusterrolebindings", "", "plain") && a.may("bind", "rbac:clusterroles", "", "edit", "rbac-writer") ||
		a.any("update,patch", "rbac:clusterrolebindings", "", "plain") && a.may("bind", "rbac:clusterroles", "", "edit"))
	expect("escalate", a.escalates("rbac:roles", h, "helm-tenant-member", "made-up") || a.escalates("rbac:clusterroles", "", "edit", "system:basic-user", "rbac-writer"))
	expect("be-node", d.tiller && s.beNode(a, d))
	expect("node-proxy", a.any("get,create", "nodes/proxy", "", "some-node"))
	expect("replace-kubelet", d.tiller && (a.any("update,patch", "nodes/status", "", "some-node") ||
		(a.may("delete", "nodes", "", "some-node", "made-up") || a.may("deletecollection", "nodes", "")) && a.creates("nodes", "", "some-node", "made-up")))
	expect("change-home", a.any("update,patch", "namespaces", h, h) || a.any("update,patch", "namespaces/status", h, h) || a.may("update", "namespaces/finalize", h, h))
	expect("write-record", a.any("update,patch", "configmaps", h, "helm-tenant") ||
		(a.may("delete", "configmaps", h, "helm-tenant") || a.may("deletecollection", "configmaps", h)) && a.may("create", "configmaps", h))
	policy := func(name string) bool {
		return slices.ContainsFunc([]string{"admission:validatingadmissionpolicies", "admission:validatingadmissionpolicybindings"}, func(resource string) bool {
			return a.any("update,patch,delete", resource, "", name) || a.may("deletecollection", resource, "")
		})
	}
	expect("change-policy", d.tiller && policy("helm-tenant-records"))
	expect("change-guard", !d.open && policy("helm-tenant-guard-pods"))
	writes := func(resource string) bool {
		return a.may("create", resource, "") || a.any("update,patch", resource, "", "made-up")
	}
	// No webhook is configured that could be changed.
	expect("change-admission", a.creates("admission:mutatingwebhookconfigurations", "", "made-up") || a.creates("admission:validatingwebhookconfigurations", "", "made-up") ||
		a.any("update,patch", "admission:mutatingadmissionpolicies", "", "made-up") ||
		a.may("create", "admission:mutatingadmissionpolicies", "") && (writes("admission:mutatingadmissionpolicybindings") ||
			a.any("delete", "admission:mutatingadmissionpolicies", "", "made-up") || a.may("deletecollection", "admission:mutatingadmissionpolicies", "")))
	expect("serve-api", writes("apiregistration.k8s.io:apiservices"))
	expect("create-volume", a.creates("persistentvolumes", "", "made-up"))
	expect("certificate", a.creates("certs:certificatesigningrequests", "", "made-up") && a.any("update,patch", "certs:certificatesigningrequests/approval", "", "made-up") &&
		a.may("approve", "certs:signers", "", "kubernetes.io/kube-apiserver-client", "kubernetes.io/*"))
	expect("impersonate-administrator", s.beGroup(a, "system:masters", any) || a.beUser("system:kube-controller-manager", any) ||
		slices.ContainsFunc(s.groups, func(group string) bool { return s.beGroup(a, group, any) }))
	expect("use-administrator", slices.ContainsFunc(s.administrators, func(account string) bool {
		ns, name, _ := strings.Cut(account, ":")
		return s.use(a, ns, name) || a.beAccount(ns, name, any)
	}))
	return open, asked
}
