package tenant

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"

	"helm-tenant/visible"
)

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
