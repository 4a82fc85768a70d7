package audit

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rails"
)

// longToken makes a Secret into which the token controller puts a token of an account.
func (p *plant) longToken(ns, account string) {
	p.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: account + "-forever", Annotations: map[string]string{corev1.ServiceAccountNameKey: account}}, Type: corev1.SecretTypeServiceAccountToken}
	must(p.T, create(p.w.root.CoreV1().Secrets(ns).Create(context.Background(), secret, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.CoreV1().Secrets(ns).Delete(context.Background(), secret.Name, metav1.DeleteOptions{}))
	})
}

// plantedRails are those that concern tenants' guard rails.
var plantedRails = []planting{
	{"a tenant that may run privileged pods", func(p *plant) {
		p.later(func() { p.init("beta", "--pod-security", "baseline") })
		p.init("beta", "--pod-security", "privileged", "--accept-risk=node-access")
	}, []string{"HT070 beta namespace beta-a"}},
	{"a tenant without the guard", func(p *plant) {
		p.later(func() { p.init("beta", "--guard", "enforce") })
		p.init("beta", "--guard", "off", "--accept-risk=no-guard")
	}, []string{"HT071 beta tenant beta"}},
	{"a tenant's namespace without its PodSecurity level", func(p *plant) {
		p.merge("/api/v1/namespaces/beta-a", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":null}}}`)
		p.again("beta")
	}, []string{"HT072 beta namespace beta-a"}},
	{"a tenant's namespace that the guard leaves out", func(p *plant) {
		p.merge("/api/v1/namespaces/beta-a", `{"metadata":{"labels":{"helm-tenant/guard":null}}}`)
		p.again("beta")
	}, []string{"HT072 beta namespace beta-a"}},
	{"a policy of the guard is gone", func(p *plant) {
		p.again("alpha")
		p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/helm-tenant-guard-services")
	}, []string{"HT073  admission policies helm-tenant-guard-*"}},
	{"a binding of the guard that only audits", func(p *plant) {
		p.again("alpha")
		p.merge("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-guard-rolebindings", `{"spec":{"validationActions":["Audit"]}}`)
	}, []string{"HT073  admission policies helm-tenant-guard-*"}},
	{"a policy of the guard that ignores failures", func(p *plant) {
		p.again("alpha")
		p.merge("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/helm-tenant-guard-pods", `{"spec":{"failurePolicy":"Ignore"}}`)
	}, []string{"HT073  admission policies helm-tenant-guard-*"}},
	{"a policy of the guard that leaves somebody out", func(p *plant) {
		p.again("alpha")
		p.merge("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/helm-tenant-guard-protected", `{"spec":{"matchConditions":[{"name":"not-zoe","expression":"request.userInfo.username != \"zoe\""}]}}`)
	}, []string{"HT073  admission policies helm-tenant-guard-*"}},
	{"a frozen tenant without the admission policy of freezes", func(p *plant) {
		p.frozen("beta")
		p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/helm-tenant-guard-frozen")
	}, []string{"HT076 beta ValidatingAdmissionPolicy helm-tenant-guard-frozen"}},
	{"a frozen tenant with a binding of the policy that only audits", func(p *plant) {
		p.frozen("beta")
		p.merge("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-guard-frozen", `{"spec":{"validationActions":["Audit"]}}`)
	}, []string{"HT076 beta ValidatingAdmissionPolicyBinding helm-tenant-guard-frozen"}},
	{"a frozen tenant's namespace that the policy leaves out", func(p *plant) {
		p.frozen("beta")
		p.merge("/api/v1/namespaces/beta-a", `{"metadata":{"labels":{"helm-tenant/frozen":null}}}`)
	}, []string{"HT076 beta namespace beta-a"}},
	{"a frozen tenant's namespace with other accounts", func(p *plant) {
		p.frozen("beta")
		p.merge("/api/v1/namespaces/beta-a", `{"metadata":{"annotations":{"guard.helm-tenant/frozen-accounts":"beta-a"}}}`)
	}, []string{"HT076 beta namespace beta-a"}},
	{"somebody who can write in a frozen tenant", func(p *plant) {
		p.frozen("beta")
		p.bind("beta-a", "foreign", "ClusterRole", "edit", "user zoe")
	}, []string{"HT040 beta user zoe", "HT077 beta user zoe"}},
	{"an account of a frozen tenant's namespace, which is held", func(p *plant) {
		p.frozen("beta")
		p.bind("beta-a", "operator", "ClusterRole", "edit", "account beta-a:operator")
	}, nil},
	{"an account for Flux, which somebody can use who may run pods", func(p *plant) {
		p.later(func() { p.init("beta", "--flux-account=") })
		p.init("beta", "--flux-account=flux")
		p.grant("beta-a", "pods", []string{"create pods"}, "user zoe")
	}, []string{"HT040 beta user zoe", "HT080 beta service account flux"}},
	{"an account for Flux, of which a Secret holds a token", func(p *plant) {
		p.later(func() { p.init("beta", "--flux-account=") })
		p.init("beta", "--flux-account=flux")
		p.longToken("beta-a", "flux")
	}, []string{"HT080 beta service account flux"}},
	{"a namespace that looks like a tenant's home, with a token", func(p *plant) {
		ctx := context.Background()
		must(p.T, create(p.w.root.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "beta-helm",
			Labels: map[string]string{"helm-tenant/tenant": "beta", "helm-tenant/home": "beta", rails.LabelEnforce: "restricted"}}}, metav1.CreateOptions{})))
		p.later(func() { p.removeNamespace("beta-helm") })
		p.account("beta-helm", "helm")
		p.longToken("beta-helm", "helm")
	}, []string{"HT008 beta service account beta-helm:helm"}},
	{"an account for Flux that is gone", func(p *plant) {
		p.later(func() { p.init("beta", "--flux-account=") })
		p.init("beta", "--flux-account=flux")
		p.delete("/api/v1/namespaces/beta-a/serviceaccounts/flux")
	}, []string{"HT042 beta ServiceAccount flux in namespace beta-a", "HT080 beta service account flux"}},
	{"a binding of the guard of a mode that nobody has", func(p *plant) {
		p.later(func() { p.init("beta", "--guard", "enforce") })
		p.init("beta", "--guard", "warn")
		p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-guard-services-warn")
		p.init("beta", "--guard", "enforce")
	}, nil},
	{"a tenant's namespace without the hosts that it is held to", func(p *plant) {
		p.later(func() { p.init("beta", "--hosts=") })
		p.init("beta", "--hosts", "*.beta.example.com")
		p.merge("/api/v1/namespaces/beta-a", `{"metadata":{"annotations":{"guard.helm-tenant/hosts":null}}}`)
	}, []string{"HT072 beta namespace beta-a"}},
	{"an isolated tenant's namespace with a wider NetworkPolicy", func(p *plant) {
		p.later(func() { p.init("beta", "--network", "open") })
		p.init("beta", "--network", "isolated")
		p.merge("/apis/networking.k8s.io/v1/namespaces/beta-a/networkpolicies/helm-tenant", `{"spec":{"ingress":[{}]}}`)
	}, []string{"HT072 beta namespace beta-a"}},
	{"a user who can change the labels of a tenant's namespace", func(p *plant) { p.grant("", "labels", []string{"patch namespaces beta-a"}, "user zoe") },
		[]string{"HT078 beta user zoe"}},
	{"a member who can change the labels of the tenant's namespace", func(p *plant) { p.grant("beta-a", "labels", []string{"update namespaces/finalize"}, "user bob") },
		[]string{"HT040 beta user bob"}},
	{"a deployer that can change the labels of its namespace", func(p *plant) {
		p.grant("beta-a", "labels", []string{"patch namespaces"}, "account beta-tiller:tiller")
	}, []string{"HT026 beta service account beta-tiller:tiller"}},
	{"a user who can take a policy of the guard away", func(p *plant) {
		p.grant("", "policies", []string{"delete admission:validatingadmissionpolicies helm-tenant-guard-pods"}, "user zoe")
	}, []string{"HT020  user zoe"}},
	{"a user who could change webhooks, of which there is none", func(p *plant) {
		p.grant("", "webhooks", []string{"update,patch admission:mutatingwebhookconfigurations,validatingwebhookconfigurations"}, "user zoe")
	}, nil},
	{"a tenant's namespace with another quota, and one without limits", func(p *plant) {
		p.later(func() { p.init("beta", "--quota=", "--limits=") })
		p.init("beta", "--quota", "pods=9", "--limits", "max.memory=1Gi")
		p.merge("/api/v1/namespaces/beta-a/resourcequotas/helm-tenant", `{"spec":{"hard":{"pods":"900"}}}`)
		p.delete("/api/v1/namespaces/beta-a/limitranges/helm-tenant")
	}, []string{"HT072 beta namespace beta-a"}},
	{"a volume that any claim can bind", func(p *plant) { p.volume("disk", nil) }, []string{"HT074  PersistentVolume disk"}},
	{"a Service with external IPs from before the guard", func(p *plant) {
		must(p.T, create(p.w.root.CoreV1().Services("beta-a").Create(context.Background(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "takes"}, Spec: corev1.ServiceSpec{
			ExternalIPs: []string{"192.0.2.1"}, Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().Services("beta-a").Delete(context.Background(), "takes", metav1.DeleteOptions{}))
		})
	}, []string{"HT075 beta Service takes in namespace beta-a"}},
	{"a Deployment of a high priority from before the guard", func(p *plant) { p.criticalDeployment("beta-a", "critical") },
		[]string{"HT075 beta Deployment critical in namespace beta-a"}},
	{"what was there before the guard", func(p *plant) {
		ctx := context.Background()
		const volume = "some-volume"
		p.criticalDeployment("beta-a", "critical")
		must(p.T, create(p.w.root.CoreV1().Services("beta-a").Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "takes"}, Spec: corev1.ServiceSpec{
			ExternalIPs: []string{"192.0.2.1"}, Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})))
		p.later(func() { p.gone(p.w.root.CoreV1().Services("beta-a").Delete(ctx, "takes", metav1.DeleteOptions{})) })
		must(p.T, create(p.w.root.CoreV1().PersistentVolumeClaims("beta-a").Create(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "names"}, Spec: corev1.PersistentVolumeClaimSpec{
			VolumeName: volume, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}}}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().PersistentVolumeClaims("beta-a").Delete(ctx, "names", metav1.DeleteOptions{}))
		})
		p.later(func() { p.init("beta", "--hosts=") })
		p.init("beta", "--hosts", "*.beta.example.com")
		backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "x", Port: networkingv1.ServiceBackendPort{Number: 80}}}
		must(p.T, create(p.w.root.NetworkingV1().Ingresses("beta-a").Create(ctx, &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "serves"}, Spec: networkingv1.IngressSpec{
			DefaultBackend: &backend, Rules: []networkingv1.IngressRule{{Host: "x.beta.example.com"}, {Host: "bank.example.com"}}}}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.NetworkingV1().Ingresses("beta-a").Delete(ctx, "serves", metav1.DeleteOptions{}))
		})
		// What asks for nothing that is refused.
		must(p.T, create(p.w.root.CoreV1().Services("beta-a").Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})))
		p.later(func() { p.gone(p.w.root.CoreV1().Services("beta-a").Delete(ctx, "plain", metav1.DeleteOptions{})) })
		r := p.w.run(p.w.Admin(), "init", "beta", "--wait=false", "--dry-run", "--hosts", "*.other.example.com")
		for _, word := range []string{"Deployment critical", "Service takes", "PersistentVolumeClaim names", "Ingress serves", "every host by its default backend", "bank.example.com"} {
			if !strings.Contains(r.Stderr, word) {
				p.Errorf("init --dry-run does not say %q: exit code %d\n%s", word, r.Code, r.Stderr)
			}
		}
		if strings.Contains(r.Stderr, "plain") {
			p.Errorf("init --dry-run says\n%s", r.Stderr)
		}
	}, []string{"HT075 beta Deployment critical in namespace beta-a", "HT075 beta Ingress serves in namespace beta-a",
		"HT075 beta PersistentVolumeClaim names in namespace beta-a", "HT075 beta Service takes in namespace beta-a"}},
	{"a volume that is reserved", func(p *plant) { p.volume("disk", &corev1.ObjectReference{Namespace: "outside", Name: "mine"}) }, nil},
}

// volume makes a PersistentVolume, and waits until it is Available.
func (p *plant) volume(name string, claim *corev1.ObjectReference) {
	p.Helper()
	ctx, volumes := context.Background(), p.w.root.CoreV1().PersistentVolumes()
	must(p.T, create(volumes.Create(ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, ClaimRef: claim,
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}}}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(volumes.Delete(ctx, name, metav1.DeleteOptions{}))
		// A controller takes the finalizer away, and the next test makes one of this name.
		p.await("the volume to be gone", func() bool {
			_, err := volumes.Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	})
	p.await("the volume to be Available", func() bool {
		v, err := volumes.Get(ctx, name, metav1.GetOptions{})
		must(p.T, err)
		return v.Status.Phase == corev1.VolumeAvailable
	})
}

// criticalDeployment makes one of no pods with a priority above the cluster's default.
func (p *plant) criticalDeployment(ns, name string) {
	p.Helper()
	ctx, zero := context.Background(), int32(0)
	spec := restricted("default")
	spec.PriorityClassName = "system-cluster-critical"
	labels := map[string]string{"is": name}
	must(p.T, create(p.w.root.AppsV1().Deployments(ns).Create(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &zero, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}}, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.AppsV1().Deployments(ns).Delete(ctx, name, metav1.DeleteOptions{})) })
	// The fix deletes the ReplicaSet, which a controller makes.
	p.await("the ReplicaSet of "+name, func() bool {
		sets, err := p.w.root.AppsV1().ReplicaSets(ns).List(ctx, metav1.ListOptions{LabelSelector: "is=" + name})
		must(p.T, err)
		return len(sets.Items) > 0
	})
}
