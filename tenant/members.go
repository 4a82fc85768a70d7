package tenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Members are the subjects that may use a tenant: users first, then groups, then service
// accounts. Files and machine-readable output have a list of names for each kind.
type Members []Subject

type memberLists struct {
	Users  []string `yaml:"users,flow,omitempty" json:"users"`
	Groups []string `yaml:"groups,flow,omitempty" json:"groups"`
	// ServiceAccounts are written NAMESPACE:NAME.
	ServiceAccounts []string `yaml:"serviceAccounts,flow,omitempty" json:"serviceAccounts"`
}

// memberKinds are the kinds of members in their order, with the field of memberLists for
// each.
var memberKinds = []struct {
	kind, field string
	list        func(*memberLists) *[]string
}{
	{rbacv1.UserKind, "users", func(l *memberLists) *[]string { return &l.Users }},
	{rbacv1.GroupKind, "groups", func(l *memberLists) *[]string { return &l.Groups }},
	{rbacv1.ServiceAccountKind, "serviceAccounts", func(l *memberLists) *[]string { return &l.ServiceAccounts }},
}

func (l *memberLists) members() Members {
	var m Members
	for _, k := range memberKinds {
		for _, text := range *k.list(l) {
			m = append(m, ParseSubject(k.kind, text))
		}
	}
	return m
}

func (m Members) lists() memberLists {
	var l memberLists
	for _, k := range memberKinds {
		list := k.list(&l)
		*list = []string{}
		for _, s := range m.OfKind(k.kind) {
			*list = append(*list, s.Text())
		}
	}
	return l
}

func (m Members) fileForm() any { return memberLists{} }

// MarshalYAML is for gopkg.in/yaml.v2.
func (m Members) MarshalYAML() (any, error) { return m.lists(), nil }

// UnmarshalYAML is for gopkg.in/yaml.v2.
func (m *Members) UnmarshalYAML(unmarshal func(any) error) error {
	var l memberLists
	err := unmarshal(&l)
	*m = l.members()
	return err
}

// MarshalJSON is for encoding/json.
func (m Members) MarshalJSON() ([]byte, error) { return json.Marshal(m.lists()) }

// UnmarshalJSON is for encoding/json.
func (m *Members) UnmarshalJSON(text []byte) error {
	var l memberLists
	err := json.Unmarshal(text, &l)
	*m = l.members()
	return err
}

// IsZero reports whether there are no members.
func (m Members) IsZero() bool { return len(m) == 0 }

// OfKind returns the members of one kind.
func (m Members) OfKind(kind string) Members {
	return slices.DeleteFunc(slices.Clone(m), func(s Subject) bool { return s.Kind != kind })
}

// Validate returns everything that is wrong with the members.
func (m Members) Validate() []error { return m.validate(peopleFields[RelationMember]) }

func (m Members) validate(field string) []error {
	var problems []error
	for _, k := range memberKinds {
		for i, s := range m.OfKind(k.kind) {
			if err := s.validate(); err != nil {
				problems = append(problems, inField(fmt.Errorf("%s: %w", s.Flag(), err), field, k.field, i))
			}
		}
	}
	return problems
}

func (s Subject) validate() error {
	if strings.TrimSpace(s.Name) == "" {
		return errors.New("an empty name")
	}
	if account, found := strings.CutPrefix(s.Name, AccountPrefix); found && s.Kind == rbacv1.UserKind {
		return fmt.Errorf("%q is a service account: give it as --service-account %s", s.Name, account)
	}
	if account, found := strings.CutPrefix(s.Text(), AccountPrefix); found && s.Kind == rbacv1.ServiceAccountKind && strings.Count(account, ":") == 1 {
		return fmt.Errorf("%q is the user name of a service account: give it as %s", s.Text(), account)
	}
	if s.Kind == rbacv1.ServiceAccountKind && (len(validation.IsDNS1123Label(s.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(s.Name)) > 0) {
		return fmt.Errorf("%q is not NAMESPACE:NAME", s.Text())
	}
	return nil
}

// Open returns the members that stand for more than themselves; see Subject.IsOpen.
func (m Members) Open() Members {
	return slices.DeleteFunc(slices.Clone(m), func(s Subject) bool { return !s.IsOpen() })
}

// Subjects returns the members as subjects of a RoleBinding.
func (m Members) Subjects() []rbacv1.Subject {
	var subjects []rbacv1.Subject
	for _, s := range m {
		subjects = append(subjects, s.object())
	}
	return subjects
}

// MembersOf converts the subjects of a RoleBinding in that namespace (SubjectOf).
// Subjects that the API server ignores are left out.
func MembersOf(subjects []rbacv1.Subject, namespace string) Members {
	return Members(nil).With(SubjectsOf(subjects, namespace))
}

// With returns the union of both, in which old members come first within each kind.
func (m Members) With(more Members) Members {
	var out Members
	seen := map[Subject]bool{}
	for _, k := range memberKinds {
		for _, s := range append(m.OfKind(k.kind), more.OfKind(k.kind)...) {
			if !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return out
}

// Without returns the members except the removed ones.
func (m Members) Without(removed Members) Members {
	out := map[Subject]bool{}
	for _, s := range removed {
		out[s] = true
	}
	return slices.DeleteFunc(slices.Clone(m), func(s Subject) bool { return out[s] })
}

// Names returns readable names: "user alice", "group devs", "service account
// ci:deployer".
func (m Members) Names() []string {
	var names []string
	for _, s := range m {
		names = append(names, s.String())
	}
	return names
}
