package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"helm-tenant/admin"
	"helm-tenant/helm"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// releaseQuery has the options of `releases`.
type releaseQuery struct {
	all    bool
	filter string
	// namespaces are those whose releases are listed; all if there are none.
	namespaces      []string
	byDate, reverse bool
	limit, offset   int
	statuses        map[string]*bool // by the status as Helm 3 spells it
	output          string
	plain           tableOptions
}

// releaseStatuses are the statuses of a release's newest revision, as Helm 3 spells them.
// The pending ones are summed up as "pending".
var releaseStatuses = []string{"deployed", "failed", "pending", "uninstalled", "uninstalling", "unknown"}

// take adds the namespace that was typed, and that Helm 3 and 4 keep from their plugins.
func (q *releaseQuery) take(outer helm.Swallowed) {
	if outer.Namespace && outer.NamespaceValue != "" {
		q.namespaces = append(q.namespaces, outer.NamespaceValue)
	}
}

// choose returns the releases that are asked for, in the order that is asked for, as helm's own
// list does: what is left out by --offset and --max is counted after sorting.
func (q releaseQuery) choose(all []admin.ListedRelease, pattern *regexp.Regexp) []admin.ListedRelease {
	chosen := slices.DeleteFunc(all, func(r admin.ListedRelease) bool {
		return !pattern.MatchString(r.Name) || !q.wants(r.Status) || !q.inNamespace(r.Namespace)
	})
	if q.byDate {
		slices.SortStableFunc(chosen, func(a, b admin.ListedRelease) int { return updatedAt(a).Compare(updatedAt(b)) })
	}
	if q.reverse {
		slices.Reverse(chosen)
	}
	chosen = chosen[min(q.offset, len(chosen)):]
	if q.limit > 0 {
		chosen = chosen[:min(q.limit, len(chosen))]
	}
	return chosen
}

func (q releaseQuery) inNamespace(namespace string) bool {
	return len(q.namespaces) == 0 || slices.Contains(q.namespaces, namespace)
}

// foreign returns the namespaces that are asked for and that none of the tenants has, and no
// release: a mistyped name would look like an empty namespace.
func (q releaseQuery) foreign(list *admin.ReleaseList) []string {
	if list.Namespaces == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(q.namespaces), func(ns string) bool {
		return slices.Contains(list.Namespaces, ns) || slices.ContainsFunc(list.Releases, func(r admin.ListedRelease) bool { return r.Namespace == ns }) ||
			slices.ContainsFunc(list.Unlisted, func(u admin.UnlistedReleases) bool { return u.Namespace == ns })
	})
}

// updatedAt returns the time of a release's last change, the zero time if it is not known.
func updatedAt(r admin.ListedRelease) time.Time {
	if r.Updated == nil {
		return time.Time{}
	}
	return *r.Updated
}

func (q releaseQuery) wants(status string) bool {
	status = helmStatus(status)
	if strings.HasPrefix(status, "pending") {
		status = "pending"
	}
	asked := false
	for name, on := range q.statuses {
		if *on && name == status {
			return true
		}
		asked = asked || *on
	}
	return !asked && status != "uninstalled"
}

// helmStatus returns a status as Helm 3 and 4 spell it.
func helmStatus(status string) string {
	switch status {
	case "DELETED":
		return "uninstalled"
	case "DELETING":
		return "uninstalling"
	case "":
		return "unknown"
	}
	return strings.ReplaceAll(strings.ToLower(status), "_", "-")
}

// notMember is the error of somebody who may act neither as the tenant's deployer nor as its
// readers' account: one line, not one for each namespace.
func notMember(k *tenant.Kubeconfig, r tenant.Resolved) error {
	return fmt.Errorf("you are neither a member nor a reader of tenant %q in %s, or there is no such tenant: you may not act as service account %q in namespace %q", r.Name, k.Where(), r.Account(), r.Home)
}

// mostUnlisted bounds the namespaces that one reason names.
const mostUnlisted = 10

// unlistedReasons returns why releases are not listed: one text for all namespaces whose reason is
// the same but for the namespace, which the API server's answers name.
func unlistedReasons(unlisted []admin.UnlistedReleases) []string {
	var order []string
	first, others := map[string]admin.UnlistedReleases{}, map[string][]string{}
	for _, u := range unlisted {
		kind := u.Reason
		if u.Namespace != "" {
			kind = strings.NewReplacer(`namespace "`+u.Namespace+`"`, `namespace ""`, "namespace "+u.Namespace+" ", "namespace  ").Replace(kind)
		}
		if _, known := first[kind]; !known {
			order, first[kind] = append(order, kind), u
			continue
		}
		others[kind] = append(others[kind], u.Namespace)
	}
	var reasons []string
	for _, kind := range order {
		reason, names := first[kind].Reason, others[kind]
		slices.Sort(names)
		names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" || name == first[kind].Namespace })
		if more := len(names) - mostUnlisted; more > 0 {
			names = append(names[:mostUnlisted], fmt.Sprintf("and %d more", more))
		}
		if len(names) > 0 {
			reason += "; the same of " + visible.Named("namespace", names)
		}
		reasons = append(reasons, reason)
	}
	return reasons
}
