package auditpages

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/audit"
)

// drawn is the picture: what stands in each column, sorted.
type drawn struct{ People, Paths, Deployers, Spaces []string }

// picture reads the names of the four columns, as the page would say them aloud.
func (b *browser) picture() drawn {
	b.t.Helper()
	columns := ask[[][]string](b, `[0, 1, 2, 3].map(c => [...document.querySelectorAll("#picture .node[data-column='" + c + "'] title")].map(e => e.textContent))`)
	for c, list := range columns {
		for i, name := range list {
			for _, end := range []string{", member", ", no member", ", whole cluster", ", a path", ", a deployer", ", no tenant", ", where it acts"} {
				name = strings.TrimSuffix(name, end)
			}
			list[i] = strings.TrimSuffix(name, ", no tenant")
		}
		slices.Sort(columns[c])
	}
	return drawn{columns[0], columns[1], columns[2], columns[3]}
}

// table returns the picture as a table.
func (b *browser) table() [][]string {
	b.t.Helper()
	return ask[[][]string](b, `[...document.querySelectorAll("#rows tr")].map(r => [...r.cells].map(c => c.textContent))`)
}

// findings returns the kinds of findings that are shown, and their titles.
func (b *browser) findings() []string {
	b.t.Helper()
	return ask[[]string](b, `[...document.querySelectorAll("#findings article")].map(a => a.querySelector("h3").textContent)`)
}

func deployerName(d audit.Deployer) string {
	if d.Tenant == "" {
		return "unmanaged in " + d.Home
	}
	return "tenant " + d.Tenant
}

// edge is one row of what the report says: who reaches which deployer, how.
type edge struct{ who, kind, path, deployer, tenant string }

func edgesOf(r *audit.Report) []edge {
	var all []edge
	for _, d := range r.Deployers {
		key := d.Tenant
		if key == "" {
			key = d.Home
		}
		for _, a := range d.Access {
			for _, p := range a.Paths {
				kind := "no member"
				if a.Member {
					kind = "member"
				}
				if !a.Own {
					all = append(all, edge{a.Subject, kind, p.Name, deployerName(d), key})
				}
			}
		}
		if d.Open {
			all = append(all, edge{"any pod of the cluster", "no member", "connect to its port", deployerName(d), key})
		}
		for _, w := range r.ClusterWide {
			if w.Deployers == w.Of || slices.Contains(w.Reaches, d.Home+":"+d.Account) {
				for _, p := range w.Paths {
					all = append(all, edge{w.Subject, "whole cluster", p.Name, deployerName(d), key})
				}
			}
		}
	}
	return all
}

func sortedSet[T any](all []T, texts func(T) []string) []string {
	var names []string
	for _, one := range all {
		names = append(names, texts(one)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// spacesOf returns the places where a deployer acts, its own home among them.
func spacesOf(d audit.Deployer) []string {
	var names []string
	switch {
	case d.Power.Admin:
		return []string{"everything in the cluster"}
	case d.All:
		names = []string{"all namespaces"}
	case len(d.Namespaces) > 0:
		names = slices.Clone(d.Namespaces)
	default:
		for _, in := range d.Power.Namespaces {
			names = append(names, in.Namespace)
		}
	}
	var ways []string
	for _, p := range d.Power.OwnHome {
		ways = append(ways, p.Name)
	}
	if len(ways) > 4 {
		ways = []string{fmt.Sprintf("any of %d paths", len(ways))}
	}
	if len(ways) > 0 {
		names = append(names, "its home "+d.Home+": "+strings.Join(ways, ", "))
	}
	return names
}

// pictureOf is what should be drawn. The paths of who has more than four to one
// deployer are one, unless nobody else is drawn.
func pictureOf(deployers []audit.Deployer, edges []edge) drawn {
	people := sortedSet(edges, func(e edge) []string { return []string{e.who} })
	path := func(e edge) []string {
		paths := sortedSet(edges, func(o edge) []string {
			if o.who == e.who && o.deployer == e.deployer {
				return []string{o.path}
			}
			return nil
		})
		if len(people) > 1 && len(paths) > 4 {
			return []string{fmt.Sprintf("any of %d paths", len(paths))}
		}
		return []string{e.path}
	}
	return drawn{
		people, sortedSet(edges, path),
		sortedSet(deployers, func(d audit.Deployer) []string { return []string{deployerName(d)} }), sortedSet(deployers, spacesOf),
	}
}

func rowsOf(edges []edge) []string {
	return sortedSet(edges, func(e edge) []string {
		return []string{strings.Join([]string{e.who, e.kind, e.path, e.deployer}, " | ")}
	})
}

func (b *browser) rows() []string {
	b.t.Helper()
	return sortedSet(b.table(), func(row []string) []string { return []string{strings.Join(row[:4], " | ")} })
}

func TestPictureShowsTheReport(t *testing.T) {
	text, report := pageOf(t, everythingWrong(), audit.Options{})
	b := open(t)
	b.load(text, "")
	want := pictureOf(report.Deployers, edgesOf(report))
	if len(want.People) < 15 || len(want.Paths) < 8 || len(want.Deployers) != 11 || len(want.Spaces) < 8 {
		t.Fatalf("the report shows little: %+v", want)
	}
	if diff := cmp.Diff(want, b.picture()); diff != "" {
		t.Errorf("-report +picture:\n%s", diff)
	}
	if diff := cmp.Diff(rowsOf(edgesOf(report)), b.rows()); diff != "" {
		t.Errorf("-report +table:\n%s", diff)
	}
	if got := len(b.findings()); got != len(report.Findings) {
		t.Errorf("%d of %d findings are shown", got, len(report.Findings))
	}
	for i, shown := range ask[[]string](b, `[...document.querySelectorAll("#findings article")].map(a => a.textContent)`) {
		f := report.Findings[i]
		for _, part := range []string{f.ID, string(f.Severity), f.Text, f.Why, f.Fix.String()} {
			if !strings.Contains(shown, part) {
				t.Errorf("finding %d of %s lacks %q", i, f.ID, part)
			}
		}
	}
	if got, want := ask[[]string](b, `[...document.querySelectorAll("#administrators tr")].map(r => r.cells[0].textContent)`), []string{"group system:masters"}; !slices.Equal(got, want) {
		t.Errorf("the administrators are %q", got)
	}
	// Rights of a deployer to its own home are shown where it acts.
	for _, want := range []string{"its home blue-tiller: read Secrets, write Secrets", "its home green-tiller: create pods, read Secrets, write Secrets"} {
		if !slices.Contains(b.picture().Spaces, want) {
			t.Errorf("%q is not drawn", want)
		}
	}
	for _, row := range b.table() {
		if row[3] == "tenant blue" && row[4] != "blue-1, blue-2, its home blue-tiller: read Secrets, write Secrets" {
			t.Errorf("in the table blue acts in %q", row[4])
		}
	}
	// Of one person alone, each path.
	b.set("person", "service account ops:robot")
	var robot []edge
	for _, e := range edgesOf(report) {
		if e.who == "service account ops:robot" {
			robot = append(robot, e)
		}
	}
	if diff := cmp.Diff(pictureOf(report.Deployers, robot), b.picture()); diff != "" || len(b.picture().Paths) < 20 {
		t.Errorf("of one person, -report +picture:\n%s", diff)
	}
	b.set("person", "")
	if got, least := ask[int](b, `document.querySelectorAll("#picture path").length`), len(want.People)+len(want.Deployers); got < least {
		t.Errorf("%d lines are drawn, less than %d", got, least)
	}
}
