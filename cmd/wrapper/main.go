//go:build unix

// Command wrapper is the program that starts first where helm-tenant is installed as a
// plugin on Unix. It starts helm if the caller's files are enough to decide, and links
// only the packages for that. Otherwise helm-tenant-full takes over, the program of the
// repository's root in the same folder. docs/architecture.md says what that saves.
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
