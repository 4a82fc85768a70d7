package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	yamlv3 "go.yaml.in/yaml/v3"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// outputFlag adds -o with the formats of a verb; the first is the default.
func outputFlag(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "output format: "+strings.Join(formats, "|"))
	completeValues(cmd, "output", formats...)
	inner := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(formats, *into) {
			err := fmt.Errorf("--output %q is not one of %s", *into, strings.Join(formats, ", "))
			if cmd.Flags().Lookup("output-file") != nil {
				err = withHint(err, "a file is named with --output-file")
			}
			return asUsage(cmd, err)
		}
		return inner(cmd, args)
	}
}

// tableOptions are options for scripts that read a table's lines.
type tableOptions struct{ noHeaders, quiet bool }

func (o *tableOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "print the table without headers")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print names alone")
}

// head writes the headers of a table, unless they are turned off.
func (o tableOptions) head(table io.Writer, columns ...string) {
	if !o.noHeaders {
		printRow(table, columns...)
	}
}

// timeoutFlag adds --timeout, which bounds the waits of a verb.
func timeoutFlag(cmd *cobra.Command, into *time.Duration) {
	*into = 5 * time.Minute
	cmd.Flags().Var(duration(into), "timeout", "maximum time to wait")
}

// document begins everything that a verb prints as JSON or YAML.
type document struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func documentOf(kind string) document { return document{tenant.APIVersion, kind} }

// printObject writes a value as JSON or YAML, with empty lists for nil slices
// (withLists).
func printObject(w io.Writer, format string, value any) error {
	value = withLists(value)
	if format == "json" {
		encoder := json.NewEncoder(visible.Writer{W: w, As: visible.JSON})
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	// By way of JSON, for its field names. JSON leaves control characters unescaped that
	// a YAML reader refuses.
	var escaped bytes.Buffer
	if err := json.NewEncoder(visible.Writer{W: &escaped, As: visible.YAML}).Encode(value); err != nil {
		return err
	}
	text, err := yaml.JSONToYAML(escaped.Bytes())
	if err == nil {
		err = printYAML(w, text)
	}
	return err
}

// printYAML writes a YAML document in which hidden characters of values are escaped,
// which does not change the values. Only double-quoted values can have escapes.
func printYAML(w io.Writer, text []byte) error {
	if !bytes.ContainsFunc(text, hiddenInYAML) && !visible.Instructs(string(text)) {
		_, err := w.Write(text)
		return err
	}
	var document yamlv3.Node
	if err := yamlv3.Unmarshal(text, &document); err != nil {
		return err
	}
	quoteHidden(&document)
	var whole bytes.Buffer // the encoder writes in pieces, which end anywhere
	encoder := yamlv3.NewEncoder(&whole)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(&document), encoder.Close()); err != nil {
		return err
	}
	_, err := visible.Writer{W: w, As: visible.YAML}.Write(whole.Bytes())
	return err
}

// hiddenInYAML reports whether a character needs an escape; line breaks and tabs may be
// part of the layout.
func hiddenInYAML(r rune) bool { return r != '\n' && r != '\t' && visible.Hidden(r) }

// quoteHidden sets double quotes for the values with hidden characters, and those with commands
// of CI runners.
func quoteHidden(node *yamlv3.Node) {
	if node.Kind == yamlv3.ScalarNode && (strings.ContainsFunc(node.Value, hiddenInYAML) || visible.Instructs(node.Value)) {
		node.Style = yamlv3.DoubleQuotedStyle
	}
	for _, inner := range node.Content {
		quoteHidden(inner)
	}
}

// shown returns sentences with the hidden characters in them escaped.
func shown(sentences []string) []string {
	for i, sentence := range sentences {
		if text := visible.Text(sentence); text != sentence {
			sentences = slices.Clone(sentences)
			sentences[i] = text
		}
	}
	return sentences
}

// printRow writes one row of a table. Untrusted text in a cell can't add rows or columns.
func printRow(w io.Writer, cells ...string) {
	shown := lists.Map(cells, visible.Text)
	fmt.Fprintln(w, strings.Join(shown, "\t"))
}

// clipped shortens a name for a table. Names of bindings and users can have any length,
// and a long cell pads its column in every row; -o json has the whole name.
func clipped(name string) string {
	const limit = 256 // no less than the longest name of other objects
	if len(name) > limit {
		name = strings.ToValidUTF8(name[:limit], "") + "..."
	}
	return visible.Name(name)
}

// someOf returns the first of many names for a table's cell, for the same reason.
func someOf(names []string) string {
	const limit = 10
	shown := lists.Map(names[:min(len(names), limit)], clipped)
	if len(names) > limit {
		return fmt.Sprintf("%s and %d more", strings.Join(shown, ", "), len(names)-limit)
	}
	return strings.Join(shown, ", ")
}

func isTerminal(stream any) bool {
	file, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// unknownTag marks a list whose items may not be known to the caller: it is then null in
// machine output, and not empty. Code that knows that it is empty sets an empty slice.
const unknownTag = "nil"

// withLists returns a copy of a value for machine output in which nil slices are empty,
// so that each list is [] and never null or missing. Fields with unknownTag stay nil.
// Slices that the value shares with others are changed in place, which makes no
// difference to Go code.
func withLists(value any) any {
	from := reflect.ValueOf(value)
	if !from.IsValid() {
		return value
	}
	into := reflect.New(from.Type()).Elem()
	into.Set(from)
	fillLists(into)
	return into.Interface()
}

// known returns a list that is nil only if it is not known.
func known[T any](list []T, isKnown bool) []T {
	if !isKnown {
		return nil
	}
	return append([]T{}, list...)
}

func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fillLists(v.Elem())
		}
	case reflect.Struct:
		for field := range v.Type().Fields() {
			value := v.FieldByIndex(field.Index)
			_, unknown := field.Tag.Lookup(unknownTag)
			settable := value.CanSet() || field.Anonymous && value.Kind() == reflect.Struct
			if settable && !(unknown && value.IsNil()) {
				fillLists(value)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 { // bytes, which are a string in JSON
			return
		}
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fillLists(v.Index(i))
		}
	}
}

// readingVerbs write nothing, so that a closed output may end them: "helm tenant tenants | head".
var readingVerbs = []string{"tenants", "describe", "export", "audit", "prove", "releases", "whoami", "shellenv"}

// outliveOutput lets a verb go on when a reader such as head closes its output: otherwise the
// signal that this causes would end the process between two writes to the cluster. It returns
// the environment for the verb.
func (c caller) outliveOutput() caller {
	// A signal that is delivered to a channel ends nothing. Ignoring it instead would be passed on
	// to helm and its plugins.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	c.Env.Stdout, c.Env.Stderr = unread(c.Env.Stdout), unread(c.Env.Stderr)
	return c
}

// unread returns a stream whose writes succeed after its reader has closed it. A terminal stays
// what it is, so that it is still found to be one.
func unread(stream io.Writer) io.Writer {
	if isTerminal(stream) {
		return stream
	}
	return unreadStream{stream}
}

type unreadStream struct{ stream io.Writer }

func (u unreadStream) Write(text []byte) (int, error) {
	n, err := u.stream.Write(text)
	if isClosedPipe(err) {
		return len(text), nil
	}
	return n, err
}

func isClosedPipe(err error) bool {
	const errorBrokenPipe, errorNoData = syscall.Errno(109), syscall.Errno(232)
	return errors.Is(err, syscall.EPIPE) || runtime.GOOS == "windows" && (errors.Is(err, errorBrokenPipe) || errors.Is(err, errorNoData))
}

// pastTense has what a change did, as its line begins.
var pastTense = map[cluster.Action]string{cluster.Create: "created", cluster.Update: "updated", cluster.Delete: "deleted", cluster.Replace: "replaced"}

// policyChanges are changes of admission policies of one kind that are not printed yet.
type policyChanges struct {
	first  cluster.Change
	number int
}

// change prints a change that was made. The first init of a cluster makes dozens of admission
// policies, among which the tenant's own objects would not be seen: those that follow each other
// are one line, unless debugging output is asked for.
func (s *session) change(c cluster.Change) {
	if !admin.IsPolicy(c.Key) || s.Debug() || len(c.Removed) > 0 {
		s.say("%-8s %s", pastTense[c.Action], changed(c.Key, c.Removed))
		return
	}
	if first := s.policies.first; s.policies.number > 0 && (first.Action != c.Action || first.Key.Kind != c.Key.Kind) {
		s.changesMade()
	}
	if s.policies.number == 0 {
		s.policies.first = c
	}
	s.policies.number++
}

// changed names an object that is changed, and the finalizers that are removed with it.
func changed(key cluster.Key, finalizers []string) string {
	if len(finalizers) == 0 {
		return key.String()
	}
	return key.String() + ", in spite of its finalizers: " + visible.List(finalizers)
}

func (s *session) changesMade() {
	made := s.policies
	s.policies = policyChanges{}
	switch {
	case made.number == 1:
		s.say("%-8s %s", pastTense[made.first.Action], made.first.Key)
	case made.number > 1:
		kind := strings.TrimSuffix(made.first.Key.Kind, "y")
		if kind != made.first.Key.Kind {
			kind += "ie"
		}
		s.say("%-8s %s for all tenants", pastTense[made.first.Action], counted(made.number, kind))
	}
}
