package cli

import (
	"os"
	"strings"
	"testing"

	"helm-tenant/helm"
	"helm-tenant/wrapper"
)

// TestVerifierHint: a helm that can't verify the releases is replaced in a call of the verb that
// was typed, which is not always migrate.
func TestVerifierHint(t *testing.T) {
	for _, verb := range []string{"migrate", "split"} {
		env := Environment{Executable: os.Args[0], Environ: []string{"PATH=" + t.TempDir()}}
		call := helm.Call{Line: helm.Line{Command: verb}, Env: env.Lookup}
		m := &migration{session: &session{caller: caller{wrapper.Caller{Env: env, Call: call}}}}
		_, err := m.verifier(t.Context())
		var text strings.Builder
		report(&text, err)
		if want := "or as helm-tenant " + verb + " with HELM_BIN set to one"; !strings.Contains(text.String(), want) {
			t.Errorf("wanted %q:\n%s", want, text.String())
		}
	}
}
