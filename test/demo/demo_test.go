// Package demo compares docs/demo.md with what scripts/demo.sh really prints, and
// the README's excerpt with docs/demo.md.
package demo

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

var update = flag.Bool("update", false, "write docs/demo.md as the demo prints it today")

const (
	begin = "<!-- demo -->\n"
	end   = "<!-- /demo -->"
	// excerptLines is how long the README's excerpt may be.
	excerptLines = 25
)

// page returns the path of a file of the repository, its text up to the transcript,
// the transcript without its indentation, and the text behind it.
func page(t *testing.T, name string) (path, head, transcript, tail string) {
	t.Helper()
	root, err := harness.Repository()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(root, name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, begun := strings.Cut(string(text), begin)
	block, tail, ended := strings.Cut(rest, end)
	if !begun || !ended {
		t.Fatalf("%s has no transcript between %s and %s", name, strings.TrimSpace(begin), end)
	}
	var lines []string
	for line := range strings.Lines(strings.Trim(block, "\n")) {
		lines = append(lines, strings.TrimPrefix(strings.TrimRight(line, "\n"), "    "))
	}
	return path, head, strings.Join(lines, "\n"), tail
}

// block returns a transcript as an indented block of Markdown between the markers.
func block(transcript string) string {
	var b strings.Builder
	for line := range strings.Lines(transcript) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			line = "    " + line
		}
		b.WriteString(line + "\n")
	}
	return begin + "\n" + b.String() + "\n" + end
}

// TestDemo runs the demo on a cluster of its own.
func TestDemo(t *testing.T) {
	testcluster.Require(t, testcluster.Full)
	path, head, documented, tail := page(t, "docs/demo.md")

	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(filepath.Dir(filepath.Dir(path)), "scripts", "demo.sh"))
	cmd.Stdout, cmd.Stderr = &out, &out // one pipe, so that both keep their order
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute // it ends its cluster
	if err := cmd.Run(); err != nil {
		t.Fatalf("the demo: %v\n%s", err, &out)
	}
	printed := normalise(out.String())
	if *update {
		if err := os.WriteFile(path, []byte(head+block(printed)+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		documented = printed
	}
	if diff := cmp.Diff(documented, printed); diff != "" {
		t.Errorf("docs/demo.md differs from the demo; write it with: cd test && go test ./demo -update\n-docs +demo:\n%s", diff)
	}
}

// TestExcerpt: the README shows lines of docs/demo.md, in their order.
func TestExcerpt(t *testing.T) {
	_, _, whole, _ := page(t, "docs/demo.md")
	_, _, excerpt, _ := page(t, "README.md")
	lines := strings.Split(excerpt, "\n")
	if len(lines) < 10 || len(lines) > excerptLines {
		t.Errorf("the excerpt has %d lines, and should have 10 to %d", len(lines), excerptLines)
	}
	if line := missing(strings.Split(whole, "\n"), lines); line != "" {
		t.Errorf("docs/demo.md lacks this line of the README, or has it further up: %s", line)
	}
}

// missing returns the first line of part, blank ones apart, that whole does not have
// behind the ones before it.
func missing(whole, part []string) string {
	for _, line := range part {
		if line == "" {
			continue
		}
		index := slices.Index(whole, line)
		if index < 0 {
			return line
		}
		whole = whole[index+1:]
	}
	return ""
}
