package tenant

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/lists"
	"helm-tenant/visible"
)

// Term limits a grant in time: its subject, its end, and its reason.
type Term struct {
	Subject Subject
	As      Relation
	Until   time.Time
	Reason  string
	// problem is the reason why the parsed text is no term.
	problem string
}

// Terms are the grants for a time of a tenant. They are stored in an annotation of the
// binding with their subjects, so that a grant or a revoke is one write.
type Terms []Term

const (
	// AnnotationTerms is on the RoleBindings of members, readers and owners: a JSON list
	// of Term.
	AnnotationTerms = "helm-tenant/temporary"
	// maxTerms bounds the annotation in bytes; Kubernetes allows 256 KiB for all of an
	// object's annotations (k8s.io/apimachinery, TotalAnnotationSizeLimitB).
	maxTerms = 128 << 10
	// maxReason bounds a reason in bytes.
	maxReason = 256
	// maxTermSubject bounds a subject's name in a term.
	maxTermSubject = 1 << 10
)

// termForm is a term in files, annotations and machine-readable output. One of the first
// three fields is the subject.
type termForm struct {
	User           string   `yaml:"user,omitempty" json:"user,omitempty"`
	Group          string   `yaml:"group,omitempty" json:"group,omitempty"`
	ServiceAccount string   `yaml:"serviceAccount,omitempty" json:"serviceAccount,omitempty"`
	As             Relation `yaml:"as,omitempty" json:"as,omitempty"`
	// Until is a time in the format of RFC 3339.
	Until  string `yaml:"until" json:"until"`
	Reason string `yaml:"reason,omitempty" json:"reason,omitempty"`
}

func (t Term) fileForm() any { return termForm{} }

func (t Term) form() termForm {
	f := termForm{As: t.As, Until: formatTime(t.Until), Reason: t.Reason}
	if t.As == RelationMember {
		f.As = ""
	}
	switch t.Subject.Kind {
	case rbacv1.GroupKind:
		f.Group = t.Subject.Text()
	case rbacv1.ServiceAccountKind:
		f.ServiceAccount = t.Subject.Text()
	default:
		f.User = t.Subject.Text()
	}
	return f
}

// term returns the parsed term, for Validate to judge.
func (f termForm) term() Term {
	t := Term{As: cmp.Or(f.As, RelationMember), Reason: f.Reason}
	named := 0
	for kind, text := range map[string]string{rbacv1.UserKind: f.User, rbacv1.GroupKind: f.Group, rbacv1.ServiceAccountKind: f.ServiceAccount} {
		if text != "" {
			named++
			t.Subject = ParseSubject(kind, text)
		}
	}
	until, err := time.Parse(time.RFC3339, f.Until)
	t.Until = until.UTC()
	switch {
	case named != 1:
		t.Subject, t.problem = Subject{}, "an entry needs exactly one of user, group and serviceAccount"
	case f.Until == "":
		t.problem = "until: it is missing: write a time such as 2026-01-31T18:00:00Z"
	case err != nil:
		t.problem = fmt.Sprintf("until: %q is not a time such as 2026-01-31T18:00:00Z", f.Until)
	}
	return t
}

// MarshalYAML is for gopkg.in/yaml.v2.
func (t Term) MarshalYAML() (any, error) { return t.form(), nil }

// UnmarshalYAML is for gopkg.in/yaml.v2.
func (t *Term) UnmarshalYAML(unmarshal func(any) error) error {
	var f termForm
	err := unmarshal(&f)
	*t = f.term()
	return err
}

// MarshalJSON is for encoding/json.
func (t Term) MarshalJSON() ([]byte, error) { return json.Marshal(t.form()) }

// UnmarshalJSON is for encoding/json.
func (t *Term) UnmarshalJSON(text []byte) error {
	var f termForm
	err := unmarshalStrictJSON(text, &f)
	*t = f.term()
	return err
}

// formatTime formats a time for terms: RFC 3339 in UTC, in whole seconds.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (t Term) over(now time.Time) bool { return !now.Before(t.Until) }

// String returns a text like `until 2026-01-31T18:00:00Z, "INC-12"`.
func (t Term) String() string {
	text := "until " + formatTime(t.Until)
	if t.Reason != "" {
		text += fmt.Sprintf(", %q", t.Reason)
	}
	return text
}

func (t Term) validate() error {
	if t.problem != "" {
		return errors.New(t.problem)
	}
	if !slices.Contains(Relations, t.As) {
		return fmt.Errorf("as: %q is not one of %s", t.As, strings.Join(lists.Strings(Relations), ", "))
	}
	if err := t.Subject.validate(); err != nil {
		return fmt.Errorf("%s: %w", t.Subject.Flag(), err)
	}
	if len(t.Subject.Text()) > maxTermSubject {
		return fmt.Errorf("%s: a name of %d bytes; at most %d fit", t.Subject.Flag(), len(t.Subject.Text()), maxTermSubject)
	}
	if year := t.Until.Year(); year < 2000 || year > 9999 {
		return fmt.Errorf("until: %s is not a time in this millennium", formatTime(t.Until))
	}
	return CheckReason(t.Reason)
}

// CheckReason returns an error for a reason that is too long, or that holds control or
// invisible characters.
func CheckReason(reason string) error {
	switch {
	case len(reason) > maxReason:
		return fmt.Errorf("reason: %d bytes; at most %d fit", len(reason), maxReason)
	case !utf8.ValidString(reason) || !visible.Plain(reason):
		return errors.New("reason: it holds characters that can't be shown")
	}
	return nil
}

// Validate returns everything that is wrong with the terms, including duplicates.
func (l Terms) Validate() []error {
	var problems []error
	for i, t := range l {
		if err := t.validate(); err != nil {
			problems = append(problems, inField(fmt.Errorf("temporary: %w", err), "temporary", i))
		}
		if _, twice := l[:i].Of(t.As, t.Subject); twice {
			problems = append(problems, inField(fmt.Errorf("temporary: duplicate entry for %s as %s", t.Subject, t.As), "temporary", i))
		}
	}
	for _, as := range Relations {
		if size := len(l.Annotation(as)); size > maxTerms {
			problems = append(problems, inField(fmt.Errorf("temporary: the grants as %s take %d bytes, and at most %d are read: revoke those that have ended", as, size, maxTerms), "temporary"))
		}
	}
	return problems
}

// Of returns the term of a subject's grant.
func (l Terms) Of(as Relation, s Subject) (Term, bool) {
	for _, t := range l {
		if t.As == as && t.Subject == s {
			return t, true
		}
	}
	return Term{}, false
}

// As returns the terms of grants of one relation.
func (l Terms) As(as Relation) Terms {
	return slices.DeleteFunc(slices.Clone(l), func(t Term) bool { return t.As != as })
}

// Subjects returns the subjects of the terms.
func (l Terms) Subjects() Members {
	var m Members
	for _, t := range l {
		m = append(m, t.Subject)
	}
	return Members(nil).With(m)
}

// Over returns the terms that have ended.
func (l Terms) Over(now time.Time) Terms {
	return slices.DeleteFunc(slices.Clone(l), func(t Term) bool { return !t.over(now) })
}

// Without returns the terms except those of the subjects' grants of a relation.
func (l Terms) Without(as Relation, removed Members) Terms {
	return slices.DeleteFunc(slices.Clone(l), func(t Term) bool { return t.As == as && slices.Contains(removed, t.Subject) })
}

// With returns the terms together with more, which replace those of the same grants.
func (l Terms) With(more Terms) Terms {
	out := slices.DeleteFunc(slices.Clone(l), func(t Term) bool { _, replaced := more.Of(t.As, t.Subject); return replaced })
	return append(out, more...)
}

// Annotation returns the value of AnnotationTerms for the binding of that relation; empty
// if none of its grants is for a time.
func (l Terms) Annotation(as Relation) string {
	list := l.As(as)
	if len(list) == 0 {
		return ""
	}
	slices.SortFunc(list, func(a, b Term) int { return CompareSubjects(a.Subject, b.Subject) })
	for i := range list {
		list[i].As = RelationMember // the binding has the relation
	}
	text, _ := json.Marshal(list) // strings can't fail
	return string(text)
}

// ParseTerms parses the annotation of the binding of that relation, which others may have
// written. Subjects that the binding does not have are left out: they have no grant that
// could end. If the annotation can't be read, the error means that the ends are not
// known.
func ParseTerms(text string, as Relation, subjects Members) (Terms, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxTerms {
		return nil, fmt.Errorf("annotation %s has more than %d bytes", AnnotationTerms, maxTerms)
	}
	var list []Term
	if err := unmarshalStrictJSON([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("annotation %s: %s", AnnotationTerms, strings.TrimPrefix(err.Error(), "temporary: "))
	}
	for i := range list {
		list[i].As = as
	}
	if problems := Terms(list).Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("annotation %s: %s", AnnotationTerms, strings.TrimPrefix(problems[0].Error(), "temporary: "))
	}
	return slices.DeleteFunc(list, func(t Term) bool { return !slices.Contains(subjects, t.Subject) }), nil
}
