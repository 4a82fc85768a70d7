package cli

import (
	"fmt"

	"helm-tenant/admin"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// printApplied lists what was done to each tenant that changed.
func (s *session) printApplied(output string, outcomes []admin.Outcome) error {
	type applied struct {
		Name   string   `json:"name"`
		Result string   `json:"result"`
		Writes int      `json:"writes"`
		Notes  []string `json:"notes"`
		Error  string   `json:"error,omitempty"`
	}
	var items []applied
	unchanged := 0
	for _, o := range outcomes {
		item := applied{Name: o.Name}
		switch {
		case o.Err != nil:
			item.Result, item.Error = "failed", errorText(o.Err)
		case o.Prepared == nil:
			item.Result = "destroyed"
		case len(o.Prepared.Plan.Changes) == 0:
			item.Result = "unchanged"
			unchanged++
		case o.Prepared.Existed:
			item.Result = "changed"
		default:
			item.Result = "created"
		}
		if o.Prepared != nil {
			item.Writes, item.Notes = len(o.Prepared.Plan.Changes), shown(o.Prepared.Notes)
		}
		items = append(items, item)
	}
	if output != "text" {
		return printObject(s.out(), output, struct {
			APIVersion string    `json:"apiVersion"`
			Kind       string    `json:"kind"`
			Items      []applied `json:"items"`
		}{tenant.APIVersion, "ApplyResult", append([]applied{}, items...)})
	}
	for _, o := range outcomes {
		if o.Err == nil && o.Prepared != nil && o.Prepared.Stale {
			s.next(fmt.Sprintf("The namespaces or the engine of tenant %s changed: members whose kubeconfig remembers it type again", o.Name), useOf(o.Prepared.Tenant))
		}
	}
	for _, item := range items {
		for _, note := range item.Notes {
			s.say("Note: tenant %s: %s", item.Name, note)
		}
		if item.Result == "created" || item.Result == "changed" {
			visible.Fprintf(s.out(), "tenant %s %s, %s\n", item.Name, item.Result, counted(item.Writes, "write"))
		}
	}
	if unchanged > 0 {
		visible.Fprintf(s.out(), "%s unchanged\n", counted(unchanged, "tenant"))
	}
	return nil
}

// counted returns a number with its noun: "1 tenant" or "2 tenants".
func counted(n int, noun string) string { return visible.Counted(n, noun) }
