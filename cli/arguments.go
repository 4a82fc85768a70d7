package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// mayBeEmpty are the flags whose empty value means something, and those of init, which says
// what is wrong with all of its flags at once.
var mayBeEmpty = []string{"reason", "filter", "home-namespace of init", "default-namespace", "role", "engine", "storage", "flux-account", "tiller-image", "tiller-version",
	"pod-security", "guard", "network", "contact"}

// withoutEmptyFlags refuses a flag with an empty value before the arguments are checked: it
// comes from a variable which a script forgot to set, and leaving the flag out means something
// else.
func withoutEmptyFlags(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		var wrong problems
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if f.Value.Type() == "string" && f.Value.String() == "" && !slices.Contains(mayBeEmpty, f.Name) && !slices.Contains(mayBeEmpty, f.Name+" of "+cmd.Name()) {
				wrong = append(wrong, fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name))
			}
		})
		if len(wrong) > 0 {
			return asUsage(cmd, wrong)
		}
		return check(cmd, args)
	}
}

// oneTenant checks the single argument of most verbs.
func oneTenant(cmd *cobra.Command, args []string) error {
	if err := oneArgument(cmd, args); err != nil {
		return err
	}
	if err := tenant.CheckName(args[0]); err != nil {
		return asUsage(cmd, err)
	}
	return nil
}

func oneArgument(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return asUsage(cmd, errors.New("the tenant's name is missing"))
	case len(args) > 1:
		return asUsage(cmd, withHint(fmt.Errorf("one tenant is named at a time, not also %q", args[1]), strayHints(cmd, args[1])...))
	}
	return nil
}

func tenantNames(cmd *cobra.Command, args []string) error {
	for _, name := range args {
		if err := tenant.CheckName(name); err != nil {
			return asUsage(cmd, err)
		}
	}
	return nil
}

// flagValue is the value of a flag that parse reads. A flag that is given several times adds to
// what it was.
type flagValue[T any] struct {
	kind  string
	into  *T
	parse func(text string, was T) (T, error)
}

func (v flagValue[T]) Type() string { return v.kind }

// String is empty for a list or a map, and for a duration of zero: the help shows no default.
func (v flagValue[T]) String() string {
	switch value := any(*v.into).(type) {
	case string:
		return value
	case time.Duration:
		if value != 0 {
			return value.String()
		}
	}
	return ""
}

func (v flagValue[T]) Set(text string) error {
	value, err := v.parse(text, *v.into)
	if err == nil {
		*v.into = value
	}
	return err
}

// notEmpty is pflag's string, except that it refuses an empty value: that comes from a
// variable which a script forgot to set, and does not mean the current context, or the
// default kubeconfig.
func notEmpty(into *string) flagValue[string] {
	return flagValue[string]{"string", into, func(text, _ string) (string, error) {
		if text == "" {
			return "", errors.New("it is empty: name one, or leave it out")
		}
		return text, nil
	}}
}

// wordList is a flag for words without commas or blanks, such as namespaces.
func wordList(into *[]string) flagValue[[]string] {
	return flagValue[[]string]{"strings", into, func(text string, was []string) ([]string, error) {
		if text == "" {
			return was, nil // the verb reports what is missing
		}
		words := strings.Split(text, ",")
		for _, word := range words {
			if word == "" || strings.ContainsFunc(word, unicode.IsSpace) {
				return nil, fmt.Errorf("%q is not one word: separate several by commas alone, or give each a flag of its own", word)
			}
		}
		return append(was, words...), nil
	}}
}

// nameList is a flag for users, groups and service accounts. Several names are separated
// by commas, or each has a flag of its own. A value is never guessed: a distinguished
// name (CN=alice,O=devs) is one name, and a value that could be one name or several is
// refused. An empty value comes from a variable that a script forgot to set, and is
// refused as well.
func nameList(into *[]string) flagValue[[]string] {
	return flagValue[[]string]{"strings", into, func(text string, was []string) ([]string, error) {
		names, err := splitNames(text)
		return append(was, names...), err
	}}
}

// memberList is nameList for subjects of a kind.
func memberList(kind string, into *tenant.Members) flagValue[tenant.Members] {
	return flagValue[tenant.Members]{"strings", into, func(text string, was tenant.Members) (tenant.Members, error) {
		names, err := splitNames(text)
		for _, name := range names {
			was = was.With(tenant.Members{tenant.ParseSubject(kind, name)})
		}
		return was, err
	}}
}

func memberFlags(cmd *cobra.Command, into *tenant.Members) {
	f := cmd.Flags()
	f.Var(memberList(rbacv1.UserKind, into), "user", "user, repeatable")
	f.Var(memberList(rbacv1.GroupKind, into), "group", "group, repeatable")
	f.Var(memberList(rbacv1.ServiceAccountKind, into), "service-account", "service account as NAMESPACE:NAME, repeatable")
}

// pairList is a flag for NAME=VALUE pairs. Several are separated by commas, or each has a
// flag of its own. An empty value is an empty map that is not nil, which unsets the
// setting.
func pairList(into *map[string]string) flagValue[map[string]string] {
	return flagValue[map[string]string]{"stringToString", into, func(text string, was map[string]string) (map[string]string, error) {
		if text == "" {
			return map[string]string{}, nil
		}
		if was == nil {
			was = map[string]string{}
		}
		for pair := range strings.SplitSeq(text, ",") {
			name, value, found := strings.Cut(pair, "=")
			if !found || name == "" {
				return nil, fmt.Errorf("%q is not NAME=VALUE: separate several by commas alone", pair)
			}
			was[name] = value
		}
		return was, nil
	}}
}

// duration is a flag for a duration that is not negative.
func duration(into *time.Duration) flagValue[time.Duration] {
	return flagValue[time.Duration]{"duration", into, func(text string, _ time.Duration) (time.Duration, error) {
		value, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return 0, errors.New(`must be a duration like "30s" or "5m"`)
		case value < 0:
			return 0, errors.New("it is negative")
		}
		return value, nil
	}}
}

// splitNames returns the names in a flag's value. Its error says what to type instead.
func splitNames(value string) ([]string, error) {
	const quoted = "put a name with a comma or a quote in double quotes, and double a quote in it"
	if strings.ContainsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' || unicode.IsControl(r) }) {
		return nil, errors.New("it has several lines, or a control character: give each name a flag of its own")
	}
	if strings.Contains(value, `"`) {
		names, err := csv.NewReader(strings.NewReader(value)).Read()
		switch {
		case errors.Is(err, io.EOF), err == nil && slices.Contains(names, ""):
			return nil, errors.New("a name is empty")
		case err != nil:
			return nil, errors.New(quoted)
		}
		return names, nil // as quoted
	}
	names := strings.Split(value, ",")
	if slices.Contains(names, "") {
		return nil, errors.New("a name is empty")
	}
	pairs := 0
	for _, name := range names {
		if strings.Contains(name, "=") {
			pairs++
		}
	}
	switch {
	case len(names) > 1 && pairs == len(names): // a distinguished name (RFC 4514)
		return []string{value}, checkBlanks([]string{value})
	case len(names) > 1 && pairs > 0:
		return nil, fmt.Errorf("%q may be one name with a comma, or several: %s", value, quoted)
	}
	return names, checkBlanks(names)
}

// checkBlanks refuses blanks around a name: the API server would take them for a part of
// it.
func checkBlanks(names []string) error {
	for _, name := range names {
		if trimmed := strings.TrimSpace(name); name != trimmed && trimmed != "" { // empty names are refused later with the other problems
			return fmt.Errorf("%q begins or ends with a blank: leave it out, or give each name a flag of its own", name)
		}
	}
	return nil
}
