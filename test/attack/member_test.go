package attack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
)

// themesOfImpersonation are all attacks on tenants of Helm 3 and 4.
var themesOfImpersonation = []theme{
	{name: "Acting as another's deployer", attacks: impersonating},
	{name: "Through one's own deployer, by what a chart holds", attacks: chartingAsDeployer},
	{name: "As one's own deployer, by kubectl", attacks: deploying, once: true},
	{name: "The home namespace and the API server directly", attacks: homingOfDeployer, once: true},
	{name: "helm-tenant itself", attacks: tooling, once: true},
	{name: "From the tenant's own namespaces, at its neighbours", attacks: guarding},
	{name: "Limits: known and documented, and what closes them", attacks: limitsOfDeployer},
}

// impersonating are attacks by impersonation. Whoever can act as a deployer has all its rights.
var impersonating = []attack{
	{name: "helm --kube-as-user of its deployer: list its releases", as: onOther, run: listByFlag},
	{name: "HELM_KUBEASUSER: list its releases", as: onOther, run: listAsVariable},
	{name: "helm --kube-as-user: read a release's values", as: onOther, run: readValues},
	{name: "helm --kube-as-user: upgrade its release", as: onOther, run: upgradeRelease},
	{name: "helm --kube-as-user: uninstall its release", as: onOther, run: deleteRelease},
	{name: "helm --kube-as-user: install into its namespace", as: onOther, run: installAsVictim},
	{name: "helm-tenant --tenant", as: onOther, run: listByTenant},
	{name: "HELM_TENANT", as: onOther, run: listByTenantVariable},
	{name: "helm-tenant with HELM_KUBEASUSER of its deployer", as: onOther, run: tenantWithVariable},
	{name: "helm-tenant with --kube-as-user of its deployer", as: onOther, run: tenantWithFlag},
	{name: "kubeconfig extension that names its home", as: onOther, run: listByExtension},
	{name: "helm-tenant use, then list", as: onOther, run: useThenList},
	{name: "helm-tenant whoami", as: onOther, run: whoamiOfDeployer},
	{name: "kubectl --as its deployer: read Secrets", as: onOther, run: asVictim(readSecretsOfTeam)},
	{name: "kubectl --as its deployer: make a RoleBinding", as: onOther, run: asVictim(bindingInTeam)},
	{name: "kubectl --as its deployer", as: onOther, run: impersonate("$DEPLOYER", "")},
	{name: "kubectl --as a member", as: onOther, run: impersonate("$MEMBER", "")},
	{name: "kubectl --as an administrator", as: onOwn, run: impersonate("root", "")},
	{name: "kubectl --as-group system:masters", as: onOwn, run: impersonate("root", "system:masters")},
	{name: "kubectl --as the account that makes roles", as: onOwn, run: impersonate("system:serviceaccount:kube-system:clusterrole-aggregation-controller", "")},
	{name: "kubectl --as another account of the home", as: onBoth, run: impersonate("system:serviceaccount:$HOME:default", "")},
	{name: "own deployer, and group system:masters", as: onOwn, run: impersonateMore(func(_ *attackRun, c *rest.ImpersonationConfig) { c.Groups = []string{"system:masters"} })},
	{name: "own deployer, and the group of its namespace's accounts", as: onOwn, run: impersonateMore(func(s *attackRun, c *rest.ImpersonationConfig) {
		c.Groups = []string{"system:serviceaccounts:" + s.entry.home}
	})},
	{name: "own deployer, and a uid", as: onOwn, run: impersonateMore(func(_ *attackRun, c *rest.ImpersonationConfig) { c.UID = "1234" })},
	{name: "own deployer, and an extra field", as: onOwn, run: impersonateMore(func(_ *attackRun, c *rest.ImpersonationConfig) {
		c.Extra = map[string][]string{"scopes": {"all"}}
	})},
	// The built-in role admin holds impersonate on the accounts of the tenant's
	// namespaces. An account there that is given admin has it.
	{name: "an account of one's own, made admin there, as its deployer", as: onBoth, run: accountImpersonates("$DEPLOYER", "")},
	{name: "an account of one's own, made admin there, as kube-system's", as: onOwn, run: accountImpersonates("system:serviceaccount:kube-system:clusterrole-aggregation-controller", "")},
	{name: "an account of one's own, made admin there, as system:masters", as: onOwn, run: accountImpersonates("root", "system:masters")},
}

// chartingAsDeployer are attacks by the content of a chart.
var chartingAsDeployer = []attack{
	{name: "chart: --namespace of the other team", as: onOther, run: installIntoVictim},
	{name: "chart: metadata.namespace of the other team", as: onOther, run: makes(configMapIn("$NS"))},
	{name: "chart: hook in the other team's namespace", as: onOther, run: makes(hookIn("$NS"))},
	{name: "chart: hook that replaces the other's object", as: onOther, spoils: true, run: replacesVictimsObject},
	{name: "chart: --take-ownership of the other's object", as: onOther, run: takesOwnership},
	{name: "chart: lookup of the other's Secret", as: onOther, run: looksUp},
	{name: "chart: release record in the other's namespace", as: onOther, run: makes(recordIn("$NS"))},
	{name: "chart: RoleBinding in the other's namespace", as: onOther, run: makes(strings.Replace(bindingInHome, "$HOME", "$NS", 1))},
	{name: "own deployer: list the other's releases", as: onOther, run: listByOwn},
	{name: "own deployer: list all namespaces' releases", as: onOther, run: listAllByOwn},
	{name: "own deployer: values of the other's release", as: onOther, run: valuesByOwnTiller},
	{name: "own deployer: uninstall the other's release", as: onOther, run: deleteByOwnTiller},
	{name: "chart: --namespace default", as: onOwn, run: installInto("default")},
	{name: "chart: into kube-system", as: onOwn, run: makes(configMapIn("kube-system"))},
	{name: "chart: --create-namespace", as: onOwn, run: createsNamespace},

	{name: "chart: --namespace of the home", as: onBoth, run: installIntoHome},
	{name: "chart: ConfigMap in the home", as: onBoth, run: makes(configMapIn("$HOME"))},
	{name: "chart: hook in the home", as: onBoth, run: makes(hookIn("$HOME"))},
	{name: "chart: Pod in the home with the deployer's account", as: onBoth, run: chartPodInHome},
	{name: "chart: token Secret of the deployer's account", as: onBoth, run: tokenSecretByChart},
	{name: "chart: RoleBinding in the home", as: onBoth, run: makes(bindingInHome)},
	{name: "chart: RoleBinding of cluster-admin in the home", as: onBoth, run: makes(strings.Replace(bindingInHome, "name: view", "name: cluster-admin", 1))},
	{name: "chart: replace the tenant's record", as: onBoth, spoils: true, run: replaces(recordHook)},
	{name: "chart: replace the members' Role", as: onBoth, spoils: true, run: replaces(memberRoleHook)},

	{name: "chart: ClusterRoleBinding to cluster-admin", as: onOwn, run: makes(clusterRoleBinding)},
	{name: "chart: Namespace", as: onOwn, run: makes("apiVersion: v1\nkind: Namespace\nmetadata: {name: $ID}\n")},
	{name: "chart: replace the Namespace object", as: onBoth, spoils: true, run: replaces(namespaceHook)},
	{name: "chart: CustomResourceDefinition", as: onOwn, run: makes(crd)},
	{name: "chart: CustomResourceDefinition in its crds folder", as: onOwn, run: crdsFolder},
	{name: "chart: PersistentVolume on the node's disk", as: onOwn, run: makes(persistentVolume)},
	{name: "chart: webhook that sees every write", as: onOwn, run: makes(webhook)},
	{name: "chart: PriorityClass", as: onOwn, run: makes("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: $ID}\nvalue: 1000\n")},
	{name: "chart: binding of an admission policy", as: onOwn, run: makes(policyBinding)},
	{name: "chart: ResourceQuota in the tenant's namespace", as: onOwn, run: makes("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: $ID}\nspec: {hard: {pods: \"1000\"}}\n")},
	{name: "chart: LimitRange in the tenant's namespace", as: onOwn, run: makes("apiVersion: v1\nkind: LimitRange\nmetadata: {name: $ID}\nspec: {limits: [{type: PersistentVolumeClaim, max: {storage: 1Ti}}]}\n")},
	{name: "chart: replace the admin's ResourceQuota", as: onOwn, spoils: true, run: replaces(quotaHook)},
	{name: "chart: Role of more than admin", as: onOwn, run: makes(roleOfMore)},
	{name: "chart: Role that may escalate", as: onOwn, run: makes(strings.Replace(roleOfMore, `{apiGroups: [""], resources: [resourcequotas], verbs: ["*"]}`, `{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate, bind]}`, 1))},
	{name: "chart: RoleBinding to cluster-admin", as: onOwn, run: makes(bindingToClusterAdmin)},
	{name: "chart: Pod in the tenant's namespace as the deployer", as: onOwn, run: podAsTiller},
}

// deploying are attacks in which a member acts as the own deployer, without helm,
// which nobody can keep them from.
var deploying = []attack{
	{name: "read Secrets of the other's namespace", as: onOther, run: asDeployer(readSecretsOfTeam)},
	{name: "read the other's release records", as: onOther, run: asDeployer(readRecordsInTeam)},
	{name: "list release records of all namespaces", as: onBoth, run: asDeployer(readAllHelmRecords)},
	{name: "write a release record into the other's namespace", as: onOther, run: asDeployer(createsInHome(recordIn("$NS")))},
	{name: "make a RoleBinding in the other's namespace", as: onOther, run: asDeployer(bindingInTeam)},
	{name: "exec in the other's pod", as: onOther, run: asDeployer(execGoods)},
	{name: "port-forward to the other's pod", as: onOther, run: asDeployer(forwardGoods)},
	{name: "read Secrets of kube-system", as: onOwn, run: asDeployer(readSecretsOf("kube-system"))},
	{name: "create token helm in the home", as: onBoth, run: asDeployer(createToken)},
	{name: "token Secret of the deployer", as: onBoth, run: asDeployer(createTokenSecret)},
	{name: "create a pod with the deployer's account", as: onBoth, run: asDeployer(podWithAccount)},
	{name: "read the home's Secrets", as: onBoth, run: asDeployer(readRecords("secrets"))},
	{name: "read the home's record", as: onBoth, run: asDeployer(readRecord)},
	{name: "make a RoleBinding in the home", as: onBoth, run: asDeployer(createsInHome(bindingInHome))},
	{name: "patch the members' RoleBinding", as: onBoth, spoils: true, run: asDeployer(patchMemberBinding)},
	{name: "patch the members' Role", as: onBoth, spoils: true, run: asDeployer(patchMemberRole)},
	{name: "delete the members' Role", as: onBoth, spoils: true, run: asDeployer(deletes("Role", "helm-tenant-member"))},
	{name: "patch the tenant's record", as: onBoth, spoils: true, run: asDeployer(patchTenantsRecord)},
	{name: "delete the tenant's record", as: onBoth, spoils: true, run: asDeployer(deletes("ConfigMap", "helm-tenant"))},
	{name: "delete the deployer's account", as: onBoth, spoils: true, run: asDeployer(deletes("ServiceAccount", "helm"))},
	{name: "patch the home namespace's labels", as: onBoth, spoils: true, run: asDeployer(patchNamespace(home))},
	{name: "patch the tenant's namespace's labels", as: onBoth, spoils: true, run: asDeployer(patchNamespace(first))},
	{name: "delete the tenant's namespace", as: onBoth, spoils: true, run: asDeployer(deleteNamespace(first))},
	{name: "change the admin's ResourceQuota", as: onBoth, spoils: true, run: asDeployer(patchQuota)},
	{name: "make a CustomResourceDefinition", as: onOwn, run: asDeployer(createsInHome(crd))},
	{name: "make a ClusterRoleBinding", as: onOwn, run: asDeployer(createsInHome(clusterRoleBinding))},
}

// homingOfDeployer are attacks in the attacker's own name.
var homingOfDeployer = []attack{
	{name: "create a pod with the deployer's account", as: onBoth, run: podWithAccount},
	{name: "create a Deployment with the deployer's account", as: onBoth, run: createsInHome(workload)},
	{name: "read Secrets", as: onBoth, run: readRecords("secrets")},
	{name: "read release records of the team", as: onOther, run: readRecordsInTeam},
	{name: "list release records of all namespaces", as: onBoth, run: readAllHelmRecords},
	{name: "write a release record", as: onOther, run: createsInHome(recordIn("$NS"))},
	{name: "kubectl create token helm", as: onBoth, run: createToken},
	{name: "create a token Secret", as: onBoth, run: createTokenSecret},
	{name: "make a RoleBinding", as: onBoth, run: createsInHome(bindingInHome)},
	{name: "patch the members' RoleBinding", as: onBoth, spoils: true, run: patchMemberBinding},
	{name: "patch the members' Role", as: onBoth, spoils: true, run: patchMemberRole},
	{name: "read the members' RoleBinding", as: onBoth, run: readMemberBinding},
	{name: "read the tenant's record", as: onOther, run: readRecord},
	{name: "patch the tenant's record", as: onBoth, spoils: true, run: patchTenantsRecord},
	{name: "delete the tenant's record", as: onBoth, spoils: true, run: deletes("ConfigMap", "helm-tenant")},
	{name: "delete the deployer's account", as: onBoth, spoils: true, run: deletes("ServiceAccount", "helm")},
	{name: "patch the home namespace's labels", as: onBoth, spoils: true, run: patchNamespace(home)},
	{name: "delete the home namespace", as: onBoth, spoils: true, run: deleteNamespace(home)},
	{name: "patch the tenant's namespace's labels", as: onBoth, spoils: true, run: patchNamespace(first)},
	{name: "delete the tenant's namespace", as: onBoth, spoils: true, run: deleteNamespace(first)},
	{name: "change the admin's ResourceQuota", as: onBoth, spoils: true, run: patchQuota},
	{name: "read Secrets in the tenant's namespace", as: onOther, run: readSecretsOfTeam},
	{name: "make a RoleBinding in the tenant's namespace", as: onOther, run: bindingInTeam},
	{name: "exec in the team's pod", as: onOther, run: execGoods},
	{name: "port-forward to the team's pod", as: onOther, run: forwardGoods},
}

// limitsOfDeployer are what members can do that isolation does not forbid.
var limitsOfDeployer = []attack{
	{name: "kubectl --as the own deployer: read Secrets", as: onOwn, run: asDeployer(readSecretsOfTeam), knownAs: onMember,
		known: "a member can act as the deployer in all it may do, with helm or without, and its releases are its own"},
	{name: "chart: RoleBinding to an outsider", as: onOwn, run: bindsOutsider},
	{name: "the same with role edit", as: onCareful, run: bindsOutsider},
	{name: "binding made by chart before, used after", as: ofTheGone, run: leftBehind},
	{name: "token of an account of the tenant's, made before, used after", as: ofTheGone, run: leftToken, knownAs: ofTheGone,
		known: "the accounts of its namespaces are the tenant's; a token ends with its time, or its account"},
	{name: "watch opened before, used after", as: ofTheGone, run: heldWatch, knownAs: ofTheGone,
		known: "Kubernetes asks once, when the stream is opened, and ends it after an hour at most"},
	{name: "an account of one's own as another of that namespace", as: onOwn, run: accountImpersonates("system:serviceaccount:$OWN:other", ""), knownAs: onOwn,
		known: "the built-in role admin holds impersonate on the accounts of its own namespace, and on no others"},
	{name: "chart: release record in one's own namespace", as: onOwn, run: makes(recordIn("$NS")), knownAs: onMember,
		known: "Helm 3 and 4 keep records where the release is, so its charts can write them; helm acts on them with the tenant's own rights"},
	{name: "chart: Pod with the node's disk", as: onOwn, run: hostPathPod},
	{name: "the same under PodSecurity restricted", as: onCareful, run: hostPathPod},
	{name: "chart: Service with a NodePort", as: onOwn, run: nodePort, knownAs: onMember,
		known: "a tenant is admin of its namespaces; a quota of services.nodeports: 0 forbids it"},
	{name: "the same under that quota", as: onCareful, run: nodePort},
}

func listAsVariable(ctx context.Context, s *attackRun) outcome {
	out, err := s.run(ctx, call{actor: s.actor, env: []string{"HELM_KUBEASUSER=" + s.deployer(s.victim)}, program: s.helm, args: s.at(s.victim, "list")})
	return s.lists(out, s.unmasked(ctx, s.actor, s.victim, err))
}

func installAsVictim(ctx context.Context, s *attackRun) outcome {
	sub := *s
	sub.entry = s.victim
	return installIntoVictim(ctx, &sub)
}

// tenantWithVariable has helm-tenant act for the attacker's own tenant, at the
// other's namespace, in a shell that says to be the other's deployer.
func tenantWithVariable(ctx context.Context, s *attackRun) outcome {
	out, err := s.run(ctx, call{actor: s.actor, env: []string{"HELM_KUBEASUSER=" + s.deployer(s.victim)}, program: s.tenantTool,
		args: s.at(s.victim, "--tenant", s.entry.name, "list")})
	return s.lists(out, s.unmasked(ctx, s.actor, s.entry, err))
}

// ownWords is helm-tenant's refusal to let anybody but the tenant say who acts.
var ownWords = refusal{"helm-tenant", regexp.MustCompile(`--kube-as-user sets who acts, or where, but the tenant decides that`)}

// tenantWithFlag: in the control there is nobody who decides; the flag is helm's.
func tenantWithFlag(ctx context.Context, s *attackRun) outcome {
	if s.attacker != nil {
		return listByFlag(ctx, s)
	}
	out, err := s.tenantWith(ctx, nil, s.at(s.victim, "--tenant", s.entry.name, "list", "--kube-as-user", s.deployer(s.victim))...)
	return s.lists(out, err, ownWords)
}

// byWhoami is what whoami makes of the API server's refusal.
var byWhoami = refusal{"RBAC, as whoami tells", regexp.MustCompile(`you may not impersonate service account "helm" in namespace`)}

func whoamiOfDeployer(ctx context.Context, s *attackRun) outcome {
	out, err := s.run(ctx, call{actor: s.actor, program: s.tenantTool, args: []string{"--tenant", s.victim.name, "whoami", "-o", "json"}})
	effect := ""
	// That it may do nothing in the namespace that was asked for is told by who acts
	// as it.
	if strings.Contains(out, `"answers": true`) || strings.Contains(out, "may not list Secrets in namespace") {
		effect = "the API server took the attacker for its deployer"
	}
	return s.settle(err, effect, nil, byWhoami)
}

// asVictim makes an attack as the victim's deployer.
func asVictim(run func(context.Context, *attackRun) outcome) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		sub := *s
		sub.entry = s.victim
		return asDeployer(run)(ctx, &sub)
	}
}

// impersonateMore asks who one is as the own deployer and something beside it.
func impersonateMore(more func(*attackRun, *rest.ImpersonationConfig)) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		config := rest.CopyConfig(s.actor.config)
		config.Impersonate.UserName = s.deployer(s.entry)
		more(s, &config.Impersonate)
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return failure("%v", err)
		}
		review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		effect := ""
		if err == nil {
			effect = fmt.Sprintf("the API server took the attacker for %+v", review.Status.UserInfo)
		}
		return s.settle(err, effect, nil)
	}
}

const accountWithAdmin = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: $ID}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: $ID}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: $ID, namespace: $OWN}]
`

// accountImpersonates has an account of the attacker's own, with the role admin
// in a namespace of the attacker's, be somebody.
func accountImpersonates(user, group string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		if err := s.plant(ctx, accountWithAdmin); err != nil {
			return s.settle(err, "", nil)
		}
		if err := harness.Settle(ctx, s.root.client, markers); err != nil { // a refusal must not be one of before
			return failure("%v", err)
		}
		by := s.actor
		if !s.direct {
			var err error
			if by, err = s.acting(s.actor, s.entry); err != nil {
				return failure("%v", err)
			}
		}
		token, err := s.runKubectl(ctx, by, "--namespace", s.own, "create", "token", s.id)
		if err != nil {
			return s.settle(err, "", nil)
		}
		account := *s.actor
		account.config = tokenConfig(s.actor.config, token)
		sub := *s
		sub.actor = &account
		who := rest.ImpersonationConfig{UserName: s.fill(user)}
		if group != "" {
			who.Groups = []string{group}
		}
		account.config.Impersonate = who
		client, err := kubernetes.NewForConfig(account.config)
		if err != nil {
			return failure("%v", err)
		}
		review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		effect := ""
		if err == nil && review.Status.UserInfo.Username == who.UserName {
			effect = "the API server took the account for " + who.UserName
		}
		return sub.settle(err, effect, nil)
	}
}

// tokenConfig returns a client's that has a token and nothing else.
func tokenConfig(ofMember *rest.Config, token string) *rest.Config {
	config := rest.AnonymousClientConfig(ofMember)
	config.BearerToken = token
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	return config
}

func leftToken(ctx context.Context, s *attackRun) outcome {
	client, err := kubernetes.NewForConfig(tokenConfig(s.actor.config, s.token))
	if err != nil {
		return failure("%v", err)
	}
	namespace := s.victim.last()
	_, answer := client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.id}}, metav1.CreateOptions{})
	effect, err := s.seesObject(ctx, "ConfigMap", namespace, s.id)
	return s.settle(answer, effect, err)
}

func heldWatch(ctx context.Context, s *attackRun) outcome {
	// That the member is out is seen on a new request first.
	if s.attacker == nil && !s.bare {
		if o := asDeployer(readSecretsOfTeam)(ctx, s); o.verdict != refused {
			return failure("the revoked member is not out: %s", o.detail)
		}
	}
	if _, err := s.root.client.CoreV1().ConfigMaps(s.victim.last()).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.id}}, metav1.CreateOptions{}); err != nil {
		return failure("%v", err)
	}
	printed, err := eventually(ctx, func(context.Context) (string, error) {
		if _, printed := s.overheard.Load(s.id); printed {
			return "it told of a ConfigMap that was made afterwards", nil
		}
		return "", nil
	})
	if err == nil && printed == "" {
		return outcome{refused, "stream ended", "nothing came any more"}
	}
	return s.settle(nil, printed, err)
}

// recordIn returns a release record of Helm 3 and 4, as far as Kubernetes is concerned.
func recordIn(namespace string) string {
	return `
apiVersion: v1
kind: Secret
type: helm.sh/release.v1
metadata: {name: sh.helm.release.v1.$ID.v1, namespace: ` + namespace + `, labels: {owner: helm, name: $ID, status: deployed, version: "1"}}
data: {release: eA==}
`
}

const memberRoleHook = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helm-tenant-member, namespace: $HOME, labels: {attack: $ID}, annotations: ` + asHook + `}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
`

func takesOwnership(ctx context.Context, s *attackRun) outcome {
	// One of the same kind and name as the release has, made for this.
	release, err := s.fresh(ctx)
	if err != nil {
		return failure("%v", err)
	}
	sub := *s
	sub.id = s.id + "-take"
	dir, err := sub.writeChart("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + release + "}\ndata: {owner: taken}\n")
	if err != nil {
		return failure("%v", err)
	}
	answer := s.installs(ctx, s.actor, s.entry, dir, s.id, s.victim.namespaces[0], "--take-ownership")
	effect, err := s.seesField(ctx, "ConfigMap", s.victim.namespaces[0], release, "taken", "data", "owner")
	return s.after(ctx, release, answer, effect, err)
}

// looksUp has a template read another's Secret, by the deployer that installs it.
func looksUp(ctx context.Context, s *attackRun) outcome {
	manifest := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID}\ndata: {seen: {{ (lookup \"v1\" \"Secret\" \"$NS\" \"$RELEASE\").data | toJson | quote }} }\n"
	answer := s.install(ctx, s.entry.namespaces[0], manifest)
	object, err := s.live(ctx, "ConfigMap", s.entry.namespaces[0], s.id)
	effect := ""
	if err == nil && object != nil && strings.Contains(fmt.Sprint(object.Object["data"]), "password") {
		effect = "a chart holds what stands in the other's Secret"
	}
	return s.settle(answer, effect, err)
}

func listByOwn(ctx context.Context, s *attackRun) outcome {
	return s.lists(s.through(ctx, s.actor, s.entry, s.at(s.victim, "list")...))
}

func listAllByOwn(ctx context.Context, s *attackRun) outcome {
	return s.lists(s.through(ctx, s.actor, s.entry, "list", "--all-namespaces"))
}

func createsNamespace(ctx context.Context, s *attackRun) outcome {
	dir, err := s.writeChart(s.fill("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID}\n"))
	if err != nil {
		return failure("%v", err)
	}
	answer := s.installs(ctx, s.actor, s.entry, dir, s.id, s.id, "--create-namespace")
	effect, err := s.seesObject(ctx, "Namespace", "", s.id)
	return s.settle(answer, effect, err)
}

// crdsFolder puts a definition into the folder that Helm 3 and 4 install first.
func crdsFolder(ctx context.Context, s *attackRun) outcome {
	manifest := s.fill(crd)
	dir, err := s.writeChart(s.fill("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID}\n"))
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "crds"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "crds", "crd.yaml"), []byte(manifest), 0o644)
	}
	if err != nil {
		return failure("%v", err)
	}
	answer := s.installs(ctx, s.actor, s.entry, dir, s.id, s.entry.namespaces[0])
	return s.made(ctx, "", crd, answer)
}

func readRecordsInTeam(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, "/api/v1/namespaces/"+s.victim.namespaces[0]+"/secrets?labelSelector=owner%3Dhelm", "it told release records", `"release":"`)
}

func readAllHelmRecords(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, "/api/v1/secrets?labelSelector=owner%3Dhelm", "it told release records", `"release":"`)
}

func readSecretsOf(namespace string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		return s.getRaw(ctx, "/api/v1/namespaces/"+namespace+"/secrets", "it listed them", `"kind":"SecretList"`)
	}
}

func readMemberBinding(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+s.victim.home+"/rolebindings", "it told the members", `"kind":"RoleBindingList"`)
}

var (
	patchMemberBinding = patches("RoleBinding", "helm-tenant-member", "", `{"metadata":{"labels":{"attack":"$ID"}},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"mallory"}]}`)
	patchMemberRole    = patches("Role", "helm-tenant-member", "", `{"metadata":{"labels":{"attack":"$ID"}},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["*"]}]}`)
	patchTenantsRecord = patches("ConfigMap", "helm-tenant", "", `{"metadata":{"labels":{"attack":"$ID"}},"data":{"tenant.yaml":"role: cluster-admin"}}`)
)
