package tenant

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"gopkg.in/yaml.v2"
)

// recordVersion is the newest version of the record's format that this helm-tenant reads.
// A record without one has version 1. A new field does not raise it: a helm-tenant that
// does not know a field can still change members (ReadRecord). It is raised when a field
// changes its meaning, or members are kept in another place. A record with a higher
// version is not read at all.
const recordVersion = 1

// A storedRecord is the format of a record: a tenant and the version of the format.
type storedRecord struct {
	Version int `yaml:"recordVersion,omitempty"`
	Tenant  `yaml:",inline"`
	// SelectedNamespaces are the tenant's Selected.
	SelectedNamespaces []string `yaml:"selectedNamespaces,flow,omitempty"`
}

// Record returns the tenant as its home namespace stores it: one item of a tenants file
// without the members. A tenant with unknown fields is an error, since they would be
// lost.
func (t Tenant) Record() (string, error) {
	if err := t.checkKnown(); err != nil {
		return "", fmt.Errorf("the record of tenant %q can't be written: %w", t.Name, err)
	}
	t.Members, t.Readers, t.Owners, t.Temporary = nil, nil, nil, nil
	t.Rails = t.Rails.recorded()
	out, err := yaml.Marshal(storedRecord{Tenant: t, SelectedNamespaces: t.Selected})
	if err == nil && len(out) > MaxRecord {
		err = fmt.Errorf("the record of tenant %q would have %d bytes, and at most %d are read", t.Name, len(out), MaxRecord)
	}
	return string(out), err
}

// checkKnown refuses a tenant whose record has fields that this helm-tenant does not
// know.
func (t Tenant) checkKnown() error {
	if len(t.Unknown) == 0 {
		return nil
	}
	return errors.New(t.UnknownFields())
}

// mostUnknown bounds how many unknown fields are named.
const mostUnknown = 5

// UnknownFields names the unknown fields of the record in one line, empty if there are
// none.
func (t Tenant) UnknownFields() string {
	named, more := t.Unknown, ""
	switch left := len(named) - mostUnknown; {
	case len(named) == 0:
		return ""
	case left > 0:
		named, more = named[:mostUnknown], fmt.Sprintf("; and %d more", left)
	}
	return strings.Join(named, "; ") + more + " (a newer helm-tenant may have written it)"
}

// ParseRecord parses a record for callers that write the tenant again. An unknown field
// is an error: its meaning can't be guessed, and writing would lose it. What a tenants
// file must not contain is an error as well, since others may be able to write the
// record.
func ParseRecord(text string) (Tenant, error) {
	t, err := ReadRecord(text)
	if err != nil {
		return Tenant{}, err
	}
	if err := t.checkKnown(); err != nil {
		return Tenant{}, fmt.Errorf("%s: %w", RecordKey, err)
	}
	return t, nil
}

// IsNewer reports whether a newer helm-tenant may have written a record: it has a higher
// version, or it can be read except for unknown fields.
func IsNewer(text string) bool {
	if t, err := ReadRecord(text); err == nil {
		return len(t.Unknown) > 0
	}
	var stored storedRecord
	_, _ = unmarshalKnown(text, &stored) // the readable part is enough
	return len(text) <= MaxRecord && stored.Version > recordVersion
}

// ReadRecord parses a record for callers that do not write it again: they learn the home,
// engine and namespaces of a tenant. Unknown fields are in the tenant's Unknown. They may
// describe namespaces, so that Namespaces may be empty. All other errors of ParseRecord
// are errors here.
func ReadRecord(text string) (Tenant, error) {
	if len(text) > MaxRecord {
		return Tenant{}, fmt.Errorf("%s has more than %d bytes", RecordKey, MaxRecord)
	}
	var stored storedRecord
	unknown, err := unmarshalKnown(text, &stored)
	if stored.Version > recordVersion {
		err = fmt.Errorf("it has the recordVersion %d, and this helm-tenant reads %d: use a newer one", stored.Version, recordVersion)
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("%s: %w", RecordKey, err)
	}
	t := stored.Tenant
	t.Selected = stored.SelectedNamespaces
	t.Members, t.Readers, t.Owners, t.Temporary = nil, nil, nil, nil // the bindings alone say who is a member
	t.Rails, t.Unknown = t.Rails.modesOr(RailsOfBefore()).compact(), unknown
	for _, problem := range t.WithDefaults().Validate() {
		if len(unknown) > 0 && errors.Is(problem, errNoNamespace) {
			continue
		}
		// A mistyped field is the reason why another one is missing.
		return Tenant{}, fmt.Errorf("%s: %s", RecordKey, cmp.Or(t.UnknownFields(), problem.Error()))
	}
	return t, nil
}

// keepUnknown copies the fields that this helm-tenant does not know from the extension
// that is replaced: a newer one wrote them.
func keepUnknown(next, before *yamlv3.Node) {
	keepFields(next, before, reflect.TypeFor[Extension]())
	tenants := mapValue(next, "tenants")
	if tenants == nil {
		return
	}
	for _, item := range tenants.Content {
		if name := mapValue(item, "name"); name != nil {
			keepFields(item, namedItem(mapValue(before, "tenants"), name.Value), reflect.TypeFor[Known]())
		}
	}
}

// keepFields adds the fields of before that the type does not have.
func keepFields(next, before *yamlv3.Node, goType reflect.Type) {
	if before == nil || before.Kind != yamlv3.MappingNode {
		return
	}
	known := jsonFields(goType)
	for i := 0; i+1 < len(before.Content); i += 2 {
		if key := before.Content[i]; !known[strings.ToLower(key.Value)] {
			next.Content = append(next.Content, key, before.Content[i+1])
		}
	}
}

// unknownFields returns the fields of a JSON object that the type does not have, nil if
// there are none. The text was parsed into that type before.
func unknownFields(text []byte, goType reflect.Type) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(text, &fields) // it was parsed as an object before
	known := jsonFields(goType)
	maps.DeleteFunc(fields, func(name string, _ json.RawMessage) bool { return known[strings.ToLower(name)] })
	if len(fields) == 0 {
		return nil
	}
	return fields
}

// jsonFields returns the JSON names of a struct's fields in lower case, since
// encoding/json ignores the case.
func jsonFields(goType reflect.Type) map[string]bool {
	fields := map[string]bool{}
	for field := range goType.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[strings.ToLower(name)] = true
	}
	return fields
}
