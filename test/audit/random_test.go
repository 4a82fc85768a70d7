package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

var (
	seed = flag.Int64("seed", 0, "of the randomised test; 0 takes one by the clock, and says which")
	sets = flag.Int("sets", 300, "how many sets of roles and bindings the randomised test makes")
)

// theme is what a random rule is about: the verbs and names that matter for it.
type theme struct {
	verbs     string
	group     string
	resources string
	names     string
}

// themes are all rights that open a path, and some that are near. What an oracle
// asks for names is what stands here.
var themes = []theme{
	{"create get", "", "pods/portforward", "POD made-up"},
	{"create get", "", "pods/exec", "POD made-up"},
	{"create get", "", "pods/attach", "POD made-up"},
	{"update patch create", "", "pods/ephemeralcontainers", "POD made-up"},
	{"get create", "", "pods/proxy", "POD made-up"},
	{"get create", "", "services/proxy", "made-up"},
	{"create update patch get delete", "", "pods", "POD made-up"},
	{"get list watch create update patch delete", "", "secrets", "fine.v1 made-up"},
	{"create", "", "serviceaccounts/token", "tiller helm robot job-controller default"},
	{"impersonate get create", "", "serviceaccounts", "tiller helm robot job-controller default"},
	{"impersonate", "", "users", "alice bob nobody system:kube-controller-manager"},
	{"impersonate", "", "groups", "alpha-devs system:masters others"},
	{"impersonate:user-info", "authentication.k8s.io", "users", "alice bob nobody system:kube-controller-manager"},
	{"impersonate:user-info", "authentication.k8s.io", "groups", "alpha-devs system:masters others"},
	{"impersonate:serviceaccount", "authentication.k8s.io", "serviceaccounts", "tiller helm robot job-controller default"},
	{"create update patch get", "apps", "deployments", "tiller-deploy made-up"},
	{"create update patch", "apps", "replicasets", "made-up"},
	{"create update patch", "apps", "statefulsets", "made-up"},
	{"create update patch", "apps", "daemonsets", "made-up"},
	{"create update patch", "batch", "jobs", "made-up"},
	{"create update patch", "batch", "cronjobs", "made-up"},
	{"create update patch", "", "replicationcontrollers", "made-up"},
	{"create update patch", rbacv1.GroupName, "rolebindings", "helm-tenant-member plain"},
	{"create update patch", rbacv1.GroupName, "clusterrolebindings", "plain"},
	{"create update patch bind escalate", rbacv1.GroupName, "roles", "helm-tenant-member made-up"},
	{"create update patch bind escalate", rbacv1.GroupName, "clusterroles", "edit system:basic-user rbac-writer"},
	{"get create", "", "nodes/proxy", "some-node"},
	{"update patch get", "", "namespaces", "HOME outside"},
	{"update patch get list watch create", "", "configmaps", "helm-tenant made-up"},
	{"update patch delete deletecollection create", admissionGroup, "validatingadmissionpolicies", "helm-tenant-records made-up"},
	{"update patch delete deletecollection create", admissionGroup, "validatingadmissionpolicybindings", "helm-tenant-records made-up"},
	{"create update patch delete", admissionGroup, "mutatingwebhookconfigurations", "made-up"},
	{"create update patch delete", admissionGroup, "validatingwebhookconfigurations", "made-up"},
	{"create update patch delete", admissionGroup, "mutatingadmissionpolicies", "made-up"},
	{"create update patch delete", admissionGroup, "mutatingadmissionpolicybindings", "made-up"},
	{"create get", certificatesGroup, "certificatesigningrequests", "made-up"},
	{"update patch", certificatesGroup, "certificatesigningrequests/approval", "made-up"},
	{"approve sign", certificatesGroup, "signers", "kubernetes.io/kube-apiserver-client kubernetes.io/* kubernetes.io/legacy-unknown"},
}

const (
	admissionGroup    = "admissionregistration.k8s.io"
	certificatesGroup = "certificates.k8s.io"
)

// together are rights that open a path only together.
var together [][]int

func init() {
	at := func(group, resource string) int {
		return slices.IndexFunc(themes, func(t theme) bool { return t.group == group && t.resources == resource })
	}
	for _, of := range [][]string{
		{"", "groups", "", "users"}, {"", "groups", "", "serviceaccounts"},
		{"authentication.k8s.io", "groups", "authentication.k8s.io", "users"},
		{rbacv1.GroupName, "rolebindings", rbacv1.GroupName, "clusterroles"}, {rbacv1.GroupName, "rolebindings", rbacv1.GroupName, "roles"},
		{rbacv1.GroupName, "clusterrolebindings", rbacv1.GroupName, "clusterroles"},
		{rbacv1.GroupName, "roles", rbacv1.GroupName, "roles"}, {rbacv1.GroupName, "clusterroles", rbacv1.GroupName, "clusterroles"},
		{admissionGroup, "mutatingadmissionpolicies", admissionGroup, "mutatingadmissionpolicybindings"},
		{certificatesGroup, "certificatesigningrequests", certificatesGroup, "certificatesigningrequests/approval", certificatesGroup, "signers"},
	} {
		var all []int
		for i := 0; i < len(of); i += 2 {
			all = append(all, at(of[i], of[i+1]))
		}
		together = append(together, all)
	}
}

// scene is what the random sets are made for: the deployers, and what an oracle
// has to know of them.
type scene struct {
	deployers []target
	// accounts are the cluster's own that the pool of names can hit.
	administrators []string
}

// target is a deployer as the test knows it.
type target struct {
	home, account string
	tiller        bool // or Helm 3
	open          bool
	inConfigMaps  bool
	pods          []string
	records       []string
	users, groups []string // its members
	robot         bool     // whether the service account ci:robot is one
}

// person is one who is asked about.
type person struct {
	user   string
	groups []string
}

// generator makes sets.
type generator struct {
	*rand.Rand
	homes []string
	pods  []string
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

func (g *generator) some(words []string) []string {
	got := []string{pick(g, words)}
	for _, word := range words {
		if g.IntN(3) == 0 && !slices.Contains(got, word) {
			got = append(got, word)
		}
	}
	return got
}

func (g *generator) rule(of theme, home string) rbacv1.PolicyRule {
	rule := rbacv1.PolicyRule{Verbs: g.some(strings.Fields(of.verbs)), APIGroups: []string{of.group}, Resources: []string{of.resources}}
	if g.IntN(12) == 0 {
		rule.Verbs = []string{"*"}
	}
	switch g.IntN(14) {
	case 0:
		rule.APIGroups = []string{"*"}
	case 1:
		rule.APIGroups = []string{pick(g, []string{"", "apps", "batch", "extensions", rbacv1.GroupName})}
	case 2:
		rule.Resources = []string{"*"}
	case 3:
		if _, sub, found := strings.Cut(of.resources, "/"); found {
			rule.Resources = []string{"*/" + sub}
		}
	case 4:
		rule.APIGroups, rule.Resources = append(rule.APIGroups, "apps"), append(rule.Resources, "deployments")
	default:
		if g.IntN(3) != 0 {
			break
		}
		for _, name := range g.some(strings.Fields(of.names)) {
			switch name {
			case "POD":
				name = pick(g, g.pods)
			case "HOME":
				name = home
			}
			rule.ResourceNames = append(rule.ResourceNames, name)
		}
	}
	return rule
}

// objects are those of a set, and who it is about.
func (g *generator) set(n int) (objects []metav1.Object, people []person) {
	user, group := fmt.Sprintf("u%d", n), fmt.Sprintf("g%d", n)
	who := []string{"user " + user}
	first := person{user: user}
	if g.IntN(2) == 0 {
		first.groups = []string{group}
		who = append(who, "group "+group)
	}
	people = append(people, first)
	if g.IntN(8) == 0 {
		name := fmt.Sprintf("a%d", n)
		who = append(who, "account outside:"+name)
		if g.IntN(2) == 0 {
			who = append(who, "user system:serviceaccount:outside:"+name) // the same one
		}
		people = append(people, person{"system:serviceaccount:outside:" + name, []string{"system:serviceaccounts", "system:serviceaccounts:outside"}})
	}
	var themed []theme
	for range 1 + g.IntN(3) {
		themed = append(themed, pick(g, themes))
	}
	alone := len(themed) // of these each is by itself
	if g.IntN(2) == 0 {
		for _, i := range pick(g, together) {
			themed = append(themed, themes[i])
		}
	}
	whole := g.IntN(2) == 0 // the others are given whole, over the cluster, to all
	// The first sets leave nothing to chance, so that every path is open to somebody.
	switch {
	case n < len(themes):
		themed, alone, whole = themes[n:n+1], 0, true
	case n < len(themes)+len(together):
		themed, alone, whole = nil, 0, true
		for _, i := range together[n-len(themes)] {
			themed = append(themed, themes[i])
		}
	}
	home := pick(g, g.homes)
	for i, of := range themed {
		name := fmt.Sprintf("r%d-%d", n, i)
		place := home
		switch g.IntN(10) {
		case 0:
			place = pick(g, g.homes)
		case 1:
			place = pick(g, []string{"ci", "kube-system", "outside"})
		case 2, 3, 4:
			place = "" // everywhere
		}
		to := g.some(who)
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
		rules := []rbacv1.PolicyRule{g.rule(of, home)}
		if whole && i >= alone {
			place, to = "", who
			rules = []rbacv1.PolicyRule{{Verbs: strings.Fields(of.verbs), APIGroups: []string{of.group}, Resources: []string{of.resources}}}
		}
		if g.IntN(4) == 0 {
			rules = append(rules, g.rule(pick(g, themes), home))
		}
		built := g.IntN(25)
		if whole && i >= alone {
			built = -1
		}
		switch {
		case built == 0:
			ref.Name = pick(g, []string{"view", "edit", "admin", "system:basic-user"})
		case built == 1:
			ref.Name = "not-there"
		case place != "" && g.IntN(2) == 0:
			ref.Kind = "Role"
			objects = append(objects, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: place}, Rules: rules})
		default:
			objects = append(objects, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules})
		}
		meta := metav1.ObjectMeta{Name: name, Namespace: place, Labels: map[string]string{"random": "yes"}}
		if place == "" {
			objects = append(objects, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects(to...)})
		} else {
			objects = append(objects, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects(to...)})
		}
	}
	return objects, people
}

// asker asks the API server what one person may do, each thing once.
type asker struct {
	ctx    context.Context
	client *kubernetes.Clientset
	person
	known map[authorizationv1.ResourceAttributes]bool
	asked *atomic.Int64
	err   error
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
			review, err := a.client.AuthorizationV1().SubjectAccessReviews().Create(a.ctx, &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: a.user, Groups: append([]string{"system:authenticated"}, a.groups...), ResourceAttributes: &about}}, metav1.CreateOptions{})
			if err != nil {
				a.err = err
				return false
			}
			a.asked.Add(1)
			allowed = review.Status.Allowed
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

func (w *world) create(object metav1.Object) (func() error, error) {
	ctx, now := context.Background(), metav1.DeleteOptions{}
	api, ns, name := w.root.RbacV1(), object.GetNamespace(), object.GetName()
	switch o := object.(type) {
	case *rbacv1.Role:
		return func() error { return api.Roles(ns).Delete(ctx, name, now) }, create(api.Roles(ns).Create(ctx, o, metav1.CreateOptions{}))
	case *rbacv1.ClusterRole:
		return func() error { return api.ClusterRoles().Delete(ctx, name, now) }, create(api.ClusterRoles().Create(ctx, o, metav1.CreateOptions{}))
	case *rbacv1.RoleBinding:
		return func() error { return api.RoleBindings(ns).Delete(ctx, name, now) }, create(api.RoleBindings(ns).Create(ctx, o, metav1.CreateOptions{}))
	case *rbacv1.ClusterRoleBinding:
		return func() error { return api.ClusterRoleBindings().Delete(ctx, name, now) }, create(api.ClusterRoleBindings().Create(ctx, o, metav1.CreateOptions{}))
	}
	return nil, fmt.Errorf("%T", object)
}

// atOnce does something for each, several at once.
func atOnce[T any](all []T, do func(T)) {
	const workers = 8
	var group sync.WaitGroup
	slots := make(chan struct{}, workers)
	for _, one := range all {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			do(one)
		})
	}
	group.Wait()
}

// TestRandom makes random sets of roles and bindings, and compares what the audit
// says of every person, deployer and path with what the API server's authorizer
// says.
func TestRandom(t *testing.T) {
	w := start(t)
	w.clean(t)
	if *seed == 0 {
		*seed = time.Now().UnixNano()
	}
	t.Logf("-seed %d -sets %d", *seed, *sets)
	p := w.plant(t)
	// Four deployers: alpha's and beta's Tillers, gamma's for Helm 3, and a Tiller
	// of nobody's that is open on the network.
	p.release("alpha-tiller", "fine", "alpha-b")
	p.unmanaged(func(d *appsv1.Deployment) { container(d).Command = nil })
	for _, home := range []string{"alpha-tiller", "beta-tiller", "gamma-helm", p.old} {
		p.bind(home, "plain", "ClusterRole", "edit")
	}
	p.bind("", "plain", "ClusterRole", "edit")
	p.leadingRoles()
	// In each home there is a binding to a Role and one to a ClusterRole that lead
	// to the deployer, so that other sets' bindings make no difference.
	p.grant(p.old, "helm-tenant-member", []string{"create pods/portforward"})
	s := &scene{administrators: []string{"kube-system:job-controller"}}
	for _, d := range []target{
		{home: "alpha-tiller", account: "tiller", tiller: true, users: []string{"alice"}, groups: []string{"alpha-devs"}, robot: true, records: []string{"fine.v1"}},
		{home: "beta-tiller", account: "tiller", tiller: true, users: []string{"bob"}},
		{home: "gamma-helm", account: "helm", users: []string{"gail"}},
		{home: p.old, account: "default", tiller: true, open: true, inConfigMaps: true},
	} {
		if d.tiller {
			d.pods = []string{w.pod(t, d.home)}
		}
		s.deployers = append(s.deployers, d)
	}
	g := &generator{Rand: rand.New(rand.NewPCG(uint64(*seed), 0))}
	for _, d := range s.deployers {
		g.homes, g.pods = append(g.homes, d.home), append(g.pods, d.pods...)
	}
	c := &comparison{world: w, T: t, scene: s, open: map[string]int{}}
	const batch = 60
	for first := 0; first < *sets; first += batch {
		c.batch(g, first, min(first+batch, *sets))
	}
	t.Logf("%d people, %d answers compared, %d of them open, by %d SubjectAccessReviews; of a path: %v", c.people, c.compared, c.opened, c.asked.Load(), c.open)
	if *sets >= 300 {
		for _, id := range []string{"port-forward", "proxy", "connect", "create-pods", "replace-image", "exec", "attach", "debug", "read-secrets", "write-secrets", "read-configmaps", "write-configmaps", "token", "impersonate-deployer",
			"impersonate-member", "use-account", "change-tiller", "make-jobs", "bind", "escalate", "node-proxy", "change-home", "write-record", "change-policy", "change-admission", "certificate", "impersonate-administrator", "use-administrator"} {
			if c.open[id] == 0 {
				t.Errorf("%s was open to nobody: the sets try too little", id)
			}
		}
	}
}

// comparison is of what the audit says and what the authorizer says.
type comparison struct {
	*testing.T
	*world
	*scene
	asked    atomic.Int64
	mutex    sync.Mutex
	people   int
	compared int
	opened   int
	open     map[string]int
}

// batch compares the sets of those numbers, which are there together.
func (c *comparison) batch(g *generator, first, end int) {
	var objects []metav1.Object
	var people []person
	of := map[string][]metav1.Object{} // by the user's name, for the message
	for n := first; n < end; n++ {
		some, who := g.set(n)
		objects, people = append(objects, some...), append(people, who...)
		for _, p := range who {
			of[p.user] = some
		}
	}
	var undo []func() error
	atOnce(objects, func(object metav1.Object) {
		remove, err := c.create(object)
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if err != nil {
			c.Errorf("%s: %v", object.GetName(), err)
			return
		}
		undo = append(undo, remove)
	})
	defer atOnce(undo, func(remove func() error) {
		if err := remove(); err != nil {
			c.Error(err)
		}
	})
	if c.Failed() {
		return
	}
	c.settle(c.T)
	whole := c.world.audit(c.T)
	told := map[string]bool{} // who is said to reach any deployer
	for _, d := range whole.Deployers {
		for _, a := range d.Access {
			told[a.Subject] = true
		}
	}
	// Those that sets give rights over the whole cluster are all in one namespace,
	// and no rule names one of them: what holds for the first holds for all.
	accounts := slices.Clone(c.administrators)
	for _, a := range whole.ClusterWide {
		told[a.Subject] = true
		if name, found := strings.CutPrefix(a.Subject, "service account "); found && len(accounts) == len(c.administrators) {
			accounts = append(accounts, name)
		}
	}
	for _, f := range whole.Findings {
		if f.ID == "HT021" {
			told[f.Subject] = true
		}
	}
	s := &scene{deployers: c.deployers, administrators: accounts}
	atOnce(people, func(p person) {
		a := &asker{ctx: context.Background(), client: c.reviews, person: p, known: map[authorizationv1.ResourceAttributes]bool{}, asked: &c.asked}
		args := []string{"audit", "-o", "json", "--can-reach", p.user}
		custom := slices.ContainsFunc(p.groups, func(group string) bool { return !strings.HasPrefix(group, "system:") })
		if custom {
			args = append(args, "--in-group", p.groups[0])
		}
		var got report
		r := c.run(c.Admin(), args...)
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
			c.Errorf("%s: %v\n%s", p.user, err, r.stderr)
			return
		}
		said := map[string][]string{}
		for _, reached := range got.CanReach {
			if len(reached.Through) > 0 {
				continue // what the person can do, not what others can
			}
			for _, path := range reached.Paths {
				said[reached.Home] = append(said[reached.Home], path.ID)
			}
		}
		any := false
		for _, d := range c.deployers {
			truth, asked := s.paths(a, d)
			// An open Tiller is told of once, and not of each who has a pod.
			any = any || slices.ContainsFunc(truth, func(id string) bool { return id != "connect" })
			have := said[d.home]
			slices.Sort(truth)
			slices.Sort(have)
			c.mutex.Lock()
			c.compared += asked
			c.opened += len(truth)
			for _, id := range truth {
				c.open[id]++
			}
			c.mutex.Unlock()
			if a.err == nil && !slices.Equal(truth, have) {
				c.Errorf("%s in %v, deployer in %s:\n  the API server: %q\n  the audit:      %q\n%s", p.user, p.groups, d.home, truth, have, describe(of[p.user]))
			}
		}
		subject := "user " + p.user
		if name, found := strings.CutPrefix(p.user, "system:serviceaccount:"); found {
			subject = "service account " + name
		}
		// Who is in which group the audit of all can't know.
		if !custom && told[subject] != any {
			c.Errorf("%s reaches a deployer: %t; the audit of all says %t\n%s", subject, any, told[subject], describe(of[p.user]))
		}
		if a.err != nil {
			c.Error(a.err)
		}
		c.mutex.Lock()
		c.people++
		c.mutex.Unlock()
	})
}

func describe(objects []metav1.Object) string {
	var text strings.Builder
	for _, object := range objects {
		switch o := object.(type) {
		case *rbacv1.Role:
			fmt.Fprintf(&text, "  Role %s/%s %s\n", o.Namespace, o.Name, rulesText(o.Rules))
		case *rbacv1.ClusterRole:
			fmt.Fprintf(&text, "  ClusterRole %s %s\n", o.Name, rulesText(o.Rules))
		case *rbacv1.RoleBinding:
			fmt.Fprintf(&text, "  RoleBinding %s/%s %s %s to %v\n", o.Namespace, o.Name, o.RoleRef.Kind, o.RoleRef.Name, o.Subjects)
		case *rbacv1.ClusterRoleBinding:
			fmt.Fprintf(&text, "  ClusterRoleBinding %s %s to %v\n", o.Name, o.RoleRef.Name, o.Subjects)
		}
	}
	return text.String()
}

func rulesText(rules []rbacv1.PolicyRule) string {
	var all []string
	for _, r := range rules {
		all = append(all, fmt.Sprintf("%v %v %v %v", r.Verbs, r.APIGroups, r.Resources, r.ResourceNames))
	}
	return strings.Join(all, "; ")
}
