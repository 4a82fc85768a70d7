package cluster

import (
	"net/http"
	"strconv"
	"time"
)

// dropLateRetry takes Retry-After out of an answer that asks to wait longer than the request may
// take. client-go would wait until then in silence, and report an API server that did not
// answer; so it returns the answer.
func dropLateRetry(r *http.Request, response *http.Response) {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil {
		return
	}
	end, limited := r.Context().Deadline()
	if limited && float64(seconds) >= time.Until(end).Seconds() {
		response.Header.Del("Retry-After")
	}
}
