package cli

import (
	"context"
	"fmt"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// isReader asks the API server whether the caller is a reader, and not a member as well,
// of the tenant with that home. known is false if the caller is neither.
func isReader(ctx context.Context, client *cluster.Client, home string) (reader, known bool, err error) {
	member, err := client.May(ctx, cluster.Impersonation(home, tenant.HelmAccount))
	if err != nil || member {
		return false, member, err
	}
	reader, err = client.May(ctx, cluster.Impersonation(home, tenant.ReaderAccount))
	return reader, reader, err
}

// asReader sets whether the caller is a reader of a tenant of Helm 3 and 4. If the
// kubeconfig's user acts as one of the tenant's accounts, that decides it.
func asReader(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, r tenant.Resolved) (tenant.Resolved, error) {
	r, _, err := withAccount(ctx, client, k, r)
	return r, err
}

// withAccount is asReader; neither reports that the caller is no member either.
func withAccount(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, r tenant.Resolved) (_ tenant.Resolved, neither bool, _ error) {
	if _, acts := k.Impersonates(); acts || r.Engine == tenant.EngineTiller {
		return r, false, nil
	}
	reader, known, err := isReader(ctx, client, r.Home)
	if err != nil {
		return r, false, fmt.Errorf("finding out whether you may use or only read the tenant: %w", err)
	}
	if known {
		r.Reader = reader
	}
	return r, !known, nil
}
