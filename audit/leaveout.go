package audit

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/recognise"
)

// Parts of a Tiller's Deployment that findings report, in addition to fields.
const (
	partListen     = "--listen"
	partStorage    = "--storage"
	partHistory    = "TILLER_HISTORY_MAX"
	partPrivileged = "privileged"
)

// leaveOut makes a live pod equal to the wanted one in a part that a finding has reported
// already, so that a comparison reports the other parts. Both are copies.
func leaveOut(part string, live, want *corev1.PodSpec) {
	c := recognise.Container(*live)
	if c == nil || len(want.Containers) == 0 {
		return
	}
	w := &want.Containers[0]
	kind, name, _ := strings.Cut(part, " ")
	resource, isLimit := strings.CutPrefix(part, "limits.")
	switch {
	case part == partListen, part == partStorage:
		for _, container := range []*corev1.Container{c, w} {
			container.Command, container.Args = withoutFlag(container.Command, part), withoutFlag(container.Args, part)
			if part == partListen {
				container.Env = withoutEnv(container.Env, "TILLER_TLS_VERIFY")
			}
		}
	case part == partHistory:
		c.Env, w.Env = withoutEnv(c.Env, part), withoutEnv(w.Env, part)
		c.Command = withoutFlag(c.Command, "--history-max")
	case isLimit:
		delete(c.Resources.Limits, corev1.ResourceName(resource))
		delete(w.Resources.Limits, corev1.ResourceName(resource))
	case kind == "volume":
		live.Volumes = slices.DeleteFunc(live.Volumes, func(v corev1.Volume) bool { return v.Name == name })
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == name })
	case kind == "hostPort":
		withoutHostPorts(live, func(port int32) bool { return strconv.Itoa(int(port)) == name })
	case part == "hostNetwork":
		live.HostNetwork = want.HostNetwork
		withoutHostPorts(live, func(int32) bool { return true }) // the API server makes all ports the node's own
	case kind == partPrivileged && name != "":
		for _, containers := range [][]corev1.Container{live.Containers, live.InitContainers} {
			for i := range containers {
				if containers[i].Name == name && containers[i].SecurityContext != nil {
					containers[i].SecurityContext.Privileged = nil
				}
			}
		}
	case part == "hostPID":
		live.HostPID = want.HostPID
	case part == "hostIPC":
		live.HostIPC = want.HostIPC
	default:
		leaveOutContext(part, live, want, c, w)
	}
}

func withoutHostPorts(live *corev1.PodSpec, such func(int32) bool) {
	for _, containers := range [][]corev1.Container{live.Containers, live.InitContainers} {
		for i := range containers {
			for j := range containers[i].Ports {
				if such(containers[i].Ports[j].HostPort) {
					containers[i].Ports[j].HostPort = 0
				}
			}
		}
	}
}

func leaveOutContext(part string, live, want *corev1.PodSpec, c, w *corev1.Container) {
	for _, context := range []**corev1.SecurityContext{&c.SecurityContext, &w.SecurityContext} {
		if *context == nil {
			*context = &corev1.SecurityContext{}
		}
	}
	for _, context := range []**corev1.PodSecurityContext{&live.SecurityContext, &want.SecurityContext} {
		if *context == nil {
			*context = &corev1.PodSecurityContext{}
		}
	}
	current, wanted, pod, wantedPod := c.SecurityContext, w.SecurityContext, live.SecurityContext, want.SecurityContext
	switch part {
	case "runAsNonRoot": // either field reports root
		current.RunAsNonRoot, current.RunAsUser = wanted.RunAsNonRoot, wanted.RunAsUser
		pod.RunAsNonRoot, pod.RunAsUser = wantedPod.RunAsNonRoot, wantedPod.RunAsUser
	case "allowPrivilegeEscalation":
		current.AllowPrivilegeEscalation = wanted.AllowPrivilegeEscalation
	case "readOnlyRootFilesystem":
		current.ReadOnlyRootFilesystem = wanted.ReadOnlyRootFilesystem
	case "capabilities":
		current.Capabilities = wanted.Capabilities
	case "seccompProfile":
		current.SeccompProfile, pod.SeccompProfile = wanted.SeccompProfile, wantedPod.SeccompProfile
	case partPrivileged:
		current.Privileged = wanted.Privileged
	}
}

// withoutFlag returns the words without a flag and its value.
func withoutFlag(words []string, flag string) []string {
	var kept []string
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == flag:
			i++ // its value is the next word
		case strings.HasPrefix(words[i], flag+"="), strings.HasPrefix(words[i], flag[1:]+"="):
		default:
			kept = append(kept, words[i])
		}
	}
	return kept
}

func withoutEnv(env []corev1.EnvVar, name string) []corev1.EnvVar {
	return slices.DeleteFunc(slices.Clone(env), func(e corev1.EnvVar) bool { return e.Name == name })
}
