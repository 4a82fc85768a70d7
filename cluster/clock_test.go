package cluster

import (
	"net/http"
	"testing"
	"time"
)

// TestClockOfOthers: the server of an API that somebody registered doesn't set the clock.
func TestClockOfOthers(t *testing.T) {
	for path, want := range map[string]time.Duration{
		"/api/v1/namespaces": time.Hour, "/version": time.Hour, "/apis": time.Hour, "/apis/apps/v1/deployments": time.Hour, "/apis/rbac.authorization.k8s.io/v1/roles": time.Hour,
		"/k8s/clusters/c-1/apis/apps/v1/deployments": time.Hour,
		"/apis/metrics.k8s.io/v1beta1/pods":          0, "/apis/custom.metrics.k8s.io/v1": 0, "/apis/team-a.example.com/v1": 0, "/k8s/clusters/c-1/apis/team-a.example.com/v1/things": 0,
	} {
		clock := &clock{}
		answer := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{"Content-Type": {"application/json"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}, "Age": {"3600"}}}
		request, err := http.NewRequest(http.MethodGet, "https://server"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (meteredTransport{oneAnswer{answer}, clock}).RoundTrip(request); err != nil {
			t.Fatal(err)
		}
		if off := (&Client{clock: clock}).Ahead() - want; off.Abs() > 2*time.Second {
			t.Errorf("%s: the clock is off by %s", path, off)
		}
	}
}

// oneAnswer is a transport with one answer.
type oneAnswer struct{ answer *http.Response }

func (a oneAnswer) RoundTrip(*http.Request) (*http.Response, error) { return a.answer, nil }

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
