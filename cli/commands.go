package cli

import (
	"github.com/spf13/cobra"

	"helm-tenant/wrapper"
)

// Commands returns the tree of helm-tenant's own verbs, for what is generated from
// it: man pages, completion scripts, the reference of flags. None of them is meant
// to be run.
func Commands() *cobra.Command {
	return newRoot(&session{caller: caller{wrapper.Caller{Env: Environment{Args: []string{}}}}})
}
