// Testcluster starts and ends a real Kubernetes cluster for helm-tenant's tests,
// and for trying things by hand. Run it without arguments for help.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "testcluster: %v\n", err)
		os.Exit(1)
	}
}
