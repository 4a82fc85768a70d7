package demo

import (
	"regexp"
	"strings"
	"text/tabwriter"
)

// Text that differs from run to run, and its replacement in docs/demo.md: Go's reference time,
// and a pod's name without its random part.
var varying = []struct {
	what  *regexp.Regexp
	stand string
}{
	{regexp.MustCompile(`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\b`), "Mon Jan  2 15:04:05 2006"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} [A-Z]+\b`), "2006-01-02 15:04:05 +0000 UTC"},
	{regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b`), "-66f44cdccd-xxxxx"},
	{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+s$`), "2s"},
	{regexp.MustCompile(`\b(127\.0\.0\.1|localhost):\d+\b`), "$1:6443"},
}

// normalise returns the demo's output without the parts that differ from run to run. It begins
// at the first heading and ends before the cluster ends. Of a wait for Tiller only the last line
// stays, since the intermediate ones depend on the machine's speed.
func normalise(output string) string {
	if index := strings.Index("\n"+output, "\n# "); index >= 0 {
		output = output[index:]
	}
	output, _, _ = strings.Cut(output, "\nending the cluster")
	var lines []string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, " \r\n")
		if strings.HasPrefix(line, "Tiller: ") && !strings.HasSuffix(line, " ready") {
			continue
		}
		for _, v := range varying {
			line = v.what.ReplaceAllString(line, v.stand)
		}
		lines = append(lines, line)
	}
	runs(lines, func(line string) bool { return strings.Contains(line, "\t") }, align)
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// runs calls change with each longest run of matching lines.
func runs(lines []string, matches func(string) bool, change func([]string)) {
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && matches(lines[to]) {
			to++
		}
		if to > from {
			change(lines[from:to])
			from = to
		}
	}
}

// align lays out a table whose cells end with tabs, as Helm prints it, in columns of
// the width that their cells need now.
func align(lines []string) {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, line := range lines {
		cells := strings.Split(line, "\t")
		for i, cell := range cells {
			cells[i] = strings.TrimSpace(cell)
		}
		_, _ = table.Write([]byte(strings.Join(cells, "\t") + "\n")) // a strings.Builder takes everything
	}
	_ = table.Flush()
	for i, line := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
		lines[i] = strings.TrimRight(line, " ")
	}
}
