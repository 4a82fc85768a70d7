package attack

import (
	"context"
	"regexp"
	"strings"
	"time"
)

// charting are attacks by the content of a chart: the attacker's own Tiller is to do what the
// attacker may not. An attacker in no tenant has no Tiller, and tries to use one.
var charting = []attack{
	{name: "chart: --namespace of the other team", as: onOther, run: installIntoVictim},
	{name: "chart: metadata.namespace of the other team", as: onOther, run: makes(configMapIn("$NS"))},
	{name: "chart: hook in the other team's namespace", as: onOther, run: makes(hookIn("$NS"))},
	{name: "chart: hook that replaces the other's object", as: onOther, spoils: true, run: replacesVictimsObject},
	{name: "chart: --namespace default", as: onOwn, run: installInto("default")},
	{name: "chart: into kube-system", as: onOwn, run: makes(configMapIn("kube-system"))},
	{name: "chart: release named as the other's", as: onOther, alone: true, run: sameName},
	{name: "own Tiller: values of the other's release", as: onOther, run: valuesByOwnTiller},
	{name: "own Tiller: delete the other's release", as: onOther, run: deleteByOwnTiller},

	{name: "chart: --namespace of the home", as: onBoth, run: installIntoHome},
	{name: "chart: ConfigMap in the home", as: onBoth, run: makes(configMapIn("$HOME"))},
	{name: "chart: Pod in the home with Tiller's account", as: onBoth, run: chartPodInHome},
	{name: "chart: token Secret of Tiller's account", as: onBoth, run: tokenSecretByChart},
	{name: "chart: RoleBinding in the home", as: onBoth, run: makes(bindingInHome)},
	{name: "chart: Service in the home at Tiller", as: onBoth, run: makes(serviceInHome)},
	{name: "chart: replace the tenant's record", as: onBoth, spoils: true, run: replaces(recordHook)},
	{name: "chart: replace the NetworkPolicy", as: onBoth, spoils: true, run: replaces(networkPolicyHook)},
	{name: "chart: replace Tiller's Deployment", as: onBoth, spoils: true, run: replaces(deploymentHook)},
	{name: "chart: hook in the home", as: onBoth, run: makes(hookIn("$HOME"))},
	{name: "chart: release record that is a token Secret", as: onOwn, run: tokenSecretAsRecord},

	{name: "chart: ClusterRoleBinding to cluster-admin", as: onOwn, run: makes(clusterRoleBinding)},
	{name: "chart: Namespace", as: onOwn, run: makes("apiVersion: v1\nkind: Namespace\nmetadata: {name: $ID}\n")},
	{name: "chart: replace the Namespace object", as: onBoth, spoils: true, run: replaces(namespaceHook)},
	{name: "chart: CustomResourceDefinition", as: onOwn, run: makes(crd)},
	{name: "chart: PersistentVolume on the node's disk", as: onOwn, run: makes(persistentVolume)},
	{name: "chart: webhook that sees every write", as: onOwn, run: makes(webhook)},
	{name: "chart: PriorityClass", as: onOwn, run: makes("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: $ID}\nvalue: 1000\n")},
	{name: "chart: binding of an admission policy", as: onOwn, run: makes(policyBinding)},
	{name: "chart: ResourceQuota in the tenant's namespace", as: onOwn, run: makes("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: $ID}\nspec: {hard: {pods: \"1000\"}}\n")},
	{name: "chart: LimitRange in the tenant's namespace", as: onOwn, run: makes("apiVersion: v1\nkind: LimitRange\nmetadata: {name: $ID}\nspec: {limits: [{type: PersistentVolumeClaim, max: {storage: 1Ti}}]}\n")},
	{name: "chart: replace the admin's ResourceQuota", as: onOwn, spoils: true, run: replaces(quotaHook)},
	{name: "chart: Role of more than admin", as: onOwn, run: makes(roleOfMore)},
	{name: "chart: RoleBinding to cluster-admin", as: onOwn, run: makes(bindingToClusterAdmin)},
	{name: "chart: Pod in the tenant's namespace as tiller", as: onOwn, run: podAsTiller},
}

func configMapIn(namespace string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID, namespace: " + namespace + "}\n"
}

func hookIn(namespace string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID, namespace: " + namespace + ", annotations: {helm.sh/hook: pre-install}}\n"
}

func installIntoVictim(ctx context.Context, s *attackRun) outcome {
	return s.makes(ctx, s.victim.namespaces[0], "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID}\n")
}

func installIntoHome(ctx context.Context, s *attackRun) outcome {
	return s.makes(ctx, s.victim.home, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID}\n")
}

func installInto(namespace string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		return s.makes(ctx, namespace, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID}\n")
	}
}

func replacesVictimsObject(ctx context.Context, s *attackRun) outcome {
	name := s.victim.release
	if s.world.dummy != nil {
		name = "by-admin-settings"
		if err := s.apply(ctx, s.fill("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: by-admin-settings, namespace: $NS}\n")); err != nil {
			return failure("%v", err)
		}
	}
	return replaces("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+", namespace: $NS, labels: {attack: $ID}, annotations: "+asHook+"}\n")(ctx, s)
}

// sameName installs a release under the name of the other's release: with a Tiller for each
// they do not conflict. It worked if the other's release changed, or if the attacker learns
// that there is one.
func sameName(ctx context.Context, s *attackRun) outcome {
	sub := *s
	dir, err := sub.writeChart(s.fill("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID}\ndata: {owner: taken}\n"))
	if err != nil {
		return failure("%v", err)
	}
	_, answer := s.runHelm(ctx, s.actor, "--tiller-namespace="+s.entry.home, "install", dir, "--name", s.victim.release, "--namespace", s.entry.namespaces[0])
	if answer == nil {
		// It is the attacker's own release of that name now, and goes again.
		if out, err := s.runHelm(ctx, s.actor, "--tiller-namespace="+s.entry.home, "delete", "--purge", s.victim.release); err != nil {
			return failure("%s %v", out, err)
		}
		effect, err := s.seesNone(ctx, "ConfigMap", s.victim.namespaces[0], s.victim.release)
		if err != nil || effect != "" {
			return s.settle(nil, effect, err)
		}
		return outcome{refused, "another Tiller", "the name was free in the attacker's own Tiller, and the other's release is untouched"}
	}
	effect := ""
	if strings.Contains(answer.Error(), "already exists") {
		effect = "the attacker's install met the other's release"
	}
	return s.settle(answer, effect, nil)
}

// notFound is what a Tiller says of a release that another Tiller has.
var notFound = refusal{"another Tiller", regexp.MustCompile(`release: "[^"]+" not found`)}

func valuesByOwnTiller(ctx context.Context, s *attackRun) outcome {
	out, err := s.through(ctx, s.actor, s.entry, s.at(s.victim, "get", "values", s.victim.release)...)
	effect := ""
	if strings.Contains(out, password) {
		effect = "it told the password among its values"
	}
	return s.settle(err, effect, nil, notFound)
}

func deleteByOwnTiller(ctx context.Context, s *attackRun) outcome {
	release, err := s.fresh(ctx)
	if err != nil {
		return failure("%v", err)
	}
	_, answer := s.through(ctx, s.actor, s.entry, s.removal(s.victim, release)...)
	effect, err := s.seesNone(ctx, "ConfigMap", s.victim.namespaces[0], release)
	o := s.settle(answer, effect, err, notFound)
	if o.verdict == refused {
		if err := s.purge(ctx, release); err != nil {
			return failure("cleaning up: %v", err)
		}
	}
	return o
}

func chartPodInHome(ctx context.Context, s *attackRun) outcome {
	manifest := podManifest("$HOME", "$ID", "\n  serviceAccountName: $ACCOUNT", pauseImage)
	return s.makes(ctx, s.entry.namespaces[0], manifest)
}

// tokenSecret is one that the control plane fills with a token that never ends.
const tokenSecret = `
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: $ID, namespace: $HOME, annotations: {kubernetes.io/service-account.name: $ACCOUNT}}
`

func tokenSecretByChart(ctx context.Context, s *attackRun) outcome {
	return s.tokenFrom(ctx, s.id, s.install(ctx, s.entry.namespaces[0], tokenSecret))
}

// tokenSecretAsRecord creates the same Secret in the form of a release record.
func tokenSecretAsRecord(ctx context.Context, s *attackRun) outcome {
	manifest := strings.Replace(tokenSecret, "{name: $ID,", "{name: $ID-token.v1, labels: {OWNER: TILLER, NAME: $ID, STATUS: DEPLOYED, VERSION: \"1\"},", 1)
	return s.tokenFrom(ctx, s.id+"-token.v1", s.install(ctx, s.entry.namespaces[0], manifest+"data: {release: eA==}\n"))
}

// tokenFrom sees whether a Secret in the home holds a token of Tiller's account.
// The token comes a moment after the Secret.
func (s *attackRun) tokenFrom(ctx context.Context, name string, answer error) outcome {
	look := func(ctx context.Context) (string, error) {
		secret, err := s.live(ctx, "Secret", s.victim.home, name)
		if err != nil || secret == nil {
			return "", err
		}
		return s.seesToken(ctx, decoded(secret, "token"))
	}
	if answer == nil {
		effect, err := eventually(ctx, look)
		return s.settle(answer, effect, err)
	}
	time.Sleep(200 * time.Millisecond)
	effect, err := look(ctx)
	return s.settle(answer, effect, err)
}

const bindingInHome = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: $ID, namespace: $HOME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: $ME}]
`

const serviceInHome = `
apiVersion: v1
kind: Service
metadata: {name: $ID, namespace: $HOME}
spec: {type: NodePort, selector: {app: helm, name: tiller}, ports: [{port: 44134}]}
`

const recordHook = `
apiVersion: v1
kind: ConfigMap
metadata: {name: helm-tenant, namespace: $HOME, labels: {attack: $ID}, annotations: ` + asHook + `}
data: {tenant.yaml: "name: $VICTIM\nnamespaces: [kube-system]\nrole: cluster-admin\n"}
`

const networkPolicyHook = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: helm-tenant, namespace: $HOME, labels: {attack: $ID}, annotations: ` + asHook + `}
spec: {podSelector: {}, ingress: [{}]}
`

const deploymentHook = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: tiller-deploy, namespace: $HOME, labels: {attack: $ID}, annotations: ` + asHook + `}
spec:
  selector: {matchLabels: {app: helm, name: tiller}}
  template:
    metadata: {labels: {app: helm, name: tiller}}
    spec:
      serviceAccountName: tiller
      containers: [{name: tiller, image: "registry.k8s.io/pause:3.10"}]
`

const clusterRoleBinding = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: $ID}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody-at-all}]
`

const namespaceHook = `
apiVersion: v1
kind: Namespace
metadata: {name: $NS, labels: {attack: $ID}, annotations: ` + asHook + `}
`

const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.$ID.attack.example}
spec:
  group: $ID.attack.example
  names: {kind: Thing, plural: things, singular: thing, listKind: ThingList}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`

const persistentVolume = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: $ID}
spec: {capacity: {storage: 1Mi}, accessModes: [ReadWriteOnce], storageClassName: attack, hostPath: {path: /}}
`

// webhook receives every write to a kind that nobody uses; the attack is to create it.
const webhook = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: $ID}
webhooks:
- name: webhook.attack.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig: {url: "https://127.0.0.1:1/"}
  rules: [{apiGroups: [attack.example], apiVersions: [v1], resources: [things], operations: [CREATE]}]
`

const policyBinding = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: $ID}
spec: {policyName: nobodys, validationActions: [Audit]}
`

const quotaHook = `
apiVersion: v1
kind: ResourceQuota
metadata: {name: by-admin, namespace: $NS, labels: {attack: $ID}, annotations: ` + asHook + `}
spec: {hard: {pods: "100000"}}
`

const roleOfMore = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: $ID}
rules: [{apiGroups: [""], resources: [resourcequotas], verbs: ["*"]}]
`

const bindingToClusterAdmin = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: $ID}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: $OWN}]
`

// noAccount is what the API server says of a pod whose account is in another
// namespace.
var noAccount = refusal{"no such account there", regexp.MustCompile(`error looking up service account \S+/(?:tiller|helm): serviceaccount "(?:tiller|helm)" not found`)}

func podAsTiller(ctx context.Context, s *attackRun) outcome {
	namespace := s.entry.namespaces[0]
	answer := s.install(ctx, namespace, podManifest(namespace, "$ID", "\n  serviceAccountName: $ACCOUNT", pauseImage))
	effect, err := s.seesObject(ctx, "Pod", namespace, s.id)
	return s.settle(answer, effect, err, noAccount)
}
