package cli

import (
	"encoding/json"
	"fmt"
	"slices"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/visible"
)

// diffSigns are the signs of changes, as in a diff: created, deleted, changed.
var diffSigns = map[cluster.Action]string{cluster.Create: "+", cluster.Delete: "-", cluster.Update: "~", cluster.Replace: "~"}

type diffField struct {
	Path   string `json:"path"`
	Live   any    `json:"live,omitempty"`
	Wanted any    `json:"wanted,omitempty"`
}

type diffChange struct {
	Action    cluster.Action `json:"action"`
	Kind      string         `json:"kind"`
	Namespace string         `json:"namespace,omitempty"`
	Name      string         `json:"name"`
	Fields    []diffField    `json:"fields"`
}

type diffTenant struct {
	Name    string       `json:"name"`
	Result  string       `json:"result"`
	Changes []diffChange `json:"changes"`
	Notes   []string     `json:"notes"`
	Error   string       `json:"error,omitempty"`
}

func diffChanges(plan *cluster.Plan) []diffChange {
	var changes []diffChange
	for _, change := range plan.Ordered() {
		d := diffChange{Action: change.Action, Kind: change.Key.Kind, Namespace: change.Key.Namespace, Name: change.Key.Name}
		for _, f := range change.Fields {
			d.Fields = append(d.Fields, diffField(f))
		}
		changes = append(changes, d)
	}
	return changes
}

// printDiff prints what would be written, by tenant.
func (s *session) printDiff(output string, outcomes []admin.Outcome, shared cluster.Plan, surplus []string) error {
	var items []diffTenant
	for _, o := range outcomes {
		item := diffTenant{Name: o.Name}
		if o.Err != nil {
			item.Result, item.Error = "failed", errorText(o.Err)
			items = append(items, item)
			continue
		}
		item.Changes, item.Notes = diffChanges(&o.Prepared.Plan), shown(o.Prepared.Notes)
		switch {
		case len(item.Changes) == 0:
			item.Result = "unchanged"
		case o.Prepared.Existed:
			item.Result = "change"
		default:
			item.Result = "create"
		}
		items = append(items, item)
	}
	for _, name := range surplus {
		items = append(items, diffTenant{Name: name, Result: "destroy"})
	}
	if output != "text" {
		return printObject(s.out(), output, struct {
			document
			Cluster []diffChange `json:"cluster"`
			Items   []diffTenant `json:"items"`
		}{documentOf("TenantDiff"), diffChanges(&shared), append([]diffTenant{}, items...)})
	}
	if len(shared.Changes) > 0 {
		visible.Fprintf(s.out(), "cluster\n")
		s.printChanges(diffChanges(&shared))
	}
	unchanged := 0
	for _, item := range items {
		switch item.Result {
		case "failed":
			continue // reported at the end
		case "unchanged":
			unchanged++
			if len(item.Notes) == 0 {
				continue
			}
		}
		visible.Fprintf(s.out(), "tenant %s: %s\n", item.Name, item.Result)
		s.printChanges(item.Changes)
		for _, note := range item.Notes {
			visible.Fprintf(s.out(), "  ! %s\n", note)
		}
	}
	if unchanged > 0 {
		visible.Fprintf(s.out(), "%s unchanged\n", counted(unchanged, "tenant"))
	}
	return nil
}

func (s *session) printChanges(changes []diffChange) {
	for _, change := range changes {
		where := ""
		if change.Namespace != "" {
			where = " in namespace " + change.Namespace
		}
		visible.Fprintf(s.out(), "  %s %s %s%s\n", diffSigns[change.Action], change.Kind, change.Name, where)
		for _, f := range change.Fields {
			s.printField(f)
		}
	}
}

// printField prints a field that differs, of a list the items that do.
func (s *session) printField(f diffField) {
	live, liveIsList := f.Live.([]any)
	wanted, wantedIsList := f.Wanted.([]any)
	if liveIsList && (wantedIsList || f.Wanted == nil) || wantedIsList && f.Live == nil {
		current, want := texts(live), texts(wanted)
		for _, text := range current {
			if !slices.Contains(want, text) {
				visible.Fprintf(s.out(), "      - %s: %s\n", f.Path, text)
			}
		}
		for _, text := range want {
			if !slices.Contains(current, text) {
				visible.Fprintf(s.out(), "      + %s: %s\n", f.Path, text)
			}
		}
		return
	}
	switch {
	case f.Live == nil:
		visible.Fprintf(s.out(), "      + %s: %s\n", f.Path, asText(f.Wanted))
	case f.Wanted == nil:
		visible.Fprintf(s.out(), "      - %s: %s\n", f.Path, asText(f.Live))
	default:
		visible.Fprintf(s.out(), "      ~ %s: %s -> %s\n", f.Path, asText(f.Live), asText(f.Wanted))
	}
}

func texts(list []any) []string {
	return lists.Map(list, asText)
}

// asText returns a value on one line, shortened if it is long.
func asText(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	const long = 160
	if len(text) > long {
		return string(text[:long]) + "..."
	}
	return string(text)
}
