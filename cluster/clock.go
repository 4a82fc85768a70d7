package cluster

import (
	"net/http"
	"sync/atomic"
	"time"
)

// tolerance is the smallest difference between the server's clock and ours that counts:
// the server's answers have whole seconds, and take time to arrive.
const tolerance = 5 * time.Second

// clock is the difference to the API server's clock, from its last answer.
type clock struct{ ahead atomic.Int64 }

// set takes the Date header of an answer that has just arrived.
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

// Now returns the time by the API server's clock, from its last answer. Temporary grants begin
// and end on different machines, which all use this clock. Before the first answer, and if the
// clocks differ by less than a few seconds, it is this machine's time.
func (c *Client) Now() time.Time { return time.Now().Add(time.Duration(c.clock.ahead.Load())) }
