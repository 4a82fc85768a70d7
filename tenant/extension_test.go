package tenant

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
)

var (
	teamA = Known{Name: "team-a", HomeNamespace: "team-a-tiller", Engine: EngineTiller, Namespaces: []string{"a", "b"}}
	ops   = Known{Name: "ops", HomeNamespace: "kube-system", Engine: EngineTiller, AllNamespaces: true}
)

func TestExtensionWith(t *testing.T) {
	var none *Extension
	if _, found := none.Find("team-a"); found {
		t.Error("nothing knows a tenant")
	}
	one := none.with(teamA)
	if diff := cmp.Diff(&Extension{APIVersion: APIVersion, Current: "team-a", Tenants: []Known{teamA}}, one); diff != "" {
		t.Errorf("the first, -want +got:\n%s", diff)
	}
	two := one.with(ops)
	if diff := cmp.Diff(&Extension{APIVersion: APIVersion, Current: "ops", Tenants: []Known{teamA, ops}}, two); diff != "" {
		t.Errorf("a second, -want +got:\n%s", diff)
	}
	moved := teamA
	moved.HomeNamespace = "elsewhere"
	second := two.with(moved)
	if diff := cmp.Diff(&Extension{APIVersion: APIVersion, Current: "team-a", Tenants: []Known{moved, ops}}, second); diff != "" {
		t.Errorf("the first anew, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]Known{teamA, ops}, two.Tenants); diff != "" {
		t.Errorf("the original changed:\n%s", diff)
	}
	if known, found := second.Find("ops"); !found || !cmp.Equal(known, ops) {
		t.Errorf("Find: got %+v, %t", known, found)
	}
}

func TestParseExtension(t *testing.T) {
	const good = `{"apiVersion":"helm-tenant/v1","current":"ops","tenants":[{"name":"team-a","homeNamespace":"team-a-tiller","engine":"tiller","namespaces":["a","b"]},{"name":"ops","homeNamespace":"kube-system","engine":"tiller","allNamespaces":true}]}`
	got, err := parseExtension([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Extension{APIVersion: APIVersion, Current: "ops", Tenants: []Known{teamA, ops}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, test := range []struct{ name, text, want string }{
		{"empty", ``, `extension "helm-tenant" has the wrong shape: EOF`},
		{"null", `null`, `extension "helm-tenant" has apiVersion "", this helm-tenant reads helm-tenant/v1`},
		{"a list", `[]`, `extension "helm-tenant" has the wrong shape: a list where a map of fields is wanted`},
		{"text", `"team-a"`, `extension "helm-tenant" has the wrong shape: a string where a map of fields is wanted`},
		{"text where a list is", `{"apiVersion":"helm-tenant/v1","tenants":"team-a"}`, `extension "helm-tenant" has the wrong shape: tenants: a string where a list is wanted`},
		{"a number where text is", `{"apiVersion":"helm-tenant/v1","current":1}`, `extension "helm-tenant" has the wrong shape: current: a number where text is wanted`},
		{"a newer version of another shape", `{"apiVersion":"helm-tenant/v2","current":{"name":"a"}}`, `extension "helm-tenant" has apiVersion "helm-tenant/v2", this helm-tenant reads helm-tenant/v1`},
		{"another version", strings.Replace(good, "/v1", "/v2", 1), `extension "helm-tenant" has apiVersion "helm-tenant/v2", this helm-tenant reads helm-tenant/v1`},
		{"no current tenant", strings.Replace(good, `"current":"ops"`, `"current":""`, 1), `extension "helm-tenant": its current tenant "" is not among its tenants`},
		{"a current tenant that is not there", strings.Replace(good, `"current":"ops"`, `"current":"team-b"`, 1), `extension "helm-tenant": its current tenant "team-b" is not among its tenants`},
		{"a bad name", strings.ReplaceAll(good, `"ops"`, `"Ops"`), `extension "helm-tenant": tenant name "Ops" is not a DNS label: use lower case letters, digits and '-', starting and ending with a letter or digit`},
		{"no home", strings.Replace(good, `"kube-system"`, `""`, 1), `extension "helm-tenant": homeNamespace of ops holds an empty name`},
		{"a home that is a flag", strings.Replace(good, `"kube-system"`, `"--host=x"`, 1), `extension "helm-tenant": homeNamespace of ops: "--host=x" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`},
		{"a namespace that is a flag", strings.Replace(good, `["a","b"]`, `["-a"]`, 1), `extension "helm-tenant": namespaces of team-a: "-a" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`},
		{"an unknown engine", strings.Replace(good, `"engine":"tiller"`, `"engine":"warp"`, 1), `extension "helm-tenant": tenant "team-a": engine: "warp" is not one of tiller, impersonation, both`},
		{"no engine", strings.Replace(good, `,"engine":"tiller"`, ``, 1), `extension "helm-tenant": tenant "team-a": engine: "" is not one of tiller, impersonation, both`},
		{"a tenant twice", strings.Replace(good, `"name":"team-a"`, `"name":"ops"`, 1), `extension "helm-tenant": duplicate tenant "ops"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseExtension([]byte(test.text))
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// An accepted extension must be usable, and equal after writing and reading it.
func FuzzParseExtension(f *testing.F) {
	for _, e := range []*Extension{nil, (*Extension)(nil).with(teamA), (*Extension)(nil).with(teamA).with(ops)} {
		text, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, seed := range []string{"", "[]", `"team-a"`, `{"apiVersion":1}`, `{"apiVersion":"helm-tenant/v1","current":"a","tenants":[{"name":"a","homeNamespace":"b","engine":"tiller"}]} {}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseExtension(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			return
		}
		if _, found := e.Find(e.Current); !found {
			t.Errorf("the current tenant %q is not known", e.Current)
		}
		for _, known := range e.Tenants {
			created := Tenant{Name: known.Name, Namespaces: known.Namespaces, HomeNamespace: known.HomeNamespace, Engine: known.Engine, AllNamespaces: true}
			for _, problem := range created.WithDefaults().Validate() {
				// A namespace that is named twice or is the home does no harm here.
				if text := problem.Error(); !strings.Contains(text, "twice") && !strings.Contains(text, "can not be one of its namespaces") {
					t.Errorf("%+v: %v", known, problem)
				}
			}
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		second, err := parseExtension(again)
		if err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		if diff := cmp.Diff(e, second, equateEmpty); diff != "" {
			t.Errorf("-first +second:\n%s", diff)
		}
	})
}

func TestWithExtension(t *testing.T) {
	e := (*Extension)(nil).with(teamA)
	const item = `extensions:
    - extension:
        apiVersion: helm-tenant/v1
        current: team-a
        tenants:
        - engine: tiller
          homeNamespace: team-a-tiller
          name: team-a
          namespaces:
          - a
          - b
      name: helm-tenant`
	for _, test := range []struct{ name, before, after string }{
		{"as kubectl writes it", `apiVersion: v1
clusters:
- cluster:
    server: https://one
  name: one
contexts:
- context:
    cluster: one
    namespace: a
    user: alice
  name: main
- context:
    cluster: one
    user: bob
  name: other
current-context: other
kind: Config
preferences: {}
users: null
`, `apiVersion: v1
clusters:
- cluster:
    server: https://one
  name: one
contexts:
- context:
    cluster: one
    namespace: a
    user: alice
    ` + item + `
  name: main
- context:
    cluster: one
    user: bob
  name: other
current-context: other
kind: Config
preferences: {}
users: null
`},
		{"by hand: comments, order, unknown keys, indented lists", `# mine
kind: Config
my-own: {key: "value"} # not Kubernetes'
contexts:
  # the main one
  - name: main # call it so
    context:
      user: 'alice' # me
      cluster: one
      colour: red
  - {name: other, context: {cluster: one}}
current-context: main
# the end
`, `# mine
kind: Config
my-own: {key: "value"} # not Kubernetes'
contexts:
  # the main one
  - name: main # call it so
    context:
      user: 'alice' # me
      cluster: one
      colour: red
      extensions:
        - extension:
            apiVersion: helm-tenant/v1
            current: team-a
            tenants:
              - engine: tiller
                homeNamespace: team-a-tiller
                name: team-a
                namespaces:
                  - a
                  - b
          name: helm-tenant
  - {name: other, context: {cluster: one}}
current-context: main
# the end
`},
		{"extensions of others and of other contexts", `contexts:
- context:
    extensions:
    - extension:
        provider: minikube.sigs.k8s.io # theirs
      name: context_info
  name: main
- context:
    extensions:
    - extension:
        apiVersion: helm-tenant/v1
        current: ops
        tenants: []
      name: helm-tenant
  name: other
extensions:
- extension:
    x: 1
  name: helm-tenant
`, `contexts:
- context:
    extensions:
    - extension:
        provider: minikube.sigs.k8s.io # theirs
      name: context_info
    ` + strings.TrimPrefix(item, "extensions:\n    ") + `
  name: main
- context:
    extensions:
    - extension:
        apiVersion: helm-tenant/v1
        current: ops
        tenants: []
      name: helm-tenant
  name: other
extensions:
- extension:
    x: 1
  name: helm-tenant
`},
		{"one of ours, even of a wrong shape, is replaced in its place", `contexts:
- context:
    extensions:
    - name: helm-tenant
      extension: [broken]
    - name: theirs
      extension: {a: b}
  name: main
`, `contexts:
- context:
    extensions:
    - name: helm-tenant
      extension:
        apiVersion: helm-tenant/v1
        current: team-a
        tenants:
        - engine: tiller
          homeNamespace: team-a-tiller
          name: team-a
          namespaces:
          - a
          - b
    - name: theirs
      extension: {a: b}
  name: main
`},
		{"extensions that are null", "contexts:\n- context:\n    extensions: null\n  name: main\n", "contexts:\n- context:\n    " + item + "\n  name: main\n"},
		{"JSON in one line", `{"contexts":[{"name":"main","context":{"user":"alice"}}],"n":1}`,
			`{"contexts":[{"name":"main","context":{"user":"alice","extensions":[{"extension":{"apiVersion":"helm-tenant/v1","current":"team-a","tenants":[{"name":"team-a","homeNamespace":"team-a-tiller","engine":"tiller","namespaces":["a","b"]}]},"name":"helm-tenant"}]}}],"n":1}`},
		{"JSON in lines", `{
    "contexts": [
        {
            "name": "main",
            "context": {}
        }
    ]
}`, `{
    "contexts": [
        {
            "name": "main",
            "context": {
                "extensions": [
                    {
                        "extension": {
                            "apiVersion": "helm-tenant/v1",
                            "current": "team-a",
                            "tenants": [
                                {
                                    "name": "team-a",
                                    "homeNamespace": "team-a-tiller",
                                    "engine": "tiller",
                                    "namespaces": [
                                        "a",
                                        "b"
                                    ]
                                }
                            ]
                        },
                        "name": "helm-tenant"
                    }
                ]
            }
        }
    ]
}
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			after, err := withExtension([]byte(test.before), "main", e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.after, string(after)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			second, err := withExtension(after, "main", e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(after), string(second)); diff != "" {
				t.Errorf("a second time changes it:\n%s", diff)
			}
		})
	}
}

func TestWithExtensionRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "is empty"},
		{"only a comment", "# nothing\n", "is empty"},
		{"no YAML", "contexts: [", "yaml: line 1: did not find expected node content"},
		{"no such context", "contexts:\n- context: {}\n  name: other\n", `context "main" is not defined in it`},
		{"a context that is null", "contexts:\n- context: null\n  name: main\n", `context "main" is not defined in it`},
		{"a list", "- a\n", `context "main" is not defined in it`},
		{"two documents", "contexts:\n- context: {}\n  name: main\n---\nmore: here\n", "holds more than one YAML document; split it first"},
		{"a second document after an empty one", "contexts:\n- context: {}\n  name: main\n---\n---\nmore: here\n", "holds more than one YAML document; split it first"},
		{"aliases that stand for too much", "x: [&a [x,x,x,x,x,x,x,x,x,x], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a], &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b], &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c], &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]]\ncontexts:\n- context: {user: *e}\n  name: main\n",
			"its YAML aliases expand to too much; write the contexts out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := withExtension([]byte(test.text), "main", (*Extension)(nil).with(teamA))
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Whatever the kubeconfig, client-go must read the same from it but for the
// extension, and read the extension that was written.
func FuzzWithExtension(f *testing.F) {
	for _, seed := range []string{
		"contexts:\n- context:\n    cluster: c\n  name: main\n",
		"contexts:\n  - name: main # c\n    context: {cluster: c, extensions: [{name: x, extension: {a: 1}}]}\n",
		"contexts:\n- context: &c {user: u}\n  name: main\n- context: *c\n  name: other\n",
		`{"contexts":[{"name":"main","context":{"user":"a\u00e9\n"}}]}`,
		"{\n\t\"contexts\": [{\"name\":\"main\",\"context\":{}}]}",
		"clusters:\n- name: c\n  cluster:\n    certificate-authority-data: YWJj\n    server: |\n      https://x\ncontexts:\n- {name: main, context: {cluster: c}}\n",
		"contexts:\r\n- context:\r\n    user: a\r\n  name: main\r\n", "---\ncontexts: []\n...\n", "contexts:\n- context: {}\n  name: main\n---\na: b\n",
	} {
		f.Add([]byte(seed), "main", "team-a")
	}
	// Names that YAML 1.1, which Kubernetes reads, takes for something else.
	for _, name := range []string{"y", "no", "on", "1e3", "0o7", "010", "null"} {
		f.Add([]byte("contexts:\n- context: {}\n  name: 'yes'\n"), "yes", name)
	}
	f.Fuzz(func(t *testing.T, before []byte, context, name string) {
		if CheckName(name) != nil {
			name = "null" // a name that YAML would take for something else
		}
		e := (*Extension)(nil).with(Known{Name: name, HomeNamespace: name, Engine: EngineTiller, Namespaces: []string{name}})
		after, err := withExtension(before, context, e)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			return
		}
		if err := sameButExtension(before, after, context); err != nil {
			t.Errorf("%v:\n%s", err, after)
		}
		if json.Valid(before) && !json.Valid(after) {
			t.Errorf("no JSON any more:\n%s", after)
		}
		config, err := clientcmd.Load(after)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readExtension(config.Contexts[context])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
