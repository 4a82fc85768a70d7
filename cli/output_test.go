package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

// What a chart wrote must not steer the terminal of who looks at it.
func TestVisible(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"plain, with ümläuts\tand\nlines\n", "plain, with ümläuts\tand\nlines\n"},
		{"user \x1b[2J\x1b]0;gone\x07", `user \x1b[2J\x1b]0;gone\x07`},
		{"over\rwritten\x08", `over\x0dwritten\x08`},
		{"eight bit \u009b2J", `eight bit \x9b2J`},
		{"broken \xff\xfe \x1b", "broken \xff\xfe " + `\x1b`},
	} {
		var out bytes.Buffer
		if n, err := fmt.Fprint(visible{&out, inText}, c.text); err != nil || n != len(c.text) {
			t.Errorf("%q: %d, %v", c.text, n, err)
		}
		if out.String() != c.want {
			t.Errorf("%q is shown as %q, not %q", c.text, out.String(), c.want)
		}
	}
	// In JSON it stays JSON, and says the same.
	var out bytes.Buffer
	said := map[string]string{"name": "\x1b[2J \u007f \u009b2J \"quoted\" \\ ü"}
	if err := printObject(&out, "json", said); err != nil {
		t.Fatal(err)
	}
	read := map[string]string{}
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read["name"] != said["name"] {
		t.Errorf("%s is read as %q, %v", out.String(), read, err)
	}
	if bytes.ContainsFunc(out.Bytes(), obeyed) {
		t.Errorf("%q holds control characters", out.String())
	}
	if got := cell("a\nteam-x\t1/1"); got != "a team-x 1/1" {
		t.Errorf("a cell is %q", got)
	}
}
