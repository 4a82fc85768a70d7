package cli

import (
	"github.com/spf13/cobra"

	"helm-tenant/wrapper"
)

// Commands returns the tree of helm-tenant's own verbs, from which man pages, completion
// scripts and the reference of flags are generated. The commands must not be run.
func Commands() *cobra.Command {
	return newRoot(&session{caller: caller{wrapper.Caller{Env: Environment{Args: []string{}}}}})
}
