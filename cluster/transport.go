package cluster

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// errTooLarge ends the reading of an answer that exceeds its limit.
var errTooLarge = errors.New("the answer is too large")

// metered counts the bytes of an answer after decompression, and stops reading at a
// limit. It is passed in the request's context, since client-go reads an answer to its
// end before it returns it.
type metered struct {
	limit int64
	read  atomic.Int64
}

// meteredKey is the context key of a *metered.
type meteredKey struct{}

func (m *metered) count() int64   { return m.read.Load() }
func (m *metered) exceeded() bool { return m.read.Load() > m.limit }

// meteredTransport counts the bytes of answers to requests with a *metered in their
// context, sets the clock from each answer, leaves out a Retry-After that is too late, and
// refuses answers that are no API server's.
type meteredTransport struct {
	http.RoundTripper
	clock *clock
}

func (t meteredTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		if !isOthersAPI(r.URL.Path) {
			t.clock.set(response.Header)
		}
		dropLateRetry(r, response)
		err = checkAnswer(r, response)
	}
	if err != nil {
		return nil, err
	}
	if m, found := r.Context().Value(meteredKey{}).(*metered); found {
		m.read.Store(0) // client-go may be retrying
		response.Body = &meteredBody{response.Body, m}
	}
	return response, nil
}

type meteredBody struct {
	io.ReadCloser
	metered *metered
}

func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.metered.read.Add(int64(n)) > b.metered.limit {
		return 0, errTooLarge
	}
	return n, err
}

// longestDuration is the longest time.Duration in seconds: client-go does not wait at all for
// some longer ones, since its multiplication overflows.
const longestDuration = int(math.MaxInt64 / time.Second)

// dropLateRetry takes Retry-After out of an answer that asks to wait longer than the request may
// take, or for centuries. client-go would wait until then in silence, and report an API server
// that did not answer; so it returns the answer.
func dropLateRetry(r *http.Request, response *http.Response) {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil {
		return
	}
	end, limited := r.Context().Deadline()
	if seconds > longestDuration || limited && float64(seconds) >= time.Until(end).Seconds() {
		response.Header.Del("Retry-After")
	}
}
