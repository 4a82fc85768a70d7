package recognise

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/tenant"
)

// DefaultImage is the Tiller image of Helm 2.17.
const DefaultImage = "ghcr.io/helm/tiller"

// goneImage is the Tiller image of every `helm init` before 2.17, whose registry is gone.
const goneImage = "gcr.io/kubernetes-helm/tiller"

var versionTag = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+`) })

// SettingsOf returns the settings of a Tiller made by hand that a tenant's Tiller can
// have as well. Settings with their default value are zero. For its storage see
// StorageOf.
func SettingsOf(spec appsv1.DeploymentSpec) tenant.Tiller {
	pod := spec.Template.Spec
	var s tenant.Tiller
	if spec.Replicas != nil && *spec.Replicas > 0 { // a stopped Tiller is started
		s.Replicas = new(int(*spec.Replicas))
	}
	if len(pod.NodeSelector) > 0 {
		s.NodeSelector = maps.Clone(pod.NodeSelector)
	}
	for _, secret := range pod.ImagePullSecrets {
		s.ImagePullSecrets = append(s.ImagePullSecrets, secret.Name)
	}
	c := Container(pod)
	if c == nil {
		return s
	}
	s.Image, s.Version = imageOf(c.Image)
	if count, elsewhere := historyLimit(c); elsewhere == "" {
		s.HistoryMax = new(count)
	}
	for kind, list := range map[string]corev1.ResourceList{"requests": c.Resources.Requests, "limits": c.Resources.Limits} {
		for name, quantity := range list {
			if s.Resources == nil {
				s.Resources = map[string]string{}
			}
			s.Resources[kind+"."+string(name)] = quantity.String()
		}
	}
	return s
}

// imageOf returns an image as the settings image and version: both are empty for the
// default image, and for the one that is no longer available.
func imageOf(image string) (name, version string) {
	tag := ImageVersion(image)
	repository := strings.TrimSuffix(image, ":"+tag)
	switch {
	case strings.Contains(image, "@"):
		return image, ""
	case repository == DefaultImage, repository == goneImage:
		return "", ""
	case versionTag().MatchString(tag):
		return repository, tag
	}
	return image, ""
}

const (
	historyVariable   = "TILLER_HISTORY_MAX"
	namespaceVariable = "TILLER_NAMESPACE"
)

// historyLimit returns the number of revisions that the Tiller in a container keeps; its
// own default is all, 0 (k8s.io/helm/cmd/tiller). If the pod's specification does not have
// the number, elsewhere says where it is.
func historyLimit(c *corev1.Container) (count int, elsewhere string) {
	args, _ := arguments(c)
	text := flag(c, "history-max")
	if text == "" {
		for _, arg := range args { // a variable may stand for flags
			if source := unresolved(arg, c); source != "" && strings.HasPrefix(arg, "$") {
				return 0, source
			}
		}
		text, elsewhere = variable(c, historyVariable)
	} else {
		elsewhere = unresolved(text, c)
	}
	if elsewhere != "" {
		return 0, elsewhere
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 {
		return 0, ""
	}
	return count, ""
}

// HistoryElsewhere says where the history limit of the Tiller in a container is, if the
// pod's specification does not have it; otherwise it is empty.
func HistoryElsewhere(c *corev1.Container) string {
	_, elsewhere := historyLimit(c)
	return elsewhere
}

// KeepsAll reports whether the Tiller in a container keeps all revisions. It is false for a
// number that the pod's specification does not have.
func KeepsAll(c *corev1.Container) bool {
	count, elsewhere := historyLimit(c)
	return count == 0 && elsewhere == ""
}

// Others returns the names of the containers that run beside Tiller's in its pods.
func Others(spec corev1.PodSpec) []string {
	var names []string
	for _, c := range Listening(spec) {
		if c.Name != Container(spec).Name {
			names = append(names, c.Name)
		}
	}
	return names
}

// LostOf returns the settings of a Tiller made by hand that a tenant's Tiller can't have,
// or has with other values; tls reports whether TLS is among them.
func LostOf(spec appsv1.DeploymentSpec) (lost []string, tls bool) {
	pod := spec.Template.Spec
	add := func(format string, args ...any) { lost = append(lost, fmt.Sprintf(format, args...)) }
	c := Container(pod)
	if c == nil {
		return nil, false
	}
	for _, e := range c.Env {
		switch e.Name {
		case namespaceVariable, historyVariable:
		case "TILLER_TLS_ENABLE", "TILLER_TLS_VERIFY":
			tls = tls || e.Value != "" || e.ValueFrom != nil
			add("environment variable %s", e.Name)
		default:
			add("environment variable %s", e.Name)
		}
	}
	for _, from := range c.EnvFrom {
		switch {
		case from.ConfigMapRef != nil:
			add("environment from ConfigMap %s", from.ConfigMapRef.Name)
		case from.SecretRef != nil:
			add("environment from Secret %s", from.SecretRef.Name)
		}
	}
	args, _ := arguments(c)
	for _, flag := range flagsIn(args) {
		switch flag.name {
		case "listen", "storage", "history-max":
			continue
		case "tls", "tls-verify":
			tls = tls || flag.value != "false"
		}
		add("argument --%s", flag.name)
	}
	for _, v := range pod.Volumes {
		add("volume %s", v.Name)
	}
	for _, other := range slices.Concat(pod.InitContainers, pod.Containers) {
		if other.Name != c.Name {
			add("container %s", other.Name)
		}
	}
	for setting, isSet := range map[string]bool{
		"tolerations": len(pod.Tolerations) > 0, "affinity": pod.Affinity != nil, "host network": pod.HostNetwork,
		"topology spread": len(pod.TopologySpreadConstraints) > 0, "host aliases": len(pod.HostAliases) > 0,
		"DNS settings": pod.DNSConfig != nil || pod.DNSPolicy != "" && pod.DNSPolicy != corev1.DNSClusterFirst,
	} {
		if isSet {
			add("%s", setting)
		}
	}
	if pod.PriorityClassName != "" {
		add("priority class %s", pod.PriorityClassName)
	}
	for name := range spec.Template.Annotations {
		add("annotation %s of its pods", name)
	}
	for name := range spec.Template.Labels {
		if Labels()[name] == "" {
			add("label %s of its pods", name)
		}
	}
	slices.Sort(lost)
	return slices.Compact(lost), tls
}

// ImageVersion returns the tag of an image, empty if it has none, or if the image is
// longer than any that can be pulled: the API server accepts any length, and a member's
// image would fill the output.
func ImageVersion(image string) string {
	// A name has at most 255 characters, a tag 128, a digest 71 with the usual algorithm
	// (https://pkg.go.dev/github.com/distribution/reference).
	const longest = 512
	if len(image) > longest {
		return ""
	}
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tag
}
