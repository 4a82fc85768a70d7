package tenant

import (
	"fmt"
	"slices"
	"strings"
)

// execOfHelm2 are the versions of exec plugins that Helm 2.17 knows (k8s.io/client-go
// v0.16, plugin/pkg/client/auth/exec).
var execOfHelm2 = []string{"client.authentication.k8s.io/v1beta1", "client.authentication.k8s.io/v1alpha1"}

// Helm2Limits describes how Helm 2.17, whose client-go is that of Kubernetes 1.16, treats
// newer settings of a kubeconfig's context.
type Helm2Limits struct {
	// Fails is the reason why Helm 2 can't use the context, empty if it can.
	Fails string
	// Ignores are the settings that Helm 2 ignores, a noun phrase each.
	Ignores []string
}

// Helm2Limits returns the limits for the context's cluster and user. proxied reports
// whether the environment names a proxy, which Helm 2 uses instead of the cluster's.
func (k *Kubeconfig) Helm2Limits(proxied bool) Helm2Limits {
	var l Helm2Limits
	if k.config == nil {
		return l
	}
	if cluster := k.config.Clusters[k.Cluster]; cluster != nil {
		if cluster.ProxyURL != "" && !proxied {
			l.Ignores = append(l.Ignores, fmt.Sprintf("proxy-url of cluster %q (its value in HTTPS_PROXY has the same effect)", k.Cluster))
		}
		if cluster.TLSServerName != "" {
			l.Ignores = append(l.Ignores, fmt.Sprintf("tls-server-name of cluster %q (the certificate is checked for the host of the address)", k.Cluster))
		}
	}
	user := k.config.AuthInfos[k.User]
	if user == nil {
		return l
	}
	if user.ImpersonateUID != "" {
		l.Ignores = append(l.Ignores, fmt.Sprintf("as-uid of user %q", k.User))
	}
	if exec := user.Exec; exec != nil {
		if !slices.Contains(execOfHelm2, exec.APIVersion) {
			l.Fails = fmt.Sprintf("Helm 2 can't use the exec plugin of user %q in the kubeconfig: it is of %s, and Helm 2 knows %s at most", k.User, strings.TrimSpace(exec.APIVersion), execOfHelm2[0])
		}
		if exec.ProvideClusterInfo {
			l.Ignores = append(l.Ignores, fmt.Sprintf("provideClusterInfo of the exec plugin of user %q", k.User))
		}
	}
	return l
}
