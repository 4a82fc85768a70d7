package faults

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// contextName is that of every kubeconfig context in these tests.
const contextName = "test"

// handler stands between a command and the API server: next passes a request on.
type handler func(w http.ResponseWriter, r *http.Request, next http.Handler)

// proxy is a handler that listens.
type proxy struct {
	server     *httptest.Server
	kubeconfig string
}

// through starts a proxy and writes a kubeconfig for it. The proxy has the admin's credentials;
// its clients need none.
func (w *world) through(folder string, h handler) (*proxy, error) {
	target, err := url.Parse(w.Server)
	if err != nil {
		return nil, err
	}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     w.transport,
		FlushInterval: -1, // watches
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p := &proxy{kubeconfig: filepath.Join(folder, "kubeconfig")}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r, forward) }))
	err = clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: p.server.URL}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"root": {}},
		Contexts:       map[string]*clientcmdapi.Context{contextName: {Cluster: "test", AuthInfo: "root"}},
		CurrentContext: contextName,
	}, p.kubeconfig)
	if err != nil {
		p.close()
	}
	return p, err
}

func (p *proxy) close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// isWrite reports whether a request could change anything: what reviews create is
// but an answer.
func isWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "reviews") && r.URL.Query().Get("dryRun") == ""
}

// hang keeps a request waiting until who made it is gone. The body is read first:
// net/http sees the end of a connection only behind it.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // who made it may be gone already
	<-r.Context().Done()
}

// answer sends a recorded answer.
func answer(w http.ResponseWriter, recorded *httptest.ResponseRecorder) {
	for name, values := range recorded.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes()) // who asked may be gone
}

// gate passes writes on one after the other, and after a number of them no request any more.
type gate struct {
	// stopAfter is after how many writes; 0 is never.
	stopAfter int
	// silent keeps the answer to the last of them back.
	silent bool
	// backwards passes concurrent writes on in the reverse order.
	backwards bool
	// first is called before the first write.
	first func() error

	mu      sync.Mutex
	changed *sync.Cond // of mu: what a write waits for may be so
	waiting []*write
	busy    bool
	arrived time.Time
	stopped bool
	begun   int
	made    []string
	err     error
	reached chan struct{}
}

type write struct{ name string }

func newGate() *gate {
	g := &gate{reached: make(chan struct{})}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// gathering is how long the gate waits for more writes before it chooses one.
const gathering = 15 * time.Millisecond

func (g *gate) handle(w http.ResponseWriter, r *http.Request, next http.Handler) {
	g.mu.Lock()
	stopped := g.stopped
	g.mu.Unlock()
	switch {
	case stopped:
		hang(r)
		return
	case !isWrite(r):
		next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	mine := &write{nameOf(r, body)}
	if !g.wait(r, mine) {
		return
	}
	recorded := httptest.NewRecorder()
	next.ServeHTTP(recorded, r)
	if last := g.done(mine, recorded.Code); last && g.silent {
		close(g.reached)
		<-r.Context().Done()
	} else {
		answer(w, recorded)
		if last {
			w.(http.Flusher).Flush()
			close(g.reached)
		}
	}
}

// nameOf is by what writes are told apart and ordered.
func nameOf(r *http.Request, body []byte) string {
	name := r.Method + " " + r.URL.Path
	var object struct{ Metadata struct{ Name string } }
	if r.Method == http.MethodPost && json.Unmarshal(body, &object) == nil {
		name += "/" + object.Metadata.Name
	}
	return name
}

// wait returns true when it is this write's turn, false when it has none.
func (g *gate) wait(r *http.Request, mine *write) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, mine)
	g.arrived = time.Now()
	gathered := time.AfterFunc(gathering, g.wake)
	defer gathered.Stop()
	for {
		if g.stopped {
			g.mu.Unlock()
			<-r.Context().Done()
			g.mu.Lock()
			return false
		}
		if !g.busy && time.Since(g.arrived) >= gathering && g.next() == mine {
			break
		}
		g.changed.Wait()
	}
	g.busy = true
	g.begun++
	g.waiting = slices.DeleteFunc(g.waiting, func(w *write) bool { return w == mine })
	if g.begun == 1 && g.first != nil {
		g.err = g.first()
	}
	return true
}

// wake has the writes that wait look whether it is their turn.
func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed.Broadcast()
}

func (g *gate) next() *write {
	compare := func(a, b *write) int { return strings.Compare(a.name, b.name) }
	if g.backwards {
		return slices.MaxFunc(g.waiting, compare)
	}
	return slices.MinFunc(g.waiting, compare)
}

// done counts a write and reports whether it was the last one.
func (g *gate) done(mine *write, code int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.changed.Broadcast()
	g.busy = false
	if code < 300 {
		g.made = append(g.made, mine.name)
	}
	g.stopped = g.stopAfter > 0 && len(g.made) == g.stopAfter
	return g.stopped
}
