package tenant

import (
	"fmt"

	"gopkg.in/yaml.v2"
)

// Record is the tenant as its home namespace holds it: one item of a tenants
// file without the members.
func (t Tenant) Record() (string, error) {
	t.Members = Members{}
	t.Rails = t.Rails.recorded()
	out, err := yaml.Marshal(t)
	if err == nil && len(out) > MaxRecord {
		err = fmt.Errorf("the record of tenant %q would have %d bytes, and at most %d are read", t.Name, len(out), MaxRecord)
	}
	return string(out), err
}

// ParseRecord reads what Record wrote. A field that it does not know is an
// error: a newer helm-tenant wrote it, and what it means can't be guessed. What no
// tenants file may hold is one, too: others may write where a record is.
func ParseRecord(text string) (Tenant, error) {
	var t Tenant
	if len(text) > MaxRecord {
		return Tenant{}, fmt.Errorf("%s has more than %d bytes", RecordKey, MaxRecord)
	}
	if err := unmarshalStrict(text, &t); err != nil {
		return Tenant{}, fmt.Errorf("%s: %w", RecordKey, err)
	}
	t.Rails = t.Rails.modesOr(RailsOfBefore())
	if problems := t.WithDefaults().Validate(); len(problems) > 0 {
		return Tenant{}, fmt.Errorf("%s: %w", RecordKey, problems[0])
	}
	return t, nil
}
