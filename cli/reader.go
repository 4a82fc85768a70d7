package cli

import (
	"context"
	"fmt"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// isReader asks the API server whether the caller is a reader of the tenant with that
// home: who is a member as well is none. known is false where they are neither.
func isReader(ctx context.Context, client *cluster.Client, home string) (reader, known bool, err error) {
	may := func(account string) (bool, error) {
		return client.May(ctx, cluster.Permission{Verb: "impersonate", Resource: "serviceaccounts", Name: account, Namespace: home})
	}
	member, err := may(tenant.HelmAccount)
	if err != nil || member {
		return false, member, err
	}
	reader, err = may(tenant.ReaderAccount)
	return reader, reader, err
}

// asReader completes a tenant of Helm 3 and 4 by whether the caller is its reader. A
// kubeconfig whose user acts as one of the tenant's accounts already says which.
func asReader(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, r tenant.Resolved) (tenant.Resolved, error) {
	if _, acts := k.Impersonates(); acts || r.Engine == tenant.EngineTiller {
		return r, nil
	}
	reader, known, err := isReader(ctx, client, r.Home)
	if err != nil {
		return r, fmt.Errorf("whether you may use or read the tenant: %w", err)
	}
	if known {
		r.Reader = reader
	}
	return r, nil
}
