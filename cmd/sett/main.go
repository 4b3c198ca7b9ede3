// Command sett runs a node and talks to one.
//
// It is one binary: up starts a node, demo shows the whole story on one machine, and every other verb speaks to a
// node's admin plane through sdk/client. Each verb has a file of its own; root.go joins them and decides how a
// run ends: 0 done, 1 refused or failed, 2 wrong usage, with errors on stderr as "sett: VERB: WHY" or, with
// -o json, as {"error":{"code","message"}}.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The first signal asks for an orderly end; from then on signals act as usual, so that a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
