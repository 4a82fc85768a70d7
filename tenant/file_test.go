package tenant

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFile(t *testing.T) {
	const text = `# the tenants of the cluster
apiVersion: helm-tenant/v1
tenants:
- name: team-a
  namespaces: [a, b]   # the first is the default namespace
  members:
    users: [alice]
    groups: [team-a-devs]
    serviceAccounts: ["ci:deployer"]
  role: edit
  tiller: {storage: configmap, historyMax: 0}

- name: ops
  allNamespaces: true
  homeNamespace: kube-system
`
	teamA := Tenant{Name: "team-a", Namespaces: []string{"a", "b"}, Role: "edit", Tiller: Tiller{Storage: StorageConfigMap, HistoryMax: new(0)},
		Members: Members{User("alice"), Group("team-a-devs"), Account("ci", "deployer")}}.WithDefaults()
	ops := Tenant{Name: "ops", AllNamespaces: true, HomeNamespace: "kube-system"}.WithDefaults()
	got, problems := ParseFile("tenants.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(lines(problems))
	}
	want := []Located{{teamA, "tenants.yaml", 4}, {ops, "tenants.yaml", 13}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// Empty documents behind it hold no tenants.
	for _, end := range []string{"---\n", "---", "...\n", "---\n# the end\n", "---\n---\n...\n"} {
		if got, problems := ParseFile("tenants.yaml", []byte(text+end)); len(problems) > 0 || !cmp.Equal(want, got) {
			t.Errorf("with %q at the end: %v, %v", end, got, lines(problems))
		}
	}
}

func TestParseFileNamesEveryProblem(t *testing.T) {
	const head = "apiVersion: helm-tenant/v1\ntenants:\n"
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"f:1: the file is empty: it begins with apiVersion: helm-tenant/v1"}},
		{"only a comment", "# none yet\n", []string{"f:1: the file is empty: it begins with apiVersion: helm-tenant/v1"}},
		{"no YAML", head + "- name: [a\n", []string{"f:3: a list or map in brackets that begins here is not closed"}},
		{"a list", "- name: a\n", []string{"f:1: a list where a map of fields is wanted"}},
		{"no version", "tenants:\n- {name: a, namespaces: [a]}\n", []string{`f:1: apiVersion is ""; this helm-tenant reads helm-tenant/v1`}},
		{"another version", "tenants:\n- {name: a, namespaces: [a]}\napiVersion: helm-tenant/v2\n", []string{`f:3: apiVersion is "helm-tenant/v2"; this helm-tenant reads helm-tenant/v1`}},
		{"no tenants", head + "", []string{"f:2: there are no tenants in it"}},
		{"another kind of file", "apiVersion: v1\nitems: []\nkind: List\n", []string{`f:1: apiVersion is "v1"; this helm-tenant reads helm-tenant/v1`}},
		{"unknown fields, in their lines", head + "- name: a\n  namespaces: [a]\n  roles: edit\n- name: b\n  namespace: b\n", []string{
			`f:5: unknown field "roles", did you mean role?`, `f:7: unknown field "namespace", did you mean namespaces or namespaceSelector?`}},
		{"a tenant twice", head + "- {name: a, namespaces: [a]}\n- {name: b, namespaces: [b]}\n- {name: a, namespaces: [c]}\n", []string{`f:5: duplicate tenant "a", first on line 3`}},
		{"no name", head + "- namespaces: [a]\n", []string{"f:3: a tenant's name is missing"}},
		{"values, in their lines", head + "- name: a\n  namespaces:\n  - a\n  - B\n  tiller:\n    replicas: 0\n    resources:\n      limits.cpu: lots\n  members:\n    serviceAccounts: [x]\n", []string{
			`f:6: tenant "a": namespaces: "B" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`,
			`f:8: tenant "a": replicas: 0; a Tiller needs at least 1`,
			`f:10: tenant "a": resources: limits.cpu=lots is not a quantity such as 100m or 64Mi`,
			`f:12: tenant "a": service-account: "x" is not NAMESPACE:NAME`}},
		{"numbers that YAML reads as others", head + "- name: a\n  namespaces: [a]\n  tiller:\n    replicas: 1.5\n    historyMax: 010\n- name: b\n  namespaces: [b]\n  tiller: {replicas: 2, historyMax: 0}\n", []string{
			`f:6: tenant "a": replicas: 1.5 is not a whole number in decimal digits`,
			`f:7: tenant "a": historyMax: 010 is not a whole number in decimal digits`}},
		{"a number below one, and one in base 16", head + "- {name: a, namespaces: [a], tiller: {replicas: -0.5, historyMax: 0x14}}\n", []string{
			`f:3: tenant "a": historyMax: 0x14 is not a whole number in decimal digits`,
			`f:3: tenant "a": replicas: -0.5 is not a whole number in decimal digits`}},
		{"a second document", head + "- {name: a, namespaces: [a]}\n---\n" + head + "- {name: b, namespaces: [b]}\n", []string{
			"f:4: a second YAML document starts here: give each a file of its own"}},
		{"a document behind an empty one", head + "- {name: a, namespaces: [a]}\n---\n---\n" + head + "- {name: b, namespaces: [b]}\n", []string{
			"f:5: a second YAML document starts here: give each a file of its own"}},
		{"a second document that is no mapping", head + "- {name: a, namespaces: [a]}\n--- ''\n", []string{
			"f:4: a second YAML document starts here: give each a file of its own"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, problems := ParseFile("f", []byte(test.text))
			if diff := cmp.Diff(test.want, lines(problems)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestOneProblemOnce: a value of another kind, or a mistyped field, is one problem, and nothing that
// follows from it is another one. What is wrong beside it is still said, in its own line.
func TestOneProblemOnce(t *testing.T) {
	const head, one = "apiVersion: helm-tenant/v1\ntenants:\n", "apiVersion: helm-tenant/v1\ntenants:\n- name: a\n"
	for text, want := range map[string][]string{
		one + "  namespaces: x\n":                                                              {`f:4: "x" where a list is wanted`},
		one + "  namespaces: {x: y}\n":                                                         {`f:4: a map of fields where a list is wanted`},
		one + "  namespaces: 7\n  quota: {pods: lots}\n":                                       {`f:4: "7" where a list is wanted`, `f:5: tenant "a": quota: pods: "lots" is not a quantity such as 20, 500m or 64Gi`},
		one + "  namespaces:\n  - [x]\n  - B\n":                                                {`f:5: a list where text is wanted`, `f:6: tenant "a": namespaces: "B" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`},
		one + "  allNamespaces: maybe\n":                                                       {`f:4: "maybe" where true or false is wanted`},
		one + "  allNamespaces: [true]\n":                                                      {`f:4: a list where true or false is wanted`},
		one + "  namespaceSelector: x\n":                                                       {`f:4: "x" where a map of fields is wanted`},
		one + "  namespaceSelector: {matchLabels: [x]}\n":                                      {`f:4: a list where a map of fields is wanted`},
		one + "  namespaceSelector: {matchLabel: {x: y}}\n":                                    {`f:4: unknown field "matchLabel", did you mean matchLabels?`},
		one + "  namespaces: [x]\n  frozen: x\n":                                               {`f:5: "x" where a map of fields is wanted`},
		one + "  namespaces: [x]\n  frozen: {reasn: x}\n":                                      {`f:5: unknown field "reasn", did you mean reason?`},
		one + "  namespaces: [x]\n  network: [isolated]\n  allowFrom: [10.0.0.0/8]\n":          {`f:5: a list where text is wanted`},
		one + "  namespaces: [x]\n  networks: isolated\n  allowFrom: [10.0.0.0/8]\n":           {`f:5: unknown field "networks", did you mean network?`},
		one + "  namespaces: [x]\n  engine: [impersonation]\n  readers: {users: [u]}\n":        {`f:5: a list where text is wanted`},
		one + "  namespaces: [x]\n  membersFrom: owners\n  owners: [u]\n":                      {`f:6: a list where a map of fields is wanted`},
		one + "  namespaces: [x]\n  membersFrom: owners\n  owner: {users: [u]}\n":              {`f:6: unknown field "owner", did you mean owners?`},
		one + "  namespaces: [x]\n  temporary:\n  - {user: [u], until: never}\n":               {`f:6: a list where text is wanted`},
		one + "  namespaces: [x]\n  temporary: {x: y}\n":                                       {`f:5: a map of fields where a list is wanted`},
		one + "  namespaces: [x]\n  tiller: {replicas: 0.5}\n":                                 {`f:5: tenant "a": replicas: 0.5 is not a whole number in decimal digits`},
		one + "  namespaces: [x]\n  tiller: 1.5\n":                                             {`f:5: "1.5" where a map of fields is wanted`},
		one + "  namespaces: [x]\n  tiller: {replicas: [0]}\n":                                 {`f:5: a list where a whole number is wanted`},
		head + "- x\n- name: b\n  namespaces: [x]\n  role: {}\n- name: b\n  namespaces: [y]\n": {`f:3: "x" where a map of fields is wanted`, `f:6: a map of fields where text is wanted`, `f:7: duplicate tenant "b", first on line 4`},
		head + "- {name: [a], namespaces: [x]}\n- {name: {b: c}, namespaces: [y]}\n":           {`f:3: a list where text is wanted`, `f:4: a map of fields where text is wanted`},
		head + "- {namespaces: [x]}\n- {namespaces: [y]}\n":                                    {`f:3: a tenant's name is missing`, `f:4: a tenant's name is missing`},
		head + "- {Name: a, namespaces: [x]}\n":                                                {`f:3: unknown field "Name", did you mean name?`},
		"apiVersion: [x]\ntenants: []\n":                                                       {`f:1: a list where text is wanted`},
		"apiversion: helm-tenant/v1\ntenants: [{name: a, namespaces: [x]}]\n":                  {`f:1: unknown field "apiversion", did you mean apiVersion?`},
		"hello\n": {`f:1: "hello" where a map of fields is wanted`},
		"apiVersion: helm-tenant/v1\ndefaults: {network: [isolated]}\ntenants: [{name: a, namespaces: [x], allowFrom: [10.0.0.0/8]}]\n": {`f:2: a list where text is wanted`},
		"apiVersion: helm-tenant/v1\ndefaults: {quota: [pods]}\ntenants: [{name: a, namespaces: [x], role: [r]}]\n":                     {`f:2: a list where a map of fields is wanted`, `f:3: a list where text is wanted`},
		one + "  namespaces: &n {x: y}\n- name: b\n  namespaces: *n\n":                                                                  {`f:4: a map of fields where a list is wanted`, `f:4: a map of fields where a list is wanted`},
	} {
		if _, problems := ParseFile("f", []byte(text)); !cmp.Equal(want, lines(problems)) {
			t.Errorf("%s-want +got:\n%s", text, cmp.Diff(want, lines(problems)))
		}
	}
}

func TestFormatFile(t *testing.T) {
	full := fullTenant()
	full.Members = Members{User("alice")}
	for _, tenant := range []Tenant{
		Tenant{Name: "a", Namespaces: []string{"a"}}.WithDefaults(),
		Tenant{Name: "a", AllNamespaces: true, HomeNamespace: "kube-system"}.WithDefaults(),
		Tenant{Name: "a", Namespaces: []string{"a"}, Engine: EngineImpersonation}.WithDefaults(),
		Tenant{Name: "a", AllNamespaces: true, Role: "admin"}.WithDefaults(),
		full.WithDefaults(),
	} {
		text, err := FormatFile([]Tenant{tenant})
		if err != nil {
			t.Fatal(err)
		}
		got, problems := ParseFile("f", []byte(text))
		if len(problems) > 0 {
			t.Fatalf("%v\n%s", lines(problems), text)
		}
		if diff := cmp.Diff([]Located{{tenant, "f", 3}}, got); diff != "" {
			t.Errorf("-want +got:\n%s\n%s", diff, text)
		}
	}
	text, err := FormatFile([]Tenant{Tenant{Name: "a", Namespaces: []string{"a"}, HomeNamespace: "a-tiller"}.WithDefaults()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("apiVersion: helm-tenant/v1\ntenants:\n- name: a\n  namespaces: [a]\n", text); diff != "" {
		t.Errorf("defaults are left out, -want +got:\n%s", diff)
	}
}

// An accepted file must be written as one with the same meaning; for a refused file, every
// problem is a line that begins with its location.
func FuzzParseFile(f *testing.F) {
	const head = "apiVersion: helm-tenant/v1\ntenants:\n"
	for _, seed := range []string{
		"", "- a", "tenants: {}", head, head + "- name: a\n  namespaces: [a]\n", head + "- {name: a, namespaces: [B], tiller: {replicas: 0}}\n- name: a\n",
		head + "- &a {name: a, namespaces: [a]}\n- *a\n", head + "- name: 1\n  namespaces: [yes, 1e3]\n", head + "- <<: {name: a}\n  namespaces: [x]\n", "a: 1\n---\nb: 2\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		located, problems := ParseFile("f", text)
		for _, problem := range problems {
			if line := problem.Error(); !strings.HasPrefix(line, "f:") || strings.HasPrefix(line, "f:0:") || strings.Contains(line, "\n") {
				t.Errorf("%q does not say where, in one line", line)
			}
		}
		if len(problems) > 0 {
			return
		}
		var tenants []Tenant
		for _, l := range located {
			tenants = append(tenants, l.Tenant)
		}
		formatted, err := FormatFile(tenants)
		if err != nil {
			t.Fatal(err)
		}
		again, problems := ParseFile("g", []byte(formatted))
		if len(problems) > 0 {
			t.Fatalf("%v\n%s", lines(problems), formatted)
		}
		var second []Tenant
		for _, l := range again {
			// One that is written out is the same home.
			second = append(second, l.Tenant)
		}
		for i := range tenants {
			tenants[i].HomeNamespace = tenants[i].Home()
		}
		for i := range second {
			second[i].HomeNamespace = second[i].Home()
		}
		if diff := cmp.Diff(tenants, second, equateEmpty); diff != "" {
			t.Errorf("-first +second:\n%s", diff)
		}
	})
}
