package admin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm-tenant/cluster"
	"helm-tenant/lists"
)

func (p *SplitPlan) movingRecords() []cluster.Stored {
	var records []cluster.Stored
	for _, r := range p.Releases {
		if r.Tenant != "" {
			records = append(records, storedOf(r.records)...)
		}
	}
	return records
}

func storedOf(records []tillerRecord) []cluster.Stored {
	return lists.Map(records, func(record tillerRecord) cluster.Stored { return record.Stored })
}

// digestOf returns a digest that changes when a Tiller writes, adds or removes a record.
// It covers the labels, since restores and a new key of the encryption at rest rewrite
// records as well.
func digestOf(records []cluster.Stored) string {
	lines := lists.Map(records, func(record cluster.Stored) string {
		return fmt.Sprintln(record.Key, record.Revision, record.Updated.Unix())
	})
	slices.Sort(lines)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, ""))))
}

// checkCopies fails unless every record that moves has a copy of the same bytes, and has not
// changed itself since it was copied.
func (p *SplitPlan) checkCopies(frozen *SplitPlan) error {
	for key := range p.missing() {
		return fmt.Errorf("%s has no copy of the same bytes in the tenant's home", key)
	}
	if !slices.Equal(p.movingRecords(), frozen.movingRecords()) {
		return errors.New("somebody changed the Tiller's records while they were copied: see that nothing else runs a Tiller there")
	}
	return nil
}
