package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/migrate"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// readLiveObjects reads the objects of the releases that move, by the record that names
// them. Objects that the caller may not read are an error.
func readLiveObjects(ctx context.Context, c *cluster.Client, releases []SplitRelease) (map[cluster.Key][]seenObject, error) {
	var held []ReleaseObjects
	for _, r := range releases {
		for _, record := range r.records {
			h := ReleaseObjects{Owner: migrate.Owner{Name: r.Name, Namespace: record.namespace}}
			for _, body := range record.bodies {
				h.Objects = append(h.Objects, body.Object)
			}
			if r.Tenant != "" {
				held = append(held, h)
			}
		}
	}
	served, err := servedKinds(ctx, c, held)
	if err != nil {
		return nil, err
	}
	type kindName struct{ apiVersion, kind string }
	places := map[kindName][]cluster.Place{}
	seen := map[cluster.Key][]seenObject{}
	for _, r := range releases {
		for _, record := range r.records {
			for _, body := range record.bodies {
				if r.Tenant == "" {
					continue
				}
				object := seenObject{Body: body}
				kind, found := served[body.APIVersion][body.Kind]
				object.served = found
				switch {
				case found && !kind.Namespaced(), !found && release.ClusterScoped(body.Kind):
					object.Namespace = ""
				case object.Namespace == "":
					object.Namespace = record.namespace
				}
				if found {
					name := kindName{body.APIVersion, body.Kind}
					places[name] = append(places[name], cluster.Place{Namespace: object.Namespace, Name: object.Name})
				}
				seen[record.Key] = append(seen[record.Key], object)
			}
		}
	}
	for name, sites := range places {
		live, err := c.Objects(ctx, served[name.apiVersion][name.kind], sites)
		if err != nil {
			return nil, err
		}
		for key := range seen {
			for i := range seen[key] {
				if o := &seen[key][i]; (kindName{o.APIVersion, o.Kind}) == name {
					o.live = live[cluster.Place{Namespace: o.Namespace, Name: o.Name}]
				}
			}
		}
	}
	return seen, nil
}

// readCopies reads the records of the releases in the homes of the tenants.
func (p *SplitPlan) readCopies(ctx context.Context, c *cluster.Client) error {
	ours, wanted, homes := map[string]string{}, map[cluster.Key]bool{}, []string{}
	for _, r := range p.Releases {
		if r.Tenant == "" {
			continue
		}
		homes, ours[r.Home+"/"+r.Name] = append(homes, r.Home), r.Name
		for _, record := range r.records {
			wanted[r.copyKey(record.Stored)] = true
		}
	}
	answers, err := readEach(ctx, homes, func(ctx context.Context, home string) ([]cluster.Stored, error) {
		return c.StoredReleases(ctx, tenant.EngineTiller, home)
	})
	if err != nil {
		return err
	}
	var copies []cluster.Stored
	for _, home := range slices.Sorted(maps.Keys(answers)) {
		stored, err := answerAbout(answers, "the releases", home)
		if err != nil {
			return err
		}
		for _, record := range stored {
			name := ours[home+"/"+record.Release]
			switch {
			case wanted[record.Key]:
				copies = append(copies, record)
			case name != "":
				p.later[name] = append(p.later[name], record)
			}
		}
	}
	return c.EachRecord(ctx, copies, func(record cluster.Record) error {
		p.copies[record.Key] = tillerRecord{Stored: record.Stored, packed: sha256.Sum256(packedIn(record))}
		return nil
	})
}

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
