package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/test/harness"
)

// team is the names of one tenant. No two tests share any, so that they run
// side by side on one API server.
type team struct {
	name, home string
	a, b, c    string
}

var count atomic.Int64

func newTeam() team {
	name := fmt.Sprintf("team%d", count.Add(1))
	return team{name: name, home: name + "-tiller", a: name + "-a", b: name + "-b", c: name + "-c"}
}

// namespaces returns those for which the team has a name; not all of them exist.
func (team team) namespaces() []string {
	return slices.DeleteFunc([]string{team.home, team.a, team.b, team.c}, func(name string) bool { return name == "" })
}

// user is somebody at a keyboard.
type user struct {
	name       string
	groups     []string
	kubeconfig string
	env        []string
	config     *rest.Config
	*kubernetes.Clientset

	w *world
	// read is how far the audit log was read.
	read int64
}

// newUser makes a user of a name that no other test's user has, so that the
// audit log tells them apart.
func (w *world) newUser(t *testing.T, name string, groups ...string) *user {
	t.Helper()
	return w.userNamed(t, fmt.Sprintf("%s%d", name, count.Add(1)), groups...)
}

func (w *world) userNamed(t *testing.T, name string, groups ...string) *user {
	t.Helper()
	kubeconfig, err := w.Kubeconfig(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	config := w.Config(t, name, groups...)
	u := &user{name: name, groups: groups, kubeconfig: kubeconfig, config: config, Clientset: kubernetes.NewForConfigOrDie(config), w: w}
	if info, err := os.Stat(auditLog()); err == nil {
		u.read = info.Size()
	}
	return u
}

// admin makes a cluster admin.
func (w *world) admin(t *testing.T) *user {
	t.Helper()
	return w.newUser(t, "admin", "system:masters")
}

// command returns the process of `helm-tenant ARGS...`, typed by the user.
func (u *user) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, u.w.binary, args...)
	cmd.Env = u.environ()
	return cmd
}

// environ returns the environment of the user's commands: nothing of the machine's own, no helm,
// no cache, no kubeconfig.
func (u *user) environ() []string {
	return append([]string{
		"PATH=" + filepath.Join(dir, "no-programs"),
		"HOME=" + filepath.Join(dir, "home"),
		"XDG_CACHE_HOME=" + filepath.Join(dir, "cache"),
		"KUBECONFIG=" + u.kubeconfig,
		"HELM_BIN=" + u.w.helm,
		harness.Collector(),
	}, u.env...)
}

// patience is how long a command may take before it counts as hanging.
const patience = harness.Patience

func (u *user) run(t *testing.T, args ...string) harness.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var r harness.Result
	if harness.Race() {
		r = u.start(ctx, t, args...)
	} else {
		r, _ = harness.Run(ctx, u.environ(), strings.NewReader(""), args...) // the context is looked at below
	}
	if ctx.Err() != nil {
		t.Fatalf("it hung: %v", r)
	}
	return r
}

// start runs the command as a process of its own.
func (u *user) start(ctx context.Context, t *testing.T, args ...string) harness.Result {
	t.Helper()
	r, err := harness.Exec(ctx, u.environ(), nil, u.w.binary, args...)
	if err != nil {
		t.Fatalf("helm-tenant can't be run: %v", err)
	}
	return r
}

// must runs a command that has to succeed.
func (u *user) must(t *testing.T, args ...string) harness.Result {
	t.Helper()
	r := u.run(t, args...)
	if r.Code != 0 {
		t.Fatalf("it failed: %v", r)
	}
	return r
}

// fails runs a command that must exit with that code, print a clear line for each
// error, all of the words, and nothing on stdout.
func (u *user) fails(t *testing.T, code int, words []string, args ...string) harness.Result {
	t.Helper()
	r := u.run(t, args...)
	complains(t, r, code, words...)
	return r
}

// complains checks that the command failed as expected: with the exit code, a line for each
// error, and all of the words.
func complains(t *testing.T, r harness.Result, code int, words ...string) {
	t.Helper()
	if r.Code != code {
		t.Fatalf("exit code %d, not %d: %v", r.Code, code, r)
	}
	var lines []string
	for line := range strings.Lines(r.Stderr) {
		if strings.HasPrefix(line, "Error: ") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("no line of error: %v", r)
	}
	for _, word := range words {
		if !strings.Contains(r.Stderr, word) {
			t.Errorf("%q is not said: %v", word, r)
		}
	}
	if klog.MatchString(r.Stderr) {
		t.Errorf("a library speaks in between: %v", r)
	}
	// Go's formats for values that were not meant to be printed.
	for _, noise := range []string{"%!", "0xc0", "goroutine ", "<nil>", "&{", ".go:"} {
		if strings.Contains(r.Stderr, noise) {
			t.Errorf("%q is no clear line: %v", noise, r)
		}
	}
	if r.Stdout != "" {
		t.Errorf("a failure wrote to stdout: %v", r)
	}
}

// klog is how Kubernetes' libraries log.
var klog = regexp.MustCompile(`(?m)^[IWEF][0-9]{4} `)

// running is a command that has not ended yet.
type running struct {
	cmd    *exec.Cmd
	stderr *tail
	began  time.Time
	ended  chan harness.Result
}

// launch starts a command and returns at once.
func (u *user) launch(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p := &running{cmd: u.command(ctx, args...), stderr: &tail{}, began: time.Now(), ended: make(chan harness.Result, 1)}
	var stdout bytes.Buffer
	p.cmd.Stdout, p.cmd.Stderr = &stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer cancel()
		_ = p.cmd.Wait() // the exit code tells
		p.ended <- harness.Result{Args: args, Code: p.cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: p.stderr.String(), Took: time.Since(p.began)}
	}()
	return p
}

// says waits until the command wrote text to stderr.
func (p *running) says(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(p.stderr.String(), text) {
			return
		}
	}
	t.Fatalf("it never says %q: %s", text, p.stderr)
}

// tail is a buffer that is read while it is written.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// request is one that the API server answered.
type request struct {
	Verb, Stage    string
	RequestURI     string
	User           struct{ Username string }
	ObjectRef      struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	ResponseStatus struct{ Code int }
}

// String returns the verb and the object: "create rolebindings a/helm-tenant.x.admin".
func (r request) String() string {
	resource := r.ObjectRef.Resource
	if r.ObjectRef.Subresource != "" {
		resource += "/" + r.ObjectRef.Subresource
	}
	name := r.ObjectRef.Name
	if r.ObjectRef.Namespace != "" && resource != "namespaces" {
		name = r.ObjectRef.Namespace + "/" + name
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Verb, resource, name))
}

// isWrite reports whether it could change anything: what reviews create is but an
// answer, and a dry run is none.
func (r request) isWrite() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.Verb) &&
		!strings.HasSuffix(r.ObjectRef.Resource, "reviews") && !strings.Contains(r.RequestURI, "dryRun=All")
}

// requests returns the user's requests since the last call. The API server writes its audit log
// before it answers.
func (u *user) requests(t *testing.T) []request {
	t.Helper()
	file, err := os.Open(auditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(u.read, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	u.read += int64(len(text))
	var requests []request
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte(`"username":"`+u.name+`"`)) {
			continue
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("the audit log has a line that is no JSON: %v\n%s", err, line)
		}
		if r.User.Username == u.name && r.Stage == "ResponseComplete" {
			requests = append(requests, r)
		}
	}
	return requests
}

// writes returns the requests among these that changed something, sorted.
func writes(requests []request) []string {
	lines := []string{}
	for _, r := range requests {
		if r.isWrite() && r.ResponseStatus.Code < 300 {
			lines = append(lines, r.String())
		}
	}
	slices.Sort(lines)
	return lines
}

// wroteNothing fails the test if the user asked for any write since the last
// time that somebody looked.
func (u *user) wroteNothing(t *testing.T) {
	t.Helper()
	for _, r := range u.requests(t) {
		if r.isWrite() {
			t.Errorf("it tried to write: %v (answered %d)", r, r.ResponseStatus.Code)
		}
	}
}

// hook sees requests between a user and the API server. It answers a request itself and returns
// true, or lets it pass.
type hook func(w http.ResponseWriter, r *http.Request) bool

// through returns the same user with a kubeconfig that leads through a proxy with
// that hook.
func (u *user) through(t *testing.T, h hook) *user {
	t.Helper()
	target, err := url.Parse(u.w.Server)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(u.config)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h == nil || !h(w, r) {
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return u.at(t, server.URL)
}

// at returns the same user with a kubeconfig for another address, without credentials.
func (u *user) at(t *testing.T, server string) *user {
	t.Helper()
	other := *u
	other.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: server}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{u.name: {}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: u.name}},
		CurrentContext: "test",
	}, other.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return &other
}

// hang keeps a request waiting until who made it is gone. The body is read first:
// net/http sees the end of a connection only behind it.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // who made it may be gone already
	<-r.Context().Done()
}

// isWriteRequest is isWrite for a request before its answer.
func isWriteRequest(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "reviews") && r.URL.Query().Get("dryRun") == ""
}

// lines returns the sorted, trimmed lines of a text.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}
