package helm

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"helm-tenant/tenant"
)

// TestEveryCommandIsJudged: every command of helm, including those of newer versions, must be
// listed as one that changes something or one that does not.
func TestEveryCommandIsJudged(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(helm3Commands)) {
		remote := helm3Commands[name] != Local
		if writes, reads := slices.Contains(writers, name), slices.Contains(readers, name); remote != (writes != reads) {
			t.Errorf("%s: writes %t, reads %t", name, writes, reads)
		}
	}
}

// TestReader: what a reader of a tenant may have helm do.
func TestReader(t *testing.T) {
	reader := tenant.Resolved{Name: "team-c", Home: "team-c-helm", Engine: tenant.EngineImpersonation, Namespaces: []string{"c"}, Reader: true, Rule: tenant.RuleExtension}
	for _, test := range []struct {
		typed   string
		refused bool
	}{
		{"list", false}, {"ls -q", false}, {"get values r", false}, {"history r", false}, {"status r", false}, {"template c", false},
		{"diff upgrade r c", false}, // a plugin's command: only the API server can refuse writes
		{"install r c", true}, {"upgrade r c", true}, {"upgrade --install r c", true}, {"uninstall r", true}, {"delete r", true}, {"del r", true}, {"un r", true},
		{"rollback r 1", true}, {"test r", true},
		{"install r c --dry-run", false}, {"install --dry-run=client r c", false}, {"install --dry-run=server r c", false}, {"install --dry-run=true r c", false},
		{"install --dry-run=none r c", true}, {"install --dry-run=false r c", true}, {"install --dry-run=maybe r c", true},
		{"install --dry-run r c --dry-run=none", true}, {"install --dry-run=none r c --dry-run", false},
		{"install r c --description --dry-run", true}, {"install r c -- --dry-run", true}, {"install r c -f --dry-run", true},
		{"upgrade -i r c --dry-run", false}, {"uninstall r --dry-run", false}, {"uninstall r --description --dry-run", true}, {"uninstall r --timeout 5m --dry-run", false},
		{"rollback r 1 --dry-run", false}, {"rollback r 1 --dry-run=server", false}, {"rollback --timeout --dry-run r", true},
		{"test r --dry-run", true}, {"test r --help", false}, {"install -h", false}, {"install --help=false r c", true},
		{"install r c --unknown-flag x --dry-run", true}, // it is unknown whether the next word is its value
	} {
		for _, major := range []int{3, 4} {
			line, err := ParseLine(strings.Fields(test.typed))
			if err != nil {
				t.Fatal(err)
			}
			d, err := Call{Line: line, Env: environOf()}.Decide(Client{Major: major}, Place{Namespace: "c"}, reader)
			if _, ok := errors.AsType[*ReaderError](err); ok != test.refused || err != nil && !ok {
				t.Errorf("Helm %d, %s: %v", major, test.typed, err)
				continue
			}
			if err == nil && !slices.Contains(d.Invocation(nil, "").Args, "--kube-as-user=system:serviceaccount:team-c-helm:helm-reader") {
				t.Errorf("Helm %d, %s: acts as %q", major, test.typed, d.Invocation(nil, "").Args)
			}
		}
	}
	line, err := ParseLine([]string{"list"})
	if err != nil {
		t.Fatal(err)
	}
	reader.Engine = tenant.EngineTiller
	if _, err := (Call{Line: line, Env: environOf()}).Decide(Client{Major: 2}, Place{}, reader); err == nil || !strings.Contains(err.Error(), "can't tell readers from writers") {
		t.Errorf("Helm 2: %v", err)
	}
}
