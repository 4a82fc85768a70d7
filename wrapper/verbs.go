package wrapper

import (
	"fmt"
	"slices"

	"helm-tenant/helm"
	"helm-tenant/tenant"
)

// Verbs are the names of all our commands. None may be a command of Helm or of a widely
// used plugin, except init.
var Verbs = []string{"init", "grant", "revoke", "freeze", "thaw", "tenants", "describe", "apply", "export", "destroy", "migrate", "split",
	"audit", "prove", "releases", "preflight", "kubeconfig", "use", "whoami", "shellenv"}

// IsVerb reports whether a word is one of our commands.
func IsVerb(word string) bool { return slices.Contains(Verbs, word) }

// MistypedError reports a word that is not a command, but similar to one of ours, or another word
// for the command Verb.
type MistypedError struct{ Word, Verb string }

func (e *MistypedError) Error() string {
	return fmt.Sprintf("%q is no command of helm's or of helm-tenant's", e.Word)
}

// Mistyped returns a *MistypedError if a word is similar to one of our verbs, and a command
// of no helm.
func Mistyped(word string) error {
	if slices.ContainsFunc([]int{2, 3, 4}, func(major int) bool { return helm.ClassOf(major, word) != helm.Plugin }) {
		return nil
	}
	return mistyped(word)
}

// synonyms are words that no helm has for a command, with the command that does what they mean. Some
// are near a verb that would do something else. Who types rm or remove mostly means a release: a
// hint never leads from there to the end of a tenant. Every helm has delete.
var synonyms = map[string]string{"unfreeze": "thaw", "edit": "init", "remove": "delete", "rm": "delete", "switch": "use", "use-context": "use"}

// mistyped returns a *MistypedError if a word is similar to one of our verbs, or means what one
// does.
func mistyped(word string) error {
	if verb := synonyms[word]; verb != "" {
		return &MistypedError{word, verb}
	}
	if len(word) <= 2 || IsVerb(word) {
		return nil
	}
	// A helm command may begin like one of our verbs: only differing letters count.
	for _, name := range tenant.Near(word, Verbs) {
		if len(name) <= len(word)+2 {
			return &MistypedError{word, name}
		}
	}
	return nil
}
