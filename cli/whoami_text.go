package cli

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/envvar"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

func (w whoami) print(s *session) error {
	table := tabwriter.NewWriter(s.out(), 0, 0, 3, ' ', 0)
	row := func(name, format string, args ...any) {
		visible.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	name := w.Tenant
	if name == "" {
		name = "(its name is not known)"
	}
	row("TENANT", "%s", name)
	row("BECAUSE OF", "%s", w.Rule)
	row("HOME", "%s", w.HomeNamespace)
	if w.Context == "" {
		row("CONTEXT", "none: the service account of this pod")
		row("CLUSTER", "%s", w.Server)
	} else {
		row("CONTEXT", "%s", w.Context)
		row("CLUSTER", "%s at %s", w.Cluster, w.Server)
	}
	user := w.User
	switch {
	case user == "":
		user = w.UserName
	case w.UserName != "" && w.UserName != user:
		user += ", known as " + w.UserName
	}
	row("USER", "%s", user)
	others := slices.DeleteFunc(slices.Clone(w.Namespaces), func(ns string) bool { return ns == w.Namespace })
	if isForeign(w.Namespace, w.Namespaces) {
		row("NAMESPACE", "%s, which is not the tenant's (those are: %s)", w.Namespace, strings.Join(w.Namespaces, ", "))
	} else if len(others) > 0 {
		row("NAMESPACE", "%s (also: %s)", w.Namespace, strings.Join(others, ", "))
	} else {
		row("NAMESPACE", "%s", w.Namespace)
	}
	if w.May == mayRead {
		row("MAY", "%s: list, get, history, status and dry runs", w.May)
	}
	if w.Grants {
		row("GRANTS", "you may grant and revoke its members")
	}
	if w.Temporary != nil {
		row("FOR A TIME", "%s", w.Temporary)
	}
	if w.OwnerTemporary != nil {
		row("OWNER", "%s", w.OwnerTemporary)
	}
	if w.Frozen != nil {
		row("FROZEN", "%s", strings.TrimPrefix(w.Frozen.String(), "frozen "))
	}
	if w.Migration != "" {
		row("MIGRATION", "the tenant is %s", w.Migration)
	}
	if w.Tiller != nil {
		row("TILLER", "%s", w.Tiller)
	} else {
		row("ACTS AS", "%s", w.Deployer)
	}
	return table.Flush()
}

func (d *deployer) String() string {
	if d.Answers {
		return d.User
	}
	return d.User + ", which does not work"
}

func (t *tiller) String() string {
	var parts []string
	if t.Version != "" {
		parts = append(parts, t.Version)
	}
	switch {
	case t.seen && t.Pods == 0:
		parts = append(parts, "no pod")
	case t.seen:
		parts = append(parts, fmt.Sprintf("%d of %d ready", t.Ready, t.Pods))
	}
	switch {
	case t.Answers:
		parts = append(parts, "answers as "+t.Answer)
	case t.Unasked:
		parts = append(parts, "not asked")
	default:
		parts = append(parts, "does not answer")
	}
	return strings.Join(parts, ", ")
}

// settingsNotes describes settings of Helm 3 and 4 in the environment with which helm does
// something else than a member expects: the API server of HELM_KUBEAPISERVER, and the storage of
// HELM_DRIVER, by the names that helm takes (helm.sh/helm/v3/pkg/action, Configuration.Init).
func settingsNotes(apiServer, driver string) (notes []string) {
	if apiServer != "" {
		notes = append(notes, fmt.Sprintf("%s is set: helm's commands for the tenant are refused until it is unset", envvar.KubeAPIServer))
	}
	switch driver {
	case "", "secret", "secrets":
	case "memory":
		notes = append(notes, fmt.Sprintf("%s is %q: helm forgets each release when its command ends, and lists none of the tenant's", envvar.Driver, driver))
	case "configmap", "configmaps", "sql":
		notes = append(notes, fmt.Sprintf("%s is %q: helm stores releases there, and lists none of those that it stored in Secrets", envvar.Driver, driver))
	default:
		notes = append(notes, fmt.Sprintf("%s is %q, which is no storage of helm: its commands fail; unset it", envvar.Driver, driver))
	}
	return notes
}

// engineChange says that a tenant no longer has the engine by which the caller would use it; empty
// if it has. The API server's answer in that case is the one that strangers get.
func engineChange(used, recorded tenant.Engine) string {
	switch {
	case recorded == "" || recorded.Has(used):
		return ""
	case used == tenant.EngineTiller:
		return "the tenant was moved to Helm 3 and 4, and has no Tiller any more"
	}
	return "the tenant has a Tiller by now, which only Helm 2 can talk to"
}

// staleness describes how a kubeconfig's memory of a tenant differs from its record;
// empty if they agree, or the record can't be read.
func staleness(known tenant.Known, record tenant.Tenant, err error) string {
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("the kubeconfig remembers namespace %q as the tenant's home, and there is no record there any more", known.HomeNamespace)
	}
	if err != nil {
		return ""
	}
	record = record.WithDefaults()
	var differ []string
	differs := func(setting, was, state string) {
		if was != state {
			differ = append(differ, fmt.Sprintf("%s %s, which the record gives as %s", setting, was, state))
		}
	}
	namespaces := func(names []string, all bool) string {
		if all {
			return "all namespaces"
		}
		return strings.Join(names, ",")
	}
	differs("tenant", known.Name, record.Name)
	differs("home", known.HomeNamespace, record.Home())
	differs("engine", string(known.Engine), string(record.Engine))
	differs("namespaces", namespaces(known.Namespaces, known.AllNamespaces), namespaces(record.Namespaces, record.AllNamespaces))
	if differ == nil {
		return ""
	}
	return "the kubeconfig is stale: it remembers " + strings.Join(differ, "; ")
}
