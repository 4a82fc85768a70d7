package cluster

import (
	"net/http"
	"testing"
	"time"
)

// TestClock: the server's time counts, not a machine's that is off.
func TestClock(t *testing.T) {
	for _, test := range []struct {
		name string
		date string
		want time.Duration
	}{
		{"none", "", 0},
		{"not a date", "soon", 0},
		{"the same", time.Now().UTC().Format(http.TimeFormat), 0},
		{"an hour ahead", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), time.Hour},
		{"a day behind", time.Now().Add(-24 * time.Hour).UTC().Format(http.TimeFormat), -24 * time.Hour},
	} {
		c := &Client{clock: &clock{}}
		c.clock.set(test.date)
		if off := time.Until(c.Now()) - test.want; off.Abs() > 2*time.Second {
			t.Errorf("%s: off by %s", test.name, off)
		}
	}
}
