package faults

import (
	"encoding/json"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// requestTimeout is how long the command waits for an answer.
const requestTimeout = 4 * time.Second

// faults disturbs requests. Whether and how is decided by the seed, the request
// and how often it was made, so that it does not hang on which of several
// requests comes first.
type faults struct {
	seed uint64
	// rate is the share of requests that are disturbed.
	rate          float64
	reads, writes bool

	mu    *sync.Mutex
	count map[string]int
	// made counts the faults by kind.
	made map[string]int
}

func newFaults(seed uint64, random *rand.Rand) faults {
	f := faults{seed: seed, mu: &sync.Mutex{}, count: map[string]int{}, made: map[string]int{}}
	f.rate = []float64{0.05, 0.1, 0.2, 0.4}[random.IntN(4)]
	switch random.IntN(4) {
	case 0:
		f.reads = true
	case 1:
		f.reads, f.writes = true, true
	default:
		f.writes = true
	}
	return f
}

// fault disturbs one request.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// kinds are the faults that any request can meet.
var kinds = map[string]fault{
	"429": refuses(http.StatusTooManyRequests),
	"500": refuses(http.StatusInternalServerError),
	"503": refuses(http.StatusServiceUnavailable),
	"502 of a balancer": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "<h1>Bad Gateway</h1>\n<p>sorry</p>", http.StatusBadGateway)
	},
	"dropped before the server got it": func(http.ResponseWriter, *http.Request, http.Handler) {
		panic(http.ErrAbortHandler) // closes the connection
	},
	"slow": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		time.Sleep(300 * time.Millisecond)
		next.ServeHTTP(w, r)
	},
}

// after are faults after the API server did what was asked: not in a watch, whose answer has no
// end.
var after = map[string]fault{
	"dropped after the server got it": func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	},
	"answer cut": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		maps.Copy(w.Header(), recorded.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes()[:recorded.Body.Len()/2]) // who asked may be gone
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	},
	"no answer": func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		<-r.Context().Done()
	},
}

func refuses(code int) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { refuse(w, r, code) }
}

func (f *faults) handle(w http.ResponseWriter, r *http.Request, next http.Handler) {
	name, disturb := f.choose(r)
	if disturb == nil {
		next.ServeHTTP(w, r)
		return
	}
	f.mu.Lock()
	f.made[name]++
	f.mu.Unlock()
	if name == "409" || name == "429" || name == "500" || name == "503" {
		_, _ = io.Copy(io.Discard, r.Body) // or the connection could not be used again
	}
	disturb(w, r, next)
}

// choose returns how a request is disturbed, nil for not at all.
func (f *faults) choose(r *http.Request) (string, fault) {
	if write := isWrite(r); write && !f.writes || !write && !f.reads {
		return "", nil
	}
	request := r.Method + " " + r.URL.Path
	f.mu.Lock()
	f.count[request]++
	count := f.count[request]
	f.mu.Unlock()
	hash := fnv.New64()
	_, _ = io.WriteString(hash, request) // never fails
	random := rand.New(rand.NewPCG(f.seed, hash.Sum64()+uint64(count)))
	if random.Float64() >= f.rate {
		return "", nil
	}
	possible := maps.Clone(kinds)
	if r.URL.Query().Get("watch") == "" {
		maps.Copy(possible, after)
	}
	if isWrite(r) {
		possible["409"] = refuses(http.StatusConflict)
	}
	names := slices.Sorted(maps.Keys(possible))
	name := names[random.IntN(len(names))]
	return name, possible[name]
}

// refuse answers a request as the API server does.
func refuse(w http.ResponseWriter, r *http.Request, code int) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Message: "made up by the test",
	}
	switch code {
	case http.StatusConflict:
		status.Reason = metav1.StatusReasonConflict
		if r.Method == http.MethodPost {
			status.Reason = metav1.StatusReasonAlreadyExists
		}
	case http.StatusTooManyRequests:
		status.Reason = metav1.StatusReasonTooManyRequests
		w.Header().Set("Retry-After", "1")
	case http.StatusInternalServerError:
		status.Reason = metav1.StatusReasonInternalError
	case http.StatusServiceUnavailable:
		status.Reason = metav1.StatusReasonServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(status) // who asked may be gone
}
