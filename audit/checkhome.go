package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/command"
	"helm-tenant/install"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// checkHome checks the settings that restrict a tenant's deployer and its home.
func (a *auditor) checkHome(d *deployer) {
	t, home := d.record.Tenant, d.target.Home
	init := d.record.init()
	neighbours := a.neighbours(d)
	if len(neighbours) > 0 {
		f := d.about("namespace "+home, "the home holds other workloads: %s", shortened(neighbours))
		f.Chains = [][]string{{"every member", "namespace " + home, neighbours[0]}}
		f.Fix = command.Advice("export the tenant, destroy it, and init it with a home of its own")
		if t.AllNamespaces {
			f.Fix = command.Advice("keep the members few: they can reach every pod in this namespace")
		}
		a.add(idSharedHome, "", f)
	}
	// kube-system runs privileged pods, and init gives a home with objects of others no level.
	if ns := a.namespaces[home]; ns != nil && len(neighbours) == 0 && !t.AllNamespaces && home != metav1.NamespaceSystem && ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		f := d.about("namespace "+home, "the home namespace does not enforce the restricted PodSecurity level")
		f.Chains = [][]string{{"namespace " + home, "label pod-security.kubernetes.io/enforce"}}
		f.Fix = init
		if ns.Labels[tenant.LabelManagedBy] != tenant.ManagedBy {
			f.Fix = init.With("where the namespace holds objects of others, init leaves its level to you: set its label pod-security.kubernetes.io/enforce to restricted")
		}
		a.add(idPodSecurity, "", f)
	}
	for _, token := range a.tokensOf(Account(home, d.target.Account)) {
		f := d.about("Secret "+token.Name, "Secret %s holds a token of the deployer that never ends", token.Name)
		f.Chains = [][]string{{objectName("Secret", home, token.Name), d.account.String()}}
		f.Fix = deleteObject(home, "Secret", token.Name)
		a.add(idLongToken, "", f)
	}
	if sa := a.accounts[d.account]; sa != nil && sa.Mounts {
		f := d.about(d.account.String(), "the deployer's token is mounted in every pod of its account that does not refuse it")
		f.Chains = [][]string{{objectName("ServiceAccount", home, sa.Name), "automountServiceAccountToken"}}
		f.Fix = init
		a.add(idAutomount, "", f)
	}
	if d.target.Engine != tenant.EngineTiller {
		return
	}
	if d.tiller == nil {
		if !a.unseen("deployments") && d.record.Migrating == nil {
			f := d.about(objectName("Deployment", home, install.DeploymentName), "there is no Tiller")
			f.Fix = init
			a.add(idDrift, "", f)
		}
		return
	}
	a.checkHardening(d)
}

// checkHardening checks the settings that restrict a tenant's Tiller.
func (a *auditor) checkHardening(d *deployer) {
	a.checkPolicies(d)
	pod := d.tiller.Template.Spec
	c := recognise.Container(pod)
	if c == nil {
		return
	}
	a.checkStorage(d, c)
	a.checkContainer(d, c, pod.SecurityContext)
	a.checkHost(d, c, pod)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if _, limited := c.Resources.Limits[name]; !limited {
			a.tillerItem(d, idLimits, "limits."+string(name), d.record.init(), "Tiller has no limit of %s", name)
		}
	}
	if recognise.KeepsAll(c) {
		fix := d.record.init()
		if recorded := d.record.Tenant.WithDefaults().Tiller.HistoryMax; recorded != nil && *recorded == 0 {
			fix = d.record.init(fmt.Sprintf("--history-max=%d", tenant.DefaultHistoryMax)) // init keeps the recorded value without the flag
		}
		a.tillerItem(d, idHistory, partHistory, fix, "Tiller keeps every revision")
	}
}

// tillerItem reports a finding about one setting of a tenant's Tiller.
func (a *auditor) tillerItem(d *deployer, id, part string, fix command.Fix, text string, arguments ...any) {
	workload := objectName(d.tiller.Kind, d.target.Home, d.tiller.Name)
	f := d.about(part, text, arguments...)
	f.Chains, f.Fix = [][]string{{workload, part}}, fix
	a.add(id, "", f)
	a.markReported(d.record, workload, part)
}

// checkPolicies finds who can connect to the pod of a Tiller that listens on its
// loopback: its probe port is open.
func (a *auditor) checkPolicies(d *deployer) {
	home, workload := d.target.Home, objectName(d.tiller.Kind, d.target.Home, d.tiller.Name)
	switch {
	case d.network.listens: // reported as a Tiller that listens
	case len(d.network.policies) == 0 && !a.unseen("networkpolicies"):
		f := d.about("namespace "+home, "no NetworkPolicy holds others off Tiller's pod")
		f.Chains, f.Fix = [][]string{{"any pod of the cluster", workload, "port 44135"}}, d.record.init()
		a.add(idNoPolicy, "", f)
	case d.network.partly:
		f := d.about("NetworkPolicy "+d.network.letting[0], "NetworkPolicy %s lets others connect to Tiller's pod", strings.Join(d.network.letting, ", "))
		for _, name := range d.network.letting {
			fix := deleteObject(home, "NetworkPolicy", name)
			if name == install.PolicyName {
				fix = d.record.init()
			}
			f.Chains, f.Fix = append(f.Chains, []string{objectName("NetworkPolicy", home, name), workload}), f.Fix.Then(fix)
		}
		a.add(idNoPolicy, "", f)
	}
}

func (a *auditor) checkStorage(d *deployer, c *corev1.Container) {
	storage := recognise.StorageOf(c)
	switch {
	case storage != tenant.StorageConfigMap:
	case d.record.Tenant.Tiller.Storage == tenant.StorageConfigMap:
		// A tenant's storage can't be changed: its Tiller would not find its releases.
		fix := command.Run(command.Tenant("migrate", d.tenant()), command.Tenant("migrate", d.tenant(), "--finish")).With("under Helm 3 or 4, which keep their releases in Secrets")
		a.tillerItem(d, idConfigMaps, partStorage, fix, "releases are kept in ConfigMaps, as the record says")
	default:
		// Changing it to Secrets by init would hide its releases.
		fix := command.Run(command.Tenant("init", d.tenant(), "--storage="+string(tenant.StorageConfigMap))).With("has the record say so; where it has no releases, --storage=secret turns it back")
		a.tillerItem(d, idConfigMaps, partStorage, fix, "releases are kept in ConfigMaps, and the record says Secrets")
	}
}

// checkContainer checks the privileges of Tiller's process: by its container's security context
// or, if that is not set, its pod's.
func (a *auditor) checkContainer(d *deployer, c *corev1.Container, pod *corev1.PodSecurityContext) {
	item := func(part, text string, arguments ...any) {
		a.tillerItem(d, idContainer, part, d.record.init(), text, arguments...)
	}
	context := corev1.SecurityContext{}
	if c.SecurityContext != nil {
		context = *c.SecurityContext
	}
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	nonRoot := context.RunAsNonRoot
	if nonRoot == nil {
		nonRoot = pod.RunAsNonRoot
	}
	if nonRoot == nil || !*nonRoot {
		item("runAsNonRoot", "Tiller may run as root")
	}
	if context.AllowPrivilegeEscalation == nil || *context.AllowPrivilegeEscalation {
		item("allowPrivilegeEscalation", "Tiller's process may gain rights")
	}
	if context.ReadOnlyRootFilesystem == nil || !*context.ReadOnlyRootFilesystem {
		item("readOnlyRootFilesystem", "Tiller's own files can be changed")
	}
	if context.Capabilities == nil || !slices.Contains(context.Capabilities.Drop, "ALL") || len(context.Capabilities.Add) > 0 {
		item("capabilities", "Tiller holds capabilities")
	}
	profile := context.SeccompProfile
	if profile == nil {
		profile = pod.SeccompProfile
	}
	if profile == nil || profile.Type == corev1.SeccompProfileTypeUnconfined {
		item("seccompProfile", "Tiller may make every system call")
	}
}

func (a *auditor) checkHost(d *deployer, c *corev1.Container, pod corev1.PodSpec) {
	item := func(part, text string, arguments ...any) {
		a.tillerItem(d, idHost, part, d.record.init(), text, arguments...)
	}
	for _, container := range slices.Concat(pod.Containers, pod.InitContainers) {
		if context := container.SecurityContext; context == nil || context.Privileged == nil || !*context.Privileged {
			continue
		}
		if container.Name == c.Name {
			item(partPrivileged, "Tiller's container is privileged")
		} else {
			item(partPrivileged+" "+container.Name, "container %s of Tiller's pod is privileged", container.Name)
		}
	}
	for part, set := range map[string]bool{"hostNetwork": pod.HostNetwork, "hostPID": pod.HostPID, "hostIPC": pod.HostIPC} {
		if set {
			item(part, "Tiller's pod has the node's own: %s", part)
		}
	}
	for _, volume := range pod.Volumes {
		if volume.HostPath != nil {
			item("volume "+volume.Name, "Tiller's pod has the node's %s", volume.HostPath.Path)
		}
	}
	if pod.HostNetwork {
		return // all ports are the node's
	}
	for _, container := range recognise.Listening(pod) {
		for _, port := range container.Ports {
			if port.HostPort != 0 {
				item(fmt.Sprintf("hostPort %d", port.HostPort), "Tiller's pod has the node's port %d", port.HostPort)
			}
		}
	}
}

// foreignRights are the rights of a subject in a tenant's namespaces by bindings that are not the
// tenant's.
type foreignRights struct {
	chains [][]string
	fix    command.Fix
	spaces []string
	writes bool
	more   string // rights that no role of a tenant should have
}

// checkNamespaces finds subjects with rights in a tenant's namespaces other than its
// deployer and its own accounts.
func (a *auditor) checkNamespaces(r *Record) {
	if r.Tenant.AllNamespaces {
		return
	}
	t := r.Tenant
	found := map[Subject]*foreignRights{}
	var order []Subject
	for _, ns := range t.Namespaces {
		for _, b := range a.rights.bindings[ns] {
			rules := a.rights.roleOf(b)
			if rules == nil || a.isReadersOwn(b) {
				continue
			}
			for _, s := range b.Subjects {
				if s == Account(r.Namespace, tenant.ReaderAccount) {
					continue // reported as rights of the readers' account
				}
				tenants := s.Kind == rbacv1.ServiceAccountKind && slices.Contains(t.Namespaces, s.Namespace) || slices.Contains(t.Namespaces, s.AccountsOf())
				if s == (Subject{}) || a.isDeployerIn(s, ns) {
					continue
				}
				more := a.outgrows(r, rules.rules)
				if tenants && more == "" {
					continue
				}
				if other := a.deployerOf(s); other != nil && other.record != nil {
					continue // reported as a deployer that leaves its namespaces
				}
				f := found[s]
				if f == nil {
					f = &foreignRights{}
					found[s] = f
					order = append(order, s)
				}
				f.writes = f.writes || !readsOnly(rules.rules)
				f.more = cmp.Or(f.more, more)
				f.chains = append(f.chains, []string{s.String(), b.String(), b.Role()})
				if !slices.Contains(f.spaces, ns) {
					f.spaces = append(f.spaces, ns)
				}
				f.fix = f.fix.Then(a.takeAway(b, s))
				a.markReported(r, b.String(), s.String())
			}
		}
	}
	slices.SortFunc(order, compareSubjects)
	for _, s := range order {
		a.addForeign(r, s, found[s])
	}
}

func (a *auditor) addForeign(r *Record, s Subject, f *foreignRights) {
	finding := r.about(s.String(), "%s has rights in namespace %s by a binding that is not the tenant's", s, shortened(f.spaces))
	severity := Medium
	switch {
	case s.IsEverybody() && f.writes:
		severity = Critical
	case s.IsEverybody():
		severity = High
	case !f.writes:
		severity = Low
	}
	if d := a.byRecord[r]; d != nil && slices.Contains(d.members, s) && !s.IsEverybody() {
		severity = Low
		finding.Text += "; it is a member, and a revoke leaves this"
	}
	if f.more != "" {
		finding.Text += "; it may " + f.more
		if severity != Critical {
			severity = High
		}
	}
	finding.Chains, finding.Fix = f.chains, f.fix
	a.add(idForeign, severity, finding)
}

// deployerOf returns the deployer with that account, nil if there is none.
func (a *auditor) deployerOf(s Subject) *deployer {
	if s.Kind != rbacv1.ServiceAccountKind {
		return nil
	}
	return a.homes[s.Namespace][s.Name]
}

func (a *auditor) isDeployerIn(s Subject, ns string) bool {
	d := a.deployerOf(s)
	return d != nil && d.record != nil && slices.Contains(d.record.Tenant.Namespaces, ns)
}
