package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// railOptions are the flags for guard rails that need parsing.
type railOptions struct {
	podSecurity, guard, network string
	limits                      map[string]string
}

func railFlags(cmd *cobra.Command, o *railOptions, r *tenant.Rails) {
	f := cmd.Flags()
	f.StringVar(&o.podSecurity, "pod-security", "", "Pod Security Standards level of its namespaces: "+alternatives(tenant.PodSecurities)+" (default baseline for a new tenant)")
	f.StringVar(&o.guard, "guard", "", "mode of the admission policies helm-tenant-guard: "+alternatives(tenant.Guards)+" (default enforce for a new tenant)")
	f.Var(pairList(&r.Quota), "quota", "ResourceQuota of each namespace, such as requests.cpu=20,pods=200")
	f.Var(pairList(&o.limits), "limits", "LimitRange of each namespace, such as default.cpu=500m,defaultRequest.memory=64Mi,max.memory=8Gi")
	f.StringVar(&o.network, "network", "", "which pods can connect to its pods: "+alternatives(tenant.Networks)+" (default open)")
	f.Var(wordList(&r.AllowFrom), "allow-from", "more address blocks that can connect to the pods of an isolated tenant")
	f.Var(wordList(&r.NetworkExcept), "network-except", "address blocks that an isolated tenant's pods can't reach, in addition to the clouds' metadata services")
	f.Var(wordList(&r.Hosts), "hosts", "host names that the tenant may serve, such as *.team-a.example.com (default any)")
	f.Var(wordList(&r.PriorityClasses), "priority-classes", "PriorityClasses that its pods may use, in addition to the cluster's default")
	f.Var(pairList(&r.Labels), "labels", "labels of its namespaces")
	f.StringVar(&r.Contact, "contact", "", "contact for a member whose request was refused")
	completeValues(cmd, "pod-security", lists.Strings(tenant.PodSecurities)...)
	completeValues(cmd, "guard", lists.Strings(tenant.Guards)...)
	completeValues(cmd, "network", lists.Strings(tenant.Networks)...)
}

func alternatives[S ~string](values []S) string { return strings.Join(lists.Strings(values), "|") }

// complete sets the tenant's rails from the flags. A list or map whose flag was given
// empty is unset.
func (o *railOptions) complete(cmd *cobra.Command, r *tenant.Rails) []error {
	f := cmd.Flags()
	var wrong []error
	r.PodSecurity, r.Guard, r.Network = tenant.PodSecurity(o.podSecurity), tenant.Guard(o.guard), tenant.Network(o.network)
	for _, name := range []string{"pod-security", "guard", "network"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			wrong = append(wrong, fmt.Errorf("--%s is empty", name))
		}
	}
	for name, list := range map[string]*[]string{"allow-from": &r.AllowFrom, "network-except": &r.NetworkExcept, "hosts": &r.Hosts, "priority-classes": &r.PriorityClasses} {
		if f.Changed(name) && *list == nil {
			*list = []string{}
		}
	}
	if !f.Changed("limits") {
		return wrong
	}
	r.Limits = &tenant.Limits{}
	parts := map[string]*map[string]string{"default": &r.Limits.Default, "defaultRequest": &r.Limits.DefaultRequest, "max": &r.Limits.Max}
	for _, key := range slices.Sorted(maps.Keys(o.limits)) {
		value := o.limits[key]
		part, name, _ := strings.Cut(key, ".")
		values := parts[part]
		if values == nil || name == "" {
			wrong = append(wrong, fmt.Errorf("--limits: %q is not default.NAME, defaultRequest.NAME or max.NAME, such as max.memory", key))
			continue
		}
		if *values == nil {
			*values = map[string]string{}
		}
		(*values)[name] = value
	}
	return wrong
}

// railLines returns the guard rails of a tenant for describe: a name and a text each,
// without those that it does not have.
func railLines(r tenant.Rails) [][2]string {
	lines := [][2]string{{"PodSecurity", string(r.PodSecurity)}, {"Guard", string(r.Guard)}}
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, [2]string{name, text})
		}
	}
	network := string(r.Network)
	if len(r.AllowFrom) > 0 {
		network += ", lets in " + strings.Join(r.AllowFrom, ", ")
	}
	if len(r.NetworkExcept) > 0 {
		network += ", keeps out of " + strings.Join(r.NetworkExcept, ", ")
	}
	add("Network", network)
	add("Hosts", strings.Join(r.Hosts, ", "))
	add("Priorities", strings.Join(r.PriorityClasses, ", "))
	add("Contact", r.Contact)
	return lines
}

func printQuotas(w io.Writer, in []admin.NamespaceOf) {
	if !slices.ContainsFunc(in, func(ns admin.NamespaceOf) bool { return len(ns.Quota) > 0 }) {
		return
	}
	fmt.Fprintln(w, "\nQuota:")
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "  NAMESPACE\tRESOURCE\tUSED\tHARD")
	for _, ns := range in {
		for _, use := range ns.Quota {
			visible.Fprintf(table, "  %s\t%s\t%s\t%s\n", ns.Name, use.Key, use.Used, use.Hard)
		}
	}
	table.Flush()
}
