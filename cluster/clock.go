package cluster

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tolerance is the smallest difference between the server's clock and ours that counts:
// the server's answers have whole seconds, and take time to arrive.
const tolerance = 5 * time.Second

// clock is the difference to the API server's clock, from its answers.
type clock struct {
	mutex sync.Mutex
	ahead time.Duration
	read  bool
}

// set takes the header of an answer that has just arrived. The largest difference counts: an
// answer that a proxy kept has an earlier Date, and in Age the seconds since.
func (c *clock) set(header http.Header) {
	serverTime, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return // a proxy may leave it out
	}
	if age, err := strconv.ParseUint(header.Get("Age"), 10, 31); err == nil {
		serverTime = serverTime.Add(time.Duration(age) * time.Second)
	}
	ahead := time.Until(serverTime)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.read || ahead > c.ahead {
		c.ahead, c.read = ahead, true
	}
}

// isOthersAPI reports whether another server than the API server may answer requests of the path:
// one that somebody registered for an API group with a domain. The API server passes its headers
// on, and whoever runs it must not set the clock by which temporary grants end.
func isOthersAPI(path string) bool {
	_, after, found := strings.Cut(path, "/apis/")
	group, _, _ := strings.Cut(after, "/")
	return found && strings.Contains(group, ".") && (!strings.HasSuffix(group, ".k8s.io") || strings.HasSuffix(group, "metrics.k8s.io"))
}

// Ahead returns how much the API server's clock is ahead of this machine's, by its answers;
// 0 before the first, and if the clocks differ by less than a few seconds.
func (c *Client) Ahead() time.Duration {
	c.clock.mutex.Lock()
	defer c.clock.mutex.Unlock()
	if c.clock.ahead.Abs() < tolerance {
		return 0
	}
	return c.clock.ahead
}

// Now returns the time by the API server's clock. Temporary grants begin and end on different
// machines, which all use this clock.
func (c *Client) Now() time.Time { return time.Now().Add(c.Ahead()) }
