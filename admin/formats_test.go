package admin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// format returns a file of tenant/testdata/formats.
func format(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "tenant", "testdata", "formats", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// released returns the objects of a home as a released version left them: the record, and
// the bindings of members and readers with their grants for a time.
func released(t *testing.T, recordFile string) (tenant.Tenant, world) {
	t.Helper()
	text := format(t, recordFile)
	team, err := tenant.ReadRecord(text)
	if err != nil {
		t.Fatal(err)
	}
	team = team.WithDefaults()
	record := recordIn(team.Home(), text, team.Name)
	record.Labels = rbac.Labels(team.Name)
	objects := []runtime.Object{clusterRole("view", "get", "list"), record}
	bind := func(name, terms string, subjects ...rbacv1.Subject) {
		b := &rbacv1.RoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
			ObjectMeta: metav1.ObjectMeta{Namespace: team.Home(), Name: name, Labels: rbac.Labels(team.Name), Annotations: map[string]string{tenant.AnnotationTerms: terms}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}, Subjects: subjects}
		objects = append(objects, b)
	}
	bind(rbac.MemberName, format(t, "terms-1-member.json"), user("alice"), user("oncall"), account("ci", "deployer"))
	if team.CheckReaders() == nil {
		bind(rbac.ReaderName, format(t, "terms-1-reader.json"), user("auditor"))
	}
	objects = append(objects, namespace(team.Home(), tenant.LabelTenant, team.Name, tenant.LabelHome, "true"))
	return team, empty().with(objects...)
}

// TestFormats grants and revokes in tenants whose records and bindings a released version
// wrote. Neither writes the record: its freezes, rails and engines, and the fields of a newer
// version, stay unchanged.
func TestFormats(t *testing.T) {
	files, err := filepath.Glob("../tenant/testdata/formats/record-*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			team, w := released(t, name)
			server, c := w.start(t)
			found, err := Find(t.Context(), c, team.Name, "")
			if err != nil || found.Home() != team.Home() || (found.Frozen != nil) != strings.Contains(name, "frozen") {
				t.Fatalf("found %+v, %v", found, err)
			}
			subjects := tenant.Members{tenant.User("zoe")}
			done, err := Grant(t.Context(), c, found, GrantRequest{Who: subjects, As: tenant.RelationMember, For: time.Hour, Reason: "INC-1"}, false)
			if err != nil || len(done.Changed[tenant.RelationMember]) != 1 {
				t.Fatalf("grant: %+v, %v", done, err)
			}
			terms := server.Get(memberKey(team.Home())).GetAnnotations()[tenant.AnnotationTerms]
			for _, kept := range []string{`"oncall","until":"2026-12-01T18:00:00Z","reason":"INC-12"`, `"ci:deployer","until":"2026-12-01T18:00:00Z"`, `"zoe"`} {
				if !strings.Contains(terms, kept) {
					t.Errorf("after the grant %s is not in %s", kept, terms)
				}
			}
			if _, err := Grant(t.Context(), c, found, GrantRequest{Who: tenant.Members{tenant.User("oncall")}, As: tenant.RelationMember}, false); !strings.Contains(errorText(err), `user oncall is a member until 2026-12-01T18:00:00Z, "INC-12"`) {
				t.Errorf("a grant for good to somebody who is in for a time: %v", err)
			}
			removed := tenant.Members{tenant.User("zoe"), tenant.User("oncall"), tenant.User("auditor")}
			readers := team.CheckReaders() == nil
			want := map[bool]int{true: 3, false: 2}[readers]
			if done, err := Revoke(t.Context(), c, found, RevokeRequest{Who: removed}, false); err != nil || len(done.Everybody()) != want {
				t.Errorf("revoke: %+v, %v", done, err)
			}
			if readers {
				if done, err := Grant(t.Context(), c, found, GrantRequest{Who: subjects, As: tenant.RelationReader, Accepted: Accepted{RiskReadsSecrets}}, false); err != nil || len(done.Changed[tenant.RelationReader]) != 1 {
					t.Errorf("grant of a reader: %+v, %v", done, err)
				}
			}
			for _, write := range server.Writes() {
				if strings.Contains(write, "ConfigMap") {
					t.Errorf("the record was written: %s", write)
				}
			}
			record := server.Get(cluster.Key{Kind: "ConfigMap", Namespace: team.Home(), Name: tenant.RecordName})
			data, _ := record.Object["data"].(map[string]any)
			if data[tenant.RecordKey] != format(t, name) {
				t.Errorf("the record became %v", data)
			}
		})
	}
}
