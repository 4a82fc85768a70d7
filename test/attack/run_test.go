package attack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// tenant is a team in one of the worlds, however that world makes one.
type tenant struct {
	name       string // the name for helm-tenant
	home       string // the namespace of its Tiller
	namespaces []string
	release    string // an installed release; its ConfigMap of that name is in the first namespace
	member     string // an innocent one
}

// last returns the one of its namespaces in which somebody left something behind.
func (t *tenant) last() string { return t.namespaces[len(t.namespaces)-1] }

// world is one way of sharing the cluster, with the same people and teams.
type world struct {
	*environment
	name string
	// a and b are the teams. careful is another team of a's members with the stricter settings
	// that the documentation recommends; a itself if a world has no such team.
	a, b, careful *tenant
	// account is the service account that acts for a team, in its home.
	account string
	// bare says that its teams have neither records nor policies.
	bare bool
	// guarded says that its teams' namespaces have guard rails.
	guarded bool
	// records is the kind of Tiller's release records.
	records string
	// policyBinding is the admission policy's, if the world has one.
	policyBinding string
	// tunnel is the local port of a port-forward that the revoked member opened
	// while still in, and still holds.
	tunnel int
	// token is one that the revoked member made while still in, of an account in
	// one of the team's namespaces.
	token string
	// overheard are the ConfigMaps of that namespace that a watch told of, which
	// the revoked member opened while still in.
	overheard *sync.Map

	// What the world's administrator does, in that world's way.
	grant, revoke func(ctx context.Context, t *tenant, user string) error
	initAgain     func(ctx context.Context, t *tenant) error
	initNew       func(ctx context.Context, name string) error
	destroy       func(ctx context.Context, name string) error
	// export is the administrator's list of a team, which may be applied again.
	export func(ctx context.Context, t *tenant) (string, error)
	// show is how an administrator looks at who has rights in a team's namespaces.
	show func(ctx context.Context, t *tenant) (string, error)

	// dummy creates a team that an attack may damage; nil if attacks must not succeed and are
	// made on the real teams.
	dummy func(ctx context.Context, withPod bool) (*tenant, error)
	// attacker is who attacks, whatever the relation; nil where the relation says.
	attacker *person
}

// relation is what an attacker is to the attacked team.
type relation int

const (
	memberAtOther   relation = iota // A's member, at B
	memberAtHome                    // A's member, at the home namespace of A itself
	stranger                        // somebody of the cluster who is in no tenant, at B
	revoked                         // one who was in A, at A
	memberOfCareful                 // a member of the careful tenant, at its home
)

var relationNames = map[relation]string{
	memberAtOther: "A's member, at B", memberAtHome: "A's member, at A", stranger: "stranger", revoked: "revoked", memberOfCareful: "careful A's member",
}

// Relations for the tables of attacks: some requests are an attack only on another's tenant.
var (
	onOther   = []relation{memberAtOther, stranger, revoked}
	onOwn     = []relation{memberAtHome, stranger, revoked}
	onBoth    = []relation{memberAtOther, memberAtHome, stranger, revoked}
	onCareful = []relation{memberOfCareful}
	ofTheGone = []relation{revoked}
)

// attackRun is one attack in one world, by an attacker of one relation.
type attackRun struct {
	*world
	relation relation
	actor    *person
	// entry is the team whose Tiller the actor's charts go through, or are tried
	// to; victim is the one that is attacked.
	entry, victim *tenant
	// own is a namespace in which the actor may run pods: by chart, or where
	// direct is set by kubectl.
	own    string
	direct bool
	// id is unlike any other run's and fits into any name.
	id string
}

var attackRuns atomic.Int64

// newAttackRun places an attack. One that spoils what it hits hits a dummy where the
// world has them.
func newAttackRun(ctx context.Context, w *world, as relation, a attack) (*attackRun, error) {
	s := &attackRun{world: w, relation: as, id: fmt.Sprintf("x%d", attackRuns.Add(1))}
	switch as {
	case memberAtOther:
		s.actor, s.entry, s.victim = w.alice, w.a, w.b
	case memberAtHome:
		s.actor, s.entry, s.victim = w.alice, w.a, w.a
	case memberOfCareful:
		s.actor, s.entry, s.victim = w.alice, w.careful, w.careful
	case stranger:
		s.actor, s.entry, s.victim, s.direct = w.mallory, w.b, w.b, true
	case revoked:
		s.actor, s.entry, s.victim, s.direct = w.carol, w.a, w.a, true
	}
	if w.attacker != nil {
		s.actor, s.direct = w.attacker, false
	}
	s.own = s.entry.namespaces[0]
	if s.direct {
		s.own = w.elsewhere(s.actor)
	}
	if a.spoils && w.dummy != nil {
		var err error
		if s.victim, err = w.dummy(ctx, a.needsPod); err != nil {
			return nil, fmt.Errorf("making something to spoil: %w", err)
		}
	}
	return s, nil
}

// fill replaces what stands for names in a manifest.
func (s *attackRun) fill(manifest string) string {
	return strings.NewReplacer(
		"$ID", s.id, "$HOME", s.victim.home, "$NS", s.victim.namespaces[0], "$OWN", s.own, "$VICTIM", s.victim.name,
		"$MEMBER", s.victim.member, "$ME", s.actor.name,
		"$ACCOUNT", s.account, "$DEPLOYER", s.deployer(s.victim), "$ENGINE", s.engine(), "$RELEASE", s.victim.release,
	).Replace(manifest)
}

// writeChart writes a chart that makes the objects of a manifest.
func (s *attackRun) writeChart(manifest string) (string, error) {
	dir := filepath.Join(s.dir, "charts", s.id)
	if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o755); err != nil {
		return "", err
	}
	about := "apiVersion: v1\nname: attack\nversion: 0.1.0\n"
	if err := os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte(about), 0o644); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "templates", "all.yaml"), []byte(manifest), 0o644)
}

// install installs a chart of these objects through the entry's Tiller.
func (s *attackRun) install(ctx context.Context, namespace, manifest string) error {
	dir, err := s.writeChart(s.fill(manifest))
	if err != nil {
		return err
	}
	return s.installs(ctx, s.actor, s.entry, dir, s.id, namespace, "--timeout", s.seconds(180))
}

// plant makes objects in the actor's own namespace, in the way that the actor
// has: a chart, or kubectl.
func (s *attackRun) plant(ctx context.Context, manifest string) error {
	if !s.direct {
		return s.install(ctx, s.own, manifest)
	}
	_, err := s.run(ctx, call{actor: s.actor, program: s.kubectl, args: []string{"--namespace", s.own, "create", "--validate=false", "-f", "-"}, stdin: s.fill(manifest)})
	return err
}

// podSpec lets a pod pass every level of PodSecurity, so that no attack is
// refused for a reason that the attacker can easily do without.
const podSpec = `
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65534, seccompProfile: {type: RuntimeDefault}}`

const containerSecurity = `{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}`

// podManifest returns a pod that runs one program.
func podManifest(namespace, name, more, image string, args ...string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:%s%s
  containers:
  - name: main
    image: %s
    args: ["%s"]
    env: [{name: HOME, value: /tmp}]
    securityContext: %s
`, name, namespace, podSpec, more, image, strings.Join(args, `", "`), containerSecurity)
}

// ownPod runs a program to its end in a pod of the actor's own and returns what
// it printed.
func (s *attackRun) ownPod(ctx context.Context, name, image string, args ...string) (string, error) {
	sub := *s
	sub.id = s.id + name
	if err := sub.plant(ctx, podManifest(s.own, sub.id, "", image, args...)); err != nil {
		return "", err
	}
	return s.ended(ctx, s.own, sub.id)
}

// ended waits until a pod has ended and returns what it printed. It looks as
// root: an attacker would have the pod tell it in another way.
func (s *attackRun) ended(ctx context.Context, namespace, name string) (string, error) {
	pods := s.root.client.CoreV1().Pods(namespace)
	last := "" // why it is not done yet
	done, err := eventually(ctx, func(ctx context.Context) (string, error) {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		last = fmt.Sprintf("%s %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			return string(pod.Status.Phase), nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	if done == "" {
		return "", fmt.Errorf("pod %s/%s did not end: %s", namespace, name, last)
	}
	log, err := pods.GetLogs(name, &corev1.PodLogOptions{}).DoRaw(ctx)
	return strings.TrimSpace(string(log)), err
}

// pod returns the name of a Tiller pod, which the attacker is taken to know.
func (s *attackRun) pod(ctx context.Context, t *tenant) (*corev1.Pod, error) {
	var found *corev1.Pod
	_, err := eventually(ctx, func(ctx context.Context) (string, error) {
		pods, err := s.root.client.CoreV1().Pods(t.home).List(ctx, metav1.ListOptions{LabelSelector: "app=helm,name=tiller"})
		if err != nil {
			return "", err
		}
		for i, pod := range pods.Items {
			if pod.DeletionTimestamp == nil && pod.Status.PodIP != "" && strings.HasPrefix(pod.Name, "tiller-deploy-") {
				found = &pods.Items[i]
				return pod.Name, nil
			}
		}
		return "", nil
	})
	if err == nil && found == nil {
		err = fmt.Errorf("there is no Tiller pod in %s", t.home)
	}
	return found, err
}

var resources = map[string]schema.GroupVersionResource{
	"ConfigMap": {Version: "v1", Resource: "configmaps"}, "Secret": {Version: "v1", Resource: "secrets"},
	"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
	"Pod":            {Version: "v1", Resource: "pods"}, "Service": {Version: "v1", Resource: "services"}, "Endpoints": {Version: "v1", Resource: "endpoints"},
	"Namespace": {Version: "v1", Resource: "namespaces"}, "PersistentVolume": {Version: "v1", Resource: "persistentvolumes"},
	"PersistentVolumeClaim": {Version: "v1", Resource: "persistentvolumeclaims"}, "ReplicationController": {Version: "v1", Resource: "replicationcontrollers"},
	"ResourceQuota": {Version: "v1", Resource: "resourcequotas"}, "LimitRange": {Version: "v1", Resource: "limitranges"},
	"Deployment":         {Group: "apps", Version: "v1", Resource: "deployments"},
	"ReplicaSet":         {Group: "apps", Version: "v1", Resource: "replicasets"},
	"Ingress":            {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"StatefulSet":        {Group: "apps", Version: "v1", Resource: "statefulsets"},
	"DaemonSet":          {Group: "apps", Version: "v1", Resource: "daemonsets"},
	"Job":                {Group: "batch", Version: "v1", Resource: "jobs"},
	"CronJob":            {Group: "batch", Version: "v1", Resource: "cronjobs"},
	"NetworkPolicy":      {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"Role":               {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"RoleBinding":        {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"ClusterRoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	"Workload":           {Group: "scheduling.k8s.io", Version: "v1beta1", Resource: "workloads"},
	"PriorityClass":      {Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses"},

	"CustomResourceDefinition":         {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"MutatingWebhookConfiguration":     {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"},
	"ValidatingAdmissionPolicyBinding": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
}

// live reads an object as root; nil if it does not exist.
func (s *attackRun) live(ctx context.Context, kind, namespace, name string) (*unstructured.Unstructured, error) {
	gvr, known := resources[kind]
	if !known {
		return nil, fmt.Errorf("the suite knows no kind %s", kind)
	}
	api := s.root.dynamic.Resource(gvr)
	var object *unstructured.Unstructured
	var err error
	if namespace == "" {
		object, err = api.Get(ctx, name, metav1.GetOptions{})
	} else {
		object, err = api.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return object, err
}

// parse reads a manifest of one object.
func parse(manifest string) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	err := yaml.Unmarshal([]byte(manifest), &object.Object)
	return object, err
}
