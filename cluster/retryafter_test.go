package cluster

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// TestRetryAfter: an API server that asks to come back later than the request may take is
// reported as it answers, and asked again where there is time.
func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name, after string
		code        int
		timeout     time.Duration
		// want is a part of the error, empty for none; asked is the number of requests.
		want  string
		asked int32
	}{
		{"an hour", "3600", http.StatusTooManyRequests, 2 * time.Minute, "is overloaded (429), try again later", 1},
		{"more than an int of nanoseconds", "99999999999", http.StatusTooManyRequests, 2 * time.Minute, "is overloaded (429), try again later", 1},
		{"an hour, of a gateway", "3600", http.StatusServiceUnavailable, 2 * time.Minute, "currently unable to handle the request", 1},
		{"a second", "1", http.StatusTooManyRequests, 2 * time.Minute, "", 2},
		{"a second, without a limit", "1", http.StatusTooManyRequests, 0, "", 2},
		{"more than an int of nanoseconds, without a limit", "18446744073", http.StatusTooManyRequests, 0, "is overloaded (429), try again later", 1},
		{"more than an int", "99999999999999999999", http.StatusTooManyRequests, 0, "is overloaded (429), try again later", 1},
		{"a word", "soon", http.StatusTooManyRequests, 2 * time.Minute, "is overloaded (429)", 1},
		{"a fraction", "1.5", http.StatusTooManyRequests, 2 * time.Minute, "is overloaded (429)", 1},
		{"a date, which client-go does not read", "Fri, 31 Dec 2099 23:59:59 GMT", http.StatusTooManyRequests, 2 * time.Minute, "is overloaded (429)", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) == 1 {
					w.Header().Set("Retry-After", test.after)
					w.WriteHeader(test.code)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}`))
			}))
			defer server.Close()
			c, err := newClient(&rest.Config{Host: server.URL, Timeout: test.timeout, QPS: -1}, "context test")
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, _, err = c.NamespaceLabels(t.Context(), "a")
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if asked.Load() != test.asked || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%d requests, error %v", asked.Load(), err)
			}
		})
	}
}

// TestLongestWait: an impersonated request is sent again after a while, and not at once, however
// long the API server asks to wait.
func TestLongestWait(t *testing.T) {
	for after, want := range map[string]time.Duration{
		"1": time.Second, "30": 30 * time.Second, "31": longestWait, "99999999999": longestWait, "18446744073": longestWait, "9223372036854775807": longestWait,
		"": 0, "0": 0, "-1": 0, "soon": 0, "1.5": 0, "99999999999999999999": 0,
	} {
		response := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {after}}}
		if got := retryAfter(response); got != want {
			t.Errorf("%q: %v, not %v", after, got, want)
		}
		response.StatusCode = http.StatusServiceUnavailable
		if got := retryAfter(response); got != 0 {
			t.Errorf("%q of another answer: %v", after, got)
		}
	}
}
