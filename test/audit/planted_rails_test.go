package audit

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
	{"a binding of the guard of a mode that nobody has", func(p *plant) {
		p.later(func() { p.init("beta", "--guard", "enforce") })
		p.init("beta", "--guard", "warn")
		p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-guard-services-warn")
		p.init("beta", "--guard", "enforce")
	}, nil},
	{"a volume that any claim can bind", func(p *plant) { p.volume("disk", nil) }, []string{"HT074  PersistentVolume disk"}},
	{"a volume that is reserved", func(p *plant) { p.volume("disk", &corev1.ObjectReference{Namespace: "outside", Name: "mine"}) }, nil},
}

// volume makes a PersistentVolume, and waits until it is Available.
func (p *plant) volume(name string, claim *corev1.ObjectReference) {
	p.Helper()
	ctx, volumes := context.Background(), p.w.root.CoreV1().PersistentVolumes()
	must(p.T, create(volumes.Create(ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, ClaimRef: claim,
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}}}}, metav1.CreateOptions{})))
	p.later(func() { p.gone(volumes.Delete(ctx, name, metav1.DeleteOptions{})) })
	for range 300 {
		v, err := volumes.Get(ctx, name, metav1.GetOptions{})
		must(p.T, err)
		if v.Status.Phase == corev1.VolumeAvailable {
			return
		}
		wait()
	}
	p.Fatal("the volume is not Available")
}
