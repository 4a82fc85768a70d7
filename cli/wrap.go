package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm-tenant/helm"
	"helm-tenant/tenant"
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
	inv, err := c.invocation(ctx, client)
	if err != nil {
		return 0, err
	}
	return c.env.Exec(inv)
}

// invocation is how helm is started for the caller's command.
func (c caller) invocation(ctx context.Context, client helm.Client) (helm.Invocation, error) {
	class := helm.ClassOf(client.Major, c.line.Command)
	if class == helm.Local || c.clientVersion() || c.line.RenderOnly(client.Major) {
		return helm.WrapLocal(client, c.line, c.env.Environ), nil
	}
	if err := c.line.Check(class); err != nil {
		return helm.Invocation{}, &usageError{err, "helm tenant [--tenant T] [--context C] COMMAND [ARGUMENT...]"}
	}
	file, _ := c.line.Typed("kubeconfig")
	kubeContext, _ := c.line.Typed("kube-context")
	k, err := c.kubeconfig(file, c.line.Context, kubeContext)
	if err != nil {
		return helm.Invocation{}, err
	}
	resolved, err := c.resolve(ctx, k, c.line.Tenant, client.Engine(), wrapTimeout)
	var unresolved *tenant.UnresolvedError
	if errors.As(err, &unresolved) && class != helm.Plugin && c.asksForHelp() {
		return helm.WrapLocal(client, helm.Line{Command: "help", Args: c.line.Words()}, c.env.Environ), nil
	}
	if err != nil {
		return helm.Invocation{}, err
	}
	line := c.line
	if client.Major > 2 {
		if server := c.env.get("HELM_KUBEAPISERVER"); server != "" && line.Identity() == "" {
			return helm.Invocation{}, fmt.Errorf("HELM_KUBEAPISERVER names the API server %s, but helm-tenant acts where the kubeconfig context says: unset it, or use --context", server)
		}
		needed := class == helm.Namespaced && resolved.NamespaceFor(k.Namespace) != "" && !line.TypedNamespace(client.Major)
		if line.Namespace, err = c.namespaceNamed(k, resolved, needed); err != nil {
			return helm.Invocation{}, err
		}
	}
	return helm.Wrap(client, line, resolved, k.Context, k.Namespace, c.env.Environ)
}

// tenantHelm is a command of helm's that a verb of ours runs for a tenant. driver is
// where Helm 3 and 4 keep the release records it is about; empty is the caller's
// HELM_DRIVER.
func (s *session) tenantHelm(client helm.Client, line helm.Line, resolved tenant.Resolved, k *tenant.Kubeconfig, driver string) (helm.Invocation, error) {
	if s.kubeconfigFile != "" {
		line.Globals = append(line.Globals, "--kubeconfig="+s.kubeconfigFile)
	}
	environ := s.env.Environ
	if driver != "" {
		environ = append(slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, "HELM_DRIVER=") }), "HELM_DRIVER="+driver)
	}
	return helm.Wrap(client, line, resolved, k.Context, k.Namespace, environ)
}

// asksForHelp says whether helm may have been asked how its command is typed.
func (c caller) asksForHelp() bool {
	return slices.Contains(c.line.Args, "--help") || slices.Contains(c.line.Args, "-h")
}

// clientVersion says whether this is `version --client`, which asks no Tiller.
func (c caller) clientVersion() bool {
	return c.line.Command == "version" && (slices.Contains(c.line.Args, "--client") || slices.Contains(c.line.Args, "-c"))
}
