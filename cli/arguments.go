package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
