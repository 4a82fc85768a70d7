package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"helm-tenant/envvar"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/wrapper"
)

// wrap runs a command of helm for the caller's tenant. It returns helm's exit code if the
// system can't replace the process.
func (c caller) wrap(ctx context.Context) (int, error) {
	if err := c.Loop(); err != nil {
		return 0, withHint(err, "set HELM_BIN to the path of the real helm")
	}
	client, err := c.HelmClient(ctx, false)
	if errors.Is(err, helm.ErrNoHelm) {
		// Our own verbs need no helm, and so the one that was meant.
		word := c.Call.Line.Command
		if word == "help" {
			word = c.Call.Line.Args[0]
		}
		err = cmp.Or(wrapper.Mistyped(word), err)
	}
	if err != nil {
		return 0, c.explain(err)
	}
	inv, err := c.invocation(ctx, client)
	if err != nil {
		return 0, err
	}
	return c.Env.Exec(inv)
}

// invocation returns how helm is started for the caller's command, and prints what the
// caller should know of it to stderr.
func (c caller) invocation(ctx context.Context, client helm.Client) (helm.Invocation, error) {
	start, err := c.Start(ctx, client, c.cluster(wrapTimeout))
	start.Say(c.Env.Stderr)
	return start.Invocation, c.explain(err)
}

// explain adds hints to an error of a wrapped call.
func (c caller) explain(err error) error {
	if line, ok := errors.AsType[*wrapper.LineError](err); ok {
		return &usageError{line.Err, "helm tenant [--tenant T] [--context C] COMMAND [ARGUMENT...]"}
	}
	if word, ok := errors.AsType[*wrapper.MistypedError](err); ok {
		return withHint(err, hint("did you mean: helm tenant "+word.Verb)) // one of our verbs
	}
	line := c.Call.Line
	if _, ok := errors.AsType[*tenant.UnresolvedError](err); ok && wrapper.Removes(line.Command) && len(line.Args) > 0 {
		return withHint(err, hint(line.Command+" is helm's command, for a release; a tenant is removed with: helm tenant destroy "+tenantWord(line.Args[0]))) // one of helm's commands
	}
	return explainDecision(err)
}

// tenantHelm returns a command of helm that a verb of ours runs for a tenant. driver is
// the storage of the Helm 3 and 4 release records that it concerns; empty for the
// caller's HELM_DRIVER.
func (s *session) tenantHelm(client helm.Client, line helm.Line, resolved tenant.Resolved, k *tenant.Kubeconfig, driver string) (helm.Invocation, error) {
	if s.kubeconfigFile != "" {
		line.Globals = append(line.Globals, "--kubeconfig="+s.kubeconfigFile)
	}
	// The environment's namespace and context are not for this command.
	call := helm.Call{Line: line, Env: func(string) (string, bool) { return "", false }}
	d, err := call.Decide(client, s.Place(k), resolved)
	if err != nil {
		return helm.Invocation{}, err
	}
	inv, err := s.Invocation(d, k)
	if driver != "" {
		inv.Env = slices.DeleteFunc(inv.Env, func(entry string) bool { return strings.HasPrefix(entry, envvar.Driver+"=") })
		inv.Env = append(inv.Env, envvar.Driver+"="+driver)
	}
	return inv, err
}
