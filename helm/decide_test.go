package helm

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

// environOf looks up "NAME=value" words.
func environOf(words ...string) Environ {
	return func(name string) (string, bool) {
		for _, word := range words {
			if value, found := strings.CutPrefix(word, name+"="); found {
				return value, true
			}
		}
		return "", false
	}
}

// TestDecide is the one table of where a call goes.
func TestDecide(t *testing.T) {
	tiller := tenant.Resolved{Name: "team-a", Home: "team-a-tiller", Engine: tenant.EngineTiller, Namespaces: []string{"a", "b"}, Rule: tenant.RuleExtension}
	helm := tenant.Resolved{Name: "team-c", Home: "team-c-helm", Engine: tenant.EngineImpersonation, Namespaces: []string{"c", "d"}, Rule: tenant.RuleExtension}
	named := tenant.Resolved{Name: "team-c", Home: "team-c-helm", Engine: tenant.EngineImpersonation, Rule: tenant.RuleFlag}
	namedTiller := tenant.Resolved{Name: "team-a", Home: "team-a-tiller", Engine: tenant.EngineTiller, Rule: tenant.RuleEnvironment}
	ops := tenant.Resolved{Name: "ops", Home: "ops-helm", Engine: tenant.EngineImpersonation, AllNamespaces: true, Rule: tenant.RuleExtension}
	hidden := errors.New("it can't be seen")
	const unknownA, unknownC = `the namespaces of tenant "team-a" are not known`, `the namespaces of tenant "team-c" are not known`
	for _, test := range []struct {
		name     string
		major    int
		typed    string
		call     Call // Line aside
		env      string
		place    Place
		resolved tenant.Resolved
		// want is the namespace, and what is said before the command.
		want, flag string
		refused    string
	}{
		// Helm 2
		{"install from elsewhere", 2, "install c", Call{}, "", Place{Namespace: "default"}, tiller, "a", "a", ""},
		{"install in the context's", 2, "install c", Call{}, "", Place{Namespace: "b"}, tiller, "b", "", ""},
		{"a typed one", 2, "install c --namespace x", Call{}, "", Place{Namespace: "b"}, tiller, "x", "", ""},
		{"HELM_NAMESPACE is not Helm 2's", 2, "install c", Call{}, "HELM_NAMESPACE=x", Place{Namespace: "b"}, tiller, "b", "", ""},
		{"list needs none", 2, "list", Call{}, "", Place{Namespace: "default"}, namedTiller, "default", "", ""},
		{"a named tenant's are in its record", 2, "install c", Call{}, "", Place{Namespace: "default"}, namedTiller, "", "", unknownA},
		{"a named tenant's do not matter where one is typed", 2, "upgrade r c --namespace x", Call{}, "", Place{Namespace: "default"}, namedTiller, "x", "", ""},
		// Helm 3 and 4
		{"Helm 3 from elsewhere", 3, "list", Call{}, "", Place{Namespace: "default"}, helm, "c", "c", ""},
		{"Helm 4 from elsewhere", 4, "status r", Call{}, "", Place{Namespace: "default"}, helm, "c", "c", ""},
		{"in the context's", 3, "list", Call{}, "", Place{Namespace: "d"}, helm, "d", "", ""},
		{"-n", 3, "list -n x", Call{}, "", Place{Namespace: "d"}, helm, "x", "", ""},
		{"an empty one, where the context's is the tenant's", 3, "install r c --namespace=", Call{}, "HELM_NAMESPACE=x", Place{Namespace: "d"}, helm, "d", "", ""},
		{"an empty one", 3, "install r c --namespace=", Call{}, "", Place{Namespace: "default"}, helm, "", "",
			`--namespace is empty, and helm would act in namespace "default", which is not one of tenant "team-c": name one, such as c, or leave it out`},
		{"an empty one for Helm 2", 2, "install c --namespace=", Call{}, "", Place{Namespace: "default"}, tiller, "", "",
			`--namespace is empty, and helm would act in namespace "default", which is not one of tenant "team-a": name one, such as a, or leave it out`},
		{"an empty one that the outer helm took", 3, "list", Call{Plugin: 3, Outer: Swallowed{Namespace: true}}, "HELM_NAMESPACE=default", Place{Namespace: "default", OuterNamespace: "default"}, helm, "", "",
			`--namespace is empty, and helm would act in namespace "default", which is not one of tenant "team-c": name one, such as c, or leave it out`},
		{"an empty one that the outer helm took, in the tenant's namespace", 4, "list", Call{Plugin: 4, Outer: Swallowed{Namespace: true}}, "HELM_NAMESPACE=d", Place{Namespace: "d", OuterNamespace: "d"}, helm, "d", "", ""},
		{"an empty one that the outer helm took, and -n", 3, "list -n x", Call{Plugin: 3, Outer: Swallowed{Namespace: true}}, "HELM_NAMESPACE=default", Place{Namespace: "default", OuterNamespace: "default"}, helm, "x", "", ""},
		{"-n is the value of a flag", 3, "install r c --description -nx", Call{}, "", Place{Namespace: "d"}, helm, "d", "", ""},
		{"-n among others", 3, "upgrade -in x r c", Call{}, "", Place{Namespace: "d"}, helm, "x", "", ""},
		{"HELM_NAMESPACE", 3, "list", Call{}, "HELM_NAMESPACE=x", Place{Namespace: "d"}, helm, "x", "x", ""},
		{"HELM_NAMESPACE for another tenant", 3, "list", Call{}, "HELM_NAMESPACE=x HELM_TENANT=other", Place{Namespace: "default"}, helm, "c", "c", ""},
		{"typed to the outer helm", 3, "list", Call{Plugin: 3, Outer: Swallowed{Namespace: true, NamespaceValue: "default"}}, "HELM_NAMESPACE=default", Place{Namespace: "default", OuterNamespace: "default"}, helm, "default", "default", ""},
		{"what the outer helm took from the context", 3, "list", Call{Plugin: 3}, "HELM_NAMESPACE=default", Place{Namespace: "default", OuterNamespace: "default"}, helm, "c", "c", ""},
		{"it may have been typed", 3, "list", Call{Plugin: 3, Hidden: hidden}, "HELM_NAMESPACE=default", Place{Namespace: "default", OuterNamespace: "default"}, helm, "", "",
			"helm takes --namespace out of a plugin's arguments, and whether one was typed can't be seen: it can't be seen"},
		{"it may have been typed, and does not matter", 3, "list", Call{Plugin: 3, Hidden: hidden}, "HELM_NAMESPACE=d", Place{Namespace: "d", OuterNamespace: "d"}, helm, "d", "", ""},
		{"a named tenant", 3, "list", Call{}, "", Place{Namespace: "default"}, named, "", "", unknownC},
		{"a named tenant's namespace may be there", 3, "upgrade -i r c -n x --create-namespace", Call{}, "", Place{Namespace: "default"}, named, "", "", unknownC},
		{"nothing is to be created", 4, "install r c -n x --create-namespace=false --description --create-namespace", Call{}, "", Place{Namespace: "default"}, named, "x", "", ""},
		{"a named tenant for a plugin", 4, "diff upgrade r c", Call{}, "", Place{Namespace: "default"}, named, "", "", unknownC},
		{"a named tenant and HELM_NAMESPACE", 3, "list", Call{}, "HELM_NAMESPACE=x", Place{Namespace: "default"}, named, "x", "x", ""},
		{"a named tenant and -n", 3, "list -n x", Call{}, "", Place{Namespace: "default"}, named, "x", "", ""},
		{"a tenant of all namespaces", 3, "list -A", Call{}, "", Place{Namespace: "default"}, ops, "default", "", ""},
		{"all namespaces of the cluster", 3, "ls -qA", Call{}, "", Place{Namespace: "d"}, helm, "", "", `--all-namespaces lists the whole cluster's releases, and tenant "team-c" has its own namespaces only`},
		// Who acts.
		{"as somebody", 3, "list --kube-as-user x", Call{}, "", Place{Namespace: "d"}, helm, "", "", `--kube-as-user sets who acts, or where, but the tenant decides that: its service account "helm" in namespace "team-c-helm" acts; leave it out, or run helm itself`},
		{"with a token that the outer helm took", 3, "list", Call{Plugin: 3, Outer: Swallowed{Identity: []string{"--kube-token"}}}, "", Place{Namespace: "d"}, helm, "", "", `--kube-token sets who acts, or where, but the tenant decides that: its service account "helm" in namespace "team-c-helm" acts; leave it out, or run helm itself`},
		{"elsewhere", 4, "list", Call{}, "HELM_KUBEAPISERVER=https://x", Place{Namespace: "d"}, helm, "", "", "HELM_KUBEAPISERVER names the API server https://x, but helm-tenant acts where the kubeconfig context says: unset it, or use --context"},
		{"a user who impersonates", 3, "list", Call{}, "", Place{Namespace: "d", User: "u", Impersonates: true, As: "alice"}, helm, "", "", `user "u" of the kubeconfig acts as "alice" already ("as"), and impersonation does not chain: Helm 3 and 4 can't act as the tenant's service account from there; use a context whose user acts as itself`},
		{"a user who is the deployer", 3, "list", Call{}, "", Place{Namespace: "d", User: "u", Impersonates: true, As: "system:serviceaccount:team-c-helm:helm"}, helm, "d", "", ""},
		{"a user who impersonates reaches a Tiller", 2, "list", Call{}, "", Place{Namespace: "a", User: "u", Impersonates: true, As: "alice"}, tiller, "a", "", ""},
		{"Helm 2 with what it does not know", 2, "list", Call{}, "", Place{Namespace: "a", Helm2: tenant.Helm2Limits{Fails: "Helm 2 can't use it"}}, tiller, "", "", "Helm 2 can't use it"},
		{"Helm 3 with what Helm 2 does not know", 3, "list", Call{}, "", Place{Namespace: "d", Helm2: tenant.Helm2Limits{Fails: "Helm 2 can't use it"}}, helm, "d", "", ""},
		{"around the Tiller", 2, "list", Call{Plugin: 2, Outer: Swallowed{Host: "h:1"}}, "", Place{Namespace: "a"}, tiller, "", "", "--host bypasses the tenant's own Tiller; leave it out, or run helm itself"},
	} {
		t.Run(test.name, func(t *testing.T) {
			line, err := ParseLine(strings.Fields(test.typed))
			if err != nil {
				t.Fatal(err)
			}
			call := test.call
			call.Line, call.Env = line, environOf(strings.Fields(test.env)...)
			d, err := call.Decide(Client{Path: "/bin/helm", Major: test.major}, test.place, test.resolved)
			if diff := cmp.Diff(test.refused, errorText(err)); diff != "" {
				t.Errorf("error, -want +got:\n%s", diff)
			}
			if d.Namespace != test.want || d.namespaceFlag != test.flag {
				t.Errorf("namespace %q, and %q before the command; want %q and %q", d.Namespace, d.namespaceFlag, test.want, test.flag)
			}
		})
	}
}

func TestCallContext(t *testing.T) {
	hidden := errors.New("it can't be seen")
	const refused = "helm 2 takes --kube-context out of a plugin's arguments, and whether one was typed can't be seen: it can't be seen"
	for _, test := range []struct {
		name, typed, env string
		call             Call
		flags            []string
		want, refused    string
	}{
		{"the current one", "list", "", Call{}, nil, "", ""},
		{"ours", "--context x list", "", Call{}, nil, "x", ""},
		{"helm's before the command", "--kube-context x list", "", Call{}, nil, "x", ""},
		{"helm's after it", "list --kube-context=x", "", Call{}, nil, "x", ""},
		{"what the outer helm took", "list", "", Call{Plugin: 2, Outer: Swallowed{KubeContext: "x"}}, nil, "x", ""},
		{"a verb's flag", "whoami", "", Call{}, []string{"x"}, "x", ""},
		{"two that agree", "--context x list --kube-context x", "", Call{}, []string{"x"}, "x", ""},
		{"two that do not", "--context x list --kube-context y", "", Call{}, nil, "", "two contexts are named, x and y: give only one"},
		{"exported", "list", "HELM_KUBECONTEXT=x", Call{Plugin: 3}, nil, "x", ""},
		{"typed before exported", "--context y list", "HELM_KUBECONTEXT=x", Call{}, nil, "y", ""},
		{"hidden under Helm 2", "list", "", Call{Plugin: 2, Hidden: hidden}, nil, "", refused},
		{"exported, and hidden under Helm 2", "list", "HELM_KUBECONTEXT=x", Call{Plugin: 2, Hidden: hidden}, nil, "", refused},
		{"exported by us", "list", "HELM_KUBECONTEXT=x HELM_TENANT_STARTER=1", Call{Plugin: 2, Hidden: hidden}, nil, "x", ""},
		{"Helm 3 exports what it hides", "list", "HELM_KUBECONTEXT=x", Call{Plugin: 3, Hidden: hidden}, nil, "x", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			line, err := ParseLine(strings.Fields(test.typed))
			if err != nil {
				t.Fatal(err)
			}
			call := test.call
			call.Line, call.Env = line, environOf(strings.Fields(test.env)...)
			got, err := call.Context(test.flags...)
			if got != test.want || errorText(err) != test.refused {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// Helm 2 sets TILLER_NAMESPACE=kube-system for its plugins, exported or not; its own
// environment says which.
func TestTillerNamespaceExported(t *testing.T) {
	plugin := []string{"HELM_PLUGIN_DIR=/p/tenant", "HELM_BIN=helm", "HELM_PLUGIN_NAME=tenant", "TILLER_NAMESPACE=kube-system", "HELM_PATH_CACHE=/c"}
	for _, test := range []struct {
		name    string
		parent  []string
		environ []string
		want    string
	}{
		{"helm's default", []string{"helm", "tenant", "list"}, []string{"A=b"}, ""},
		{"exported", []string{"helm", "tenant", "list"}, []string{"TILLER_NAMESPACE=kube-system"}, "kube-system"},
		{"not helm's environment", []string{"sh", "-c", "x"}, []string{"TILLER_NAMESPACE=kube-system"}, ""},
	} {
		call, err := ReadCall([]string{"list"}, environOf(plugin...), Parent{
			CommandLine: func() ([]string, error) { return test.parent, nil },
			Environ:     func() ([]string, error) { return test.environ, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := call.Asked("", tenant.EngineTiller).TillerNamespace; got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// What Helm 3 and 4 swallow with an empty argument is restored, unless they read their
// own flags otherwise than they were typed.
func TestEmptyArguments(t *testing.T) {
	const refused = `helm takes an empty argument away together with the word after it, and so reads its own flags otherwise than they were typed: write the empty value as --flag="", or call helm-tenant itself`
	for _, test := range []struct {
		name          string
		typed, got    []string // helm's arguments, and what it makes of them
		want          []string
		context       string
		refused       string
		parentIsShell bool
	}{
		{"a word after it", []string{"tenant", "upgrade", "--description", "", "web", "./chart", "--set", "a=b"}, []string{"upgrade", "--description", "./chart", "--set", "a=b"},
			[]string{"upgrade", "--description", "", "web", "./chart", "--set", "a=b"}, "", "", false},
		{"at the end", []string{"tenant", "upgrade", "web", "--description", ""}, []string{"upgrade", "web", "--description"},
			[]string{"upgrade", "web", "--description", ""}, "", "", false},
		{"two of them", []string{"tenant", "up", "", "", "w"}, []string{"up", "w"}, []string{"up", "", "", "w"}, "", "", false},
		{"a joined flag after it", []string{"tenant", "upgrade", "web", "--description", "", "--kube-context=prod", "x"}, []string{"upgrade", "web", "--description", "x"},
			[]string{"upgrade", "web", "--description", "", "x"}, "prod", "", false},
		{"a namespace that helm read otherwise", []string{"tenant", "upgrade", "web", "--description", "", "-n", "x", "--debug"}, []string{"upgrade", "web", "--description", "x"},
			nil, "", refused, false},
		{"a context that helm read otherwise", []string{"tenant", "up", "", "--kube-context", "x", "--debug"}, []string{"up", "x"}, nil, "", refused, false},
		{"a shell completes an alias", []string{"tenant", "__complete", "status", ""}, []string{"__complete", "status"}, []string{"__complete", "status", ""}, "", "", false},
		{"helm completes", []string{"__complete", "tenant", "status", ""}, []string{"__complete", "status", ""}, []string{"__complete", "status", ""}, "", "", false},
		{"called by a script", []string{"tenant", "up", "", "w"}, []string{"up"}, []string{"up"}, "", "", true},
		{"none", []string{"tenant", "up", "w"}, []string{"up", "w"}, []string{"up", "w"}, "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			parent := append([]string{"helm"}, test.typed...)
			if test.parentIsShell {
				parent[0] = "sh"
			}
			env := environOf("HELM_PLUGIN_DIR=/p/tenant", "HELM_BIN=helm", "HELM_PLUGIN_NAME=tenant", "HELM_DATA_HOME=/d", "HELM_NAMESPACE=default")
			call, err := ReadCall(test.got, env, Parent{CommandLine: func() ([]string, error) { return parent, nil }})
			if diff := cmp.Diff(test.refused, errorText(err)); diff != "" {
				t.Fatalf("error, -want +got:\n%s", diff)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(test.want, append([]string{call.Line.Command}, call.Line.Args...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if call.Outer.KubeContext != test.context {
				t.Errorf("context %q", call.Outer.KubeContext)
			}
		})
	}
}

func TestAsksNoTiller(t *testing.T) {
	for typed, want := range map[string]bool{
		"version": false, "version --client": true, "version -c": true, "version -c --short": true, "version --client=true": true,
		"version --client=false": false, "version -s --client": false, "version -cs": false, "version -sc": false, "version --client --server=false": true,
		"version --template -c": false, "version --template x -c": true, "version --tls --client": true, "version --nonsense --client": false,
		"version -- --client": false, "list --client": false,
	} {
		line, err := ParseLine(strings.Fields(typed))
		if err != nil {
			t.Fatal(err)
		}
		if got := line.AsksNoTiller(); got != want {
			t.Errorf("%s: got %t", typed, got)
		}
	}
}
