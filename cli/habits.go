package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"helm-tenant/command"
	"helm-tenant/visible"
	"helm-tenant/wrapper"
)

// habit is a flag of kubectl's or helm's that people type with one of our verbs, which does not
// have it.
type habit struct {
	verbs, flags []string // any verb if there are none
	instead      hint
}

var habits = []habit{
	{[]string{"releases"}, []string{"A", "all-namespaces"}, "all namespaces of the tenant are listed without it; the releases of all tenants: helm tenant releases --all"},
	{[]string{"releases"}, []string{"status"}, "each status is a flag: --deployed, --failed, --pending, --uninstalled, --uninstalling, --unknown"},
	{[]string{"releases"}, []string{"l", "selector"}, "releases are chosen by their names: --filter REGEXP"},
	{[]string{"init"}, []string{"n"}, "the tenant's namespaces are named with --namespaces; its home with --home-namespace"},
	{[]string{"use"}, []string{"n", "namespace"}, "it remembers the tenant; the namespace is the context's (kubectl config set-context --current --namespace=NAMESPACE), or named in each call: helm tenant COMMAND -n NAMESPACE"},
	{nil, []string{"A", "all-namespaces"}, "it concerns tenants, with all of their namespaces: leave it out"},
	{nil, []string{"n", "namespace"}, "it concerns a tenant, with all of its namespaces: leave it out"},
	{[]string{"init", "grant", "revoke"}, []string{"u"}, "users are named with --user"},
	{[]string{"init", "grant", "revoke"}, []string{"g"}, "groups are named with --group"},
	{[]string{"destroy"}, []string{"force", "f", "y"}, "--yes does not ask"},
	{[]string{"apply", "migrate"}, []string{"force", "y"}, "--yes does not ask"},
	{[]string{"apply"}, []string{"k", "kustomize"}, "a folder of tenants files is named with -f"},
}

// habitHints says what to type instead of a flag that people know from kubectl or helm.
func habitHints(verb, flag string) []hint {
	for _, h := range habits {
		if slices.Contains(h.flags, flag) && (len(h.verbs) == 0 || slices.Contains(h.verbs, verb)) {
			return []hint{h.instead}
		}
	}
	return nil
}

// strayHints says what a word may have been meant for that stands where a verb takes no more names.
func strayHints(cmd *cobra.Command, word string) []hint {
	flag := map[string]string{
		"init": "--namespaces", "grant": "--user", "revoke": "--user", "freeze": "--reason", "apply": "-f", "split": "-f", "shellenv": "--shell",
	}[cmd.Name()]
	if flag == "" || word == "" || strings.HasPrefix(word, "-") || !visible.Plain(word) {
		return nil
	}
	meant := command.Command{"helm", "tenant", cmd.Name()}
	if strings.Contains(cmd.Use, "TENANT") {
		meant = append(meant, "TENANT")
	}
	kinds := ""
	if flag == "--user" {
		kinds = "; groups with --group, service accounts with --service-account NAMESPACE:NAME"
	}
	return []hint{typed("did you mean", append(meant, flag, word)) + hint(kinds)}
}

// beforeHints says where a flag goes that stands before the command, and does not belong there.
func beforeHints(args []string, flag string) []hint {
	if flag == "v" {
		return []hint{"the version is printed by: helm tenant --version"}
	}
	if near := nearWords(flag, []string{"tenant", "context", "help", "version", "namespace", "kubeconfig", "kube-context"}); near != nil {
		return near
	}
	if index := slices.IndexFunc(args, wrapper.IsVerb); index >= 0 {
		return []hint{hint(fmt.Sprintf("the flags of %s go behind it: helm tenant %s ...", args[index], args[index]))} // one of our verbs
	}
	return []hint{"the flags of helm's command go behind it: helm tenant COMMAND ..."}
}
