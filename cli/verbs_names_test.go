package cli

import (
	"slices"
	"testing"

	"helm-tenant/wrapper"
)

// The wrapper must know the names of all verbs; otherwise it would pass ours to helm.
func TestVerbNames(t *testing.T) {
	var names []string
	for _, verb := range verbs {
		names = append(names, verb.name)
	}
	if !slices.Equal(names, wrapper.Verbs) {
		t.Errorf("cli makes %q, and the wrapper knows %q", names, wrapper.Verbs)
	}
}
