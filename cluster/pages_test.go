package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// pagedServer is a list of ConfigMaps of a size each, as a server pages it.
type pagedServer struct {
	sizes []int
	// silent says that no part of an answer is sent before the delay is over.
	silent bool
	// expireAt is the continue token that has expired once, delay how long an answer of so
	// many objects or more takes to be sent.
	expireAt string
	delay    func(objects int) time.Duration
	// limits are the sizes of the pages that were asked for; a client that did not wait for
	// an answer asks for the next while the server still gives it.
	limits *asked
}

// asked are numbers that several requests add to.
type asked struct {
	mu      sync.Mutex
	numbers []int
}

func (a *asked) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.numbers = append(a.numbers, n)
}

func (a *asked) all() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.numbers)
}

func (s *pagedServer) serve(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		limit, _ := strconv.Atoi(q.Get("limit"))
		s.limits.add(limit)
		if s.expireAt != "" && q.Get("continue") == s.expireAt {
			place := s.expireAt
			s.expireAt = ""
			answer(t, w, http.StatusGone, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonExpired, Code: 410,
				ListMeta: metav1.ListMeta{Continue: place + ".0"}})
			return
		}
		start, _ := strconv.Atoi(strings.TrimSuffix(q.Get("continue"), ".0"))
		end := min(start+limit, len(s.sizes))
		list := corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{Kind: "ConfigMapList", APIVersion: "v1"}}
		for i := start; i < end; i++ {
			list.Items = append(list.Items, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i), Annotations: map[string]string{"x": strings.Repeat("x", s.sizes[i])}}})
		}
		if end < len(s.sizes) {
			list.Continue = fmt.Sprint(end)
		}
		w.Header().Set("Content-Type", "application/json")
		if s.delay != nil {
			if !s.silent {
				_, _ = w.Write([]byte(" "))
				w.(http.Flusher).Flush()
			}
			time.Sleep(s.delay(end - start))
		}
		_ = json.NewEncoder(w).Encode(list) // the client may have had enough
	}
}

// TestPagesBySize: a page has no more bytes than it may have, however large the objects
// are, and all objects come once.
func TestPagesBySize(t *testing.T) {
	many := func(n, size int) []int { return slices.Repeat([]int{size}, n) }
	for _, test := range []struct {
		name   string
		served pagedServer
		limits []int // nil where they do not matter
		err    string
	}{
		{name: "small ones", served: pagedServer{sizes: many(4500, 10)}, limits: []int{2000, 2000, 2000}},
		{name: "large ones", served: pagedServer{sizes: many(60, 480<<10)}},
		{name: "the largest", served: pagedServer{sizes: many(9, 3<<20)}},
		{name: "large ones after small ones", served: pagedServer{sizes: append(many(2000, 10), many(25, 1<<20)...)}},
		{name: "small ones after large ones", served: pagedServer{sizes: append(many(20, 1<<20), many(3000, 10)...)}},
		{name: "one that no API server would store", served: pagedServer{sizes: []int{10, pageBytes + 1, 10}}, err: "an object takes more than 16777216 bytes"},
		{name: "a token that expires", served: pagedServer{sizes: many(4500, 10), expireAt: "2000"}, limits: []int{2000, 2000, 2000, 2000}},
		{name: "slow pages", served: pagedServer{sizes: many(600, 10), delay: func(objects int) time.Duration { return time.Duration(objects) * 3 * time.Millisecond }}},
		{name: "a page that is long in coming", served: pagedServer{sizes: many(600, 10), silent: true, delay: func(objects int) time.Duration { return time.Duration(objects) * 3 * time.Millisecond }}},
		{name: "a server that does not answer", served: pagedServer{sizes: many(3, 10), silent: true, delay: func(int) time.Duration { return 1500 * time.Millisecond }}, err: "did not answer in time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.served.limits = &asked{}
			c := clientOf(t, test.served.serve(t))
			if test.served.delay != nil {
				c = clientWith(t, test.served.serve(t), rest.Config{Timeout: time.Second})
			}
			var names []string
			err := Each(t.Context(), c, "ConfigMap", "", metav1.ListOptions{}, func(m *corev1.ConfigMap) { names = append(names, m.Name) })
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("it says %v", err)
			}
			if err == nil {
				for i, name := range names {
					if name != fmt.Sprint(i) {
						t.Fatalf("object %d is %s", i, name)
					}
				}
				if len(names) != len(test.served.sizes) {
					t.Errorf("%d objects came", len(names))
				}
			}
			if test.limits != nil && err == nil && !slices.Equal(test.limits, test.served.limits.all()) {
				t.Errorf("it asked for pages of %d", test.served.limits.all())
			}
			if times := len(test.served.limits.all()); times > 60 {
				t.Errorf("it asked %d times", times)
			}
		})
	}
}
