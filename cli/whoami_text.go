package cli

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

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
