package cli

import (
	"cmp"
	"errors"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// scopeFlag adds the flag with which an administrator of single namespaces can run a
// verb.
func scopeFlag(cmd *cobra.Command, into *bool) {
	cmd.Flags().BoolVar(into, "no-cluster-reads", false, "read only the tenant's home and namespaces, for an admin of only these; reports what is not checked")
}

// scopedHomeFlag adds the flag that names a tenant's home where nothing finds it by its labels.
func scopedHomeFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "home-namespace", "", "with --no-cluster-reads: the tenant's home namespace, if it is not the conventional one")
}

func checkScopedHome(cmd *cobra.Command, home string, scoped bool) error {
	if home != "" && !scoped {
		return asUsage(cmd, errors.New("--home-namespace goes with --no-cluster-reads; otherwise the tenant's home is found by its labels"))
	}
	return nil
}

// printRole prints the ClusterRole for an administrator who is not cluster-admin.
func (s *session) printRole(cmd *cobra.Command, o *initOptions) error {
	if o.output == "name" {
		visible.Fprintf(s.out(), "clusterrole/%s\n", rbac.AdministratorName)
		return nil
	}
	t := tenant.Tenant{Name: "any", Namespaces: []string{"any-namespace"}, Engine: cmp.Or(tenant.Engine(o.engine), tenant.EngineBoth), Role: o.request.Tenant.Role}.WithDefaults()
	if wrong := t.Validate(); len(wrong) > 0 {
		return asUsage(cmd, problems(wrong))
	}
	output := o.output
	if output == "text" {
		output = "yaml"
	}
	s.say("Bind it only to people whom you trust with the cluster: whoever may bind a ClusterRole in every namespace can take over every namespace.")
	if rbac.MadeOf(t.Role) != nil {
		s.say("ClusterRole %s is written by the first init that names it, which a cluster-admin has to run.", t.Role)
	}
	return printObject(s.out(), output, admin.AdministratorRole(t.Engine, t.Role))
}
