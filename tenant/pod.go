package tenant

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/envvar"
)

const (
	// podContext is the name of the only context, cluster and user of a pod's kubeconfig.
	podContext = "pod"
	// podFile is the name of the file that PodFile writes.
	podFile = "pod.kubeconfig"
	// accountFolder is the folder in which Kubernetes mounts a pod's service account.
	accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// pod is what a process in a pod knows of its cluster. client-go makes its in-cluster
// configuration from the same (k8s.io/client-go/rest, InClusterConfig).
type pod struct {
	server, namespace, folder string
}

// thisPod returns the pod of this process; found is false outside of a pod.
func thisPod(env func(string) string, folder string) (p pod, found bool) {
	host, port := env(envvar.ServiceHost), env(envvar.ServicePort)
	if host == "" {
		return pod{}, false
	}
	if port == "" {
		port = "443"
	}
	p = pod{server: "https://" + net.JoinHostPort(host, port), namespace: env(envvar.PodNamespace), folder: folder}
	if p.namespace == "" {
		if text, err := os.ReadFile(filepath.Join(folder, "namespace")); err == nil {
			p.namespace = strings.TrimSpace(string(text))
		}
	}
	if p.namespace == "" {
		p.namespace = "default"
	}
	return p, true
}

func (p pod) token() string { return filepath.Join(p.folder, "token") }

// config returns the pod's kubeconfig. It has paths and no secrets: the kubelet replaces
// the token in its file, and client-go reads it again.
func (p pod) config() *clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters[podContext] = &clientcmdapi.Cluster{Server: p.server}
	if ca := filepath.Join(p.folder, "ca.crt"); isFile(ca) {
		config.Clusters[podContext].CertificateAuthority = ca
	}
	config.AuthInfos[podContext] = &clientcmdapi.AuthInfo{TokenFile: p.token()}
	config.Contexts[podContext] = &clientcmdapi.Context{Cluster: podContext, AuthInfo: podContext, Namespace: p.namespace}
	config.CurrentContext = podContext
	return config
}

// isPodConfig reports whether a loaded kubeconfig is the one of PodFile: a helm that was
// started with it starts helm-tenant again through a plugin.
func isPodConfig(config *clientcmdapi.Config) bool {
	kctx, user := config.Contexts[podContext], config.AuthInfos[podContext]
	return len(config.Contexts) == 1 && kctx != nil && user != nil &&
		filepath.Base(kctx.LocationOfOrigin) == podFile && user.TokenFile == filepath.Join(accountFolder, "token")
}

// InPod reports whether the caller is a pod's service account and there is no
// kubeconfig.
func (k *Kubeconfig) InPod() bool { return k.pod != nil }

// PodFile writes the pod's kubeconfig and returns the file. Helm 3 and 4 need one to
// impersonate: client-go drops its in-cluster configuration as soon as anything is
// overridden (k8s.io/client-go/tools/clientcmd, DeferredLoadingClientConfig).
//
// The file is in the user's cache folder, else in the folder for temporary files, else in
// /dev/shm, which is writable in a container with a read-only root. If none of them can
// be written, the error says what to set.
func (k *Kubeconfig) PodFile() (string, error) {
	if err := k.pod.checkToken(); err != nil {
		return "", err
	}
	text, err := clientcmd.Write(*k.pod.config())
	if err != nil {
		return "", err
	}
	mine := fmt.Sprintf("helm-tenant-%d", os.Getuid())
	folders := []string{filepath.Join(k.env.TempDir(), mine), filepath.Join("/dev/shm", mine)}
	if cache, err := k.env.CacheDir(); err == nil {
		folders = slices.Insert(folders, 0, filepath.Join(cache, "helm-tenant"))
	}
	var why []string
	for _, folder := range folders {
		err := writePodFile(folder, text)
		if err == nil {
			return filepath.Join(folder, podFile), nil
		}
		why = append(why, fmt.Sprintf("%s: %v", folder, reason(err)))
	}
	return "", fmt.Errorf("helm needs a kubeconfig in a pod, and none can be written; set TMPDIR to a writable folder, such as an emptyDir volume (%s)", strings.Join(why, "; "))
}

// writePodFile writes the file unless it exists with the same text. Nobody else may be
// able to write in the folder: whoever changes the address in the file gets the pod's
// token.
func writePodFile(folder string, text []byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(folder)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("it is no folder")
	case !isOurs(info) || info.Mode().Perm()&0o022 != 0:
		return errors.New("others may write there")
	}
	file := filepath.Join(folder, podFile)
	if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() && isOurs(info) && info.Mode().Perm() == 0o600 {
		if current, err := os.ReadFile(file); err == nil && bytes.Equal(current, text) {
			return nil
		}
	}
	return ReplaceFile(file, 0o600, func(temp *os.File) error {
		_, err := temp.Write(text)
		return err
	})
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// checkToken returns an error if the pod has no token of a service account.
func (p pod) checkToken() error {
	if _, err := os.Stat(p.token()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no kubeconfig, and this pod has no service account token at %s: set KUBECONFIG, or leave automountServiceAccountToken on", p.token())
	}
	return nil
}

// PodUser returns the user name of the pod's service account, as its token says; empty outside of
// a pod, and for a token that says none. It is for display, since nobody checked the token.
func (k *Kubeconfig) PodUser() string {
	if k.pod == nil {
		return ""
	}
	text, err := os.ReadFile(k.pod.token())
	if err != nil {
		return ""
	}
	return subjectOf(strings.TrimSpace(string(text)))
}

// subjectOf returns the service account that a token is for: the subject of a JSON Web Token.
func subjectOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(text, &claims) != nil || !strings.HasPrefix(claims.Subject, "system:serviceaccount:") {
		return ""
	}
	return claims.Subject
}
