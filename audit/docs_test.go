package audit

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

// documentedRows returns the rows of five cells of the table in docs/audit.md that stands
// between the comments of that name.
func documentedRows(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- "+name+" -->\n")
	table, _, found := strings.Cut(table, "\n<!-- /"+name+" -->")
	rows := strings.Split(table, "\n")
	if !found || len(rows) < 3 {
		t.Fatalf("there is no table of %s", name)
	}
	var all [][]string
	for _, row := range rows[2:] {
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(row, "| "), " |"), " | ")
		if len(cells) != 5 || slices.Contains(cells, "") {
			t.Errorf("this is no row of five cells: %s", row)
			continue
		}
		all = append(all, cells)
	}
	return all
}

// docs/audit.md lists each kind of finding as the rules do, and how to fix it.
func TestDocumentedFindings(t *testing.T) {
	var documented []Rule
	for _, cells := range documentedRows(t, "findings") {
		documented = append(documented, Rule{cells[0], cells[2], Severity(cells[1]), cells[3]})
	}
	if diff := cmp.Diff(Rules(), documented); diff != "" {
		t.Errorf("docs/audit.md, -rules +documented:\n%s", diff)
	}
}

// docs/audit.md lists each path with its name, the rights that open it, and its finding.
func TestDocumentedPaths(t *testing.T) {
	quoted := regexp.MustCompile("`([^`]+)`")
	words := func(cell string) []string {
		var all []string
		for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
			all = append(all, match[1])
		}
		return all
	}
	documented := map[string][]string{}
	for _, cells := range documentedRows(t, "paths") {
		for _, id := range words(cells[0]) {
			documented[id] = cells
		}
	}
	all := maps.Clone(documented)
	for _, path := range everyPath() {
		cells := documented[path.ID]
		if cells == nil {
			t.Errorf("%s is not told of", path.ID)
			continue
		}
		delete(documented, path.ID)
		if name := strings.ReplaceAll(cells[1], "RESOURCE", strings.TrimPrefix(path.ID, "make-")); name != path.Name {
			t.Errorf("%s is called %q, and in the table %q", path.ID, path.Name, name)
		}
		if finding := strings.Trim(cells[4], "-"); path.finding != "" && finding != path.finding {
			t.Errorf("%s makes %s, and in the table %s", path.ID, path.finding, finding)
		}
		rights := words(cells[2])
		for _, word := range rights { // the rights of another row
			if other := all[word]; other != nil {
				rights = append(rights, words(other[2])...)
			}
		}
		for _, need := range path.needs {
			for _, ask := range need {
				verb, resource, _ := strings.Cut(ask.String(), " ")
				if !slices.Contains(rights, verb) || resource != "" && !slices.Contains(rights, resource) {
					t.Errorf("%s is opened by %s, which the table lacks: %s", path.ID, ask, cells[2])
				}
			}
		}
	}
	for id := range documented {
		t.Errorf("%s is told of, and there is no such path", id)
	}
}

// docs/audit.md lists the objects of each controller that lends its rights, and of each that
// makes pods.
func TestDocumentedControllers(t *testing.T) {
	text, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := func(name string) []string {
		_, part, _ := strings.Cut(string(text), "<!-- "+name+" -->\n")
		part, _, _ = strings.Cut(part, "\n<!-- /"+name+" -->")
		var objects []string
		for line := range strings.SplitSeq(part, "\n") {
			cells := strings.Split(line, " | ")
			for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[min(1, len(cells)-1)], -1) {
				objects = append(objects, match[1])
			}
		}
		return objects
	}
	var lending, making []string
	for _, lender := range lenders {
		for _, resource := range lender.resources {
			lending = append(lending, resource+"."+lender.group)
		}
	}
	for _, maker := range podMakers {
		for _, resource := range maker.resources {
			making = append(making, resource+"."+maker.group)
		}
	}
	if diff := cmp.Diff(lending, listed("lenders")); diff != "" {
		t.Errorf("-controllers that lend their rights +documented:\n%s", diff)
	}
	if diff := cmp.Diff(making, listed("pod makers")); diff != "" {
		t.Errorf("-controllers that make pods +documented:\n%s", diff)
	}
}

// everyPath is one path of each ID that a report can hold.
func everyPath() []Path {
	s := sceneOf(team("a", tenant.EngineBoth))
	s.give("", "ops", Account("ops", "robot"), rule("*", "*", "*"))
	s.give("", "chief", User("chief"), rule("*", "*", "*"))
	a := newAuditor(s)
	a.findAccess()
	var all []Path
	for _, d := range a.deployers {
		target := d.target
		target.Open, target.Closing, target.InConfigMaps, target.Guarded, target.Classes, target.MissingClasses, target.Members = true, []string{"x"}, true, true, []string{"CLASS"}, []string{"CLASS"}, []Subject{User("u"), Group("g"), Account("ci", "robot")}
		target.Workloads = map[string][]string{"statefulsets": {"x"}}
		for _, minor := range []int{34, 37} {
			target.Server = serverOfMinor(minor)
			all = append(all, a.rights.paths(target)...)
			all = append(all, a.rights.connect(target))
		}
	}
	all = append(all, a.general...)
	all = append(all, a.rights.borrowing(Subject{}), a.rights.replaceKubelet(), a.pathToPlace(Webhook{}, ObjectRef{"Service", "hooks", "hook"}))
	a.rights.served = []string{"helm.toolkit.fluxcd.io"}
	all = append(all, a.rights.redefining(Subject{}))
	s.Identities.Used = true
	a.addIdentityMap()
	all = append(all, a.general[len(a.general)-1])
	s.Workloads = append(s.Workloads, Workload{Kind: "CronJob", Namespace: "ops", Account: "robot", AppliesFrom: []ObjectRef{{Kind: "ConfigMap", Namespace: "ops", Name: "FILE"}, {Kind: "Secret", Namespace: "ops", Name: "FILE"}}})
	before := len(a.general)
	a.checkApply()
	all = append(all, a.general[before:]...)
	all = append(all, a.canReach(Group(tenant.GroupMasters), nil)[0].Paths[0].Path)
	slices.SortStableFunc(all, func(x, y Path) int { return strings.Compare(x.ID, y.ID) })
	merged := all[:1]
	for _, path := range all[1:] {
		if last := &merged[len(merged)-1]; last.ID == path.ID {
			last.needs = append(last.needs, path.needs...)
			continue
		}
		merged = append(merged, path)
	}
	return merged
}

// The claims at the beginning of docs/security.md agree with its tables of attacks, which
// test/attack writes: what is possible or stays works; what the guard rails or settings refuse,
// and what nobody gets, is refused; and the findings that it names exist.
func TestClaimsAreShownByAttacks(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	claims, attacks, found := strings.Cut(string(text), "## What a tenant's Tiller can do")
	if !found {
		t.Fatal("the beginning of docs/security.md has no end")
	}
	outcomes := map[string][]string{}
	for _, row := range strings.Split(attacks, "\n") {
		if cells := strings.Split(row, " | "); len(cells) == 5 {
			name := strings.TrimPrefix(cells[0], "| ")
			outcomes[name] = append(outcomes[name], cells[2])
		}
	}
	names, shown := regexp.MustCompile(`\*([^*]+)\*`), 0
	check := func(cell string, fits func(outcomes []string) bool) {
		t.Helper()
		for _, match := range names.FindAllStringSubmatch(cell, -1) {
			shown++
			if names := outcomes[match[1]]; len(names) == 0 || !fits(names) {
				t.Errorf("of the attack %q the tables say %q", match[1], names)
			}
		}
	}
	works := func(names []string) bool {
		return slices.ContainsFunc(names, func(o string) bool { return strings.HasPrefix(o, "works: known") })
	}
	refused := func(names []string) bool {
		return !slices.ContainsFunc(names, func(o string) bool { return !strings.HasPrefix(o, "refused: ") })
	}
	can, cannot, found := strings.Cut(strings.ReplaceAll(claims, "**", ""), "Nobody\ngets")
	if !found {
		t.Fatal("docs/security.md does not say what nobody gets")
	}
	tried, stays, found := strings.Cut(can, "What stays, and why:")
	if !found {
		t.Fatal("docs/security.md does not say what stays")
	}
	for _, row := range strings.Split(tried, "\n") {
		cells := strings.Split(row, " | ")
		if len(cells) != 4 {
			continue
		}
		// What is possible is shown by the first attack, and the setting by the others.
		if first := names.FindString(cells[3]); strings.HasPrefix(cells[1], "possible") && first != "" {
			check(first, works)
			cells[3] = strings.Replace(cells[3], first, "", 1)
		}
		check(cells[3], refused)
	}
	for _, row := range strings.Split(stays, "\n") {
		if cells := strings.Split(row, " | "); len(cells) == 3 {
			check(cells[1], works)
			check(cells[2], refused)
		}
	}
	check(cannot, refused)
	if shown < 30 {
		t.Errorf("%d claims are shown by an attack", shown)
	}
	for _, id := range regexp.MustCompile(`HT\d{3}`).FindAllString(claims, -1) {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == id }) {
			t.Errorf("no finding is called %s", id)
		}
	}
}
