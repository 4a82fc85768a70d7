package cluster

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

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
