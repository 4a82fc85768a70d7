package helm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"helm-tenant/envvar"
	"helm-tenant/tenant"
)

// Call has everything that a caller said about where a command goes: on the command line,
// to the helm that started us as its plugin, and in the environment. It is complete once
// made.
type Call struct {
	Line Line
	// Plugin is the major version of the helm that runs us as its plugin, otherwise 0.
	Plugin int
	// Outer has what that helm removed from our arguments. Hidden is the reason why that
	// is not known, nil if it is.
	Outer  Swallowed
	Hidden error
	// Env looks up the caller's environment.
	Env Environ
	// tillerExported reports whether the caller exported TILLER_NAMESPACE=kube-system.
	// Helm 2 sets the same for its plugins.
	tillerExported bool
}

// Parent has what can be learned about the process that started us. Its functions may
// fail; then nothing is known.
type Parent struct {
	CommandLine func() ([]string, error)
	// Environ returns its environment at its start, before it set variables itself.
	Environ func() ([]string, error)
}

// ReadCall reads what the caller said; args are our own arguments without the program's
// name. The error is that of ParseLine, or reports that helm removed an empty argument
// together with a flag that decides where the command goes.
func ReadCall(args []string, env Environ, parent Parent) (Call, error) {
	c := Call{Plugin: pluginOf(env), Env: env}
	if c.Plugin != 0 {
		argv, err := parent.CommandLine()
		var typed []string
		if err == nil {
			c.Outer, typed, err = readParent(c.Plugin, argv, env.get(envvar.Bin), env.get(envvar.PluginName), args)
		}
		if c.Hidden = err; err == nil && !isCompletion(argv[1]) { // helm passes on what it completes unchanged
			if args, err = restoreEmpty(c.Plugin, typed, args, c.Outer); err != nil {
				return Call{}, err
			}
		}
	}
	if c.Plugin == 2 && c.Hidden == nil && env.get(envvar.TillerNamespace) == defaultTillerNamespace {
		if environ, err := parent.Environ(); err == nil {
			c.tillerExported = slices.Contains(environ, envvar.TillerNamespace+"="+defaultTillerNamespace)
		}
	}
	line, err := ParseLine(args)
	c.Line = line
	return c, err
}

// defaultTillerNamespace is the namespace in which Helm 2 looks for a Tiller by default.
const defaultTillerNamespace = "kube-system"

// Context returns the name of the kubeconfig context, empty for the current one. flags
// are the values of further flags that name one. If the caller may have named one that is
// not known, it is an error: a cluster other than the named one must never be reached.
func (c Call) Context(flags ...string) (string, error) {
	typed, _ := c.Line.Typed("kube-context")
	named := append(slices.Clone(flags), c.Line.Context, typed, c.Outer.KubeContext)
	named = slices.DeleteFunc(named, func(name string) bool { return name == "" })
	slices.Sort(named)
	named = slices.Compact(named)
	if len(named) > 1 {
		return "", fmt.Errorf("two contexts are named, %s: give only one", strings.Join(named, " and "))
	}
	if len(named) == 1 {
		return named[0], nil
	}
	// An exported HELM_KUBECONTEXT loses to a typed --kube-context, which Helm 2 may have
	// hidden from us; if we exported it ourselves, it is what the user typed first.
	hidden := c.Hidden != nil && c.Plugin == 2
	if name := c.Env.get(envvar.KubeContext); name != "" && (!hidden || c.Env.get(envvar.Starter) != "") {
		return name, nil
	}
	if hidden {
		return "", &HiddenError{Flag: "--kube-context", Why: c.Hidden}
	}
	return "", nil
}

// HiddenError reports that the helm which started us may have removed a flag from our
// arguments, and that it is not known whether it did.
type HiddenError struct {
	Flag string
	Why  error
}

func (e *HiddenError) Error() string {
	helm := "helm"
	if e.Flag == "--kube-context" {
		helm = "helm 2"
	}
	return fmt.Sprintf("%s takes %s out of a plugin's arguments, and whether one was typed can't be seen: %v", helm, e.Flag, e.Why)
}

func (e *HiddenError) Unwrap() error { return e.Why }

// Asked returns what the caller said about the tenant. flag is the tenant that an
// argument names.
func (c Call) Asked(flag string, engine tenant.Engine) tenant.Asked {
	asked := tenant.Asked{Flag: flag, Environment: c.Env.get(envvar.Tenant), Engine: engine}
	if engine != tenant.EngineTiller {
		return asked // a Tiller's namespace has no meaning for Helm 3 and 4
	}
	asked.TypedTillerNamespace, _ = c.Line.Typed("tiller-namespace")
	if c.Outer.TillerNamespace != "" {
		asked.TypedTillerNamespace = c.Outer.TillerNamespace
	}
	asked.TillerNamespace = c.Env.get(envvar.TillerNamespace)
	if c.Plugin == 2 && asked.TillerNamespace == defaultTillerNamespace && !c.tillerExported {
		asked.TillerNamespace = "" // Helm 2 always sets its own default
	}
	return asked
}

// TLS returns how the caller wants the API server's certificate to be checked: by helm's
// flags, otherwise by the variables of Helm 3 and 4.
func (c Call) TLS() tenant.TLS {
	value := func(name, variable string) string {
		words := slices.Concat(c.Outer.Connection, c.Line.Globals, c.Line.Args)
		if v, given := (Line{Args: words}).Typed(name); given {
			return v
		}
		return c.Env.get(variable)
	}
	const skip = "kube-insecure-skip-tls-verify"
	insecure, err := strconv.ParseBool(value(skip, envvar.KubeInsecure))
	return tenant.TLS{
		CAFile:     value("kube-ca-file", envvar.KubeCAFile),
		ServerName: value("kube-tls-server-name", envvar.KubeServerName),
		Insecure:   err == nil && insecure || slices.Contains(c.Line.Args, "--"+skip),
	}
}

// NamesTenant reports whether the caller named a tenant, a Tiller's namespace, a
// context or a kubeconfig.
func (c Call) NamesTenant() bool {
	for _, name := range []string{"kube-context", "kubeconfig", "tiller-namespace", "host"} {
		if _, given := c.Line.Typed(name); given {
			return true
		}
	}
	asked := c.Asked(c.Line.Tenant, tenant.EngineTiller)
	return asked.Flag != "" || asked.Environment != "" || asked.TypedTillerNamespace != "" || asked.TillerNamespace != "" ||
		c.Line.Context != "" || c.Outer.KubeContext != "" || c.identity() != "" || c.Hidden != nil
}

// identity returns the flag with which the caller sets the user or the API server, empty
// if there is none.
func (c Call) identity() string {
	for _, name := range identityFlags {
		if _, given := c.Line.Typed(name); given {
			return "--" + name
		}
	}
	if len(c.Outer.Identity) > 0 {
		return c.Outer.Identity[0]
	}
	return ""
}

// restoreEmpty returns the arguments with the empty ones that Helm 3 and 4 removed, each
// together with the word after it (isKnown in manuallyProcessArgs of load_plugins.go
// takes an empty word for a flag of helm's). typed are helm's own arguments without the
// plugin's name, from which it made got; outer is what it read from the words that it
// removed.
//
// The error reports that helm read its own flags differently from how they were typed, so
// that what it resolved for its plugin is not what the user meant.
func restoreEmpty(major int, typed, got []string, outer Swallowed) ([]string, error) {
	if major == 2 || !slices.Contains(typed, "") {
		return got, nil
	}
	taken, left := swallowKnown(major, typed, false)
	meant, err := read(taken)
	if err != nil || !meant.equal(outer) {
		return nil, errors.New(`helm takes an empty argument away together with the word after it, and so reads its own flags otherwise than they were typed: write the empty value as --flag="", or call helm-tenant itself`)
	}
	return left, nil
}
