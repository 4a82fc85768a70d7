package attack

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// homing are attacks that go to the API server directly, at the home namespace
// and what stands in it.
var homing = []attack{
	{name: "create a pod with Tiller's account", as: onBoth, run: podWithAccount},
	{name: "create a pod with Tiller's labels", as: onBoth, run: createsInHome(spoofedPod)},
	{name: "create a Deployment with Tiller's account", as: onBoth, run: createsInHome(workload)},
	{name: "exec into Tiller", as: onBoth, run: execTiller},
	{name: "attach to Tiller", as: onBoth, run: upgradesBy(http.MethodPost, "attach?container=tiller&stdout=true", spdyStreams)},
	{name: "exec by GET over WebSocket", as: onBoth, run: upgradesBy(http.MethodGet, "exec?container=tiller&command=/tiller&stdout=true", webSocket)},
	{name: "ephemeral container in Tiller's pod", as: onBoth, run: ephemeralContainer},
	{name: "kubectl debug", as: onBoth, run: kubectlDebug},
	{name: "Tiller's logs", as: onBoth, run: logs},
	{name: "delete Tiller's pod", as: onBoth, spoils: true, needsPod: true, run: deletePod},
	{name: "evict Tiller's pod", as: onBoth, spoils: true, needsPod: true, run: evictPod},
	{name: "read Secrets", as: onBoth, run: readRecords("secrets")},
	{name: "read release records", as: onBoth, run: readReleaseRecord},
	{name: "list release records of all namespaces", as: onBoth, run: readAllRecords},
	{name: "kubectl create token tiller", as: onBoth, run: createToken},
	{name: "create a token Secret", as: onBoth, run: createTokenSecret},
	{name: "impersonate Tiller's account", as: onBoth, run: impersonate("$DEPLOYER", "")},
	{name: "impersonate a member", as: onOther, run: impersonate("$MEMBER", "")},
	{name: "impersonate system:masters", as: onOwn, run: impersonate("root", "system:masters")},
	{name: "patch Tiller's Deployment", as: onBoth, spoils: true, run: patches("Deployment", "tiller-deploy", "", `{"metadata":{"labels":{"attack":"$ID"}},"spec":{"template":{"spec":{"containers":[{"name":"tiller","image":"`+pauseImage+`"}]}}}}`)},
	{name: "scale Tiller's Deployment", as: onBoth, spoils: true, needsPod: true, run: scaleTiller},
	{name: "delete Tiller's Deployment", as: onBoth, spoils: true, run: deletes("Deployment", "tiller-deploy")},
	{name: "delete the NetworkPolicy", as: onBoth, spoils: true, run: deletes("NetworkPolicy", "helm-tenant")},
	{name: "make a NetworkPolicy that lets all in", as: onBoth, run: createsInHome(openPolicy)},
	{name: "make a Service at Tiller", as: onBoth, run: createsInHome(serviceInHome)},
	{name: "make a RoleBinding", as: onBoth, run: createsInHome(bindingInHome)},
	{name: "patch the members' RoleBinding", as: onBoth, spoils: true, run: patches("RoleBinding", "helm-tenant-member", "", `{"metadata":{"labels":{"attack":"$ID"}},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"mallory"}]}`)},
	{name: "patch the members' Role", as: onBoth, spoils: true, run: patches("Role", "helm-tenant-member", "", `{"metadata":{"labels":{"attack":"$ID"}},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["*"]}]}`)},
	{name: "read the tenant's record", as: onOther, run: readRecord},
	{name: "patch the tenant's record", as: onBoth, spoils: true, run: patches("ConfigMap", "helm-tenant", "", `{"metadata":{"labels":{"attack":"$ID"}},"data":{"tenant.yaml":"role: cluster-admin"}}`)},
	{name: "patch the home namespace's labels", as: onBoth, spoils: true, run: patchNamespace(home)},
	{name: "delete the home namespace", as: onBoth, spoils: true, run: deleteNamespace(home)},
	{name: "patch the tenant's namespace's labels", as: onBoth, spoils: true, run: patchNamespace(first)},
	{name: "delete the tenant's namespace", as: onBoth, spoils: true, run: deleteNamespace(first)},
	{name: "change the admin's ResourceQuota", as: onBoth, spoils: true, run: patchQuota},
	{name: "delete the admission policy's binding", as: onOwn, run: deletePolicyBinding},
	{name: "read Secrets in the tenant's namespace", as: onOther, run: readSecretsOfTeam},
	{name: "make a RoleBinding in the tenant's namespace", as: onOther, run: bindingInTeam},
	{name: "helm init --upgrade with another image", as: onBoth, spoils: true, run: helmInitUpgrade},
	{name: "helm reset --force", as: onBoth, spoils: true, needsPod: true, run: helmReset},
}

// kubectlCreate creates an object as the actor, with kubectl if its output shows the result.
func (s *attackRun) kubectlCreate(ctx context.Context, manifest string) error {
	if s.actor.as != "" {
		// kubectl asks for something else first, and can't read how that is refused.
		object, err := parse(s.fill(manifest))
		if err != nil {
			return err
		}
		_, err = s.actor.dynamic.Resource(resources[object.GetKind()]).Namespace(object.GetNamespace()).Create(ctx, object, metav1.CreateOptions{})
		return err
	}
	_, err := s.run(ctx, call{actor: s.actor, program: s.kubectl, args: []string{"create", "--validate=false", "-f", "-"}, stdin: s.fill(manifest)})
	return err
}

// createsInHome returns an attack by one object that the actor creates itself.
func createsInHome(manifest string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		return s.made(ctx, "", manifest, s.kubectlCreate(ctx, manifest))
	}
}

// podWithAccount runs a pod as Tiller's account, which tells who it is.
func podWithAccount(ctx context.Context, s *attackRun) outcome {
	manifest := podManifest("$HOME", "$ID", "\n  serviceAccountName: $ACCOUNT", kubectlImage, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
	manifest = strings.Replace(manifest, "automountServiceAccountToken: false", "automountServiceAccountToken: true", 1)
	if err := s.kubectlCreate(ctx, manifest); err != nil {
		return s.settle(err, "", nil)
	}
	output, err := s.ended(ctx, s.victim.home, s.id)
	effect := ""
	if output == s.deployer(s.victim) {
		effect = "a pod ran as " + output
	}
	return s.settle(nil, effect, err)
}

// spoofedPod is one that helm takes for a Tiller. Its image is nowhere, so that
// it never gets between the other attacks and the Tiller.
var spoofedPod = strings.Replace(podManifest("$HOME", "$ID", "", "attack.example/nowhere:v1"), "namespace: $HOME", "namespace: $HOME, labels: {app: helm, name: tiller}", 1)

const workload = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: $ID, namespace: $HOME}
spec:
  replicas: 0
  selector: {matchLabels: {app: $ID}}
  template:
    metadata: {labels: {app: $ID}}
    spec:
      serviceAccountName: $ACCOUNT
      containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]
`

const openPolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: $ID, namespace: $HOME}
spec: {podSelector: {}, ingress: [{}]}
`

func ephemeralContainer(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	patch := s.fill(`{"spec":{"ephemeralContainers":[{"name":"$ID","image":"` + pauseImage + `","targetContainerName":"tiller"}]}}`)
	_, answer := s.actor.client.CoreV1().Pods(s.victim.home).Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "ephemeralcontainers")
	return s.seesEphemeral(ctx, pod.Name, answer)
}

func kubectlDebug(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	_, answer := s.runKubectl(ctx, s.actor, "--namespace", s.victim.home, "debug", pod.Name, "--image="+pauseImage, "--target=tiller", "--container="+s.id, "--profile=restricted")
	return s.seesEphemeral(ctx, pod.Name, answer)
}

func (s *attackRun) seesEphemeral(ctx context.Context, name string, answer error) outcome {
	pod, err := s.root.client.CoreV1().Pods(s.victim.home).Get(ctx, name, metav1.GetOptions{})
	effect := ""
	if err == nil {
		for _, container := range pod.Spec.EphemeralContainers {
			if container.Name == s.id {
				effect = "a container of the attacker's is in Tiller's pod"
			}
		}
	}
	return s.settle(answer, effect, err)
}

func logs(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	return s.getRaw(ctx, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/log", s.victim.home, pod.Name), "it told its logs", "[main] ")
}

func deletePod(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	_, answer := s.runKubectl(ctx, s.actor, "--namespace", s.victim.home, "delete", "--wait=false", "pod", pod.Name)
	effect, err := s.seesNone(ctx, "Pod", s.victim.home, pod.Name)
	return s.settle(answer, effect, err)
}

func evictPod(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	eviction := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, pod.Name, s.victim.home)
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", s.victim.home, pod.Name)
	_, answer := s.run(ctx, call{actor: s.actor, program: s.kubectl, args: []string{"create", "--raw", path, "-f", "-"}, stdin: eviction})
	effect, err := s.seesNone(ctx, "Pod", s.victim.home, pod.Name)
	return s.settle(answer, effect, err)
}

func readRecords(resource string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		return s.getRaw(ctx, "/api/v1/namespaces/"+s.victim.home+"/"+resource, "it listed them", `"kind":"`)
	}
}

// storage returns the resource that holds a world's release records.
func (s *attackRun) storage() string {
	if s.records == "Secret" && s.victim != s.careful {
		return "secrets"
	}
	return "configmaps"
}

func readReleaseRecord(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, "/api/v1/namespaces/"+s.victim.home+"/"+s.storage()+"/"+s.victim.release+".v1", "it told a release record", `"release":"`)
}

func readAllRecords(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, "/api/v1/"+s.storage()+"?labelSelector=OWNER%3DTILLER", "it told release records", `"release":"`)
}

func createToken(ctx context.Context, s *attackRun) outcome {
	out, answer := s.runKubectl(ctx, s.actor, "--namespace", s.victim.home, "create", "token", s.account)
	if answer != nil {
		return s.settle(answer, "", nil)
	}
	effect, err := s.seesToken(ctx, out)
	return s.settle(nil, effect, err)
}

func createTokenSecret(ctx context.Context, s *attackRun) outcome {
	return s.tokenFrom(ctx, s.id, s.kubectlCreate(ctx, tokenSecret))
}

func impersonate(user, group string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		user := s.fill(user)
		args := []string{"create", "--raw", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "-f", "-", "--as", user}
		if group != "" {
			args = append(args, "--as-group", group)
		}
		question := `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
		out, answer := s.run(ctx, call{actor: s.actor, program: s.kubectl, args: args, stdin: question})
		effect := ""
		if strings.Contains(out, `"username":"`+user+`"`) {
			effect = "the API server took the attacker for " + user
		}
		return s.settle(answer, effect, nil)
	}
}

// patches returns an attack by one patch, which sets the label attack: $ID. It omits the GET that
// kubectl sends first, so that only the right to patch counts.
func patches(kind, name, subresource, patch string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		answer := s.patch(ctx, kind, s.victim.home, name, patch, subresource)
		effect, err := s.seesMark(ctx, kind, s.victim.home, name)
		return s.settle(answer, effect, err)
	}
}

func (s *attackRun) patch(ctx context.Context, kind, namespace, name, patch, subresource string) error {
	var more []string
	if subresource != "" {
		more = append(more, subresource)
	}
	how := types.MergePatchType
	if kind == "Deployment" && subresource == "" {
		how = types.StrategicMergePatchType // which knows that containers have names
	}
	api := s.actor.dynamic.Resource(resources[kind])
	var err error
	if namespace == "" {
		_, err = api.Patch(ctx, name, how, []byte(s.fill(patch)), metav1.PatchOptions{}, more...)
	} else {
		_, err = api.Namespace(namespace).Patch(ctx, name, how, []byte(s.fill(patch)), metav1.PatchOptions{}, more...)
	}
	return err
}

func scaleTiller(ctx context.Context, s *attackRun) outcome {
	answer := s.patch(ctx, "Deployment", s.victim.home, "tiller-deploy", `{"spec":{"replicas":0}}`, "scale")
	effect, err := s.seesField(ctx, "Deployment", s.victim.home, "tiller-deploy", "0", "spec", "replicas")
	return s.settle(answer, effect, err)
}

func deletes(kind, name string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		was, err := s.live(ctx, kind, s.victim.home, name)
		if err != nil || was == nil && !s.bare {
			return failure("%s %s, which is to be deleted, is not there: %v", kind, name, err)
		}
		_, answer := s.runKubectl(ctx, s.actor, "--namespace", s.victim.home, "delete", "--wait=false", strings.ToLower(kind), name)
		effect := ""
		if was != nil {
			effect, err = s.seesNone(ctx, kind, s.victim.home, name)
		}
		return s.settle(answer, effect, err)
	}
}

func readRecord(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, "/api/v1/namespaces/"+s.victim.home+"/configmaps/helm-tenant", "it told the tenant's record", `"tenant.yaml":"`)
}

// home and first pick one of a team's namespaces.
func home(t *tenant) string  { return t.home }
func first(t *tenant) string { return t.namespaces[0] }

func patchNamespace(which func(*tenant) string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		name := which(s.victim)
		answer := s.patch(ctx, "Namespace", "", name, `{"metadata":{"labels":{"attack":"$ID","helm-tenant/home":null}}}`, "")
		effect, err := s.seesMark(ctx, "Namespace", "", name)
		return s.settle(answer, effect, err)
	}
}

func deleteNamespace(which func(*tenant) string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		name := which(s.victim)
		_, answer := s.runKubectl(ctx, s.actor, "delete", "--wait=false", "namespace", name)
		effect, err := s.seesNone(ctx, "Namespace", "", name)
		return s.settle(answer, effect, err)
	}
}

func patchQuota(ctx context.Context, s *attackRun) outcome {
	namespace := s.victim.namespaces[0]
	answer := s.patch(ctx, "ResourceQuota", namespace, "by-admin", `{"metadata":{"labels":{"attack":"$ID"}},"spec":{"hard":{"pods":"100000"}}}`, "")
	effect, err := s.seesMark(ctx, "ResourceQuota", namespace, "by-admin")
	return s.settle(answer, effect, err)
}

// deletePolicyBinding would allow charts to write anything into every home.
func deletePolicyBinding(ctx context.Context, s *attackRun) outcome {
	name := s.policyBinding
	if name == "" {
		name = "helm-tenant-records" // the recipe has none; the right is what counts
	}
	_, answer := s.runKubectl(ctx, s.actor, "delete", "--wait=false", "validatingadmissionpolicybinding", name)
	effect, err := s.seesNone(ctx, "ValidatingAdmissionPolicyBinding", "", name)
	return s.settle(answer, effect, err)
}

func readSecretsOfTeam(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, "/api/v1/namespaces/"+s.victim.namespaces[0]+"/secrets/"+s.victim.release, "it told the release's password", `"password":"`)
}

func bindingInTeam(ctx context.Context, s *attackRun) outcome {
	manifest := strings.Replace(bindingInHome, "namespace: $HOME", "namespace: $NS", 1)
	return s.made(ctx, "", manifest, s.kubectlCreate(ctx, manifest))
}

func helmInitUpgrade(ctx context.Context, s *attackRun) outcome {
	image := "attack.example/" + s.id + ":v1"
	_, answer := s.runHelm(ctx, s.actor, "init", "--skip-refresh", "--upgrade", "--force-upgrade", "--tiller-image="+image, "--service-account=tiller", "--tiller-namespace="+s.victim.home)
	d, err := s.root.client.AppsV1().Deployments(s.victim.home).Get(ctx, "tiller-deploy", metav1.GetOptions{})
	effect := ""
	if err == nil && d.Spec.Template.Spec.Containers[0].Image == image {
		effect = "Tiller is of the attacker's image"
	}
	return s.settle(answer, effect, err)
}

func helmReset(ctx context.Context, s *attackRun) outcome {
	// It wants to see a Tiller pod, even with --force.
	if _, err := s.pod(ctx, s.victim); err != nil {
		return failure("%v", err)
	}
	_, answer := s.run(ctx, call{actor: s.actor, program: s.helm, args: []string{"--tiller-connection-timeout=3", "--tiller-namespace=" + s.victim.home, "reset", "--force"}})
	effect, err := s.seesNone(ctx, "Deployment", s.victim.home, "tiller-deploy")
	return s.settle(answer, effect, err)
}
