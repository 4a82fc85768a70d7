package cli

import (
	"testing"
	"time"
)

func TestClockNote(t *testing.T) {
	for ahead, want := range map[time.Duration]string{
		0:                         "",
		59 * time.Second:          "",
		-59 * time.Second:         "",
		10 * time.Minute:          "the API server's clock, which counts, is 10m0s ahead of this machine's",
		-3*time.Hour - 1234567890: "the API server's clock, which counts, is 3h0m1s behind this machine's",
	} {
		if got := clockNote(ahead); got != want {
			t.Errorf("%s: %q, want %q", ahead, got, want)
		}
	}
}
