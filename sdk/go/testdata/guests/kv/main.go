// Command kv keeps state.
package main

import (
	"strconv"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/kv"
)

func init() {
	sett.HTTP("/count", func(w sett.ResponseWriter, r *sett.Request) {
		n, err := kv.Incr(r.Context(), "n", 1)
		if err != nil {
			panic(err)
		}
		w.WriteString(strconv.FormatInt(n, 10))
	})
	sett.HTTP("/keys", func(w sett.ResponseWriter, r *sett.Request) {
		if _, err := kv.Get(r.Context(), "n"); err != nil {
			panic(err)
		}
		for key := range kv.ListKeys(r.Context(), "") {
			w.WriteString(key)
		}
	})
}

func main() {}
