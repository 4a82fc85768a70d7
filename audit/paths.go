package audit

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/install"
	"helm-tenant/lists"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// Path is a way to reach a deployer: a subject with all rights of one of its needs can do
// what the deployer can.
type Path struct {
	// ID is the path's name for programs.
	ID string `json:"id"`
	// Name is the path's name for people.
	Name  string `json:"name"`
	needs []Need `json:"-"`
	// finding is the kind of finding if the path is open to a subject that is no member.
	finding string
}

// Target has the facts of a deployer on which the paths to it depend.
type Target struct {
	Home, Account string
	Engine        tenant.Engine
	// Server has the features of the API server.
	Server Server
	// Open reports whether its Tiller listens on the pod's own address. Closing are then the
	// NetworkPolicies that keep others from it, if they do; Policies are all of the home.
	Open              bool
	Closing, Policies []string
	// Workload is the Tiller's; Pods are the names of the pods that run with the
	// deployer's account.
	Workload Workload
	Pods     []string
	// Workloads are the names of all workloads in the home, by resource.
	Workloads map[string][]string
	// Webhooks are the names of the webhook configurations, by resource; a resource is
	// missing if they are not known.
	Webhooks map[string][]string
	// Guarded reports whether the guard's policies apply to the tenant's namespaces.
	Guarded bool
	// Classes are the priority classes that the guard allows its pods; MissingClasses are those
	// of them that may not exist.
	Classes, MissingClasses []string
	// Secrets are those in the home with its releases or its token.
	Secrets []string
	// InConfigMaps reports whether its releases are kept in ConfigMaps, whose names are
	// in ConfigMaps.
	InConfigMaps bool
	ConfigMaps   []string
	// NamesKnown reports whether the names above are known. If not, a right to any one
	// object counts.
	NamesKnown bool
	// Members are the subjects that may use it, and those that can do everything: whoever
	// can act as one of them reaches it.
	Members []Subject
	// Nodes are the nodes of its pods; none if no pod runs yet.
	Nodes []string
	// MemberAccounts has what is known of the service accounts among the members.
	MemberAccounts map[Subject]AccountObjects
}

// AccountObjects are the existing objects that lead to a service account.
type AccountObjects struct {
	// Pods run as the account on Nodes; Tokens are the Secrets with a token of it.
	Pods, Nodes, Tokens []string
	// Workloads are the names of all workloads of its namespace, by resource: any can be
	// changed to run as the account.
	Workloads map[string][]string
}

// These are the IDs of the paths that are meant for members, one for each engine.
const (
	pathForward     = "port-forward"
	pathImpersonate = "impersonate-deployer"
)

func memberPath(engine tenant.Engine) string {
	if engine == tenant.EngineImpersonation {
		return pathImpersonate
	}
	return pathForward
}

// replaceImage is the path by a running pod's image, which changes its labels as well.
const replaceImage = "replace-image"

const rbacGroup = rbacv1.GroupName

type pather struct {
	Target
	rights *rights
}

func (p pather) either(verbs []string, ask Ask) []Need {
	var needs []Need
	for _, verb := range verbs {
		ask.Verb = verb
		needs = append(needs, Need{ask})
	}
	return needs
}

func (p pather) ask(group, resource string, names ...string) Ask {
	return Ask{Group: group, Resource: resource, Namespace: p.Home, Names: names, AnyName: !p.NamesKnown}
}

// all asks for objects that have no name yet.
func (p pather) all(verb, group, resource string) Need {
	return Need{{Verb: verb, Group: group, Resource: resource, Namespace: p.Home}}
}

// create returns the ways to create an object: a POST, which has no name, and a
// server-side apply, for which the API server checks patch and create with the object's
// name (k8s.io/apiserver/pkg/endpoints/handlers, patch.go). An update, for which it checks
// update and create, creates objects of RBAC (k8s.io/kubernetes/pkg/registry/rbac,
// AllowCreateOnUpdate).
func (p pather) create(group, resource string) []Need {
	return p.createIn(p.Home, group, resource)
}

func (p pather) createIn(namespace, group, resource string) []Need {
	ask := func(verb string, names ...string) Ask {
		return Ask{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Names: names}
	}
	needs := []Need{{ask("create")}}
	for _, named := range named(p.rights.namesOf(namespace, act{"create", group, resource})) {
		needs = append(needs, Need{named(ask("create")), named(ask("patch"))})
		if group == rbacGroup {
			needs = append(needs, Need{named(ask("create")), named(ask("update"))})
		}
	}
	return needs
}

// mostNames is more than roles name objects of one kind. With more, the rights of a need may be to
// different names: whoever writes Roles in a namespace could otherwise let an audit take hours.
const mostNames = 1000

// named returns for each of the names a function that limits an ask to it; for too many names
// one that does not.
func named(names []string) []func(Ask) Ask {
	if len(names) > mostNames {
		return []func(Ask) Ask{func(ask Ask) Ask { ask.AnyName = true; return ask }}
	}
	return lists.Map(names, func(name string) func(Ask) Ask { return func(ask Ask) Ask { ask.Names = []string{name}; return ask } })
}

// stream returns the verbs that open a stream to a pod.
func (p pather) stream() []string {
	if p.Server.NoGetStreams {
		return []string{"create"}
	}
	return []string{"create", "get"}
}

// only asks for the one object with that name.
func (p pather) only(verb, group, resource, name string) Need {
	return Need{{Verb: verb, Group: group, Resource: resource, Namespace: p.Home, Names: []string{name}}}
}

var change = []string{"update", "patch"}

// paths returns all paths to the target. docs/audit.md, "Paths", says which right opens
// which path, and why.
func (x *rights) paths(t Target) []Path {
	p := pather{t, x}
	stream := p.stream()
	// The name of an existing pod is known when the right is checked; creating an object
	// without a name needs the right to all.
	pods := func(verbs []string, resource string) []Need { return p.either(verbs, p.ask("", resource, t.Pods...)) }
	var paths []Path
	add := func(id, name, finding string, needs ...[]Need) {
		paths = append(paths, Path{ID: id, Name: name, needs: slices.Concat(needs...), finding: finding})
	}
	if t.Engine == tenant.EngineTiller {
		add(pathForward, "port-forward to Tiller", idForward, pods(stream, "pods/portforward"))
		if t.Open {
			services := p.ask("", "services/proxy")
			services.AnyName = true // whoever has a Service can make it select Tiller, and many charts have one
			add("proxy", "reach Tiller through the API server's proxy", idForward, pods([]string{"get", "create"}, "pods/proxy"), p.either([]string{"get", "create"}, services))
		}
	}
	add("create-pods", "create pods", idMakePods, p.create("", "pods"))
	// A running pod's image can be replaced, and keeps the pod's token.
	add(replaceImage, "replace a pod's image", idEnterPods, pods(change, "pods"))
	add("exec", "exec into pods", idEnterPods, pods(stream, "pods/exec"))
	add("attach", "attach to pods", idEnterPods, pods(stream, "pods/attach"))
	add("debug", "add ephemeral containers", idEnterPods, pods(change, "pods/ephemeralcontainers"))
	// A list or watch of a single object by its name is authorized for that name.
	add("read-secrets", "read Secrets", idSecrets, p.secrets("get", "list", "watch"))
	add("write-secrets", "write Secrets", idSecrets, p.create("", "secrets"), p.secrets(change...))
	if t.InConfigMaps {
		records := p.ask("", "configmaps", t.ConfigMaps...)
		add("read-configmaps", "read release records in ConfigMaps", idSecrets, p.either([]string{"get", "list", "watch"}, records))
		add("write-configmaps", "write release records in ConfigMaps", idSecrets, p.create("", "configmaps"), p.either(change, records))
	}
	add("token", "mint the deployer's token", idToken, []Need{p.only("create", "", "serviceaccounts/token", t.Account)})
	add(pathImpersonate, "impersonate the deployer", idImpersonate, p.impersonate(Account(p.Home, p.Account)))
	if needs := p.impersonateMembers(); len(needs) > 0 {
		add("impersonate-member", "impersonate somebody who reaches it", idImpersonateMember, needs)
	}
	if needs := p.beMembers(); len(needs) > 0 {
		add(useAccountPath, "use the service account of somebody who reaches it", idUseAccount, needs)
	}
	if t.Workload.Name != "" {
		if resource, group := resourceOf(t.Workload.Kind); resource != "" {
			add("change-tiller", "change the Tiller", idChangeTiller, []Need{p.only("update", group, resource, t.Workload.Name), p.only("patch", group, resource, t.Workload.Name)})
		}
	}
	for i, workload := range workloadKinds {
		add("make-"+workload.resource, "make pods by "+workload.resource, idMakePods, p.makePods(i))
	}
	add("make-custom", "make pods by an object of a controller", idMakePods, p.makeCustom())
	add("bind", "bind a role", idRights, p.bindRoles())
	add("escalate", "write a role", idRights, p.writeRoles())
	// Whoever reaches the kubelet of its node runs commands in its pods. Nodes are
	// cluster-scoped, so that this is reported once for the whole cluster.
	add("node-proxy", "reach pods through their node", idNode, []Need{
		{{Verb: "get", Resource: "nodes/proxy", AnyName: true}}, {{Verb: "create", Resource: "nodes/proxy", AnyName: true}}})
	if t.Engine == tenant.EngineTiller || len(t.Pods) > 0 || !t.NamesKnown {
		add("be-node", "be the node of its pods", idNode, p.beNode())
	}
	add("change-home", "loosen the home namespace's policies", idHome, p.changeHome())
	if len(t.Closing) > 0 {
		add("open-network", "open the Tiller on the network", idHome, p.openNetwork())
	}
	if t.Engine != "" {
		// helm-tenant trusts this about the tenant, and grants the role to it.
		add("write-record", "write the tenant's record", idHome, p.write("configmaps", tenant.RecordName))
	}
	if t.Guarded {
		add("change-guard", "loosen the guard's admission policies", idHome, p.changePolicies(Ask{NamePrefix: rails.PolicyPrefix}))
	}
	if len(t.Classes) > 0 {
		add("change-class", "make an allowed priority class", idHome, p.changeClasses())
	}
	if t.Engine == tenant.EngineTiller {
		add("change-policy", "loosen the admission policy of release records", idHome, p.changePolicies(Ask{Names: []string{install.AdmissionName}}))
	}
	p.addClusterWide(add)
	return paths
}

// addClusterWide adds the paths through rights over the whole cluster, which lead to every
// deployer.
func (p pather) addClusterWide(add func(id, name, finding string, ways ...[]Need)) {
	add("change-admission", "change what others write, by admission", idClusterWide, p.changeAdmission())
	add("serve-api", "answer in the API server's place", idClusterWide, p.serveAPI())
	// PodSecurity checks a pod's volumes, and not the PersistentVolume of a claim.
	add("create-volume", "make a volume of a node's disk", idClusterWide, p.createIn("", "", "persistentvolumes"))
	add("certificate", "have a certificate of anybody's signed", idImpersonateMember, p.certificate())
}

// makePods returns the ways to make the controller of workloadKinds[i] create pods.
func (p pather) makePods(i int) []Need {
	workload := workloadKinds[i]
	needs := p.create(workload.group, workload.resource)
	if !workload.changes {
		return needs
	}
	ask := p.ask(workload.group, workload.resource, p.Workloads[workload.resource]...)
	// Any name may exist of kinds that are not listed.
	ask.AnyName = ask.AnyName || !workload.listed
	if workload.listed && p.NamesKnown { // the Tiller is another path
		ask.Names = slices.DeleteFunc(slices.Clone(ask.Names), func(name string) bool { return workload.kind == p.Workload.Kind && name == p.Workload.Name })
	}
	return slices.Concat(needs, p.either(change, ask), p.reviseOwn(workload.resource))
}

// changeHome returns the ways to change the home namespace's labels. Deleting the
// namespace is no way: the deployer's account ends with it. Who can make the namespace again is
// found by checkMakesHomes.
func (p pather) changeHome() []Need {
	var needs []Need
	for _, write := range rbac.NamespaceWrites() {
		if write.Verb != "delete" {
			needs = append(needs, p.only(write.Verb, "", write.Resource, p.Home))
		}
	}
	return needs
}

// openNetwork returns the ways to let pods connect to a Tiller from which only NetworkPolicies
// keep them. What one of them allows is allowed, and a pod that none selects is open.
func (p pather) openNetwork() []Need {
	const resource = "networkpolicies"
	needs := append(p.create(networkGroup, resource), p.either(change, p.ask(networkGroup, resource, p.Policies...))...)
	var all Need
	for _, name := range p.Closing {
		all = append(all, p.only("delete", networkGroup, resource, name)...)
	}
	return append(needs, all, p.all("deletecollection", networkGroup, resource))
}

// write returns the ways to change the content of the named object: to update it, or to
// delete it and create another with its name.
func (p pather) write(resource, name string) []Need {
	needs := []Need{p.only("update", "", resource, name), p.only("patch", "", resource, name)}
	for _, deletion := range []Need{p.only("delete", "", resource, name), p.all("deletecollection", "", resource)} {
		needs = append(needs, append(deletion, p.all("create", "", resource)...)) // an apply with the name needs the right to patch it
	}
	return needs
}

type workloadKind struct {
	kind, group, resource string
	// changes reports whether the pods of an existing one can be changed; a Job's can't.
	changes bool
	// listed reports whether a Snapshot has them.
	listed bool
}

// workloadKinds are the kinds that create pods, with an account that their writer
// chooses.
var workloadKinds = []workloadKind{
	{"Deployment", "apps", "deployments", true, true},
	{"ReplicaSet", "apps", "replicasets", true, false},
	{"StatefulSet", appsGroup, "statefulsets", true, true},
	{"DaemonSet", "apps", "daemonsets", true, true},
	{"Job", "batch", "jobs", false, false},
	{"CronJob", "batch", "cronjobs", true, false},
	{"ReplicationController", "", "replicationcontrollers", true, false},
}

func resourceOf(kind string) (resource, group string) {
	for _, workload := range workloadKinds {
		if workload.kind == kind {
			return workload.resource, workload.group
		}
	}
	return "", ""
}

func (p pather) secrets(verbs ...string) []Need {
	return p.either(verbs, p.ask("", "secrets", p.Secrets...))
}
