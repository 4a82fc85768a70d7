package audit

import (
	"fmt"
	"slices"
	"strings"

	"helm-tenant/tenant"
)

// Severity is how bad a finding is.
type Severity string

// Severities, from the worst.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
)

// Severities returns all severities, the worst first.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low} }

// rank returns 0 for the worst severity.
func (s Severity) rank() int { return slices.Index(Severities(), s) }

// AtLeast reports whether it is as bad as the other, or worse.
func (s Severity) AtLeast(other Severity) bool { return s.rank() <= other.rank() }

// ParseSeverity reads one.
func ParseSeverity(text string) (Severity, error) {
	s := Severity(text)
	if s.rank() < 0 {
		return "", fmt.Errorf("%q is no severity: give one of critical, high, medium, low", text)
	}
	return s, nil
}

// IDs of findings. They are never used again for another thing.
const (
	idUnmanaged         = "HT001"
	idClusterAdmin      = "HT002"
	idOpen              = "HT003"
	idOld               = "HT004"
	idLeaves            = "HT005"
	idOwnHome           = "HT006"
	idEscalates         = "HT007"
	idOrphan            = "HT008"
	idImpostor          = "HT009"
	idForward           = "HT010"
	idMakePods          = "HT011"
	idEnterPods         = "HT012"
	idSecrets           = "HT013"
	idToken             = "HT014"
	idImpersonate       = "HT015"
	idImpersonateMember = "HT016"
	idRights            = "HT017"
	idNode              = "HT018"
	idChangeTiller      = "HT019"
	idHome              = "HT020"
	idUseAccount        = "HT021"
	idClusterWide       = "HT022"
	idIdentityMap       = "HT023"
	idAddedRole         = "HT024"
	idLender            = "HT025"
	idWritesNamespaces  = "HT026"
	idMakesHomes        = "HT027"
	idWebhook           = "HT028"
	idApplyFile         = "HT029"
	idWideMember        = "HT030"
	idOpenGroup         = "HT031"
	idTwoTenants        = "HT032"
	idMountable         = "HT033"
	idNoAccount         = "HT034"
	idStillIn           = "HT035"
	idOver              = "HT036"
	idWideReader        = "HT037"
	idOtherReader       = "HT038"
	idUnheldOwners      = "HT039"
	idForeign           = "HT040"
	idSharedNamespace   = "HT041"
	idDrift             = "HT042"
	idFile              = "HT043"
	idStray             = "HT044"
	idTwoRecords        = "HT045"
	idPodSecurity       = "HT050"
	idNoPolicy          = "HT051"
	idConfigMaps        = "HT052"
	idContainer         = "HT053"
	idHost              = "HT054"
	idLimits            = "HT055"
	idHistory           = "HT056"
	idAdmission         = "HT057"
	idSharedHome        = "HT058"
	idLongToken         = "HT059"
	idAutomount         = "HT060"
	idUnowned           = "HT061"
	idClusterObjects    = "HT062"
	idLoosePods         = "HT070"
	idNoGuard           = "HT071"
	idLoosened          = "HT072"
	idGuardPolicies     = "HT073"
	idOpenVolume        = "HT074"
	idRefused           = "HT075"
	idNotFrozen         = "HT076"
	idFrozenWriter      = "HT077"
	idLoosensNamespace  = "HT078"
	idBorrows           = "HT079"
	idFluxAccount       = "HT080"
	idRoleGaps          = "HT081"
	idTakesNode         = "HT082"
	idKubelet           = "HT083"
	idUnended           = "HT084"
	idAnswers           = "HT085"
)

// Rule is one kind of finding.
type Rule struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	Why      string   `json:"why"`
}

// Rules returns all kinds of findings, by ID. Some single findings are milder or
// worse than their kind, and say why.
func Rules() []Rule { return slices.Clone(rules) }

var rules = []Rule{
	{idUnmanaged, "unmanaged Tiller", High, "Whoever can talk to it has all of its power, and no tenant's record says who that should be."},
	{idClusterAdmin, "cluster-admin deployer", Critical, "Whoever reaches it can do everything in the cluster."},
	{idOpen, "Tiller open on the network", Critical, "Tiller asks nobody for credentials: every pod that can connect has its power."},
	{idOld, "old Tiller", Medium, "Releases before 2.17.0 have known holes, and an image registry that is gone."},
	{idLeaves, "deployer can leave its namespaces", High, "A chart of this tenant acts where the tenant has no business."},
	{idOwnHome, "deployer can act in its own home", High, "A chart could take over the account, or the Tiller, that installs it."},
	{idEscalates, "deployer can give itself rights", Medium, "With bind, escalate or wildcards a chart gets past quotas and policies in its namespaces."},
	{idOrphan, "deployer of a tenant without a record", High, "Its members keep all of its power, and no verb but this one sees the tenant."},
	{idImpostor, "pod in the deployer's place", High, "It has the deployer's token, or gets what members send to their Tiller."},
	{idForward, "outsider can talk to the deployer", High, "A port-forward to a Tiller is all of its power, and this is no member."},
	{idMakePods, "outsider can make pods in the home", High, "A pod in the home namespace can run with the deployer's account, and this is no member."},
	{idEnterPods, "outsider can enter pods in the home", High, "Inside a Tiller's pod lies its account's token, and this is no member."},
	{idSecrets, "outsider can use the home's Secrets or records", High, "They hold the releases' values and the accounts' tokens, and this is no member."},
	{idToken, "outsider can mint the deployer's token", High, "Whoever holds the token is the deployer, and this is no member."},
	{idImpersonate, "outsider can impersonate the deployer", High, "Who may impersonate it has all of its rights, and this is no member."},
	{idImpersonateMember, "outsider can impersonate somebody who may", High, "Who may be a member for a moment has a member's way in."},
	{idRights, "outsider can give rights in the home", High, "Who may bind or escalate there has every way in, and this is no member."},
	{idNode, "outsider can reach the deployer by its node", High, "The kubelet runs commands in every pod of its node, and the node has the tokens of their accounts."},
	{idChangeTiller, "outsider can change the Tiller", High, "A changed image or command runs with the deployer's account."},
	{idHome, "outsider can loosen the home", Medium, "The namespace's labels and the tenant's record hold the other guards in place."},
	{idUseAccount, "use of an account of the cluster's own", High, "Pods or tokens of such an account reach every deployer."},
	{idClusterWide, "cluster-wide rights that reach deployers", High, "Rights over the whole cluster open every home namespace; this is none of Kubernetes' own administrators."},
	{idIdentityMap, "outsider can name administrators", High, "Who is named there is an administrator of the cluster at their next login."},
	{idAddedRole, "tenants' role that others add to", Medium, "Whoever installs an operator adds to what a chart of every such tenant may do."},
	{idLender, "deployer can use a controller's rights", High, "The controller acts for whoever wrote the object, by its own rights, which are the whole cluster's."},
	{idWritesNamespaces, "deployer can write its namespaces", High, "Their labels hold its pods to PodSecurity and to admission policies."},
	{idMakesHomes, "outsider can make namespaces", Low, "Who makes the home of a tenant before init does can have prepared accounts and tokens in it."},
	{idWebhook, "webhook or policy that gets what homes hold", Medium, "Whoever runs it sees the tokens and releases that are written, or changes the Tiller's pods, its members, its record or rights in the whole cluster. Homes are also those without a record and the namespaces of Tillers of no tenant. The Secrets, pods and rights of kube-system, and of namespaces with an account that reaches every deployer, lead to every deployer, and so do objects that a controller carries out with its own rights; the RoleBindings and Roles of tenants' namespaces give what the deployer may do there. A tenant in whose namespace a webhook is answered, or a conversion webhook or an API server, reads, changes or refuses what other tenants write."},
	{idApplyFile, "outsider can write what an unattended apply reads", High, "The apply writes whatever tenant stands there, of all namespaces too, with an administrator's rights."},
	{idWideMember, "member rights wider than needed", Medium, "A member needs one way in; each further one outlives guards, and a revoke."},
	{idOpenGroup, "everybody is a member", Critical, "It stands for everybody, for every pod, for nodes, or for whoever holds a token to join them."},
	{idTwoTenants, "member of several tenants", Low, "What keeps the tenants apart does not hold for them."},
	{idMountable, "member account that others can use", Medium, "Who can make pods in the account's namespace can be the member."},
	{idNoAccount, "member account that does not exist", Medium, "Whoever makes an account of that name is a member."},
	{idStillIn, "member rights by another binding", High, "It is not in the tenant's list of members: a revoke says they are out, and they are not."},
	{idOver, "grant that is over and still in force", Medium, "Kubernetes ends no grant by itself: they can still use the tenant."},
	{idWideReader, "reader can do more than read", High, "Readers were let in to see releases; each of them can change what this gives."},
	{idOtherReader, "outsider can read a tenant", High, "They read its releases and Secrets, and no list of readers says so."},
	{idUnheldOwners, "owners whom no policy limits", High, "They can let in everybody, or have the tenant's bindings deleted."},
	{idForeign, "foreign binding in a tenant's namespace", Medium, "It is a way into the namespace that no revoke takes away."},
	{idSharedNamespace, "namespace in several tenants", High, "Each of them can read and change what the others run there."},
	{idDrift, "objects differ from the record", Medium, "What the record promises is not so."},
	{idFile, "differs from the tenants file", Medium, "The cluster is not what was agreed."},
	{idStray, "release outside its tenant", High, "A release of this tenant was put where the tenant has no business."},
	{idTwoRecords, "tenant with two records", High, "Which namespaces and members a verb gives it depends on which one it reads."},
	{idPodSecurity, "home without PodSecurity", Low, "A privileged pod in the home would hold the node."},
	{idNoPolicy, "home without NetworkPolicy", Low, "Tiller's probe port, with its metrics, answers every pod."},
	{idConfigMaps, "releases in ConfigMaps", Medium, "Values of releases, passwords too, are readable to everybody who may read ConfigMaps."},
	{idContainer, "Tiller's container is not hardened", Low, "A hole in Tiller would reach further."},
	{idHost, "Tiller has the node's own", High, "From its pod the node, and every other pod on it, is in reach."},
	{idLimits, "Tiller without limits", Low, "It can starve its neighbours, and does not start under a quota."},
	{idHistory, "unbounded history", Low, "Release records, with all old values, pile up for ever."},
	{idAdmission, "admission policy not in force", Medium, "A chart can write Secrets into the home, and so have the deployer's token made."},
	{idSharedHome, "home shared with other workloads", Medium, "Members can port-forward to every pod there, and Tiller reads every Secret."},
	{idLongToken, "long-lived token of the deployer", Medium, "Whoever copied it is the deployer, for ever."},
	{idAutomount, "deployer's token in every pod of the home", Low, "A pod there gets it without asking."},
	{idUnowned, "objects that helm uninstall leaves", Medium, "Since 4.3 helm uninstall reports success, and leaves objects that do not name their release."},
	{idClusterObjects, "release with objects outside namespaces", Low, "The tenant's deployer can neither upgrade nor delete them."},
	{idLoosePods, "privileged pods in a tenant's namespace", High, "A chart can run one, and take the node and every tenant on it."},
	{idNoGuard, "tenant without the guard", High, "A chart can let outsiders in, take addresses and host names of others, and evict their pods."},
	{idLoosened, "namespace looser than its record", High, "What the record says of guard rails does not hold there."},
	{idGuardPolicies, "guard's policies not in force", High, "Without them a chart can let outsiders in, and take addresses, host names and volumes of others."},
	{idOpenVolume, "volume that any claim can bind", Medium, "A claim binds it by its class, and its tenant reads what somebody left on it."},
	{idRefused, "object that the guard refuses", Medium, "It was there before the guard, holds what may be another's, and can't be made anew by its tenant."},
	{idNotFrozen, "freeze that is not in force", High, "The tenant is said to be frozen, and helm can change it."},
	{idFrozenWriter, "writer in a frozen tenant", Medium, "A freeze holds the tenant's own accounts: who has rights of their own can still change what is to stay as it is."},
	{idLoosensNamespace, "outsider can loosen a tenant's namespace", Medium, "The namespace's labels hold its pods to PodSecurity and to the guard."},
	{idBorrows, "outsider can use a controller's rights", High, "The controller acts for whoever wrote the object, by its own rights, which reach every deployer."},
	{idFluxAccount, "account in a tenant's namespaces with its role", Low, "Whoever may run pods or mint tokens there can act with the tenant's role, and no list of members says so."},
	{idRoleGaps, "role with which helm can't work", Low, "Installs, upgrades or uninstalls fail half-way, and leave records and objects behind."},
	{idTakesNode, "privileged pods beside the tenants", Medium, "Such a pod takes its node, and the token of every pod there, a Tiller's as well."},
	{idKubelet, "outsider can answer in a kubelet's place", Medium, "Members' port-forwards go to the address in the node's status, with what they install: values and passwords."},
	{idUnended, "disconnect that was not finished", Medium, "Who was revoked may still use the Tiller by a connection that was open: nothing has restarted it."},
	{idAnswers, "outsider can answer for a webhook", High, "It is sent what is written into homes, tokens and releases among it, or changes it: a Tiller's pods, who is a member, or rights in the whole cluster."},
}

func ruleOf(id string) Rule {
	for _, rule := range rules {
		if rule.ID == id {
			return rule
		}
	}
	panic("no finding is called " + id)
}

// Ignore is a finding that somebody decided to live with.
type Ignore struct {
	ID string `json:"id" yaml:"id"`
	// Tenant and Subject are empty for any.
	Tenant  string `json:"tenant,omitempty" yaml:"tenant,omitempty"`
	Subject string `json:"subject,omitempty" yaml:"subject,omitempty"`
	Reason  string `json:"reason" yaml:"reason"`
}

// ParseIgnores reads a file of accepted findings. name is the file's name in the errors. It
// returns all errors at once, each beginning with "FILE:LINE: ".
func ParseIgnores(name string, text []byte) ([]Ignore, []error) {
	var file ignoreFile
	d := tenant.ParseDocument(name, text, &file)
	for i, ignore := range file.Ignore {
		if err := ignore.Check(); err != nil && !d.Follows("ignore", i) {
			d.Add(err, "ignore", i)
		}
	}
	return file.Ignore, d.Problems()
}

type ignoreFile struct {
	APIVersion string   `yaml:"apiVersion"`
	Ignore     []Ignore `yaml:"ignore"`
}

// Check returns what is wrong with the item, nil if nothing is.
func (i Ignore) Check() error {
	if !slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == i.ID }) {
		return fmt.Errorf("ignore: no finding is called %q", i.ID)
	}
	if strings.TrimSpace(i.Reason) == "" {
		return fmt.Errorf("ignore %s: a reason is missing", i.ID)
	}
	return nil
}

func (i Ignore) matches(f Finding) bool {
	return i.ID == f.ID && (i.Tenant == "" || slices.Contains(f.Tenants, i.Tenant)) && (i.Subject == "" || i.Subject == f.Subject)
}

// Meant returns the subjects of findings that an item would ignore if it named the kind of its
// subject: a user and a group of one name are two, and the item does not say which one it
// means.
func (i Ignore) Meant(r *Report) []string {
	var meant []string
	for _, f := range r.all {
		for _, kind := range []string{"user ", "group ", "service account "} {
			if i.ID == f.ID && f.Subject == kind+i.Subject && !slices.Contains(meant, f.Subject) {
				meant = append(meant, f.Subject)
			}
		}
	}
	return meant
}

// String returns "ID", or "ID:SUBJECT".
func (i Ignore) String() string {
	text := i.ID
	if i.Subject != "" {
		text += ":" + i.Subject
	}
	if i.Tenant != "" {
		text += " of tenant " + i.Tenant
	}
	return text
}

// Unused returns the items that ignore no finding of any tenant: their reason is gone. None are
// returned if the audit could not read everything, or if it answered for one subject.
func Unused(ignores []Ignore, r *Report) []Ignore {
	if len(r.Unseen) > 0 || r.Asked != "" {
		return nil
	}
	var unused []Ignore
	for _, i := range ignores {
		if !slices.ContainsFunc(r.all, i.matches) {
			unused = append(unused, i)
		}
	}
	return unused
}
