package helm

import (
	"errors"
	"testing"
)

// TestMessageError: what helm's messages of all versions say, and what only sounds alike.
func TestMessageError(t *testing.T) {
	for _, test := range []struct {
		message string
		want    error
	}{
		{`release: "helm-tenant-whoami-asks" not found`, ErrReleaseNotFound},
		{`rpc error: code = Unknown desc = release: "web" not found`, ErrReleaseNotFound},
		{`release: not found`, ErrReleaseNotFound},
		{`get: release: not found`, ErrReleaseNotFound},
		{`secrets is forbidden: User "system:serviceaccount:a-helm:helm" cannot list resource "secrets" in API group "" in the namespace "a"`, ErrForbidden},
		{`list: failed to list: secrets is forbidden: User "x" cannot list resource "secrets"`, ErrForbidden},
		{`serviceaccounts "tiller" not found`, nil},
		{`namespaces "a-tiller" not found`, nil},
		{`could not find tiller`, nil},
		{`plugin "forbidden" not found`, nil},
		{`release: "web" failed: configmaps "web" not found: try again`, nil},
		{`a release name is required, "forbidden" is none`, nil},
	} {
		for _, target := range []error{ErrReleaseNotFound, ErrForbidden} {
			if got := errors.Is(messageError(test.message), target); got != errors.Is(test.want, target) {
				t.Errorf("%s: that it is %q is %v", test.message, target, got)
			}
		}
	}
}
