package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/envvar"
	"helm-tenant/failure"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

func newUse(s *session) *cobra.Command {
	var home, output string
	cmd := &cobra.Command{
		Use:   "use [TENANT]",
		Short: "Write your tenant into the kubeconfig context",
		Long: `Write your tenant into the kubeconfig context, so that later calls know it without a
request to the cluster. Without a name it is the tenant that is found now, for example by
the label on the context's namespace.

A context can contain several tenants. The one that was used last is the current one;
--tenant selects another.`,
		Example: `  helm tenant use team-a
  helm tenant use ops --home-namespace kube-system
  helm tenant --context prod use team-a`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneTenant(cmd, args)
		},
	}
	cmd.Flags().StringVar(&home, "home-namespace", "", "the tenant's home namespace, if it is not the conventional one")
	outputFlag(cmd, &output, "text", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.use(cmd.Context(), strings.Join(args, ""), home, output)
	}
	return cmd
}

func (s *session) use(ctx context.Context, name, home, output string) error {
	k, client, err := s.open()
	if err != nil {
		return err
	}
	if k.InPod() {
		name = tenantWord(name)
		return withHint(errors.New("in a pod there is no kubeconfig to write a tenant into"),
			hint("name it in the pod's environment: HELM_TENANT="+name), hint("or for one command: helm tenant --tenant "+name+" COMMAND")) // a valid name
	}
	if newer, ok := errors.AsType[*tenant.NewerExtensionError](k.Broken); ok {
		return fmt.Errorf("%s: %w: a newer helm-tenant wrote it; use that one", k.Where(), newer)
	}
	if k.Broken != nil && name != "" {
		s.say("Note: what %s knew of its tenants is replaced, since it can't be read: %v", k.Where(), k.Broken)
		k.Broken = nil
	}
	engine := s.engine(ctx)
	resolved, err := s.resolve(ctx, k, name, engine, s.requestTimeout)
	if err != nil {
		return err
	}
	homes, named := []string{home}, home != ""
	_, remembered := k.Extension.Find(resolved.Name)
	remembered = remembered && home == ""
	if home == "" {
		homes = []string{resolved.Home}
		if _, known := k.Extension.Find(name); name != "" && !known {
			// A tenant that was moved keeps its home; the record there has its name.
			homes = append(homes, engine.Other().ConventionalHome(name))
		}
	}
	home, record, err := findRecord(ctx, client, homes)
	if two, ok := errors.AsType[*twoHomesError](err); ok {
		return explainTwoHomes(k, two)
	}
	if elsewhere, there, found := s.foundElsewhere(ctx, client, resolved, homes, err); remembered && found {
		return withHint(fmt.Errorf("the kubeconfig remembers namespace %q as the home of tenant %q, and there is no record there that you can read; namespace %s has a record of it, which may be a stranger's", home, resolved.Name, describeHome(elsewhere, there)),
			typed("if an admin says that it is the home, change to it", command.Tenant("use", resolved.Name, "--home-namespace="+elsewhere)))
	}
	if err := checkRead(ctx, client, k, resolved.Name, home, record, err); err != nil {
		return err
	}
	record = record.WithDefaults()
	if !named && !remembered {
		if err := checkLed(ctx, client, k, home, record); err != nil {
			return err
		}
	}
	stranger := false
	known := tenant.Known{Name: record.Name, HomeNamespace: home, Engine: record.Engine, Namespaces: record.Namespaces, AllNamespaces: record.AllNamespaces}
	if record.Engine.Has(tenant.EngineImpersonation) {
		acts, neither, err := withAccount(ctx, client, k, tenant.Resolved{Home: home, Engine: tenant.EngineImpersonation})
		if err != nil {
			return err
		}
		known.Reader, stranger = acts.Reader, neither
	}
	extension, err := k.Use(known)
	if err != nil {
		return err
	}
	if output != "text" {
		return printObject(s.out(), output, struct {
			Kind    string `json:"kind"`
			Context string `json:"context"`
			*tenant.Extension
		}{"ContextTenants", k.Context, extension})
	}
	s.sayUsed(k, known, record, engine)
	if stranger {
		s.next(fmt.Sprintf("Note: you are neither a member nor a reader of tenant %s, and helm is refused until an owner or an admin types", record.Name), grantToCaller(ctx, client, record.Name))
	}
	return nil
}

// checkRead refuses a record that was not read from a home, or that is another tenant's.
func checkRead(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, name, home string, record tenant.Tenant, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return withHint(fmt.Errorf("no tenant has its home in namespace %q of %s", home, k.Where()),
			homeElsewhere(name))
	case apierrors.IsForbidden(err):
		if answer, ok := errors.AsType[*apierrors.StatusError](err); ok {
			err = answer // without the operation, which is said here
		}
		return withHint(failure.Error{
			Operation: fmt.Sprintf("you may not read the record in namespace %q", home), Where: failure.Subject{Preposition: "of", Text: k.Where()},
		}.Wrap(err), askForTenant(ctx, client, k, name)...)
	case err != nil:
		return err
	case name != "" && record.Name != name:
		return fmt.Errorf("namespace %q of %s is the home of tenant %q, not of %q", home, k.Where(), record.Name, name)
	case record.Home() != home:
		return fmt.Errorf("the record in namespace %q of %s says that its home is %q: ask an admin", home, k.Where(), record.Home())
	}
	return nil
}

// actsAsOther says what to type if the kubeconfig's user acts as somebody else, for example in a
// kubeconfig that acts as a tenant: a grant to that account would help nobody.
func actsAsOther(user, as, name string) []hint {
	word := tenantWord(name)
	return []hint{
		hint(fmt.Sprintf("user %q of the kubeconfig acts as %q (\"as\"); with a context whose user acts as itself: helm tenant --context CONTEXT use %s", user, as, word)),
		hint("a kubeconfig that acts as a tenant is updated by making it again: helm tenant --context CONTEXT kubeconfig " + word),
	}
}

// sayUsed says what the context uses now, and what prevents that it takes effect.
func (s *session) sayUsed(k *tenant.Kubeconfig, known tenant.Known, record tenant.Tenant, engine tenant.Engine) {
	visible.Fprintf(s.out(), "context %q now %s tenant %s\n", k.Context, usesOrReads(known), record.Name)
	if named := s.Env.Get(envvar.Tenant); named != "" && named != record.Name {
		s.say("Note: HELM_TENANT is set, and says tenant %s until it is unset", named)
	}
	if !record.Engine.Has(engine) {
		s.say("Note: tenant %s is for %s, which the helm that is used is not", record.Name, helmsFor(record.Engine))
	}
}

func usesOrReads(t tenant.Known) string {
	if t.Reader {
		return "reads"
	}
	return "uses"
}

// foundElsewhere looks for the record of a tenant whose remembered home has none in the
// homes that the two engines have by convention.
func (s *session) foundElsewhere(ctx context.Context, client *cluster.Client, r tenant.Resolved, looked []string, err error) (home string, record tenant.Tenant, found bool) {
	if r.Name == "" || !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return "", tenant.Tenant{}, false
	}
	for _, engine := range []tenant.Engine{r.Engine, r.Engine.Other()} {
		home := engine.ConventionalHome(r.Name)
		if slices.Contains(looked, home) {
			continue
		}
		if record, err := client.Record(ctx, home); err == nil && record.Name == r.Name && record.Home() == home {
			return home, record, true
		}
	}
	return "", tenant.Tenant{}, false
}

// findRecord reads the record in these homes. If none has one, the error is that of the
// first. If two have a record of the same tenant it is a *twoHomesError: whoever may
// create namespaces can make one of them, and a wrong guess would hand over what is
// installed.
func findRecord(ctx context.Context, client *cluster.Client, homes []string) (string, tenant.Tenant, error) {
	var found []tenant.Tenant
	var clusters []string
	var first error
	for _, home := range homes {
		record, err := client.Record(ctx, home)
		switch {
		case err == nil:
			found, clusters = append(found, record), append(clusters, home)
		case len(found) == 0 && (isUnusable(err) || apierrors.IsTooManyRequests(err)):
			return homes[0], tenant.Tenant{}, err // the next request would wait as long
		case first == nil:
			first = err
		}
	}
	switch {
	case len(found) == 0:
		return homes[0], tenant.Tenant{}, first
	case len(found) == 2 && found[0].Name == found[1].Name:
		return homes[0], tenant.Tenant{}, &twoHomesError{[2]string(clusters), [2]tenant.Tenant(found)}
	}
	return clusters[0], found[0], nil
}

// checkLed returns an error if a namespace of the tenant names another home than the one
// that was found by its name: whoever may create namespaces can make one of that name,
// but only admins write annotations of a tenant's namespace. Namespaces that the caller
// may not read are skipped.
func checkLed(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig, home string, record tenant.Tenant) error {
	const limit = 3 // requests
	namespaces := slices.Compact(append([]string{k.Namespace}, record.Namespaces...))
	for _, namespace := range namespaces[:min(len(namespaces), limit)] {
		labels, annotations, err := client.NamespaceLabels(ctx, namespace)
		led := annotations[tenant.AnnotationHome]
		if err != nil || labels[tenant.LabelTenant] != record.Name || led == "" || led == home {
			continue
		}
		return withHint(fmt.Errorf("namespace %q of %s says that tenant %q has its home in namespace %q; the record in namespace %s may be a stranger's", namespace, k.Where(), record.Name, led, describeHome(home, record)),
			typed("if an admin says that it is the home, use it", command.Tenant("use", record.Name, "--home-namespace="+led)))
	}
	return nil
}

type twoHomesError struct {
	homes   [2]string
	records [2]tenant.Tenant
}

func (e *twoHomesError) Error() string {
	return fmt.Sprintf("tenant %q has a record in namespace %s and in namespace %s, and one of them may be a stranger's: ask an admin which is its home", e.records[0].Name, describeHome(e.homes[0], e.records[0]), describeHome(e.homes[1], e.records[1]))
}

func describeHome(home string, record tenant.Tenant) string {
	if record.AllNamespaces {
		return fmt.Sprintf("%q (all namespaces)", home)
	}
	noun := "namespaces"
	if len(record.Namespaces) == 1 {
		noun = "namespace"
	}
	return fmt.Sprintf("%q (%s %s)", home, noun, brief(record.Namespaces))
}

func helmsFor(e tenant.Engine) string {
	if e == tenant.EngineTiller {
		return "Helm 2"
	}
	return "Helm 3 and 4"
}

// engine returns the engine of the helm in use, Helm 2's if there is none.
func (s *session) engine(ctx context.Context) tenant.Engine {
	client, err := s.HelmClient(ctx, false)
	if err != nil {
		return tenant.EngineTiller
	}
	return client.Engine()
}
