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
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
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
)

// actor uses a path as a user until the API server has decided: it writes nothing (dry run),
// and an upgraded stream ends where a node would be contacted.
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

// restricted returns a pod that the home's PodSecurity lets in, with the deployer's
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

// custom creates an object of an unknown kind; namespace is empty for a cluster-scoped one. The
// API server authorizes it before it looks up the kind.
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

// putBinding creates a binding by an update, which names it.
func putBinding(ctx context.Context, a *actor) error {
	return create(a.RbacV1().RoleBindings(a.home).Update(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"}, Subjects: subjects("user outsider")}, metav1.UpdateOptions{DryRun: dry.DryRun}))
}

// putRole creates a role by an update.
func putRole(ctx context.Context, a *actor) error {
	return create(a.RbacV1().Roles(a.home).Update(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"}, Rules: rules("* *")}, metav1.UpdateOptions{DryRun: dry.DryRun}))
}

// throughRBAC goes all the way: the outsider binds the role that writes RBAC to
// themselves, by its rights then edit, and by those gets Tiller's token.
func throughRBAC(ctx context.Context, a *actor) error {
	bind := func(name, role string) error {
		var err error
		for range 100 { // the authorizer sees the earlier write a moment later
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
