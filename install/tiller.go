package install

import (
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"helm-tenant/lists"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

const (
	// DeploymentName is the name that helm init uses (k8s.io/helm/cmd/helm/installer).
	DeploymentName = "tiller-deploy"
	// Program is the path of Tiller in Helm's own image.
	Program = "/tiller"
	// DefaultImage is the Tiller image of Helm 2.17; the registries of older releases are
	// gone.
	DefaultImage = recognise.DefaultImage
	// defaultVersion is the default version of Tiller without a Helm 2 client.
	defaultVersion = "v2.17.0"

	tillerPort = 44134 // k8s.io/helm/pkg/tiller/environment
	probePort  = 44135
	// nobody is the user of Helm's own image; from the number the kubelet sees that it is
	// not root.
	nobody = 65534
)

// Image returns the Tiller image of the tenant: the requested one, otherwise the default
// one with the tenant's version.
func Image(t tenant.Tenant) string {
	image := t.Tiller.Image
	if image == "" {
		image = DefaultImage
	}
	last := image[strings.LastIndex(image, "/")+1:]
	if strings.ContainsAny(last, ":@") {
		return image
	}
	version := t.Tiller.Version
	if version == "" {
		version = defaultVersion
	}
	return image + ":" + version
}

// defaultResources are enough for a Tiller of a few dozen releases, which takes about 40
// MiB, and let it start where a quota requires requests and limits.
var defaultResources = map[string]string{
	"requests.cpu": "20m", "requests.memory": "64Mi",
	"limits.cpu": "1", "limits.memory": "256Mi",
}

func resources(t tenant.Tenant) corev1.ResourceRequirements {
	out := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	merged := maps.Clone(defaultResources)
	maps.Copy(merged, t.Tiller.Resources)
	// A default is limited by the requested values.
	for _, name := range []string{"cpu", "memory"} {
		request, limit := "requests."+name, "limits."+name
		atLeast, atMost := resource.MustParse(merged[request]), resource.MustParse(merged[limit])
		if atLeast.Cmp(atMost) <= 0 {
			continue
		}
		if t.Tiller.Resources[limit] == "" {
			merged[limit] = merged[request]
		} else {
			merged[request] = merged[limit]
		}
	}
	for key, value := range merged {
		kind, name, _ := strings.Cut(key, ".")
		list := out.Requests
		if kind == "limits" {
			list = out.Limits
		}
		list[corev1.ResourceName(name)] = resource.MustParse(value) // validated by tenant.Validate
	}
	return out
}

// Deployment returns Tiller's Deployment, as `helm init` of 2.17 makes it, and hardened.
// docs/security.md gives the reason of each difference. Fields that the API server would
// default are set, so that a later comparison with the live object shows every field that
// was changed.
func Deployment(t tenant.Tenant) *appsv1.Deployment {
	labels := recognise.Labels()
	meta := metav1.ObjectMeta{Name: DeploymentName, Namespace: t.Home(), Labels: rbac.Labels(t.Name)}
	maps.Copy(meta.Labels, labels)
	replicas := int32(*t.Tiller.Replicas)
	pullSecrets := lists.Map(t.Tiller.ImagePullSecrets, func(name string) corev1.LocalObjectReference {
		return corev1.LocalObjectReference{Name: name}
	})
	account := tenant.TillerAccount
	quarter := intstr.FromString("25%")
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment"},
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas:                &replicas,
			Selector:                &metav1.LabelSelector{MatchLabels: labels},
			RevisionHistoryLimit:    new(int32(10)),
			ProgressDeadlineSeconds: new(int32(600)),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &quarter, MaxSurge: &quarter}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					ServiceAccountName:            account,
					DeprecatedServiceAccount:      account,
					AutomountServiceAccountToken:  new(true),
					RestartPolicy:                 corev1.RestartPolicyAlways,
					TerminationGracePeriodSeconds: new(int64(30)),
					DNSPolicy:                     corev1.DNSClusterFirst,
					SchedulerName:                 corev1.DefaultSchedulerName,
					NodeSelector:                  t.Tiller.NodeSelector,
					ImagePullSecrets:              pullSecrets,
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot:   new(true),
						RunAsUser:      new(int64(nobody)),
						RunAsGroup:     new(int64(nobody)),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{container(t)},
				},
			},
		},
	}
}

// AnnotateSeccomp sets a Tiller's seccomp profile as API servers before Kubernetes 1.19 have
// it, which drop the field.
func AnnotateSeccomp(d *appsv1.Deployment) {
	template := &d.Spec.Template
	template.Spec.SecurityContext.SeccompProfile = nil
	template.Annotations = map[string]string{"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"}
}

func container(t tenant.Tenant) corev1.Container {
	return corev1.Container{
		Name:            "tiller",
		Image:           Image(t),
		ImagePullPolicy: corev1.PullIfNotPresent,
		// On the pod's own loopback only a port-forward reaches it.
		Command: []string{Program, "--listen=localhost:" + strconv.Itoa(tillerPort), "--storage=" + string(t.Tiller.Storage)},
		Ports: []corev1.ContainerPort{
			{ContainerPort: tillerPort, Name: "tiller", Protocol: corev1.ProtocolTCP},
			{ContainerPort: probePort, Name: "http", Protocol: corev1.ProtocolTCP},
		},
		Env: []corev1.EnvVar{
			{Name: "TILLER_NAMESPACE", Value: t.Home()},
			{Name: "TILLER_HISTORY_MAX", Value: strconv.Itoa(*t.Tiller.HistoryMax)},
		},
		LivenessProbe:            probe("/liveness"),
		ReadinessProbe:           probe("/readiness"),
		Resources:                resources(t),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

func probe(path string) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt32(probePort), Scheme: corev1.URISchemeHTTP}},
		InitialDelaySeconds: 1, TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
	}
}
