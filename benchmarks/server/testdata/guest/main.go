// The function in Go that does all works.
package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sett-run/sett/benchmarks/work/answer"
	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/kv"
)

func init() {
	items := answer.Items()
	sett.Warmup(func() { // encoding/json makes its plan of a type once, at deployment
		if _, err := answer.Inspect("GET", items, func(string) string { return "" }); err != nil {
			panic(err)
		}
	})
	sett.HTTP("GET /hello", func(w sett.ResponseWriter, _ *sett.Request) { w.WriteString(answer.Hello) })
	sett.HTTP("GET /json", func(w sett.ResponseWriter, r *sett.Request) { inspect(w, r, items) })
	sett.HTTP("POST /sha256", func(w sett.ResponseWriter, r *sett.Request) { w.WriteString(answer.Digest(r.Body)) })
	sett.HTTP("POST /kv/{key}", count)
}

func inspect(w sett.ResponseWriter, r *sett.Request, items []string) {
	reply, err := answer.Inspect(r.Method, items, func(name string) string {
		for _, h := range r.Headers {
			if strings.EqualFold(h.Name, name) {
				return h.Value
			}
		}
		return ""
	})
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(reply)
}

func count(w sett.ResponseWriter, r *sett.Request) {
	key := r.PathValue("key")
	value, err := kv.Get(r.Context(), key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		panic(err)
	}
	n, _ := strconv.Atoi(string(value)) // 0 at first
	next := strconv.Itoa(n + 1)
	if err := kv.Set(r.Context(), key, []byte(next)); err != nil {
		panic(err)
	}
	w.WriteString(next)
}

func main() {}
