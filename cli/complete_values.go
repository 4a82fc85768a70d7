package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// kindsOfFlags are the kinds of the objects that values of these flags name. The flags of
// the set inLists are lists, with commas.
var (
	kindsOfFlags = map[string]string{
		"namespaces": "Namespace", "home-namespace": "Namespace", "from": "Namespace", "argocd-namespace": "Namespace",
		"role": "ClusterRole", "priority-classes": "PriorityClass",
	}
	inLists = map[string]bool{"namespaces": true, "priority-classes": true}
)

// completeNames completes the values of a command's flags that are names in the cluster,
// as far as the caller may list them.
func (s *session) completeNames(ctx context.Context, cmd *cobra.Command) error {
	complete := map[string]func(typed string, args []string) []string{}
	for flag, kind := range kindsOfFlags {
		complete[flag] = func(string, []string) []string {
			return s.objectNames(ctx, kind)
		}
	}
	complete["default-namespace"] = func(string, []string) []string {
		if named, ok := cmd.Flags().Lookup("namespaces").Value.(flagValue[[]string]); ok {
			return *named.into
		}
		return nil
	}
	switch cmd.Name() {
	case "releases":
		complete["namespace"] = func(_ string, args []string) []string { return s.knownNamespaces(args) }
	case "kubeconfig":
		complete["for-service-account"] = func(typed string, args []string) []string { return s.tenantAccounts(ctx, args, typed) }
	case "grant", "init":
		complete["service-account"] = func(typed string, _ []string) []string { return s.accountNames(ctx, typed) }
	case "revoke":
		for _, kind := range []string{rbacv1.UserKind, rbacv1.GroupKind, rbacv1.ServiceAccountKind} {
			complete[tenant.Subject{Kind: kind}.Flag()] = func(_ string, args []string) []string {
				home, _ := cmd.Flags().GetString("home-namespace")
				return s.subjectNames(ctx, args, home, kind)
			}
		}
	}
	for flag, names := range complete {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			return answers(names(typed, args), typed, inLists[flag])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// answers returns the names that begin with what is typed, or, in a list with commas, with what
// is typed after the last comma. A name that ends in a colon is only the first half of a value.
func answers(names []string, typed string, list bool) ([]string, cobra.ShellCompDirective) {
	before := ""
	if list {
		before = typed[:strings.LastIndex(typed, ",")+1]
	}
	there := strings.Split(before, ",")
	directive := cobra.ShellCompDirectiveNoFileComp
	var found []string
	for _, name := range typeable(names) {
		if strings.HasPrefix(name, typed[len(before):]) && !slices.Contains(there, name) {
			found = append(found, before+name)
		}
		if strings.HasSuffix(name, ":") {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
	}
	slices.Sort(found)
	return slices.Compact(found), directive
}

// connected calls ask with a client; it returns nothing if there is none, or no answer in time.
func (s *session) connected(ctx context.Context, ask func(context.Context, *cluster.Client, *tenant.Kubeconfig) []string) []string {
	k, client, err := s.open()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patienceAtTab)
	defer cancel()
	return ask(ctx, client, k)
}

// objectNames returns the names of all objects of a kind that is not namespaced. Kubernetes' own
// ClusterRoles, whose names begin with "system:", are for no tenant.
func (s *session) objectNames(ctx context.Context, kind string) []string {
	return s.connected(ctx, func(ctx context.Context, client *cluster.Client, _ *tenant.Kubeconfig) []string {
		return slices.DeleteFunc(listNames(ctx, client, kind, ""), func(name string) bool { return strings.HasPrefix(name, "system:") })
	})
}

// listNames returns the names of the objects of a kind as far as they were listed in time.
func listNames(ctx context.Context, client *cluster.Client, kind, namespace string) []string {
	var names []string
	_ = client.EachMeta(ctx, kind, namespace, metav1.ListOptions{}, func(m *metav1.PartialObjectMetadata) { names = append(names, m.Name) })
	return names
}

// knownTenant returns what the kubeconfig context knows of the first of these tenants, or else of
// its default tenant.
func knownTenant(k *tenant.Kubeconfig, args []string) (tenant.Known, bool) {
	if k.Extension == nil {
		return tenant.Known{}, false
	}
	name := k.Extension.Current
	if len(args) > 0 {
		name = args[0]
	}
	return k.Extension.Find(name)
}

// knownNamespaces returns the namespaces of a tenant that the kubeconfig context knows.
func (s *session) knownNamespaces(args []string) []string {
	k, err := s.kubeconfig(s.kubeconfigFile, s.context, s.kubeContext)
	if err != nil {
		return nil
	}
	known, _ := knownTenant(k, args)
	return known.Namespaces
}

// accountNames returns service accounts as NAMESPACE:NAME of the namespace that is typed, or
// else the namespaces.
func (s *session) accountNames(ctx context.Context, typed string) []string {
	return s.connected(ctx, func(ctx context.Context, client *cluster.Client, _ *tenant.Kubeconfig) []string {
		if namespace, _, found := strings.Cut(typed, ":"); found {
			return prefixed(namespace+":", listNames(ctx, client, "ServiceAccount", namespace), "")
		}
		return prefixed("", listNames(ctx, client, "Namespace", ""), ":")
	})
}

// tenantAccounts returns the service accounts in the namespaces of a tenant that the
// kubeconfig context knows, listed as the tenant.
func (s *session) tenantAccounts(ctx context.Context, args []string, typed string) []string {
	return s.connected(ctx, func(ctx context.Context, client *cluster.Client, k *tenant.Kubeconfig) []string {
		known, found := knownTenant(k, args)
		if !found || known.Engine != tenant.EngineImpersonation {
			return nil
		}
		namespace, _, named := strings.Cut(typed, ":")
		if !named {
			return prefixed("", known.Namespaces, ":")
		}
		client, err := client.As(tenant.AccountUser(known.HomeNamespace, known.Account()))
		if err != nil || !slices.Contains(known.Namespaces, namespace) {
			return nil
		}
		return prefixed(namespace+":", listNames(ctx, client, "ServiceAccount", namespace), "")
	})
}

func prefixed(before string, names []string, after string) []string {
	return lists.Map(names, func(name string) string { return before + name + after })
}

func (s *session) subjectNames(ctx context.Context, args []string, home, kind string) []string {
	if len(args) == 0 {
		return nil
	}
	return s.connected(ctx, func(ctx context.Context, client *cluster.Client, _ *tenant.Kubeconfig) []string {
		t, err := admin.Find(ctx, client, args[0], home)
		if err != nil {
			return nil
		}
		subjects, _ := admin.SubjectsOf(ctx, client, t.Home())
		var names []string
		for _, subject := range subjects {
			if subject.Kind == kind {
				names = append(names, subject.Text())
			}
		}
		return names
	})
}
