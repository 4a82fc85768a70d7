package cli

import (
	"fmt"
	"slices"
	"strings"

	"helm-tenant/admin"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

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
