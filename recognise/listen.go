package recognise

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Listener is where the API of a Tiller listens (k8s.io/helm/cmd/tiller, flag listen).
type Listener struct {
	// Loopback reports whether only processes of its own pod can connect.
	Loopback bool
	// Port is 0 if the container's specification does not tell it.
	Port int32
}

// ListenerOf returns where the Tiller in a container listens, according to its command line;
// where another image's entry point decides, according to the port that is called as in
// Tiller's own Deployment.
func ListenerOf(c *corev1.Container) Listener {
	address := flag(c, "listen")
	if address == "" {
		if _, known := arguments(c); !known {
			for _, declared := range c.Ports {
				if declared.Name == "tiller" {
					return Listener{Port: declared.ContainerPort}
				}
			}
		}
		return Listener{Port: port}
	}
	colon := strings.LastIndex(address, ":")
	host, number := address[:max(colon, 0)], address[colon+1:]
	l := Listener{Loopback: host == "localhost" || strings.HasPrefix(host, "127.") || host == "[::1]"}
	if n, err := strconv.ParseUint(number, 10, 16); err == nil {
		l.Port = int32(n)
	}
	return l
}

// Leads reports whether a connection to that port of the pod can reach the Tiller.
func (l Listener) Leads(to int32) bool { return l.Port == 0 || l.Port == to }

func (l Listener) String() string {
	if l.Port == 0 {
		return "Tiller's port"
	}
	return "port " + strconv.Itoa(int(l.Port))
}

// Listening returns the containers that run beside one another in a pod, whose ports are all
// ports of the pod: of init containers those that keep running.
func Listening(spec corev1.PodSpec) []*corev1.Container {
	var all []*corev1.Container
	for i := range spec.Containers {
		all = append(all, &spec.Containers[i])
	}
	for i := range spec.InitContainers {
		if policy := spec.InitContainers[i].RestartPolicy; policy != nil && *policy == corev1.ContainerRestartPolicyAlways {
			all = append(all, &spec.InitContainers[i])
		}
	}
	return all
}
