package cli

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/tenant"
)

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
