package cli

import (
	"strings"
	"testing"

	"helm-tenant/admin"
	"helm-tenant/audit"
	"helm-tenant/tenant"
)

// TestWithLists: an empty list is [], one that is not known null, and none is left out.
func TestWithLists(t *testing.T) {
	type inner struct {
		Names []string `json:"names"`
	}
	type outer struct {
		inner
		Inside  inner          `json:"inside"`
		Pointer *inner         `json:"pointer"`
		None    *inner         `json:"none"`
		Items   []inner        `json:"items"`
		Unknown []string       `json:"unknown" nil:"unknown"`
		Known   []string       `json:"known" nil:"unknown"`
		Bytes   []byte         `json:"bytes"`
		Any     map[string]any `json:"any"`
	}
	var text strings.Builder
	if err := printObject(&text, "json", outer{Pointer: &inner{}, Items: []inner{{}}, Known: []string{}}); err != nil {
		t.Fatal(err)
	}
	want := `{"names":[],"inside":{"names":[]},"pointer":{"names":[]},"none":null,"items":[{"names":[]}],"unknown":null,"known":[],"bytes":null,"any":null}`
	if got := strings.Join(strings.Fields(text.String()), ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestListsOfOutputs: what our verbs print has no null and leaves no list out.
func TestListsOfOutputs(t *testing.T) {
	for name, test := range map[string]struct {
		value any
		lists []string
	}{
		"tenant": {tenantObject(tenant.Tenant{Name: "t"}), []string{"namespaces", "users", "groups", "serviceAccounts", "temporary", "imagePullSecrets",
			"allowFrom", "networkExcept", "hosts", "priorityClasses"}},
		"membership": {membershipOf(admin.Membership{}, false), []string{"users", "stillIn", "temporary", "unseen", "notes"}},
		"audit":      {&audit.Report{Findings: []audit.Finding{{}}, Deployers: []audit.Deployer{{}}}, []string{"ignored", "gone", "unseen", "clusterWide", "administrators", "groups", "tenants", "chains", "namespaces", "members", "access", "ownHome", "escalates", "commands"}},
		"diff":       {diffTenant{}, []string{"changes", "notes"}},
		"destroy":    {destructionOf(&admin.Removal{Prepared: &admin.Prepared{}}, &destroyOptions{}, nil, nil), []string{"releases", "changes", "backups", "left", "notes"}},
		"change":     {diffChange{}, []string{"fields"}},
		"whoami":     {whoami{Namespaces: known([]string(nil), true)}, []string{"namespaces"}},
	} {
		var text strings.Builder
		if err := printObject(&text, "json", test.value); err != nil {
			t.Fatal(err)
		}
		for _, list := range test.lists {
			if !strings.Contains(text.String(), `"`+list+`": []`) {
				t.Errorf("%s: %s is not []:\n%s", name, list, text.String())
			}
		}
	}
}

// TestUnknownLists: what a caller may not read is null in the output of our verbs, and not
// empty.
func TestUnknownLists(t *testing.T) {
	for name, test := range map[string]struct {
		value any
		lists []string
	}{
		"description for an owner": {descriptionObject(&admin.Description{Unseen: []string{"owners", "readers"}}), []string{"owners", "readers", "drift", "roleGaps"}},
		"namespace":                {admin.NamespaceOf{}, []string{"bindings", "quota"}},
		"membership for an owner":  {membershipOf(admin.Membership{Unseen: []tenant.Relation{tenant.RelationOwner}}, false), []string{"owners"}},
		"membership of a grant":    {membershipOf(admin.Membership{Unread: []tenant.Relation{tenant.RelationReader, tenant.RelationOwner}}, false), []string{"readers", "owners"}},
		"membership, no audit":     {membership{}, []string{"stillIn"}},
		"whoami of a stranger":     {whoami{Namespaces: known([]string{}, false)}, []string{"namespaces"}},
	} {
		var text strings.Builder
		if err := printObject(&text, "json", test.value); err != nil {
			t.Fatal(err)
		}
		for _, list := range test.lists {
			if !strings.Contains(text.String(), `"`+list+`": null`) {
				t.Errorf("%s: %s is not null:\n%s", name, list, text.String())
			}
		}
	}
}
