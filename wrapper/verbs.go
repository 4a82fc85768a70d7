package wrapper

import (
	"fmt"
	"slices"

	"helm-tenant/tenant"
)

// Verbs are the names of all commands of ours. None may be called like a command of Helm's
// or of a widely used plugin, but for init.
var Verbs = []string{"init", "grant", "revoke", "freeze", "thaw", "tenants", "describe", "apply", "export", "destroy", "migrate", "split",
	"audit", "prove", "releases", "preflight", "kubeconfig", "use", "whoami", "shellenv"}

// IsVerb reports whether a word is a command of ours.
func IsVerb(word string) bool { return slices.Contains(Verbs, word) }

// MistypedError says that a word is no command, but nearly one of ours.
type MistypedError struct{ Word, Verb string }

func (e *MistypedError) Error() string {
	return fmt.Sprintf("%q is no command of helm's or of helm-tenant's", e.Word)
}

// mistyped returns a *MistypedError where a word is nearly one of our verbs.
func mistyped(word string) error {
	if len(word) <= 2 || IsVerb(word) {
		return nil
	}
	// A helm command may begin as a verb of ours does: only the letters count.
	for _, name := range tenant.Near(word, Verbs) {
		if len(name) <= len(word)+2 {
			return &MistypedError{word, name}
		}
	}
	return nil
}
