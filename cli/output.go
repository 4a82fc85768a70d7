package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// outputFlag adds -o with the formats that a verb has; the first is the default.
func outputFlag(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "format of what is printed: "+strings.Join(formats, "|"))
	completeValues(cmd, "output", formats...)
	inner := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(formats, *into) {
			return asUsage(cmd, fmt.Errorf("--output %q is not one of %s", *into, strings.Join(formats, ", ")))
		}
		return inner(cmd, args)
	}
}

// timeoutFlag adds --timeout: how long a verb waits for what it began.
func timeoutFlag(cmd *cobra.Command, into *time.Duration) {
	*into = 5 * time.Minute
	cmd.Flags().Var((*patience)(into), "timeout", "how long to wait")
}

// patience is pflag's Duration, but for a negative one: nothing is ever done in that.
type patience time.Duration

func (p *patience) String() string { return time.Duration(*p).String() }
func (p *patience) Type() string   { return "duration" }
func (p *patience) Set(value string) error {
	duration, err := time.ParseDuration(value)
	switch {
	case err != nil:
		return errors.New(`must be a duration like "30s" or "5m"`)
	case duration < 0:
		return errors.New("it is negative")
	}
	*p = patience(duration)
	return nil
}

// printObject writes a value as JSON or YAML.
func printObject(w io.Writer, format string, value any) error {
	if format == "json" {
		encoder := json.NewEncoder(visible{w, inJSON})
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	text, err := yaml.Marshal(value)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// visible shows control characters instead of sending them to a terminal, which
// would obey them. What we print holds words of others: a chart's name is in the
// record of a release, and a binding's subjects are whatever a chart wrote.
type visible struct {
	w io.Writer
	// as is the format in which one is shown.
	as string
}

const (
	inText = `\x%02x`
	// JSON leaves DEL and the eight bit ones as they are, but knows no \x.
	inJSON = `\u%04x`
)

func (v visible) Write(p []byte) (int, error) {
	if !bytes.ContainsFunc(p, obeyed) {
		return v.w.Write(p)
	}
	var shown bytes.Buffer
	for rest := p; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if obeyed(r) {
			fmt.Fprintf(&shown, v.as, r)
		} else {
			shown.Write(rest[:size])
		}
		rest = rest[size:]
	}
	if _, err := v.w.Write(shown.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

func obeyed(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
