package audit

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/install"
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
	// Minor is that of the API server's version, 0 where unknown.
	Minor int
	// Open says that its Tiller listens on the pod's own address.
	Open bool
	// Workload is the Tiller's, Pods the names of the pods that run with the
	// deployer's account.
	Workload Workload
	Pods     []string
	// Workloads are the names of all workloads at home, by resource.
	Workloads map[string][]string
	// Secrets are those at home that hold its releases or its token.
	Secrets []string
	// InConfigMaps says that its releases are kept in ConfigMaps, and ConfigMaps
	// names them.
	InConfigMaps bool
	ConfigMaps   []string
	// NamesKnown says whether the names above are. Where they are not, a right to
	// any one object counts.
	NamesKnown bool
	// Members are those who may use it, and those who can do everything: whoever
	// can be them, can be what they are.
	Members []Subject
}

// TargetsOf are the deployers of a tenant of that engine, of which nothing is
// known but their home, and who else can be somebody that reaches them.
func TargetsOf(home string, engine tenant.Engine, members ...Subject) []Target {
	var targets []Target
	for _, of := range actorsOf(engine) {
		targets = append(targets, Target{Home: home, Account: of.account, Engine: of.engine, Open: true, Members: append(members, Group(groupMasters))})
	}
	return targets
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

// stream are the verbs that open one to a pod: up to Kubernetes 1.34 a get was
// enough over a WebSocket.
func (p pather) stream() []string {
	if p.Minor >= 35 {
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
	add("create-pods", "create pods", idMakePods, []Need{p.all("create", "", "pods")})
	// A running pod's image can be replaced, and keeps the pod's token.
	add("replace-image", "replace a pod's image", idEnterPods, pods(change, "pods"))
	add("exec", "exec into pods", idEnterPods, pods(stream, "pods/exec"))
	add("attach", "attach to pods", idEnterPods, pods(stream, "pods/attach"))
	add("debug", "add ephemeral containers", idEnterPods, pods(change, "pods/ephemeralcontainers"))
	// A list or a watch of the one object of a name is asked for by its name.
	add("read-secrets", "read Secrets", idSecrets, p.secrets("get", "list", "watch"))
	add("write-secrets", "write Secrets", idSecrets, []Need{p.all("create", "", "secrets")}, p.secrets(change...))
	if t.InConfigMaps {
		records := p.ask("", "configmaps", t.ConfigMaps...)
		add("read-configmaps", "read release records in ConfigMaps", idSecrets, p.either([]string{"get", "list", "watch"}, records))
		add("write-configmaps", "write release records in ConfigMaps", idSecrets, []Need{p.all("create", "", "configmaps")}, p.either(change, records))
	}
	add("token", "mint the deployer's token", idToken, []Need{p.only("create", "", "serviceaccounts/token", t.Account)})
	add(PathImpersonate, "impersonate the deployer", idImpersonate, p.impersonateDeployer())
	if needs := p.impersonateMember(); len(needs) > 0 {
		add("impersonate-member", "impersonate somebody who reaches it", idImpersonateMember, needs)
	}
	if needs := p.becomeAccount(); len(needs) > 0 {
		add("use-account", "use the service account of somebody who reaches it", idUseAccount, needs)
	}
	if t.Workload.Name != "" {
		if resource, group := resourceOf(t.Workload.Kind); resource != "" {
			add("change-tiller", "change the Tiller", idChangeTiller, []Need{p.only("update", group, resource, t.Workload.Name), p.only("patch", group, resource, t.Workload.Name)})
		}
	}
	for _, of := range workloadKinds {
		needs := []Need{p.all("create", of.group, of.resource)}
		if of.changes {
			ask := p.ask(of.group, of.resource, p.Workloads[of.resource]...)
			// Of the kinds that are not listed every name may be one.
			ask.AnyName = ask.AnyName || !of.listed
			if of.listed && p.NamesKnown {
				ask.Names = slices.DeleteFunc(slices.Clone(ask.Names), func(name string) bool { return of.kind == t.Workload.Kind && name == t.Workload.Name })
			}
			needs = append(needs, p.either(change, ask)...)
		}
		add("make-"+of.resource, "make pods by "+of.resource, idMakePods, needs)
	}
	add("bind", "bind a role", idRights, p.bindRoles())
	add("escalate", "write a role", idRights, p.writeRoles())
	// Whoever reaches the kubelet of its node runs commands in its pods. Nodes are
	// in no namespace, so who may is always told once for the whole cluster.
	add("node-proxy", "reach pods through their node", idNode, []Need{
		{{Verb: "get", Resource: "nodes/proxy", AnyName: true}}, {{Verb: "create", Resource: "nodes/proxy", AnyName: true}}})
	add("change-home", "loosen the home namespace's policies", idHome, []Need{p.only("update", "", "namespaces", t.Home), p.only("patch", "", "namespaces", t.Home)})
	if t.Engine != "" {
		// What helm-tenant believes of the tenant, and binds the role to next time.
		add("write-record", "write the tenant's record", idHome, []Need{
			p.only("update", "", "configmaps", tenant.RecordName), p.only("patch", "", "configmaps", tenant.RecordName)})
	}
	if t.Engine == tenant.EngineTiller {
		add("change-policy", "loosen the admission policy of release records", idHome, p.changePolicy())
	}
	add("change-admission", "change what others write, by admission", idClusterWide, p.changeAdmission())
	add("certificate", "have a certificate of anybody's signed", idImpersonateMember, p.certificate())
	return paths
}

const (
	admissionGroup    = "admissionregistration.k8s.io"
	certificatesGroup = "certificates.k8s.io"
)

// changePolicy are the ways to take away, or to change, what holds Tillers to
// their release records.
func (p pather) changePolicy() []Need {
	var needs []Need
	for _, resource := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		needs = append(needs, p.either([]string{"update", "patch", "delete"}, Ask{Group: admissionGroup, Resource: resource, Names: []string{install.AdmissionName}})...)
		needs = append(needs, Need{{Verb: "deletecollection", Group: admissionGroup, Resource: resource}})
	}
	return needs
}

// changeAdmission are the ways to have every object that is written sent to a
// server of one's own, Secrets too, or changed. A policy that is there may be bound;
// a new one has to be.
func (p pather) changeAdmission() []Need {
	var needs []Need
	create := func(resource string) Ask { return Ask{Verb: "create", Group: admissionGroup, Resource: resource} }
	any := func(resource string) Ask { return Ask{Group: admissionGroup, Resource: resource, AnyName: true} }
	for _, resource := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
		needs = append(needs, Need{create(resource)})
		needs = append(needs, p.either(change, any(resource))...)
	}
	const policies, bindings = "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"
	needs = append(needs, p.either(change, any(policies))...)
	needs = append(needs, Need{create(policies), create(bindings)})
	for _, need := range p.either(change, any(bindings)) {
		needs = append(needs, append(Need{create(policies)}, need...))
	}
	return needs
}

// certificate are the ways to a certificate with which the API server takes one
// for anybody but system:masters, or for any node. Who approves a request of
// theirs has it: the controller manager signs it. The right to sign is of no use
// without its key.
func (p pather) certificate() []Need {
	approve := Ask{Verb: "approve", Group: certificatesGroup, Resource: "signers",
		Names: []string{"kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/*"}}
	var needs []Need
	for _, need := range p.either(change, Ask{Group: certificatesGroup, Resource: "certificatesigningrequests/approval", AnyName: true}) {
		needs = append(needs, append(Need{{Verb: "create", Group: certificatesGroup, Resource: "certificatesigningrequests"}, approve}, need...))
	}
	return needs
}

// workloadKinds are those that make pods, with an account that their writer
// chooses.
var workloadKinds = []struct {
	kind, group, resource string
	// changes says whether a live one's pods can be changed: a Job's can't.
	changes bool
	// listed says whether a Snapshot holds them.
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
	for _, of := range workloadKinds {
		if of.kind == kind {
			return of.resource, of.group
		}
	}
	return "", ""
}

func (p pather) secrets(verbs ...string) []Need {
	return p.either(verbs, p.ask("", "secrets", p.Secrets...))
}

// constrained says whether the API server knows impersonation that is held to
// certain acts (ConstrainedImpersonation, on from Kubernetes 1.36). The right to
// be somebody is reported, whatever may be done as them.
func (p pather) constrained() bool { return p.Minor == 0 || p.Minor >= 36 }

const authenticationGroup = "authentication.k8s.io"

// impersonate are the ways to be that subject
// (k8s.io/apiserver/pkg/endpoints/filters/impersonation).
func (p pather) impersonate(s Subject) []Need {
	legacy := Ask{Verb: "impersonate", Names: []string{s.Name}}
	limited := Ask{Group: authenticationGroup, Names: []string{s.Name}}
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		legacy.Resource, legacy.Namespace = "serviceaccounts", s.Namespace
		limited.Resource, limited.Namespace, limited.Verb = "serviceaccounts", s.Namespace, "impersonate:serviceaccount"
	case rbacv1.UserKind:
		legacy.Resource = "users"
		limited.Resource, limited.Verb = "users", "impersonate:user-info"
	default:
		// A group goes with a user, whichever.
		legacy.Resource = "groups"
		limited.Resource, limited.Verb = "groups", "impersonate:user-info"
		needs := []Need{
			{legacy, {Verb: "impersonate", Resource: "users", AnyName: true}},
			{legacy, {Verb: "impersonate", Resource: "serviceaccounts", AnyName: true, AnyNamespace: true}},
		}
		if p.constrained() {
			needs = append(needs, Need{limited, {Verb: limited.Verb, Group: authenticationGroup, Resource: "users", AnyName: true}})
		}
		return needs
	}
	needs := []Need{{legacy}}
	if p.constrained() {
		needs = append(needs, Need{limited})
	}
	return needs
}

func (p pather) impersonateDeployer() []Need { return p.impersonate(Account(p.Home, p.Account)) }

func (p pather) impersonateMember() []Need {
	var needs []Need
	for _, member := range p.Members {
		needs = append(needs, p.impersonate(member)...)
	}
	return needs
}

// becomeAccount are the ways to use a service account that is a member: a token
// of it, or a pod that mounts it.
func (p pather) becomeAccount() []Need {
	var needs []Need
	for _, s := range p.Members {
		if s.Kind == rbacv1.ServiceAccountKind && s.Namespace != p.Home {
			needs = append(needs, useAccount(s)...)
		}
	}
	return needs
}

func useAccount(s Subject) []Need {
	in := pather{Target: Target{Home: s.Namespace}}
	needs := []Need{in.only("create", "", "serviceaccounts/token", s.Name), in.all("create", "", "pods")}
	for _, of := range workloadKinds {
		needs = append(needs, in.all("create", of.group, of.resource))
	}
	return needs
}

// bindRoles are the ways to get a role by a binding. RBAC refuses who binds what
// they do not hold, unless they may bind that role
// (k8s.io/kubernetes/pkg/registry/rbac); who holds it has a path already.
func (p pather) bindRoles() []Need {
	var needs []Need
	for _, scope := range []struct{ resource, namespace string }{{"rolebindings", p.Home}, {"clusterrolebindings", ""}} {
		create := Ask{Verb: "create", Group: rbacGroup, Resource: scope.resource, Namespace: scope.namespace}
		for _, resource := range []string{"clusterroles", "roles"} {
			if resource == "roles" && scope.namespace == "" {
				continue
			}
			bind := Ask{Verb: "bind", Group: rbacGroup, Resource: resource, Namespace: scope.namespace, Names: p.useful(resource, scope.namespace)}
			needs = append(needs, Need{create, bind})
		}
		for _, b := range p.rights.bindings[scope.namespace] {
			if !p.leads(p.rights.roleOf(b), scope.namespace) {
				continue
			}
			resource := "roles"
			if b.RoleKind == "ClusterRole" {
				resource = "clusterroles"
			}
			bind := Ask{Verb: "bind", Group: rbacGroup, Resource: resource, Namespace: scope.namespace, Names: []string{b.RoleName}}
			for _, verb := range change {
				needs = append(needs, Need{{Verb: verb, Group: rbacGroup, Resource: scope.resource, Namespace: scope.namespace, Names: []string{b.Name}}, bind})
			}
		}
	}
	return needs
}

// useful are the roles that lead to the target, among those that anybody may
// bind by name.
func (p pather) useful(resource, namespace string) []string {
	var names []string
	for _, name := range p.rights.named[act{"bind", rbacGroup, resource}] {
		key := roleKey{"", name}
		if resource == "roles" {
			key.namespace = namespace
		}
		if p.leads(p.rights.roles[key], namespace) {
			names = append(names, name)
		}
	}
	return names
}

// leads says whether a role holds any right that a path asks for: alone it need
// open none, but who binds it may have the others. In a namespace, rights over the
// whole cluster are none.
func (p pather) leads(role *ruleSet, namespace string) bool {
	return p.rights.leads(role, leading{p.Minor, namespace == "", p.InConfigMaps})
}

func (x *rights) leads(role *ruleSet, in leading) bool {
	if role == nil {
		return false
	}
	leads, known := role.leads[in]
	if !known {
		leads = slices.ContainsFunc(x.leadingActs(in), func(a act) bool { return role.answer(a).some })
		role.leads[in] = leads
	}
	return leads
}

// leading is what decides which acts lead to a deployer.
type leading struct {
	minor        int
	cluster      bool
	inConfigMaps bool
}

// leadingActs are those that any path asks for, and the right to bind.
func (x *rights) leadingActs(in leading) []act {
	if acts, known := x.leading[in]; known {
		return acts
	}
	target := sample
	target.Minor, target.InConfigMaps = in.minor, in.inConfigMaps
	// No binding is there, so that nothing is asked of what a role leads to.
	var acts []act
	for _, path := range newRights(nil, nil).paths(target) {
		for _, need := range path.Any {
			for _, ask := range need {
				it := act{ask.Verb, ask.Group, ask.Resource}
				if (in.cluster || ask.Namespace != "") && !slices.Contains(acts, it) {
					acts = append(acts, it)
				}
			}
		}
	}
	for _, verb := range change {
		acts = append(acts, act{verb, rbacGroup, "rolebindings"})
		if in.cluster {
			acts = append(acts, act{verb, rbacGroup, "clusterrolebindings"})
		}
	}
	x.leading[in] = acts
	return acts
}

// sample is a deployer to which there is every path.
var sample = Target{Home: "x", Account: "x", Engine: tenant.EngineTiller, Open: true, Members: []Subject{User("x"), Group("x"), Account("y", "x")}}

// writeRoles are the ways to make a role hold more than its writer does.
func (p pather) writeRoles() []Need {
	var needs []Need
	for _, scope := range []struct{ resource, namespace string }{{"roles", p.Home}, {"clusterroles", ""}} {
		ask := func(verb string, names ...string) Ask {
			return Ask{Verb: verb, Group: rbacGroup, Resource: scope.resource, Namespace: scope.namespace, Names: names}
		}
		needs = append(needs, Need{ask("create"), ask("escalate")}, Need{ask("update"), ask("escalate")}, Need{ask("patch"), ask("escalate")})
		var names []string
		for _, verb := range []string{"escalate", "update", "patch"} {
			names = append(names, p.rights.named[act{verb, rbacGroup, scope.resource}]...)
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			needs = append(needs, Need{ask("update", name), ask("escalate", name)}, Need{ask("patch", name), ask("escalate", name)})
		}
	}
	return needs
}
