// Command helm-tenant gives each tenant of a shared cluster its own Helm. It runs as the
// helm plugin "tenant" and stand-alone.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"helm-tenant/cli"
	"helm-tenant/wrapper"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends a process that does not end by the first
	code := cli.Run(ctx, wrapper.Process())
	stop()
	os.Exit(code)
}
