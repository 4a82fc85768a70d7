package cluster

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

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
