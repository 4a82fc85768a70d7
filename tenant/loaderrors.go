package tenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"

	"helm-tenant/visible"
)

type noKubeconfig string

func (e noKubeconfig) Error() string { return string(e) }

func (e noKubeconfig) Is(t error) bool { return t == ErrNoKubeconfig }

// plainLoadError returns client-go's error as one line. Its error for two entries of one name
// prints the list with both, tokens and passwords included (k8s.io/client-go/tools/clientcmd/api/v1,
// conversion.go).
func plainLoadError(err error) string {
	text := strings.TrimPrefix(visible.OneLine(err.Error()), "yaml: ")
	before, _, lists := strings.Cut(text, " in list: ")
	if !lists {
		return text
	}
	_, name, _ := strings.Cut(before, "duplicate name ")
	for list, entries := range map[string]string{"[]NamedCluster ": "clusters", "[]NamedAuthInfo ": "users", "[]NamedContext ": "contexts", "[]NamedExtension ": "extensions"} {
		if strings.Contains(before, list) {
			return fmt.Sprintf("two %s are called %s", entries, name)
		}
	}
	return "two entries are called " + name
}

// explainLoad names the first file that client-go could not load, with the reason:
// client-go's own error is one text about all files, with names of Go types.
func explainLoad(files []string, err error) error {
	for _, file := range files {
		_, why := clientcmd.LoadFromFile(file)
		var atPath *fs.PathError
		var kind *json.UnmarshalTypeError
		switch {
		case why == nil, errors.Is(why, fs.ErrNotExist):
			continue
		case errors.As(why, &atPath):
			return fmt.Errorf("kubeconfig %s can't be read: %w", file, atPath.Err)
		case runtime.IsNotRegisteredError(why), strings.HasPrefix(why.Error(), "couldn't get version/kind"):
			return fmt.Errorf("kubeconfig %s is not one: it does not hold a Config of apiVersion v1", file)
		case errors.As(why, &kind):
			return fmt.Errorf("kubeconfig %s can't be understood: %s can't be a %s", file, kind.Field, kind.Value)
		}
		return fmt.Errorf("kubeconfig %s can't be understood: %s", file, plainLoadError(why))
	}
	return fmt.Errorf("kubeconfig %s can't be understood: %s", strings.Join(files, ", "), plainLoadError(err))
}

// reason returns the system's message without the call and the path, which may be a temporary
// file's.
func reason(err error) error {
	if atPath, ok := errors.AsType[*fs.PathError](err); ok {
		return atPath.Err
	}
	if renamed, ok := errors.AsType[*os.LinkError](err); ok {
		return renamed.Err
	}
	return err
}

// PluginError reports that the program from which the context's user gets its credentials can't
// be found.
type PluginError struct {
	// User is the user of the kubeconfig, and Command its program.
	User, Command string
	// Hint is what the kubeconfig says about installing it, on one line.
	Hint string
}

func (e *PluginError) Error() string {
	text := fmt.Sprintf("user %q of the kubeconfig gets its credentials from the program %q, which is not installed", e.User, e.Command)
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	return text
}

// CheckPlugin returns a *PluginError if the user's credential plugin is missing. The client
// libraries look for it as this does (k8s.io/client-go/plugin/pkg/client/auth/exec), and report it
// after helm has begun, in five lines that do not name the user.
func (k *Kubeconfig) CheckPlugin() error {
	if k.config == nil || k.InPod() {
		return nil
	}
	user := k.config.AuthInfos[k.User]
	if user == nil || user.Exec == nil || user.Exec.Command == "" {
		return nil
	}
	_, err := exec.LookPath(user.Exec.Command)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return &PluginError{k.User, user.Exec.Command, visible.Excerpt(user.Exec.InstallHint)}
	}
	return nil
}

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
