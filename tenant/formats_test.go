package tenant

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
)

// format returns a file that a released version wrote; see testdata/formats/README.md.
func format(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "formats", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRecordFormats(t *testing.T) {
	rails := fullRails()
	newer := Tenant{Name: "team-a", Namespaces: []string{"a"}, Role: "admin", Engine: EngineTiller,
		Tiller:  Tiller{Storage: StorageSecret, HistoryMax: new(20), Replicas: new(1)},
		Rails:   NewRails(false),
		Unknown: []string{`line 9: unknown field "sidecar"`, `line 13: unknown field "fromTheFuture"`}}
	full := fullTenant()
	full.Engine, full.Rails = EngineBoth, RailsOfBefore()
	want := map[string]Tenant{
		"record-1-least.yaml":          {Name: "team-a", Namespaces: []string{"a"}, Role: "admin", Engine: EngineTiller, Tiller: newer.Tiller, Rails: RailsOfBefore()},
		"record-1-full.yaml":           full,
		"record-1-all-namespaces.yaml": {Name: "ops", AllNamespaces: true, HomeNamespace: "kube-system", Role: "cluster-admin", Engine: EngineImpersonation, Rails: RailsOfBefore()},
		"record-2-guard-rails.yaml":    {Name: "team-a", Namespaces: []string{"a", "b"}, Role: "admin", Engine: EngineImpersonation, Rails: rails},
		"record-3-frozen.yaml": {Name: "team-a", Namespaces: []string{"a", "b"}, Role: "admin", Engine: EngineImpersonation, Rails: NewRails(false),
			Frozen: &Freeze{Reason: "INC-12: database restored", Since: "2026-11-26T08:00:00Z", Means: FreezeByPolicy}},
		"record-3-frozen-by-role.yaml": {Name: "team-a", Namespaces: []string{"a"}, Role: "admin", Engine: EngineTiller, Tiller: newer.Tiller, Rails: NewRails(false),
			Frozen: &Freeze{Reason: "INC-12", Since: "2026-11-26T08:00:00Z", Means: FreezeByRole}},
		"record-4-owners.yaml": {Name: "team-a", Namespaces: []string{"a", "b"}, Role: "admin", Engine: EngineImpersonation, MembersFrom: MembersFromOwners, Rails: NewRails(false)},
		"record-5-flux.yaml":   {Name: "team-a", Namespaces: []string{"a", "b"}, Role: "admin", Engine: EngineImpersonation, FluxAccount: "flux", Rails: NewRails(false)},
		"record-6-selector.yaml": {Name: "team-a", Namespaces: []string{"a", "b"}, NamespaceSelector: &NamespaceSelector{MatchLabels: map[string]string{"team": "a"}}, Selected: []string{"b"},
			Role: "admin", Engine: EngineImpersonation, Rails: NewRails(false)},
		"record-6-selector-expressions.yaml": {Name: "team-a", Namespaces: []string{"a", "b"}, NamespaceSelector: &NamespaceSelector{MatchExpressions: []SelectorRequirement{{"env", "In", []string{"dev", "test"}}}}, Selected: []string{"b"},
			Role: "admin", Engine: EngineImpersonation, Rails: NewRails(false)},
		"record-newer.yaml": newer,
	}
	files, err := filepath.Glob("testdata/formats/record-*.yaml")
	if err != nil || len(files) < len(want) {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			wanted, listed := want[name]
			if !listed {
				t.Fatal("the test does not say what is read from it")
			}
			got, err := ReadRecord(format(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, got, equateEmpty); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			strict, err := ParseRecord(format(t, name))
			if unknown := len(wanted.Unknown) > 0; (err != nil) != unknown || unknown && strict.Name != "" {
				t.Errorf("ParseRecord: %+v, %v", strict, err)
			}
			text, err := got.Record()
			if (err != nil) != (len(wanted.Unknown) > 0) {
				t.Errorf("written again: %q, %v", text, err)
			}
		})
	}
}

func TestNewerRecords(t *testing.T) {
	const limit = "name: team-a\nnamespaces: [a]\n"
	for _, test := range []struct{ name, text, unknown, want string }{
		{"an unknown field", limit + "rings: {users: [dana]}\n", `line 3: unknown field "rings"`, ""},
		{"unknown fields within known ones", limit + "tiller: {tls: true}\nlimits: {min: {cpu: 1m}}\n", `line 3: unknown field "tls"; line 4: unknown field "min"`, ""},
		{"namespaces that an unknown field names", "name: team-a\nnamespacesLike: {team: a}\n", `line 2: unknown field "namespacesLike"`, ""},
		{"the version of today's form", "recordVersion: 1\n" + limit, "", ""},
		{"a later version", "recordVersion: 2\n" + limit, "", "tenant.yaml: it has the recordVersion 2, and this helm-tenant reads 1: use a newer one"},
		{"a later version of another shape", "recordVersion: 3\nname: {team: a}\n", "", "tenant.yaml: it has the recordVersion 3, and this helm-tenant reads 1: use a newer one"},
		{"an engine that is not known", limit + "engine: warp\n", "", `tenant.yaml: engine: "warp" is not one of tiller, impersonation, both`},
		{"a known field of another kind", limit + "role: [a]\nmore: 1\n", "", "tenant.yaml: line 3: a list where text is wanted"},
		{"a name that was mistyped", "nam: team-a\nnamespaces: [a]\n", "", `tenant.yaml: line 1: unknown field "nam" (a newer helm-tenant may have written it)`},
		{"a namespace that is none", "name: a\nnamespaces: ['x; y']\n", "", `tenant.yaml: namespaces: "x; y" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ReadRecord(test.text)
			if errorText(err) != test.want || strings.Join(got.Unknown, "; ") != test.unknown {
				t.Errorf("got %q, %v\nwant %q, %s", got.Unknown, err, test.unknown, test.want)
			}
			if test.want == "" && got.Name != "team-a" {
				t.Errorf("it is of %q", got.Name)
			}
		})
	}
	many, err := ReadRecord(limit + "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\n")
	if err != nil || !strings.HasSuffix(many.UnknownFields(), `"e"; and 2 more (a newer helm-tenant may have written it)`) {
		t.Errorf("%q, %v", many.UnknownFields(), err)
	}
}

func TestFileFormats(t *testing.T) {
	evening := time.Date(2026, 12, 1, 18, 0, 0, 0, time.UTC)
	for name, want := range map[string][]Tenant{
		"file-1.yaml": {
			{Name: "team-a", Namespaces: []string{"a", "b"}, Members: Members{User("alice"), Group("team-a-devs"), Account("ci", "deployer")}, Role: "admin", Engine: EngineTiller},
			{Name: "ops", AllNamespaces: true, HomeNamespace: "kube-system"},
		},
		"file-2-guard-rails.yaml": {
			{Name: "team-a", Namespaces: []string{"a"}, Engine: EngineImpersonation, Rails: Rails{PodSecurity: PodSecurityRestricted, Guard: GuardWarn, Network: NetworkOpen, Hosts: []string{"*.team-a.example.com"}}},
		},
		"file-3-people.yaml": {
			{Name: "team-a", Namespaces: []string{"a"}, Members: Members{User("alice")}, Readers: Members{Group("support"), Account("ci", "dashboard")},
				Temporary: Terms{{Subject: User("oncall"), As: RelationMember, Until: evening, Reason: "INC-12"}, {Subject: Group("auditors"), As: RelationReader, Until: evening.Add(-2 * time.Hour)}},
				Engine:    EngineImpersonation},
			{Name: "team-b", Namespaces: []string{"b"}, Engine: EngineTiller, Frozen: &Freeze{Reason: "INC-12: database restored", Since: "2026-11-26T08:00:00Z"}},
		},
		"file-4-owners.yaml": {
			{Name: "team-a", Namespaces: []string{"a"}, Owners: Members{User("dana"), Group("leads")}, MembersFrom: MembersFromOwners,
				Temporary: Terms{{Subject: User("deputy"), As: RelationOwner, Until: evening}}, Engine: EngineImpersonation},
		},
		"file-6-selector.yaml": {{Name: "team-a", Namespaces: []string{"a"}, Engine: EngineImpersonation,
			NamespaceSelector: &NamespaceSelector{MatchLabels: map[string]string{"team": "a"}, MatchExpressions: []SelectorRequirement{{"env", "In", []string{"dev", "test"}}}}}},
		"file-7-every-setting.yaml": {
			fullTenant(), // its rails are the defaults of the file
			{Name: "team-b", Namespaces: []string{"b"}, Engine: EngineImpersonation, Readers: Members{User("rita")}, Owners: Members{Account("ci", "owner")},
				Temporary: Terms{{Subject: Account("ci", "deployer"), As: RelationMember, Until: evening}}, Rails: fullRails()},
		},
		"file-5-flux.yaml": {{Name: "team-a", Namespaces: []string{"a", "b"}, Engine: EngineImpersonation, FluxAccount: "flux"}},
	} {
		located, problems := ParseFile(name, []byte(format(t, name)))
		var got []Tenant
		for _, l := range located {
			got = append(got, l.Tenant)
		}
		for i := range want {
			want[i] = want[i].WithDefaults()
		}
		if diff := cmp.Diff(want, got, equateEmpty, cmp.AllowUnexported(Term{})); diff != "" || len(problems) > 0 {
			t.Errorf("%s: %v, -want +got:\n%s", name, problems, diff)
		}
	}
}

// TestTemporaryFields: missing and mistyped fields of a temporary grant are reported; no such
// grant becomes a permanent or an expired one.
func TestTemporaryFields(t *testing.T) {
	const head = "apiVersion: helm-tenant/v1\ntenants:\n- name: a\n  namespaces: [a]\n  engine: impersonation\n  temporary:\n"
	for entry, want := range map[string]string{
		"  - user: oncall\n":                                     `f:7: tenant "a": temporary: until: it is missing: write a time such as 2026-01-31T18:00:00Z`,
		"  - user: oncall\n    until:\n":                         `f:7: tenant "a": temporary: until: it is missing: write a time such as 2026-01-31T18:00:00Z`,
		"  - user: oncall\n    for: 8h\n":                        `f:8: unknown field "for"`,
		"  - user: oncall\n    until: 8h\n":                      `f:7: tenant "a": temporary: until: "8h" is not a time such as 2026-01-31T18:00:00Z`,
		"  - user: oncall\n    until: 2026-01-31\n":              `f:7: tenant "a": temporary: until: "2026-01-31" is not a time such as 2026-01-31T18:00:00Z`,
		"  - until: 2026-12-01T18:00:00Z\n":                      `f:7: tenant "a": temporary: an entry needs exactly one of user, group and serviceAccount`,
		"  - {user: x, group: y, until: 2026-12-01T18:00:00Z}\n": `f:7: tenant "a": temporary: an entry needs exactly one of user, group and serviceAccount`,
		"  - {user: x, as: boss, until: 2026-12-01T18:00:00Z}\n": `f:7: tenant "a": temporary: as: "boss" is not one of member, reader, owner`,
	} {
		_, problems := ParseFile("f", []byte(head+entry))
		var got []string
		for _, problem := range problems {
			got = append(got, problem.Error())
		}
		if joined := strings.Join(got, "; "); joined != want {
			t.Errorf("%q:\ngot  %s\nwant %s", entry, joined, want)
		}
	}
}

func TestTermsFormats(t *testing.T) {
	evening := time.Date(2026, 12, 1, 18, 0, 0, 0, time.UTC)
	for name, want := range map[string]struct {
		as    Relation
		named Members
		terms Terms
	}{
		"terms-1-member.json": {RelationMember, Members{User("oncall"), User("alice"), Account("ci", "deployer")}, Terms{ // contractors are gone from the binding
			{Subject: User("oncall"), As: RelationMember, Until: evening, Reason: "INC-12"}, {Subject: Account("ci", "deployer"), As: RelationMember, Until: evening}}},
		"terms-1-reader.json": {RelationReader, Members{User("auditor")}, Terms{{Subject: User("auditor"), As: RelationReader, Until: evening, Reason: "yearly audit"}}},
	} {
		got, err := ParseTerms(format(t, name), want.as, want.named)
		if diff := cmp.Diff(want.terms, got, cmp.AllowUnexported(Term{})); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
}

func TestExtensionFormats(t *testing.T) {
	for name, want := range map[string]*Extension{
		"extension-1.json":        {APIVersion: APIVersion, Current: "ops", Tenants: []Known{teamA, ops}},
		"extension-2-reader.json": {APIVersion: APIVersion, Current: "team-c", Tenants: []Known{{Name: "team-c", HomeNamespace: "team-c-helm", Engine: EngineImpersonation, Namespaces: []string{"c"}, Reader: true}}},
		"extension-newer.json":    {APIVersion: APIVersion, Current: "team-a", Tenants: []Known{teamA}},
	} {
		got, err := parseExtension([]byte(format(t, name)))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
}

// What a newer helm-tenant wrote into a context's extension stays when this one writes.
func TestExtensionKeepsUnknownFields(t *testing.T) {
	newer := strings.TrimSpace(format(t, "extension-newer.json"))
	for name, text := range map[string]string{
		"YAML": "contexts:\n- context:\n    user: u\n    extensions:\n    - name: helm-tenant\n      extension: " + newer + "\n  name: main\n",
		"JSON": `{"contexts":[{"context":{"user":"u","extensions":[{"name":"helm-tenant","extension":` + newer + `}]},"name":"main"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			second := teamA
			second.Namespaces, second.Engine = []string{"c"}, EngineBoth
			after, err := withExtension([]byte(text), "main", extensionIn([]byte(text), "main").with(ops).with(second))
			if err != nil {
				t.Fatal(err)
			}
			config, err := clientcmd.Load(after)
			if err != nil {
				t.Fatalf("%v\n%s", err, after)
			}
			raw, err := json.Marshal(config.Contexts["main"].Extensions[extensionName])
			if err != nil {
				t.Fatal(err)
			}
			want := `{"apiVersion":"helm-tenant/v1","current":"team-a","region":"eu","tenants":[{"engine":"both","homeNamespace":"team-a-tiller","name":"team-a","namespaces":["c"],"owner":true},{"allNamespaces":true,"engine":"tiller","homeNamespace":"kube-system","name":"ops"}]}`
			var wanted, got any
			if err := json.Unmarshal([]byte(want), &wanted); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestMigrationFormats(t *testing.T) {
	since := time.Date(2026, 11, 23, 12, 0, 30, 0, time.UTC)
	for name, want := range map[string]Migration{
		"migration-1.json":           {Phase: PhaseConverted, Since: since, Engine: EngineTiller, Storage: StorageSecret, Replicas: 2, Converted: true, Backup: "team-a.yaml"},
		"migration-2-keep.json":      {Phase: PhaseFrozen, Since: since, Engine: EngineTiller, Storage: StorageConfigMap, Replicas: 1, Keep: 3},
		"migration-3-receiving.json": {Phase: PhaseFrozen, Since: since.AddDate(0, 0, 3), Engine: EngineTiller, Storage: StorageSecret, Replicas: 1, From: "kube-system"},
	} {
		got, err := ParseMigration(format(t, name))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
	newer, err := ParseMigration(`{"phase":"frozen","since":"2026-11-23T12:00:30Z","engine":"tiller","storage":"secret","replicas":2,"by":{"user":"dana"}}`)
	if err != nil {
		t.Fatal(err)
	}
	newer.Phase = PhaseConverted
	text, err := newer.Annotation()
	if want := `{"by":{"user":"dana"},"engine":"tiller","phase":"converted","replicas":2,"since":"2026-11-23T12:00:30Z","storage":"secret"}`; err != nil || text != want {
		t.Errorf("%s, %v\nwant %s", text, err, want)
	}
}

func TestSplitFormats(t *testing.T) {
	since := time.Date(2026, 11, 26, 12, 0, 30, 0, time.UTC)
	releases := map[string]string{"shop": "team-a", "web": "team-b"}
	for name, want := range map[string]Split{
		"split-1.json":        {Phase: PhaseVerified, Since: since, Storage: StorageConfigMap, Replicas: map[string]int32{"Deployment tiller-deploy": 2}, Releases: releases, Backup: "helm-tenant-kube-system.yaml"},
		"split-2-copies.json": {Phase: PhaseConverted, Since: since, Storage: StorageSecret, Replicas: map[string]int32{"StatefulSet tiller": 1}, Releases: releases, Copies: map[string]string{"shop": "4c9d"}, Backup: "helm-tenant-kube-system.yaml"},
		"split-3-onward.json": {Phase: PhaseFrozen, Since: since, Storage: StorageSecret, Replicas: map[string]int32{"Deployment tiller-deploy": 1}, Releases: releases, Onward: []string{"team-b"}},
	} {
		text := format(t, name)
		got, err := ParseSplit(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
		// A run of this version goes on with the state as the older one wrote it.
		if second, err := got.Text(); err != nil || second != strings.TrimSpace(text) {
			t.Errorf("%s, written again: %s, %v", name, second, err)
		}
	}
}

// TestFormatsAreRead: each fixture is named by a test of its format.
func TestFormatsAreRead(t *testing.T) {
	source, err := os.ReadFile("formats_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/formats/*-*")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if !strings.Contains(string(source), `"`+filepath.Base(file)+`"`) {
			t.Errorf("no test reads %s", file)
		}
	}
}
