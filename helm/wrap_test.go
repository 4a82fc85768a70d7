package helm

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

// wrapped is how helm is started where the environment and a parent say nothing.
func wrapped(client Client, line Line, r tenant.Resolved, context, namespace string, environ []string) (Invocation, error) {
	call := Call{Line: line, Env: func(string) (string, bool) { return "", false }}
	d, err := call.Decide(client, Place{Context: context, Namespace: namespace}, r)
	if err != nil {
		return Invocation{}, err
	}
	return d.Invocation(environ, ""), nil
}

func TestWrap(t *testing.T) {
	two := Client{Path: "/bin/helm", Version: "v2.17.0", Major: 2}
	teamA := tenant.Resolved{Name: "team-a", Home: "team-a-tiller", Engine: tenant.EngineTiller, Namespaces: []string{"a", "b"}}
	for _, test := range []struct {
		name             string
		typed            string
		resolved         tenant.Resolved
		context, inSpace string
		want             string
	}{
		{"a command", "list -a", teamA, "prod", "a", "--tiller-namespace=team-a-tiller --kube-context=prod list -a"},
		{"inside a pod", "list", teamA, "", "a", "--tiller-namespace=team-a-tiller list"},
		{"a plugin", "diff upgrade db stable/mysql", teamA, "prod", "other", "--tiller-namespace=team-a-tiller --kube-context=prod diff upgrade db stable/mysql"},
		{"helm's own flags before the command come after ours", "--debug --home /h list", teamA, "prod", "a", "--tiller-namespace=team-a-tiller --kube-context=prod --debug=true --home=/h list"},
		{"the arguments stay as they were", "status --a=b -c -- --d ' \t' \xff", teamA, "prod", "a", "--tiller-namespace=team-a-tiller --kube-context=prod status --a=b -c -- --d ' \t' \xff"},

		{"install from elsewhere", "install stable/mysql", teamA, "prod", "default", "--tiller-namespace=team-a-tiller --kube-context=prod --namespace=a install stable/mysql"},
		{"upgrade from elsewhere", "upgrade db stable/mysql -i", teamA, "prod", "default", "--tiller-namespace=team-a-tiller --kube-context=prod --namespace=a upgrade db stable/mysql -i"},
		{"install from the default namespace", "install stable/mysql", teamA, "prod", "a", "--tiller-namespace=team-a-tiller --kube-context=prod install stable/mysql"},
		{"install from another of its namespaces", "install stable/mysql", teamA, "prod", "b", "--tiller-namespace=team-a-tiller --kube-context=prod install stable/mysql"},
		{"install into a named namespace", "install stable/mysql --namespace b", teamA, "prod", "default", "--tiller-namespace=team-a-tiller --kube-context=prod install stable/mysql --namespace b"},
		{"install with a namespace before it", "--namespace b install stable/mysql", teamA, "prod", "default", "--tiller-namespace=team-a-tiller --kube-context=prod --namespace=b install stable/mysql"},
		{"Helm 2's -n is a release's name", "install stable/mysql -n db", teamA, "prod", "default", "--tiller-namespace=team-a-tiller --kube-context=prod --namespace=a install stable/mysql -n db"},
		{"a namespace that is no flag of helm's", "install c -- --namespace b", teamA, "prod", "default", "--tiller-namespace=team-a-tiller --kube-context=prod --namespace=a install c -- --namespace b"},
		{"list shows all namespaces of a Tiller", "list", teamA, "prod", "default", "--tiller-namespace=team-a-tiller --kube-context=prod list"},
		{"namespaces that do not matter", "list", tenant.Resolved{Home: "x", Engine: tenant.EngineTiller}, "prod", "default", "--tiller-namespace=x --kube-context=prod list"},
		{"a tenant of all namespaces", "install c", tenant.Resolved{Name: "ops", Home: "kube-system", Engine: tenant.EngineTiller, AllNamespaces: true}, "prod", "default", "--tiller-namespace=kube-system --kube-context=prod install c"},
		// cobra takes the first word that equals the command's name for it.
		{"a namespace that is called like the command", "install c", tenant.Resolved{Name: "t", Home: "install", Engine: tenant.EngineTiller, Namespaces: []string{"install"}}, "install", "default", "--tiller-namespace=install --kube-context=install --namespace=install install c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := strings.Split(test.typed, " ")
			line, err := ParseLine(args)
			if err != nil {
				t.Fatal(err)
			}
			inv, err := wrapped(two, line, test.resolved, test.context, test.inSpace, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(test.want, " "), inv.Args); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if inv.Path != "/bin/helm" {
				t.Errorf("path: got %s", inv.Path)
			}
		})
	}
}

func TestWrapEnvironment(t *testing.T) {
	two := Client{Path: "/bin/helm", Major: 2}
	given := []string{
		"HOME=/home/alice", "HELM_HOST=10.0.0.1:44134", "TILLER_HOST=", "TILLER_NAMESPACE=kube-system", "HELM_TENANT=other", "HELM_KUBECONTEXT=other",
		"HELM_PLUGIN_NAME=tenant", "HELM_PLUGIN_DIR=/p", "HELM_HOME=/h", "HELM_HOSTS=kept", "HELM_TLS_ENABLE=true", "EMPTY=", "odd",
	}
	before := slices.Clone(given)
	kept := []string{"HOME=/home/alice", "HELM_HOME=/h", "HELM_HOSTS=kept", "HELM_TLS_ENABLE=true", "EMPTY=", "odd"}
	for _, test := range []struct {
		name, tenant, context string
		added                 []string
	}{
		{"a tenant in a context", "team-a", "prod", []string{"TILLER_NAMESPACE=home", "HELM_KUBECONTEXT=prod", "HELM_TENANT=team-a"}},
		{"a Tiller of no name", "", "prod", []string{"TILLER_NAMESPACE=home", "HELM_KUBECONTEXT=prod"}},
		{"inside a pod", "team-a", "", []string{"TILLER_NAMESPACE=home", "HELM_TENANT=team-a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := tenant.Resolved{Name: test.tenant, Home: "home", Engine: tenant.EngineTiller}
			inv, err := wrapped(two, Line{Command: "list"}, r, test.context, "default", given)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Concat(kept, test.added), inv.Env); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !slices.Equal(before, given) {
				t.Errorf("the caller's environment changed: %q", given)
			}
		})
	}
}

func TestWrapRefuses(t *testing.T) {
	tiller := tenant.Resolved{Name: "team-a", Home: "team-a-tiller", Engine: tenant.EngineTiller}
	impersonation := tenant.Resolved{Name: "team-c", Home: "team-c-helm", Engine: tenant.EngineImpersonation}
	const host = "--host bypasses the tenant's own Tiller; leave it out, or run helm itself"
	for _, test := range []struct {
		name     string
		major    int
		typed    string
		resolved tenant.Resolved
		want     string
	}{
		{"--host after the command", 2, "list --host h:1", tiller, host},
		{"--host=", 2, "list --host=h:1", tiller, host},
		{"--host before the command", 2, "--host h:1 list", tiller, host},
		{"an empty --host", 2, "list --host=", tiller, host},
		{"a Tiller's tenant with Helm 3", 3, "list", tiller, `tenant "team-a" has a Tiller, which only Helm 2 can talk to, but /bin/helm is Helm 3: set HELM_BIN to a Helm 2.17, or, if the tenant was moved to Helm 3, type once: helm tenant use team-a`},
		{"a Tiller of no name with Helm 4", 4, "list", tenant.Resolved{Home: "x", Engine: tenant.EngineTiller}, `the tenant in "x" has a Tiller, which only Helm 2 can talk to, but /bin/helm is Helm 4: set HELM_BIN to a Helm 2.17, or, if the tenant was moved to Helm 3, type once: helm tenant use TENANT`},
		{"an impersonated tenant with Helm 2", 2, "list", impersonation, `tenant "team-c" is for Helm 3 and 4, but /bin/helm is Helm 2: set HELM_BIN to a Helm 3 or 4, or, if the tenant has a Tiller by now, type once: helm tenant use team-c`},
	} {
		t.Run(test.name, func(t *testing.T) {
			line, err := ParseLine(strings.Fields(test.typed))
			if err != nil {
				t.Fatal(err)
			}
			inv, err := wrapped(Client{Path: "/bin/helm", Major: test.major}, line, test.resolved, "prod", "default", nil)
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(Invocation{}, inv); diff != "" {
				t.Errorf("something was made beside the error:\n%s", diff)
			}
		})
	}
}

// A second entry of the same name would be a matter of luck: the C library and Go
// take the first, a shell takes the last.
func TestStarted(t *testing.T) {
	given := []string{"A=1", "HELM_TENANT_STARTER=1", "HELM_TENANT_STARTERS=2", "HELM_TENANT_STARTER=3"}
	before := slices.Clone(given)
	if diff := cmp.Diff([]string{"A=1", "HELM_TENANT_STARTERS=2", "HELM_TENANT_STARTER=42"}, started(given, 42)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !slices.Equal(before, given) {
		t.Errorf("the caller's environment changed: %q", given)
	}
}

func TestWrapLocal(t *testing.T) {
	line, err := ParseLine(strings.Fields("--debug lint ./chart --strict"))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"HELM_HOST=kept", "TILLER_NAMESPACE=kept"}
	want := Invocation{Path: "/bin/helm", Args: []string{"--debug=true", "lint", "./chart", "--strict"}, Env: env}
	if diff := cmp.Diff(want, WrapLocal(Client{Path: "/bin/helm", Major: 2}, line, env)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAskTiller(t *testing.T) {
	r := tenant.Resolved{Name: "team-a", Home: "team-a-tiller", Engine: tenant.EngineTiller, Namespaces: []string{"a"}}
	inv, err := wrapped(Client{Path: "/bin/helm", Major: 2}, AskTiller(), r, "prod", "default", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"--tiller-namespace=team-a-tiller", "--kube-context=prod", "--tiller-connection-timeout=10", "version", "--server", "--template", "{{.Server.SemVer}}"}
	if diff := cmp.Diff(want, inv.Args); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
