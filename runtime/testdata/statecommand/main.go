// A guest for tests: a plain CGI program that keeps state. It declares that it runs as a command on purpose.
package main

import (
	"context"
	"fmt"

	"github.com/sett-run/sett/sdk/go/kv"
)

//go:wasmimport sett run
func run()

func main() {
	run()
	n, err := kv.Incr(context.Background(), "n", 1)
	fmt.Printf("Content-Type: text/plain\n\n%d %v", n, err)
}
