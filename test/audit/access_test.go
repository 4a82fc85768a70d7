package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
)

// actor goes a way as a user, up to where the API server has decided: it writes
// nothing (dry run), and an upgraded stream ends where a node would be asked.
type actor struct {
	*kubernetes.Clientset
	config *rest.Config
	w      *world
	home   string
	pod    string
}

// try is one way to go: the API server's answer.
type try func(ctx context.Context, a *actor) error

var dry = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
var dryPatch = metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}

func stream(method, sub string) try {
	return func(ctx context.Context, a *actor) error {
		request := a.CoreV1().RESTClient().Verb(method).Namespace(a.home).Resource("pods").Name(a.pod).SubResource(sub)
		if sub == "exec" || sub == "attach" {
			request = request.Param("command", "id").Param("stdout", "true")
		}
		if method == http.MethodGet {
			// As a browser's WebSocket: that is what a get is allowed for.
			request = request.SetHeader("Connection", "Upgrade").SetHeader("Upgrade", "websocket").SetHeader("Sec-WebSocket-Version", "13").
				SetHeader("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").SetHeader("Sec-WebSocket-Protocol", "v4.channel.k8s.io").Param("ports", "44134")
		}
		return request.Do(ctx).Error()
	}
}

// restricted is a pod that the home's PodSecurity lets in, with the deployer's
// account.
func restricted(account string) corev1.PodSpec {
	yes, no, nobody := true, false, int64(65534)
	return corev1.PodSpec{
		ServiceAccountName: account,
		SecurityContext:    &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &nobody, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{Name: "x", Image: "x", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}},
	}
}

func makePods(kind string) try {
	return func(ctx context.Context, a *actor) error {
		meta := metav1.ObjectMeta{Name: "made-by-outsider"}
		template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"made": "so"}}, Spec: restricted("tiller")}
		selector := &metav1.LabelSelector{MatchLabels: template.Labels}
		one := int32(1)
		switch kind {
		case "pods":
			return create(a.CoreV1().Pods(a.home).Create(ctx, &corev1.Pod{ObjectMeta: meta, Spec: template.Spec}, dry))
		case "deployments":
			return create(a.AppsV1().Deployments(a.home).Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}, dry))
		case "replicasets":
			return create(a.AppsV1().ReplicaSets(a.home).Create(ctx, &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}}, dry))
		case "statefulsets":
			return create(a.AppsV1().StatefulSets(a.home).Create(ctx, &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}}, dry))
		case "daemonsets":
			return create(a.AppsV1().DaemonSets(a.home).Create(ctx, &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}, dry))
		case "replicationcontrollers":
			return create(a.CoreV1().ReplicationControllers(a.home).Create(ctx, &corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Replicas: &one, Selector: template.Labels, Template: &template}}, dry))
		}
		job := batchv1.JobSpec{Template: template}
		job.Template.Labels, job.Template.Spec.RestartPolicy = nil, corev1.RestartPolicyNever
		if kind == "jobs" {
			return create(a.BatchV1().Jobs(a.home).Create(ctx, &batchv1.Job{ObjectMeta: meta, Spec: job}, dry))
		}
		return create(a.BatchV1().CronJobs(a.home).Create(ctx, &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "0 0 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: job}}}, dry))
	}
}

// custom creates an object of a kind that others defined; namespace is empty for one of
// the cluster. Whether it is allowed the API server says before it looks for the kind.
func custom(version, namespace, resource string) try {
	return func(ctx context.Context, a *actor) error {
		path := "/apis/" + version
		if namespace != "" {
			path += "/namespaces/" + namespace
		}
		return a.CoreV1().RESTClient().Post().AbsPath(path+"/"+resource).Param("dryRun", "All").Body([]byte(`{}`)).Do(ctx).Error()
	}
}

// as sends a request as somebody else.
func as(user string, groups ...string) try {
	return func(ctx context.Context, a *actor) error {
		config := rest.CopyConfig(a.config)
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
		other, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		// Everybody may ask who they are.
		return create(other.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
	}
}

func bindTo(kind, name string) try {
	return func(ctx context.Context, a *actor) error {
		return create(a.RbacV1().RoleBindings(a.home).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}, Subjects: subjects("user outsider")}, dry))
	}
}

// throughRBAC goes all the way: the outsider binds the role that writes RBAC to
// themselves, by its rights then edit, and by those gets Tiller's token.
func throughRBAC(ctx context.Context, a *actor) error {
	bind := func(name, role string) error {
		var err error
		for range 100 { // the authorizer learns of the one before a moment later
			err = create(a.RbacV1().RoleBindings(a.home).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: subjects("user outsider")}, metav1.CreateOptions{}))
			if !apierrors.IsForbidden(err) {
				break
			}
			wait()
		}
		return err
	}
	defer a.w.root.RbacV1().RoleBindings(a.home).Delete(context.Background(), "made-first", metav1.DeleteOptions{})
	if err := bind("made-first", "rbac-writer"); err != nil {
		return err
	}
	defer a.w.root.RbacV1().RoleBindings(a.home).Delete(context.Background(), "made-second", metav1.DeleteOptions{})
	if err := bind("made-second", "edit"); err != nil {
		return err
	}
	var err error
	for range 100 {
		if err = useToken(a.home, "tiller")(ctx, a); !apierrors.IsForbidden(err) {
			break
		}
		wait()
	}
	return err
}

// bindEverywhere binds a ClusterRole over the cluster.
func bindEverywhere(name string) try {
	return func(ctx context.Context, a *actor) error {
		return create(a.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}, Subjects: subjects("user outsider")}, dry))
	}
}

func patch(resource, name, body string) try {
	return func(ctx context.Context, a *actor) error {
		var client rest.Interface = a.CoreV1().RESTClient()
		group, plain, found := strings.Cut(resource, ":")
		if !found {
			plain = resource
		}
		switch group {
		case "apps":
			client = a.AppsV1().RESTClient()
		case "rbac":
			client = a.RbacV1().RESTClient()
		}
		owner, sub, _ := strings.Cut(plain, "/")
		if name == "POD" {
			name = a.pod
		}
		request := client.Patch(types.StrategicMergePatchType).Resource(owner).Name(name).VersionedParams(&dryPatch, metav1.ParameterCodec).Body([]byte(body))
		if owner != "namespaces" && owner != "clusterrolebindings" {
			request = request.Namespace(a.home)
		}
		if sub != "" {
			request = request.SubResource(sub)
		}
		return request.Do(ctx).Error()
	}
}

func useToken(ns, name string) try {
	return func(ctx context.Context, a *actor) error {
		return create(a.CoreV1().ServiceAccounts(ns).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{}))
	}
}

func proxy(resource string) try {
	return func(ctx context.Context, a *actor) error {
		name := a.pod
		if resource == "services" {
			name = "tiller-deploy"
		}
		return a.CoreV1().RESTClient().Get().Namespace(a.home).Resource(resource).Name(name + ":44134").SubResource("proxy").Do(ctx).Error()
	}
}

func nodeProxy(ctx context.Context, a *actor) error {
	return a.CoreV1().RESTClient().Get().Resource("nodes").Name("some-node").SubResource("proxy").Suffix("pods").Do(ctx).Error()
}

func listSecrets(ctx context.Context, a *actor) error {
	return create(a.CoreV1().Secrets(a.home).List(ctx, metav1.ListOptions{}))
}

func getSecret(ctx context.Context, a *actor) error {
	return create(a.CoreV1().Secrets(a.home).Get(ctx, "fine.v1", metav1.GetOptions{}))
}

func listSecret(ctx context.Context, a *actor) error {
	return create(a.CoreV1().Secrets(a.home).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=fine.v1"}))
}

func watchSecrets(ctx context.Context, a *actor) error {
	watch, err := a.CoreV1().Secrets(a.home).Watch(ctx, metav1.ListOptions{})
	if err == nil {
		watch.Stop()
	}
	return err
}

func writeSecret(ctx context.Context, a *actor) error {
	return create(a.CoreV1().Secrets(a.home).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tiller-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "tiller"}}, Type: corev1.SecretTypeServiceAccountToken}, dry))
}

func writeRole(ctx context.Context, a *actor) error {
	return create(a.RbacV1().Roles(a.home).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"}, Rules: rules("* *")}, dry))
}

// webhook makes one that is sent every Secret that is written.
func webhook(ctx context.Context, a *actor) error {
	none, url := admissionv1.SideEffectClassNone, "https://webhook.example/"
	return create(a.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx, &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"},
		Webhooks: []admissionv1.MutatingWebhook{{Name: "made.by.outsider", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, ClientConfig: admissionv1.WebhookClientConfig{URL: &url},
			Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}}}}}}}, dry))
}

// listenIn makes a webhook that changes nothing, and sees all.
func listenIn(ctx context.Context, a *actor) error {
	none, url := admissionv1.SideEffectClassNone, "https://webhook.example/"
	return create(a.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"},
		Webhooks: []admissionv1.ValidatingWebhook{{Name: "made.by.outsider", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, ClientConfig: admissionv1.WebhookClientConfig{URL: &url},
			Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}}}}}}}, dry))
}

// noPolicy takes away what holds Tillers to their release records.
func noPolicy(resource string) try {
	return func(ctx context.Context, a *actor) error {
		return a.AdmissionregistrationV1().RESTClient().Delete().Resource(resource).Name("helm-tenant-records").
			Body(&metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}).Do(ctx).Error()
	}
}

// certificate asks for one of the controller manager's and approves it.
func certificate(ctx context.Context, a *actor) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:kube-controller-manager"}}, key)
	if err != nil {
		return err
	}
	csr, err := a.CertificatesV1().CertificateSigningRequests().Create(ctx, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{GenerateName: "outsider-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}),
			SignerName: certificatesv1.KubeAPIServerClientSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	defer a.w.root.CertificatesV1().CertificateSigningRequests().Delete(context.Background(), csr.Name, metav1.DeleteOptions{})
	csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "x"}}
	return create(a.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, csr.Name, csr, metav1.UpdateOptions{DryRun: dry.DryRun}))
}

// applyPod makes a pod by a server-side apply, which names it.
func applyPod(ctx context.Context, a *actor) error {
	body := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"made-by-outsider"},"spec":{"serviceAccountName":"tiller","securityContext":{"runAsNonRoot":true,"runAsUser":65534,"seccompProfile":{"type":"RuntimeDefault"}},
		"containers":[{"name":"x","image":"x","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`
	return a.CoreV1().RESTClient().Patch(types.ApplyPatchType).Namespace(a.home).Resource("pods").Name("made-by-outsider").
		VersionedParams(&metav1.PatchOptions{DryRun: dry.DryRun, FieldManager: "outsider"}, metav1.ParameterCodec).Body([]byte(body)).Do(ctx).Error()
}

// finalize changes the home's labels by the subresource that ends namespaces.
func finalize(ctx context.Context, a *actor) error {
	ns, err := a.w.root.CoreV1().Namespaces().Get(ctx, a.home, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ns.Labels["pod-security.kubernetes.io/enforce"] = "privileged"
	changed, err := a.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{DryRun: dry.DryRun})
	if err == nil && changed.Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
		return apierrors.NewForbidden(corev1.Resource("namespaces"), a.home, errors.New("the label stayed"))
	}
	return err
}

// nodeCertificate asks for a kubelet's, and has it when the controller manager approved it.
func nodeCertificate(ctx context.Context, a *actor) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n1", Organization: []string{"system:nodes"}}}, key)
	if err != nil {
		return err
	}
	csr, err := a.CertificatesV1().CertificateSigningRequests().Create(ctx, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{GenerateName: "outsider-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}),
			SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	defer a.w.root.CertificatesV1().CertificateSigningRequests().Delete(context.Background(), csr.Name, metav1.DeleteOptions{})
	for range 50 {
		csr, err = a.CertificatesV1().CertificateSigningRequests().Get(ctx, csr.Name, metav1.GetOptions{})
		if err != nil || len(csr.Status.Conditions) > 0 {
			return err
		}
		wait()
	}
	return apierrors.NewForbidden(certificatesv1.Resource("certificatesigningrequests"), csr.Name, errors.New("nobody approved it"))
}

// serveAPI has an API group answered by a service of one's own.
func serveAPI(ctx context.Context, a *actor) error {
	body := `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.outsider.example"},
		"spec":{"group":"outsider.example","version":"v1","groupPriorityMinimum":100,"versionPriority":100,"insecureSkipTLSVerify":true,"service":{"namespace":"outside","name":"mine"}}}`
	return a.CoreV1().RESTClient().Post().AbsPath("/apis/apiregistration.k8s.io/v1/apiservices").Param("dryRun", "All").Body([]byte(body)).Do(ctx).Error()
}

// makeVolume makes one of a node's disk.
func makeVolume(ctx context.Context, a *actor) error {
	return create(a.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"}, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}, dry))
}

// way is a right that somebody is given, and whether it opens a path.
type way struct {
	// path is that of the audit's report, empty for a right that opens none.
	path string
	// rules are given in the home namespace; those of wide over the cluster.
	rules, wide []string
	// also are given at home by another binding.
	also []string
	// want is the finding's ID, where path is not empty.
	want string
	try  try
}

// ways are the paths that an outsider can have to alpha's deployer, each with
// rights that are near it and open nothing.
var ways = []way{
	{"port-forward", []string{"create pods/portforward"}, nil, nil, "HT010", stream(http.MethodPost, "portforward")},
	{"port-forward", []string{"create pods/portforward POD"}, nil, nil, "HT010", stream(http.MethodPost, "portforward")},
	{"port-forward", []string{"create */portforward"}, nil, nil, "HT010", stream(http.MethodPost, "portforward")},
	{"", []string{"create pods/portforward gone-pod"}, nil, nil, "", stream(http.MethodPost, "portforward")},
	{"", []string{"get pods/portforward"}, nil, nil, "", stream(http.MethodGet, "portforward")}, // enough up to 1.34
	{"", []string{"get,list,watch,delete pods"}, nil, nil, "", stream(http.MethodPost, "portforward")},
	{"create-pods", []string{"create pods"}, nil, nil, "HT011", makePods("pods")},
	{"", []string{"create pods POD"}, nil, nil, "", makePods("pods")}, // a name that is not there yet is none
	{"", []string{"create apps:pods"}, nil, nil, "", makePods("pods")},
	{"create-pods", []string{"create pods EMPTY"}, nil, nil, "HT011", makePods("pods")},
	{"create-pods", []string{"create,patch pods made-by-outsider"}, nil, nil, "HT011", applyPod},
	{"", []string{"create pods made-by-outsider", "patch pods another"}, nil, nil, "", applyPod},
	{"read-secrets", []string{"list secrets EMPTY"}, nil, nil, "HT013", listSecrets},
	{"read-secrets", []string{"watch secrets EMPTY"}, nil, nil, "HT013", watchSecrets},
	{"", []string{"get,update,patch secrets EMPTY"}, nil, nil, "", getSecret},
	{"make-deployments", []string{"create apps:deployments"}, nil, nil, "HT011", makePods("deployments")},
	{"make-replicasets", []string{"create apps:replicasets"}, nil, nil, "HT011", makePods("replicasets")},
	{"make-statefulsets", []string{"create apps:statefulsets"}, nil, nil, "HT011", makePods("statefulsets")},
	{"make-daemonsets", []string{"create apps:daemonsets"}, nil, nil, "HT011", makePods("daemonsets")},
	{"make-jobs", []string{"create batch:jobs"}, nil, nil, "HT011", makePods("jobs")},
	{"make-cronjobs", []string{"create batch:cronjobs"}, nil, nil, "HT011", makePods("cronjobs")},
	{"make-replicationcontrollers", []string{"create replicationcontrollers"}, nil, nil, "HT011", makePods("replicationcontrollers")},
	{"", []string{"get apps:deployments", "update apps:deployments/scale", "patch batch:jobs"}, nil, nil, "", makePods("deployments")},
	{"replace-image", []string{"patch pods"}, nil, nil, "HT012", patch("pods", "POD", `{"spec":{"containers":[{"name":"tiller","image":"evil"}]}}`)},
	{"", []string{"patch pods gone-pod"}, nil, nil, "", patch("pods", "POD", `{"spec":{"containers":[{"name":"tiller","image":"evil"}]}}`)},
	{"exec", []string{"create pods/exec"}, nil, nil, "HT012", stream(http.MethodPost, "exec")},
	{"", []string{"get pods/exec"}, nil, nil, "", stream(http.MethodGet, "exec")},
	{"attach", []string{"create pods/attach"}, nil, nil, "HT012", stream(http.MethodPost, "attach")},
	{"debug", []string{"patch pods/ephemeralcontainers"}, nil, nil, "HT012", patch("pods/ephemeralcontainers", "POD", `{"spec":{"ephemeralContainers":[]}}`)},
	{"read-secrets", []string{"list secrets"}, nil, nil, "HT013", listSecrets},
	{"", []string{"get secrets no-such-secret"}, nil, nil, "", listSecrets},
	{"read-secrets", []string{"get secrets fine.v1"}, nil, nil, "HT013", getSecret},
	{"read-secrets", []string{"list secrets fine.v1"}, nil, nil, "HT013", listSecret},
	{"read-secrets", []string{"watch secrets"}, nil, nil, "HT013", watchSecrets},
	{"", []string{"list secrets no-such-secret"}, nil, nil, "", listSecret},
	{"write-secrets", []string{"create secrets"}, nil, nil, "HT013", writeSecret},
	{"token", []string{"create serviceaccounts/token tiller"}, nil, nil, "HT014", useToken("alpha-tiller", "tiller")},
	{"", []string{"create serviceaccounts/token default", "create serviceaccounts"}, nil, nil, "", useToken("alpha-tiller", "tiller")},
	{"impersonate-deployer", []string{"impersonate serviceaccounts tiller"}, nil, nil, "HT015", as("system:serviceaccount:alpha-tiller:tiller")},
	{"", []string{"impersonate serviceaccounts default"}, nil, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	{"", nil, []string{"impersonate users system:serviceaccount:alpha-tiller:tiller"}, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	{"impersonate-deployer", []string{"impersonate:serviceaccount authn:serviceaccounts tiller", "impersonate-on:serviceaccount:create authn:selfsubjectreviews"},
		[]string{"impersonate-on:serviceaccount:create authn:selfsubjectreviews"}, nil, "HT015", as("system:serviceaccount:alpha-tiller:tiller")},
	{"impersonate-member", nil, []string{"impersonate users alice"}, nil, "HT016", as("alice")},
	{"", nil, []string{"impersonate users alina"}, nil, "", as("alice")},
	{"", []string{"impersonate users alice"}, nil, nil, "", as("alice")}, // by a RoleBinding nobody is impersonated but accounts
	{"impersonate-member", nil, []string{"impersonate groups alpha-devs", "impersonate users nobody"}, nil, "HT016", as("nobody", "alpha-devs")},
	{"", nil, []string{"impersonate groups alpha-devs"}, nil, "", as("nobody", "alpha-devs")},
	{"impersonate-administrator", nil, []string{"impersonate users system:kube-controller-manager"}, nil, "HT016", as("system:kube-controller-manager")},
	{"impersonate-administrator", nil, []string{"impersonate groups system:masters", "impersonate users nobody"}, nil, "HT016", as("nobody", "system:masters")},
	{"", nil, []string{"impersonate groups others", "impersonate users nobody"}, nil, "", as("nobody", "system:masters")},
	{"use-account", nil, []string{"create serviceaccounts/token robot"}, nil, "HT022", useToken("ci", "robot")},
	{"", nil, []string{"create serviceaccounts/token robin"}, nil, "", useToken("ci", "robot")},
	{"use-administrator", nil, []string{"create serviceaccounts/token job-controller"}, nil, "HT021", useToken("kube-system", "job-controller")},
	{"", nil, []string{"create serviceaccounts/token jobs"}, nil, "", useToken("kube-system", "job-controller")},
	{"bind", []string{"create rbac:rolebindings", "bind rbac:clusterroles edit"}, nil, nil, "HT017", bindTo("ClusterRole", "edit")},
	{"bind", []string{"create rbac:rolebindings"}, nil, []string{"bind rbac:roles helm-tenant-member"}, "HT017", bindTo("Role", "helm-tenant-member")},
	{"bind", []string{"patch rbac:rolebindings helm-tenant-member", "bind rbac:roles helm-tenant-member"}, nil, nil, "HT017",
		patch("rbac:rolebindings", "helm-tenant-member", `{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"outsider"}]}`)},
	{"bind", []string{"patch rbac:rolebindings helm-tenant-member"}, []string{"bind rbac:roles"}, nil, "HT017",
		patch("rbac:rolebindings", "helm-tenant-member", `{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"outsider"}]}`)},
	{"bind", []string{"create rbac:rolebindings", "bind rbac:clusterroles rbac-writer"}, nil, nil, "HT017", throughRBAC},
	{"bind", nil, []string{"create rbac:clusterrolebindings", "bind rbac:clusterroles imp"}, nil, "HT022", bindEverywhere("imp")},
	{"", []string{"create rbac:rolebindings", "bind rbac:clusterroles imp"}, nil, nil, "", bindTo("ClusterRole", "edit")}, // nobody is impersonated by a RoleBinding
	{"", []string{"create,update,patch rbac:rolebindings"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"create rbac:rolebindings", "bind rbac:clusterroles system:basic-user"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"bind rbac:clusterroles edit"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"escalate", []string{"create,escalate rbac:roles"}, nil, nil, "HT017", writeRole},
	{"escalate", []string{"patch rbac:roles helm-tenant-member", "escalate rbac:roles"}, nil, nil, "HT017",
		patch("rbac:roles", "helm-tenant-member", `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`)},
	{"", []string{"patch rbac:roles helm-tenant-member", "escalate rbac:roles helm-tenant-records"}, nil, nil, "",
		patch("rbac:roles", "helm-tenant-member", `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`)},
	{"", []string{"create,update,patch rbac:roles"}, nil, nil, "", writeRole},
	{"", []string{"escalate rbac:roles"}, nil, nil, "", writeRole},
	{"node-proxy", nil, []string{"get nodes/proxy"}, nil, "HT018", nodeProxy},
	{"", []string{"get nodes/proxy"}, nil, nil, "", nodeProxy},
	{"", nil, []string{"get nodes", "get nodes/stats"}, nil, "", nodeProxy},
	{"be-node", nil, []string{"impersonate users system:node:n1", "impersonate groups system:nodes"}, nil, "HT018", as("system:node:n1", "system:nodes")},
	{"", nil, []string{"impersonate users system:node:n1"}, nil, "", as("system:node:n1", "system:nodes")},
	{"", nil, []string{"impersonate users n1", "impersonate groups system:nodes"}, nil, "", as("system:node:n1", "system:nodes")},
	{"be-node", nil, []string{"impersonate:arbitrary-node authn:nodes n1", "impersonate-on:arbitrary-node:create authn:selfsubjectreviews", "impersonate-on:arbitrary-node:create serviceaccounts/token"}, nil, "HT018", as("system:node:n1")},
	{"", nil, []string{"impersonate:arbitrary-node authn:nodes n2"}, nil, "", as("system:node:n2")},
	{"", nil, []string{"impersonate-on:arbitrary-node:create authn:selfsubjectreviews", "impersonate-on:arbitrary-node:create serviceaccounts/token"}, nil, "", as("system:node:n3")},
	{"be-node", nil, []string{"create,get certs:certificatesigningrequests", "create certs:certificatesigningrequests/nodeclient"}, nil, "HT018", nodeCertificate},
	{"", nil, []string{"create,get certs:certificatesigningrequests", "create certs:certificatesigningrequests/selfnodeclient"}, nil, "", nodeCertificate},
	{"", []string{"impersonate:serviceaccount authn:serviceaccounts tiller"}, nil, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	{"", nil, []string{"impersonate-on:serviceaccount:create authn:selfsubjectreviews"}, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	{"", nil, []string{"impersonate:user-info authn:users alice"}, nil, "", as("alice")},
	{"impersonate-member", nil, []string{"impersonate:user-info authn:users alice", "impersonate-on:user-info:create authn:selfsubjectreviews", "impersonate-on:user-info:create pods/portforward"}, nil, "HT016", as("alice")},
	{"", nil, []string{"impersonate:user-info authn:groups system:masters", "impersonate:user-info authn:users nobody", "impersonate-on:user-info:create authn:selfsubjectreviews"}, nil, "", as("nobody", "system:masters")},
	{"change-tiller", []string{"patch apps:deployments tiller-deploy"}, nil, nil, "HT019", patch("apps:deployments", "tiller-deploy", `{"spec":{"template":{"metadata":{"annotations":{"x":"y"}}}}}`)},
	{"", []string{"patch apps:deployments another"}, nil, nil, "", patch("apps:deployments", "tiller-deploy", `{"spec":{"template":{"metadata":{"annotations":{"x":"y"}}}}}`)},
	{"change-home", []string{"patch namespaces"}, nil, nil, "HT020", patch("namespaces", "alpha-tiller", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)},
	{"change-home", []string{"patch namespaces/status"}, nil, nil, "HT020", patch("namespaces/status", "alpha-tiller", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)},
	{"change-home", []string{"update namespaces/finalize"}, nil, nil, "HT020", finalize},
	{"change-home", []string{"update */finalize"}, nil, nil, "HT020", finalize},
	{"", []string{"patch namespaces/finalize", "get,list namespaces"}, nil, nil, "", finalize},
	{"", nil, []string{"patch namespaces outside"}, nil, "", patch("namespaces", "alpha-tiller", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)},
	{"write-record", []string{"patch configmaps helm-tenant"}, nil, nil, "HT020", patch("configmaps", "helm-tenant", `{"data":{"x":"y"}}`)},
	{"write-record", []string{"delete configmaps helm-tenant", "create configmaps"}, nil, nil, "HT020", recreate},
	{"", []string{"delete,deletecollection configmaps"}, nil, nil, "", recreate},
	{"", []string{"get configmaps", "patch configmaps another"}, nil, nil, "", patch("configmaps", "helm-tenant", `{"data":{"x":"y"}}`)},
	{"change-policy", nil, []string{"delete admission:validatingadmissionpolicybindings helm-tenant-records"}, nil, "HT020", noPolicy("validatingadmissionpolicybindings")},
	{"change-policy", nil, []string{"delete admission:validatingadmissionpolicies helm-tenant-records"}, nil, "HT020", noPolicy("validatingadmissionpolicies")},
	{"", nil, []string{"create,get,list admission:validatingadmissionpolicies,validatingadmissionpolicybindings", "update,delete admission:validatingadmissionpolicies another"}, nil, "", noPolicy("validatingadmissionpolicies")},
	{"", []string{"delete admission:validatingadmissionpolicies"}, nil, nil, "", noPolicy("validatingadmissionpolicies")},
	{"change-guard", nil, []string{"delete admission:validatingadmissionpolicybindings helm-tenant-guard-pods"}, nil, "HT020", noGuard("validatingadmissionpolicybindings", "helm-tenant-guard-pods")},
	{"change-guard", nil, []string{"delete admission:validatingadmissionpolicies helm-tenant-guard-rolebindings"}, nil, "HT020", noGuard("validatingadmissionpolicies", "helm-tenant-guard-rolebindings")},
	{"", nil, []string{"delete admission:validatingadmissionpolicies pods", "get,create admission:validatingadmissionpolicies"}, nil, "", noGuard("validatingadmissionpolicies", "helm-tenant-guard-pods")},
	{"change-admission", nil, []string{"create admission:mutatingwebhookconfigurations"}, nil, "HT022", webhook},
	{"change-admission", nil, []string{"create admission:validatingwebhookconfigurations"}, nil, "HT022", listenIn},
	{"change-admission", nil, []string{"create admission:mutatingadmissionpolicies,mutatingadmissionpolicybindings"}, nil, "HT022", nil},
	{"change-admission", nil, []string{"patch admission:mutatingadmissionpolicies"}, nil, "HT022", nil},
	{"change-admission", nil, []string{"create,patch admission:mutatingwebhookconfigurations made-by-outsider"}, nil, "HT022", applyWebhook},
	{"serve-api", nil, []string{"create apiregistration.k8s.io:apiservices"}, nil, "HT022", serveAPI},
	{"", nil, []string{"get,list,delete apiregistration.k8s.io:apiservices", "update apiregistration.k8s.io:apiservices/status"}, nil, "", serveAPI},
	{"create-volume", nil, []string{"create persistentvolumes"}, nil, "HT022", makeVolume},
	{"", nil, []string{"get,list,update,patch,delete persistentvolumes", "create persistentvolumeclaims"}, nil, "", makeVolume},
	{"", nil, []string{"get,list,watch,delete admission:mutatingwebhookconfigurations", "create admission:mutatingadmissionpolicies"}, nil, "", webhook},
	{"certificate", nil, []string{"create certs:certificatesigningrequests", "update certs:certificatesigningrequests/approval", "approve certs:signers kubernetes.io/kube-apiserver-client"}, nil, "HT016", certificate},
	{"certificate", nil, []string{"create certs:certificatesigningrequests", "update certs:certificatesigningrequests/approval", "approve certs:signers kubernetes.io/*"}, nil, "HT016", certificate},
	{"certificate", nil, []string{"create,patch certs:certificatesigningrequests mine", "update certs:certificatesigningrequests/approval mine", "approve certs:signers kubernetes.io/kube-apiserver-client"}, nil, "HT016", nil},
	{"", nil, []string{"create certs:certificatesigningrequests", "update certs:certificatesigningrequests/approval", "sign certs:signers", "approve certs:signers example.com/mine"}, nil, "", certificate},
	{"", nil, []string{"create certs:certificatesigningrequests", "approve certs:signers"}, nil, "", certificate},
	// Subresources by wildcards.
	{"exec", []string{"create */exec"}, nil, nil, "HT012", stream(http.MethodPost, "exec")},
	{"debug", []string{"patch */ephemeralcontainers"}, nil, nil, "HT012", patch("pods/ephemeralcontainers", "POD", `{"spec":{"ephemeralContainers":[]}}`)},
	{"token", []string{"create */token tiller"}, nil, nil, "HT014", useToken("alpha-tiller", "tiller")},
	{"node-proxy", nil, []string{"get */proxy some-node"}, nil, "HT018", nil},
	{"certificate", nil, []string{"create certs:certificatesigningrequests", "update certs:*/approval", "approve certs:signers kubernetes.io/kube-apiserver-client"}, nil, "HT016", certificate},
	{"be-node", nil, []string{"create,get certs:certificatesigningrequests", "create certs:*/nodeclient"}, nil, "HT018", nodeCertificate},
	{"", []string{"create pods/*", "* pods/"}, nil, nil, "", stream(http.MethodPost, "exec")}, // no wildcard
	// Of a name that leads nowhere, or of a part of the object that does not.
	{"", nil, []string{"impersonate authn:uids", "impersonate authn:userextras/scopes", "impersonate:user-info authn:uids"}, nil, "", as("alice")},
	{"", []string{"patch pods/status", "create pods/eviction,pods/binding", "patch pods/resize", "deletecollection pods,secrets,configmaps", "update pods/log"}, nil, nil, "", stream(http.MethodPost, "exec")},
	{"", []string{"* apps:deployments/scale", "* apps:deployments/status", "* apps:controllerrevisions", "* podtemplates", "* endpoints", "* discovery.k8s.io:endpointslices", "update,patch serviceaccounts"}, nil, nil, "",
		patch("apps:deployments", "tiller-deploy", `{"spec":{"template":{"metadata":{"annotations":{"x":"y"}}}}}`)},
	{"", nil, []string{"* apiextensions.k8s.io:customresourcedefinitions", "* certs:certificatesigningrequests/status", "* admission:validatingadmissionpolicies/status", "* persistentvolumes/status"}, nil, "", nodeProxy},
	{"", []string{"bind rbac:rolebindings", "escalate rbac:rolebindings", "create rbac:roles/escalate", "create rbac:rolebindings"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"create rbac:rolebindings"}, []string{"escalate rbac:clusterroles"}, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"impersonate serviceaccounts/token tiller", "impersonate pods", "impersonate-on:serviceaccount:create serviceaccounts/token"}, nil, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	// By objects of controllers, of which the authorizer answers whether they are served or not.
	{"use-controller", nil, []string{"create helm.toolkit.fluxcd.io:helmreleases"}, nil, "HT079", custom("helm.toolkit.fluxcd.io/v2", "alpha-b", "helmreleases")},
	{"use-controller", []string{"create kustomize.toolkit.fluxcd.io:kustomizations"}, nil, nil, "HT079", custom("kustomize.toolkit.fluxcd.io/v1", "alpha-tiller", "kustomizations")},
	{"use-controller", nil, []string{"create ops.crossplane.io:operations"}, nil, "HT079", custom("ops.crossplane.io/v1alpha1", "", "operations")},
	{"replace-kubelet", nil, []string{"patch nodes/status"}, nil, "HT083", nodeStatus("patch")},
	{"replace-kubelet", nil, []string{"update nodes/status some-node"}, nil, "HT083", nodeStatus("update")},
	{"replace-kubelet", nil, []string{"delete nodes some-node", "create nodes"}, nil, "HT083", nodeAnew},
	{"", nil, []string{"get,list,watch,update,patch,create nodes", "get nodes/status"}, nil, "", nodeStatus("patch")},
	{"", []string{"patch nodes/status"}, nil, nil, "", nodeStatus("patch")},
	{"make-custom", []string{"create argoproj.io:workflows"}, nil, nil, "HT011", custom("argoproj.io/v1alpha1", "alpha-tiller", "workflows")},
	{"make-custom", []string{"create keda.sh:scaledjobs"}, nil, nil, "HT011", custom("keda.sh/v1alpha1", "alpha-tiller", "scaledjobs")},
	{"", []string{"create argoproj.io:applications", "create ops.crossplane.io:operations", "create keda.sh:scaledobjects"}, []string{"get,list,delete helm.toolkit.fluxcd.io:helmreleases", "create cert-manager.io:certificates"}, nil, "",
		custom("helm.toolkit.fluxcd.io/v2", "alpha-b", "helmreleases")},
	// Tiller listens on its loopback: what the API server's proxy connects to is
	// not there, whoever may use it.
	{"", []string{"get,create pods/proxy", "get,create services/proxy"}, nil, nil, "", nil},
}

// TestWays gives an outsider a right, and compares what the audit says of the way
// with what the API server does when the outsider goes it.
func TestWays(t *testing.T) {
	w := start(t)
	w.clean(t)
	pod := w.pod(t, "alpha-tiller")
	config, err := w.RESTConfig("outsider")
	must(t, err)
	config.WarningHandler = rest.NoWarnings{}
	outsider := &actor{kubernetes.NewForConfigOrDie(config), config, w, "alpha-tiller", pod}
	w.plant(t).release("alpha-tiller", "fine", "alpha-b")
	w.plant(t).leadingRoles()
	opens, closed := 0, 0
	for i, way := range ways {
		if way.path != "" && way.want == "" {
			typed.went()
			continue // a note in the table
		}
		name := way.path
		if name == "" {
			name = "nothing"
		}
		t.Run(fmt.Sprintf("%02d %s by %s", i, name, strings.Join(append(append(slices.Clone(way.rules), way.wide...), way.also...), " and ")), func(t *testing.T) {
			typed.went()
			p := w.plant(t)
			p.grant("alpha-tiller", "way", named(way.rules, outsider.pod), "user outsider")
			p.grant("alpha-tiller", "way-also", way.also, "user outsider")
			p.grant("", "way-wide", way.wide, "user outsider")
			w.settle(t)
			got := w.audit(t)
			var want []string
			switch way.want {
			case "":
			default:
				want = []string{way.want + " alpha user outsider"}
				if strings.HasSuffix(way.path, "-administrator") || slices.Contains([]string{"node-proxy", "change-policy", "change-guard", "change-admission", "certificate", "be-node", "serve-api", "create-volume", "use-controller", "replace-kubelet"}, way.path) || slices.ContainsFunc(way.wide, func(rule string) bool { return strings.Contains(rule, "clusterrolebindings") }) {
					want = []string{way.want + "  user outsider"} // they lead to every deployer
				}
			}
			p.same(got.Findings, want)
			// The answer for one person, which goes another way through the code.
			reach := w.audit(t, "--can-reach", "outsider", "alpha")
			var open []string
			for _, reached := range reach.CanReach {
				for _, path := range reached.Paths {
					open = append(open, path.ID)
				}
			}
			var ids []string
			if way.path != "" {
				ids = []string{way.path}
			}
			if !slices.Equal(open, ids) {
				t.Errorf("--can-reach says %q, want %q", open, ids)
			}
			if lines := p.stillIn("alpha", "outsider"); !slices.Equal(lines, ids) {
				t.Errorf("revoke says %q, want %q", lines, ids)
			}
			if way.try != nil {
				err := way.try(t.Context(), outsider)
				if status := apierrors.APIStatus(nil); err != nil && !errors.As(err, &status) {
					t.Fatalf("the API server did not answer: %v", err)
				}
				if allowed := !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err); allowed != (way.path != "") {
					t.Errorf("the API server allows it: %t (%v); the audit says %q", allowed, err, open)
				}
				if way.path != "" {
					opens++
				} else {
					closed++
				}
			}
			p.fix(got.Findings)
		})
	}
	t.Logf("%d ways were open and gone, %d closed and refused", opens, closed)
}

// named puts the pod's name in.
func named(texts []string, pod string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, strings.ReplaceAll(text, "POD", pod))
	}
	return all
}

// TestEveryPathIsGone holds the tests to the audit: of each path that it knows
// there is a way that is open and one that is closed.
func TestEveryPathIsGone(t *testing.T) {
	w := start(t)
	p := w.plant(t)
	p.mutateTiller("alpha-tiller", func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Command = []string{"/tiller", "--storage=secret"}
	})
	p.bind("", "all", "ClusterRole", "cluster-admin", "user chief")
	paths := 0
	for _, reached := range w.audit(t, "--can-reach", "chief", "alpha").CanReach {
		for _, path := range reached.Paths {
			paths++
			if path.ID != "proxy" && !slices.ContainsFunc(ways, func(way way) bool { return way.path == path.ID && way.try != nil }) {
				t.Errorf("nobody goes the path %s", path.ID)
			}
		}
	}
	if paths < 32 {
		t.Errorf("who may do everything has %d paths", paths)
	}
}

// TestProxyWays is the way that is open where Tiller listens on its pod's address.
func TestProxyWays(t *testing.T) {
	w := start(t)
	w.clean(t)
	pod := w.pod(t, "alpha-tiller")
	config, err := w.RESTConfig("outsider")
	must(t, err)
	outsider := &actor{kubernetes.NewForConfigOrDie(config), config, w, "alpha-tiller", pod}
	for _, resource := range []string{"pods", "services"} {
		p := w.plant(t)
		p.mutateTiller("alpha-tiller", func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Command = []string{"/tiller", "--storage=secret"}
		})
		if err := proxy(resource)(t.Context(), outsider); !apierrors.IsForbidden(err) {
			t.Errorf("%s/proxy without a right: %v", resource, err)
		}
		p.grant("alpha-tiller", "way", []string{"get " + resource + "/proxy"}, "user outsider")
		w.settle(t)
		p.same(w.audit(t).Findings, []string{"HT003 alpha Deployment tiller-deploy in namespace alpha-tiller", "HT010 alpha user outsider"})
		if err := proxy(resource)(t.Context(), outsider); apierrors.IsForbidden(err) {
			t.Errorf("%s/proxy with the right: %v", resource, err)
		}
		p.undo()
	}
}

// TestAskedBySubjectAccessReview holds the rights of the members to what the
// authorizer says of them.
func TestMembersAsTheAuthorizerSeesThem(t *testing.T) {
	w := start(t)
	got := w.audit(t)
	for _, d := range got.Deployers {
		for _, a := range d.Access {
			if !a.Member || !strings.HasPrefix(a.Subject, "user ") {
				continue
			}
			about := authorizationv1.ResourceAttributes{Namespace: d.Home, Verb: "create", Resource: "pods", Subresource: "portforward"}
			if d.Account == "helm" {
				about = authorizationv1.ResourceAttributes{Namespace: d.Home, Verb: "impersonate", Resource: "serviceaccounts", Name: "helm"}
			}
			if !w.may(t, strings.TrimPrefix(a.Subject, "user "), nil, about) {
				t.Errorf("%s is said to reach %s and may not", a.Subject, d.Home)
			}
		}
	}
}

// pod is the name of the one pod of a Tiller, when the controllers are done
// with whatever was done to it.
func (w *world) pod(t *testing.T, home string) string {
	t.Helper()
	ctx := context.Background()
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		pods, err := w.root.CoreV1().Pods(home).List(ctx, metav1.ListOptions{})
		must(t, err)
		d, err := w.root.AppsV1().Deployments(home).Get(ctx, "tiller-deploy", metav1.GetOptions{})
		must(t, err)
		sets, err := w.root.AppsV1().ReplicaSets(home).List(ctx, metav1.ListOptions{})
		must(t, err)
		if len(pods.Items) == 1 && len(sets.Items) == 1 && d.Status.ObservedGeneration == d.Generation {
			return pods.Items[0].Name
		}
		// No pod is ever ready here, and a roll-out waits for that before it takes
		// the old ones away.
		for _, set := range sets.Items {
			if revision := "deployment.kubernetes.io/revision"; d.Status.ObservedGeneration == d.Generation && set.Annotations[revision] != d.Annotations[revision] {
				if err := w.root.AppsV1().ReplicaSets(home).Delete(ctx, set.Name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
					must(t, err)
				}
			}
		}
	}
	t.Fatalf("the Tiller in %s has not one pod", home)
	return ""
}
