package audit

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// podDifferences returns what a pod runs beyond the template of its owner, except what API
// servers and admission add to pods.
func podDifferences(template, pod corev1.PodSpec) []string {
	var differs []string
	check := func(part string, same bool) {
		if !same {
			differs = append(differs, part)
		}
	}
	check("ephemeral containers", len(pod.EphemeralContainers) == 0)
	for part, lists := range map[string][2][]corev1.Container{"containers": {template.Containers, pod.Containers}, "init containers": {template.InitContainers, pod.InitContainers}} {
		containers, running := lists[0], lists[1]
		check(part, len(containers) == len(running))
		for i := range min(len(containers), len(running)) {
			want, current := containers[i], running[i]
			check("image "+current.Image, want.Image == current.Image)
			check("command", slices.Equal(want.Command, current.Command) && slices.Equal(want.Args, current.Args) && want.WorkingDir == current.WorkingDir)
			check("lifecycle", equality.Semantic.DeepEqual(want.Lifecycle, current.Lifecycle))
			check("a probe's command", equality.Semantic.DeepEqual(probeCommands(want), probeCommands(current)))
			check("environment", sameEnvironment(want, current))
			check("volume mounts", sameMounts(template, want, pod, current))
			check("privileged", !privileged(current) || privileged(want))
			check("capabilities", !slices.ContainsFunc(addedCapabilities(current), func(c corev1.Capability) bool { return !slices.Contains(addedCapabilities(want), c) }))
		}
	}
	check("the node's own", template.HostNetwork == pod.HostNetwork && template.HostPID == pod.HostPID && template.HostIPC == pod.HostIPC)
	check("host aliases", equality.Semantic.DeepEqual(template.HostAliases, pod.HostAliases))
	check("volumes", sameVolumes(template, pod))
	slices.Sort(differs)
	return slices.Compact(differs)
}

// sameVolumes reports whether the pod's volumes of names in the template are the template's, and
// whether it has no others of the node's disk. Admission adds volumes, under names of its own.
func sameVolumes(template, pod corev1.PodSpec) bool {
	return !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		want := volumeOf(template, v.Name)
		return want != nil && !equality.Semantic.DeepEqual(v, *want) || want == nil && v.HostPath != nil
	})
}

func volumeOf(spec corev1.PodSpec, name string) *corev1.Volume {
	for i := range spec.Volumes {
		if spec.Volumes[i].Name == name {
			return &spec.Volumes[i]
		}
	}
	return nil
}

// tokensPath is the folder into which admission mounts tokens: the API server's, in accountPath,
// and those of clouds.
const (
	tokensPath  = "/var/run/secrets/"
	accountPath = tokensPath + "kubernetes.io"
)

// sameMounts reports whether the container mounts what the template says, and beside that only
// tokens. In the account's folder are the API server's certificates as well: whoever replaces
// them answers in its place, and gets the token.
func sameMounts(template corev1.PodSpec, want corev1.Container, pod corev1.PodSpec, current corev1.Container) bool {
	return len(current.VolumeDevices) == len(want.VolumeDevices) && !slices.ContainsFunc(current.VolumeMounts, func(m corev1.VolumeMount) bool {
		if slices.ContainsFunc(want.VolumeMounts, func(w corev1.VolumeMount) bool { return equality.Semantic.DeepEqual(m, w) }) {
			return false
		}
		folder := path.Clean(m.MountPath)
		switch {
		case !strings.HasPrefix(folder, tokensPath):
			return true
		case folder != accountPath && !strings.HasPrefix(folder, accountPath+"/"):
			return false
		}
		v := volumeOf(pod, m.Name)
		return volumeOf(template, m.Name) != nil || v != nil && !isAccounts(*v)
	})
}

// isAccounts reports whether a volume is a service account's as admission adds it: a token and
// the cluster's own certificates, or on servers before 1.21 a Secret of the account's.
func isAccounts(v corev1.Volume) bool {
	if v.Projected == nil {
		return v.Secret != nil && strings.Contains(v.Secret.SecretName, "-token-")
	}
	return !slices.ContainsFunc(v.Projected.Sources, func(source corev1.VolumeProjection) bool {
		return source.Secret != nil || source.ClusterTrustBundle != nil || source.PodCertificate != nil ||
			source.ConfigMap != nil && !slices.Contains([]string{"kube-root-ca.crt", "openshift-service-ca.crt"}, source.ConfigMap.Name)
	})
}

// probeCommands returns the commands that the kubelet runs in the container; nil for no command.
func probeCommands(c corev1.Container) []*corev1.ExecAction {
	var commands []*corev1.ExecAction
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe == nil {
			probe = &corev1.Probe{}
		}
		commands = append(commands, probe.Exec)
	}
	return commands
}

// sameEnvironment reports whether the container has the template's variables, and none beside
// them that Tiller reads. Clouds' admission adds others.
func sameEnvironment(want, current corev1.Container) bool {
	more := func(e corev1.EnvVar) bool {
		_, wanted := lastOf(want.Env, e.Name)
		return !wanted && (e.Name == "KUBECONFIG" || slices.ContainsFunc([]string{"TILLER_", "HELM_", "LD_"}, func(prefix string) bool { return strings.HasPrefix(e.Name, prefix) }))
	}
	return equality.Semantic.DeepEqual(want.EnvFrom, current.EnvFrom) && !slices.ContainsFunc(current.Env, more) &&
		!slices.ContainsFunc(want.Env, func(e corev1.EnvVar) bool {
			last, _ := lastOf(want.Env, e.Name)
			value, found := lastOf(current.Env, e.Name)
			return !found || !equality.Semantic.DeepEqual(last, value)
		})
}

// lastOf returns the last of the variables with that name, which counts.
func lastOf(env []corev1.EnvVar, name string) (corev1.EnvVar, bool) {
	for _, e := range slices.Backward(env) {
		if e.Name == name {
			return e, true
		}
	}
	return corev1.EnvVar{}, false
}

func privileged(c corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
}

// addedCapabilities returns the capabilities that a container has beside the usual ones.
func addedCapabilities(c corev1.Container) []corev1.Capability {
	if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
		return nil
	}
	return c.SecurityContext.Capabilities.Add
}
