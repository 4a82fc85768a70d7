package auditpages

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"helm-tenant/audit"
	"helm-tenant/audit/view"
	"helm-tenant/test/harness"
)

// browser is a tab of a real browser without a window.
type browser struct {
	t   *testing.T
	ctx context.Context
	// asked are the addresses that it has asked for.
	mutex sync.Mutex
	asked []string
}

func open(t *testing.T) *browser {
	t.Helper()
	program := harness.Program(t, "chromium", "chromium-browser", "google-chrome")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.WindowSize(1400, 1000), chromedp.WSURLReadTimeout(harness.Patience),
		chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*harness.Patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() { chromedp.Cancel(ctx); cancel() })
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, func(event any) {
		if request, ok := event.(*network.EventRequestWillBeSent); ok {
			b.mutex.Lock()
			defer b.mutex.Unlock()
			b.asked = append(b.asked, request.Request.URL)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// load opens a page of that text from a file, and waits until it says that it is
// ready. It returns how long that took.
func (b *browser) load(text, fragment string) time.Duration {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "audit.html")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	start := time.Now()
	b.do(chromedp.Navigate("file://"+file+fragment), chromedp.WaitReady(chromedp.CSS("body[data-ready=yes]")))
	return time.Since(start)
}

// ask evaluates an expression to a value.
func ask[T any](b *browser, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// press types keys, as a person at a keyboard does.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
}

func (b *browser) requests() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return append([]string(nil), b.asked...)
}

func pageOf(t *testing.T, s *scene, o audit.Options) (string, *audit.Report) {
	t.Helper()
	report := audit.Audit(&s.Snapshot, o)
	var text bytes.Buffer
	if err := view.HTML(&text, report, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	return text.String(), report
}

func TestPageAsksNobody(t *testing.T) {
	var hits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		io.WriteString(w, "x")
	}))
	defer elsewhere.Close()
	text, _ := pageOf(t, everythingWrong(), audit.Options{})
	b := open(t)
	b.load(text, "")
	// What is in the page itself is not asked for: the file is all.
	for _, url := range b.requests() {
		if !strings.HasPrefix(url, "file://") || !strings.HasSuffix(url, "/audit.html") {
			t.Errorf("the page asked for %s", url)
		}
	}
	if len(b.requests()) == 0 {
		t.Error("not even the page was asked for: nothing is seen of requests")
	}
	if !strings.Contains(text, `http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-`) {
		t.Error("the page has no content security policy")
	}
	// Even markup that got into it, and code that runs in it, gets nothing out.
	smuggled := `<img src="` + elsewhere.URL + `/img"><script>window.smuggled = 1</script><script src="` + elsewhere.URL + `/js"></script><link rel="stylesheet" href="` + elsewhere.URL + `/css"><iframe src="` + elsewhere.URL + `/frame"></iframe>`
	with := strings.Replace(text, "</body>", smuggled+"</body>", 1)
	b.load(with, "")
	fetched := `fetch("` + elsewhere.URL + `").then(() => "got it", () => "refused")`
	got := ask[string](b, fetched)
	if got != "refused" || hits.Load() != 0 || ask[bool](b, "'smuggled' in window") {
		t.Errorf("with markup put into it the page asked %d times, a fetch is %s, a script of somebody else's ran: %t", hits.Load(), got, ask[bool](b, "'smuggled' in window"))
	}
	// And that would be seen.
	start := strings.Index(with, `<meta http-equiv`)
	end := start + strings.Index(with[start:], ">") + 1
	b.load(with[:start]+with[end:], "")
	if hits.Load() < 4 || !ask[bool](b, "'smuggled' in window") {
		t.Errorf("without its policy the page asked %d times: the test sees nothing", hits.Load())
	}
}
