package audit

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// Path is one way to reach a deployer: who has any one of the needs can do what
// the deployer can.
type Path struct {
	// ID is the path's name in output that programs read.
	ID string `json:"id"`
	// Name is what it is, as people read it.
	Name string `json:"name"`
	Any  []Need `json:"-"`
	// finding is the kind of finding that it makes where it is open to somebody
	// who is no member.
	finding string
}

// Target is what must be known of a deployer to know the ways to it.
type Target struct {
	Home, Account string
	Engine        tenant.Engine
	// Server is what the API server does.
	Server Server
	// Open says that its Tiller listens on the pod's own address.
	Open bool
	// Workload is the Tiller's, Pods the names of the pods that run with the
	// deployer's account.
	Workload Workload
	Pods     []string
	// Workloads are the names of all workloads at home, by resource.
	Workloads map[string][]string
	// Webhooks are the names of the webhook configurations, by resource; a resource is
	// missing where they are not known.
	Webhooks map[string][]string
	// Guarded says that the guard's policies hold the tenant's namespaces.
	Guarded bool
	// Secrets are those at home that hold its releases or its token.
	Secrets []string
	// InConfigMaps says that its releases are kept in ConfigMaps, and ConfigMaps
	// names them.
	InConfigMaps bool
	ConfigMaps   []string
	// NamesKnown reports whether the names above are. Where they are not, a right to
	// any one object counts.
	NamesKnown bool
	// Members are those who may use it, and those who can do everything: whoever
	// can be them, can be what they are.
	Members []Subject
	// Nodes are those on which its pods run; none where no pod runs yet.
	Nodes []string
	// Held is what is known of the service accounts among the members.
	Held map[Subject]Held
}

// Held is what leads to a service account, beside the right to make more of it.
type Held struct {
	// Pods are those that run as the account, Nodes where they do, Tokens the Secrets
	// that hold a token of it.
	Pods, Nodes, Tokens []string
	// Workloads are the names of all workloads of its namespace, by resource: any can
	// be made to run as the account.
	Workloads map[string][]string
}

// IDs of the paths that are meant for members, one for each engine.
const (
	PathForward     = "port-forward"
	PathImpersonate = "impersonate-deployer"
)

// MemberPath is the one that a member has.
func MemberPath(engine tenant.Engine) string {
	if engine == tenant.EngineImpersonation {
		return PathImpersonate
	}
	return PathForward
}

const rbacGroup = rbacv1.GroupName

// pather makes the paths to one target.
type pather struct {
	Target
	rights *rights
}

// either makes an alternative of each verb.
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

// create are the ways to make a new object: a POST, which names none, and a server-side
// apply, for which the API server asks for patch and create by the object's name
// (k8s.io/apiserver/pkg/endpoints/handlers, patch.go).
func (p pather) create(group, resource string) []Need {
	return p.createIn(p.Home, group, resource)
}

func (p pather) createIn(namespace, group, resource string) []Need {
	ask := func(verb string, names ...string) Ask {
		return Ask{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Names: names}
	}
	needs := []Need{{ask("create")}}
	for _, name := range p.rights.namesOf(act{"create", group, resource}) {
		needs = append(needs, Need{ask("create", name), ask("patch", name)})
	}
	return needs
}

// stream are the verbs that open one to a pod.
func (p pather) stream() []string {
	if p.Server.NoGetStreams {
		return []string{"create"}
	}
	return []string{"create", "get"}
}

// only asks for the one object of that name.
func (p pather) only(verb, group, resource, name string) Need {
	return Need{{Verb: verb, Group: group, Resource: resource, Namespace: p.Home, Names: []string{name}}}
}

var change = []string{"update", "patch"}

// paths are all ways to the target. Which right opens what, and why:
// docs/audit.md, "Paths".
func (x *rights) paths(t Target) []Path {
	p := pather{t, x}
	stream := p.stream()
	// The name of a pod is known before the right is asked for; what has no name
	// yet is only allowed to who may create all.
	pods := func(verbs []string, resource string) []Need { return p.either(verbs, p.ask("", resource, t.Pods...)) }
	var paths []Path
	add := func(id, name, finding string, needs ...[]Need) {
		paths = append(paths, Path{ID: id, Name: name, Any: slices.Concat(needs...), finding: finding})
	}
	if t.Engine == tenant.EngineTiller {
		add(PathForward, "port-forward to Tiller", idForward, pods(stream, "pods/portforward"))
		if t.Open {
			services := p.ask("", "services/proxy")
			services.AnyName = true // whoever has one can have it select Tiller, and many charts make one
			add("proxy", "reach Tiller through the API server's proxy", idForward, pods([]string{"get", "create"}, "pods/proxy"), p.either([]string{"get", "create"}, services))
		}
	}
	add("create-pods", "create pods", idMakePods, p.create("", "pods"))
	// A running pod's image can be replaced, and keeps the pod's token.
	add("replace-image", "replace a pod's image", idEnterPods, pods(change, "pods"))
	add("exec", "exec into pods", idEnterPods, pods(stream, "pods/exec"))
	add("attach", "attach to pods", idEnterPods, pods(stream, "pods/attach"))
	add("debug", "add ephemeral containers", idEnterPods, pods(change, "pods/ephemeralcontainers"))
	// A list or a watch of the one object of a name is asked for by its name.
	add("read-secrets", "read Secrets", idSecrets, p.secrets("get", "list", "watch"))
	add("write-secrets", "write Secrets", idSecrets, p.create("", "secrets"), p.secrets(change...))
	if t.InConfigMaps {
		records := p.ask("", "configmaps", t.ConfigMaps...)
		add("read-configmaps", "read release records in ConfigMaps", idSecrets, p.either([]string{"get", "list", "watch"}, records))
		add("write-configmaps", "write release records in ConfigMaps", idSecrets, p.create("", "configmaps"), p.either(change, records))
	}
	add("token", "mint the deployer's token", idToken, []Need{p.only("create", "", "serviceaccounts/token", t.Account)})
	add(PathImpersonate, "impersonate the deployer", idImpersonate, p.impersonateDeployer())
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
	// in no namespace, so who may is always told once for the whole cluster.
	add("node-proxy", "reach pods through their node", idNode, []Need{
		{{Verb: "get", Resource: "nodes/proxy", AnyName: true}}, {{Verb: "create", Resource: "nodes/proxy", AnyName: true}}})
	if t.Engine == tenant.EngineTiller || len(t.Pods) > 0 || !t.NamesKnown {
		add("be-node", "be the node of its pods", idNode, p.beNode())
	}
	add("change-home", "loosen the home namespace's policies", idHome, p.changeHome())
	if t.Engine != "" {
		// What helm-tenant believes of the tenant, and binds the role to next time.
		add("write-record", "write the tenant's record", idHome, p.write("configmaps", tenant.RecordName))
	}
	if t.Guarded {
		add("change-guard", "loosen the guard's admission policies", idHome, p.changePolicies(Ask{NamePrefix: rails.PolicyPrefix}))
	}
	if t.Engine == tenant.EngineTiller {
		add("change-policy", "loosen the admission policy of release records", idHome, p.changePolicies(Ask{Names: []string{install.AdmissionName}}))
	}
	add("change-admission", "change what others write, by admission", idClusterWide, p.changeAdmission())
	add("serve-api", "answer in the API server's place", idClusterWide, p.serveAPI())
	// PodSecurity looks at a pod's volumes, and not at what a claim leads to.
	add("create-volume", "make a volume of a node's disk", idClusterWide, p.createIn("", "", "persistentvolumes"))
	add("certificate", "have a certificate of anybody's signed", idImpersonateMember, p.certificate())
	return paths
}

// makePods are the ways to have the controller of workloadKinds[i] make pods.
func (p pather) makePods(i int) []Need {
	workload := workloadKinds[i]
	needs := p.create(workload.group, workload.resource)
	if !workload.changes {
		return needs
	}
	ask := p.ask(workload.group, workload.resource, p.Workloads[workload.resource]...)
	// Of the kinds that are not listed every name may be one.
	ask.AnyName = ask.AnyName || !workload.listed
	if workload.listed && p.NamesKnown { // the Tiller is another path
		ask.Names = slices.DeleteFunc(slices.Clone(ask.Names), func(name string) bool { return workload.kind == p.Workload.Kind && name == p.Workload.Name })
	}
	return append(needs, p.either(change, ask)...)
}

// changeHome are the ways to change the home namespace's labels. Deleting it is none:
// what the deployer can do ends with its account.
func (p pather) changeHome() []Need {
	var needs []Need
	for _, write := range rbac.NamespaceWrites() {
		if write.Verb != "delete" {
			needs = append(needs, p.only(write.Verb, "", write.Resource, p.Home))
		}
	}
	return needs
}

// write are the ways to change what the object of that name holds: to update it, or to
// delete it and create another of its name.
func (p pather) write(resource, name string) []Need {
	needs := []Need{p.only("update", "", resource, name), p.only("patch", "", resource, name)}
	for _, gone := range []Need{p.only("delete", "", resource, name), p.all("deletecollection", "", resource)} {
		needs = append(needs, append(gone, p.all("create", "", resource)...)) // who applies one of the name may patch it
	}
	return needs
}

// workloadKinds are those that make pods, with an account that their writer
// chooses.
var workloadKinds = []struct {
	kind, group, resource string
	// changes reports whether a live one's pods can be changed: a Job's can't.
	changes bool
	// listed reports whether a Snapshot holds them.
	listed bool
}{
	{"Deployment", "apps", "deployments", true, true},
	{"ReplicaSet", "apps", "replicasets", true, false},
	{"StatefulSet", "apps", "statefulsets", true, true},
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
