//go:build unix

// Command wrapper is what starts first where helm-tenant is installed as a plugin on Unix:
// it starts helm where the caller's files say all, and links nothing that this does not
// need. All else is done by helm-tenant-full, the program of the repository's root, which
// lies beside it. docs/architecture.md says what that saves.
package main

import (
	"context"
	"fmt"
	"os"

	"helm-tenant/wrapper"
)

func main() {
	env := wrapper.Process()
	if code, done := wrapper.Run(context.Background(), env); done {
		os.Exit(code)
	}
	fmt.Fprintf(os.Stderr, "Error: %v\n", wrapper.HandOver(env))
	os.Exit(1)
}
