package audit

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"helm-tenant/command"
	"helm-tenant/install"
	"helm-tenant/lists"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// InitCommand returns the init that makes a tenant with everything that is known of it,
// as far as it differs from the defaults; unknown namespaces are left to be filled in.
func InitCommand(t tenant.Tenant) command.Command {
	t = t.WithDefaults()
	flags := []string{"--engine=" + string(t.Engine)}
	if t.Home() != t.Engine.ConventionalHome(t.Name) {
		flags = append(flags, "--home-namespace="+t.Home())
	}
	role := tenant.DefaultRole
	switch {
	case t.AllNamespaces:
		flags, role = append(flags, "--all-namespaces", "--accept-risk=cluster-wide"), tenant.DefaultClusterRole
	case len(t.Namespaces) == 0:
		flags = append(flags, "--namespaces=NS")
	default:
		flags = append(flags, "--namespaces="+strings.Join(t.Namespaces, ","))
	}
	if slices.ContainsFunc(t.Namespaces, tenant.IsSystemNamespace) {
		flags = append(flags, "--accept-risk=system-namespace")
	}
	if t.Role != role {
		flags = append(flags, "--role="+t.Role)
	}
	if t.FluxAccount != "" {
		flags = append(flags, "--flux-account="+t.FluxAccount)
	}
	return command.Tenant("init", t.Name, append(flags, tillerFlags(t.Tiller)...)...)
}

// tillerFlags returns init's flags for the settings of a Tiller that are not the default.
func tillerFlags(s tenant.Tiller) []string {
	var flags []string
	add := func(name, value string) {
		if value != "" {
			flags = append(flags, "--"+name+"="+value)
		}
	}
	pairs := func(values map[string]string) string {
		texts := lists.Map(slices.Sorted(maps.Keys(values)), func(key string) string { return key + "=" + values[key] })
		return strings.Join(texts, ",")
	}
	if s.Storage != tenant.StorageSecret {
		add("storage", string(s.Storage))
	}
	add("tiller-image", s.Image)
	add("tiller-version", s.Version)
	if s.HistoryMax != nil && *s.HistoryMax != tenant.DefaultHistoryMax {
		add("history-max", strconv.Itoa(*s.HistoryMax))
	}
	if s.Replicas != nil && *s.Replicas != tenant.DefaultReplicas {
		add("replicas", strconv.Itoa(*s.Replicas))
	}
	add("resources", pairs(s.Resources))
	add("node-selector", pairs(s.NodeSelector))
	add("image-pull-secret", strings.Join(s.ImagePullSecrets, ","))
	return flags
}

// restore completes tenants whose record can't be read from the live objects, so that
// nothing wrong is reported of them.
func (a *auditor) restore() {
	for r := range a.records() {
		if r.Problem == "" || len(r.Tenant.Namespaces) > 0 || r.Tenant.AllNamespaces {
			continue
		}
		t := tenant.Tenant{Name: r.Tenant.Name, HomeNamespace: r.Namespace}
		tiller := slices.IndexFunc(a.workloads[r.Namespace], func(w *Workload) bool { return w.Name == install.DeploymentName && w.Deployment != nil })
		hasTiller := tiller >= 0 || a.accounts[Account(r.Namespace, tenant.TillerAccount)] != nil
		hasHelm := a.accounts[Account(r.Namespace, tenant.HelmAccount)] != nil
		switch {
		case hasTiller && hasHelm:
			t.Engine = tenant.EngineBoth
		case hasHelm:
			t.Engine = tenant.EngineImpersonation
		}
		if tiller >= 0 {
			t.Tiller = install.LiveSettings(*a.workloads[r.Namespace][tiller].Deployment)
		}
		for _, ns := range a.labelled[t.Name] {
			if ns.Name != r.Namespace && ns.Annotations[tenant.AnnotationHome] == r.Namespace {
				t.Namespaces = append(t.Namespaces, ns.Name)
			}
		}
		slices.Sort(t.Namespaces)
		t.AllNamespaces = len(t.Namespaces) == 0 && slices.ContainsFunc(a.rights.bindings[""], func(b *Binding) bool { return b.Name == rbac.DeployerBinding(t.Name, b.RoleName) })
		t.Role = a.boundRole(t)
		r.Tenant = t.WithDefaults()
	}
}

// boundRole returns the role that is bound to the tenant's deployer in all of its
// namespaces; empty if there is none, or more than one.
func (a *auditor) boundRole(t tenant.Tenant) string {
	namespaces := t.Namespaces
	if t.AllNamespaces {
		namespaces = []string{""}
	}
	bound := map[string]int{}
	for _, ns := range namespaces {
		for _, b := range a.rights.bindings[ns] {
			if b.RoleKind == "ClusterRole" && b.Name == rbac.DeployerBinding(t.Name, b.RoleName) {
				bound[b.RoleName]++
			}
		}
	}
	return rbac.CommonRole(bound, func(bindings int) bool { return bindings == len(namespaces) })
}
