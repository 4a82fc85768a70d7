package tenant

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines returns the errors' texts: what a user reads.
func lines(problems []error) []string {
	var out []string
	for _, problem := range problems {
		out = append(out, problem.Error())
	}
	return out
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCheckName(t *testing.T) {
	const notLabel = `tenant name %q is not a DNS label: use lower case letters, digits and '-', starting and ending with a letter or digit`
	for _, test := range []struct{ name, want string }{
		{"a", ""},
		{"team-a", ""},
		{"7of9", ""},
		{strings.Repeat("a", 56), ""},
		{"", "a tenant's name is missing"},
		{strings.Repeat("a", 57), `tenant name "` + strings.Repeat("a", 57) + `" has 57 characters; at most 56 fit, because its home namespace is called NAME-tiller`},
		{"Team-A", strings.ReplaceAll(notLabel, "%q", `"Team-A"`)},
		{"team_a", strings.ReplaceAll(notLabel, "%q", `"team_a"`)},
		{"team.a", strings.ReplaceAll(notLabel, "%q", `"team.a"`)},
		{"-team", strings.ReplaceAll(notLabel, "%q", `"-team"`)},
		{"team-", strings.ReplaceAll(notLabel, "%q", `"team-"`)},
		{"team a", strings.ReplaceAll(notLabel, "%q", `"team a"`)},
		{"team/a", strings.ReplaceAll(notLabel, "%q", `"team/a"`)},
		{"täam", strings.ReplaceAll(notLabel, "%q", `"täam"`)},
		{"a\nb", strings.ReplaceAll(notLabel, "%q", `"a\nb"`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, errorText(CheckName(test.name))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	const notNamespace = ` is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`
	for _, test := range []struct {
		name string
		// change makes something wrong with a tenant that is right.
		change func(*Tenant)
		want   []string
	}{
		{"a tenant that is right", func(*Tenant) {}, nil},
		{"a name that is no label", func(t *Tenant) { t.Name = "Team" }, []string{
			`tenant name "Team" is not a DNS label: use lower case letters, digits and '-', starting and ending with a letter or digit`}},
		{"no name", func(t *Tenant) { t.Name = "" }, []string{"a tenant's name is missing"}},
		{"no namespace", func(t *Tenant) { t.Namespaces = nil }, []string{"namespaces: at least one is needed"}},
		{"no namespace but all", func(t *Tenant) { t.Namespaces, t.AllNamespaces = nil, true }, nil},
		{"an empty namespace", func(t *Tenant) { t.Namespaces = []string{"a", ""} }, []string{"namespaces holds an empty name"}},
		{"two empty namespaces", func(t *Tenant) { t.Namespaces = []string{"", ""} }, []string{"namespaces holds an empty name", "namespaces holds an empty name"}},
		{"a namespace twice", func(t *Tenant) { t.Namespaces = []string{"a", "b", "a"} }, []string{`namespaces: duplicate namespace "a"`}},
		{"a namespace that is no label", func(t *Tenant) { t.Namespaces = []string{"a", "B"} }, []string{`namespaces: "B"` + notNamespace}},
		{"a namespace of 63 characters", func(t *Tenant) { t.Namespaces = []string{strings.Repeat("n", 63)} }, nil},
		{"a namespace of 64 characters", func(t *Tenant) { t.Namespaces = []string{strings.Repeat("n", 64)} }, []string{`namespaces: "` + strings.Repeat("n", 64) + `"` + notNamespace}},
		{"the conventional home among the namespaces", func(t *Tenant) { t.Namespaces = []string{"a", "team-a-tiller"} }, []string{
			`namespace "team-a-tiller" is the home namespace of tenant "team-a" and can not be one of its namespaces: what runs there could take over its tiller`}},
		{"a named home among the namespaces", func(t *Tenant) { t.HomeNamespace, t.Namespaces = "b", []string{"a", "b"} }, []string{
			`namespace "b" is the home namespace of tenant "team-a" and can not be one of its namespaces: what runs there could take over its tiller`}},
		{"the impersonation engine's home among the namespaces", func(t *Tenant) {
			t.Engine, t.Namespaces, t.Tiller = EngineImpersonation, []string{"team-a-helm"}, Tiller{}
		}, []string{
			`namespace "team-a-helm" is the home namespace of tenant "team-a" and can not be one of its namespaces: what runs there could take over its helm`}},
		{"a home that is no label", func(t *Tenant) { t.HomeNamespace = "kube_system" }, []string{`home namespace: "kube_system"` + notNamespace}},
		{"an unknown engine", func(t *Tenant) { t.Engine = "warp" }, []string{`engine: "warp" is not one of tiller, impersonation, both`}},
		{"both engines' home among the namespaces", func(t *Tenant) {
			t.Engine, t.Namespaces = EngineBoth, []string{"team-a-tiller"}
		}, []string{
			`namespace "team-a-tiller" is the home namespace of tenant "team-a" and can not be one of its namespaces: what runs there could take over its tiller and helm`}},
		{"settings of a Tiller where there is none", func(t *Tenant) { t.Engine = EngineImpersonation }, []string{
			"tiller: a tenant with the engine impersonation has no Tiller to set up"}},
		{"a role with a slash", func(t *Tenant) { t.Role = "a/b" }, []string{`role: "a/b" is not a ClusterRole's name: may not contain '/'`}},
		{"a role with a colon, as Kubernetes' own have", func(t *Tenant) { t.Role = "system:node" }, nil},
		{"an unknown storage", func(t *Tenant) { t.Tiller.Storage = "memory" }, []string{`storage: "memory" is not one of secret, configmap`}},
		{"a negative history", func(t *Tenant) { t.Tiller.HistoryMax = new(-1) }, []string{"history-max: -1 is negative; 0 keeps every revision"}},
		{"an unbounded history", func(t *Tenant) { t.Tiller.HistoryMax = new(0) }, nil},
		{"no replica", func(t *Tenant) { t.Tiller.Replicas = new(0) }, []string{"replicas: 0; a Tiller needs at least 1"}},
		{"resources that are no quantity", func(t *Tenant) { t.Tiller.Resources = map[string]string{"limits.cpu": "lots"} }, []string{
			"resources: limits.cpu=lots is not a quantity such as 100m or 64Mi"}},
		{"more replicas than fit into 32 bits", func(t *Tenant) { t.Tiller.Replicas = new(1 << 32) }, []string{"replicas: 4294967296 are more than any Deployment can have"}},
		{"a negative quantity", func(t *Tenant) { t.Tiller.Resources = map[string]string{"requests.memory": "-5Mi"} }, []string{"resources: requests.memory=-5Mi is negative"}},
		{"a request above its limit", func(t *Tenant) {
			t.Tiller.Resources = map[string]string{"requests.memory": "512Mi", "limits.memory": "500M"}
		}, []string{"resources: requests.memory=512Mi is more than limits.memory=500M"}},
		{"a request above the default limit, which gives way", func(t *Tenant) { t.Tiller.Resources = map[string]string{"requests.memory": "512Mi"} }, nil},
		{"a resource that there is not", func(t *Tenant) { t.Tiller.Resources = map[string]string{"limits.ram": "1Gi"} }, []string{
			`resources: limits.ram: "ram" is not one of cpu, memory, ephemeral-storage, hugepages-SIZE, or a name such as example.com/gpu`}},
		{"a device", func(t *Tenant) {
			t.Tiller.Resources = map[string]string{"requests.example.com/gpu": "1", "limits.example.com/gpu": "1"}
		}, nil},
		{"half a device without a limit", func(t *Tenant) { t.Tiller.Resources = map[string]string{"requests.example.com/gpu": "500m"} }, []string{
			"resources: requests.example.com/gpu=500m is not a whole number"}},
		{"a device without a limit", func(t *Tenant) { t.Tiller.Resources = map[string]string{"requests.example.com/gpu": "1"} }, []string{
			"resources: requests.example.com/gpu needs limits.example.com/gpu of the same amount"}},
		{"a version without its v", func(t *Tenant) { t.Tiller.Image, t.Tiller.Version = "", "2.17.0" }, []string{`tiller-version: "2.17.0"; Helm's own images are called v2.17.0 and the like`}},
		{"a version of somebody's own", func(t *Tenant) { t.Tiller.Image, t.Tiller.Version = "registry.example/tiller", "2.17.0" }, nil},
		{"a version that is none", func(t *Tenant) { t.Tiller.Version = "foo bar" }, []string{`tiller-version: "foo bar" is not a version, such as v2.17.0`}},
		{"an image in capitals", func(t *Tenant) { t.Tiller.Image = "registry.example/Tiller" }, []string{
			`tiller-image: "registry.example/Tiller" is not an image's name, such as registry.example.com/tiller:v2.17.0`}},
		{"an image with a space", func(t *Tenant) { t.Tiller.Image = "tiller :v1" }, []string{`tiller-image: "tiller :v1" is not an image's name, such as registry.example.com/tiller:v2.17.0`}},
		{"an image with all that it can have", func(t *Tenant) {
			t.Tiller.Image = "Registry.Example-1:5000/a/b__c/d-e.f:V1_2@sha256:" + strings.Repeat("0", 64)
		}, nil},
		{"resources without requests or limits", func(t *Tenant) {
			t.Tiller.Resources = map[string]string{"cpu": "1", "wishes.cpu": "1", "limits.": "1"}
		}, []string{
			`resources: "cpu" is not requests.NAME or limits.NAME, such as requests.memory`,
			`resources: "limits." is not requests.NAME or limits.NAME, such as requests.memory`,
			`resources: "wishes.cpu" is not requests.NAME or limits.NAME, such as requests.memory`}},
		{"a node selector that is no label", func(t *Tenant) { t.Tiller.NodeSelector = map[string]string{"disk": "a b"} }, []string{
			`node-selector: disk=a b is not a label: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`}},
		{"a pull secret that is no name", func(t *Tenant) { t.Tiller.ImagePullSecrets = []string{"My Secret"} }, []string{`image-pull-secret: "My Secret" is not a Secret's name`}},
		{"several at once", func(t *Tenant) {
			t.Engine, t.Namespaces, t.Members = "warp", []string{"A", "b", "b"}, Members{User(" ")}
		}, []string{
			`engine: "warp" is not one of tiller, impersonation, both`,
			`namespaces: "A"` + notNamespace,
			`namespaces: duplicate namespace "b"`,
			"user: an empty name"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tenant := Tenant{Name: "team-a", Namespaces: []string{"a", "b"}}.WithDefaults()
			test.change(&tenant)
			if diff := cmp.Diff(test.want, lines(tenant.Validate())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// The longest name must leave room for every suffix of a home namespace.
func TestLongestNameFits(t *testing.T) {
	for _, engine := range []Engine{EngineTiller, EngineImpersonation, EngineBoth} {
		home := engine.ConventionalHome(strings.Repeat("a", maxName))
		if err := checkNamespace("home", home); err != nil {
			t.Errorf("%s: %v", engine, err)
		}
	}
}

func TestWithDefaults(t *testing.T) {
	for _, test := range []struct {
		name        string
		given, want Tenant
	}{
		{"nothing is said", Tenant{Name: "t"}, Tenant{Name: "t", Engine: EngineTiller, Role: "admin",
			Tiller: Tiller{Storage: StorageSecret, HistoryMax: new(20), Replicas: new(1)}}},
		{"all namespaces", Tenant{Name: "t", AllNamespaces: true}, Tenant{Name: "t", AllNamespaces: true, Engine: EngineTiller, Role: "cluster-admin",
			Tiller: Tiller{Storage: StorageSecret, HistoryMax: new(20), Replicas: new(1)}}},
		{"everything is said, zeros too", Tenant{Name: "t", Engine: EngineTiller, Role: "edit", Tiller: Tiller{Storage: StorageConfigMap, HistoryMax: new(0), Replicas: new(3)}},
			Tenant{Name: "t", Engine: EngineTiller, Role: "edit", Tiller: Tiller{Storage: StorageConfigMap, HistoryMax: new(0), Replicas: new(3)}}},
		{"impersonation has no Tiller", Tenant{Name: "t", Engine: EngineImpersonation}, Tenant{Name: "t", Engine: EngineImpersonation, Role: "admin"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.given.WithDefaults()
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(got, got.WithDefaults()); diff != "" {
				t.Errorf("a second time changes it:\n%s", diff)
			}
		})
	}
}

func TestHome(t *testing.T) {
	for _, test := range []struct {
		tenant        Tenant
		home, account string
	}{
		{Tenant{Name: "t", Engine: EngineTiller}, "t-tiller", "tiller"},
		{Tenant{Name: "t", Engine: EngineImpersonation}, "t-helm", "helm"},
		{Tenant{Name: "t", Engine: EngineBoth}, "t-tiller", "tiller,helm"},
		{Tenant{Name: "t", Engine: EngineTiller, HomeNamespace: "kube-system"}, "kube-system", "tiller"},
	} {
		if got := test.tenant.Home(); got != test.home {
			t.Errorf("home of %+v: got %s, want %s", test.tenant, got, test.home)
		}
		if got := strings.Join(test.tenant.Engine.DeployerAccounts(), ","); got != test.account {
			t.Errorf("account of %+v: got %s, want %s", test.tenant, got, test.account)
		}
	}
}

// fullTenant says everything that can be said.
func fullTenant() Tenant {
	return Tenant{
		Name: "team-a", Namespaces: []string{"a", "b"}, HomeNamespace: "team-a-home", Role: "edit", Engine: EngineTiller,
		Tiller: Tiller{
			Image: "registry.example/tiller", Version: "v2.17.0", Storage: StorageConfigMap, HistoryMax: new(0), Replicas: new(2),
			Resources:    map[string]string{"limits.memory": "1Gi"},
			NodeSelector: map[string]string{"disk": "ssd"}, ImagePullSecrets: []string{"pull"},
		},
		Rails: fullRails(),
	}
}

// fullRails says everything that can be said of guard rails.
func fullRails() Rails {
	return Rails{
		PodSecurity: PodSecurityRestricted, Guard: GuardWarn,
		Quota:   map[string]string{"requests.cpu": "20", "services.nodeports": "0"},
		Limits:  &Limits{Default: map[string]string{"cpu": "500m"}, DefaultRequest: map[string]string{"cpu": "50m"}, Max: map[string]string{"memory": "8Gi"}},
		Network: NetworkIsolated, AllowFrom: []string{"10.0.0.0/24"}, NetworkExcept: []string{"10.1.0.0/16"},
		Hosts: []string{"*.team-a.example.com"}, PriorityClasses: []string{"batch"}, Labels: map[string]string{"cost-center": "42"}, Contact: "#team-platform",
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, tenant := range []Tenant{
		{Name: "team-a", Namespaces: []string{"a"}},
		{Name: "ops", AllNamespaces: true, HomeNamespace: "kube-system"},
		Tenant{Name: "team-a", Namespaces: []string{"a"}}.WithDefaults(),
		fullTenant(),
		// Names that YAML would take for something else.
		{Name: "1e3", Namespaces: []string{"null", "true", "0x10", "12"}, Role: "yes"},
	} {
		text, err := tenant.Record()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseRecord(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		tenant.Rails = tenant.Rails.modesOr(RailsOfBefore())
		if diff := cmp.Diff(tenant, got); diff != "" {
			t.Errorf("-want +got:\n%s\n%s", diff, text)
		}
	}
}

func TestRecordText(t *testing.T) {
	tenant := fullTenant()
	tenant.Members = Members{User("alice")}
	got, err := tenant.Record()
	if err != nil {
		t.Fatal(err)
	}
	// The text is what clusters hold: older ones must stay readable.
	want := `name: team-a
namespaces: [a, b]
homeNamespace: team-a-home
role: edit
engine: tiller
tiller:
  image: registry.example/tiller
  version: v2.17.0
  storage: configmap
  historyMax: 0
  replicas: 2
  resources:
    limits.memory: 1Gi
  nodeSelector:
    disk: ssd
  imagePullSecrets: [pull]
podSecurity: restricted
guard: warn
quota:
  requests.cpu: "20"
  services.nodeports: "0"
limits:
  default:
    cpu: 500m
  defaultRequest:
    cpu: 50m
  max:
    memory: 8Gi
network: isolated
allowFrom: [10.0.0.0/24]
networkExcept: [10.1.0.0/16]
hosts: ['*.team-a.example.com']
priorityClasses: [batch]
labels:
  cost-center: "42"
contact: '#team-platform'
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func manyNamespaces(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i)
	}
	return strings.Join(names, ",")
}

// TestLargestRecord: a tenant that may be made has a record that can be read.
func TestLargestRecord(t *testing.T) {
	tenant := Tenant{Name: "a"}
	for i := range maxNamespaces {
		tenant.Namespaces = append(tenant.Namespaces, fmt.Sprintf("%s-%05d", strings.Repeat("n", 57), i))
	}
	if problems := tenant.WithDefaults().Validate(); len(problems) > 0 {
		t.Fatal(problems[0])
	}
	text, err := tenant.Record()
	if err == nil {
		_, err = ParseRecord(text)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestParseRecordIsStrict(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"an unknown field", "name: a\nnamepsaces: [b]\n", `tenant.yaml: line 2: unknown field "namepsaces" (a newer helm-tenant may have written it)`},
		{"an unknown field of tiller", "name: a\ntiller:\n  image: x\n  tls: true\n", `tenant.yaml: line 4: unknown field "tls" (a newer helm-tenant may have written it)`},
		{"a field twice", "name: a\nname: b\n", `tenant.yaml: line 2: duplicate field "name"`},
		{"a list where text is", "name: [a]\n", "tenant.yaml: line 1: a list where text is wanted"},
		{"text where a list is", "namespaces: a b\n", `tenant.yaml: line 1: "a b" where a list is wanted`},
		{"text where a number is", "tiller:\n  replicas: many\n", `tenant.yaml: line 2: "many" where a whole number is wanted`},
		{"text where true is", "allNamespaces: maybe\n", `tenant.yaml: line 1: "maybe" where true or false is wanted`},
		{"text where a map is", "tiller: small\n", `tenant.yaml: line 1: "small" where a map of fields is wanted`},
		{"a key of a map twice", "tiller:\n  nodeSelector: {a: b, a: c}\n", `tenant.yaml: line 2: key "a" already set in map`},
		{"two at once", "nome: a\ntillr: {}\n", `tenant.yaml: line 1: unknown field "nome"; line 2: unknown field "tillr" (a newer helm-tenant may have written it)`},
		{"no YAML", "name: [a\n", "tenant.yaml: line 1: did not find expected ',' or ']'"},
		{"a list", "- name: a\n", "tenant.yaml: line 1: a list where a map of fields is wanted"},
		{"no name", "{}", "tenant.yaml: a tenant's name is missing"},
		{"no namespace", "name: a\n", "tenant.yaml: namespaces: at least one is needed"},
		{"a namespace that is none", "name: a\nnamespaces: ['x; y']\n", `tenant.yaml: namespaces: "x; y" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`},
		{"a namespace twice", "name: a\nnamespaces: [b, b]\n", `tenant.yaml: namespaces: duplicate namespace "b"`},
		{"too many namespaces", "name: a\nnamespaces: [" + manyNamespaces(5001) + "]\n", "tenant.yaml: namespaces: there are 5001, and a tenant has at most 5000"},
		{"as much as an object holds", "name: a\nnamespaces: [" + manyNamespaces(120_000) + "]\n", "tenant.yaml has more than 524288 bytes"},
		{"plain text", "hello", `tenant.yaml: line 1: "hello" where a map of fields is wanted`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseRecord(test.text)
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What ParseRecord takes must come out of Record as it was.
func FuzzParseRecord(f *testing.F) {
	full, err := fullTenant().Record()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", full, "name: a\nnamespaces: [b]\n", "name: [a\n", "{}", "name: 1\n", "tiller: {historyMax: 0}", "name: &a x\nrole: *a\n", "--- \n...\n",
		"name: a\nnamespaces: [b]\nlimits:\n  default:\n", "name: a\nnamespaces: [b]\nquota: {}\nhosts: []\nlimits: {}\n",
		"name: a\nnamespaceSelector: {}\n", "name: a\nnamespaces: [b]\nfrozen: {}\n", "name: a\nnamespaces: [b]\nmigration: {}\n", "name: a\nnamespaces: [b]\ntiller: {resources: {}}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tenant, err := ParseRecord(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			return
		}
		second, err := tenant.Record()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseRecord(second)
		if err != nil {
			t.Fatalf("%v\n%s", err, second)
		}
		tenant.Members = Members{} // not in a record
		if diff := cmp.Diff(tenant, got, equateEmpty); diff != "" {
			t.Errorf("-first +second:\n%s", diff)
		}
	})
}
