package cli

import (
	"fmt"

	"helm-tenant/envvar"
)

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
