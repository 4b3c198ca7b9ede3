// Command counter counts. Instances forget, the store does not: every visit adds one, however many come at once and
// on whichever node.
package main

import (
	"errors"
	"strconv"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/kv"
)

func init() {
	sett.HTTP("POST /counter/{name}", add)
	sett.HTTP("GET /counter/{name}", show)
}

func add(w sett.ResponseWriter, r *sett.Request) {
	n, err := kv.Incr(r.Context(), "counter/"+r.PathValue("name"), 1)
	if err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.WriteString(strconv.FormatInt(n, 10) + "\n")
}

func show(w sett.ResponseWriter, r *sett.Request) {
	n, err := kv.Get(r.Context(), "counter/"+r.PathValue("name"))
	switch {
	case errors.Is(err, kv.ErrNotFound):
		n = []byte("0")
	case err != nil:
		panic(err)
	}
	w.WriteString(string(n) + "\n")
}

func main() {}
