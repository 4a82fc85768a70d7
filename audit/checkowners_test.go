package audit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// ownedScene returns a tenant with an owner, of which nothing is wrong.
func ownedScene(engine tenant.Engine) *Snapshot {
	tested := team("a", engine)
	tested.Owners = tenant.Members{User("dana")}
	s := sceneOf(tested, team("b", tenant.EngineTiller))
	if tested.HasReaders() {
		for _, b := range rbac.ReaderBindings(tested, "a-1") {
			s.addRBAC(b)
		}
	}
	s.Records[0].Tenant.Owners = nil
	return s
}

// TestCheckOwners: the rights of owners are no finding, and what goes beyond them is.
func TestCheckOwners(t *testing.T) {
	ownersBinding := func(s *Snapshot, change func(*Binding)) {
		for i := range s.Bindings {
			if s.Bindings[i].Name == rbac.OwnerName {
				change(&s.Bindings[i])
			}
		}
	}
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		want  []string
	}{
		{"nothing", func(*Snapshot) {}, nil},
		{"an owner who is a member", func(s *Snapshot) {
			for i := range s.Bindings {
				if s.Bindings[i].Namespace == "a-tiller" && isMemberBinding(&s.Bindings[i]) {
					s.Bindings[i].Subjects = []Subject{User("dana")}
				}
			}
		}, nil},
		{"no policy", func(s *Snapshot) { s.OwnersAdmission = AdmissionMissing }, []string{"HT039 high every owner"}},
		{"a changed policy", func(s *Snapshot) { s.OwnersAdmission = AdmissionChanged }, []string{"HT039 high every owner"}},
		{"an API server without policies", func(s *Snapshot) { s.OwnersAdmission = AdmissionUnserved }, []string{"HT039 high every owner"}},
		{"no policy, and no owner left", func(s *Snapshot) {
			s.OwnersAdmission = AdmissionMissing
			ownersBinding(s, func(b *Binding) { b.Subjects = nil })
		}, nil},
		{"everybody owns it", func(s *Snapshot) {
			ownersBinding(s, func(b *Binding) { b.Subjects = append(b.Subjects, Group("system:authenticated")) })
		}, []string{"HT031 critical group system:authenticated"}},
		{"a node, and who holds a bootstrap token, own it", func(s *Snapshot) {
			ownersBinding(s, func(b *Binding) {
				b.Subjects = append(b.Subjects, User("system:node:n1"), Group("system:bootstrappers:x"))
			})
		}, []string{"HT031 high group system:bootstrappers:x", "HT031 high user system:node:n1"}},
		{"all service accounts of a namespace own it", func(s *Snapshot) {
			ownersBinding(s, func(b *Binding) { b.Subjects = append(b.Subjects, Group("system:serviceaccounts:ci")) })
		}, []string{"HT031 high group system:serviceaccounts:ci"}},
		{"an owner who reaches the Tiller", func(s *Snapshot) {
			s.give("a-tiller", "more", User("dana"), rule("", "pods/exec", "create"))
		}, []string{"HT012 high user dana"}},
		{"the rights of owners by another binding", func(s *Snapshot) {
			s.Bindings = append(s.Bindings, Binding{Namespace: "a-tiller", Name: "kept", RoleKind: "Role", RoleName: rbac.OwnerName, Subjects: []Subject{User("zoe")}})
		}, []string{"HT017 high user zoe"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := ownedScene(tenant.EngineTiller)
			test.plant(s)
			compareFindings(t, s, false, test.want)
		})
	}
}

// TestOwnersReach: an owner can become a member, which is asked for and no finding. No label
// keeps the deployer's pods from their nodes here.
func TestOwnersReach(t *testing.T) {
	s := ownedScene(tenant.EngineTiller)
	if got := reachedBy(s, User("dana")); !slices.Equal(got, []string{"a-tiller bind", "b-tiller take-node through service account a-tiller:tiller"}) {
		t.Errorf("dana reaches %q", got)
	}
	if ways := NewReach(s).Ways("a-tiller", User("dana")); len(ways) != 1 {
		t.Errorf("the ways of dana are %v", ways)
	}
}

// TestOwnersFile: members are compared with the file unless the owners decide about them.
func TestOwnersFile(t *testing.T) {
	for _, test := range []struct {
		from tenant.MembersFrom
		want []string
	}{
		{tenant.MembersFromFile, []string{"user bob is a member in the cluster, and not in the file", "user dana is an owner in the cluster, and not in the file"}},
		{tenant.MembersFromOwners, []string{"user dana is an owner in the cluster, and not in the file"}},
	} {
		s := ownedScene(tenant.EngineTiller)
		for i := range s.Bindings {
			if s.Bindings[i].Namespace == "a-tiller" && isMemberBinding(&s.Bindings[i]) {
				s.Bindings[i].Subjects = []Subject{User("bob")}
			}
		}
		file := team("a", tenant.EngineTiller).WithDefaults()
		file.Rails, file.MembersFrom, s.Records[0].Tenant.MembersFrom = s.Records[0].Tenant.Rails, test.from, test.from
		other := team("b", tenant.EngineTiller).WithDefaults()
		other.Rails = s.Records[1].Tenant.Rails
		s.File = []tenant.Located{{Tenant: file, File: "f", Line: 1}, {Tenant: other, File: "f", Line: 9}}
		var got []string
		for _, f := range found(s, idFile) {
			got = append(got, f.Text)
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", test.from, diff)
		}
	}
}
