package cli

import (
	"context"
	"fmt"
	"slices"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// surplus returns the tenants of the cluster that the files do not name.
func (s *session) surplus(ctx context.Context, client *cluster.Client, o *applyOptions, requests []admin.Request) ([]string, error) {
	if !o.prune {
		return nil, nil
	}
	homes, err := client.Homes(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range requests {
		delete(homes, r.Tenant.Name)
	}
	var names []string
	for name := range homes {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) > 0 && o.dryRun != dryRunServer && !o.destroy.yes && !isTerminal(s.Env.Stdin) {
		return nil, withHint(fmt.Errorf("--prune would destroy %s of %s (%s), and there is no terminal to confirm it on", counted(len(names), "tenant"), client.Where(), brief(names)), "add --yes")
	}
	return names, nil
}

// pruneTenants destroys the surplus tenants by the rules of destroy.
func (s *session) pruneTenants(ctx context.Context, k *tenant.Kubeconfig, client *cluster.Client, o *applyOptions, names []string) []admin.Outcome {
	var outcomes []admin.Outcome
	for _, name := range names {
		d := o.destroy
		d.wait, d.timeout = o.wait, o.timeout
		d.output = "text"
		d.quiet = o.output != "text" // the output is a single object
		outcomes = append(outcomes, admin.Outcome{Name: name, Err: s.destroyTenant(ctx, k, client, name, &d)})
	}
	return outcomes
}

// tryPrune returns the surplus tenants that a prune could not destroy, with the reasons.
func (s *session) tryPrune(ctx context.Context, k *tenant.Kubeconfig, client *cluster.Client, o *applyOptions, names []string) []admin.Outcome {
	var refused []admin.Outcome
	for _, name := range names {
		run := admin.Destroy{Client: client, Name: name, DeleteReleases: o.destroy.deleteReleases, KeepReleases: o.destroy.keepReleases, DryRun: true, Event: s.event,
			Uninstall: func(removal *admin.Removal) (func(context.Context) error, error) {
				_, err := s.deletions(ctx, k, removal)
				return nil, err
			}}
		removal, err := run.Run(ctx)
		if err == nil {
			err = admin.CheckAllowed(ctx, client, removal.Prepared)
		}
		if err != nil {
			refused = append(refused, admin.Outcome{Name: name, Err: err})
			continue
		}
		s.previewReleases(removal, &o.destroy)
	}
	return refused
}
