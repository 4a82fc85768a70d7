package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

func TestReport(t *testing.T) {
	plain := errors.New("it failed")
	several := problems{errors.New("one is wrong"), errors.New("two is wrong")}
	for _, test := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"nothing", nil, 0, ""},
		{"one", plain, 1, "Error: it failed\n"},
		{"with hints", withHint(plain, "do this", "or that"), 1, "Error: it failed\n  do this\n  or that\n"},
		{"with hints, said of more", fmt.Errorf("init: %w", withHint(plain, "do this")), 1, "Error: init: it failed\n  do this\n"},
		{"several", several, 1, "Error: one is wrong\nError: two is wrong\n"},
		{"several with a hint", withHint(several, "do this"), 1, "Error: one is wrong\nError: two is wrong\n  do this\n"},
		{"several, each with its hint", problems{withHint(plain, "do this"), withHint(errors.New("so did it"), "do this"), withHint(errors.New("another"), "or that")}, 1,
			"Error: it failed\n  do this\nError: so did it\nError: another\n  or that\n"},
		{"usage", &usageError{plain, "helm tenant x"}, 2, "Error: it failed\nUsage: helm tenant x\n"},
		{"several of usage", &usageError{several, "helm tenant x"}, 2, "Error: one is wrong\nError: two is wrong\nUsage: helm tenant x\n"},
		{"usage with a hint", withHint(&usageError{plain, "helm tenant x"}, "do this"), 2, "Error: it failed\n  do this\nUsage: helm tenant x\n"},
		{"partly done", &codeError{code: exitPartly, err: withHint(several, "do this")}, 3, "Error: one is wrong\nError: two is wrong\n  do this\n"},
		{"an exit code that says it all", &codeError{code: exitDiffers}, 2, ""},
		{"no tenant is known", &tenant.UnresolvedError{Where: `context "c"`, Namespace: "n"}, 1,
			"Error: no tenant is known for context \"c\", namespace \"n\": it carries no label helm-tenant/tenant\n  name it once:       helm tenant use TENANT\n  or for one command: helm tenant --tenant TENANT COMMAND\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if code := report(&out, test.err); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWithHintOfNothing(t *testing.T) {
	if err := withHint(nil, "do this"); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestErrorsKeepTheirCause(t *testing.T) {
	cause := errors.New("the cause")
	for _, err := range []error{withHint(cause), &usageError{cause, ""}, &codeError{err: cause}, problems{errors.New("another"), cause}} {
		if !errors.Is(err, cause) {
			t.Errorf("%T hides it", err)
		}
	}
}
