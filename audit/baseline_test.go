package audit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

// reportOf returns the JSON of an audit, as cli writes it.
func reportOf(t *testing.T, s *Snapshot) string {
	t.Helper()
	text, err := json.Marshal(struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		*Report
	}{tenant.APIVersion, reportKind, Audit(s, Options{})})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBaseline(t *testing.T) {
	read := rule("", "secrets", "get")
	before := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineTiller))
	before.give("a-tiller", "x", User("zoe"), read)
	before.give("a-1", "y", User("yan"), rule("", "pods", "get"))
	text := reportOf(t, before)
	for _, test := range []struct {
		name     string
		change   func(*Snapshot)
		o        Options
		new      []string
		removed  []string
		worst    Severity // at least low
		baseline string
	}{
		{"the same", func(s *Snapshot) {
			s.give("a-tiller", "x", User("zoe"), read)
			s.give("a-1", "y", User("yan"), rule("", "pods", "get"))
		}, Options{}, nil, nil, "", text},
		{"by a report without fingerprints", func(s *Snapshot) {
			s.give("a-tiller", "x", User("zoe"), read)
			s.give("a-1", "y", User("yan"), rule("", "pods", "get"))
		}, Options{}, nil, nil, "", strings.ReplaceAll(text, `"fingerprint"`, `"nothing"`)},
		{"somebody else", func(s *Snapshot) {
			s.give("a-tiller", "x", Group("zoe"), read)
			s.give("a-1", "y", User("yan"), rule("", "pods", "get"))
		}, Options{}, []string{"HT013 group zoe"}, []string{"HT013 user zoe"}, High, text},
		{"worse than it was", func(s *Snapshot) {
			s.give("a-tiller", "x", User("zoe"), read)
			s.give("a-1", "y", User("yan"), rule("", "pods", "create"))
		}, Options{}, []string{"HT040 user yan"}, nil, Medium, text},
		{"gone", func(_ *Snapshot) {}, Options{}, nil, []string{"HT013 user zoe", "HT040 user yan"}, "", text},
		{"gone, of a tenant that nobody asked for", func(_ *Snapshot) {}, Options{Tenants: []string{"b"}}, nil, nil, "", text},
		{"what is ignored is not gone", func(s *Snapshot) {
			s.give("a-tiller", "x", User("zoe"), read)
			s.give("a-1", "y", User("yan"), rule("", "pods", "get"))
		}, Options{Ignore: []Ignore{{ID: idSecrets, Reason: "x"}}}, nil, nil, "", text},
		{"what is not seen is not gone", func(s *Snapshot) {
			s.Unseen = []Unseen{{Resource: "pods", What: "pods in all namespaces"}}
		}, Options{}, nil, nil, "", text},
	} {
		t.Run(test.name, func(t *testing.T) {
			baseline, err := ParseBaseline("before.json", strings.NewReader(test.baseline))
			if err != nil {
				t.Fatal(err)
			}
			s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineTiller))
			test.change(s)
			test.o.Baseline = baseline
			r := Audit(s, test.o)
			var fresh, removed []string
			for _, f := range r.Findings {
				if f.New {
					fresh = append(fresh, f.ID+" "+f.Subject)
				}
			}
			for _, f := range r.Gone {
				removed = append(removed, f.ID+" "+f.Subject)
			}
			if diff := cmp.Diff(test.new, fresh); diff != "" {
				t.Errorf("new, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.removed, removed); diff != "" {
				t.Errorf("gone, -want +got:\n%s", diff)
			}
			if worst := r.Worst(Low); worst != test.worst {
				t.Errorf("the worst that is new is %q", worst)
			}
		})
	}
}

func TestBaselinesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		``:                         `before.json: this is not what "helm tenant audit -o json" writes: unexpected end of JSON input`,
		`[]`:                       `before.json: this is not what "helm tenant audit -o json" writes: `,
		`{}`:                       `its kind is ""`,
		`{"kind":"AuditReport"}`:   `not "AuditReport" of helm-tenant/v1`,
		`{"kind":"Tenants","x":1}`: `its kind is "Tenants"`,
		`{"apiVersion":"helm-tenant/v1","kind":"AuditReport","findings":[{"id":"HT001","severity":"worst"}]}`: `finding 1 has the severity "worst"`,
	} {
		if _, err := ParseBaseline("before.json", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
