package attack

import (
	"fmt"
	"strings"
)

// table is what is printed: a line for each attack and those as whom it came to
// the same.
type table struct {
	rows []row
	// counts of attacks by world and verdict, one for each stance.
	ours, seed, control counts
	known               int
}

type counts map[verdict]int

type row struct {
	theme                                   int
	attack, as, ours, seed, control, remark string
}

func newTable(results []*result) *table {
	t := &table{ours: counts{}, seed: counts{}, control: counts{}}
	for _, r := range results {
		t.control[r.control.verdict]++
		control := r.control.String()
		var rows []row
		for _, as := range r.attack.as {
			ours, seed := r.ours[as], r.seed[as]
			t.ours[ours.verdict]++
			t.seed[seed.verdict]++
			next := row{theme: r.theme, attack: r.attack.name, as: stanceNames[as], ours: ours.String(), seed: seed.String(), control: control}
			for _, known := range r.attack.knownAs {
				if known == as && ours.verdict == worked {
					t.known++
					next.ours = "works: known"
					next.remark = r.attack.known
				}
			}
			if last := len(rows) - 1; last >= 0 && rows[last].ours == next.ours && rows[last].seed == next.seed {
				rows[last].as += "; " + next.as
				continue
			}
			if len(rows) > 0 {
				next.control = "" // it is one for the attack
			}
			rows = append(rows, next)
		}
		t.rows = append(t.rows, rows...)
	}
	return t
}

var headings = []string{"attack", "as whom", "ours", "seed's recipe", "control"}

func (r row) cells() []string { return []string{r.attack, r.as, r.ours, r.seed, r.control} }

// closing is the last line: how many attempts came to what.
func (t *table) closing() string {
	say := func(name string, c counts) string {
		return fmt.Sprintf("%s: %d worked, %d refused, %d could not run", name, c[worked], c[refused], c[broken])
	}
	return fmt.Sprintf("%s (of those that worked %d are known and documented)\n%s\n%s",
		say("ours", t.ours), t.known, say("seed's recipe", t.seed), say("control", t.control))
}

// text is the table in aligned columns.
func (t *table) text() string {
	widths := make([]int, len(headings))
	all := [][]string{headings}
	for _, r := range t.rows {
		all = append(all, r.cells())
	}
	for _, cells := range all {
		for i, cell := range cells {
			widths[i] = max(widths[i], len(cell))
		}
	}
	line := func(cells []string) string {
		var b strings.Builder
		for i, cell := range cells {
			fmt.Fprintf(&b, "%-*s  ", widths[i], cell)
		}
		return strings.TrimRight(b.String(), " ") + "\n"
	}
	var b strings.Builder
	theme := -1
	for _, r := range t.rows {
		if r.theme != theme {
			theme = r.theme
			fmt.Fprintf(&b, "\n%s\n\n%s", themes[theme].name, line(headings))
		}
		b.WriteString(line(r.cells()))
		if r.remark != "" {
			fmt.Fprintf(&b, "    %s\n", r.remark)
		}
	}
	return b.String() + "\n" + t.closing() + "\n"
}

// markdown is the same for the documentation.
func (t *table) markdown() string {
	line := func(cells []string) string {
		escaped := make([]string, len(cells))
		for i, cell := range cells {
			escaped[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		return "| " + strings.Join(escaped, " | ") + " |\n"
	}
	var b strings.Builder
	theme := -1
	for _, r := range t.rows {
		if r.theme != theme {
			theme = r.theme
			fmt.Fprintf(&b, "\n### %s\n\n%s|%s\n", themes[theme].name, line(headings), strings.Repeat("---|", len(headings)))
		}
		cells := r.cells()
		if r.remark != "" {
			cells[2] += " (" + r.remark + ")"
		}
		b.WriteString(line(cells))
	}
	return strings.TrimLeft(b.String(), "\n") + "\n" + strings.ReplaceAll(t.closing(), "\n", "  \n") + "\n"
}
