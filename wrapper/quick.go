package wrapper

import (
	"context"
	"errors"

	"helm-tenant/tenant"
)

// These commands are called by completion scripts (github.com/spf13/cobra,
// completions.go).
const (
	complete               = "__complete"
	completeNoDescriptions = "__completeNoDesc"
)

// IsCompletion reports whether completion scripts call a command.
func IsCompletion(command string) bool {
	return command == complete || command == completeNoDescriptions
}

// Wraps reports whether the call is a command of helm. Everything else is ours: a verb,
// help, completion.
func (c Caller) Wraps() bool {
	line := c.Call.Line
	switch {
	case IsCompletion(line.Command), line.Command == "completion" && c.Call.Plugin == 0, line.Version, line.Command == "", line.Help:
		return false
	case line.Command == "help":
		return len(line.Args) > 0 && !IsVerb(line.Args[0])
	}
	return !IsVerb(line.Command)
}

var errAsk = errors.New("the caller's files do not say it")

// filesOnly is a Cluster without answers.
type filesOnly struct{}

func (filesOnly) NamespaceLabels(context.Context, *tenant.Kubeconfig, string) (labels, annotations map[string]string, err error) {
	return nil, nil, errAsk
}

func (filesOnly) ReadNamespaces(_ context.Context, _ *tenant.Kubeconfig, r tenant.Resolved) (tenant.Resolved, error) {
	return r, errAsk
}

func (filesOnly) CheckHomes(context.Context, *tenant.Kubeconfig, []string) error {
	return errAsk
}

// Run runs a command of helm if the caller's files are enough to decide, and returns
// helm's exit code if the system can't replace the process. done is false otherwise, also
// for errors: then nothing was printed or done.
func Run(ctx context.Context, env Environment) (code int, done bool) {
	start, err := quick(ctx, env)
	if err != nil {
		return 0, false
	}
	start.Say(env.Stderr)
	code, err = env.Exec(start.Invocation)
	return code, err == nil
}

// errOurs reports that a call is not one of helm's commands.
var errOurs = errors.New("a command of ours")

func quick(ctx context.Context, env Environment) (Start, error) {
	c, err := New(env)
	if err != nil {
		return Start{}, err
	}
	if !c.Wraps() {
		return Start{}, errOurs
	}
	if err := c.Loop(); err != nil {
		return Start{}, err
	}
	client, err := c.HelmClient(ctx, false)
	if err != nil {
		return Start{}, err
	}
	return c.Start(ctx, client, filesOnly{})
}
