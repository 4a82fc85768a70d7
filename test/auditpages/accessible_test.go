package auditpages

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"helm-tenant/audit"
)

// focus is what has the keyboard, and whether that is seen.
type focus struct {
	ID, Role, Label string
	Column          int
	Seen            bool
}

func (b *browser) focus() focus {
	b.t.Helper()
	return ask[focus](b, `(() => {
  const e = document.activeElement, s = getComputedStyle(e), r = e.querySelector("rect");
  const outlined = s.outlineStyle != "none" && parseFloat(s.outlineWidth) >= 2;
  const framed = !!r && parseFloat(getComputedStyle(r).strokeWidth) >= 3;
  return { ID: e.id || e.className.baseVal || e.className || e.tagName, Role: e.getAttribute("role") || e.tagName, Label: e.getAttribute("aria-label") || e.textContent.slice(0, 60), Column: Number(e.dataset?.column ?? -1), Seen: outlined || framed };
})()`)
}

func TestKeyboardAlone(t *testing.T) {
	text, report := pageOf(t, everythingWrong(), audit.Options{Ignore: []audit.Ignore{{ID: "HT004", Reason: "it goes next week"}}})
	b := open(t)
	b.load(text, "")
	var order []string
	for range 30 {
		b.press(kb.Tab)
		f := b.focus()
		if f.ID == "BODY" {
			break
		}
		if !f.Seen {
			t.Errorf("that %s (%s) has the keyboard is not seen", f.ID, f.Label)
		}
		if f.Column >= 0 {
			f.ID = "picture"
		}
		order = append(order, f.ID)
	}
	if diff := cmp.Diff([]string{"skip", "tenant", "person", "severity", "reset", "picture", "SUMMARY", "SUMMARY"}, order); diff != "" {
		t.Errorf("Tab goes, -want +got:\n%s", diff)
	}
	// The link over everything.
	b.load(text, "")
	b.press(kb.Tab, kb.Enter)
	if f := b.focus(); f.ID != "findings-head" {
		t.Errorf("the skip link leads to %+v", f)
	}
	// Arrows reach all that is drawn.
	b.load(text, "")
	b.press(kb.Tab, kb.Tab, kb.Tab, kb.Tab, kb.Tab, kb.Tab)
	want := pictureOf(report.Deployers, edgesOf(report))
	for column, count := range []int{len(want.People), len(want.Paths), len(want.Deployers), len(want.Spaces)} {
		b.press(kb.Home)
		seen := map[string]bool{}
		for range count + 2 {
			f := b.focus()
			if f.Column != column || !f.Seen {
				t.Fatalf("in column %d the arrows lead to %+v", column, f)
			}
			seen[f.Label] = true
			b.press(kb.ArrowDown)
		}
		if len(seen) != count {
			t.Errorf("of %d in column %d the arrows reach %d", count, column, len(seen))
		}
		if column < 3 {
			b.press(kb.ArrowRight)
		}
	}
	b.press(kb.ArrowLeft, kb.ArrowLeft, kb.ArrowLeft, kb.Home, kb.ArrowUp)
	if f := b.focus(); f.Column != 0 {
		t.Errorf("going back leads to %+v", f)
	}
	// Its own ways stand out.
	if lit, all := ask[int](b, `document.querySelectorAll("#picture path.lit").length`), ask[int](b, `document.querySelectorAll("#picture path").length`); lit == 0 || lit >= all {
		t.Errorf("%d of %d lines stand out", lit, all)
	}
	who := strings.TrimSuffix(b.focus().Label, ": show only this")
	b.press(kb.Enter)
	if got := ask[string](b, `document.getElementById("person").value`); got == "" || !strings.HasPrefix(who, got) {
		t.Errorf("Enter on %q shows only %q", who, got)
	}
	if f := b.focus(); f.Column < 0 {
		t.Errorf("after Enter the keyboard is at %+v", f)
	}
	if got := b.picture().People; len(got) != 1 {
		t.Errorf("then %q are drawn", got)
	}
	// Back by the button, and a filter by its arrows.
	b.do(chromedp.Focus(chromedp.ID("severity")))
	b.press(kb.Tab, kb.Enter)
	if !eventually(func() bool { return len(b.findings()) == len(report.Findings) }) {
		t.Error("Show all does not, by Enter")
	}
	b.do(chromedp.Focus(chromedp.ID("severity")))
	b.press(kb.ArrowUp)
	if got := ask[string](b, `document.getElementById("severity").value`); got != "medium" || len(b.findings()) == len(report.Findings) {
		t.Errorf("an arrow key makes the severity %q, and %d findings are shown", got, len(b.findings()))
	}
	b.do(chromedp.Focus(chromedp.ID("tenant")))
	b.press("g", "r", "e", "e", "n")
	if got := b.picture().Deployers; !slices.Equal(got, []string{"tenant green"}) {
		t.Errorf("typing green draws %q", got)
	}
	// What is folded opens.
	b.do(chromedp.Focus(chromedp.CSS("#as-table summary")))
	b.press(kb.Enter)
	if !ask[bool](b, `document.getElementById("as-table").open`) {
		t.Error("Enter does not open the table")
	}
}

// The names that a screen reader reads.
func TestEverythingHasAName(t *testing.T) {
	text, report := pageOf(t, everythingWrong(), audit.Options{})
	b := open(t)
	b.load(text, "")
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	value := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	names := map[string][]string{}
	for _, node := range tree.Nodes {
		if node.Ignored {
			continue
		}
		role, name := value(node.Role), value(node.Name)
		names[role] = append(names[role], name)
		if slices.Contains([]string{"button", "combobox", "textbox", "link", "image", "img", "form", "heading"}, role) && name == "" {
			t.Errorf("a %s has no name", role)
		}
	}
	want := pictureOf(report.Deployers, edgesOf(report))
	if got := len(names["button"]); got != len(want.People)+len(want.Deployers)+1 {
		t.Errorf("%d buttons are told, not one for each person and deployer and Show all: %q", got, names["button"])
	}
	if got := len(names["image"]) + len(names["img"]); got != len(want.Paths)+len(want.Spaces) {
		t.Errorf("%d things are told of the picture that are no buttons, not %d", got, len(want.Paths)+len(want.Spaces))
	}
	for _, role := range []string{"main", "form", "status"} {
		if len(names[role]) == 0 {
			t.Errorf("there is no %s", role)
		}
	}
	for _, label := range []string{"Tenant", "Person, group or account", "At least as bad as"} {
		if !slices.Contains(names["combobox"], label) {
			t.Errorf("no field is called %q: %q", label, names["combobox"])
		}
	}
	if got := ask[string](b, `document.documentElement.lang`); got != "en" {
		t.Errorf("the page's language is %q", got)
	}
}

// Contrast and dark: WCAG asks for 4.5 between text and what is behind it.
func TestReadableInLightAndDark(t *testing.T) {
	text, _ := pageOf(t, everythingWrong(), audit.Options{})
	b := open(t)
	backs := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
			t.Fatal(err)
		}
		b.load(text, "")
		for _, low := range ask[[]string](b, contrasts) {
			t.Errorf("%s: %s", scheme, low)
		}
		backs[ask[string](b, `getComputedStyle(document.body).backgroundColor`)] = true
		shot(b, scheme)
	}
	if len(backs) != 2 {
		t.Errorf("light and dark have one background, %v", backs)
	}
}

// shot writes a picture of the page for somebody to look at, where
// HELM_TENANT_SHOTS says.
func shot(b *browser, name string) {
	b.t.Helper()
	dir := os.Getenv("HELM_TENANT_SHOTS")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), image, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
