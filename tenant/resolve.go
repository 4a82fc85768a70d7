package tenant

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/envvar"
	"helm-tenant/visible"
)

// Rule is the way in which a caller's tenant was found.
type Rule string

// These are the rules, in their order.
const (
	RuleFlag            Rule = "--tenant"
	RuleEnvironment     Rule = envvar.Tenant
	RuleTillerNamespace Rule = "--tiller-namespace"
	RuleTillerVariable  Rule = envvar.TillerNamespace
	RuleExtension       Rule = "kubeconfig context"
	RuleNamespaceLabel  Rule = "namespace label"
)

// Asked is what the caller said about the tenant.
type Asked struct {
	// Flag is --tenant, Environment is HELM_TENANT.
	Flag, Environment string
	// TypedTillerNamespace was a flag for helm, TillerNamespace comes from the
	// environment.
	TypedTillerNamespace, TillerNamespace string
	// Engine is the engine of the caller's helm.
	Engine Engine
}

// Resolved is the tenant of a call.
type Resolved struct {
	// Name is empty if only a Tiller's namespace was named.
	Name string
	Home string
	// Engine is tiller or impersonation. If nothing else is known, or the tenant has
	// both, it is the engine of the caller's helm.
	Engine Engine
	// Namespaces are nil if they are not known.
	Namespaces    []string
	AllNamespaces bool
	// Reader reports whether the caller may only read the tenant, according to the
	// kubeconfig's extension.
	Reader bool
	Rule   Rule
}

// LabelsOf reads the labels and annotations of a namespace.
type LabelsOf func(ctx context.Context, namespace string) (labels, annotations map[string]string, err error)

// UnresolvedError reports that no rule found a tenant.
type UnresolvedError struct {
	Where     string
	Namespace string
	// Why is the API server's answer to the request for the namespace.
	Why error
	// InPod reports whether the caller is a pod's service account without a kubeconfig.
	InPod bool
	// Typed is a tenant that the command line names in a place where it does not count; empty if
	// there is none.
	Typed string
}

func (e *UnresolvedError) Error() string {
	text := fmt.Sprintf("no tenant is known for %s, namespace %q", e.Where, e.Namespace)
	if e.Why != nil {
		return text + ": " + visible.OneLine(e.Why.Error())
	}
	return text + ": it carries no label " + LabelTenant
}

func (e *UnresolvedError) Unwrap() error { return e.Why }

// Resolve finds the tenant of a call by the first rule that applies. It asks the API, by
// labelsOf, only if no other rule applies. It never guesses: contradictions are errors,
// and so is a call to which no rule applies.
func (k *Kubeconfig) Resolve(ctx context.Context, asked Asked, labelsOf LabelsOf) (Resolved, error) {
	if k.Broken != nil {
		name := "TENANT"
		for _, known := range []string{asked.Environment, asked.Flag} {
			if CheckName(known) == nil {
				name = known
			}
		}
		return Resolved{}, fmt.Errorf("%w; write it again with: helm tenant use %s", k.Broken, name)
	}
	for _, source := range []struct {
		name string
		rule Rule
	}{{asked.Flag, RuleFlag}, {asked.Environment, RuleEnvironment}} {
		if source.name == "" {
			continue
		}
		if err := CheckName(source.name); err != nil {
			return Resolved{}, fmt.Errorf("%s: %w", source.rule, err)
		}
		r := Resolved{Name: source.name, Home: asked.Engine.ConventionalHome(source.name), Engine: asked.Engine, Rule: source.rule}
		if known, found := k.Extension.Find(source.name); found {
			r = known.resolved(source.rule, asked.Engine)
		}
		if typed := asked.TypedTillerNamespace; typed != "" && typed != r.Home {
			// Helm uses the last one, which is not the tenant that was named.
			return Resolved{}, fmt.Errorf("%s names tenant %q, whose home namespace is %q, but --tiller-namespace names %q: give only one of them", source.rule, r.Name, r.Home, typed)
		}
		return r, nil
	}
	explicit, rule := asked.TypedTillerNamespace, RuleTillerNamespace
	if explicit == "" {
		explicit, rule = asked.TillerNamespace, RuleTillerVariable
	}
	if explicit != "" {
		if err := checkNamespace(string(rule), explicit); err != nil {
			return Resolved{}, err
		}
		r := Resolved{Home: explicit, Engine: asked.Engine, Rule: rule}
		if k.Extension != nil {
			index := slices.IndexFunc(k.Extension.Tenants, func(t Known) bool { return t.HomeNamespace == explicit })
			if index >= 0 {
				r = k.Extension.Tenants[index].resolved(rule, asked.Engine)
			}
		}
		return r, nil
	}
	if k.Extension != nil {
		known, _ := k.Extension.Find(k.Extension.Current)
		return known.resolved(RuleExtension, asked.Engine), nil
	}
	return k.resolveByLabel(ctx, asked.Engine, labelsOf)
}

func (k *Kubeconfig) resolveByLabel(ctx context.Context, engine Engine, labelsOf LabelsOf) (Resolved, error) {
	unresolved := &UnresolvedError{Where: k.Where(), Namespace: k.Namespace, InPod: k.InPod()}
	labels, annotations, err := labelsOf(ctx, k.Namespace)
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		unresolved.Why = err
		return Resolved{}, unresolved
	case err != nil: // the API server did not answer, so it is not known whether there is a tenant
		return Resolved{}, err
	}
	name := labels[LabelTenant]
	if name == "" {
		return Resolved{}, unresolved
	}
	if err := CheckName(name); err != nil {
		unresolved.Why = fmt.Errorf("its label %s: %w", LabelTenant, err)
		return Resolved{}, unresolved
	}
	if _, isHome := labels[LabelHome]; isHome {
		return Resolved{Name: name, Home: k.Namespace, Engine: engine, Rule: RuleNamespaceLabel}, nil
	}
	home := annotations[AnnotationHome]
	if home == "" {
		home = engine.ConventionalHome(name)
	}
	if err := checkNamespace("its annotation "+AnnotationHome, home); err != nil {
		unresolved.Why = err
		return Resolved{}, unresolved
	}
	// The tenant may have others, but no other needs to be named if this is the
	// context's.
	return Resolved{Name: name, Home: home, Engine: engine, Namespaces: []string{k.Namespace}, Rule: RuleNamespaceLabel}, nil
}

func (t Known) resolved(rule Rule, asked Engine) Resolved {
	engine := t.Engine
	if engine == EngineBoth {
		engine = asked
	}
	return Resolved{Name: t.Name, Home: t.HomeNamespace, Engine: engine, Namespaces: t.Namespaces, AllNamespaces: t.AllNamespaces, Reader: t.Reader, Rule: rule}
}

// NamespacesUnknown reports whether the tenant's namespaces have to be read from its
// record: the tenant was only named, and the kubeconfig does not know it.
func (r Resolved) NamespacesUnknown() bool {
	return !r.AllNamespaces && len(r.Namespaces) == 0 && r.Rule != RuleExtension
}

// WithRecord returns the tenant with the namespaces of its record in the namespace home.
func (r Resolved) WithRecord(home string, record Tenant) Resolved {
	record = record.WithDefaults()
	known := Known{Name: record.Name, HomeNamespace: home, Engine: record.Engine, Namespaces: record.Namespaces, AllNamespaces: record.AllNamespaces, Reader: r.Reader}
	return known.resolved(r.Rule, r.Engine)
}

// NamespaceFor returns the namespace to pass to a helm command that needs one: empty if
// the context's own is one of the tenant's, or if the tenant's are not known.
func (r Resolved) NamespaceFor(contextNamespace string) string {
	if r.AllNamespaces || len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, contextNamespace) {
		return ""
	}
	return r.Namespaces[0]
}

// Account returns the service account as which the caller acts under Helm 3 and 4: the
// tenant's deployer, or for a reader the account of its readers.
func (r Resolved) Account() string { return Known{Reader: r.Reader}.Account() }

// DeployerUser returns the user name of Account.
func (r Resolved) DeployerUser() string { return AccountUser(r.Home, r.Account()) }
