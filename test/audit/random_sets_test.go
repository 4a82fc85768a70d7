package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// theme is what a random rule is about: the verbs and names that matter for it.
type theme struct {
	verbs     string
	group     string
	resources string
	names     string
}

// themes are all rights that open a path, and some similar ones. An oracle's questions about
// names use the names in this table.
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
	{"impersonate", "", "users", "alice bob nobody system:kube-controller-manager system:node:n1"},
	{"impersonate", "", "groups", "alpha-devs system:masters system:nodes others"},
	{"impersonate:user-info", "authentication.k8s.io", "users", "alice bob nobody system:kube-controller-manager"},
	{"impersonate:user-info", "authentication.k8s.io", "groups", "alpha-devs system:masters others"},
	{"impersonate:serviceaccount", "authentication.k8s.io", "serviceaccounts", "tiller helm robot job-controller default"},
	{"impersonate:arbitrary-node impersonate:associated-node", "authentication.k8s.io", "nodes", "n1 *"},
	{"impersonate-on:user-info:create impersonate-on:serviceaccount:create impersonate-on:arbitrary-node:create", "", "pods/portforward", "POD made-up"},
	{"impersonate-on:arbitrary-node:create impersonate-on:associated-node:create", "", "serviceaccounts/token", "tiller helm robot job-controller default"},
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
	{"update patch get", "", "nodes/status", "some-node"},
	{"create delete deletecollection patch", "", "nodes", "some-node made-up"},
	{"update patch get", "", "namespaces", "HOME outside"},
	{"update patch get", "", "namespaces/status", "HOME outside"},
	{"update patch get", "", "namespaces/finalize", "HOME outside"},
	{"create update patch delete", "", "persistentvolumes", "made-up"},
	{"create update patch delete", aggregationGroup, "apiservices", "made-up"},
	{"update patch get list watch create delete deletecollection", "", "configmaps", "helm-tenant made-up"},
	{"update patch delete deletecollection create", admissionGroup, "validatingadmissionpolicies", "helm-tenant-records helm-tenant-guard-pods made-up"},
	{"update patch delete deletecollection create", admissionGroup, "validatingadmissionpolicybindings", "helm-tenant-records helm-tenant-guard-pods made-up"},
	{"create update patch delete", admissionGroup, "mutatingwebhookconfigurations", "made-up"},
	{"create update patch delete", admissionGroup, "validatingwebhookconfigurations", "made-up"},
	{"create update patch delete", admissionGroup, "mutatingadmissionpolicies", "made-up"},
	{"create update patch delete", admissionGroup, "mutatingadmissionpolicybindings", "made-up"},
	{"create get patch", certificatesGroup, "certificatesigningrequests", "made-up"},
	{"create", certificatesGroup, "certificatesigningrequests/nodeclient", "made-up"},
	{"update patch", certificatesGroup, "certificatesigningrequests/approval", "made-up"},
	{"approve sign", certificatesGroup, "signers", "kubernetes.io/kube-apiserver-client kubernetes.io/* kubernetes.io/legacy-unknown"},
}

const (
	admissionGroup    = "admissionregistration.k8s.io"
	aggregationGroup  = "apiregistration.k8s.io"
	certificatesGroup = "certificates.k8s.io"
)

// together are rights that open a path only together.
var together [][]int

func init() {
	index := func(group, resource string) int {
		for i, t := range slices.Backward(themes) { // of two, the theme that acts as another identity
			if t.group == group && t.resources == resource {
				return i
			}
		}
		return -1
	}
	for _, names := range [][]string{
		{"", "groups", "", "users"}, {"", "groups", "", "serviceaccounts"},
		{"authentication.k8s.io", "groups", "authentication.k8s.io", "users", "", "pods/portforward"},
		{"authentication.k8s.io", "users", "", "pods/portforward"}, {"authentication.k8s.io", "serviceaccounts", "", "pods/portforward"},
		{"authentication.k8s.io", "nodes", "", "serviceaccounts/token"},
		{certificatesGroup, "certificatesigningrequests", certificatesGroup, "certificatesigningrequests/nodeclient"},
		{rbacv1.GroupName, "rolebindings", rbacv1.GroupName, "clusterroles"}, {rbacv1.GroupName, "rolebindings", rbacv1.GroupName, "roles"},
		{rbacv1.GroupName, "clusterrolebindings", rbacv1.GroupName, "clusterroles"},
		{rbacv1.GroupName, "roles", rbacv1.GroupName, "roles"}, {rbacv1.GroupName, "clusterroles", rbacv1.GroupName, "clusterroles"},
		{admissionGroup, "mutatingadmissionpolicies", admissionGroup, "mutatingadmissionpolicybindings"},
		{certificatesGroup, "certificatesigningrequests", certificatesGroup, "certificatesigningrequests/approval", certificatesGroup, "signers"},
	} {
		var all []int
		for i := 0; i < len(names); i += 2 {
			all = append(all, index(names[i], names[i+1]))
		}
		together = append(together, all)
	}
}

// scene describes the cluster for which the random sets are made: the deployers, and the facts
// that an oracle needs about them.
type scene struct {
	deployers []target
	// accounts are the cluster's own that the pool of names can hit.
	administrators []string
	// groups are those of the sets that reach a deployer by cluster-wide rights.
	groups []string
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

// custom reports whether the person is in a group that no service account is in by
// itself.
func (p person) custom() bool {
	return slices.ContainsFunc(p.groups, func(group string) bool { return !strings.HasPrefix(group, "system:") })
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

func (g *generator) rule(subject theme, home string) rbacv1.PolicyRule {
	rule := rbacv1.PolicyRule{Verbs: g.some(strings.Fields(subject.verbs)), APIGroups: []string{subject.group}, Resources: []string{subject.resources}}
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
		if _, sub, found := strings.Cut(subject.resources, "/"); found {
			rule.Resources = []string{"*/" + sub}
		}
	case 4:
		rule.APIGroups, rule.Resources = append(rule.APIGroups, "apps"), append(rule.Resources, "deployments")
	default:
		if g.IntN(3) != 0 {
			break
		}
		for _, name := range g.some(strings.Fields(subject.names)) {
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

// set returns the objects of a random set, and the people in it.
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
	alone := len(themed) // each of these alone
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
	for i, theme := range themed {
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
		rules := []rbacv1.PolicyRule{g.rule(theme, home)}
		if whole && i >= alone {
			place, to = "", who
			rules = []rbacv1.PolicyRule{{Verbs: strings.Fields(theme.verbs), APIGroups: []string{theme.group}, Resources: []string{theme.resources}}}
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
