package e2e

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"helm-tenant/test/harness"
)

// TestViews shows one tenant in all the ways there are to look at it, by an
// admin and by a member, and in a shell.
func TestViews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, vera := w.admin, w.user("vera", "view-devs")
	admin.tenant("init", "view", "--namespaces", "view-a,view-b", "--create-namespaces", "--user", "vera", "--group", "view-devs", "--service-account", "ci:viewer")
	admin.run("kubectl", "create", "rolebinding", "others", "--clusterrole=view", "--user=otto", "--namespace", "view-b")
	vera.tenant("use", "view")
	vera.run("helm", "tenant", "install", chart(t), "--name", "web")
	vera.run("helm", "tenant", "install", chart(t), "--name", "gone")
	vera.run("helm", "tenant", "delete", "gone")

	t.Run("tenants", func(t *testing.T) {
		admin := admin.in(t)
		row := func(args ...string) (head, row string) {
			for i, line := range strings.Split(admin.run(append([]string{"helm", "tenant", "tenants"}, args...)...), "\n") {
				line = regexp.MustCompile(`  +`).ReplaceAllString(line, "|")
				if i == 0 {
					head = line
				}
				if strings.HasPrefix(line, "view|") {
					row = line
				}
			}
			return head, row
		}
		head, got := row()
		if head != "NAME|NAMESPACES|MEMBERS|ENGINE|TILLER|READY|RELEASES" || got != "view|view-a,view-b|1 user, 1 group, 1 account|tiller|v2.17.0|1/1|1" {
			t.Errorf("the table:\n%s\n%s", head, got)
		}
		head, got = row("-o", "wide")
		if head != "NAME|NAMESPACES|MEMBERS|ENGINE|TILLER|READY|RELEASES|HOME|ROLE|IMAGE" ||
			got != "view|view-a,view-b|user vera, group view-devs, service account ci:viewer|tiller|v2.17.0|1/1|1|view-tiller|admin|ghcr.io/helm/tiller:v2.17.0" {
			t.Errorf("the wide table:\n%s\n%s", head, got)
		}
		contains(t, admin.tenant("tenants", "-o", "name"), "tenant/view\n")

		type listed struct {
			APIVersion, Kind string
			Items            []struct {
				Name, Home string
				Namespaces []string
				Running    struct{ Version string }
				Releases   map[string]int
			}
		}
		var fromJSON, fromYAML listed
		if err := json.Unmarshal([]byte(admin.tenant("tenants", "-o", "json")), &fromJSON); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(admin.tenant("tenants", "-o", "yaml")), &fromYAML); err != nil {
			t.Fatal(err)
		}
		for format, list := range map[string]listed{"json": fromJSON, "yaml": fromYAML} {
			if list.APIVersion != "helm-tenant/v1" || list.Kind != "TenantList" {
				t.Errorf("%s: %s %s", format, list.APIVersion, list.Kind)
			}
			found := false
			for _, item := range list.Items {
				if item.Name == "view" {
					found = true
					if item.Home != "view-tiller" || len(item.Namespaces) != 2 || item.Running.Version != "v2.17.0" || item.Releases["DEPLOYED"] != 1 || item.Releases["DELETED"] != 1 {
						t.Errorf("%s: %+v", format, item)
					}
				}
			}
			if !found {
				t.Errorf("%s: the tenant is missing", format)
			}
		}
		vera.in(t).fails(1, `the tenants of context "test" can't be listed`, "helm", "tenant", "tenants")
	})

	t.Run("describe, by an admin", func(t *testing.T) {
		admin := admin.in(t)
		out := regexp.MustCompile(`(?m)  +| +$`).ReplaceAllString(admin.tenant("describe", "view"), "|")
		contains(t, out, "Name:|view\n", "Home:|view-tiller\n", "Role:|ClusterRole admin\n", "Members:|user vera, group view-devs, service account ci:viewer\n",
			"Tiller:|ghcr.io/helm/tiller:v2.17.0, 1 of 1 ready\n", "|view-a|ClusterRole admin|service account view-tiller:tiller|helm-tenant.view.admin\n",
			"|view-b|ClusterRole view|user otto|others (not ours)\n", "Releases: 1\n", "|web|view-a|1|DEPLOYED|hello-0.1.0\n", "|gone|view-a|1|DELETED|hello-0.1.0\n")
		lacks(t, out, "Differs", "Not shown")
	})
	t.Run("describe, by a member", func(t *testing.T) {
		vera := vera.in(t)
		out := vera.tenant("describe", "view")
		contains(t, out, "view-tiller", "running, ready", "(you may not see them)",
			"Not shown, because you may not read it: Tiller's settings, members, releases, bindings in namespace view-a, bindings in namespace view-b")
		lacks(t, out, "Releases", "Differs", "otto")
		w.user("nobody").in(t).fails(1, `describe of tenant "view"`, "helm", "tenant", "describe", "view")
		admin.in(t).fails(1, `there is no tenant "none"`, "helm", "tenant", "describe", "none")
	})
	t.Run("drift", func(t *testing.T) {
		admin := admin.in(t)
		admin.run("kubectl", "scale", "deployment", "tiller-deploy", "--namespace", "view-tiller", "--replicas=2")
		admin.run("kubectl", "delete", "networkpolicy", "helm-tenant", "--namespace", "view-tiller")
		contains(t, admin.tenant("describe", "view"), "Differs from the record (helm tenant init view makes it as it should be):",
			"  ~ Deployment tiller-deploy in namespace view-tiller\n      ~ spec.replicas: 2 -> 1\n", "  + NetworkPolicy helm-tenant in namespace view-tiller\n")
		var described struct {
			Kind  string
			Drift []struct {
				Action, Kind, Name string
				Fields             []struct{ Path string }
			}
		}
		if err := json.Unmarshal([]byte(admin.tenant("describe", "view", "-o", "json")), &described); err != nil {
			t.Fatal(err)
		}
		if len(described.Drift) != 2 || described.Kind != "TenantDescription" {
			t.Errorf("drift: %+v", described)
		}
		admin.tenant("init", "view")
		// "view is ready" means for whoever types next, too: the pod that was too many
		// is gone, and nobody is forwarded to it.
		if got := vera.in(t).run("helm", "tenant", "list", "--short"); got != "web\n" {
			t.Errorf("right after init: %q", got)
		}
		lacks(t, admin.tenant("describe", "view"), "Differs")
	})

	t.Run("shellenv", func(t *testing.T) { shellenv(t, w, vera) })
}

// shellenv lets plain helm, in each shell that is there, reach the tenant.
func shellenv(t *testing.T, w *world, vera *person) {
	vera = vera.in(t)
	type inShell struct{ shell, script string }
	scripts := []inShell{
		{"sh", `eval "$(helm tenant shellenv --shell sh)" && helm list --short && helm tenant list --short && echo "$HELM_TENANT"`},
		{"bash", `export HELM_HOST=127.0.0.1:1 && eval "$(helm tenant shellenv --shell bash)" && helm list --short && helm tenant list --short && echo "$HELM_TENANT"`},
		{"zsh", `eval "$(helm tenant shellenv --shell zsh)" && helm list --short && helm tenant list --short && echo "$HELM_TENANT"`},
		{"fish", `helm tenant shellenv --shell fish | source; and helm list --short; and helm tenant list --short; and echo $HELM_TENANT`},
	}
	// Debian has no PowerShell, and nothing else here could install it: where there is
	// one it is tried, and everywhere what is printed for it is compared in cli.
	if _, err := exec.LookPath("pwsh"); err == nil {
		scripts = append(scripts, inShell{"pwsh", `helm tenant shellenv --shell powershell | Out-String | Invoke-Expression && helm list --short && helm tenant list --short && echo $env:HELM_TENANT`})
	}
	for _, c := range scripts {
		t.Run(c.shell, func(t *testing.T) {
			shell := harness.Program(t, c.shell)
			if got, want := vera.in(t).run(shell, "-c", c.script), "web\nweb\nview\n"; got != want {
				t.Errorf("got %q, wanted %q", got, want)
			}
		})
	}
	t.Run("another tenant than the context's", func(t *testing.T) {
		vera := vera.in(t)
		w.admin.in(t).tenant("init", "view-too", "--namespaces", "view-too", "--create-namespaces", "--wait=false")
		out := vera.run("helm", "tenant", "--tenant", "view-too", "shellenv", "--shell", "bash")
		contains(t, out, "export TILLER_NAMESPACE='view-too-tiller'\n", "export HELM_TENANT='view-too'\n")
		// No member there: refused, and not by the tenant of the context.
		vera.fails(1, `in the namespace "view-too-tiller"`, "bash", "-c", `eval "$0"; helm list`, out)
	})
}
