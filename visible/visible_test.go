package visible

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"plain, with ümläuts, 日本語 and 😀": "plain, with ümläuts, 日本語 and 😀",
		"a\nb\tc":                     `a\nb\tc`,
		"\x1b[2J\x07\x7f\u009b":       `\x1b[2J\x07\x7f\x9b`,
		"a\u202eb\u200b\u2028":        `a\u202eb\u200b\u2028`,
		"a\u00a0b\u00adc":             `a\xa0b\xadc`,
		"\u3164\ufe0f\U000e0041":      `\u3164\ufe0f\U000e0041`,
		"a\u2800\U0001d159\U00016fe4": `a\u2800\U0001d159\U00016fe4`,
		"a\xffb\xc3":                  `a\xffb\xc3`,
		"\ufffd":                      "\ufffd",
	} {
		if got := Text(text); got != want {
			t.Errorf("%q is shown as %s, not %s", text, got, want)
		}
		if Plain(text) != (text == want) {
			t.Errorf("%q is plain: %t", text, Plain(text))
		}
	}
}

// Every character's escape is read as that character in JSON and YAML.
func TestEscapes(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !Hidden(r) || r >= 0xd800 && r < 0xe000 || r > 0x2ffff && r < 0xdff00 || r > 0xe2000 {
			continue
		}
		var inJSON, inYAML string
		if err := json.Unmarshal([]byte(`"`+JSON(r)+`"`), &inJSON); err != nil || inJSON != string(r) {
			t.Fatalf("%U in JSON is %s: %q, %v", r, JSON(r), inJSON, err)
		}
		if r%16 != 0 && r > 0x3000 {
			continue
		}
		if err := yaml.Unmarshal([]byte(`"`+YAML(r)+`"`), &inYAML); err != nil || inYAML != string(r) {
			t.Fatalf("%U in YAML is %s: %q, %v", r, YAML(r), inYAML, err)
		}
	}
}

func TestFprintf(t *testing.T) {
	var out strings.Builder
	_, err := Fprintf(&out, "%s\n%q\t%-6s|%v %d %5.1f%% %v\n", "a\nb", "c\n\u3164", "é", errors.New("d\u202ee"), 7, 2.5, []string{"f\n", "g"})
	if want := "a\\nb\n\"c\\n\\u3164\"\té     |d\\u202ee 7   2.5% [f\\n g]\n"; out.String() != want || err != nil {
		t.Errorf("got %q, want %q, %v", out.String(), want, err)
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	text := "a\tb\n\x1b\u202e\xff\n"
	if n, err := (Writer{W: &out}).Write([]byte(text)); n != len(text) || err != nil {
		t.Errorf("%d of %d bytes, %v", n, len(text), err)
	}
	if want := "a\tb\n" + `\x1b\u202e\xff` + "\n"; out.String() != want {
		t.Errorf("written is %q, not %q", out.String(), want)
	}
}

// TestRunners: no text is a command of a CI runner, in the middle of a line or at its beginning.
func TestRunners(t *testing.T) {
	for text, want := range map[string]string{
		"##vso[task.setvariable variable=a]b": `#\x23vso[task.setvariable variable=a]b`,
		"a ###[error]b":                       `a #\x23#[error]b`,
		"::set-output name=a::b":              `\x3a:set-output name=a::b`,
		"  ::error::a":                        `  \x3a:error::a`,
		"::add-mask":                          `\x3a:add-mask`,
		"a ::error::b":                        "a ::error::b",
		"# a # b":                             "# a # b",
		"::/0":                                "::/0",
		"::":                                  "::",
		"::1 a::b":                            "::1 a::b",
		"::ffff:10.0.0.0/104":                 "::ffff:10.0.0.0/104",
		"ci:deployer":                         "ci:deployer",
	} {
		got := Text(text)
		if got != want {
			t.Errorf("%q is shown as %s, not %s", text, got, want)
		}
		if Instructs(got) || Instructs(text) != (text != want) {
			t.Errorf("%q: a command is %t, and in %q %t", text, Instructs(text), got, Instructs(got))
		}
	}
	for as, format := range map[string]func(r rune) string{"JSON": JSON, "YAML": YAML} {
		var out bytes.Buffer
		text := `{"a": "##vso[x]###"}`
		if n, err := (Writer{W: &out, As: format}).Write([]byte(text)); err != nil || n != len(text) {
			t.Errorf("%s: %d, %v", as, n, err)
		}
		if got := out.String(); got != `{"a": "#\u0023vso[x]#\u0023#"}` {
			t.Errorf("%s: %s", as, got)
		}
	}
}
