package wrapper

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm-tenant/helm"
	"helm-tenant/tenant"
)

// recorded is a cluster with the record of one tenant, or with none that can be read.
type recorded struct {
	filesOnly
	namespaces []string
	unreadable error
}

func (r recorded) ReadNamespaces(_ context.Context, _ *tenant.Kubeconfig, resolved tenant.Resolved) (tenant.Resolved, error) {
	resolved.Namespaces = r.namespaces
	return resolved, r.unreadable
}

func (recorded) CheckHomes(context.Context, *tenant.Kubeconfig, []string) error { return nil }

// TestCreateNamespaceOfNamed: whether --create-namespace names a namespace that is there is
// asked of the record of a tenant that is only named. Without a record helm decides, but not
// after a Ctrl-C.
func TestCreateNamespaceOfNamed(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	const kept, left = "upgrade -i web . -n a --create-namespace", "upgrade -i web . -n a"
	for name, test := range map[string]struct {
		cluster Cluster
		want    string
	}{
		"the tenant's":             {recorded{namespaces: []string{"b", "a"}}, left},
		"another's":                {recorded{namespaces: []string{"b"}}, kept},
		"no record":                {recorded{unreadable: &NoRecordError{errors.New("forbidden")}}, kept},
		"a Ctrl-C":                 {recorded{unreadable: context.Canceled}, ""},
		"the cluster is not asked": {filesOnly{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(Environment{Args: append([]string{"--tenant", "other"}, strings.Fields(kept)...), Environ: []string{"KUBECONFIG=" + config},
				CommandLine: func(int) ([]string, error) { return nil, errors.New("hidden") }})
			if err != nil {
				t.Fatal(err)
			}
			start, err := c.Start(t.Context(), helm.Client{Path: "helm", Major: 3}, test.cluster)
			if (err != nil) != (test.want == "") {
				t.Fatal(err)
			}
			if got := strings.Join(start.Args, " "); test.want != "" && !strings.HasSuffix(got, " "+test.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestMissingPlugin: a context whose credentials come from a program that is not there is refused
// before helm is started, except for what may not need the cluster.
func TestMissingPlugin(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	const token, gone = "{token: t}", `{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: helm-tenant-has-no-such-program, installHint: "see\n the intranet"}}`
	if err := os.WriteFile(config, []byte(strings.Replace(kubeconfig, token, gone, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	const refused = `context "known": user "u" of the kubeconfig gets its credentials from the program "helm-tenant-has-no-such-program", which is not installed: see the intranet`
	for args, want := range map[string]string{
		"list": refused, "upgrade --install web ./chart": refused,
		"upgrade --help": "", "install -h": "", "diff version": "", "lint .": "",
	} {
		c, err := New(Environment{Args: strings.Fields(args), Environ: []string{"KUBECONFIG=" + config}, CommandLine: func(int) ([]string, error) { return nil, errors.New("hidden") }})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := c.Start(t.Context(), helm.Client{Path: "helm", Major: 3}, filesOnly{}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", args, got, want)
		}
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for command, missing := range map[string]bool{program: false, filepath.Join(dir, "gone"): true} {
		text := strings.Replace(kubeconfig, token, `{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: '`+command+`'}}`, 1)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := tenant.LoadKubeconfig([]string{"KUBECONFIG=" + config}, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := k.CheckPlugin(); (err != nil) != missing {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// TestNoteWords: what helm would not understand is noted, and passed on as it was typed.
func TestNoteWords(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"list --tenant t": "--tenant goes before the command: helm tenant --tenant NAME list ...", "status web --context=c": "--context goes before the command: helm tenant --context NAME status ...",
		"get tenants": "get is helm's command, for releases; tenants are listed with: helm tenant tenants", "ls tenants": "ls is helm's command, for releases; tenants are listed with: helm tenant tenants",
		"get values web": "", "diff upgrade web . --context 3": "", "upgrade web . -- --tenant t": "",
	} {
		c, err := New(Environment{Args: strings.Fields(args), Environ: []string{"KUBECONFIG=" + config}, CommandLine: func(int) ([]string, error) { return nil, errors.New("hidden") }})
		if err != nil {
			t.Fatal(err)
		}
		start, err := c.Start(t.Context(), helm.Client{Path: "helm", Major: 3}, filesOnly{})
		if got := strings.Join(start.Notes, "\n"); err != nil || got != want || !strings.HasSuffix(strings.Join(start.Args, " "), args) {
			t.Errorf("%s: got %q with %q, %v", args, got, start.Args, err)
		}
	}
}
