package cluster

import (
	"net/http"
	"testing"
	"time"
)

// TestClock: the server's time counts, not a machine's that is off.
func TestClock(t *testing.T) {
	date := func(ahead time.Duration) http.Header {
		return http.Header{"Date": {time.Now().Add(ahead).UTC().Format(http.TimeFormat)}}
	}
	aged := func(age string, ahead time.Duration) http.Header {
		h := date(ahead)
		h.Set("Age", age)
		return h
	}
	for _, test := range []struct {
		name    string
		answers []http.Header
		want    time.Duration
	}{
		{"none", []http.Header{{}}, 0},
		{"not a date", []http.Header{{"Date": {"soon"}}}, 0},
		{"the same", []http.Header{date(0)}, 0},
		{"within the tolerance", []http.Header{date(-3 * time.Second)}, 0},
		{"an hour ahead", []http.Header{date(time.Hour)}, time.Hour},
		{"a day behind", []http.Header{date(-24 * time.Hour)}, -24 * time.Hour},
		{"kept by a proxy", []http.Header{aged("600", -10*time.Minute)}, 0},
		{"kept, and an hour ahead", []http.Header{aged("600", 50*time.Minute)}, time.Hour},
		{"no age", []http.Header{aged("-600", 0)}, 0},
		{"one kept without an age", []http.Header{date(0), date(-time.Hour)}, 0},
		{"the first kept without an age", []http.Header{date(-time.Hour), date(time.Hour)}, time.Hour},
		{"the last without a date", []http.Header{date(time.Hour), {}}, time.Hour},
	} {
		c := &Client{clock: &clock{}}
		for _, answer := range test.answers {
			c.clock.set(answer)
		}
		if off := time.Until(c.Now()) - test.want; off.Abs() > 2*time.Second {
			t.Errorf("%s: off by %s", test.name, off)
		}
	}
}
