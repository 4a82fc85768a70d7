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
