package attack

import (
	"fmt"
	"slices"
	"strings"
)

// table is the printed table: a line for each attack and the attackers with the same result.
type table struct {
	trial *trial
	rows  []row
	// counts of attempts by kind of world and verdict.
	ours, baseline, control counts
	known                   int
}

type counts map[verdict]int

type row struct {
	theme                                       int
	attack, as, ours, baseline, control, remark string
}

// cell returns the result of one attack in worlds with different helms: one word if it is the same
// for all.
func (r *result) cell(worlds []*world, as relation, counted counts) string {
	var output []string
	worlds = r.made(worlds, as)
	for _, w := range worlds {
		o := r.in[w][as]
		counted[o.verdict]++
		output = append(output, o.String())
	}
	if len(output) == 0 {
		return ""
	}
	if len(slices.Compact(slices.Clone(output))) == 1 {
		return output[0]
	}
	for i, w := range worlds {
		output[i] = fmt.Sprintf("Helm %d: %s", w.major, output[i])
	}
	return strings.Join(output, "; ")
}

func newTable(tr *trial, results []*result) *table {
	t := &table{trial: tr, ours: counts{}, baseline: counts{}, control: counts{}}
	for _, r := range results {
		control := r.cell(tr.control, r.attack.as[0], t.control)
		var rows []row
		for _, as := range r.attack.as {
			next := row{theme: r.theme, attack: r.attack.name, as: relationNames[as], control: control,
				ours: r.cell(tr.ours, as, t.ours), baseline: r.cell(tr.baseline, as, t.baseline)}
			if slices.Contains(r.attack.knownAs, as) && next.ours == (outcome{verdict: worked}).String() {
				t.known += len(r.made(tr.ours, as))
				next.ours = "works: known"
				next.remark = r.attack.known
			}
			if last := len(rows) - 1; last >= 0 && rows[last].ours == next.ours && rows[last].baseline == next.baseline {
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

func (t *table) headings() []string {
	if len(t.trial.baseline) == 0 {
		return []string{"attack", "as whom", "ours", "control"}
	}
	return []string{"attack", "as whom", "ours", t.trial.against, "control"}
}

func (t *table) cells(r row) []string {
	if len(t.trial.baseline) == 0 {
		return []string{r.attack, r.as, r.ours, r.control}
	}
	return []string{r.attack, r.as, r.ours, r.baseline, r.control}
}

// closing returns the last line: how many attempts came to what.
func (t *table) closing() string {
	say := func(name string, c counts) string {
		return fmt.Sprintf("%s: %d worked, %d refused, %d could not run", name, c[worked], c[refused], c[broken])
	}
	return fmt.Sprintf("%s (of those that worked %d are known and documented)\n%s\n%s",
		say("ours", t.ours), t.known, say(t.trial.against, t.baseline), say("control", t.control))
}

// text returns the table in aligned columns.
func (t *table) text() string {
	headings := t.headings()
	widths := make([]int, len(headings))
	all := [][]string{headings}
	for _, r := range t.rows {
		all = append(all, t.cells(r))
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
			fmt.Fprintf(&b, "\n%s\n\n%s", t.trial.themes[theme].name, line(headings))
		}
		b.WriteString(line(t.cells(r)))
		if r.remark != "" {
			fmt.Fprintf(&b, "    %s\n", r.remark)
		}
	}
	return b.String() + "\n" + t.closing() + "\n"
}

// markdown returns the table for the documentation.
func (t *table) markdown() string {
	headings := t.headings()
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
			fmt.Fprintf(&b, "\n### %s\n\n%s|%s\n", t.trial.themes[theme].name, line(headings), strings.Repeat("---|", len(headings)))
		}
		cells := t.cells(r)
		if r.remark != "" {
			cells[2] += " (" + r.remark + ")"
		}
		b.WriteString(line(cells))
	}
	return strings.TrimLeft(b.String(), "\n") + "\n" + strings.ReplaceAll(t.closing(), "\n", "  \n") + "\n"
}
