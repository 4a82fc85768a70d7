package cluster

import (
	"net/http"
	"sync/atomic"
	"time"
)

// tolerance is how far the server's clock must differ from ours to count: its answers
// give whole seconds, and take their time.
const tolerance = 5 * time.Second

// clock is the API server's, as the last answer told it.
type clock struct{ ahead atomic.Int64 }

// set takes the Date header of an answer that has just come.
func (c *clock) set(date string) {
	serverTime, err := http.ParseTime(date)
	if err != nil {
		return // a proxy may leave it out
	}
	ahead := time.Until(serverTime)
	if ahead.Abs() < tolerance {
		ahead = 0
	}
	c.ahead.Store(int64(ahead))
}

// Now is the time by the API server's clock, as its last answer told it: grants for a
// time are made and ended on different machines, and the server is the one that all of
// them ask. It is this machine's clock before the first answer, and where the two differ
// by less than a few seconds.
func (c *Client) Now() time.Time { return time.Now().Add(time.Duration(c.clock.ahead.Load())) }
