package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// deployer is one account that acts for others: a tenant's, or an unmanaged
// Tiller's.
type deployer struct {
	// record is nil for an unmanaged one.
	record *Record
	// orphan is the tenant's name where it has no record that is believed.
	orphan  string
	account Subject
	target  Target
	// tiller is the workload or pod that it runs in, nil where there is none.
	tiller *Workload
	// members are the subjects of the tenant's member binding.
	members []Subject
	version string
	network exposure
	access  []Access
	power   Power
}

func (d *deployer) tenant() string {
	if d.record == nil {
		return d.orphan
	}
	return d.record.Tenant.Name
}

// isTenants says whether there is one, and it is a tenant's.
func (d *deployer) isTenants() bool { return d != nil && d.tenant() != "" }

// isOwn says whether the subject is one of the tenant's deployers.
func (d *deployer) isOwn(s Subject) bool {
	return s == d.account || d.record != nil && s.Namespace == d.target.Home && s.Kind == d.account.Kind &&
		slices.Contains(d.record.Tenant.Engine.DeployerAccounts(), s.Name)
}

// name is how a finding's text calls it.
func (d *deployer) name() string {
	if d.tenant() == "" {
		return "the Tiller in namespace " + d.target.Home
	}
	return "tenant " + d.tenant()
}

func envOf(c *corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// exposure is how a Tiller can be reached without asking the API server.
type exposure struct {
	// listens says that it listens on more than its pod's loopback, asks nobody
	// for a certificate.
	listens bool
	// closed says that a NetworkPolicy lets nobody connect; partly, that policies
	// let some.
	closed, partly bool
	// services are those that lead there from outside the cluster.
	services []string
	// policies are those that select its pods, letting those of them that let some
	// connect.
	policies, letting []string
}

// network says how a Tiller of that template can be reached.
func (s *Snapshot) network(template *corev1.PodTemplateSpec, namespace string) exposure {
	var e exposure
	c := install.TillerContainer(template.Spec)
	if c == nil {
		return e
	}
	address := install.Flag(c, "listen")
	host := address[:max(strings.LastIndex(address, ":"), 0)]
	loopback := host == "localhost" || strings.HasPrefix(host, "127.") || host == "[::1]"
	verifies := install.Flag(c, "tls-verify") == "true" || slices.Contains([]string{"1", "true"}, envOf(c, "TILLER_TLS_VERIFY"))
	e.listens = !loopback && !verifies
	isolated := false
	for _, policy := range s.Policies {
		if policy.Namespace != namespace || !selects(policy.Spec.PodSelector, template.Labels) || !isolatesIngress(policy.Spec) {
			continue
		}
		isolated = true
		e.policies = append(e.policies, policy.Name)
		if slices.ContainsFunc(policy.Spec.Ingress, lets) {
			e.partly = true
			e.letting = append(e.letting, policy.Name)
		}
	}
	e.closed = isolated && !e.partly
	for _, service := range s.Services {
		if service.Namespace == namespace && len(service.Selector) > 0 && labels.SelectorFromSet(service.Selector).Matches(labels.Set(template.Labels)) &&
			(service.Type == corev1.ServiceTypeNodePort || service.Type == corev1.ServiceTypeLoadBalancer) {
			e.services = append(e.services, objectName("Service", namespace, service.Name))
		}
	}
	return e
}

func selects(selector metav1.LabelSelector, podLabels map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(&selector)
	return err == nil && s.Matches(labels.Set(podLabels))
}

func isolatesIngress(spec networkingv1.NetworkPolicySpec) bool {
	return len(spec.PolicyTypes) == 0 || slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress)
}

// lets says whether a rule lets anybody connect to Tiller's port.
func lets(rule networkingv1.NetworkPolicyIngressRule) bool {
	const port = 44134 // k8s.io/helm/pkg/tiller/environment
	if len(rule.Ports) == 0 {
		return true
	}
	for _, p := range rule.Ports {
		switch {
		case p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP:
		case p.Port == nil, p.Port.StrVal == "tiller", p.Port.IntVal == port, p.EndPort != nil && p.Port.IntVal <= port && port <= *p.EndPort:
			return true
		}
	}
	return false
}

// findDeployers finds all of them: those of records, and Tillers that no record has.
func (a *auditor) findDeployers() {
	tillers := a.findTillers()
	secrets := map[string][]string{} // that hold releases, by home
	for _, release := range a.snapshot.RecordNames {
		if release.Kind == "Secret" {
			secrets[release.Namespace] = append(secrets[release.Namespace], release.Name)
		}
	}
	add := func(d *deployer) { a.addDeployer(d, secrets[d.target.Home]) }
	for i := range a.snapshot.Records {
		r := &a.snapshot.Records[i]
		for _, of := range actorsOf(r.Tenant.Engine) {
			members := a.membersOf(r.Namespace)
			d := &deployer{record: r, members: members, target: Target{Home: r.Namespace, Account: of.account, Engine: of.engine, Members: members}}
			if of.engine == tenant.EngineTiller {
				d.tiller = takeTiller(tillers, r.Namespace, of.account)
			}
			add(d)
		}
	}
	a.findOrphans(tillers, add)
	for _, namespace := range slices.Sorted(maps.Keys(tillers)) {
		for _, w := range tillers[namespace] {
			if at := a.homes[namespace]; w.OfPod != "" && (at[accountName(w.Template.Spec)].isTenants() || install.HasTillerLabels(w.Template.Labels) && at[tenant.TillerAccount].isTenants()) {
				continue // told as a pod that should not be there
			}
			add(&deployer{tiller: w, target: Target{Home: namespace, Account: accountName(w.Template.Spec), Engine: tenant.EngineTiller}})
		}
	}
	slices.SortStableFunc(a.deployers, func(x, y *deployer) int {
		return cmp.Or(cmp.Compare(x.tenant(), y.tenant()), cmp.Compare(x.target.Home, y.target.Home))
	})
}

// findTillers finds what looks like a Tiller, by namespace: workloads, and pods of
// none that does.
func (a *auditor) findTillers() map[string][]*Workload {
	tillers := map[string][]*Workload{}
	for namespace, workloads := range a.workloads {
		for _, w := range workloads {
			if w.Template != nil {
				tillers[namespace] = append(tillers[namespace], w)
			}
		}
	}
	for namespace, pods := range a.pods {
		for _, pod := range pods {
			if pod.Spec == nil || slices.ContainsFunc(tillers[namespace], func(w *Workload) bool { return made(w, pod) }) {
				continue
			}
			owner := cmp.Or(pod.Owner, ObjectRef{"Pod", namespace, pod.Name})
			if slices.ContainsFunc(tillers[namespace], func(w *Workload) bool { return w.Kind == owner.Kind && w.Name == owner.Name }) {
				continue
			}
			tillers[namespace] = append(tillers[namespace], &Workload{Kind: owner.Kind, Namespace: namespace, Name: owner.Name, OfPod: pod.Name,
				Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: *pod.Spec}})
		}
	}
	return tillers
}

// takeTiller takes out a tenant's Tiller, nil where there is none: its own by its
// name, and by any other name one that runs as its account.
func takeTiller(tillers map[string][]*Workload, home, account string) *Workload {
	at := slices.IndexFunc(tillers[home], func(w *Workload) bool { return w.Kind == "Deployment" && w.Name == install.DeploymentName })
	if at < 0 {
		at = slices.IndexFunc(tillers[home], func(w *Workload) bool { return w.OfPod == "" && accountName(w.Template.Spec) == account })
	}
	if at < 0 {
		return nil
	}
	found := tillers[home][at]
	tillers[home] = slices.Delete(tillers[home], at, at+1)
	return found
}

// addDeployer adds one whose home, account and Tiller are known, with all else that
// is to be known of it. secrets are those at home that hold releases.
func (a *auditor) addDeployer(d *deployer, secrets []string) {
	t := &d.target
	d.account = Account(t.Home, t.Account)
	t.Minor, t.NamesKnown = a.snapshot.Minor, !a.unseen("pods", "deployments", "secrets")
	t.Workloads = map[string][]string{}
	for _, w := range a.workloads[t.Home] {
		resource, _ := resourceOf(w.Kind)
		t.Workloads[resource] = append(t.Workloads[resource], w.Name)
	}
	var tokens []string
	t.Pods, tokens = a.heldBy(d.account)
	t.Secrets = slices.Concat(secrets, tokens)
	if d.tiller != nil {
		t.Workload = *d.tiller
		d.network = a.snapshot.network(d.tiller.Template, t.Home)
		t.Open = d.network.listens
		if c := install.TillerContainer(d.tiller.Template.Spec); c != nil {
			d.version = install.ImageVersion(c.Image)
		}
	}
	a.deployers = append(a.deployers, d)
	if d.record != nil && a.byRecord[d.record] == nil {
		a.byRecord[d.record] = d
	}
	if a.homes[t.Home] == nil {
		a.homes[t.Home] = map[string]*deployer{}
	}
	if !a.homes[t.Home][t.Account].isTenants() {
		a.homes[t.Home][t.Account] = d
	}
}

// heldBy are the pods that run as a service account, and the Secrets that hold a token
// of it.
func (a *auditor) heldBy(account Subject) (pods, tokens []string) {
	for _, pod := range a.pods[account.Namespace] {
		if pod.Account == account.Name {
			pods = append(pods, pod.Name)
		}
	}
	for _, token := range a.tokens[account.Namespace] {
		if token.Account == account.Name {
			tokens = append(tokens, token.Name)
		}
	}
	return pods, tokens
}

func accountName(spec corev1.PodSpec) string {
	if spec.ServiceAccountName == "" {
		return "default"
	}
	return spec.ServiceAccountName
}

// findConfigMaps finds which Tillers keep their releases in ConfigMaps, and where.
func (a *auditor) findConfigMaps() {
	named := map[string][]string{}
	for _, release := range a.snapshot.RecordNames {
		if release.Kind == "ConfigMap" {
			named[release.Namespace] = append(named[release.Namespace], release.Name)
		}
	}
	for _, d := range a.deployers {
		if d.storage() == tenant.StorageConfigMap {
			d.target.InConfigMaps, d.target.ConfigMaps = true, named[d.target.Home]
			d.target.NamesKnown = d.target.NamesKnown && !a.unseen("configmaps")
		}
	}
}

// storage is where the deployer's Tiller keeps its releases; empty where it has none.
func (d *deployer) storage() tenant.Storage {
	if d.target.Engine != tenant.EngineTiller {
		return ""
	}
	if d.tiller != nil {
		if c := install.TillerContainer(d.tiller.Template.Spec); c != nil {
			return install.StorageOf(c)
		}
	}
	if d.record != nil {
		return d.record.Tenant.Tiller.Storage
	}
	return ""
}

// actor is one of a tenant's deployers: its account, and how it is used.
type actor struct {
	engine  tenant.Engine
	account string
}

// actorsOf are the deployers that a tenant of that engine has.
func actorsOf(engine tenant.Engine) []actor {
	var actors []actor
	for _, part := range engine.Parts() {
		for _, account := range part.DeployerAccounts() {
			actors = append(actors, actor{part, account})
		}
	}
	return actors
}

// membersOf are the subjects of the member binding at home.
func (a *auditor) membersOf(home string) []Subject {
	for _, b := range a.rights.bindings[home] {
		if isMemberBinding(b) {
			return b.Subjects
		}
	}
	return nil
}

func isMemberBinding(b *Binding) bool {
	return b.Name == rbac.MemberName && b.RoleKind == "Role" && b.RoleName == rbac.MemberName
}

// Power is what a deployer can do.
type Power struct {
	// Namespaces are those where it has rights, and by which role.
	Namespaces []PowerIn `json:"namespaces,omitempty"`
	// ClusterWide are the roles that it has over the whole cluster.
	ClusterWide []PowerIn `json:"clusterWide,omitempty"`
	// Admin says that it can do everything everywhere.
	Admin bool `json:"admin,omitempty"`
	// Escalates are its rights to give itself more.
	Escalates []string `json:"escalates,omitempty"`
	// OwnHome are the paths to itself that it has. A Tiller has those that its
	// release records are written by; what is more is a finding.
	OwnHome []Path `json:"ownHome,omitempty"`
}

// PowerIn is a role in a namespace.
type PowerIn struct {
	Namespace string `json:"namespace,omitempty"`
	Role      string `json:"role"`
	Binding   string `json:"binding"`
}

// holders are those whose rights are the deployer's own: it, and the accounts of
// its home. What all accounts of the cluster can do is no deployer's own.
func (d *deployer) holders() []Subject {
	return []Subject{d.account, Group(groupAccounts + ":" + d.target.Home)}
}

// findOwnHome finds how a deployer reaches itself.
func (a *auditor) findOwnHome(d *deployer) {
	for _, o := range a.open(identityOf(d.account), d, nil, func(g grant) bool { return slices.Contains(d.holders(), g.to) }) {
		d.power.OwnHome = append(d.power.OwnHome, o.path)
	}
}

// findPower says what a deployer can do by its own bindings.
func (a *auditor) findPower(d *deployer) {
	escalates := map[string]bool{}
	for _, s := range d.holders() {
		for _, g := range a.rights.inCluster[s] {
			d.power.ClusterWide = append(d.power.ClusterWide, PowerIn{"", g.binding.Role(), g.binding.Name})
			d.power.Admin = d.power.Admin || everything(g.rules)
			for _, verb := range escalations(g.rules) {
				escalates[verb] = true
			}
		}
		for _, g := range a.rights.bySubject[s] {
			d.power.Namespaces = append(d.power.Namespaces, PowerIn{g.binding.Namespace, g.binding.Role(), g.binding.Name})
			for _, verb := range escalations(g.rules) {
				escalates[verb] = true
			}
		}
	}
	d.power.Escalates = slices.Sorted(maps.Keys(escalates))
	slices.SortFunc(d.power.Namespaces, func(x, y PowerIn) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Role, y.Role), cmp.Compare(x.Binding, y.Binding))
	})
}

// everything says whether the rules allow all there is.
func everything(rules *ruleSet) bool { return rules.answer(act{"*", "*", "*"}).all }

// escalations are the rights to get past one's own.
func escalations(rules *ruleSet) []string {
	var found []string
	if everything(rules) {
		return []string{"everything"}
	}
	for _, a := range []act{
		{"escalate", rbacGroup, "roles"}, {"bind", rbacGroup, "roles"}, {"escalate", rbacGroup, "clusterroles"}, {"bind", rbacGroup, "clusterroles"},
		{"impersonate", "", "users"}, {"impersonate", "", "groups"},
	} {
		if rules.answer(a).some {
			found = append(found, a.verb+" "+a.resource)
		}
	}
	return found
}
