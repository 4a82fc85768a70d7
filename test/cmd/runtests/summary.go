package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// event is a line of `go test -json`, see `go doc test2json`.
type event struct {
	Time       time.Time
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// test names a test of a package; name is empty for the package itself.
type test struct{ pkg, name string }

func (t test) String() string { return strings.TrimSpace(path.Base(t.pkg) + " " + t.name) }

// top reports whether it is a test that is no part of another.
func (t test) top() bool { return t.name != "" && !strings.Contains(t.name, "/") }

// summary is what is known of the tests, and told.
type summary struct {
	out   io.Writer
	began time.Time
	// running are the tests that have begun, and packages.
	running map[test]time.Time
	output  map[test]*strings.Builder
	took    map[test]time.Duration
	passed  int
	failed  []test
}

func newSummary(out io.Writer, began time.Time) *summary {
	return &summary{out: out, began: began, running: map[test]time.Time{}, output: map[test]*strings.Builder{}, took: map[test]time.Duration{}}
}

func (s *summary) add(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "start", "run", "cont":
		s.running[t] = e.Time
	case "pause":
		delete(s.running, t)
	case "output":
		if s.output[t] == nil {
			s.output[t] = &strings.Builder{}
		}
		s.output[t].WriteString(e.Output)
	case "pass", "fail", "skip":
		s.ended(t, e)
	}
}

func (s *summary) ended(t test, e event) {
	delete(s.running, t)
	took := time.Duration(e.Elapsed * float64(time.Second)).Round(100 * time.Millisecond)
	if t.top() {
		s.took[t] = took
	}
	if text := s.output[t]; text != nil && (e.Action == "fail" || e.Action == "skip" && t.name != "") {
		fmt.Fprint(s.out, text)
	}
	delete(s.output, t)
	if t.name == "" {
		s.unfinished(t.pkg)
	}
	switch {
	case e.Action == "fail":
		s.failed = append(s.failed, t)
	case e.Action == "pass" && t.name != "":
		s.passed++
	}
	if t.name == "" && e.Action != "skip" {
		fmt.Fprintf(s.out, "%s  %-4s %s, %s\n", s.since(e.Time), e.Action, t.pkg, took)
	}
}

// unfinished tells what the tests of a package have printed that did not end before it: a timeout
// or a panic ends the package without them, and the goroutines are among their output.
func (s *summary) unfinished(pkg string) {
	left := slices.Collect(maps.Keys(s.output))
	left = append(left, slices.Collect(maps.Keys(s.running))...)
	slices.SortFunc(left, func(a, b test) int { return cmp.Compare(a.name, b.name) })
	for _, t := range slices.Compact(left) {
		if t.pkg != pkg {
			continue
		}
		if text := s.output[t]; text != nil && said(text.String()) {
			fmt.Fprint(s.out, text)
		}
		if _, running := s.running[t]; running {
			s.failed = append(s.failed, t)
		}
		delete(s.output, t)
		delete(s.running, t)
	}
}

// said reports whether the output of a test has more than go test's own lines about it.
func said(output string) bool {
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "=== ") {
			return true
		}
	}
	return false
}

func (s *summary) since(now time.Time) string { return now.Sub(s.began).Round(time.Second).String() }

// progress says which tests are running, the longest first.
func (s *summary) progress(now time.Time) {
	tests := slices.SortedFunc(maps.Keys(s.running), func(a, b test) int { return s.running[a].Compare(s.running[b]) })
	tests = slices.DeleteFunc(tests, func(t test) bool { return !t.top() })
	var texts []string
	for _, t := range tests {
		texts = append(texts, fmt.Sprintf("%s (%s)", t, now.Sub(s.running[t]).Round(time.Second)))
	}
	const most = 4
	if len(texts) > most {
		texts = append(texts[:most], fmt.Sprintf("and %d more", len(texts)-most))
	}
	if len(texts) == 0 {
		texts = []string{"building"}
	}
	fmt.Fprintf(s.out, "%s  %d passed; running: %s\n", s.since(now), s.passed, strings.Join(texts, ", "))
}

// end tells the slowest tests and those that failed.
func (s *summary) end(now time.Time) {
	slowest := slices.SortedFunc(maps.Keys(s.took), func(a, b test) int { return cmp.Compare(s.took[b], s.took[a]) })
	fmt.Fprintf(s.out, "%s  %d passed, %d failed; the slowest:\n", s.since(now), s.passed, len(s.failed))
	for _, t := range slowest[:min(len(slowest), 12)] {
		fmt.Fprintf(s.out, "  %8s  %s\n", s.took[t], t)
	}
	for _, t := range s.failed {
		fmt.Fprintf(s.out, "FAILED: %s\n", t)
	}
}
