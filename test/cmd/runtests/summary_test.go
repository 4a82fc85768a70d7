package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestSummary(t *testing.T) {
	began := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	s := newSummary(&out, began)
	for line := range strings.Lines(`{"Time":"2030-01-01T12:00:01Z","Action":"start","Package":"x/one"}
{"Time":"2030-01-01T12:00:01Z","Action":"run","Package":"x/one","Test":"TestLong"}
{"Time":"2030-01-01T12:00:02Z","Action":"run","Package":"x/one","Test":"TestBad"}
{"Time":"2030-01-01T12:00:02Z","Action":"run","Package":"x/one","Test":"TestBad/part"}
{"Time":"2030-01-01T12:00:03Z","Action":"output","Package":"x/one","Test":"TestLong","Output":"of one that passes\n"}
{"Time":"2030-01-01T12:00:03Z","Action":"output","Package":"x/one","Test":"TestBad/part","Output":"why it failed\n"}
`) {
		add(t, s, line)
	}
	s.progress(began.Add(21 * time.Second))
	for line := range strings.Lines(`{"Time":"2030-01-01T12:00:22Z","Action":"fail","Package":"x/one","Test":"TestBad/part","Elapsed":20}
{"Time":"2030-01-01T12:00:22Z","Action":"fail","Package":"x/one","Test":"TestBad","Elapsed":20}
{"Time":"2030-01-01T12:00:31Z","Action":"pass","Package":"x/one","Test":"TestLong","Elapsed":30}
{"Time":"2030-01-01T12:00:31Z","Action":"fail","Package":"x/one","Elapsed":30.5}
{"Action":"build-output","ImportPath":"x/two","Output":"it does not compile\n"}
`) {
		add(t, s, line)
	}
	s.end(began.Add(32 * time.Second))
	want := `21s  0 passed; running: one TestLong (20s), one TestBad (19s)
why it failed
31s  fail x/one, 30.5s
it does not compile
32s  1 passed, 3 failed; the slowest:
       30s  one TestLong
       20s  one TestBad
FAILED: one TestBad/part
FAILED: one TestBad
FAILED: one
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func add(t *testing.T, s *summary, line string) {
	t.Helper()
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatal(err)
	}
	s.add(e)
}

// TestSummaryOfTimeout: go test ends a package whose tests hang without an end of these, and the
// goroutines, which say why, are output of one of them.
func TestSummaryOfTimeout(t *testing.T) {
	began := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	s := newSummary(&out, began)
	for line := range strings.Lines(`{"Time":"2030-01-01T12:00:01Z","Action":"run","Package":"x/one","Test":"TestHangs"}
{"Time":"2030-01-01T12:00:01Z","Action":"output","Package":"x/one","Test":"TestHangs","Output":"=== RUN   TestHangs\n"}
{"Time":"2030-01-01T12:00:01Z","Action":"run","Package":"x/one","Test":"TestWaits"}
{"Time":"2030-01-01T12:00:01Z","Action":"output","Package":"x/one","Test":"TestWaits","Output":"=== RUN   TestWaits\n"}
{"Time":"2030-01-01T12:00:01Z","Action":"run","Package":"x/two","Test":"TestOther"}
{"Time":"2030-01-01T12:00:01Z","Action":"output","Package":"x/two","Test":"TestOther","Output":"of another package\n"}
{"Time":"2030-01-01T12:10:01Z","Action":"output","Package":"x/one","Test":"TestHangs","Output":"panic: test timed out\n"}
{"Time":"2030-01-01T12:10:01Z","Action":"output","Package":"x/one","Test":"TestHangs","Output":"goroutine 7 [chan receive]:\n"}
{"Time":"2030-01-01T12:10:01Z","Action":"fail","Package":"x/one","Elapsed":600}
`) {
		add(t, s, line)
	}
	s.progress(began.Add(601 * time.Second))
	s.end(began.Add(602 * time.Second))
	want := `=== RUN   TestHangs
panic: test timed out
goroutine 7 [chan receive]:
10m1s  fail x/one, 10m0s
10m1s  0 passed; running: two TestOther (10m0s)
10m2s  0 passed, 3 failed; the slowest:
FAILED: one TestHangs
FAILED: one TestWaits
FAILED: one
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
