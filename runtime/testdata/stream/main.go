// A guest for tests: it reads bodies and sends replies in pieces, and counts its calls.
package main

import (
	"fmt"
	"io"
	"time"

	sett "github.com/sett-run/sett/sdk/go"
)

var calls int // a global counter: every invocation is to find 0

func init() {
	sett.HTTP("/events", func(w sett.ResponseWriter, r *sett.Request) {
		calls++
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			fmt.Fprintf(w, "data: %d %d\n\n", calls, n)
			w.(sett.Flusher).Flush()
		}
		fmt.Fprint(w, "end")
	})
	sett.HTTP("/loop", func(w sett.ResponseWriter, r *sett.Request) {
		w.(sett.Flusher).Flush()
		for {
			calls++
		}
	})
	sett.HTTP("/sleep", func(w sett.ResponseWriter, r *sett.Request) {
		w.(sett.Flusher).Flush()
		time.Sleep(time.Hour)
	})
	sett.HTTP("/endless", func(w sett.ResponseWriter, r *sett.Request) {
		for {
			fmt.Fprint(w, "more")
			w.(sett.Flusher).Flush()
		}
	})
	sett.HTTP("/panic", func(w sett.ResponseWriter, r *sett.Request) {
		fmt.Fprint(w, "begun")
		w.(sett.Flusher).Flush()
		panic("midway")
	})
	sett.HTTP("/upload", func(w sett.ResponseWriter, r *sett.Request) {
		calls++
		n, err := io.Copy(io.Discard, r.Reader())
		fmt.Fprintln(w, calls, n, err, r.More())
	})
}

func main() {}
