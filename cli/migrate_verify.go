package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"helm-tenant/admin"
	"helm-tenant/helm"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
)

// verifier finds the helm that will verify the releases.
func (m *migration) verifier(ctx context.Context) (func(context.Context, *admin.Migration) error, error) {
	client, err := m.HelmClient(ctx, true)
	if err == nil && client.Engine() != tenant.EngineImpersonation {
		err = fmt.Errorf("a Helm 3 or 4 has to find the releases afterwards, but %s is Helm %d", client.Path, client.Major)
	}
	if err != nil {
		return nil, withHint(err, hint(fmt.Sprintf("run it under Helm 3 or 4, or as helm-tenant %s with HELM_BIN set to one; --dry-run needs none", m.Call.Line.Command))) // one of our verbs
	}
	// Checked before the first write: afterwards no helm could verify the releases.
	if err := m.Place(m.k).CheckImpersonation(tenant.Resolved{Name: m.name, Engine: tenant.EngineImpersonation}); err != nil {
		return nil, err
	}
	return func(ctx context.Context, migration *admin.Migration) error {
		v := migrate.Verifier{
			Program: client.Path,
			Ask: func(ctx context.Context, command string, args ...string) (string, error) {
				return m.ask(ctx, client, migration.Tenant, command, args...)
			},
			Say: func(sentence string) { m.say("%s", sentence) },
		}
		return v.Verify(ctx, migration.Releases, migration.Standings, migration.LostNamespace)
	}, nil
}

// ask runs helm as a member does, and returns its output. It tries again for a moment,
// since new rights take a moment to be in force.
func (m *migration) ask(ctx context.Context, client helm.Client, t tenant.Tenant, command string, args ...string) (string, error) {
	resolved := tenant.Resolved{Name: t.Name, Home: t.Home(), Engine: tenant.EngineImpersonation, Namespaces: t.Namespaces, AllNamespaces: t.AllNamespaces}
	inv, err := m.tenantHelm(client, helm.Line{Command: command, Args: args}, resolved, m.k, "secret")
	if err != nil {
		return "", err
	}
	var text string
	patience := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.6, Steps: 8}
	err = retry.OnError(patience, func(err error) bool { return ctx.Err() == nil && errors.Is(err, helm.ErrForbidden) }, func() error {
		var err error
		text, err = helm.Capture(ctx, inv, time.Minute)
		return err
	})
	if errors.Is(err, helm.ErrReleaseNotFound) {
		err = migrate.ErrReleaseNotFound
	}
	return text, err
}
