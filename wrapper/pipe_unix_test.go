//go:build unix

package wrapper

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"helm-tenant/envvar"
	"helm-tenant/helm"
	"helm-tenant/tenant"
)

// TestKubeconfigPipe: helm is not started with a kubeconfig that it would find empty.
func TestKubeconfigPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	const text = `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
		"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}`
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(name, []byte(text), 0o600) }()
	k, err := tenant.LoadKubeconfig(envvar.Environment{}, name, "")
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	const refusal = "is a pipe, which can be read only once: write it into a file"
	go func() { written <- os.WriteFile(name, nil, 0o600) }()
	if _, err := tenant.LoadKubeconfig(envvar.Environment{}, name, ""); err == nil || !strings.HasSuffix(err.Error(), refusal) {
		t.Errorf("read again: %v", err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	_, err = Caller{}.Invocation(helm.Decision{}, k)
	if err == nil || !strings.HasSuffix(err.Error(), refusal) {
		t.Errorf("got %v", err)
	}
}
