package cli

import (
	"context"
	"errors"
	"slices"

	"helm-tenant/helm"
)

// wrap runs a command of helm's for the caller's tenant. It returns helm's exit
// code where the system can't replace the process.
func (c caller) wrap(ctx context.Context) (int, error) {
	if err := c.loop(); err != nil {
		return 0, err
	}
	client, err := c.helmClient(ctx, false)
	if err != nil {
		return 0, err
	}
	class := helm.ClassOf(client.Major, c.line.Command)
	if class == helm.Local || c.clientVersion() {
		return c.env.Exec(helm.WrapLocal(client, c.line, c.env.Environ))
	}
	if c.swallowed.Host != "" {
		return 0, errors.New("--host goes around the tenant's own Tiller; leave it out, or run helm itself")
	}
	file, _ := c.line.Typed("kubeconfig")
	kubeContext, _ := c.line.Typed("kube-context")
	k, err := c.kubeconfig(file, c.line.Context, kubeContext)
	if err != nil {
		return 0, err
	}
	resolved, err := c.resolve(ctx, k, c.line.Tenant, client.Engine())
	if err != nil {
		return 0, err
	}
	inv, err := helm.Wrap(client, c.line, resolved, k.Context, k.Namespace, c.env.Environ)
	if err != nil {
		return 0, err
	}
	return c.env.Exec(inv)
}

// clientVersion says whether this is `version --client`, which asks no Tiller.
func (c caller) clientVersion() bool {
	return c.line.Command == "version" && (slices.Contains(c.line.Args, "--client") || slices.Contains(c.line.Args, "-c"))
}
